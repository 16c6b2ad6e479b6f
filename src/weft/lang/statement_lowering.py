"""Lowering of statements: assignments, branches, loops, and what leaves a block."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from weft.lang.draft import (
    TEMP,
    DBreak,
    DCapture,
    DContinue,
    DGlue,
    DReturn,
)
from weft.lang.making import constant, consumed_here, name_of, rebuild, runtime_call
from weft.lang.names import names_of
from weft.lang.statements import (
    exits_of,
    has_effect,
    surely_leaves,
)
from weft.lang.steps import Step
from weft.lang.workflows import Workflow

if TYPE_CHECKING:
    from weft.lang.lowering import Lowering

_ALWAYS: Final = (ast.Return, ast.Break, ast.Continue, ast.Assign, ast.Raise, ast.Assert)


class StatementLowering:
    """Turns statements into draft nodes."""

    def __init__(self, parts: Lowering) -> None:
        self.parts = parts
        self.draft = parts.draft

    def statements(self, body: Sequence[ast.stmt]) -> None:
        for statement in body:
            self.statement(statement)

    def statement(self, node: ast.stmt) -> None:
        """Lower one statement."""
        if isinstance(node, (ast.Global, ast.Nonlocal)):
            return  # Refused where it was found.
        if isinstance(node, ast.Pass) or (
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        ):
            return
        if isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
            self.draft.finder.refuse("star-import", node)
        method = self._method_for(node)
        if method is not None and (self.draft.holds(node) or isinstance(node, _ALWAYS)):
            method(node)
        elif self.draft.holds(node):
            self.draft.finder.refuse("not-supported", node, type(node).__name__.lower())
        else:
            self.plain(node)

    def _method_for(self, node: ast.stmt) -> Callable[[Any], None] | None:
        name = f"on_{type(node).__name__}"
        return getattr(self, name, None) or getattr(self.parts.compounds, name, None)

    def plain(self, node: ast.stmt) -> DGlue:
        """Append a statement without step calls, as it is."""
        glue = self.draft.glue(node, effect=has_effect(node))
        glue.exits = exits_of(node)
        return glue

    def on_Expr(self, node: ast.Expr) -> None:
        target = self.draft.finder.callees.get(id(node.value)) if isinstance(node.value, ast.Call) else None
        if isinstance(target, Workflow):
            assert isinstance(node.value, ast.Call)
            self.parts.inliner.workflow_call(node.value, target, used=False)
            return
        value = self.parts.expressions.lower(node.value)
        if not isinstance(value, ast.Name):
            statement = ast.copy_location(ast.Expr(value), node)
            self.draft.glue(statement, effect=has_effect(statement))

    def on_Assign(self, node: ast.Assign) -> None:
        target = node.targets[0]
        step = self.draft.finder.callees.get(id(node.value)) if isinstance(node.value, ast.Call) else None
        if any(isinstance(part, (ast.Tuple, ast.List)) for part in node.targets):
            consumed_here(node.value)
        if len(node.targets) == 1 and isinstance(target, ast.Name) and isinstance(step, Step):
            assert isinstance(node.value, ast.Call)
            self.parts.calls.step_call(node.value, step, target.id)
            return
        if not self.draft.holds(node) and not (isinstance(node.value, ast.Name) and _is_name(node.targets)):
            self.plain(node)
            return
        value = self.parts.expressions.lower(node.value)
        if len(node.targets) == 1 and isinstance(target, ast.Name):
            self.draft.bind_name(target.id, value)
            return
        if any(self.draft.holds(part) for part in node.targets) and not self.draft.is_atom(
            value, node.targets
        ):
            value = self.draft.spill(value)
        targets = [self.lower_target(part) for part in node.targets]
        self.draft.glue(ast.copy_location(ast.Assign(targets, value), node))

    def lower_target(self, target: ast.expr) -> ast.expr:
        """Lower the parts of an assignment's target that are evaluated before the store."""
        if not self.draft.holds(target):
            return target
        if isinstance(target, ast.Subscript):
            value, index = self.parts.expressions.lower_all([target.value, target.slice])
            return rebuild(target, value=value, slice=index)
        if isinstance(target, ast.Attribute):
            return rebuild(target, value=self.parts.expressions.lower(target.value))
        if isinstance(target, (ast.Tuple, ast.List)):
            return rebuild(target, elts=[self.lower_target(part) for part in target.elts])
        return rebuild(target, value=self.lower_target(target.value))  # type: ignore[attr-defined]

    def on_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.draft.finder.holds.add(
                id(plain := ast.copy_location(ast.Assign([node.target], node.value), node))
            )
            self.draft.finder._keep.append(plain)
            self.on_Assign(plain)

    def on_AugAssign(self, node: ast.AugAssign) -> None:
        """``d[k] += step()``: d, k, the load of d[k], the step, the operation, the store."""
        target = node.target
        load: ast.expr
        if isinstance(target, ast.Name):
            store: ast.expr = target
            load = name_of(target.id, target)
            env = self.draft.env(target.id)
            old: ast.expr = load
            if env not in self.draft.sure or target.id in names_of([node.value]).binds:
                old = self.draft.spill(load)
        elif isinstance(target, ast.Subscript):
            value, index = self.parts.expressions.lower_all([target.value, target.slice])
            value = value if self.draft.is_atom(value, [node.value]) else self.draft.spill(value)
            index = index if self.draft.is_atom(index, [node.value]) else self.draft.spill(index)
            store = rebuild(target, value=value, slice=index)
            old = self.draft.spill(rebuild(target, value=value, slice=index, ctx=ast.Load()))
        else:
            value = self.parts.expressions.lower(target.value)
            value = value if self.draft.is_atom(value, [node.value]) else self.draft.spill(value)
            store = rebuild(target, value=value)
            old = self.draft.spill(rebuild(target, value=value, ctx=ast.Load()))
        consumed_here(node.value)
        result = self.parts.expressions.lower(node.value)
        assert isinstance(old, ast.Name)
        operation = ast.copy_location(ast.AugAssign(name_of(old.id, node, store=True), node.op, result), node)
        if isinstance(store, ast.Name) and store.id == old.id:
            self.draft.glue(operation)
        else:
            self.draft.glue(operation, ast.copy_location(ast.Assign([store], name_of(old.id, node)), node))

    def on_Return(self, node: ast.Return) -> None:
        value = self.parts.expressions.lower(node.value) if node.value is not None else constant(None, node)
        self.draft.bind_name(TEMP + "return", value)
        self.draft.block.append(DReturn(self.draft.span(node)))

    def on_FunctionDef(self, node: ast.FunctionDef) -> None:
        """Step calls in decorators and defaults are made where the function is defined."""
        arguments = node.args
        parts = [*node.decorator_list, *arguments.defaults, *arguments.kw_defaults]
        lowered = self.parts.expressions.lower_all(parts)
        first, second = len(node.decorator_list), len(node.decorator_list) + len(arguments.defaults)
        made = rebuild(arguments, defaults=lowered[first:second], kw_defaults=lowered[second:])
        self.plain(rebuild(node, decorator_list=lowered[:first], args=made))

    def on_If(self, node: ast.If) -> None:
        branch = self.draft.branch(self.parts.expressions.lower(node.test), "if")
        sures = []
        for arm, body in zip(branch.arms, (node.body, node.orelse), strict=True):
            with self.draft.into(arm):
                self.statements(body)
                if not surely_leaves(body):
                    sures.append(self.draft.sure)
        if sures:
            self.draft.sure = set.intersection(*sures)

    def on_While(self, node: ast.While) -> None:
        self.draft.finder.refuse("unbounded-loop", node)

    def on_Delete(self, node: ast.Delete) -> None:
        targets = []
        for place, target in enumerate(node.targets):
            lowered = self.lower_target(target)
            if any(self.draft.holds(later) for later in node.targets[place + 1 :]):
                self.draft.glue(ast.copy_location(ast.Delete([lowered]), node))
            else:
                targets.append(lowered)
        if targets:
            self.draft.glue(ast.copy_location(ast.Delete(targets), node))

    def on_Assert(self, node: ast.Assert) -> None:
        if not __debug__:
            return
        test = self.parts.expressions.lower(node.test)
        if node.msg is None or not self.draft.holds(node.msg):
            self._guard(ast.copy_location(ast.Assert(test, node.msg), node))
            return
        negated = ast.copy_location(ast.UnaryOp(ast.Not(), test), node.test)
        branch = self.draft.branch(negated, "assert")
        with self.draft.into(branch.arms[0]):
            message = self.parts.expressions.lower(node.msg)
            error = runtime_call("assertion", [message], node)
            self._guard(ast.copy_location(ast.Raise(error, None), node))

    def on_Raise(self, node: ast.Raise) -> None:
        error, cause = self.parts.expressions.lower_all([node.exc, node.cause])
        self._guard(ast.copy_location(ast.Raise(error, cause), node))

    def _guard(self, statement: ast.stmt) -> None:
        self.draft.glue(statement).exits = {"raise"}

    def on_Break(self, node: ast.Break) -> None:
        self.draft.block.append(DBreak(self.draft.span(node)))

    def on_Continue(self, node: ast.Continue) -> None:
        self.draft.block.append(DContinue(self.draft.span(node)))

    def on_For(self, node: ast.For) -> None:
        consumed_here(node.iter)
        iterable = self.parts.expressions.lower(node.iter)
        generator = next((one for one in reversed(self.draft.block) if isinstance(one, DCapture)), None)
        if not isinstance(node.iter, ast.GeneratorExp):
            generator = None
        if not any(self.draft.holds(part) for part in [*node.body, *node.orelse]):
            self.plain(rebuild(node, iter=iterable)).generator = generator
            return
        loop = self.parts.loops.make_loop(
            node, node.target, iterable, [], self.draft.scope, lambda fresh: self.statements(fresh.body)
        )
        loop.generator = generator
        with self.draft.into(loop.orelse):
            outer, self.draft.loop = self.draft.loop, loop.outer
            self.statements(node.orelse)
            self.draft.loop = outer

    def on_AsyncFor(self, node: ast.AsyncFor) -> None:
        self.draft.finder.refuse("async-form", node, "for")


def _is_name(targets: list[ast.expr]) -> bool:
    return len(targets) == 1 and isinstance(targets[0], ast.Name)
