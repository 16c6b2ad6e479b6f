"""Which names may share an object, and what each piece of glue may change.

A points-to analysis in Andersen's manner over the whole draft, without regard to the order of statements:
``points``: environment name → abstract objects (*sites*) it may be; ``heap``: site → sites it may hold.
It is iterated to a fixed point. Two names need one artifact only if they share a site that something in the
program may change (``changed``).

Source: L. O. Andersen (1994), Program Analysis and Specialization for the C Programming Language, ch. 4.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from weft.lang.draft import TEMP, AnyDraft, DCall, DGlue, DLoop, DMove, DTry, glue_of, walk
from weft.lang.pointing import NONE, Reader, Sites


class Aliases:
    """The finished analysis.

    State: ``points``, ``heap``, ``changed`` (sites that may change), ``changes`` (glue → sites it may change),
    ``written`` (those that its text changes, not a call in it),
    ``unseen`` (glue in a loop → sites from outside it that a call may change although it is assumed not to),
    ``views`` (site of a slice → sites that it may be a view of), ``hot`` (name → sites that it may reach and that may change),
    ``loops`` (site → loop in whose body it is made).
    """

    def __init__(self, block: list[AnyDraft], given: set[str], shared: Sequence[frozenset[str]] = ()) -> None:
        self.points: dict[str, set[int]] = defaultdict(set)
        self.heap: dict[int, set[int]] = defaultdict(set)
        self.changed: set[int] = set()
        self.changes: dict[DGlue, set[int]] = defaultdict(set)
        self.written: dict[DGlue, set[int]] = defaultdict(set)
        self.unseen: dict[DGlue, set[int]] = defaultdict(set)
        self.loops: dict[int, DLoop | None] = {}
        self.closures: dict[int, tuple[DGlue, set[str]]] = {}
        self.views: dict[int, set[int]] = defaultdict(set)
        self.iterated: dict[DLoop, set[int]] = defaultdict(set)
        self._numbers: dict[object, int] = {}
        self._keep: list[object] = []
        self._fact_count = -1
        self._reached: dict[Sites, Sites] = {}
        self._hubs: set[int] = set()
        for name in given:
            owner = next((min(names) for names in shared if name in names), name)
            self.points[name].add(self.opaque(("given", owner), None))
        while self._count() != self._fact_count:
            self._fact_count = self._count()
            # What is remembered within a round may be too little, but the last round changes nothing.
            self._reached.clear()
            for node in walk(block):
                self._visit(node)
        self._reached.clear()
        self.reachable = {name: self.reach(sites) for name, sites in list(self.points.items())}
        self.hot = {
            name: near for name, sites in self.reachable.items() if (near := self.seen(sites) & self.changed)
        }

    def seen(self, sites: Sites) -> Sites:
        """Return ``sites`` and what the slices among them may be views of: a change of either shows in the other."""
        return sites.union(*(self.views[site] for site in sites if site in self.views))

    def _count(self) -> int:
        return (
            sum(map(len, self.points.values()))
            + sum(map(len, self.heap.values()))
            + sum(map(len, self.changes.values()))
            + sum(map(len, self.unseen.values()))
        )

    def site(self, key: object, loop: DLoop | None) -> int:
        """Return the site for ``key``: an allocation at one place of the text."""
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._numbers)
            self.loops[number] = loop
        return number

    def opaque(self, key: object, loop: DLoop | None) -> int:
        """Return the site of an object of unknown build: its content is a site that holds itself."""
        whole, content = self.site(key, loop), self.site((key, "content"), loop)
        self.heap[whole].add(content)
        self.heap[content].add(content)
        return whole

    def content(self, sites: Sites | set[int]) -> Sites:
        """Return what the objects of ``sites`` hold directly."""
        direct = set[int]().union(*(self.heap[site] for site in sites)) if sites else set()
        hubs = direct & self._hubs
        return frozenset(direct.union(*(self.heap[hub] for hub in hubs)) - hubs)

    def link(self, key: object, holders: Sites, held: Sites) -> None:
        """Let each of ``holders`` hold each of ``held``: through one hub, for otherwise the edges are many."""
        hub = self.site(key, None)
        self._hubs.add(hub)
        self.heap[hub] |= held
        for holder in holders:
            self.heap[holder].add(hub)

    def reach(self, sites: Sites | set[int]) -> Sites:
        """Return everything that can be reached from ``sites``, themselves included."""
        start = frozenset(sites)
        known = self._reached.get(start)
        if known is not None:
            return known
        seen, todo = set(start), list(start)
        while todo:
            for inner in self.heap[todo.pop()]:
                if inner not in seen:
                    seen.add(inner)
                    todo.append(inner)
        found = self._reached[start] = frozenset(seen - self._hubs)
        return found

    def share(self, one: str, other: str) -> bool:
        """Return whether two names may reach one object that something may change."""
        return not self.hot.get(one, NONE).isdisjoint(self.hot.get(other, NONE))

    def sharing(self, names: set[str], others: set[str]) -> set[str]:
        """Return those of ``others`` that share an object that may change with one of ``names``, or through one."""
        found: set[str] = set()
        near = {name for name in names if name in self.hot}
        left = {name for name in others if name in self.hot}
        while near:
            sites = frozenset[int]().union(*(self.hot[name] for name in near))
            near = {name for name in left if not sites.isdisjoint(self.hot[name])}
            left -= near
            found |= near
        return found

    def reaching(self, sites: set[int]) -> set[str]:
        """Return the names from which one of ``sites`` can be reached."""
        if not sites:
            return set()
        return {name for name, reach in self.reachable.items() if not reach.isdisjoint(sites)}

    def _visit(self, node: AnyDraft) -> None:
        for glue in glue_of(node):
            Reader(self, glue).glue()
        match node:
            case DCall():
                if node.out is not None:
                    self.points[node.out].add(self.opaque(("call", id(node)), node.in_loop))
            case DMove():
                self.points[node.out] |= self.points[node.value]
            case DTry():
                error = self.opaque(("error", id(node)), None)
                self.points[node.error].add(error)
                for handler in node.handlers:
                    if handler.name:
                        self.points[handler.name].add(error)
            case DLoop() if node.source is not None:
                self._loop(node)

    def _loop(self, node: DLoop) -> None:
        assert node.source is not None
        assert node.iterable is not None
        assert node.target is not None
        reader = Reader(self, node.source)
        sites = reader.read(node.iterable)
        self.iterated[node] |= reader.iterated(node.iterable)
        items = self.content(sites)
        kept = self.site(("kept", id(node)), node.outer)
        self.heap[kept] |= items | {kept}
        kept_env = "@" + node.kept.removeprefix(TEMP)
        if node.grouped:
            self.points[kept_env].add(kept)
        else:
            body = Reader(self, node.source, node.scope, node)
            if node.unpack is None:
                body.bind(node.target, items)
            else:
                self.points["@" + node.element.removeprefix(TEMP)] |= items
