"""Lowering of comprehensions, and of generators that are handed to a call: loops that collect."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from weft.lang.draft import (
    DCapture,
    DGlue,
    Scope,
)
from weft.lang.making import ATOM, assign, constant, name_of, rebuild, runtime_call
from weft.lang.names import names_of, plain_names
from weft.lang.purity import MUTATORS
from weft.lang.syntax import nodes_of, placed
from weft.lang.workflows import Workflow

if TYPE_CHECKING:
    from weft.lang.lowering import Lowering


class ComprehensionLowering:
    """Turns comprehensions with step calls into loops."""

    def __init__(self, parts: Lowering) -> None:
        self.parts = parts
        self.draft = parts.draft

    def lower(self, node: ast.expr) -> ast.expr:
        """Return what is left of a comprehension when its step calls are taken out."""
        return getattr(self, f"lower_{type(node).__name__}")(node)  # type: ignore[no-any-return]

    def _only_first_iterable(self, node: Any) -> bool:
        """Return whether the only step calls are in what a comprehension runs over: then it stays glue."""
        parts = [*(g.iter for g in node.generators[1:]), *(c for g in node.generators for c in g.ifs)]
        parts += (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,)
        return not any(map(self.draft.holds, parts))

    def _with_first_iterable(self, node: Any) -> ast.expr:
        first = rebuild(node.generators[0], iter=self._first_iterable(node))
        return rebuild(node, generators=[first, *node.generators[1:]])  # type: ignore[no-any-return]

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
        bound = names_of([node]).binds & self.parts.loops.loaded_elsewhere(node)
        if bound and getattr(node, ATOM) != "whole":
            self.draft.finder.refuse("walrus-in-generator", node, sorted(bound)[0])
        if not getattr(node, ATOM, False):
            self.draft.finder.refuse("kept-generator", node)
            return constant(None, node)
        error = self.draft.temp()
        self.draft.glue(assign(error, constant(None, node)))
        first = self._first_iterable(node)
        capture = DCapture(
            self.draft.span(node), [], self.draft.env(error), whole=getattr(node, ATOM) == "whole"
        )
        self.draft.block.append(capture)
        with self.draft.into(capture.body):
            items = self._collect(node, ast.List([], ast.Load()), "append", first)
        assert isinstance(items, ast.Name)
        capture.items = self.draft.env(items.id)
        self.draft.sure.add(capture.items)
        replay = runtime_call("replay", [items, name_of(error, node)], node)
        setattr(replay, ATOM, True)
        return replay

    def _first_iterable(self, node: Any) -> ast.expr:
        """Lower the first iterable of a comprehension, which is evaluated in the scope around it."""
        return self.parts.expressions.lower(node.generators[0].iter)

    def _collect(self, node: Any, empty: ast.expr, add: str, first: ast.expr | None = None) -> ast.expr:
        if first is None and self._only_first_iterable(node):
            return self._with_first_iterable(node)
        result = self.draft.temp()
        if first is None:
            first = self._first_iterable(node)
        start = DGlue(
            self.draft.span(node),
            [assign(result, ast.copy_location(empty, node))],
            self.draft.scope,
            self.draft.handling,
            in_loop=self.draft.loop,
        )
        self.draft.frame.kinds[result] = {"append": list, "add": set, "": dict}[add]
        self._generator(node, 0, first, result, add, start)
        self.draft.sure.add(self.draft.env(result))
        return name_of(result, node)

    def _generator(
        self, node: Any, depth: int, iterable: ast.expr, result: str, add: str, start: DGlue | None
    ) -> None:
        generator = node.generators[depth]
        if generator.is_async:
            self.draft.finder.refuse("async-comprehension", generator.target)
        inner = self.draft.scope if depth else self._comprehension_scope(node)
        later = names_of(g.target for g in node.generators[depth + 1 :]).binds
        fused: list[ast.expr] = []
        rest = list(generator.ifs)
        if plain_names(generator.target) and self._is_quiet(node):
            while rest and self._can_fuse(rest[0], later):
                fused.append(rest.pop(0))

        place = len(generator.ifs) - len(rest)

        def body(fresh: Any) -> None:
            self._filtered(fresh, depth, fresh.generators[depth].ifs[place:], result, add)

        loop = self.parts.loops.make_loop(
            node, generator.target, iterable, fused, inner, body, comprehension=True
        )
        if start is not None:
            loop.prelude.append(start)

    def _comprehension_scope(self, node: Any) -> Scope:
        """Return the scope of a comprehension's targets: fresh names, unbound where they are read too early."""
        self.draft.temps += 1
        bound = names_of(generator.target for generator in node.generators).binds
        scope = self.draft.scope.inner({name: f"{name}@{self.draft.temps}" for name in bound})
        for name in sorted(_read_too_early(node)):
            outer, self.draft.scope = self.draft.scope, scope
            empty = ast.copy_location(ast.Delete([ast.Name(name, ast.Del())]), node)
            self.draft.glue(assign(name, constant(None, node)), placed(empty))
            self.draft.scope = outer
        return scope

    def _is_quiet(self, node: Any) -> bool:
        """Return whether nothing in a comprehension binds or changes what a filter may read in between."""
        for inner in nodes_of(node):
            if isinstance(inner, ast.NamedExpr):
                return False
            if isinstance(inner, ast.Call):
                changes = isinstance(inner.func, ast.Attribute) and inner.func.attr in MUTATORS
                if changes or isinstance(self.draft.finder.callees.get(id(inner)), Workflow):
                    return False
        return True

    def _can_fuse(self, condition: ast.expr, later: set[str]) -> bool:
        """Return whether a filter can be evaluated where the loop's items are read."""
        found = names_of([condition])
        return not (self.draft.holds(condition) or found.binds or found.loads & later)

    def _filtered(self, node: Any, depth: int, rest: list[ast.expr], result: str, add: str) -> None:
        if rest:
            branch = self.draft.branch(self.parts.expressions.lower(rest[0]), "if")
            with self.draft.into(branch.arms[0]):
                self._filtered(node, depth, rest[1:], result, add)
        elif depth + 1 < len(node.generators):
            iterable = self.parts.expressions.lower(node.generators[depth + 1].iter)
            self._generator(node, depth + 1, iterable, result, add, None)
        else:
            self._element(node, result, add)

    def _element(self, node: Any, result: str, add: str) -> None:
        if isinstance(node, ast.DictComp):
            key, value = self.parts.expressions.lower_all([node.key, node.value])
            place = ast.Subscript(name_of(result, node), key, ast.Store())
            statement: ast.stmt = ast.Assign([ast.copy_location(place, key)], value)
        else:
            value = self.parts.expressions.lower(node.elt)
            method = ast.copy_location(ast.Attribute(name_of(result, node), add, ast.Load()), value)
            statement = ast.Expr(ast.copy_location(ast.Call(method, [value], []), value))
        self.draft.glue(ast.copy_location(statement, value))


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
