"""Judges the user's own functions from their source: which arguments a call may change, keep or give back.

A function is judged if its source is that of the function which the process holds, and if the text shows
all that it does. Whatever the text does not show counts as possible: methods that are not known, calls of
what is not known before the run. What cannot be judged at all (generators, closures, functions that are
defined by compiled code or by a decorator's wrapper, ``global``) gets None: a call of it may do anything.
"""

from __future__ import annotations

import ast
from abc import ABCMeta
from collections.abc import Iterable
from types import FunctionType
from typing import Any, Final

from weft.lang.draft import DGlue, Frame, Scope
from weft.lang.effects import Effects
from weft.lang.facts import Facts
from weft.lang.heap import NONE, Sites, each, union
from weft.lang.names import names_of, parameters_of
from weft.lang.origins import origin_of_function
from weft.lang.pointing import StatementReader
from weft.lang.reading import Reader
from weft.lang.source import NoSource, SourceChanged, function_source
from weft.lang.surroundings import Surroundings
from weft.lang.syntax import nodes_of
from weft.program.nodes import Span

DEPTH_MAX: Final = 30
_RESULT: Final = "@return"
_NOWHERE: Final = Span(0, 0, 0, 0, 0)
# Their meaning is not that of a plain body, or they reach names that the text does not show.
_BEYOND: Final = (
    ast.Yield,
    ast.YieldFrom,
    ast.Await,
    ast.AsyncFunctionDef,
    ast.Global,
    ast.Nonlocal,
    ast.ClassDef,
    ast.TryStar,
)
_BEYOND_NAMES: Final = frozenset(
    ["eval", "exec", "locals", "globals", "vars", "setattr", "delattr", "__import__", "super", "compile"]
)


class SourceJudge:
    """Judges functions, each once.

    State: ``judged``: the functions that calls in the workflow's own text were judged by;
    ``_known``; ``_assumed``, what is taken of a function that is being judged when it calls itself.
    """

    def __init__(self, surroundings: Surroundings) -> None:
        self.judged: dict[int, FunctionType] = {}
        self._surroundings = surroundings
        self._known: dict[int, Effects | None] = {}
        self._assumed: dict[int, Effects] = {}

    def of_callable(self, found: object) -> Effects | None:
        """Return what a call of a function may do; None if nobody knows."""
        if not isinstance(found, FunctionType):
            return None
        effects = self._of_function(found)
        if effects is not None and not self._assumed:
            self.judged[id(found)] = found
        return effects

    def of_class(self, found: type) -> Effects | None:
        """Return what making an instance of a class may do; the first parameter is the instance."""
        maker: object = found.__new__
        is_plain = type(found) in (type, ABCMeta) and maker is object.__new__
        return self.of_callable(vars(found).get("__init__")) if is_plain else None

    def of_methods(self, name: str) -> list[Effects | None]:
        """Return what the methods of this name may do that classes of the project define."""
        return [self.of_callable(method) for method in self._surroundings.methods.get(name, ())]

    def _of_function(self, function: FunctionType) -> Effects | None:
        key = id(function)
        if key in self._known:
            return self._known[key]
        if key in self._assumed:
            # It calls itself. If it does so through others, nobody knows.
            return self._assumed[key] if key == next(reversed(self._assumed)) else None
        if len(self._assumed) >= DEPTH_MAX:
            return None
        tree = _readable(function)
        self._known[key] = effects = None if tree is None else self._judge(function, tree)
        return effects

    def _judge(self, function: FunctionType, tree: ast.FunctionDef) -> Effects | None:
        key = id(function)
        nothing = (NONE,) * (2 * len(parameters_of(tree.args)) + 1)
        found: Effects | None = Effects(tree.args, holds=nothing)
        assumed: Effects | None = None
        # Where it calls itself, what was found so far is taken of that call, till nothing is added.
        while found is not None and found != assumed:
            assumed = self._assumed[key] = found
            found = _effects_of(function, tree, self, self._surroundings.has_missing)
            del self._assumed[key]
        return found


def _readable(function: FunctionType) -> ast.FunctionDef | None:
    """Return the definition of a function whose text shows what it does, else None."""
    if function.__closure__ or origin_of_function(function).kind != "project":
        return None
    try:
        tree = function_source(function).tree
    except (NoSource, SourceChanged):
        return None
    if not isinstance(tree, ast.FunctionDef):
        return None
    for node in nodes_of(*tree.body):
        if isinstance(node, _BEYOND) or (isinstance(node, ast.Name) and node.id in _BEYOND_NAMES):
            return None
    return tree


class _FunctionFacts(Facts):
    """Findings on one function; what it catches may hold whatever it knows of."""

    def caught(self, glue: DGlue) -> Sites:
        return union(self.points.values())


def _effects_of(
    function: FunctionType, tree: ast.FunctionDef, judge: SourceJudge, reading_may_add: bool
) -> Effects | None:
    facts = _FunctionFacts(judge)
    facts.reading_may_add = reading_may_add
    heap = facts.heap
    names = parameters_of(tree.args)
    bound = names_of(tree.body)
    frame = Frame(
        0, function, "", frozenset({*names, *bound.binds, *bound.deletes, *bound.declared}), _RESULT
    )
    for name in names:
        facts.point(name, heap.opaque(("given", name)))
    for name in _with_shared_default(tree.args):
        facts.outside |= (default := heap.opaque(("default", name)))
        facts.point(name, default)
    versions = _Versions(frame, tree.body)
    heap.grew = True
    while heap.grew:
        heap.grew = False
        heap.forget()
        versions.read(facts)
    heap.forget()
    own = (1 << 2 * len(names)) - 1
    if heap.seen(heap.reach(facts.outside)) & own:
        return None
    return _summary(tree.args, facts)


def _summary(arguments: ast.arguments, facts: Facts) -> Effects:
    """Return what was found of a function whose parameters got the first sites of the heap, two each."""
    heap, written, result = facts.heap, union(facts.written.values()), facts.points[_RESULT]
    count = 2 * len(parameters_of(arguments))
    own = (1 << count) - 1
    made = heap.reach(own | result) & ~own

    def parts(sites: Sites) -> Sites:
        sites = heap.seen(sites)
        return (sites & own) | (1 << count if sites & ~own else NONE)

    return Effects(
        arguments=arguments,
        written=written & own & facts.overwritten,
        resized=written & own & ~facts.overwritten,
        possible=facts.changed & own & ~written,
        result=parts(result),
        raised=_raised(facts, own, made, count),
        holds=(
            *(parts(heap.content(1 << part)) for part in range(count)),
            parts(union(heap.content(1 << site) for site in each(made))),
        ),
    )


def _raised(facts: Facts, own: Sites, made: Sites, count: int) -> Sites:
    """Return the parts that an exception may hold which leaves a function."""
    reach = facts.heap.seen(facts.heap.reach(union(facts.raises.values())))
    return (reach & own) | (1 << count if reach & made else NONE)


def _with_shared_default(arguments: ast.arguments) -> list[str]:
    """Return the parameters whose default is an object that all calls share."""
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(positional) - len(arguments.defaults)) + arguments.defaults
    pairs = [
        *zip(positional, defaults, strict=True),
        *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
    ]
    return [
        parameter.arg
        for parameter, default in pairs
        if default is not None and not isinstance(default, ast.Constant)
    ]


class _Versions:
    """A function's statements, each with the versions of its names that it reads and binds.

    The analysis knows no order. Yet ``df = df.copy()`` in the body of the function itself makes what stands
    below speak of the copy alone, so the name gets a new version there.
    """

    def __init__(self, frame: Frame, body: list[ast.stmt]) -> None:
        self._steps: list[tuple[DGlue, Scope]] = []
        captured = names_of(body).captured
        scope = Scope(frame)
        for number, statement in enumerate(body):
            after = scope
            targets = _surely_bound(statement) - captured
            if targets:
                after = scope.inner({name: f"{name}#{number}" for name in targets})
            self._steps.append((DGlue(_NOWHERE, [statement], scope), after))
            scope = after

    def read(self, facts: Facts) -> None:
        for glue, after in self._steps:
            (statement,) = glue.stmts
            if after is glue.scope:
                StatementReader(Reader(facts, glue)).statement(statement)
                continue
            assert isinstance(statement, (ast.Assign, ast.AnnAssign))
            assert statement.value is not None
            sites = Reader(facts, glue).read(statement.value)
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            for target in targets:
                Reader(facts, glue, after).bind(target, sites)


def _surely_bound(statement: ast.stmt) -> set[str]:
    """Return the names that an assignment binds anew, whatever they were before."""
    targets: Iterable[Any] = ()
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
        targets = [statement.target]
    if not all(isinstance(target, ast.Name) for target in targets):
        return set()
    return {target.id for target in targets}
