"""What the alias analysis has found so far: names, the heap, and what each piece of glue may change."""

from __future__ import annotations

from collections import defaultdict
from typing import Protocol

from weft.lang.draft import DGlue, DLoop
from weft.lang.effects import Effects
from weft.lang.heap import NONE, Heap, Sites, union


class Judge(Protocol):
    """Says what calls of the user's own functions may do; None where nobody knows."""

    def of_callable(self, found: object) -> Effects | None:
        """Return what a call of a function may do."""

    def of_class(self, found: type) -> Effects | None:
        """Return what making an instance of a class may do; the first parameter is the instance."""

    def of_methods(self, name: str) -> list[Effects | None]:
        """Return what the methods of this name may do that classes of the project define."""


class Facts:
    """Findings that only grow while the text is read again and again.

    State: ``points`` (environment name → sites it may be); ``heap``; ``changed`` (sites that may change);
    ``changes`` (glue → sites it may change); ``written`` (those that its text changes, not a call in it);
    ``overwritten``: of those of all glue, what no mere coming or going of items has changed;
    ``unseen`` (glue in a loop → sites from outside it that a call may change although it is assumed not to);
    ``iterated`` (loop → sites of names that it reads step by step); ``followed`` (those that it may so read else);
    ``raises`` (glue → sites that an exception which it raises may be or hold);
    ``closures`` (site of a function → its glue and the names that it captures);
    ``closure_changes`` (site of a function → those of them whose object, or with True: a part of it, its text changes);
    ``outside``: what is not the function's own, or is stored where the analysis does not look.
    """

    # Whether reading an item may add it, as in a ``defaultdict``.
    reading_may_add = False

    def __init__(self, judge: Judge) -> None:
        self.judge = judge
        self.heap = Heap()
        self.points: dict[str, Sites] = defaultdict(int)
        self.changed = NONE
        self.changes: dict[DGlue, Sites] = defaultdict(int)
        self.written: dict[DGlue, Sites] = defaultdict(int)
        self.overwritten = NONE
        self.unseen: dict[DGlue, Sites] = defaultdict(int)
        self.iterated: dict[DLoop, Sites] = defaultdict(int)
        self.followed: dict[DLoop, Sites] = defaultdict(int)
        self.raises: dict[DGlue, Sites] = defaultdict(int)
        self.closures: dict[Sites, tuple[DGlue, set[str]]] = {}
        self.closure_changes: dict[Sites, set[tuple[str, bool]]] = {}
        self.closure_sites = NONE
        self.outside = NONE
        self._keep: list[object] = []

    def point(self, name: str, sites: Sites) -> None:
        """Let ``name`` be each of ``sites``."""
        if sites & ~self.points[name]:
            self.points[name] |= sites
            self.heap.grew = True

    def made_at(self, node: object, frame: object, loop: DLoop | None) -> Sites:
        """Return the site of what the syntax ``node`` makes; a text that is inlined twice makes other objects."""
        self._keep.append(node)
        return self.heap.site(("at", id(node), id(frame)), loop)

    def note_change(self, glue: DGlue, sites: Sites) -> None:
        """Note that a piece of glue may change ``sites``."""
        if sites & ~self.changes[glue]:
            self.changes[glue] |= sites
            self.changed |= sites
            self.heap.grew = True

    def note_unseen(self, glue: DGlue, sites: Sites) -> None:
        """Note that a call in a loop may change ``sites``, although it is assumed not to."""
        if sites & ~self.unseen[glue]:
            self.unseen[glue] |= sites
            self.heap.grew = True

    def note_raised(self, glue: DGlue, sites: Sites) -> None:
        """Note that a piece of glue may raise an exception that is, or holds, ``sites``."""
        if sites & ~self.raises[glue]:
            self.raises[glue] |= sites
            self.heap.grew = True

    def note_closure(
        self, site: Sites, glue: DGlue, captured: set[str], changed: set[tuple[str, bool]]
    ) -> None:
        """Note that ``site`` is a function that captures environment names, and changes the objects of some."""
        self.closures[site] = (glue, captured)
        self.closure_changes[site] = changed
        self.closure_sites |= site

    def changed_by_closures(self, sites: Sites) -> Sites:
        """Return what the functions among ``sites`` change of what they capture."""
        called = [changed for site, changed in self.closure_changes.items() if site & sites]
        return union(
            self.heap.reach(self.heap.content(self.points[name])) if in_part else self.points[name]
            for changed in called
            for name, in_part in changed
        )

    def caught(self, glue: DGlue) -> Sites:
        """Return what an exception may be, or hold, that is caught inside a piece of glue."""
        return self.raises[glue]
