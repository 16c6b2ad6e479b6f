"""Lowering of calls: of steps, which become tasks, and of all else, whose arguments may hold step calls."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from weft.lang.draft import (
    DCall,
)
from weft.lang.making import assign, constant, consumed_here, name_of, rebuild, runtime_call
from weft.lang.purity import CONSUMERS, is_pure, known_builtin
from weft.lang.resolve import NOTHING, resolve
from weft.lang.steps import Step
from weft.lang.workflows import Workflow

if TYPE_CHECKING:
    from weft.lang.lowering import Lowering


class CallLowering:
    """Lowers calls.

    State: ``step_objects``, the steps met so far; ``sites``, how often each name was called in the group around.
    """

    def __init__(self, parts: Lowering) -> None:
        self.parts = parts
        self.draft = parts.draft
        self.step_objects: list[Step[..., Any]] = []
        self.sites: dict[str, int] = {}

    def lower(self, node: ast.Call) -> ast.expr:
        target = self.draft.finder.callees.get(id(node))
        if isinstance(target, Step):
            return self.step_call(node, target, None)
        if isinstance(target, Workflow):
            return self.parts.inliner.workflow_call(node, target)
        return self._plain_call(node)

    def _plain_call(self, node: ast.Call) -> ast.expr:
        arguments = self.arguments(node)
        if isinstance(node.func, ast.Attribute) and any(map(self.draft.holds, arguments)):
            receiver = self._receiver(node.func, arguments)
            lowered = self.parts.expressions.lower_all([receiver, *arguments])
            func: ast.expr = rebuild(node.func, value=lowered[0])
        else:
            lowered = self.parts.expressions.lower_all([node.func, *arguments])
            func = lowered[0]
        return self.with_arguments(node, func, lowered[1:])

    def _receiver(self, func: ast.Attribute, arguments: list[ast.expr]) -> ast.expr:
        """Return the receiver of a method call, after a check that it has the method."""
        receiver = self.parts.expressions.lower(func.value)
        if not self.draft.is_atom(receiver, arguments):
            receiver = self.draft.spill(receiver)
        kind = self.draft.frame.kinds.get(receiver.id) if isinstance(receiver, ast.Name) else None
        known = resolve(receiver, self.draft.scope)
        if kind is None and known is NOTHING and not isinstance(receiver, ast.Constant):
            check = ast.copy_location(ast.Attribute(receiver, func.attr, ast.Load()), func)
            self.draft.glue(ast.copy_location(ast.Expr(check), func))
        return receiver

    def arguments(self, node: ast.Call) -> list[ast.expr]:
        """Return a call's arguments as expressions in their order; ``**x`` as a dict display."""
        parts: list[ast.expr] = []
        whole = known_builtin(node.func, self.draft.scope) in CONSUMERS
        whole = whole or (isinstance(node.func, ast.Attribute) and node.func.attr in ("join", "extend"))
        for argument in node.args:
            consumed_here(argument, whole)
            # The only starred argument is read when the call is made, after the keywords.
            parts.append(argument.value if _is_star_call(node) else argument)  # type: ignore[attr-defined]
        for keyword in node.keywords:
            if keyword.arg is None:
                merged = ast.copy_location(ast.Dict([None], [keyword.value]), keyword.value)
                if self.draft.holds(keyword.value):
                    self.draft.finder.holds.add(id(merged))
                    self.draft.finder._keep.append(merged)
                parts.append(merged)
            else:
                parts.append(keyword.value)
        return parts

    def with_arguments(self, node: ast.Call, func: ast.expr, values: list[ast.expr]) -> ast.Call:
        positional = values[: len(node.args)]
        if _is_star_call(node):
            positional = [ast.copy_location(ast.Starred(positional[0], ast.Load()), node.args[0])]
        keywords = []
        for keyword, value in zip(node.keywords, values[len(node.args) :], strict=True):
            whole = value
            if keyword.arg is None and isinstance(value, ast.Dict) and value.keys == [None]:
                whole = value.values[0]
            keywords.append(ast.copy_location(ast.keyword(keyword.arg, whole), whole))
        return ast.copy_location(ast.Call(func, positional, keywords), node)

    def step_call(self, node: ast.Call, target: Step[..., Any], out: str | None) -> ast.expr:
        """Append a task; ``out`` is the local name that takes its result, a temporary if None."""
        arguments = self.parts.expressions.lower_all(self.arguments(node))
        impure = [place for place, value in enumerate(arguments) if not is_pure(value, self.draft.scope)]
        for place in range(max(impure, default=-1) + 1):
            if not self.draft.is_atom(arguments[place], arguments[place + 1 :]):
                arguments[place] = self.draft.spill(arguments[place])
        step = self.step_number(target)
        key = ""
        if target.step_options.cache_key is not None:
            arguments = [one if self.draft.is_atom(one, []) else self.draft.spill(one) for one in arguments]
            key = self._key(node, step, arguments)
        local = out or self.draft.temp()
        call = self.with_arguments(node, node.func, arguments)
        path = self.site(target.name)
        self.draft.block.append(
            DCall(
                self.draft.span(node),
                call,
                self.draft.scope,
                step,
                self.draft.env(local),
                path,
                self.draft.handling,
                self.draft.loop,
                key=key,
            )
        )
        self.draft.sure.add(self.draft.env(local))
        return name_of(local, node)

    def _key(self, node: ast.Call, step: int, arguments: list[ast.expr]) -> str:
        """Append what gives the key of a call, and return the environment name that holds it."""
        local = self.draft.temp()
        env = f"cache key@{self.draft.temps}"
        self.draft.scope.names[local] = env
        function = runtime_call("cache_key", [constant(step, node)], node)
        given = self.with_arguments(node, function.func, arguments)
        whole = rebuild(given, args=[*function.args, *given.args])
        self.draft.glue(assign(local, whole))
        return env

    def site(self, name: str) -> str:
        """Return the name of this call site: ``inc``, then ``inc.2``."""
        self.sites[name] = self.sites.get(name, 0) + 1
        return name if self.sites[name] == 1 else f"{name}.{self.sites[name]}"

    def step_number(self, target: Step[..., Any]) -> int:
        for number, known in enumerate(self.step_objects):
            if known is target or (
                known.function is target.function and known.step_options == target.step_options
            ):
                return number
        self.step_objects.append(target)
        return len(self.step_objects) - 1


def _is_star_call(node: ast.Call) -> bool:
    return len(node.args) == 1 and isinstance(node.args[0], ast.Starred)
