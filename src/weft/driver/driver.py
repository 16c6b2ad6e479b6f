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
from weft.driver.ledger import Ledger
from weft.driver.patience import Patience
from weft.driver.reuse import Found, Missed, Reuse
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
    Granted,
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

SHOWN_AFTER_MS = 200
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


class _Out:
    """A job that is out.

    ``missed``: why nothing stood for it. ``queued``, ``shown``: it is on record that it waits, that it runs.
    """

    __slots__ = ("command", "missed", "queued", "shown", "started_ms", "worker")

    def __init__(self, command: RunJob, missed: Missed) -> None:
        self.command = command
        self.missed = missed
        self.started_ms = 0
        self.worker = ""
        self.queued = False
        self.shown = False


class Driver:
    """Drives one run to its end, or until it is told to stop.

    State: ``machine``; ``out``, jobs that are out; ``timers``; ``queue``, events that the machine has not
    seen; ``submit``, jobs that wait for the commit; ``ending``, jobs that were called off and may still be at
    work, for which ``releases`` wait; ``finish``, the end once it is known; ``ended``, how it left the run.
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
        self.out: dict[int, _Out] = {}
        self.timers: list[tuple[int, int]] = []
        self.queue: deque[Happening] = deque()
        self.submit: dict[int, RunJob] = {}
        self.drop: list[int] = []
        self.ending: set[int] = set()
        self.releases: list[int] = []
        self.finish: Finish | None = None
        self.ended = ""
        self._stop = threading.Event()
        self.patience = Patience(parts.clock, parts.disk_wait_ms, self._stop, self._tell_wait)
        # Whoever drove the run before may have died while it cancelled.
        self._cancel_cause: str | None = "requested" if lease.state == "cancelling" else None
        self._next_beat_ms = 0
        self._next_check_ms = 0
        self._unshown = 0
        self._asked: dict[int, tuple[Acquire, Instance]] = {}
        self._missed: dict[Instance, Missed] = {}
        self._heard_ms = parts.clock.monotonic_ms()
        self._has_unheard = False

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
                parts.slots.close()

    def _begin(self, now_ms: int) -> None:
        self._next_beat_ms = self.parts.clock.monotonic_ms() + self.parts.heartbeat_ms
        for note in self.parts.notes:
            self.ledger.noted("", note, now_ms)
            self.watching.notice(note, now_ms)
        for output in self.given:
            self.ledger.refer(output.artifact)
        self.queue.append(Begin(self.given, self.parts.tried))
        self._advance()
        # Before anything starts: somebody may have asked for the end while nobody drove the run.
        self._hear_cancel(now_ms)
        self._advance()
        self._write()
        self._send()

    def _turn(self, patience_s: float) -> None:
        events = self.parts.executor.poll(patience_s)
        now_ms = self.parts.clock.now_ms()
        for event in events:
            self._take(event, now_ms)
        self._look_for_queued(bool(events))
        self._look_at_the_clock(now_ms)
        self._advance()
        self._write()
        self._send()

    def _patience_s(self) -> float:
        """Return how long to wait for the executor: until a timer, a heartbeat or a showing is due."""
        now_ms = self.parts.clock.monotonic_ms()
        until = self._next_beat_ms
        if self.timers:
            until = min(until, self.timers[0][0])
        if self.parts.slots.is_waiting:
            until = min(until, now_ms + LIMIT_RETRY_MS)
        if self._unshown:
            until = min(until, now_ms + SHOWN_AFTER_MS)
        until = min(until, now_ms + CANCEL_CHECK_MS)
        return max(0, until - now_ms) / 1000

    def _take(self, event: Event, now_ms: int) -> None:
        match event:
            case Ended():
                self._take_report(event.report)
            case Started():
                for job in event.jobs:
                    going = self.out.get(job)
                    if going is not None:
                        going.started_ms, going.worker = now_ms, event.worker
                        self._unshown += 1
                        self.watching.task_started(going.command, now_ms)
            case Notice():
                self.ledger.noted("", event.message, now_ms)
                self.watching.notice(event.message, now_ms)

    def _take_report(self, report: Report) -> None:
        if report.failure is not None and report.failure.exception is None:
            report.failure = self._with_exception(report.failure)
        if report.id in self.out:
            task = self.out[report.id].command.job.task
            for note in report.notes:
                self.ledger.noted(task, note, report.ended_ms)
                self.watching.notice(f"{task}: {note}", report.ended_ms)
            self.queue.append(Done(report, self.parts.clock.jitter()))
        else:
            self.ending.discard(report.id)

    def _with_exception(self, failure: Failure) -> Failure:
        """Give a failure that no worker could report the exception that the workflow sees."""
        kind = _FAULTS.get(failure.kind, WeftError)
        return msgspec.structs.replace(
            failure, exception=self.parts.store.put_exception(kind(failure.message))
        )

    def _look_at_the_clock(self, now_ms: int) -> None:
        # Only for what people see is it the wall clock, which may be set.
        tick_ms = self.parts.clock.monotonic_ms()
        while self.timers and self.timers[0][0] <= tick_ms:
            _, timer = heapq.heappop(self.timers)
            self.queue.append(TimerFired(timer, now_ms))
        self._give_back()
        for request in self.parts.slots.grant():
            self._granted(request)
        if tick_ms >= self._next_beat_ms:
            self._next_beat_ms = tick_ms + self.parts.heartbeat_ms
            runs = self.parts.database.runs
            self.patience.outlast(lambda: runs.heartbeat(self.lease, self.parts.lease_ms))
        self._hear_cancel(now_ms)
        self._show_long_ones(now_ms)

    def _look_for_queued(self, has_heard: bool) -> None:
        """Put on record what nothing has taken up: where nothing happens for a while, people want to know why."""
        tick_ms = self.parts.clock.monotonic_ms()
        if has_heard:
            self._heard_ms = tick_ms
        elif self._has_unheard and tick_ms - self._heard_ms >= SHOWN_AFTER_MS:
            self._has_unheard = False
            for going in self.out.values():
                if not (going.started_ms or going.queued) and going.command.job.is_call:
                    going.queued = True
                    self.ledger.queued(going.command)

    def _acquire(self, command: Acquire) -> None:
        limit = self.machine.requests[command.request]
        self._asked[command.request] = command, Instance(limit.node.id, limit.frame.index)
        self.parts.slots.ask(command.request, command.name, command.slots)
        for request in self.parts.slots.grant():
            if request == command.request:
                del self._asked[request]  # had at once: nothing to tell
            self._granted(request)
        if command.request in self._asked:
            self.ledger.asked(*self._asked[command.request])

    def _granted(self, request: int) -> None:
        self.queue.append(Granted(request))
        if request in self._asked:
            self.ledger.granted(*self._asked.pop(request))

    def _hear_cancel(self, now_ms: int) -> None:
        tick_ms = self.parts.clock.monotonic_ms()
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

    def _show_long_ones(self, now_ms: int) -> None:
        if not self._unshown:
            return
        waiting = 0
        for going in self.out.values():
            if going.shown or not going.started_ms:
                continue
            if now_ms - going.started_ms >= SHOWN_AFTER_MS:
                going.shown = True
                self.ledger.running(going.command, going.started_ms, going.worker)
            else:
                waiting += 1
        self._unshown = waiting

    def _advance(self) -> None:
        """Let the machine see all that happened, and what follows from it without anybody's help."""
        while self.queue:
            self._let_see(self.queue.popleft())

    def _let_see(self, event: Happening) -> None:
        commands = self.machine.advance(event)
        if isinstance(event, Done):
            self.ending.discard(event.report.id)
            going = self.out.pop(event.report.id, None)
            if going is not None:
                self._record(going, event.report, commands)
        for command in commands:
            self._obey(command)
        self._give_back()

    def _give_back(self) -> None:
        """Give back slots, unless something that was called off may still be at work under them."""
        if self.releases and not self.ending:
            for request in self.releases:
                self.parts.slots.release(request)
            self.releases = []

    def _record(self, going: _Out, report: Report, commands: list[Command]) -> None:
        wait = next((command for command in commands if isinstance(command, Wait)), None)
        command = going.command
        if wait is not None and wait.instance == command.instance:
            self._missed[command.instance] = going.missed
            self.ledger.retried(command, report, wait, going.worker, "")
            self.watching.task_retrying(command, report, wait.wait_ms)
            return
        if (
            report.failure is not None
            and report.failure.kind == "cancelled"
            and self.machine.cancelling is None
        ):
            return  # Dropped by the machine; it is as if it had not run.
        self.ledger.ended(command, report, going.worker, going.missed)
        state: TaskEnd = "succeeded" if report.failure is None else "failed"
        if report.failure is not None and report.failure.kind == "cancelled":
            state = "cancelled"
        self.watching.task_ended(command, report, state)

    def _obey(self, command: Command) -> None:
        now_ms = self.parts.clock.now_ms()
        match command:
            case RunJob():
                self._run(command, now_ms)
            case Wait():
                due_ms = self.parts.clock.monotonic_ms() + command.wait_ms
                heapq.heappush(self.timers, (due_ms, command.timer))
            case CancelJobs():
                self._forget(command)
            case Acquire():
                self._acquire(command)
            case Release():
                self._asked.pop(command.request, None)
                self.releases.append(command.request)
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
                self._take_report(report)
            if not unsent:
                self.drop.append(job)
                self.ending.add(job)

    def _run(self, command: RunJob, now_ms: int) -> None:
        node = self.machine.plan.nodes[command.instance.node]
        out = node.out if isinstance(node, Call) else None
        found = self.patience.outlast(lambda: self.parts.reuse.find(command, now_ms, out))
        if isinstance(found, Missed):
            # Another attempt runs for the reason of the first.
            self.out[command.job.id] = _Out(command, self._missed.pop(command.instance, found))
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

    def _write(self) -> None:
        if self.finish is None:
            self._commit(self.ledger.take(self.parts.clock.now_ms()))

    def _commit(self, batch: Batch | None) -> None:
        if batch is not None:
            self.patience.outlast(lambda: self.parts.database.runs.commit(self.lease, batch))

    def _tell_wait(self, text: str) -> None:
        self.watching.notice(text, self.parts.clock.now_ms())

    def _send(self) -> None:
        executor = self.parts.executor
        if self.drop:
            executor.cancel(self.lease.run, self.drop)
            self.drop = []
        if self.submit and self.finish is None:
            executor.submit([command.job for command in self.submit.values()])
            self.submit = {}
            self._has_unheard = True
        self.watching.flush(self.parts.clock.now_ms())

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
