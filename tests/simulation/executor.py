"""The simulated executor: it evaluates jobs for real, in this process, at simulated times; messages go wrong.

What the port promises holds: each job that was handed over ends once, unless the driver dies. Beside that,
``Started`` may be lost or late, every message may come twice, a cancel may come too late, and a worker that was
given up as lost may still report.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from weft.errors import OutOfMemory, WorkerLost
from weft.executors.port import Capacity, Ended, Event, Started
from weft.model.context import RunContext
from weft.model.jobs import Job, Limits, Report
from weft.model.values import Failure
from weft.store.artifacts import ArtifactStore
from weft.store.blobs import FileBlobStore
from weft.worker.evaluate import Evaluator
from weft.worker.stops import cancelled_report, stop_report

if TYPE_CHECKING:
    from .process import Process

LOSSES_MAX = 2  # As the settings have it where they say nothing.
KINDS = ("lost", "user", "memory", "timeout", "lost")
_evaluators: dict[bytes, Evaluator] = {}


def evaluator_of(context: RunContext) -> Evaluator:
    """Return the shipped evaluator of a run. What it makes of a program's text is kept from run to run."""
    evaluator = Evaluator(context)
    known = _evaluators.setdefault(context.program, evaluator)
    evaluator.functions, evaluator.steps = known.functions, known.steps
    return evaluator


class Faults:
    """Which attempts of which tasks fail, and how: a function of the seed and of the task's path, so that it is the
    same in every life of a run.

    Args:
        share: how many tasks have failing attempts.
        final: how many of those fail for good, as far as that is up to the attempts.
    """

    def __init__(self, seed: int, share: float, final: float) -> None:
        self._seed = seed
        self._share = share
        self._final = final

    def of(self, job: Job, attempt: int, retries: int) -> str:
        """Return how this attempt goes: ``ok`` or a kind of failure."""
        chance = random.Random(f"{self._seed}/{job.task}")
        if not job.is_call or chance.random() >= self._share:
            return "ok"
        if chance.random() < self._final:
            return chance.choice(KINDS)  # Always the same, however often a crash makes it start again.
        failing = chance.randint(0, min(retries, LOSSES_MAX))
        kinds = [chance.choice(KINDS) for _ in range(8)]
        return kinds[attempt % 8] if attempt <= failing else "ok"


class SimulatedExecutor:
    """State: jobs that wait, jobs that run, what the driver has not been told yet."""

    def __init__(self, process: Process, faults: Faults, slots: int) -> None:
        self.process = process
        self.world = process.world
        self.faults = faults
        self.slots = slots
        self.waiting: deque[Job] = deque()
        self.running: dict[int, Job] = {}
        self.inbox: list[Event] = []
        self.is_finished = False
        # Workers may be on another machine, with a clock of its own.
        skew_ms = process.simulation.plan.skew_ms
        self.offset_ms = self.world.chance.randint(-skew_ms, skew_ms) if skew_ms else 0
        self.evaluator: Evaluator | None = None

    # The port.

    def capacity(self) -> Capacity:
        return Capacity(self.slots, 1 << 40)

    def check(self, limits: Limits) -> tuple[Limits, str]:
        return limits, ""

    def start(self, context: RunContext) -> None:
        self.evaluator = evaluator_of(context)
        self.evaluator.store = ArtifactStore(FileBlobStore(Path(context.artifact_folder)))

    def submit(self, jobs: Sequence[Job]) -> None:
        self.process.point("submit")
        self.process.launches(jobs)
        self.waiting.extend(jobs)
        self._fill()
        self.process.point("submitted")

    def poll(self, timeout_s: float | None) -> list[Event]:
        self.process.point("poll")
        events, self.inbox = self.inbox, []
        # What a lost worker says comes after its loss: which of the two counts is not a matter of chance.
        if self.process.chaos.shuffles and not self.process.chaos.zombie:
            self.world.chance.shuffle(events)
        return events

    def wake(self) -> None:
        self.process.wake()

    def cancel(self, run: str, jobs: Iterable[int], grace_ms: int | None = None) -> None:
        self.process.point("cancel")
        for number in jobs:
            waiting = next((job for job in self.waiting if job.id == number), None)
            if waiting is not None:
                self.waiting.remove(waiting)
                self._tell(Ended(run, self._stamped(cancelled_report(number))))
            elif number in self.running and not self.world.likely(self.process.chaos.cancel_too_late):
                job = self.running.pop(number)
                self._tell(Ended(run, self._stamped(stop_report(job, "cancelled"))))
                self._fill()

    def finish(self, run: str) -> None:
        self.is_finished = True
        if self.process.is_alive:
            self.waiting.clear()
            self.running.clear()

    def close(self) -> None:
        self.finish("")

    # The workers.

    def _fill(self) -> None:
        while self.waiting and len(self.running) < self.slots:
            job = self.waiting.popleft()
            self.running[job.id] = job
            self.world.after(self.world.delay_ms(20), self._begin, job)

    def _begin(self, job: Job) -> None:
        if job.id not in self.running:
            return
        if not self.world.likely(self.process.chaos.started_lost):
            self._tell(Started(job.run, (job.id,), f"{self.process.name}-worker"))
        self.process.simulation.invariants.working(self)
        most = self.process.chaos.job_ms
        self.world.after(self.world.delay_ms(most), self._end, job, self._now_ms())

    def _end(self, job: Job, started_ms: int) -> None:
        if job.id not in self.running:
            return
        report, late = self._report(job)
        report.started_ms, report.ended_ms = started_ms, self._now_ms()
        if not self.process.is_alive:
            return  # An orphan: it did its work, and there is nobody to tell.
        del self.running[job.id]
        told_ms = self._tell(Ended(job.run, report))
        if late is not None:
            self.world.after(told_ms + self.world.delay_ms(5000), self._deliver, Ended(job.run, late))
        self._fill()

    def _report(self, job: Job) -> tuple[Report, Report | None]:
        """Return what is reported of a job, and what its worker reports after it was given up as lost."""
        assert self.evaluator is not None
        retries = self._retries(job)
        kind = self.faults.of(job, job.attempt, retries)
        lost_late = kind == "lost" and self.world.likely(0.5)
        if kind == "ok" or lost_late:
            self.process.evaluates(job)
            report = self.evaluator.evaluate(job)
            if kind == "ok":
                return report, None
            if self.world.likely(self.process.chaos.zombie):
                return self._failed(job, kind), self._stamped(report)
        return self._failed(job, kind), None

    def _failed(self, job: Job, kind: str) -> Report:
        if kind == "timeout":
            return stop_report(job, "timeout")
        if kind == "user":
            assert self.evaluator is not None
            error = RuntimeError(f"injected into {job.task}")
            stored = self.evaluator.store.put_exception(error)
            failure = Failure("user", "RuntimeError", str(error), "", stored)
        else:
            cause = OutOfMemory if kind == "memory" else WorkerLost
            failure = Failure(kind, f"weft.errors.{cause.__name__}", f"the worker of {job.task} was lost")
        return Report(job.id, "fail", failure=failure, failed_entry=0)

    def _retries(self, job: Job) -> int:
        assert self.evaluator is not None
        program = self.evaluator.program
        node = self.evaluator.nodes[job.entries[0].node]
        return program.steps[node.step].retries if job.is_call else 0  # type: ignore[union-attr]

    def _stamped(self, report: Report) -> Report:
        report.started_ms = report.ended_ms = self._now_ms()
        return report

    def _now_ms(self) -> int:
        return self.process.clock.now_ms() + self.offset_ms

    # The messages.

    def _tell(self, event: Event) -> int:
        """Send an event, and return after how many milliseconds it arrives."""
        chaos = self.process.chaos
        late_ms = self.world.delay_ms(chaos.message_ms) if chaos.message_ms else 0
        self.world.after(late_ms, self._deliver, event)
        if self.world.likely(chaos.twice):
            again = (
                Ended(event.run, msgspec.structs.replace(event.report)) if isinstance(event, Ended) else event
            )
            self.world.after(late_ms + self.world.delay_ms(3000), self._deliver, again)
        return late_ms

    def _deliver(self, event: Event) -> None:
        if self.process.is_alive and not self.is_finished:
            self.inbox.append(event)
            self.process.wake()
