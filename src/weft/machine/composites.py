"""What runs for a node that holds blocks: branches, groups, captures, limits, ``try``. Loops: ``loops``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from msgspec import structs

from weft.machine.events import Acquire, Decided, Instance, Release
from weft.machine.frames import UNBOUND, Frame, Names, Outcome, Pending
from weft.model.jobs import Report
from weft.model.values import Ref
from weft.program.nodes import Block, Glue

if TYPE_CHECKING:
    from weft.machine.interpreter import Machine, Running


class Composite(ABC):
    """A node that holds blocks, while it runs."""

    __slots__ = ("frame", "machine", "node", "open_frames", "place", "running", "waiting")

    def __init__(self, machine: Machine, frame: Frame, place: int, node: Any) -> None:
        self.machine = machine
        self.frame = frame
        self.place = place
        self.node = node
        self.open_frames: list[Frame] = []
        self.running: Running | None = None
        self.waiting: Any = None

    @abstractmethod
    def begin(self) -> None:
        """Start what the node does first."""

    def resume(self) -> None:
        """Go on: a name that this node waited for is known now."""
        if self.frame.ended is None and self.waiting is not None:
            then, self.waiting = self.waiting, None
            then()

    def wait_for(self, pending: Pending, then: Any) -> None:
        """Call ``then`` when ``pending`` may be known."""
        self.waiting = then
        pending.frame.waiters.setdefault(pending.place, []).append((self, None))

    @abstractmethod
    def ended(self, frame: Frame, outcome: Outcome) -> None:
        """Go on: a block of this node has ended."""

    def frames(self) -> list[Frame]:
        return [frame for frame in self.open_frames if frame.ended is None]

    def drop(self) -> None:
        self.waiting = None  # What it waits for may still come to be known.
        if self.running is not None:
            self.machine.drop_job(self.running)
        for frame in self.frames():
            self.machine.drop_frame(frame)

    def open(self, block: Block, overlay: Names) -> Frame:
        frame = self.machine.open(block, self.frame, self.place, self, overlay)
        self.open_frames.append(frame)
        return frame

    def complete(self, outcome: Outcome) -> None:
        self.machine.complete(self.frame, self.place, outcome)

    def evaluate(self, glue: Glue, then: Any, over: Names) -> None:
        """Evaluate glue that belongs to this node, once what it reads is known; ``over`` comes first."""
        names: Names = {}
        for name in [*glue.code.reads.values(), *([glue.handling] if glue.handling else [])]:
            value = over[name] if name in over else self.frame.look_up(self.place, name)
            if isinstance(value, Pending):
                self.wait_for(value, lambda: self.evaluate(glue, then, over))
                return
            names[name] = value
        self.running = self.machine.start_job(self.frame, self.place, glue, names, then)


class BranchRun(Composite):
    """The test, then one arm."""

    __slots__ = ("names",)

    def begin(self) -> None:
        self.evaluate(self.node.test, self._tested, {})

    def _tested(self, running: Running, report: Report) -> None:
        self.running = None
        outcome = self.machine.origins.outcome_of(report)
        self.names = outcome.names
        if outcome.kind != "ok":
            self.complete(outcome)
            return
        self.machine.emit(Decided(Instance(self.node.id, self.frame.index), report.decision))
        if not 0 <= report.decision < len(self.node.arms) or not self.node.arms[report.decision].nodes:
            self.complete(outcome)
            return
        self.open(self.node.arms[report.decision], outcome.names)

    def ended(self, frame: Frame, outcome: Outcome) -> None:
        outcome.names = {**self.names, **outcome.names}
        self.complete(outcome)


class GroupRun(Composite):
    """An inlined workflow: a return ends it."""

    __slots__ = ()

    def begin(self) -> None:
        self.open(self.node.body, {})

    def ended(self, frame: Frame, outcome: Outcome) -> None:
        if outcome.kind == "return":
            outcome.kind = "ok"
        self.complete(outcome)


class CaptureRun(Composite):
    """A generator's body: its failure becomes a value."""

    __slots__ = ()

    def begin(self) -> None:
        self.open(self.node.body, {})

    def ended(self, frame: Frame, outcome: Outcome) -> None:
        cancelled = outcome.failure is not None and outcome.failure.kind == "cancelled"
        if outcome.kind == "fail" and not (cancelled or outcome.at_once):
            outcome = Outcome(
                "ok", {**outcome.names, self.node.error: outcome.error or UNBOUND}, outcome.trail
            )
        self.complete(outcome)


class LimitRun(Composite):
    """Slots, then the body, then the slots go back.

    The slots are asked for when all that the body reads is known: a body that waits for what stands above
    would keep its slots from it.
    """

    __slots__ = ("held", "request")

    def begin(self) -> None:
        self.held = False
        self.request = 0
        self._ask()

    def _ask(self) -> None:
        for name in self.machine.plan.needs[self.node.id]:
            value = self.frame.look_up(self.place, name)
            if isinstance(value, Pending):
                self.wait_for(value, self._ask)
                return
        self.request = self.machine.number()
        self.machine.requests[self.request] = self
        asker = Instance(self.node.id, self.frame.index)
        self.machine.emit(Acquire(self.request, self.node.name, self.node.slots, asker))

    def granted(self) -> None:
        self.held = True
        self.open(self.node.body, {})

    def _release(self) -> None:
        if self.machine.requests.pop(self.request, None) is not None:
            self.machine.emit(Release(self.request))

    def drop(self) -> None:
        self._release()
        Composite.drop(self)

    def ended(self, frame: Frame, outcome: Outcome) -> None:
        self._release()
        self.complete(outcome)


class TryRun(Composite):
    """Body, handlers, else, finally. State: ``pending``, the outcome that ``finally`` may replace."""

    __slots__ = ("handler", "part", "pending")

    def begin(self) -> None:
        self.part = "body"
        self.handler: str | None = None
        self.open(self.node.body, {self.node.error: UNBOUND})

    def ended(self, frame: Frame, outcome: Outcome) -> None:
        if self.part == "body":
            self._body_ended(outcome)
        elif self.part == "final":
            self._final_ended(outcome)
        else:
            self._second_ended(outcome)

    def _body_ended(self, outcome: Outcome) -> None:
        self.pending = outcome
        if outcome.kind == "ok" and self.node.orelse.nodes:
            self.part = "orelse"
            self.open(self.node.orelse, dict(outcome.names))
        elif outcome.kind == "fail" and self.node.match is not None and outcome.error is not None:
            self.evaluate(self.node.match, self._matched, {**outcome.names, self.node.error: outcome.error})
            if self.running is not None:
                self.running.cleanup = True
        else:
            self._finally()

    def _matched(self, running: Running, report: Report) -> None:
        self.running = None
        if report.outcome == "fail":
            failed = self.machine.origins.outcome_of(report)
            failed.names = {**self.pending.names, **failed.names}
            self.pending = failed
            self._finally()
            return
        self.machine.emit(Decided(Instance(self.node.id, self.frame.index), report.decision))
        if not 0 <= report.decision < len(self.node.handlers):
            self._finally()
            return
        handler = self.node.handlers[report.decision]
        self.handler = handler.name
        overlay = {**self.pending.names, self.node.error: self.pending.error}
        if handler.name:
            overlay[handler.name] = self.pending.error
        self.part = "handler"
        frame = self.open(handler.block, overlay)
        frame.cleanup = True

    def _second_ended(self, outcome: Outcome) -> None:
        names = {**self.pending.names, **outcome.names}
        if self.part == "handler" and self.handler:
            names[self.handler] = UNBOUND
        trail = self.pending.trail + outcome.trail
        self.pending = Outcome(outcome.kind, names, trail, outcome.failure, outcome.error)
        self._finally()

    def _finally(self) -> None:
        if not self.node.final.nodes:
            self._settle()
            return
        current: Any = self.pending.error if self.pending.kind == "fail" else None
        if current is None and self.node.handling is not None:
            current = self.frame.look_up(self.place, self.node.handling)
        self.part = "final"
        frame = self.open(self.node.final, {**self.pending.names, self.node.error: current or UNBOUND})
        frame.cleanup = True

    def _final_ended(self, outcome: Outcome) -> None:
        names = {**self.pending.names, **outcome.names}
        trail = self.pending.trail + outcome.trail
        if outcome.kind == "ok":
            kept = self.pending
            self.pending = Outcome(kept.kind, names, trail, kept.failure, kept.error)
            if isinstance(changed := outcome.names.get(self.node.error), Ref) and kept.failure is not None:
                self.pending.error = changed
                self.pending.failure = structs.replace(
                    kept.failure, exception=changed.artifact, path=changed.path
                )
        else:
            self.pending = Outcome(outcome.kind, names, trail, outcome.failure, outcome.error)
        self._settle()

    def _settle(self) -> None:
        self.pending.names.pop(self.node.error, None)
        self.complete(self.pending)
