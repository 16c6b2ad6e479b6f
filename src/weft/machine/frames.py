"""A block being run: what its nodes have come to, and how names are looked up.

Names are never copied forward. A node that reads a name asks for the last node above it that may have
written it; if that one is not done yet, the reader waits for it. So order follows data.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from weft.machine.plan import BlockPlan
from weft.model.values import Failure, Ref


class _Mark:
    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


UNBOUND: Final = _Mark("UNBOUND")
Value = Ref | _Mark
Names = dict[str, Any]  # environment name → Ref or UNBOUND

NEW, BLOCKED, LIVE, DONE = range(4)


class TrailEntry(msgspec.Struct, gc=False):
    """Deferred glue whose turn has come: evaluated when the loop ``defer`` ends."""

    defer: int
    node: int
    index: tuple[int, ...]
    names: Names
    before: Names = {}
    turn: int = 0


class Outcome(msgspec.Struct, gc=False):
    """How a node, or a block, ended: ``kind`` is ok, return, break, continue or fail.

    ``names``: what it bound (or unbound). ``trail``: deferred glue for a loop further out.
    """

    kind: str
    names: Names
    trail: list[TrailEntry] = []
    failure: Failure | None = None
    error: Ref | None = None
    at_once: bool = False  # The source of a loop could not even be begun.


class Pending(msgspec.Struct, gc=False):
    """A name whose value is not known before node ``place`` of ``frame`` is done."""

    frame: Frame
    place: int


class Frame:
    """One run of one block.

    State: ``status`` and ``outcomes`` of each node; ``tried``, how many nodes have been looked at;
    ``settled``, how many have ended in order; ``active``, what runs for a composite node; ``waiters``, who
    waits for a node; ``ended``, the block's outcome.
    """

    __slots__ = (
        "active",
        "at",
        "cleanup",
        "ended",
        "index",
        "loop",
        "outcomes",
        "overlay",
        "owner",
        "parent",
        "plan",
        "queued",
        "settled",
        "status",
        "stop",
        "tried",
        "turn",
        "waiters",
    )

    def __init__(
        self,
        plan: BlockPlan,
        index: tuple[int, ...],
        parent: Frame | None,
        at: int,
        owner: Any,
        overlay: Names,
    ) -> None:
        count = len(plan.nodes)
        self.plan = plan
        self.index = index
        self.parent = parent
        self.at = at
        self.owner = owner
        self.overlay = overlay
        self.status = [NEW] * count
        self.outcomes: list[Outcome | None] = [None] * count
        self.active: dict[int, Any] = {}
        self.waiters: dict[int, list[tuple[Any, int | None]]] = {}
        self.queued = False  # It is on the machine's list of blocks to look at.
        self.tried = 0
        self.settled = 0
        self.stop = count  # No node below this place may start: the one here did not end well.
        self.loop: Any = None
        self.turn = 0
        self.cleanup: bool = parent.cleanup if parent is not None else False
        self.ended: Outcome | None = None

    def look_up(self, place: int, name: str) -> Value | Pending:
        """Return what ``name`` is for the node at ``place``: a reference, UNBOUND, or Pending."""
        frame: Frame | None = self
        while frame is not None:
            for writer in frame.plan.writers.get(name, ()):
                if writer >= place:
                    continue
                if frame.status[writer] != DONE:
                    return Pending(frame, writer)
                outcome = frame.outcomes[writer]
                assert outcome is not None
                if name in outcome.names:
                    return outcome.names[name]  # type: ignore[no-any-return]
            if name in frame.overlay:
                return frame.overlay[name]  # type: ignore[no-any-return]
            if frame.loop is not None:
                found = frame.loop.carried_into(frame.turn, name)
                if found is not None:
                    return found  # type: ignore[no-any-return]
            place, frame = frame.at, frame.parent
        return UNBOUND

    def before(self, place: int) -> tuple[Names, list[TrailEntry]]:
        """Return what the nodes before ``place``, all of them settled, have bound, and their deferred glue in order."""
        names: Names = {}
        trail: list[TrailEntry] = []
        for outcome in self.outcomes[:place]:
            assert outcome is not None
            if outcome.trail:
                if self.plan.in_try:  # a handler may ask for the names as they stood there
                    for entry in outcome.trail:
                        entry.before = {**names, **entry.before}
                trail += outcome.trail
            names.update(outcome.names)
        return names, trail
