"""The driver: joins machine, store and executor for one run.

A turn: take what happened, let the machine advance, write facts and journal in one transaction, then send
the commands. So nothing starts that is not on record, and a crash at any point repeats nothing that is.
"""

from __future__ import annotations

import heapq
import threading
from collections import deque
from collections.abc import Iterator

import msgspec

from weft.clock import Clock
from weft.driver.holding import Holding
from weft.driver.ledger import Ledger
from weft.driver.patience import Patience
from weft.driver.reuse import Found, Missed, Reuse
from weft.driver.showing import Going, Showing
from weft.driver.slots import Slots
from weft.driver.watching import Watching
from weft.errors import Cancelled, OutOfMemory, StepTimeout, WeftError, WorkerLost
from weft.executors.port import Ended, Event, Executor, Notice, Started
from weft.machine.events import (
    Acquire,
    Begin,
    CancelJobs,
    CancelRequested,
    Command,
    Decided,
    Done,
    Failing,
    Finish,
    Instance,
    LoopCounted,
    Release,
    RunJob,
    TimerFired,
    Tried,
    Wait,
)
from weft.machine.events import (
    Event as Happening,
)
from weft.machine.interpreter import Machine
from weft.model.context import RunContext
from weft.model.jobs import Output, Report
from weft.model.progress import Listener, TaskEnd
from weft.model.records import Batch, Lease, RunMove, TaskRecord, TaskState, failure_to_bytes
from weft.model.values import Failure
from weft.program.nodes import Call, Program
from weft.store.artifacts import ArtifactStore
from weft.store.database import Database
from weft.worker.stops import cancelled_report

LIMIT_RETRY_MS = 50
CANCEL_CHECK_MS = 500
_FAULTS: dict[str, type[BaseException]] = {
    "timeout": StepTimeout,
    "lost": WorkerLost,
    "preempted": WorkerLost,
    "memory": OutOfMemory,
    "cancelled": Cancelled,
}


class DriverParts(msgspec.Struct):
    """What a driver joins.

    Attributes:
        notes: what was found about the run before it began, to be said once.
        tried: what is on record of instances that had not ended when the driver before this one died.
        losses_max, disk_wait_ms: see ``Settings``.
    """

    database: Database
    store: ArtifactStore
    executor: Executor
    clock: Clock
    slots: Slots
    reuse: Reuse
    lease_ms: int
    heartbeat_ms: int
    executor_name: str = "local"
    listener: Listener | None = None
    notes: tuple[str, ...] = ()
    tried: dict[Instance, Tried] = {}
    losses_max: int = 2
    disk_wait_ms: int = 600_000


class Driver:
    """Drives one run to its end, or until it is told to stop.

    State: ``machine``; ``out``, jobs that are out; ``timers``; ``queue``, events that the machine has not
    seen; ``submit``, jobs that wait for the commit; ``finish``, the end once it is known; ``ended``, how it
    left the run. Beside these, what ``holding`` and ``showing`` keep.
    """

    def __init__(
        self, parts: DriverParts, program: Program, context: RunContext, lease: Lease, given: list[Output]
    ) -> None:
        self.parts = parts
        self.program = program
        self.context = context
        self.lease = lease
        self.given = given
        self.machine = Machine(
            program, lease.run, losses_max=parts.losses_max, disk_wait_ms=parts.disk_wait_ms
        )
        self.ledger = Ledger(lease.run, self.machine.plan, parts.executor_name)
        self.watching = Watching(parts.listener, self.machine.plan)
        self.holding = Holding(parts.slots, self.ledger)
        self.out: dict[int, Going] = {}
        self.showing = Showing(self.out, self.ledger, parts.clock.monotonic_ms())
        self.timers: list[tuple[int, int]] = []
        self.queue: deque[Happening] = deque()
        self.submit: dict[int, RunJob] = {}
        self.drop: list[int] = []
        self.finish: Finish | None = None
        self.ended = ""
        self._stop = threading.Event()
        self.patience = Patience(parts.clock, parts.disk_wait_ms, self._stop.wait, self._tell_wait)
        # Whoever drove the run before may have died while it cancelled.
        self._cancel_cause: str | None = "requested" if lease.state == "cancelling" else None
        self._next_beat_ms = 0
        self._next_check_ms = 0
        self._missed: dict[Instance, Missed] = {}

    # -- from other threads -----------------------------------------------------------------------------

    def stop(self) -> None:
        """Leave the run as it is, to be resumed: what runs is cut off, what has ended is on record."""
        self._stop.set()
        self.parts.executor.wake()

    def cancel(self, cause: str) -> None:
        """End the run: what runs is stopped, ``finally`` blocks run, the rest does not start."""
        self._cancel_cause = cause
        self.parts.executor.wake()

    # -- the loop ---------------------------------------------------------------------------------------

    def drive(self) -> str:
        """Drive the run and return its state at the end; ``interrupted`` after ``stop``."""
        for _ in self.turns():
            pass
        return self.ended

    def turns(self) -> Iterator[float]:
        """Do what ``drive`` does, turn by turn, so that a simulation may let other drivers work in between.

        Yields, before each turn, for how many seconds it would wait for the executor; ``ended`` is set last.
        """
        parts = self.parts
        now_ms = parts.clock.now_ms()
        self.watching.started(self.lease.run, now_ms)
        try:
            parts.executor.start(self.context)
            self._begin(now_ms)
            while self.finish is None and not self._stop.is_set():
                patience_s = self._patience_s()
                yield patience_s
                self._turn(patience_s)
            self.ended = self._end()
        finally:
            # First the workers: what is still at work holds its slots.
            try:
                parts.executor.finish(self.lease.run)
            finally:
                self.holding.close()

    def _begin(self, now_ms: int) -> None:
        self._next_beat_ms = self.parts.clock.monotonic_ms() + self.parts.heartbeat_ms
        for note in self.parts.notes:
            self.ledger.noted("", note, now_ms)
            self.watching.notice(note, now_ms)
        for output in self.given:
            self.ledger.refer(output.artifact)
        self.queue.append(Begin(self.given, self.parts.tried))
        self._advance(now_ms)
        # Before anything starts: somebody may have asked for the end while nobody drove the run.
        self._hear_cancel(now_ms, self.parts.clock.monotonic_ms())
        self._advance(now_ms)
        self._write(now_ms)
        self._send(now_ms)

    def _turn(self, patience_s: float) -> None:
        events = self.parts.executor.poll(patience_s)
        # Only for what people see is it the wall clock, which may be set.
        now_ms, tick_ms = self.parts.clock.now_ms(), self.parts.clock.monotonic_ms()
        if events:
            self.showing.heard(tick_ms)
        for event in events:
            self._take(event, now_ms, tick_ms)
        self._look_at_the_clock(now_ms, tick_ms)
        self._advance(now_ms)
        self._write(now_ms)
        self._send(now_ms)

    def _patience_s(self) -> float:
        """Return how long to wait for the executor: until a timer, a heartbeat or a showing is due."""
        tick_ms = self.parts.clock.monotonic_ms()
        until_ms = min(self._next_beat_ms, tick_ms + CANCEL_CHECK_MS)
        if self.timers:
            until_ms = min(until_ms, self.timers[0][0])
        if self.holding.is_waiting:
            until_ms = min(until_ms, tick_ms + LIMIT_RETRY_MS)
        show_ms = self.showing.due_ms()
        if show_ms is not None:
            until_ms = min(until_ms, show_ms)
        return max(0, until_ms - tick_ms) / 1000

    def _take(self, event: Event, now_ms: int, tick_ms: int) -> None:
        match event:
            case Ended():
                self._take_report(event.report, tick_ms)
            case Started():
                for job in event.jobs:
                    going = self.out.get(job)
                    if going is not None:
                        going.started_ms, going.worker = now_ms, event.worker
                        self.showing.started(going, tick_ms)
                        self.watching.task_started(going.command, now_ms)
            case Notice():
                self.ledger.noted("", event.message, now_ms)
                self.watching.notice(event.message, now_ms)

    def _take_report(self, report: Report, tick_ms: int) -> None:
        self.holding.ended(report.id)
        if report.failure is not None and report.failure.exception is None:
            report.failure = self._with_exception(report.failure)
        going = self.out.get(report.id)
        if going is not None:
            task = going.command.job.task
            for note in report.notes:
                self.ledger.noted(task, note, report.ended_ms)
                self.watching.notice(f"{task}: {note}", report.ended_ms)
            jitter = 0.0 if report.failure is None else self.parts.clock.jitter()
            self.queue.append(Done(report, jitter, began_ms=going.began_ms or tick_ms, ended_ms=tick_ms))

    def _with_exception(self, failure: Failure) -> Failure:
        """Give a failure that no worker could report the exception that the workflow sees."""
        kind = _FAULTS.get(failure.kind, WeftError)
        return msgspec.structs.replace(
            failure, exception=self.parts.store.put_exception(kind(failure.message))
        )

    def _look_at_the_clock(self, now_ms: int, tick_ms: int) -> None:
        while self.timers and self.timers[0][0] <= tick_ms:
            _, timer = heapq.heappop(self.timers)
            self.queue.append(TimerFired(timer, now_ms))
        if tick_ms >= self._next_beat_ms:
            self._next_beat_ms = tick_ms + self.parts.heartbeat_ms
            runs = self.parts.database.runs
            self.patience.outlast(lambda: runs.heartbeat(self.lease, self.parts.lease_ms))
        self._hear_cancel(now_ms, tick_ms)
        self.showing.look(tick_ms)

    def _hear_cancel(self, now_ms: int, tick_ms: int) -> None:
        if tick_ms >= self._next_check_ms and self._cancel_cause is None:
            self._next_check_ms = tick_ms + CANCEL_CHECK_MS
            runs = self.parts.database.runs
            if self.patience.outlast(lambda: runs.is_cancel_requested(self.lease.run)):
                self._cancel_cause = "requested"
        if self._cancel_cause is not None and self.machine.cancelling is None:
            self._request_cancel(now_ms)

    def _request_cancel(self, now_ms: int) -> None:
        failure = Failure("cancelled", "weft.errors.Cancelled", "the run was cancelled", retryable=False)
        self.queue.append(CancelRequested(self._with_exception(failure)))
        if self.lease.state in ("running", "failing"):
            self._move(RunMove("cancelling", now_ms), self._cancel_cause or "")

    def _advance(self, now_ms: int) -> None:
        """Let the machine see all that happened, and what follows from it without anybody's help."""
        while True:
            while self.queue:
                self._let_see(self.queue.popleft(), now_ms)
            granted = self.holding.turn_over()
            if not granted:
                return
            self.queue.extend(granted)

    def _let_see(self, event: Happening, now_ms: int) -> None:
        commands = self.machine.advance(event)
        if isinstance(event, Done):
            # Its report may have been on its way here, or on record, when it was called off.
            self.holding.ended(event.report.id)
            going = self.out.pop(event.report.id, None)
            if going is not None:
                self._record(going, event.report, commands)
        for command in commands:
            self._obey(command, now_ms)

    def _record(self, going: Going, report: Report, commands: list[Command]) -> None:
        command = going.command
        state: TaskEnd = "succeeded"
        if report.failure is not None:
            wait = next((other for other in commands if isinstance(other, Wait)), None)
            if wait is not None and wait.instance == command.instance:
                self._missed[command.instance] = going.missed
                self.ledger.retried(command, report, wait, going.worker, "")
                self.watching.task_retrying(command, report, wait.wait_ms)
                return
            state = "cancelled" if report.failure.kind == "cancelled" else "failed"
            if state == "cancelled" and self.machine.cancelling is None:
                return  # Dropped by the machine; it is as if it had not run.
        self.ledger.ended(command, report, state, going.worker, going.missed)
        self.watching.task_ended(command, report, state)

    def _obey(self, command: Command, now_ms: int) -> None:
        match command:
            case RunJob():
                self._run(command, now_ms)
            case Wait():
                due_ms = self.parts.clock.monotonic_ms() + command.wait_ms
                heapq.heappush(self.timers, (due_ms, command.timer))
            case CancelJobs():
                self._forget(command)
            case Acquire():
                self.queue.extend(self.holding.ask(command))
            case Release():
                self.holding.release(command.request)
            case Decided():
                self.ledger.decided(command, now_ms)
                self.watching.decided(command)
            case LoopCounted():
                self.ledger.counted(command, now_ms)
                self.watching.counted(command, now_ms)
            case Failing():
                if self.lease.state == "running":
                    task = self.machine.plan.task_path(command.instance.node, command.instance.index)
                    self._move(RunMove("failing", now_ms), f"{task} failed: {command.failure.type}")
            case Finish():
                self.finish = command

    def _forget(self, command: CancelJobs) -> None:
        for job in command.jobs:
            unsent = self.submit.pop(job, None) is not None
            if self.machine.cancelling is None:
                self.out.pop(job, None)
            elif unsent:
                report = cancelled_report(job)
                report.ended_ms = self.parts.clock.now_ms()
                self._take_report(report, self.parts.clock.monotonic_ms())
            if not unsent:
                self.drop.append(job)
                self.holding.called_off(job)

    def _run(self, command: RunJob, now_ms: int) -> None:
        node = self.machine.plan.nodes[command.instance.node]
        out = node.out if isinstance(node, Call) else None
        found = self.patience.outlast(lambda: self.parts.reuse.find(command, now_ms, out))
        if isinstance(found, Missed):
            # Another attempt runs for the reason of the first.
            self.out[command.job.id] = Going(command, self._missed.pop(command.instance, found))
            self.submit[command.job.id] = command
        else:
            self._take_over(command, found)

    def _take_over(self, command: RunJob, found: Found) -> None:
        self.queue.append(Done(found.report, 0.5, found.source, settled=True))
        if not found.recorded:
            self.ledger.reused(command, found)
        failed = found.report.failure is not None
        self.watching.task_ended(command, found.report, "failed" if failed else "reused")

    def _move(self, move: RunMove, cause: str) -> None:
        self._commit(self.ledger.take(move.at_ms, move, cause))
        self.watching.moved(move.state, move.at_ms)

    def _write(self, now_ms: int) -> None:
        if self.finish is None:
            self._commit(self.ledger.take(now_ms))

    def _commit(self, batch: Batch | None) -> None:
        if batch is not None:
            self.patience.outlast(lambda: self.parts.database.runs.commit(self.lease, batch))

    def _tell_wait(self, text: str) -> None:
        self.watching.notice(text, self.parts.clock.now_ms())

    def _send(self, now_ms: int) -> None:
        executor = self.parts.executor
        if self.drop:
            executor.cancel(self.lease.run, self.drop)
            self.drop = []
        if self.submit and self.finish is None:
            executor.submit([command.job for command in self.submit.values()])
            self.submit = {}
            self.showing.sent()
        self.watching.flush(now_ms)

    # -- the end ----------------------------------------------------------------------------------------

    def _end(self) -> str:
        now_ms = self.parts.clock.now_ms()
        finish = self.finish
        if finish is None:
            self._commit(self.ledger.take(now_ms))
            self.parts.database.runs.release(self.lease)
            self.watching.ended(self.lease.run, "interrupted", "", now_ms)
            return "interrupted"
        result = None if finish.result is None else msgspec.msgpack.encode(finish.result)
        failure = None if finish.failure is None else failure_to_bytes(finish.failure)
        state = "succeeded"
        if finish.failure is not None:
            state = "cancelled" if finish.failure.kind == "cancelled" else "failed"
        move = RunMove(state, now_ms, result, failure)  # type: ignore[arg-type]
        self.ledger.left(self.patience.outlast(self._unended), now_ms)
        cause = finish.failure.text if finish.failure else "the workflow returned"
        self._commit(self.ledger.take(now_ms, move, cause))
        self.watching.ended(self.lease.run, state, cause if finish.failure else "", now_ms)
        return state

    def _unended(self) -> list[TaskRecord]:
        """Return the tasks that others see on their way, and that the end of the run leaves behind."""
        found: list[TaskRecord] = []
        on_their_way: tuple[TaskState, ...] = ("running", "retrying")
        for state in on_their_way:
            page = self.parts.database.tasks.list_tasks(self.lease.run, state=state)
            found += page.tasks
            while page.cursor is not None:
                page = self.parts.database.tasks.list_tasks(self.lease.run, state=state, cursor=page.cursor)
                found += page.tasks
        return found
