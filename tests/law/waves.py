"""How many waves of step calls a run needs if each call takes one unit of time and glue takes none."""

from __future__ import annotations

import tempfile
from collections import deque
from typing import Any

from weft.client.prepare import prepare
from weft.machine.events import Acquire, Begin, CancelJobs, Done, Granted, RunJob
from weft.machine.interpreter import Machine
from weft.model.context import RunContext
from weft.model.jobs import Job
from weft.program.serial import program_to_bytes
from weft.store.artifacts import ArtifactStore
from weft.store.blobs import FileBlobStore
from weft.worker.evaluate import Evaluator


def waves(workflow: Any, args: tuple[Any, ...]) -> tuple[int, int]:
    """Run with room, and slots, for every call at once; return (step calls, waves of them)."""
    with tempfile.TemporaryDirectory() as folder:
        store = ArtifactStore(FileBlobStore(folder))
        prepared = prepare(workflow, store, args, {})
        context = RunContext(
            run="r",
            program=program_to_bytes(prepared.program),
            artifact_folder=folder,
            log_folder=folder,
            work_folder=folder,
            checkpoint_folder=folder,
            code=prepared.code,
            main_file=prepared.main_file,
        )
        return _count(Machine(prepared.program, "r"), Evaluator(context), prepared.given)


def _count(machine: Machine, evaluator: Evaluator, given: Any) -> tuple[int, int]:
    glue: deque[Job] = deque()
    calls: dict[int, Job] = {}
    asked: deque[int] = deque()
    done, turns = 0, 0
    commands = machine.advance(Begin(given))
    while True:
        for command in commands:
            if isinstance(command, RunJob) and command.job.is_call:
                calls[command.job.id] = command.job
            elif isinstance(command, RunJob):
                glue.append(command.job)
            elif isinstance(command, CancelJobs):
                calls = {job: item for job, item in calls.items() if job not in command.jobs}
            elif isinstance(command, Acquire):
                asked.append(command.request)
        if asked:
            commands = machine.advance(Granted(asked.popleft()))
        elif glue:
            commands = machine.advance(Done(evaluator.evaluate(glue.popleft())))
        elif calls:
            # All that can run does run; what that makes possible belongs to the next wave.
            wave, calls = list(calls.values()), {}
            done, turns = done + len(wave), turns + 1
            commands = [c for job in wave for c in machine.advance(Done(evaluator.evaluate(job)))]
        else:
            return done, turns
