"""Runs a workflow through the shipped compiler, machine and evaluator, jobs in a random but seeded order.

No database and no processes: this is the language alone. The same workflow on real executors and stores is
tested by ``Workflow.run``.
"""

from __future__ import annotations

import random
import tempfile
from dataclasses import dataclass
from typing import Any

from weft.client.prepare import prepare
from weft.machine.events import Begin, CancelJobs, Done, Event, Finish, Granted, RunJob, TimerFired, Wait
from weft.machine.interpreter import Machine
from weft.model.context import RunContext
from weft.program.serial import program_from_bytes, program_to_bytes
from weft.store.artifacts import ArtifactStore
from weft.store.blobs import FileBlobStore
from weft.worker.evaluate import Evaluator

from .pools import Pools


@dataclass
class Outcome:
    """``value`` or ``error``; ``tasks``: paths of calls in the order in which they ended; ``waves``: the
    length of the longest chain of calls that waited for one another."""

    value: Any = None
    error: BaseException | None = None
    tasks: tuple[str, ...] = ()
    waves: int = 0


def durable(
    workflow: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None, seed: int = 0
) -> Outcome:
    """Run a workflow in rounds: of the jobs that are out, a seeded choice ends in each."""
    with tempfile.TemporaryDirectory() as folder:
        store = ArtifactStore(FileBlobStore(folder))
        prepared = prepare(workflow, store, args, kwargs or {})
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
        return _drive(context, prepared.given, store, random.Random(seed))


def _drive(context: RunContext, given: Any, store: ArtifactStore, choice: random.Random) -> Outcome:
    machine = Machine(program_from_bytes(context.program), "r", window=choice.choice([1, 2, 3, 1000]))
    evaluator = Evaluator(context)
    out: dict[int, tuple[Any, int]] = {}
    tasks: list[str] = []
    pools = Pools()
    wave = 0
    commands = machine.advance(Begin(given))
    finish: Finish | None = None
    while True:
        for command in commands:
            match command:
                case RunJob():
                    out[command.job.id] = (command.job, wave + 1 if command.job.is_call else wave)
                case CancelJobs():
                    for job in command.jobs:
                        out.pop(job, None)
                case Finish():
                    finish = command
        due: list[Event] = [TimerFired(c.timer, c.at_ms) for c in commands if isinstance(c, Wait)]
        due += [Granted(request) for request in pools.obey(commands)]
        if due:
            commands = [command for event in due for command in machine.advance(event)]
            continue
        if finish is not None:
            assert not pools.held, "slots are still held at the end"
            break
        assert out, "the machine waits for nothing"
        job_id = choice.choice(list(out))
        job, depth = out.pop(job_id)
        wave = depth
        report = evaluator.evaluate(job)
        if job.is_call:
            tasks.append(job.task)
        commands = machine.advance(Done(report, choice.random()))
    if finish.failure is not None:
        assert finish.failure.exception is not None
        error = _part(store.get(finish.failure.exception), finish.failure.path)
        return Outcome(error=error, tasks=tuple(tasks))
    value = None
    if finish.result is not None:
        value = _part(store.get(finish.result.artifact), finish.result.path)
    return Outcome(value, tasks=tuple(tasks))


def _part(value: Any, path: tuple[Any, ...]) -> Any:
    for part in path:
        value = value[part]
    return value
