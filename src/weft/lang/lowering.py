"""Lowering of statements: a function's body becomes draft nodes. See ``expressions`` for what is inside them."""

from __future__ import annotations

import ast
import copy
import inspect
from collections.abc import Callable, Sequence
from typing import Any, Final

from weft.lang.calls import CallFinder
from weft.lang.comprehensions import ComprehensionLowering
from weft.lang.draft import (
    TEMP,
    AnyDraft,
    DBranch,
    DBreak,
    DCapture,
    DContinue,
    DGlue,
    DGroup,
    DHandler,
    DLimit,
    DLoop,
    DReturn,
    DTry,
    Frame,
    Scope,
)
from weft.lang.expressions import assign, constant, consumed_here, name_of, runtime_call
from weft.lang.limits import LimitCall, read_limit
from weft.lang.names import names_of, parameters_of, plain_names
from weft.lang.resolve import Marked, free_values, resolve
from weft.lang.source import FunctionSource, function_source
from weft.lang.statements import (
    Function,
    default_of,
    exits_of,
    has_effect,
    kinds_of,
    match_parameters,
    surely_leaves,
)
from weft.lang.steps import Step
from weft.lang.syntax import nodes_of
from weft.lang.unroll import Item, unrolled_items
from weft.lang.workflows import Workflow
from weft.program.nodes import Unit

UNBOUNDED: Final = {("itertools", "count"), ("itertools", "cycle"), ("itertools", "repeat")}


class Lowering(ComprehensionLowering):
    """Lowers a workflow and the workflows that it calls.

    State beside ``ExpressionLowering``'s: ``units``, the functions met so far; ``stack``, the workflows being
    inlined now; ``path``, names of the groups around.
    """

    def __init__(self, finder: CallFinder) -> None:
        super().__init__(finder)
        self.units: list[Unit] = []
        self.stack: list[Workflow[..., Any]] = []
        self.sources: list[FunctionSource] = []

    # -- functions ----------------------------------------------------------------------------------

    def enter(self, workflow: Workflow[..., Any], suffix: str, result: str) -> tuple[Scope, Function]:
        """Read a workflow's source, make its scope and mark its step calls."""
        source = function_source(workflow.function)
        tree = source.tree
        self.finder.file = source.file
        unit = Unit(
            name=workflow.name,
            module=source.module,
            file=source.file,
            first_line=source.first_line,
            source=source.text,
            future=source.future_flags,
        )
        self.units.append(unit)
        self.sources.append(source)
        found = names_of(tree.body)
        captured = free_values(workflow.function)  # type: ignore[arg-type]
        locals_ = found.binds | found.deletes | found.declared | set(parameters_of(tree.args)) | set(captured)
        frame = Frame(len(self.units) - 1, workflow.function, suffix, frozenset(locals_), result)
        frame.kinds.update(kinds_of(tree, found.binds - set(parameters_of(tree.args))))
        scope = Scope(frame)
        self._check_function(workflow, tree, scope)
        for name in captured:
            # What is only called, or is a module, is found at compile time and never becomes a value.
            if not isinstance(captured[name], Marked):
                self.captured[name + suffix] = captured[name]
        self.finder.scan(tree.body, scope)
        return scope, tree

    def _check_function(self, workflow: Workflow[..., Any], tree: Function, scope: Scope) -> None:
        if isinstance(tree, ast.AsyncFunctionDef):
            self.finder.refuse("await-in-workflow", tree, "async def")
        inner = inspect.unwrap(workflow.function)
        if inner is not workflow.function:
            # The second decorator made a function that wraps the one that the user wrote.
            source = function_source(inner)
            self.finder.file, tree = source.file, source.tree
        for part in tree.decorator_list:
            if not _is_workflow_decorator(part, scope):
                self.finder.refuse("second-decorator", part)

    def lower_body(self, tree: Function, scope: Scope, block: list[AnyDraft]) -> None:
        """Lower a whole function into ``block``."""
        outer = self.scope if hasattr(self, "scope") else None
        self.scope = scope
        with self.into(block):
            self.sure.update(
                (scope.frame.suffix and name + scope.frame.suffix) or name
                for name in parameters_of(tree.args)
            )
            self.sure.update(
                env
                for env in self.captured
                if env in {name + scope.frame.suffix for name in scope.frame.locals}
            )
            self.statements(tree.body)
        if outer is not None:
            self.scope = outer

    def workflow_call(self, node: ast.Call, target: Workflow[..., Any], used: bool = True) -> ast.expr:
        if any(target.function is running.function for running in self.stack):
            names = " → ".join([running.name for running in self.stack] + [target.name])
            self.finder.refuse("recursion", node, names)
            return constant(None, node)
        self._temps += 1
        suffix = f"@{self._temps}"
        result_local = self.temp()
        result = self.env(result_local)
        file, caller = self.finder.file, self.scope
        arguments = self._bound_arguments(node, target, suffix)
        self.stack.append(target)
        scope, tree = self.enter(target, suffix, result)
        self.finder.file = file
        group = DGroup(self.span(node), target.name, self.site(target.name), [], result)
        for parameter, value in arguments:
            self.bind_parameter(parameter + suffix, value, node)
        self.block.append(group)
        outer_sites, self._sites, outer_loop = self._sites, {}, self.loop
        self.finder.file = self.sources[scope.frame.unit].file
        self.lower_body(tree, scope, group.body)
        if used and not surely_leaves(tree.body):
            self.scope = scope
            with self.into(group.body):
                self.glue(assign(TEMP + "return", constant(None, tree.body[-1])))
            self.scope = caller
        self.finder.file = file
        self._sites, self.loop = outer_sites, outer_loop
        self.stack.pop()
        self.sure.add(result)
        return name_of(result_local, node)

    def bind_parameter(self, env: str, value: ast.expr, at: ast.AST) -> None:
        """Append what makes the environment name ``env`` of another function hold ``value``."""
        local = self.temp()
        self.scope.names[local] = env
        self.bind_name(local, value)
        self.sure.add(env)

    def _bound_arguments(
        self, node: ast.Call, target: Workflow[..., Any], suffix: str
    ) -> list[tuple[str, ast.expr]]:
        """Lower a call's arguments and give each parameter of ``target`` its expression."""
        tree = function_source(target.function).tree
        lowered = self.lower_all(self._arguments(node))
        places = match_parameters(node, tree.args)
        if places is None:
            # Stars, defaults of a shape that is not plain, or a wrong call: Python itself binds them.
            call = self._with_arguments(node, node.func, lowered)
            bound = runtime_call("bind", [node.func, *call.args], node)
            bound.keywords = call.keywords
            whole = self.spill(bound)
            names = parameters_of(tree.args)
            return [
                (name, ast.copy_location(ast.Subscript(whole, constant(place, node), ast.Load()), node))
                for place, name in enumerate(names)
            ]
        result: list[tuple[str, ast.expr]] = []
        for name in parameters_of(tree.args):
            place = places[name]
            if place is None:
                self.captured[f"@default.{name}{suffix}"] = default_of(target.function, name)
                local = self.temp()
                self.scope.names[local] = f"@default.{name}{suffix}"
                self.sure.add(f"@default.{name}{suffix}")
                result.append((name, name_of(local, node)))
            else:
                value = lowered[place]
                later = lowered[place + 1 :]
                result.append((name, value if self.is_atom(value, later) else self.spill(value)))
        return result

    # -- statements ---------------------------------------------------------------------------------

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
            self.finder.refuse("star-import", node)
        method = getattr(self, f"on_{type(node).__name__}", None)
        if method is not None and (self.holds(node) or isinstance(node, _ALWAYS)):
            method(node)
        elif self.holds(node):
            self.finder.refuse("not-supported", node, type(node).__name__.lower())
        else:
            self.plain(node)

    def plain(self, node: ast.stmt) -> DGlue:
        """Append a statement without step calls, as it is."""
        glue = self.glue(node, effect=has_effect(node))
        glue.exits = exits_of(node)
        return glue

    def on_Expr(self, node: ast.Expr) -> None:
        target = self.finder.callees.get(id(node.value)) if isinstance(node.value, ast.Call) else None
        if isinstance(target, Workflow):
            assert isinstance(node.value, ast.Call)
            self.workflow_call(node.value, target, used=False)
            return
        value = self.lower(node.value)
        if not isinstance(value, ast.Name):
            statement = ast.copy_location(ast.Expr(value), node)
            self.glue(statement, effect=has_effect(statement))

    def on_Assign(self, node: ast.Assign) -> None:
        target = node.targets[0]
        step = self.finder.callees.get(id(node.value)) if isinstance(node.value, ast.Call) else None
        if any(isinstance(part, (ast.Tuple, ast.List)) for part in node.targets):
            consumed_here(node.value)
        if len(node.targets) == 1 and isinstance(target, ast.Name) and isinstance(step, Step):
            assert isinstance(node.value, ast.Call)
            self.step_call(node.value, step, target.id)
            return
        if not self.holds(node) and not (isinstance(node.value, ast.Name) and _is_name(node.targets)):
            self.plain(node)
            return
        value = self.lower(node.value)
        if len(node.targets) == 1 and isinstance(target, ast.Name):
            self.bind_name(target.id, value)
            return
        if any(self.holds(part) for part in node.targets) and not self.is_atom(value, node.targets):
            value = self.spill(value)
        targets = [self.lower_target(part) for part in node.targets]
        self.glue(ast.copy_location(ast.Assign(targets, value), node))

    def lower_target(self, target: ast.expr) -> ast.expr:
        """Lower the parts of an assignment's target that are evaluated before the store."""
        if not self.holds(target):
            return target
        if isinstance(target, ast.Subscript):
            value, index = self.lower_all([target.value, target.slice])
            return self._rebuild(target, value=value, slice=index)
        if isinstance(target, ast.Attribute):
            return self._rebuild(target, value=self.lower(target.value))
        if isinstance(target, (ast.Tuple, ast.List)):
            return self._rebuild(target, elts=[self.lower_target(part) for part in target.elts])
        return self._rebuild(target, value=self.lower_target(target.value))  # type: ignore[attr-defined]

    def on_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.finder.holds.add(id(plain := ast.copy_location(ast.Assign([node.target], node.value), node)))
            self.finder._keep.append(plain)
            self.on_Assign(plain)

    def on_AugAssign(self, node: ast.AugAssign) -> None:
        """``d[k] += step()``: d, k, the load of d[k], the step, the operation, the store."""
        target = node.target
        load: ast.expr
        if isinstance(target, ast.Name):
            store: ast.expr = target
            load = name_of(target.id, target)
            env = self.env(target.id)
            old: ast.expr = load
            if env not in self.sure or target.id in names_of([node.value]).binds:
                old = self.spill_value(load)
        elif isinstance(target, ast.Subscript):
            value, index = self.lower_all([target.value, target.slice])
            value = value if self.is_atom(value, [node.value]) else self.spill_value(value)
            index = index if self.is_atom(index, [node.value]) else self.spill_value(index)
            store = self._rebuild(target, value=value, slice=index)
            old = self.spill_value(self._rebuild(target, value=value, slice=index, ctx=ast.Load()))
        else:
            value = self.lower(target.value)
            value = value if self.is_atom(value, [node.value]) else self.spill_value(value)
            store = self._rebuild(target, value=value)
            old = self.spill_value(self._rebuild(target, value=value, ctx=ast.Load()))
        consumed_here(node.value)
        result = self.lower(node.value)
        assert isinstance(old, ast.Name)
        operation = ast.copy_location(ast.AugAssign(name_of(old.id, node, store=True), node.op, result), node)
        if isinstance(store, ast.Name) and store.id == old.id:
            self.glue(operation)
        else:
            self.glue(operation, ast.copy_location(ast.Assign([store], name_of(old.id, node)), node))

    def spill_value(self, value: ast.expr) -> ast.expr:
        """Spill ``value``; a slice is evaluated as an object."""
        return self.spill(value)

    def on_Return(self, node: ast.Return) -> None:
        value = self.lower(node.value) if node.value is not None else constant(None, node)
        self.bind_name(TEMP + "return", value)
        self.block.append(DReturn(self.span(node)))

    def on_FunctionDef(self, node: ast.FunctionDef) -> None:
        """Step calls in decorators and defaults are made where the function is defined."""
        arguments = node.args
        parts = [*node.decorator_list, *arguments.defaults, *arguments.kw_defaults]
        lowered = self.lower_all(parts)
        first, second = len(node.decorator_list), len(node.decorator_list) + len(arguments.defaults)
        made = self._rebuild(arguments, defaults=lowered[first:second], kw_defaults=lowered[second:])
        self.plain(self._rebuild(node, decorator_list=lowered[:first], args=made))

    def on_If(self, node: ast.If) -> None:
        branch = self.branch(self.lower(node.test), "if")
        sures = []
        for arm, body in zip(branch.arms, (node.body, node.orelse), strict=True):
            with self.into(arm):
                self.statements(body)
                if not surely_leaves(body):
                    sures.append(self.sure)
        if sures:
            self.sure = set.intersection(*sures)

    def on_While(self, node: ast.While) -> None:
        self.finder.refuse("unbounded-loop", node)

    def on_Delete(self, node: ast.Delete) -> None:
        targets = []
        for place, target in enumerate(node.targets):
            lowered = self.lower_target(target)
            if any(self.holds(later) for later in node.targets[place + 1 :]):
                self.glue(ast.copy_location(ast.Delete([lowered]), node))
            else:
                targets.append(lowered)
        if targets:
            self.glue(ast.copy_location(ast.Delete(targets), node))

    def on_Assert(self, node: ast.Assert) -> None:
        if not __debug__:
            return
        test = self.lower(node.test)
        if node.msg is None or not self.holds(node.msg):
            self._guard(ast.copy_location(ast.Assert(test, node.msg), node))
            return
        negated = ast.copy_location(ast.UnaryOp(ast.Not(), test), node.test)
        branch = self.branch(negated, "assert")
        with self.into(branch.arms[0]):
            message = self.lower(node.msg)
            error = runtime_call("assertion", [message], node)
            self._guard(ast.copy_location(ast.Raise(error, None), node))

    def on_Raise(self, node: ast.Raise) -> None:
        error, cause = self.lower_all([node.exc, node.cause])
        self._guard(ast.copy_location(ast.Raise(error, cause), node))

    def _guard(self, statement: ast.stmt) -> None:
        self.glue(statement).exits = {"raise"}

    def on_Break(self, node: ast.Break) -> None:
        self.block.append(DBreak(self.span(node)))

    def on_Continue(self, node: ast.Continue) -> None:
        self.block.append(DContinue(self.span(node)))

    # -- loops --------------------------------------------------------------------------------------

    def on_For(self, node: ast.For) -> None:
        consumed_here(node.iter)
        iterable = self.lower(node.iter)
        generator = next((one for one in reversed(self.block) if isinstance(one, DCapture)), None)
        if not isinstance(node.iter, ast.GeneratorExp):
            generator = None
        if not any(self.holds(part) for part in [*node.body, *node.orelse]):
            self.plain(self._rebuild(node, iter=iterable)).generator = generator
            return
        loop = self.make_loop(
            node, node.target, iterable, [], self.scope, lambda fresh: self.statements(fresh.body)
        )
        loop.generator = generator
        with self.into(loop.orelse):
            outer, self.loop = self.loop, loop.outer
            self.statements(node.orelse)
            self.loop = outer

    def on_AsyncFor(self, node: ast.AsyncFor) -> None:
        self.finder.refuse("async-form", node, "for")

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
        unrolled = None if filters else unrolled_items(target, iterable, self.scope)
        loop = DLoop(
            self.span(node),
            scope,
            target,
            iterable,
            filters,
            [],
            [],
            outer=self.loop,
            comprehension=comprehension,
        )
        if unrolled is not None:
            self.block.append(loop)
            self._unroll(loop, node, unrolled, scope, body)
            return loop
        self._targets(loop, target, scope)
        loop.source = DGlue(self.span(iterable), [], self.scope, self.handling, items=loop, in_loop=self.loop)
        if names_of([iterable]).binds:
            # Python has no walrus in the iterable of a comprehension, which reads the items.
            whole = self.temp()
            loop.source.stmts = [assign(whole, iterable)]
            loop.iterable = name_of(whole, iterable)
        self.block.append(loop)
        block: list[AnyDraft] = []
        loop.bodies.append(block)
        self._in_body(loop, block, scope, body, node)
        return loop

    def _in_body(
        self, loop: DLoop, block: list[AnyDraft], scope: Scope, body: Callable[[Any], None], node: Any
    ) -> None:
        outer_loop, outer_scope = self.loop, self.scope
        with self.into(block):
            self.loop, self.scope = loop, scope
            self.sure.update(env for _, env in loop.targets)
            self.sure.update({f"@{loop.kept.removeprefix(TEMP)}", f"@{loop.index.removeprefix(TEMP)}"})
            if loop.unpack is not None:
                loop.unpack = self.glue(*loop.unpack.stmts)
            body(node)
        self.loop, self.scope = outer_loop, outer_scope

    def _targets(self, loop: DLoop, target: ast.expr, scope: Scope) -> None:
        """Decide what an item binds: names directly, or one element that glue in the body unpacks."""
        loop.kept, loop.index, loop.element = self.temp(), self.temp(), self.temp()
        names = plain_names(target)
        if names:
            loop.targets = [(name, scope.env(name) or name) for name in names]
        else:
            loop.targets = [(loop.element, "@" + loop.element.removeprefix(TEMP))]
            unpack = ast.copy_location(ast.Assign([target], name_of(loop.element, target)), target)
            loop.unpack = DGlue(self.span(target), [unpack], scope)

    def _check_iterable(self, iterable: ast.expr) -> None:
        if not isinstance(iterable, ast.Call):
            return
        found = resolve(iterable.func, self.scope)
        name = (getattr(found, "__module__", ""), getattr(found, "__name__", ""))
        endless = name in UNBOUNDED and not (
            name[1] == "repeat" and len(iterable.args) + len(iterable.keywords) > 1
        )
        if endless or (found is iter and len(iterable.args) == 2):
            self.finder.refuse("unbounded-iterable", iterable, ast.unparse(iterable))

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
            self.finder.scan(parts, inner)
            block: list[AnyDraft] = []
            loop.bodies.append(block)
            loaded = _loaded_as_values(parts, self.finder) | self.loaded_elsewhere(node)
            values = [part for part in item if not isinstance(part[2], Marked) or part[0] in loaded]

            def run(fresh: Any, values: Item = values) -> None:
                for name, expression, _ in values:
                    self.glue(assign(name, expression))
                body(fresh)

            self._in_body(loop, block, inner, run, fresh)

    def loaded_elsewhere(self, node: Any) -> set[str]:
        """Return names that the function reads outside ``node``."""
        inside = {id(inner) for inner in nodes_of(node)}
        tree = self.sources[self.frame.unit].tree
        return {
            inner.id
            for inner in nodes_of(tree)
            if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Load) and id(inner) not in inside
        }

    # -- try, with, match ---------------------------------------------------------------------------

    def on_Try(self, node: ast.Try) -> None:
        error_local = self.temp()
        error = self.env(error_local)
        body: list[AnyDraft] = []
        orelse: list[AnyDraft] = []
        final: list[AnyDraft] = []
        with self.into(body):
            self.statements(node.body)
        handlers = [self._handler(handler, error) for handler in node.handlers]
        match = self._match_handlers(node.handlers, error)
        with self.into(orelse):
            self.statements(node.orelse)
        with self.into(final):
            outer, self.handling = self.handling, error
            self.statements(node.finalbody)
            self.handling = outer
        self.block.append(DTry(self.span(node), body, match, handlers, orelse, final, error, self.handling))

    def _handler(self, handler: ast.ExceptHandler, error: str) -> DHandler:
        if handler.type is not None and self.holds(handler.type):
            self.finder.refuse("step-in-except-type", handler.type)
        block: list[AnyDraft] = []
        name = self.env(handler.name) if handler.name else None
        with self.into(block):
            outer, self.handling = self.handling, error
            if name:
                self.sure.add(name)
            self.statements(handler.body)
            self.handling = outer
        if name:
            self.sure.discard(name)
        label = f"except {ast.unparse(handler.type)}" if handler.type else "except"
        return DHandler(block, name, label)

    def _match_handlers(self, handlers: list[ast.ExceptHandler], error: str) -> DGlue | None:
        if not handlers:
            return None
        stmts: list[ast.stmt] = []
        for place, handler in enumerate(handlers):
            answer = ast.copy_location(ast.Return(constant(place, handler)), handler)
            if handler.type is None:
                stmts.append(answer)
                break
            test = runtime_call("matches", [handler.type], handler.type)
            stmts.append(ast.copy_location(ast.If(test, [answer], []), handler.type))
        else:
            stmts.append(ast.copy_location(ast.Return(constant(len(handlers), handlers[-1])), handlers[-1]))
        return DGlue(self.span(handlers[0]), [], self.scope, error, arm_body=stmts, in_loop=self.loop)

    def on_TryStar(self, node: ast.stmt) -> None:
        self.finder.refuse("except-star", node)

    def on_With(self, node: ast.With) -> None:
        limits = [read_limit(item, self.scope) for item in node.items]
        if not all(limits):
            self.finder.refuse("unsupported-with", node)
            return
        block = self.block
        for found in limits:
            if not isinstance(found, LimitCall):
                self.finder.refuse("dynamic-limit", node)
                return
            inner = DLimit(self.span(node), found.name, found.slots, [])
            block.append(inner)
            block = inner.body
        outer, self.block = self.block, block
        self.statements(node.body)
        self.block = outer

    def on_AsyncWith(self, node: ast.AsyncWith) -> None:
        self.finder.refuse("async-form", node, "with")

    def on_Match(self, node: ast.Match) -> None:
        subject = self.lower(node.subject)
        if not isinstance(subject, ast.Name) or not subject.id.startswith(TEMP):
            subject = self.spill(subject)
        self._cases(node, subject, list(node.cases))

    def _cases(self, node: ast.Match, subject: ast.expr, cases: list[ast.match_case]) -> None:
        if not cases:
            return
        guarded = next(
            (place for place, case in enumerate(cases) if case.guard and self.holds(case.guard)),
            len(cases) - 1,
        )
        chosen = cases[: guarded + 1]
        rest = cases[guarded + 1 :]
        split = bool(chosen[-1].guard and self.holds(chosen[-1].guard))
        arms: list[ast.match_case] = []
        for place, case in enumerate(chosen):
            if self.holds(case.pattern):
                self.finder.refuse("step-in-target", case.pattern)
            guard = None if split and case is chosen[-1] else case.guard
            answer = ast.copy_location(ast.Return(constant(place, case.pattern)), case.pattern)
            arms.append(ast.match_case(case.pattern, guard, [answer]))
        otherwise = ast.copy_location(ast.Return(constant(len(chosen), node)), node)
        decision = [ast.copy_location(ast.Match(subject, arms), node), otherwise]
        test = DGlue(self.span(node), [], self.scope, self.handling, arm_body=decision, in_loop=self.loop)
        branch = DBranch(
            self.span(node),
            test,
            [[] for _ in range(len(chosen) + 1)],
            [*(f"case {ast.unparse(case.pattern)}" for case in chosen), "no case"],
        )
        self.block.append(branch)
        for case, arm in zip(chosen, branch.arms, strict=False):
            with self.into(arm):
                self.sure.update(
                    env for name in names_of([case.pattern]).binds if (env := self.scope.env(name))
                )
                if split and case is chosen[-1]:
                    assert case.guard is not None
                    inner = self.branch(self.lower(case.guard), "guard")
                    with self.into(inner.arms[0]):
                        self.statements(case.body)
                    with self.into(inner.arms[1]):
                        self._cases(node, subject, rest)
                else:
                    self.statements(case.body)
        with self.into(branch.arms[-1]):
            self._cases(node, subject, rest)


_ALWAYS: Final = (ast.Return, ast.Break, ast.Continue, ast.Assign, ast.Raise, ast.Assert)


def _is_name(targets: list[ast.expr]) -> bool:
    return len(targets) == 1 and isinstance(targets[0], ast.Name)


def _is_workflow_decorator(part: ast.expr, scope: Scope) -> bool:
    found = resolve(part.func if isinstance(part, ast.Call) else part, scope)
    return (
        getattr(found, "__module__", "") == "weft.lang.workflows"
        and getattr(found, "__name__", "") == "workflow"
    )


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
