"""The pen of the generator: one function being written, with its scope, its indent and its choices."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from .dice import Dice, chance, pick, pick_weighted
from .scope import KINDS, Scope, State

Production = tuple[int, Callable[..., Any]]


@dataclass(frozen=True)
class Signature:
    """A workflow that others may call.

    ``parameters`` are (name, kind, how), ``how`` being one of ``/``, ``=``, ``*``, ``k=``, ``**`` and ``""``.
    ``hidden``: it changes a parameter through a helper, so it must not be called in a loop.
    """

    name: str
    parameters: tuple[tuple[str, str, str], ...]
    result: str
    hidden: bool


@dataclass
class Writer:
    """State: the lines written, the indent, how much may still be written, and the context flags.

    Attributes:
        steps: step calls are possible here (not in a lambda, a nested def or a ``while``).
        binds: a walrus is possible here.
        doubtful: what is written here may not run, so that what it binds is bound on some paths only.
        loops: how many loops around step calls enclose this place; ``turns``: any loops.
        risk: percent of expressions that may fail.
        items: numbers of the comprehensions around this place; ``leaked``: what a walrus in them bound.
        errors: exceptions that are bound here.
        breaks: how the names stood at each ``break`` of the innermost loop.
        tags: declared properties of the program that its syntax does not show.
        wide: all forms may be written; else those that the programs of ``mutants.json`` were written with.
        locks: begins the names of this function's limits; ``held``: how many are taken around this place.
    """

    dice: Dice
    signatures: list[Signature]
    result: str = "tuple"
    may_hide: bool = True
    scope: Scope = field(default_factory=Scope)
    lines: list[str] = field(default_factory=list)
    indent: int = 1
    budget: int = 20
    steps: bool = True
    binds: bool = True
    doubtful: bool = False
    loops: int = 0
    turns: int = 0
    depth: int = 0
    risk: float = 4.2
    in_loop_body: bool = False
    counter: int = 0
    items: list[str] = field(default_factory=list)
    leaked: list[str] = field(default_factory=list)
    breaks: list[State] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    tags: set[str] = field(default_factory=set)
    hidden: bool = False
    wide: bool = True
    locks: str = "main"
    held: int = 0

    def below(self, n: int) -> int:
        return self.dice.below(n)

    def pick(self, items: list[str] | tuple[str, ...]) -> str:
        return pick(self.dice, items)

    def chance(self, percent: float) -> bool:
        return chance(self.dice, percent)

    def run(self, table: list[Production], *args: object) -> Any:
        return pick_weighted(self.dice, table)(self, *args)

    def tag(self, name: str) -> None:
        self.tags.add(name)

    def emit(self, line: str) -> None:
        self.lines.append("    " * self.indent + line)

    def serial(self, prefix: str) -> str:
        """Return a name that nothing else in the function has."""
        self.counter += 1
        return f"{prefix}_{self.counter}"

    @contextmanager
    def indented(self) -> Iterator[None]:
        self.indent += 1
        yield
        self.indent -= 1

    @contextmanager
    def having(self, **flags: object) -> Iterator[None]:
        """Set context flags for a while."""
        before = {name: getattr(self, name) for name in flags}
        for name, value in flags.items():
            setattr(self, name, value)
        yield
        for name, value in before.items():
            setattr(self, name, value)

    def target(self, kind: str) -> str:
        """Return a name to bind, often one that is bound already."""
        free = [f"{KINDS[kind]}{k}" for k in range(4)]
        free = [name for name in free if name not in self.scope.pinned and name not in self.scope.frozen]
        return self.pick(free) if free else self.serial(KINDS[kind])

    def bind(self, name: str, kind: str) -> None:
        self.scope.bind(name, kind, surely=not self.doubtful)

    def known(self, kind: str) -> str | None:
        """Return a name of this kind that is bound, seldom one that may not be, or None."""
        maybe = self.scope.doubtful(kind)
        if maybe and self.chance(0.8 if self.risk < 10 else 3):
            self.tag("reads-maybe-unbound")
            return self.pick(maybe)
        names = self.scope.names(kind)
        return self.pick(names) if names else None

    def changeable(self, kind: str) -> str | None:
        """Return a bound name whose object may be changed in place here, or None."""
        name = self.known(kind)
        return name if name is not None and self.scope.change(name) else None

    def may_hide_here(self) -> bool:
        """Tell whether a change that the compiler cannot see is inside the language here."""
        return self.may_hide and self.loops == 0
