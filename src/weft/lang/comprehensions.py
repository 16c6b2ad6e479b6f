"""Lowering of comprehensions, and of generators that are handed to a call: loops that collect."""

from __future__ import annotations

import ast
from typing import Any

from weft.lang.draft import DCapture, DGlue, DLoop, Scope
from weft.lang.expressions import ATOM, ExpressionLowering, assign, constant, name_of, runtime_call
from weft.lang.names import names_of, plain_names
from weft.lang.purity import MUTATORS
from weft.lang.syntax import nodes_of, placed
from weft.lang.workflows import Workflow


class ComprehensionLowering(ExpressionLowering):
    """Adds comprehensions to the expressions. What makes a loop comes with the statements."""

    def _only_first_iterable(self, node: Any) -> bool:
        """Return whether the only step calls are in what a comprehension runs over: then it stays glue."""
        parts = [*(g.iter for g in node.generators[1:]), *(c for g in node.generators for c in g.ifs)]
        parts += (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,)
        return not any(map(self.holds, parts))

    def _with_first_iterable(self, node: Any) -> ast.expr:
        first = self._rebuild(node.generators[0], iter=self._first_iterable(node))
        return self._rebuild(node, generators=[first, *node.generators[1:]])  # type: ignore[no-any-return]

    def lower_ListComp(self, node: ast.ListComp) -> ast.expr:
        return self._collect(node, ast.List([], ast.Load()), "append")

    def lower_SetComp(self, node: ast.SetComp) -> ast.expr:
        empty = runtime_call("empty_set", [], node)
        return self._collect(node, empty, "add")

    def lower_DictComp(self, node: ast.DictComp) -> ast.expr:
        return self._collect(node, ast.Dict([], []), "")

    def lower_GeneratorExp(self, node: ast.GeneratorExp) -> ast.expr:
        if self._only_first_iterable(node):
            whole = self._with_first_iterable(node)
            setattr(whole, ATOM, getattr(node, ATOM, False))
            return whole
        bound = names_of([node]).binds & self.loaded_elsewhere(node)
        if bound and getattr(node, ATOM) != "whole":
            self.finder.refuse("walrus-in-generator", node, sorted(bound)[0])
        if not getattr(node, ATOM, False):
            self.finder.refuse("kept-generator", node)
            return constant(None, node)
        error = self.temp()
        self.glue(assign(error, constant(None, node)))
        first = self._first_iterable(node)
        capture = DCapture(self.span(node), [], self.env(error), whole=getattr(node, ATOM) == "whole")
        self.block.append(capture)
        with self.into(capture.body):
            items = self._collect(node, ast.List([], ast.Load()), "append", first)
        assert isinstance(items, ast.Name)
        capture.items = self.env(items.id)
        self.sure.add(capture.items)
        replay = runtime_call("replay", [items, name_of(error, node)], node)
        setattr(replay, ATOM, True)
        return replay

    def _first_iterable(self, node: Any) -> ast.expr:
        """Lower the first iterable of a comprehension, which is evaluated in the scope around it."""
        return self.lower(node.generators[0].iter)

    def _collect(self, node: Any, empty: ast.expr, add: str, first: ast.expr | None = None) -> ast.expr:
        if first is None and self._only_first_iterable(node):
            return self._with_first_iterable(node)
        result = self.temp()
        if first is None:
            first = self._first_iterable(node)
        start = DGlue(
            self.span(node),
            [assign(result, ast.copy_location(empty, node))],
            self.scope,
            self.handling,
            in_loop=self.loop,
        )
        self.frame.kinds[result] = {"append": list, "add": set, "": dict}[add]
        self._generator(node, 0, first, result, add, start)
        self.sure.add(self.env(result))
        return name_of(result, node)

    def _generator(
        self, node: Any, depth: int, iterable: ast.expr, result: str, add: str, start: DGlue | None
    ) -> None:
        generator = node.generators[depth]
        if generator.is_async:
            self.finder.refuse("async-comprehension", generator.target)
        inner = self.scope if depth else self._comprehension_scope(node)
        later = names_of(g.target for g in node.generators[depth + 1 :]).binds
        fused: list[ast.expr] = []
        rest = list(generator.ifs)
        if plain_names(generator.target) and self._is_quiet(node):
            while rest and self._can_fuse(rest[0], later):
                fused.append(rest.pop(0))

        place = len(generator.ifs) - len(rest)

        def body(fresh: Any) -> None:
            self._filtered(fresh, depth, fresh.generators[depth].ifs[place:], result, add)

        loop = self.make_loop(node, generator.target, iterable, fused, inner, body, comprehension=True)
        if start is not None:
            loop.prelude.append(start)

    def _comprehension_scope(self, node: Any) -> Scope:
        """Return the scope of a comprehension's targets: fresh names, unbound where they are read too early."""
        self._temps += 1
        bound = names_of(generator.target for generator in node.generators).binds
        scope = self.scope.inner({name: f"{name}@{self._temps}" for name in bound})
        for name in sorted(_read_too_early(node)):
            outer, self.scope = self.scope, scope
            empty = ast.copy_location(ast.Delete([ast.Name(name, ast.Del())]), node)
            self.glue(assign(name, constant(None, node)), placed(empty))
            self.scope = outer
        return scope

    def _is_quiet(self, node: Any) -> bool:
        """Return whether nothing in a comprehension binds or changes what a filter may read in between."""
        for inner in nodes_of(node):
            if isinstance(inner, ast.NamedExpr):
                return False
            if isinstance(inner, ast.Call):
                changes = isinstance(inner.func, ast.Attribute) and inner.func.attr in MUTATORS
                if changes or isinstance(self.finder.callees.get(id(inner)), Workflow):
                    return False
        return True

    def _can_fuse(self, condition: ast.expr, later: set[str]) -> bool:
        """Return whether a filter can be evaluated where the loop's items are read."""
        found = names_of([condition])
        return not (self.holds(condition) or found.binds or found.loads & later)

    def _filtered(self, node: Any, depth: int, rest: list[ast.expr], result: str, add: str) -> None:
        if rest:
            branch = self.branch(self.lower(rest[0]), "if")
            with self.into(branch.arms[0]):
                self._filtered(node, depth, rest[1:], result, add)
        elif depth + 1 < len(node.generators):
            iterable = self.lower(node.generators[depth + 1].iter)
            self._generator(node, depth + 1, iterable, result, add, None)
        else:
            self._element(node, result, add)

    def _element(self, node: Any, result: str, add: str) -> None:
        if isinstance(node, ast.DictComp):
            key, value = self.lower_all([node.key, node.value])
            place = ast.Subscript(name_of(result, node), key, ast.Store())
            statement: ast.stmt = ast.Assign([ast.copy_location(place, key)], value)
        else:
            value = self.lower(node.elt)
            method = ast.copy_location(ast.Attribute(name_of(result, node), add, ast.Load()), value)
            statement = ast.Expr(ast.copy_location(ast.Call(method, [value], []), value))
        self.glue(ast.copy_location(statement, value))

    def loaded_elsewhere(self, node: Any) -> set[str]:
        raise NotImplementedError

    def make_loop(
        self,
        node: ast.AST,
        target: ast.expr,
        iterable: ast.expr,
        filters: list[ast.expr],
        scope: Scope,
        body: Any,
        comprehension: bool = False,
    ) -> DLoop:
        raise NotImplementedError


def _read_too_early(node: Any) -> set[str]:
    """Return the targets of a comprehension that stand in it before the ``for`` that binds them."""
    found: set[str] = set()
    for place, generator in enumerate(node.generators):
        later = names_of(g.target for g in node.generators[place + 1 :]).binds
        iterable = [generator.iter] if place else []
        found |= names_of(generator.ifs).loads & later
        found |= names_of(iterable).loads & (later | names_of([generator.target]).binds)
    earlier: set[str] = set()
    for generator in node.generators:
        found -= earlier & names_of([generator.target]).binds
        earlier |= names_of([generator.target]).binds
    return found
