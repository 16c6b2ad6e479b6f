"""The machine: it interprets a program over events. Pure: no clock, no input or output, no threads.

Its state is a tree of frames. ``advance`` takes one event, changes the state and returns commands; the same
program and the same events always give the same commands.

Order, in one place:
* A node starts when all that it reads is known and nothing above it holds it back.
* ``ordered`` nodes start when all above them have settled; they, and guards that are not decided, hold back
  everything below.
* A block settles in the order of the text. The first node of the text that does not end well decides how
  the block ends; what runs below it is cancelled, what has not started below it does not run.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any, Final

from weft.machine.budgets import Budgets
from weft.machine.composites import BranchRun, CaptureRun, Composite, GroupRun, LimitRun, TryRun
from weft.machine.events import (
    Begin,
    CancelJobs,
    CancelRequested,
    Command,
    Done,
    Event,
    Failing,
    Finish,
    Granted,
    Instance,
    Release,
    RunJob,
    TimerFired,
    Tried,
    Wait,
)
from weft.machine.frames import BLOCKED, DONE, LIVE, NEW, Frame, Names, Outcome, Pending, TrailEntry
from weft.machine.jobs import JobMaker
from weft.machine.loops import LoopRun
from weft.machine.origins import Origins
from weft.machine.plan import Plan
from weft.model.jobs import Report
from weft.model.values import Failure, Ref
from weft.program.nodes import (
    Block,
    Branch,
    Break,
    Call,
    Capture,
    Continue,
    Glue,
    Group,
    Limit,
    Loop,
    Move,
    Program,
    Return,
    Try,
)

WINDOW = 1024


class Running:
    """A job that is out, and who wants its report."""

    __slots__ = (
        "cleanup",
        "command",
        "dead",
        "first_start_ms",
        "frame",
        "node",
        "place",
        "then",
        "tried",
    )

    def __init__(
        self, frame: Frame, place: int, node: Call | Glue | Loop, command: RunJob, then: Any, tried: Tried
    ) -> None:
        self.frame = frame
        self.place = place
        self.node = node
        self.command = command
        self.then = then
        self.tried = tried
        self.first_start_ms = 0
        self.cleanup = frame.cleanup
        self.dead = False


class Machine:
    """One run.

    Args:
        losses_max, disk_wait_ms: see ``Budgets``.

    State: ``root``, the outermost frame; ``jobs``, job id → what is running; ``timers``, timer → what waits for
    another attempt; ``requests``, for slots; ``cancelling``, the failure of a cancelled run; ``tried``, what is
    on record of instances that had not ended when the driver died.
    """

    def __init__(
        self,
        program: Program,
        run: str,
        window: int = WINDOW,
        losses_max: int = 0,
        disk_wait_ms: int = 0,
    ) -> None:
        self.plan = Plan(program)
        self.program = program
        self.run = run
        self.window = window
        self._budgets = Budgets(program, losses_max, disk_wait_ms)
        self._maker = JobMaker(run, self.plan, self._budgets)
        self.tried: dict[Instance, Tried] = {}
        self.root: Frame | None = None
        self.jobs: dict[int, Running] = {}
        self.timers: dict[int, Running] = {}
        self.requests: dict[int, LimitRun] = {}
        self.cancelling: Failure | None = None
        self.finished = False
        self._next = 0
        self.origins = Origins()
        self._commands: list[Command] = []
        # First come, first served: items of a loop start in their order.
        self._todo: deque[Any] = deque()

    # -- the door ---------------------------------------------------------------------------------------

    def advance(self, event: Event) -> list[Command]:
        """Take one event and return what is to be done now."""
        self._commands = []
        match event:
            case Done():
                self._done(event)
            case Begin():
                self._begin(event)
            case TimerFired():
                self._retry(event)
            case Granted():
                self._granted(event)
            case CancelRequested():
                self._cancel(event)
        self._work()
        return self._commands

    def _work(self) -> None:
        """Do what has become possible. A list, not recursion, so that a long block needs no deep stack."""
        while self._todo:
            waiter, place = self._todo.popleft()
            if not isinstance(waiter, Frame):
                waiter.resume()
            elif place is None:
                self._pump(waiter)
            elif waiter.ended is None and waiter.status[place] == BLOCKED:
                self._try_start(waiter, place)

    def _begin(self, event: Begin) -> None:
        self.tried = dict(event.tried)
        plan = self.plan.block(self.program.body)
        self.root = Frame(plan, (), None, 0, None, self.origins.names_in(event.given))
        self._todo.append((self.root, None))

    def number(self) -> int:
        """Return a number that no other job, timer or request of this run has."""
        self._next += 1
        return self._next

    # -- a block ----------------------------------------------------------------------------------------

    def open(
        self,
        block: Block,
        frame: Frame,
        place: int,
        owner: Any,
        overlay: Names,
        index: tuple[int, ...] | None = None,
    ) -> Frame:
        """Begin a run of ``block``, which belongs to the node at ``place`` of ``frame``."""
        inner = Frame(
            self.plan.block(block), frame.index if index is None else index, frame, place, owner, overlay
        )
        self._todo.append((inner, None))
        return inner

    def wake(self, waiters: Iterable[tuple[Any, int | None]]) -> None:
        """Let nodes see that a name they wait for may be known."""
        self._todo.extend(waiters)

    def _pump(self, frame: Frame) -> None:
        """Settle what has ended in order, then look at nodes that have not been looked at."""
        frame.queued = False
        if frame.ended is not None:
            return
        nodes, status, outcomes = frame.plan.nodes, frame.status, frame.outcomes
        count = len(nodes)
        while frame.settled < count and status[frame.settled] == DONE:
            outcome = outcomes[frame.settled]
            if outcome.kind != "ok":  # type: ignore[union-attr]
                self._leave(frame, frame.settled, outcome)  # type: ignore[arg-type]
                return
            frame.settled += 1
        if frame.settled == count:
            self._end(frame, Outcome("ok", *frame.before(count)))
            return
        while frame.tried < count:
            place = frame.tried
            if place:
                above = nodes[place - 1]
                if (above.ordered or above.guard) and frame.settled < place:
                    return
            if place > frame.stop:
                return
            if nodes[place].ordered and frame.settled < place:
                return
            frame.tried += 1
            self._try_start(frame, place)
            if frame.ended is not None or (frame.settled == place and status[place] == DONE):
                return  # What ended at once is settled before its neighbour is looked at.

    def _leave(self, frame: Frame, place: int, outcome: Outcome) -> None:
        """End a block at a node that did not end well."""
        self._drop_below(frame, place)
        ended = Outcome(outcome.kind, *frame.before(place + 1), outcome.failure, outcome.error)
        ended.at_once = outcome.at_once and isinstance(frame.owner, CaptureRun)
        self._end(frame, ended)

    def _drop_below(self, frame: Frame, place: int) -> None:
        """Give up everything that runs below ``place``."""
        for later in range(place + 1, len(frame.status)):
            if frame.status[later] == LIVE:
                self._drop(frame, later)
            if frame.status[later] != DONE:
                frame.status[later] = DONE
                frame.outcomes[later] = Outcome("ok", {})

    def _drop(self, frame: Frame, place: int) -> None:
        active = frame.active.pop(place, None)
        if isinstance(active, Running):
            self.drop_job(active)
        elif active is not None:
            active.drop()

    def drop_job(self, running: Running) -> None:
        """Give up a job, whether it is out or waits for another attempt."""
        running.dead = True
        if self.jobs.pop(running.command.job.id, None) is not None:
            self._commands.append(CancelJobs((running.command.job.id,)))
        for timer, waiting in list(self.timers.items()):
            if waiting is running:
                del self.timers[timer]

    def drop_frame(self, frame: Frame) -> None:
        """Give up a block that is not wanted any more."""
        if frame.ended is None:
            self._drop_below(frame, -1)
            frame.ended = Outcome("ok", {})

    def _end(self, frame: Frame, outcome: Outcome) -> None:
        frame.ended = outcome
        if frame.owner is None:
            self._finish(outcome)
        else:
            frame.owner.ended(frame, outcome)

    def complete(self, frame: Frame, place: int, outcome: Outcome) -> None:
        """Note that a node is done, and wake who waits for it."""
        if frame.ended is not None:
            return
        frame.status[place] = DONE
        frame.outcomes[place] = outcome
        frame.active.pop(place, None)
        if outcome.failure is not None:
            self._note_failure(frame, place, outcome)
        if outcome.kind != "ok":
            self._drop_below_running(frame, place)
        elif frame.waiters:
            self.wake(frame.waiters.pop(place, ()))
        if not frame.queued:
            frame.queued = True
            self._todo.append((frame, None))

    def _drop_below_running(self, frame: Frame, place: int) -> None:
        # Whatever the nodes above come to, nothing below this one will be seen.
        frame.stop = min(frame.stop, place)
        for later in range(place + 1, len(frame.status)):
            if frame.status[later] == LIVE:
                self._drop(frame, later)
                frame.status[later] = DONE
                frame.outcomes[later] = Outcome("ok", {})
            elif frame.status[later] == BLOCKED:
                frame.status[later] = NEW

    def _note_failure(self, frame: Frame, place: int, outcome: Outcome) -> None:
        if outcome.failure is None or isinstance(
            frame.plan.nodes[place], (Try, Loop, Group, Branch, Capture, Limit)
        ):
            return
        above: Frame | None = frame
        while above is not None:
            if above.plan.in_try:
                return
            above = above.parent
        self._commands.append(Failing(Instance(frame.plan.nodes[place].id, frame.index), outcome.failure))

    def _finish(self, outcome: Outcome) -> None:
        self.finished = True
        if outcome.kind == "fail":
            self._commands.append(Finish("fail", None, outcome.failure))
            return
        result = outcome.names.get(self.program.result)
        self._commands.append(Finish("ok", result if isinstance(result, Ref) else None))

    # -- a node -----------------------------------------------------------------------------------------

    def _try_start(self, frame: Frame, place: int) -> None:
        node = frame.plan.nodes[place]
        if self.cancelling is not None and not frame.cleanup:
            self.complete(frame, place, self._cancelled())
            return
        match node:
            case Call() | Glue():
                self._start_code(frame, place, node)
            case Move():
                value = self._read(frame, place, node.value)
                if value is not None:
                    self.complete(frame, place, Outcome("ok", {node.out: value}))
            case Return():
                self.complete(frame, place, Outcome("return", {}))
            case Break():
                self.complete(frame, place, Outcome("break", {}))
            case Continue():
                self.complete(frame, place, Outcome("continue", {}))
            case _:
                frame.status[place] = LIVE
                run = _COMPOSITES[type(node)](self, frame, place, node)
                frame.active[place] = run
                run.begin()

    def _cancelled(self) -> Outcome:
        assert self.cancelling is not None
        return self.origins.failed(self.cancelling)

    def _read(self, frame: Frame, place: int, name: str) -> Any:
        """Return the value of ``name``, or None after noting that the node waits for it."""
        value = frame.look_up(place, name)
        if isinstance(value, Pending):
            frame.status[place] = BLOCKED
            value.frame.waiters.setdefault(value.place, []).append((frame, place))
            return None
        return value

    def _start_code(self, frame: Frame, place: int, node: Call | Glue) -> None:
        names: Names = {}
        for name in frame.plan.reads[place]:
            value = names[name] = self._read(frame, place, name)
            if value is None:
                return
        if isinstance(node, Glue) and node.defer is not None:
            entry = TrailEntry(node.defer, node.id, frame.index, names)
            self.complete(frame, place, Outcome("ok", {}, [entry]))
            return
        frame.status[place] = LIVE
        frame.active[place] = self.start_job(frame, place, node, names, self._plain_ended)

    def start_job(self, frame: Frame, place: int, node: Call | Glue, names: Names, then: Any) -> Running:
        """Send one node to be evaluated; ``then(running, report)`` gets its last report."""
        instance = Instance(node.id, frame.index)
        tried = self._try(instance)
        command = self._maker.of_node(self.number(), node, instance, names, tried)
        return self._send(Running(frame, place, node, command, then, tried))

    def send_fold(
        self, frame: Frame, place: int, loop: Loop, entries: list[TrailEntry], first: Names, then: Any
    ) -> Running:
        """Send a loop's deferred glue, in order, as one job."""
        instance = Instance(loop.id, frame.index)
        tried = self._try(instance)
        command = self._maker.of_trail(self.number(), loop, instance, entries, first, tried)
        return self._send(Running(frame, place, loop, command, then, tried))

    def _try(self, instance: Instance) -> Tried:
        """Count an attempt that this driver is the first to make."""
        tried = self.tried.pop(instance) if instance in self.tried else Tried()
        tried.attempts += 1
        return tried

    def _send(self, running: Running) -> Running:
        self.jobs[running.command.job.id] = running
        self._commands.append(running.command)
        return running

    # -- reports ----------------------------------------------------------------------------------------

    def _done(self, event: Done) -> None:
        report = event.report
        running = self.jobs.pop(report.id, None)
        if running is None:
            return
        running.first_start_ms = running.first_start_ms or event.began_ms
        if report.outcome == "fail" and not event.settled and self._again(running, event):
            return
        running.then(running, report)

    def _again(self, running: Running, event: Done) -> bool:
        """Plan another attempt if this failure deserves it and its budget is not used up."""
        if self.cancelling is not None and not running.cleanup:
            return False
        report, tried = event.report, running.tried
        failure = report.failure
        wait_ms = self._budgets.charge(running.node, tried, event, running.first_start_ms)
        if wait_ms is None or failure is None:
            return False
        timer = self.number()
        self.timers[timer] = running
        instance, at_ms = running.command.instance, report.ended_ms + wait_ms
        self._commands.append(Wait(timer, at_ms, instance, failure, tried.attempts, wait_ms))
        return True

    def _retry(self, event: TimerFired) -> None:
        running = self.timers.pop(event.timer, None)
        if running is None or running.dead:
            return
        running.tried.attempts += 1
        running.command = self._maker.again(self.number(), running.command, running.tried)
        self._send(running)

    def _plain_ended(self, running: Running, report: Report) -> None:
        self.complete(running.frame, running.place, self.origins.outcome_of(report))

    # -- cancellation -----------------------------------------------------------------------------------

    def _cancel(self, event: CancelRequested) -> None:
        if self.finished or self.cancelling is not None:
            return
        self.cancelling = event.failure
        # Here and below: what is completed may drop others of the list.
        for timer, running in list(self.timers.items()):
            if timer in self.timers and not running.cleanup:
                del self.timers[timer]
                running.then(running, Report(running.command.job.id, "fail", failure=event.failure))
        going = tuple(job for job, running in self.jobs.items() if not running.cleanup)
        if going:
            self._commands.append(CancelJobs(going))
        for request, limit in list(self.requests.items()):
            if request in self.requests and not limit.frame.cleanup and not limit.held:
                self._commands.append(Release(request))
                del self.requests[request]
                self.complete(limit.frame, limit.place, self._cancelled())
        if self.root is not None:
            self._wake_all(self.root)

    def _wake_all(self, frame: Frame) -> None:
        """Let every node that waits for data see that the run is cancelled."""
        self._todo.append((frame, None))
        for place, status in enumerate(frame.status):
            if status == BLOCKED:
                self._todo.append((frame, place))
        for active in list(frame.active.values()):
            if not isinstance(active, Running):
                for inner in active.frames():
                    self._wake_all(inner)

    def _granted(self, event: Granted) -> None:
        limit = self.requests.get(event.request)
        if limit is not None:
            limit.granted()

    def emit(self, command: Command) -> None:
        """Add a command to those of this event."""
        self._commands.append(command)


_COMPOSITES: Final[dict[type, type[Composite]]] = {
    Branch: BranchRun,
    Loop: LoopRun,
    Try: TryRun,
    Capture: CaptureRun,
    Limit: LimitRun,
    Group: GroupRun,
}
