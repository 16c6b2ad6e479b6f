"""Functions: the workflow's own, and the workflows that it calls, which become groups inside it."""

from __future__ import annotations

import ast
import inspect
from typing import TYPE_CHECKING, Any

from weft.lang.draft import (
    TEMP,
    AnyDraft,
    DGroup,
    Frame,
    Scope,
)
from weft.lang.making import assign, constant, name_of, runtime_call
from weft.lang.names import names_of, parameters_of
from weft.lang.resolve import Marked, free_values, resolve
from weft.lang.source import FunctionSource, function_source
from weft.lang.statements import (
    Function,
    default_of,
    kinds_of,
    match_parameters,
    surely_leaves,
)
from weft.lang.workflows import Workflow
from weft.program.nodes import Unit

if TYPE_CHECKING:
    from weft.lang.lowering import Lowering


class Inliner:
    """Enters functions.

    State: ``units``, ``sources`` and ``functions``, those met so far; ``stack``, the workflows being inlined now;
    ``captured``: environment name → value of a captured variable or a default.
    """

    def __init__(self, parts: Lowering) -> None:
        self.parts = parts
        self.draft = parts.draft
        self.units: list[Unit] = []
        self.sources: list[FunctionSource] = []
        self.functions: list[Any] = []
        self.stack: list[Workflow[..., Any]] = []
        self.captured: dict[str, object] = {}

    def enter(self, workflow: Workflow[..., Any], suffix: str, result: str) -> tuple[Scope, Function]:
        """Read a workflow's source, make its scope and mark its step calls."""
        source = function_source(workflow.function)
        tree = source.tree
        self.draft.finder.file = source.file
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
        self.functions.append(workflow.function)
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
        self.draft.finder.scan(tree.body, scope)
        return scope, tree

    def _check_function(self, workflow: Workflow[..., Any], tree: Function, scope: Scope) -> None:
        if isinstance(tree, ast.AsyncFunctionDef):
            self.draft.finder.refuse("await-in-workflow", tree, "async def")
        inner = inspect.unwrap(workflow.function)
        if inner is not workflow.function:
            # The second decorator made a function that wraps the one that the user wrote.
            source = function_source(inner)
            self.draft.finder.file, tree = source.file, source.tree
        for part in tree.decorator_list:
            if not _is_workflow_decorator(part, scope):
                self.draft.finder.refuse("second-decorator", part)

    def lower_body(self, tree: Function, scope: Scope, block: list[AnyDraft]) -> None:
        """Lower a whole function into ``block``."""
        outer = self.draft.scope if hasattr(self.draft, "scope") else None
        self.draft.scope = scope
        with self.draft.into(block):
            self.draft.sure.update(
                (scope.frame.suffix and name + scope.frame.suffix) or name
                for name in parameters_of(tree.args)
            )
            self.draft.sure.update(
                env
                for env in self.captured
                if env in {name + scope.frame.suffix for name in scope.frame.locals}
            )
            self.parts.statements.statements(tree.body)
        if outer is not None:
            self.draft.scope = outer

    def workflow_call(self, node: ast.Call, target: Workflow[..., Any], used: bool = True) -> ast.expr:
        if any(target.function is running.function for running in self.stack):
            names = " → ".join([running.name for running in self.stack] + [target.name])
            self.draft.finder.refuse("recursion", node, names)
            return constant(None, node)
        self.draft.temps += 1
        suffix = f"@{self.draft.temps}"
        result_local = self.draft.temp()
        result = self.draft.env(result_local)
        file, caller = self.draft.finder.file, self.draft.scope
        arguments = self._bound_arguments(node, target, suffix)
        self.stack.append(target)
        scope, tree = self.enter(target, suffix, result)
        self.draft.finder.file = file
        group = DGroup(self.draft.span(node), target.name, self.parts.calls.site(target.name), [], result)
        for parameter, value in arguments:
            self.bind_parameter(parameter + suffix, value, node)
        self.draft.block.append(group)
        outer_sites, self.parts.calls.sites, outer_loop = self.parts.calls.sites, {}, self.draft.loop
        self.draft.finder.file = self.sources[scope.frame.unit].file
        self.lower_body(tree, scope, group.body)
        if used and not surely_leaves(tree.body):
            self.draft.scope = scope
            with self.draft.into(group.body):
                self.draft.glue(assign(TEMP + "return", constant(None, tree.body[-1])))
            self.draft.scope = caller
        self.draft.finder.file = file
        self.parts.calls.sites, self.draft.loop = outer_sites, outer_loop
        self.stack.pop()
        self.draft.sure.add(result)
        return name_of(result_local, node)

    def bind_parameter(self, env: str, value: ast.expr, at: ast.AST) -> None:
        """Append what makes the environment name ``env`` of another function hold ``value``."""
        local = self.draft.temp()
        self.draft.scope.names[local] = env
        self.draft.bind_name(local, value)
        self.draft.sure.add(env)

    def _bound_arguments(
        self, node: ast.Call, target: Workflow[..., Any], suffix: str
    ) -> list[tuple[str, ast.expr]]:
        """Lower a call's arguments and give each parameter of ``target`` its expression."""
        tree = function_source(target.function).tree
        lowered = self.parts.expressions.lower_all(self.parts.calls.arguments(node))
        places = match_parameters(node, tree.args)
        if places is None:
            # Stars, defaults of a shape that is not plain, or a wrong call: Python itself binds them.
            call = self.parts.calls.with_arguments(node, node.func, lowered)
            bound = runtime_call("bind", [node.func, *call.args], node)
            bound.keywords = call.keywords
            whole = self.draft.spill(bound)
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
                local = self.draft.temp()
                self.draft.scope.names[local] = f"@default.{name}{suffix}"
                self.draft.sure.add(f"@default.{name}{suffix}")
                result.append((name, name_of(local, node)))
            else:
                value = lowered[place]
                later = lowered[place + 1 :]
                result.append((name, value if self.draft.is_atom(value, later) else self.draft.spill(value)))
        return result


def _is_workflow_decorator(part: ast.expr, scope: Scope) -> bool:
    found = resolve(part.func if isinstance(part, ast.Call) else part, scope)
    return (
        getattr(found, "__module__", "") == "weft.lang.workflows"
        and getattr(found, "__name__", "") == "workflow"
    )
