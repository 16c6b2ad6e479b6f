"""What a generated function may say at a point: its names, which are bound, and what may share an object.

The bookkeeping keeps programs inside the language: nothing changes what is being iterated over, no
captured name is bound again, and no hidden change reaches out of a loop.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

KINDS = {
    "int": "n",
    "list": "xs",
    "dict": "d",
    "str": "s",
    "tuple": "t",
    "rows": "rows",
    "box": "box",
    "bag": "bag",
    "set": "u",
}
MUTABLE = ("list", "dict", "rows", "box", "bag", "set")
State = tuple[frozenset[str], frozenset[str]]


@dataclass
class Scope:
    """State: ``bound`` and ``maybe`` (disjoint), pinned and frozen names, and the alias classes."""

    bound: set[str] = field(default_factory=set)
    maybe: set[str] = field(default_factory=set)
    pinned: set[str] = field(default_factory=set)
    frozen: list[str] = field(default_factory=list)
    kinds: dict[str, str] = field(default_factory=dict)
    _parent: dict[str, str] = field(default_factory=dict)
    _apart: list[tuple[str, str]] = field(default_factory=list)
    _changed_while: list[tuple[str, str]] = field(default_factory=list)

    def bind(self, name: str, kind: str, *, surely: bool = True) -> None:
        self.kinds[name] = kind
        if surely:
            self.bound.add(name)
            self.maybe.discard(name)
        elif name not in self.bound:
            self.maybe.add(name)

    def unbind(self, name: str) -> None:
        """Note ``del name``: what reads it now may fail, and is written now and then for that."""
        self.bound.discard(name)
        self.maybe.add(name)

    def names(self, kind: str) -> list[str]:
        return sorted(name for name in self.bound if self.kinds[name] == kind)

    def doubtful(self, kind: str) -> list[str]:
        return sorted(name for name in self.maybe if self.kinds[name] == kind)

    def save(self) -> State:
        return frozenset(self.bound), frozenset(self.maybe)

    def restore(self, state: State) -> None:
        self.bound, self.maybe = set(state[0]), set(state[1])

    def join(self, states: Iterable[State]) -> None:
        """Continue after several ways; with none of them left the present state stays."""
        ways = list(states)
        if not ways:
            return
        bound = frozenset.intersection(*(way[0] for way in ways))
        known = frozenset.union(*(way[0] | way[1] for way in ways))
        self.bound, self.maybe = set(bound), set(known - bound)

    def root(self, name: str) -> str:
        while name in self._parent:
            name = self._parent[name]
        return name

    def share(self, left: str, right: str) -> bool:
        """Note that two names may reach one object; False where that must not be."""
        first, second = self.root(left), self.root(right)
        if first == second:
            return True
        pairs = (
            self._apart + self._changed_while + [(a, b) for a in self.frozen for b in self.frozen if a != b]
        )
        for one, other in pairs:
            if {self.root(one), self.root(other)} == {first, second}:
                return False
        if self._is_frozen(first) or self._is_frozen(second):
            return False
        self._parent[first] = second
        return True

    def keep_apart(self, names: list[str]) -> bool:
        """Note that no two of ``names`` may ever share an object; False where they may already."""
        if len({self.root(name) for name in names}) != len(names):
            return False
        self._apart += [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
        return True

    def change(self, name: str) -> bool:
        """Note a change of ``name`` in place; False where it is being iterated over."""
        if self._is_frozen(self.root(name)):
            return False
        self._changed_while += [(held, name) for held in self.frozen]
        return True

    def _is_frozen(self, root: str) -> bool:
        return any(self.root(name) == root for name in self.frozen)
