"""What runs for a loop: iterations side by side in a window, folded in order; deferred glue at the end."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from weft.machine.composites import Composite
from weft.machine.events import Instance, LoopCounted
from weft.machine.frames import DONE, Frame, Names, Outcome, Pending, TrailEntry
from weft.model.jobs import Report
from weft.model.values import Artifact, Failure, Ref
from weft.program.nodes import Glue

if TYPE_CHECKING:
    from weft.machine.interpreter import Running


class LoopRun(Composite):
    """A loop: its source, its iterations in a window, its deferred glue, its else.

    State: ``count`` items; ``columns``, those of iterations to come; ``opened`` and ``folded`` iterations;
    ``turns``, the open ones; ``base``, the names after the last folded one; ``trail``, deferred glue; ``ending``,
    the outcome once it is known; ``history``, the names of each turn where a handler may ask for them.
    """

    __slots__ = (
        "base",
        "broke",
        "columns",
        "count",
        "ending",
        "first_origin",
        "folded",
        "history",
        "in_orelse",
        "opened",
        "source_failure",
        "source_names",
        "trail",
        "turns",
    )

    def begin(self) -> None:
        self.count = len(self.node.bodies)
        self.columns: list[deque[Artifact]] = []
        self.opened = self.folded = 0
        self.turns: dict[int, Frame] = {}
        self.base: Names = {}
        self.source_names: Names = {}
        self.trail: list[TrailEntry] = []
        self.history: list[Names] = []
        self.ending: Outcome | None = None
        self.source_failure: Failure | None = None
        self.broke = False
        self.in_orelse = False
        self.first_origin = 0
        if self.node.source is None:
            self._counted()
        else:
            self.evaluate(self.node.source, self._read_source, {})

    def frames(self) -> list[Frame]:
        return [*self.turns.values(), *Composite.frames(self)]

    def _read_source(self, running: Running, report: Report) -> None:
        self.running = None
        outcome = self.machine.origins.outcome_of(report)
        self.source_names = outcome.names
        self.base = dict(outcome.names)
        if outcome.kind != "ok" or report.items is None:
            outcome.at_once = True
            self.complete(outcome)
            return
        self.columns = [deque(column) for column in report.items.columns]
        self.count = report.items.count()
        self.source_failure = report.items.failure
        self.first_origin = self.machine.origins.reserve(self.count * max(1, len(self.columns)))
        self._counted()

    def _counted(self) -> None:
        if self.node.source is not None:
            self.machine.emit(LoopCounted(Instance(self.node.id, self.frame.index), self.count))
        self._open_more()

    def carried_into(self, turn: int, name: str) -> Any:
        """Return what ``name`` is when iteration ``turn`` starts, or None if the loop says nothing of it."""
        while turn > self.folded:
            before = self.turns.get(turn - 1)
            if before is None:
                break
            if before.ended is not None:
                if name in before.ended.names:
                    return before.ended.names[name]
            else:
                for writer in before.plan.writers.get(name, ()):
                    if before.status[writer] != DONE:
                        return Pending(before, writer)
                    outcome = before.outcomes[writer]
                    if outcome is not None and name in outcome.names:
                        return outcome.names[name]
            if name in before.overlay:
                return before.overlay[name]
            turn -= 1
        return self.base.get(name)

    def _open_more(self) -> None:
        if self.ending is not None:
            return
        ahead = 1 if self.node.sequence else self.machine.window
        end = min(self.count, self.folded + ahead)
        while self.opened < end:
            self._open_turn(self.opened)
            self.opened += 1
        if self.folded == self.count and self.ending is None:
            self._all_turned()

    def _open_turn(self, turn: int) -> None:
        body = self.node.bodies[turn if self.node.source is None else 0]
        origin = self.first_origin + turn * len(self.columns)
        overlay: Names = {}
        for name, column in zip(self.node.targets, self.columns, strict=False):
            # Taken out: of a long loop's items only those that are at work are kept.
            overlay[name] = Ref(column.popleft(), origin)
            origin += 1
        frame = self.machine.open(body, self.frame, self.place, self, overlay, (*self.frame.index, turn))
        frame.loop, frame.turn = self, turn
        self.turns[turn] = frame

    def _all_turned(self) -> None:
        if self.source_failure is not None:
            error = self.machine.origins.error_ref(self.source_failure, self.source_names)
            self._flush(Outcome("fail", {}, [], self.source_failure, error))
        else:
            self._flush(Outcome("ok", {}))

    def ended(self, frame: Frame, outcome: Outcome) -> None:
        if self.in_orelse:
            outcome.names = {**self.base, **outcome.names}
            outcome.trail = self.trail + outcome.trail
            self.complete(outcome)
            return
        # Nodes of later turns may wait for names of this one that it never bound.
        for place in list(frame.waiters):
            self.machine.wake(frame.waiters.pop(place))
        if outcome.kind not in ("ok", "continue"):
            self._drop_after(frame.turn)
        while self.ending is None:
            first = self.turns.get(self.folded)
            if first is None or first.ended is None:
                break
            self._fold(first)
        self._open_more()

    def _fold(self, frame: Frame) -> None:
        assert frame.ended is not None
        outcome = frame.ended
        turn_names = {**frame.overlay, **outcome.names}
        for entry in outcome.trail:
            entry.turn = frame.turn
            if self.frame.plan.in_try:
                entry.before = {**frame.overlay, **entry.before}
        self.trail += outcome.trail
        if self.frame.plan.in_try and self.trail:
            self.history.append(dict(self.base))
        elif self.frame.plan.in_try:
            self.history.append({})
        self.base.update(turn_names)
        del self.turns[frame.turn]
        self.folded += 1
        if outcome.kind == "break":
            self.broke = True
            self._flush(Outcome("ok", {}))
        elif outcome.kind in ("return", "fail"):
            self._flush(Outcome(outcome.kind, {}, [], outcome.failure, outcome.error))

    def _drop_after(self, turn: int) -> None:
        for later in [other for other in self.turns if other > turn]:
            self.machine.drop_frame(self.turns.pop(later))
        self.count = min(self.count, turn + 1)

    def _flush(self, ending: Outcome) -> None:
        """Evaluate the deferred glue before the loop ends as ``ending`` says."""
        self.ending = ending
        mine = [entry for entry in self.trail if entry.defer == self.node.id]
        self.trail = [entry for entry in self.trail if entry.defer != self.node.id]
        prelude = [self._prelude_entry(glue) for glue in self.node.prelude if glue.defer == self.node.id]
        outward = [self._prelude_entry(glue) for glue in self.node.prelude if glue.defer != self.node.id]
        self.trail = outward + self.trail
        if not (prelude or mine):
            self._close()
            return
        self._send_trail(prelude + mine)

    def _send_trail(self, entries: list[TrailEntry]) -> None:
        first: Names = {}
        for name in self.node.deferred:
            value = self.source_names.get(name) or self.frame.look_up(self.place, name)
            if isinstance(value, Pending):
                self.wait_for(value, lambda: self._send_trail(entries))
                return
            first[name] = value
        # Only a handler asks where in the trail it failed; of a long loop the entries are many.
        then = self._folded_trail(entries if self.frame.plan.in_try else [])
        self.running = self.machine.send_fold(self.frame, self.place, self.node, entries, first, then)

    def _prelude_entry(self, glue: Glue) -> TrailEntry:
        return TrailEntry(self.node.id if glue.defer is None else glue.defer, glue.id, self.frame.index, {})

    def _folded_trail(self, entries: list[TrailEntry]) -> Any:
        def then(running: Running, report: Report) -> None:
            self.running = None
            outcome = self.machine.origins.outcome_of(report)
            if outcome.kind == "fail":
                if 0 <= report.failed_entry < len(entries):
                    self._go_back_to(entries[report.failed_entry])
                self.ending = Outcome("fail", {}, [], outcome.failure, outcome.error)
                self.broke = True
            self.base.update(outcome.names)
            self._close()

        return then

    def _go_back_to(self, entry: TrailEntry) -> None:
        """Let the names be as they stood where deferred glue failed."""
        past = self.history[entry.turn] if entry.turn < len(self.history) else {}
        self.base = {**self.source_names, **past, **entry.before}

    def _close(self) -> None:
        assert self.ending is not None
        if self.ending.kind == "ok" and not self.broke and self.node.orelse.nodes:
            self.in_orelse = True
            self.open(self.node.orelse, dict(self.base))
            return
        self.complete(
            Outcome(self.ending.kind, self.base, self.trail, self.ending.failure, self.ending.error)
        )
