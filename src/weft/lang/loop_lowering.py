"""Lowering of loops: what their items bind, and their bodies, one for all items or one for each."""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from weft.lang.calls import CallFinder
from weft.lang.draft import (
    TEMP,
    AnyDraft,
    DGlue,
    DLoop,
    Scope,
)
from weft.lang.making import assign, name_of
from weft.lang.names import names_of, plain_names
from weft.lang.resolve import Marked, resolve
from weft.lang.syntax import nodes_of
from weft.lang.unroll import Item, unrolled_items

if TYPE_CHECKING:
    from weft.lang.lowering import Lowering

UNBOUNDED: Final = {("itertools", "count"), ("itertools", "cycle"), ("itertools", "repeat")}


class LoopLowering:
    """Makes loops, for statements and comprehensions alike; what the body holds is the caller's affair."""

    def __init__(self, parts: Lowering) -> None:
        self.parts = parts
        self.draft = parts.draft

    def make_loop(
        self,
        node: ast.AST,
        target: ast.expr,
        iterable: ast.expr,
        filters: list[ast.expr],
        scope: Scope,
        body: Callable[[Any], None],
        comprehension: bool = False,
    ) -> DLoop:
        self._check_iterable(iterable)
        unrolled = None if filters else unrolled_items(target, iterable, self.draft.scope)
        loop = DLoop(
            self.draft.span(node),
            scope,
            target,
            iterable,
            filters,
            [],
            [],
            outer=self.draft.loop,
            comprehension=comprehension,
        )
        if unrolled is not None:
            self.draft.block.append(loop)
            self._unroll(loop, node, unrolled, scope, body)
            return loop
        self._targets(loop, target, scope)
        loop.source = DGlue(
            self.draft.span(iterable),
            [],
            self.draft.scope,
            self.draft.handling,
            items=loop,
            in_loop=self.draft.loop,
        )
        if names_of([iterable]).binds:
            # Python has no walrus in the iterable of a comprehension, which reads the items.
            whole = self.draft.temp()
            loop.source.stmts = [assign(whole, iterable)]
            loop.label, loop.iterable = ast.unparse(iterable), name_of(whole, iterable)
        self.draft.block.append(loop)
        block: list[AnyDraft] = []
        loop.bodies.append(block)
        self._in_body(loop, block, scope, body, node)
        return loop

    def _in_body(
        self, loop: DLoop, block: list[AnyDraft], scope: Scope, body: Callable[[Any], None], node: Any
    ) -> None:
        outer_loop, outer_scope = self.draft.loop, self.draft.scope
        with self.draft.into(block):
            self.draft.loop, self.draft.scope = loop, scope
            # What a round deletes is gone in the next one.
            deleted = names_of(_body_parts(node)).deletes
            self.draft.unbind(env for name in deleted if (env := scope.env(name)))
            self.draft.sure.update(env for _, env in loop.targets)
            self.draft.sure.update({f"@{loop.kept.removeprefix(TEMP)}", f"@{loop.index.removeprefix(TEMP)}"})
            if loop.unpack is not None:
                loop.unpack = self.draft.glue(*loop.unpack.stmts)
            body(node)
        self.draft.loop, self.draft.scope = outer_loop, outer_scope

    def _targets(self, loop: DLoop, target: ast.expr, scope: Scope) -> None:
        """Decide what an item binds: names directly, or one element that glue in the body unpacks."""
        loop.kept, loop.index, loop.element = self.draft.temp(), self.draft.temp(), self.draft.temp()
        names = plain_names(target)
        if names:
            loop.targets = [(name, scope.env(name) or name) for name in names]
        else:
            loop.targets = [(loop.element, "@" + loop.element.removeprefix(TEMP))]
            unpack = ast.copy_location(ast.Assign([target], name_of(loop.element, target)), target)
            loop.unpack = DGlue(self.draft.span(target), [unpack], scope)

    def _check_iterable(self, iterable: ast.expr) -> None:
        if is_endless(iterable, self.draft.scope):
            self.draft.finder.refuse("unbounded-iterable", iterable, ast.unparse(iterable))

    def _unroll(
        self, loop: DLoop, node: Any, items: list[Item], scope: Scope, body: Callable[[Any], None]
    ) -> None:
        """Give the loop one body for each item, in which the targets that are steps are constants."""
        for item in items:
            fresh = copy.deepcopy(node)
            constants: dict[str, object] = {
                name: found for name, _, found in item if isinstance(found, Marked)
            }
            inner = scope.inner(constants=constants)
            parts = _body_parts(fresh)
            self.draft.finder.scan(parts, inner)
            block: list[AnyDraft] = []
            loop.bodies.append(block)
            loaded = _loaded_as_values(parts, self.draft.finder) | self.loaded_elsewhere(node)
            values = [part for part in item if not isinstance(part[2], Marked) or part[0] in loaded]

            def run(fresh: Any, values: Item = values) -> None:
                for name, expression, _ in values:
                    self.draft.glue(assign(name, expression))
                body(fresh)

            self._in_body(loop, block, inner, run, fresh)

    def loaded_elsewhere(self, node: Any) -> set[str]:
        """Return names that the function reads outside ``node``."""
        inside = {id(inner) for inner in nodes_of(node)}
        tree = self.parts.inliner.sources[self.draft.frame.unit].tree
        return {
            inner.id
            for inner in nodes_of(tree)
            if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Load) and id(inner) not in inside
        }


def is_endless(iterable: ast.expr, scope: Scope) -> bool:
    """Return whether an iterable is known to have no end."""
    if not isinstance(iterable, ast.Call):
        return False
    found = resolve(iterable.func, scope)
    name = (str(getattr(found, "__module__", "")), str(getattr(found, "__name__", "")))
    is_bounded = name[1] == "repeat" and len(iterable.args) + len(iterable.keywords) > 1
    return (name in UNBOUNDED and not is_bounded) or (found is iter and len(iterable.args) == 2)


def _body_parts(node: Any) -> list[ast.AST]:
    """Return what is evaluated once for each item of a loop or of a comprehension's first iterable."""
    if isinstance(node, ast.For):
        return list(node.body)
    parts: list[ast.AST] = []
    for place, generator in enumerate(node.generators):
        parts += [*([generator.iter] if place else []), *generator.ifs]
    return [*parts, *((node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,))]


def _loaded_as_values(body: Sequence[ast.AST], finder: CallFinder) -> set[str]:
    """Return names that are read other than as the callee of a step call."""
    callees = {
        id(node.func)
        for part in body
        for node in nodes_of(part)
        if isinstance(node, ast.Call) and id(node) in finder.callees
    }
    return {
        node.id
        for part in body
        for node in nodes_of(part)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and id(node) not in callees
    }
