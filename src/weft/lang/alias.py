"""Which names may share an object, and what each piece of glue may change.

A points-to analysis in Andersen's manner over the whole draft, without regard to the order of statements,
iterated to a fixed point. Two names need one artifact only if they share a site that something in the
program may change.

Source: L. O. Andersen (1994), Program Analysis and Specialization for the C Programming Language, ch. 4.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from weft.lang.draft import TEMP, AnyDraft, DCall, DCapture, DGlue, DLoop, DMove, DTry, glue_of, walk
from weft.lang.facts import Facts, Judge
from weft.lang.heap import NONE, Sites, union
from weft.lang.pointing import read_glue
from weft.lang.reading import Reader


class Aliases:
    """The finished analysis.

    State: ``facts``; ``hot`` (name → sites that it may reach and that may change).
    """

    def __init__(
        self,
        block: list[AnyDraft],
        given: Iterable[str],
        judge: Judge,
        shared: Sequence[frozenset[str]] = (),
    ) -> None:
        self.facts = facts = Facts(judge)
        self.heap = facts.heap
        self._bodies: dict[DTry | DCapture, list[DGlue]] = {}
        for name in given:
            owner = next((min(names) for names in shared if name in names), name)
            facts.point(name, self.heap.opaque(("given", owner)))
        self.heap.grew = True
        while self.heap.grew:
            self.heap.grew = False
            # What is remembered within a round may be too little, but the last round changes nothing.
            self.heap.forget()
            for node in walk(block):
                self._visit(node)
        self.heap.forget()
        self.hot: dict[str, Sites] = {}
        self._by_reach: dict[Sites, set[str]] = defaultdict(set)
        for name, sites in list(facts.points.items()):
            reach = self.heap.reach(sites)
            self._by_reach[reach].add(name)
            if near := self.heap.seen(reach) & facts.changed:
                self.hot[name] = near

    def share(self, one: str, other: str) -> bool:
        """Return whether two names may reach one object that something may change."""
        return bool(self.hot.get(one, NONE) & self.hot.get(other, NONE))

    def sharing(self, names: set[str], others: set[str]) -> set[str]:
        """Return those of ``others`` that share an object that may change with one of ``names``, or through one."""
        found: set[str] = set()
        near = {name for name in names if name in self.hot}
        left = {name for name in others if name in self.hot}
        while near:
            sites = union(self.hot[name] for name in near)
            near = {name for name in left if sites & self.hot[name]}
            left -= near
            found |= near
        return found

    def reaching(self, sites: Sites) -> set[str]:
        """Return the names from which one of ``sites`` can be reached."""
        if not sites:
            return set()
        return set[str]().union(*(names for reach, names in self._by_reach.items() if reach & sites))

    def _visit(self, node: AnyDraft) -> None:
        points, heap = self.facts.points, self.heap
        for glue in glue_of(node):
            read_glue(self.facts, glue)
        match node:
            case DCall():
                if node.out is not None:
                    self.facts.point(node.out, heap.opaque(("call", id(node)), node.in_loop))
            case DMove():
                self.facts.point(node.out, points[node.value])
            case DTry():
                error = heap.opaque(("error", id(node)), node.in_loop) | self._raised_in(node)
                self.facts.point(node.error, error)
                for handler in node.handlers:
                    if handler.name:
                        self.facts.point(handler.name, error)
            case DCapture():
                self.facts.point(node.error, self._raised_in(node))
            case DLoop() if node.source is not None:
                self._loop(node)

    def _raised_in(self, node: DTry | DCapture) -> Sites:
        """Return what an exception may be, or hold, that leaves the body of a node."""
        glue = self._bodies.get(node)
        if glue is None:
            glue = self._bodies[node] = [each for inner in walk(node.body) for each in glue_of(inner)]
        return union(self.facts.raises[each] for each in glue)

    def kept_items(self, node: DLoop) -> Sites:
        """Return the site of the list in which a loop's items may stay together."""
        return self.heap.site(("kept", id(node)), node.outer)

    def _loop(self, node: DLoop) -> None:
        assert node.source is not None
        assert node.iterable is not None
        assert node.target is not None
        reader = Reader(self.facts, node.source)
        sites = reader.read(node.iterable)
        self.facts.iterated[node] |= reader.iterated(node.iterable)
        self.facts.followed[node] |= reader.followed(node.iterable)
        items = self.heap.content(sites)
        kept = self.kept_items(node)
        self.heap.hold(kept, items | kept)
        if node.grouped:
            self.facts.point("@" + node.kept.removeprefix(TEMP), kept)
        elif node.unpack is None:
            Reader(self.facts, node.source, node.scope, node).bind(node.target, items)
        else:
            self.facts.point("@" + node.element.removeprefix(TEMP), items)
