"""The workflow between source and program: the program's tree, still with Python's ``ast`` in it.

The lowering makes it, the analyses (aliases, liveness, order) write their findings onto it, the emitter
turns it into a program.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

import msgspec

from weft.program.nodes import Span

TEMP = "_weft_"


class Frame(msgspec.Struct, eq=False):
    """One function whose text is being compiled: the workflow or a workflow that it inlines."""

    unit: int
    function: Any
    suffix: str
    locals: frozenset[str]
    result: str
    kinds: dict[str, type] = {}
    in_final: int = 0


class Scope(msgspec.Struct, eq=False):
    """What a name means at a place: comprehensions add their own names to their function's."""

    frame: Frame
    names: dict[str, str] = {}
    constants: dict[str, object] = {}
    parent: Scope | None = None

    def env(self, name: str) -> str | None:
        """Return the environment name of ``name``, or None for a global of the module."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names:
                return scope.names[name]
            scope = scope.parent
        if name == TEMP + "return":
            return self.frame.result
        if name.startswith(TEMP):
            return "@" + name.removeprefix(TEMP)
        return name + self.frame.suffix if name in self.frame.locals else None

    def constant(self, name: str) -> object | None:
        """Return what an unrolled loop's target stands for here, if it is a step or a workflow."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.constants:
                return scope.constants[name]
            if name in scope.names:
                return None
            scope = scope.parent
        return None

    def inner(self, names: dict[str, str] | None = None, constants: dict[str, object] | None = None) -> Scope:
        return Scope(self.frame, names or {}, constants or {}, self)


class _Placed(msgspec.Struct, eq=False):
    span: Span


class Draft(_Placed, eq=False, kw_only=True):
    """What every draft node has; the analyses fill ``ordered`` and ``guard``."""

    ordered: bool = False
    guard: bool = False


class DGlue(Draft, eq=False):
    """Statements. ``arm``: the expression of a branch's decision. ``effect``: made for its effect.

    Filled by the analyses: ``reads``/``writes`` (environment names), ``extra`` (names that are passed
    although the text does not say them), ``groups``, ``checked``, ``defer`` (the loop).
    """

    stmts: list[ast.stmt]
    scope: Scope
    handling: str | None = None
    effect: bool = False
    exits: set[str] = set()
    arm: ast.expr | None = None
    arm_body: list[ast.stmt] | None = None
    items: DLoop | None = None
    in_loop: DLoop | None = None
    reads: set[str] = set()
    binds: set[str] = set()
    writes: set[str] = set()
    extra: set[str] = set()
    groups: list[tuple[str, ...]] = []
    checked: set[str] = set()
    defer: DLoop | None = None
    generator: DCapture | None = None


class DCall(Draft, eq=False):
    """A step call. ``key``: the environment name of what stands for its inputs where results are used again."""

    call: ast.Call
    scope: Scope
    step: int
    out: str | None
    path: str
    handling: str | None = None
    in_loop: DLoop | None = None
    reads: set[str] = set()
    key: str = ""


class DMove(Draft, eq=False):
    out: str
    value: str


class DBranch(Draft, eq=False):
    test: DGlue
    arms: list[list[AnyDraft]]
    labels: list[str]


class DLoop(Draft, eq=False):
    """``items``/``filters`` are fused into ``source``; ``grouped``: items share objects that change;
    ``watched``: the body may change what the loop runs over, and looks whether it does.
    ``generator``: of step calls, which Python would read in turn with the body. ``label``: the iterable as it
    was written, where it has been replaced."""

    scope: Scope
    target: ast.expr | None
    iterable: ast.expr | None
    filters: list[ast.expr]
    bodies: list[list[AnyDraft]]
    orelse: list[AnyDraft]
    prelude: list[DGlue] = []
    source: DGlue | None = None
    label: str = ""
    outer: DLoop | None = None
    grouped: bool = False
    watched: bool = False
    kept: str = ""
    index: str = ""
    element: str = ""
    unpack: DGlue | None = None
    targets: list[tuple[str, str]] = []
    carried: set[str] = set()
    deferred: set[str] = set()
    sequence: bool = False
    reason: str = ""
    generator: DCapture | None = None
    comprehension: bool = False


class DHandler(msgspec.Struct, eq=False):
    block: list[AnyDraft]
    name: str | None
    label: str


class DTry(Draft, eq=False):
    body: list[AnyDraft]
    match: DGlue | None
    handlers: list[DHandler]
    orelse: list[AnyDraft]
    final: list[AnyDraft]
    error: str
    handling: str | None = None
    in_loop: DLoop | None = None


class DCapture(Draft, eq=False):
    """``items`` collects what the generator gives; ``whole``: its consumer reads to its end."""

    body: list[AnyDraft]
    error: str
    items: str = ""
    whole: bool = False


class DLimit(Draft, eq=False):
    name: str
    slots: int
    body: list[AnyDraft]


class DGroup(Draft, eq=False):
    name: str
    path: str
    body: list[AnyDraft]
    result: str


class DReturn(Draft, eq=False):
    pass


class DBreak(Draft, eq=False):
    pass


class DContinue(Draft, eq=False):
    pass


AnyDraft = (
    DGlue | DCall | DMove | DBranch | DLoop | DTry | DCapture | DLimit | DGroup | DReturn | DBreak | DContinue
)


def blocks_of(node: AnyDraft) -> list[list[AnyDraft]]:
    """Return the blocks inside a node, in program order."""
    match node:
        case DBranch():
            return node.arms
        case DLoop():
            return [*node.bodies, node.orelse]
        case DTry():
            return [node.body, *(handler.block for handler in node.handlers), node.orelse, node.final]
        case DCapture() | DLimit() | DGroup():
            return [node.body]
        case _:
            return []


def glue_of(node: AnyDraft) -> list[DGlue]:
    """Return the glue that belongs to a node itself: a test, a source of items, a match."""
    match node:
        case DGlue():
            return [node]
        case DBranch():
            return [node.test]
        case DLoop():
            return [*([node.source] if node.source else []), *node.prelude]
        case DTry():
            return [node.match] if node.match else []
        case _:
            return []


def walk(block: list[AnyDraft]) -> Iterator[AnyDraft]:
    """Yield every node of a block and of the blocks inside it, in program order."""
    for node in block:
        yield node
        for inner in blocks_of(node):
            yield from walk(inner)
