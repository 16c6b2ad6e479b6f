"""Which names a piece of Python reads, binds and deletes, with Python's own rules of scope."""

from __future__ import annotations

import ast
from collections.abc import Iterable

import msgspec

from weft.lang.syntax import FastVisitor, nodes_of

Comprehension = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
Function = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
NestedScope = (*Comprehension, *Function, ast.ClassDef)
_KNOWN = "_weft_names"


class Names(msgspec.Struct):
    """What some statements do with the names of the function they stand in.

    ``loads``: read, by themselves or by a function inside. ``exposed``: read where they may not have been
    bound by these statements before. ``binds``: bound. ``deletes``: unbound (``del``, ``except ... as``).
    ``captured``: read by a function or lambda inside, when it is called. ``declared``: made a local by an
    annotation without a value.
    """

    loads: set[str] = set()
    exposed: set[str] = set()
    binds: set[str] = set()
    deletes: set[str] = set()
    captured: set[str] = set()
    declared: set[str] = set()


def names_of(nodes: Iterable[ast.AST]) -> Names:
    """Return what ``nodes``, run in order, do with the names of their function. Not to be changed."""
    several = list(nodes)
    known: Names | None = getattr(several[0], _KNOWN, None) if len(several) == 1 else None
    if known is not None:
        return known
    walker = _Walker()
    for node in several:
        walker.visit(node)
    if len(several) == 1:
        # Syntax is never changed, only built anew, and is asked for its names several times.
        setattr(several[0], _KNOWN, walker.names)
    return walker.names


def parameters_of(arguments: ast.arguments) -> list[str]:
    """Return the names of a function's parameters, in order."""
    named = [*arguments.posonlyargs, *arguments.args]
    if arguments.vararg:
        named.append(arguments.vararg)
    named += arguments.kwonlyargs
    if arguments.kwarg:
        named.append(arguments.kwarg)
    return [argument.arg for argument in named]


class _Walker(FastVisitor):
    """Walks in the order of evaluation and knows which names are surely bound so far."""

    def __init__(self) -> None:
        self.names = Names()
        self.sure: set[str] = set()
        self.inner: list[set[str]] = []  # Names bound by the comprehensions and functions around.

    def load(self, name: str) -> None:
        if any(name in bound for bound in self.inner):
            return
        self.names.loads.add(name)
        if name not in self.sure:
            self.names.exposed.add(name)

    def bind(self, name: str) -> None:
        self.names.binds.add(name)
        self.sure.add(name)

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self.load(node.id)
        elif isinstance(node.ctx, ast.Del):
            self.load(node.id)
            self.names.deletes.add(node.id)
            self.sure.discard(node.id)
        elif not (self.inner and node.id in self.inner[-1]):
            self.bind(node.id)

    def visit_Assign(self, node: ast.Assign) -> None:
        self.visit(node.value)
        for target in node.targets:
            self.visit(target)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        # A local's annotation is not evaluated.
        if node.value is not None:
            self.visit(node.value)
            self.visit(node.target)
        elif isinstance(node.target, ast.Name):
            self.names.declared.add(node.target.id)
        else:
            self.generic_visit(node.target)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            self.load(node.target.id)
        self.visit(node.target)
        self.visit(node.value)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit(node.value)
        # A walrus in a comprehension binds in the function around it, perhaps never.
        if self.inner:
            self.names.binds.add(node.target.id)
        else:
            self.bind(node.target.id)

    def _block(self, body: list[ast.stmt]) -> set[str]:
        before = set(self.sure)
        for statement in body:
            self.visit(statement)
        after, self.sure = self.sure, before
        return after

    def visit_If(self, node: ast.If) -> None:
        self.visit(node.test)
        then, other = self._block(node.body), self._block(node.orelse)
        self.sure = _meet((node.body, then), (node.orelse, other))

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self.visit(node.test)
        before = set(self.sure)
        self.visit(node.body)
        then, self.sure = self.sure, set(before)
        self.visit(node.orelse)
        self.sure &= then

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        self.visit(node.values[0])
        after_first = set(self.sure)
        for value in node.values[1:]:
            self.visit(value)
        self.sure = after_first

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self.visit(node.iter)
        before = set(self.sure)
        self.visit(node.target)
        self._block(node.body)
        self.sure = before
        self._block(node.orelse)

    visit_AsyncFor = visit_For

    def visit_While(self, node: ast.While) -> None:
        self.visit(node.test)
        self._block(node.body)
        self._block(node.orelse)

    def visit_Try(self, node: ast.Try | ast.TryStar) -> None:
        before = set(self.sure)
        self._block(node.body)
        for handler in node.handlers:
            if handler.type:
                self.visit(handler.type)
            if handler.name:
                self.load(handler.name)
                self.bind(handler.name)
                self.names.deletes.add(handler.name)
            self._block(handler.body)
            self.sure = set(before)
        self._block(node.orelse)
        for statement in node.finalbody:
            self.visit(statement)

    visit_TryStar = visit_Try

    def visit_With(self, node: ast.With | ast.AsyncWith) -> None:
        for item in node.items:
            self.visit(item.context_expr)
            if item.optional_vars:
                self.visit(item.optional_vars)
        self._block(node.body)

    visit_AsyncWith = visit_With

    def visit_Match(self, node: ast.Match) -> None:
        self.visit(node.subject)
        before = set(self.sure)
        for case in node.cases:
            self.visit(case.pattern)
            if case.guard:
                self.visit(case.guard)
            self._block(case.body)
            self.sure = set(before)

    def visit_MatchAs(self, node: ast.MatchAs) -> None:
        self.generic_visit(node)
        if node.name:
            self.bind(node.name)

    def visit_MatchStar(self, node: ast.MatchStar) -> None:
        if node.name:
            self.bind(node.name)

    def visit_MatchMapping(self, node: ast.MatchMapping) -> None:
        self.generic_visit(node)
        if node.rest:
            self.bind(node.rest)

    def visit_Import(self, node: ast.Import | ast.ImportFrom) -> None:
        for alias in node.names:
            self.bind(alias.asname or alias.name.split(".")[0])

    visit_ImportFrom = visit_Import

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp) -> None:
        self.visit(node.generators[0].iter)
        bound = names_of(generator.target for generator in node.generators).binds
        self.inner.append(bound)
        for position, generator in enumerate(node.generators):
            self.visit(generator.target)
            if position:
                self.visit(generator.iter)
            for condition in generator.ifs:
                self.visit(condition)
        for part in (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,):
            self.visit(part)
        self.inner.pop()
        if isinstance(node, ast.GeneratorExp):
            loads = names_of_inside(node) - bound
            self.names.captured |= loads

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> None:
        for default in [*node.args.defaults, *(d for d in node.args.kw_defaults if d is not None)]:
            self.visit(default)
        for decorator in getattr(node, "decorator_list", []):
            self.visit(decorator)
        free = free_names(node)
        for name in free:
            self.load(name)
        self.names.captured |= {name for name in free if not any(name in bound for bound in self.inner)}
        if not isinstance(node, ast.Lambda):
            self.bind(node.name)

    visit_FunctionDef = visit_AsyncFunctionDef = visit_Lambda = _function

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for part in [*node.decorator_list, *node.bases, *(keyword.value for keyword in node.keywords)]:
            self.visit(part)
        inside = names_of(node.body)
        # A class body reads the function's name where it has not bound its own.
        for name in inside.exposed | inside.captured:
            self.load(name)
        self.names.captured |= inside.captured
        self.bind(node.name)


def plain_names(target: ast.expr) -> list[str]:
    """Return the names that a loop's target binds, if it binds nothing but names."""
    if isinstance(target, ast.Name):
        return [target.id]
    if isinstance(target, ast.Starred):
        return plain_names(target.value)
    if isinstance(target, (ast.Tuple, ast.List)):
        names: list[str] = []
        for part in target.elts:
            inner = plain_names(part)
            if not inner:
                return []
            names += inner
        return list(dict.fromkeys(names))
    return []


def names_of_inside(node: ast.AST) -> set[str]:
    """Return every name that is loaded anywhere inside ``node``."""
    return {
        inner.id
        for inner in nodes_of(node)
        if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Load)
    }


def free_names(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> set[str]:
    """Return the names that a function's body reads from around it."""
    body: list[ast.AST] = [node.body] if isinstance(node, ast.Lambda) else list(node.body)
    inside = names_of(body)
    declared = {
        name
        for statement in body
        for inner in nodes_of(statement)
        if isinstance(inner, (ast.Global, ast.Nonlocal))
        for name in inner.names
    }
    own = (inside.binds - declared) | set(parameters_of(node.args))
    return (inside.loads | inside.captured | (inside.binds & declared)) - own


def _meet(*sides: tuple[list[ast.stmt], set[str]]) -> set[str]:
    """Return what is surely bound after a branch: a side that leaves does not count."""
    going_on = [sure for body, sure in sides if not _leaves(body)]
    return set.intersection(*going_on) if going_on else set.intersection(*(sure for _, sure in sides))


def _leaves(body: list[ast.stmt]) -> bool:
    return bool(body) and isinstance(body[-1], (ast.Return, ast.Raise, ast.Break, ast.Continue))
