"""The heap of the alias analysis: abstract objects, called *sites*, and which of them may hold which.

A set of sites is one whole number, bit *n* for site *n*: a large program asks for many large sets.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final

from weft.lang.draft import DLoop

Sites = int
NONE: Final[Sites] = 0


def each(sites: Sites) -> Iterator[int]:
    """Yield the numbers of the sites in a set."""
    while sites:
        lowest = sites & -sites
        yield lowest.bit_length() - 1
        sites ^= lowest


def union(parts: Iterable[Sites]) -> Sites:
    """Return the sites that are in any of ``parts``."""
    found = NONE
    for part in parts:
        found |= part
    return found


class Heap:
    """Which sites may hold which; it only ever grows.

    State: ``holds`` (for each site, the sites and hubs that it may hold); ``hubs``, nodes that are no objects
    and pass on what they hold; ``views`` (site of a slice → sites that it may look at);
    ``loops`` (site → loop in whose body it is made); ``grew``, whether anything was added since it was reset.
    """

    def __init__(self) -> None:
        self.holds: list[Sites] = []
        self.hubs = NONE
        self.views: dict[int, Sites] = {}
        self.loops: list[DLoop | None] = []
        self.grew = False
        self._viewing = NONE
        self._inside: dict[DLoop, Sites] = defaultdict(int)
        self._numbers: dict[object, int] = {}
        self._held: set[tuple[Sites, Sites]] = set()
        self.forget()

    def forget(self) -> None:
        """Forget what was remembered of the heap as it stood, because it has grown since."""
        self._reached: dict[Sites, Sites] = {}
        self._contents: dict[Sites, Sites] = {}
        self._closed: dict[int, Sites] = {}
        self._known = NONE

    def site(self, key: object, loop: DLoop | None = None) -> Sites:
        """Return the site for ``key``, an allocation at one place of the text inside ``loop``."""
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self.holds)
            self.holds.append(NONE)
            self.loops.append(loop)
            around = loop
            while around is not None:
                self._inside[around] |= 1 << number
                around = around.outer
        return 1 << number

    def opaque(self, key: object, loop: DLoop | None = None) -> Sites:
        """Return the site of an object of unknown build: its content is a site that holds itself."""
        whole, content = self.site(key, loop), self.site((key, "content"), loop)
        self.hold(whole | content, content)
        return whole

    def inside(self, loop: DLoop) -> Sites:
        """Return the sites that are made in the body of ``loop``, or of a loop inside it."""
        return self._inside.get(loop, NONE)

    def hold(self, holders: Sites, held: Sites) -> None:
        """Let each of ``holders`` hold each of ``held``."""
        if (holders, held) in self._held:
            return
        self._held.add((holders, held))
        for holder in each(holders):
            if held & ~self.holds[holder]:
                self.holds[holder] |= held
                self.grew = True

    def link(self, key: object, holders: Sites, held: Sites) -> None:
        """Let each of ``holders`` hold each of ``held``: through one hub, for otherwise the edges are many."""
        hub = self.site(key)
        self.hubs |= hub
        self.hold(hub, held)
        self.hold(holders, hub)

    def look_at(self, view: Sites, base: Sites) -> None:
        """Note that a change of ``view`` may be seen in ``base``, and the other way round."""
        base = self.seen(base)
        for site in each(view):
            if base & ~self.views.get(site, NONE):
                self.views[site] = self.views.get(site, NONE) | base
                self._viewing |= view
                self.grew = True

    def seen(self, sites: Sites) -> Sites:
        """Return ``sites`` and what the views among them may look at: a change of either shows in the other."""
        return sites | union(self.views[site] for site in each(sites & self._viewing))

    def content(self, sites: Sites) -> Sites:
        """Return what the objects of ``sites`` hold directly."""
        found = self._contents.get(sites)
        if found is None:
            direct = union(self.holds[site] for site in each(sites))
            direct |= union(self.holds[hub] for hub in each(direct & self.hubs))
            found = self._contents[sites] = direct & ~self.hubs
        return found

    def reach(self, sites: Sites) -> Sites:
        """Return everything that can be reached from ``sites``, themselves included."""
        found = self._reached.get(sites)
        if found is None:
            found = NONE
            for site in each(sites):
                if not found >> site & 1:
                    found |= self._reach_of(site)
            found = self._reached[sites] = found & ~self.hubs
        return found

    def _reach_of(self, start: int) -> Sites:
        found = self._closed.get(start)
        if found is None:
            found, todo = NONE, 1 << start
            while todo:
                # What is known whole comes first: in a dense heap it is nearly all there is to find.
                site = ((todo & self._known) or todo).bit_length() - 1
                whole = self._closed.get(site)
                found |= 1 << site if whole is None else whole
                todo = (todo | (self.holds[site] if whole is None else NONE)) & ~found
            self._closed[start] = found
            self._known |= 1 << start
        return found
