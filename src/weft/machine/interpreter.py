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
from typing import Any, Final

from weft.digest import digest_parts
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
from weft.machine.frames import BLOCKED, DONE, LIVE, NEW, UNBOUND, Frame, Names, Outcome, Pending, TrailEntry
from weft.machine.loops import LoopRun
from weft.machine.plan import Plan
from weft.model.jobs import Entry, Job, Limits, Output, Report
from weft.model.values import INFRASTRUCTURE, Artifact, Failure, Ref
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

BACKOFF_MS_MAX = 15 * 60 * 1000
LOSS_BACKOFF_MS, LOSS_BACKOFF_MS_MAX = 200, 5000
DISK_BACKOFF_MS, DISK_BACKOFF_MS_MAX = 1000, 8000
WINDOW = 1024


class Running:
    """A job that is out, and who wants its report."""

    __slots__ = (
        "cleanup",
        "dead",
        "first_start_ms",
        "frame",
        "job",
        "key",
        "node",
        "place",
        "then",
        "tried",
    )

    def __init__(
        self, frame: Frame, place: int, node: Call | Glue | Loop, job: Job, then: Any, key: str, tried: Tried
    ) -> None:
        self.frame = frame
        self.place = place
        self.node = node
        self.job = job
        self.then = then
        self.key = key
        self.tried = tried
        self.first_start_ms = 0
        self.cleanup = frame.cleanup
        self.dead = False


class Machine:
    """One run.

    Args:
        losses_max: how many failures of the infrastructure each task may have beside its own retries.
        disk_wait_ms: how long a task waits for space on a full disk.

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
        self._limits = [Limits(s.timeout_ms, s.memory_bytes, s.cpu, s.gpu) for s in program.steps]
        self.program = program
        self.run = run
        self.window = window
        self.losses_max = losses_max
        self.disk_wait_ms = disk_wait_ms
        self.tried: dict[Instance, Tried] = {}
        self.root: Frame | None = None
        self.jobs: dict[int, Running] = {}
        self.timers: dict[int, Running] = {}
        self.requests: dict[int, LimitRun] = {}
        self.cancelling: Failure | None = None
        self.finished = False
        self._next = 0
        self._origin = 0
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
            if isinstance(waiter, Composite):
                waiter.resume()
            elif place is None:
                self._pump(waiter)
            elif waiter.ended is None and waiter.status[place] == BLOCKED:
                self._try_start(waiter, place)

    def _begin(self, event: Begin) -> None:
        self.tried = dict(event.tried)
        plan = self.plan.block(self.program.body)
        self.root = Frame(plan, (), None, 0, None, self._names_in(event.given))
        self._todo.append((self.root, None))

    def _ref(self, artifact: Artifact) -> Ref:
        self._origin += 1
        return Ref(artifact, self._origin)

    def _number(self) -> int:
        self._next += 1
        return self._next

    # -- a block ----------------------------------------------------------------------------------------

    def _open(
        self,
        block: Block,
        frame: Frame,
        place: int,
        owner: Any,
        overlay: Names,
        index: tuple[int, ...] | None = None,
    ) -> Frame:
        inner = Frame(
            self.plan.block(block), frame.index if index is None else index, frame, place, owner, overlay
        )
        self._todo.append((inner, None))
        return inner

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
            self._end(frame, Outcome("ok", frame.names_before(count), frame.trail_before(count)))
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
            if frame.is_over() or (frame.settled == place and status[place] == DONE):
                return  # What ended at once is settled before its neighbour is looked at.

    def _leave(self, frame: Frame, place: int, outcome: Outcome) -> None:
        """End a block at a node that did not end well."""
        names = frame.names_before(place)
        trail = frame.trail_before(place)
        if frame.plan.in_try:
            for entry in outcome.trail:
                entry.before = {**names, **entry.before}
        names.update(outcome.names)
        self._drop_below(frame, place)
        ended = Outcome(outcome.kind, names, trail + outcome.trail, outcome.failure, outcome.error)
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
            self._drop_job(active)
        elif active is not None:
            active.drop()

    def _drop_job(self, running: Running) -> None:
        running.dead = True
        if self.jobs.pop(running.job.id, None) is not None:
            self._commands.append(CancelJobs((running.job.id,)))
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
        else:
            self._todo += frame.waiters.pop(place, ())
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
        return Outcome("fail", {}, [], self.cancelling, self.error_ref(self.cancelling))

    def error_ref(self, failure: Failure) -> Ref | None:
        """Return the reference to a failure's exception."""
        return None if failure.exception is None else self._ref(failure.exception)

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
        slots: list[Artifact] = []
        entry = _entry(node.id, frame.index, names, slots, {})
        return self._send(frame, place, node, slots, [entry], then, names)

    def _send(
        self,
        frame: Frame,
        place: int,
        node: Any,
        slots: list[Artifact],
        entries: list[Entry],
        then: Any,
        names: Names,
    ) -> Running:
        path = self.plan.task_path(node.id, frame.index)
        key, limits, is_call = "", _GLUE_LIMITS, False
        cache: bool | int = False
        if isinstance(node, Call):
            spec = self.program.steps[node.step]
            key = self._key(node, names)
            limits = self._limits[node.step]
            cache, is_call = spec.cache, True
        instance = Instance(node.id, frame.index)
        tried = self.tried.pop(instance) if instance in self.tried else Tried()
        tried.attempts += 1
        if tried.memory:
            limits = self._limits_after(node, tried, limits)
        idempotency = f"{self.run}/{path}"
        job = Job(
            self._number(), self.run, path, tried.attempts, idempotency, slots, entries, limits, is_call
        )
        running = Running(frame, place, node, job, then, key, tried)
        self.jobs[job.id] = running
        self._commands.append(RunJob(job, instance, key, cache))
        return running

    def _key(self, node: Call, names: Names) -> str:
        """Return the reuse key: the step's fingerprint, how it is called, the inputs' hashes."""
        parts = [self.program.steps[node.step].fingerprint, node.fingerprint]
        reads = node.code.reads
        if node.plain is None:
            parts.append(node.code.text)
            for local, env in reads.items():
                parts += [local, *_value_key(names[env])]
            return digest_parts("task-key", parts)
        for keyword, local, constant in node.plain:
            parts += [keyword, constant, *(_value_key(names[reads[local]]) if local else ())]
        return digest_parts("task-key-plain", parts)

    # -- reports ----------------------------------------------------------------------------------------

    def _done(self, event: Done) -> None:
        report = event.report
        running = self.jobs.pop(report.id, None)
        if running is None:
            return
        running.first_start_ms = running.first_start_ms or report.started_ms
        if report.outcome == "fail" and not event.settled and self._again(running, report, event.jitter):
            return
        running.then(running, report)

    def _again(self, running: Running, report: Report, jitter: float) -> bool:
        """Plan another attempt if this failure deserves it and its budget is not used up."""
        failure = report.failure
        if failure is None or not failure.retryable or failure.kind in ("weft", "cancelled"):
            return False
        if self.cancelling is not None and not running.cleanup:
            return False
        if failure.kind in INFRASTRUCTURE:
            wait_ms = self._wait_after_loss(running, failure.kind, report.ended_ms)
        else:
            wait_ms = self._wait_after_failure(running, report.ended_ms, jitter)
        if wait_ms is None:
            return False
        timer = self._number()
        self.timers[timer] = running
        instance = Instance(running.node.id, running.frame.index)
        attempt = running.tried.attempts
        at_ms = report.ended_ms + wait_ms
        self._commands.append(Wait(timer, at_ms, instance, failure, attempt, wait_ms))
        return True

    def _wait_after_failure(self, running: Running, ended_ms: int, jitter: float) -> int | None:
        """Return how long to wait after a failure of the user's code; None: it is final."""
        if not isinstance(running.node, Call):
            return None
        spec = self.program.steps[running.node.step]
        tried = running.tried
        tried.failed += 1
        if tried.failed > spec.retries:
            return None
        wait_ms = round(min(spec.backoff_ms << (tried.failed - 1), BACKOFF_MS_MAX) * (0.5 + jitter))
        latest_ms = running.first_start_ms + (spec.task_timeout_ms or 0)
        if spec.task_timeout_ms is not None and ended_ms + wait_ms >= latest_ms:
            return None
        return wait_ms

    def _wait_after_loss(self, running: Running, kind: str, ended_ms: int) -> int | None:
        """Return how long to wait after a failure of the infrastructure; None: it is final."""
        tried = running.tried
        if kind == "disk":
            tried.disk_since_ms = tried.disk_since_ms or ended_ms
            waited_ms = ended_ms - tried.disk_since_ms
            wait_ms = min(max(DISK_BACKOFF_MS, waited_ms), DISK_BACKOFF_MS_MAX)
            return wait_ms if waited_ms < self.disk_wait_ms else None
        tried.disk_since_ms = 0
        tried.memory += kind == "memory"
        tried.lost += kind != "memory"
        # An attempt with more memory is a better one, and there are only so many: those do not count.
        losses = tried.lost + max(0, tried.memory - self._doublings(running.node))
        if losses > self.losses_max:
            return None
        return min(LOSS_BACKOFF_MS << (losses - 1), LOSS_BACKOFF_MS_MAX) if losses else 0

    def _doublings(self, node: Call | Glue | Loop) -> int:
        """Return how often a step's memory can grow until it has the most that it may."""
        if not isinstance(node, Call):
            return 0
        spec = self.program.steps[node.step]
        if not (spec.memory_bytes and spec.memory_bytes_max):
            return 0
        return (-(-spec.memory_bytes_max // spec.memory_bytes) - 1).bit_length()

    def _limits_after(self, node: Call | Glue | Loop, tried: Tried, limits: Limits) -> Limits:
        """Return the limits of an attempt after those that ran out of memory."""
        doublings = min(tried.memory, self._doublings(node))
        if not doublings or not isinstance(node, Call):
            return limits
        spec = self.program.steps[node.step]
        memory = min((spec.memory_bytes or 0) << doublings, spec.memory_bytes_max or 0)
        return Limits(limits.timeout_ms, memory, limits.cpu, limits.gpu)

    def _retry(self, event: TimerFired) -> None:
        running = self.timers.pop(event.timer, None)
        if running is None or running.dead:
            return
        old, tried, node = running.job, running.tried, running.node
        tried.attempts += 1
        limits = self._limits_after(node, tried, old.limits) if tried.memory else old.limits
        job = Job(
            self._number(),
            old.run,
            old.task,
            tried.attempts,
            old.key,
            old.slots,
            old.entries,
            limits,
            old.is_call,
        )
        running.job = job
        self.jobs[job.id] = running
        cache = self.program.steps[node.step].cache if isinstance(node, Call) else False
        self._commands.append(RunJob(job, Instance(node.id, running.frame.index), running.key, cache))

    def names_of(self, report: Report) -> Names:
        """Return what a report binds."""
        return {**dict.fromkeys(report.unbound, UNBOUND), **self._names_in(report.outputs)}

    def _names_in(self, outputs: list[Output]) -> Names:
        names: Names = {}
        for output in outputs:
            ref = self._ref(output.artifact)
            if output.solo:
                names[output.names[0]] = ref
            else:
                for name in output.names:
                    names[name] = Ref(output.artifact, ref.origin, (name,))
        return names

    def outcome_of(self, report: Report) -> Outcome:
        """Return a report as the outcome of its node."""
        names = self.names_of(report)
        if report.outcome == "fail":
            assert report.failure is not None
            return Outcome("fail", names, [], report.failure, self.error_ref(report.failure))
        return Outcome(report.outcome, names)

    def _plain_ended(self, running: Running, report: Report) -> None:
        self.complete(running.frame, running.place, self.outcome_of(report))

    # -- cancellation -----------------------------------------------------------------------------------

    def _cancel(self, event: CancelRequested) -> None:
        if self.finished or self.cancelling is not None:
            return
        self.cancelling = event.failure
        # Here and below: what is completed may drop others of the list.
        for timer, running in list(self.timers.items()):
            if timer in self.timers and not running.cleanup:
                del self.timers[timer]
                running.then(running, Report(running.job.id, "fail", failure=event.failure))
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

    def send_fold(
        self, frame: Frame, place: int, loop: Loop, entries: list[TrailEntry], first: Names, then: Any
    ) -> Running:
        """Send a loop's deferred glue, in order, as one job."""
        slots: list[Artifact] = []
        known: dict[int, int] = {}
        made = [_entry(entry.node, entry.index, entry.names, slots, known) for entry in entries]
        for name, value in first.items():
            if isinstance(value, Ref):
                _bind(made[0], name, value, slots, known)
        return self._send(frame, place, loop, slots, made, then, {})


_GLUE_LIMITS = Limits(cpu=0.0)


def _bind(entry: Entry, name: str, ref: Ref, slots: list[Artifact], known: dict[int, int]) -> None:
    slot = known.get(ref.origin)
    if slot is None:
        slot = known[ref.origin] = len(slots)
        slots.append(ref.artifact)
    entry.bindings[name] = (slot, ref.path)


def _value_key(value: Any) -> list[str]:
    """Return what stands for a value in a reuse key: its content's hash, and where in the content it is."""
    if not isinstance(value, Ref):
        return ["unbound"]
    return [value.artifact.digest, *map(str, value.path)]


def _entry(
    node: int, index: tuple[int, ...], names: Names, slots: list[Artifact], known: dict[int, int]
) -> Entry:
    entry = Entry(node, index, {}, tuple(name for name, value in names.items() if value is UNBOUND))
    for name, value in names.items():
        if value is not UNBOUND:
            _bind(entry, name, value, slots, known)
    return entry


_COMPOSITES: Final[dict[type, type[Composite]]] = {
    Branch: BranchRun,
    Loop: LoopRun,
    Try: TryRun,
    Capture: CaptureRun,
    Limit: LimitRun,
    Group: GroupRun,
}
