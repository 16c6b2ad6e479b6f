"""Lowering of expressions: step calls are taken out, in Python's order of evaluation.

What stands before a step call and is not an atom is *spilled*: evaluated into a temporary first, so that
it is evaluated, and fails, before the call. What stands after stays where it is.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from weft.lang.calls import CallFinder
from weft.lang.draft import (
    TEMP,
    AnyDraft,
    DBranch,
    DCall,
    DGlue,
    DLoop,
    DMove,
    Frame,
    Scope,
)
from weft.lang.names import names_of
from weft.lang.purity import CONSUMERS, is_pure, known_builtin
from weft.lang.resolve import NOTHING, look_up, resolve
from weft.lang.steps import Step
from weft.lang.syntax import Tree
from weft.lang.workflows import Workflow
from weft.program.nodes import Span, StepSpec

RUNTIME: Final = "_weft"
ATOM: Final = "_weft_atom"


def name_of(identifier: str, at: ast.AST, store: bool = False) -> ast.Name:
    """Return a name at the place of ``at``."""
    return ast.copy_location(ast.Name(identifier, ast.Store() if store else ast.Load()), at)


def assign(identifier: str, value: ast.expr) -> ast.stmt:
    """Return ``identifier = value`` at the place of ``value``."""
    return ast.copy_location(ast.Assign([name_of(identifier, value, store=True)], value), value)


def runtime_call(function: str, arguments: list[ast.expr], at: ast.AST) -> ast.Call:
    """Return ``_weft.function(...)``: a call of what the worker lends to glue."""
    callee = ast.copy_location(ast.Attribute(name_of(RUNTIME, at), function, ast.Load()), at)
    return ast.copy_location(ast.Call(callee, arguments, []), at)


def constant(value: object, at: ast.AST) -> ast.Constant:
    """Return a constant at the place of ``at``."""
    return ast.copy_location(ast.Constant(value), at)  # type: ignore[arg-type]


def consumed_here(node: ast.expr, whole: bool = False) -> None:
    """Note that a generator, if ``node`` is one, is consumed by the expression it stands in; ``whole``: to its end."""
    inner = node.value if isinstance(node, ast.Starred) else node
    if isinstance(inner, ast.GeneratorExp):
        setattr(inner, ATOM, "whole" if whole or isinstance(node, ast.Starred) else True)


class ExpressionLowering:
    """Turns expressions with step calls into draft nodes and what is left of the expression.

    State: ``block``, where nodes go; ``scope``; ``sure``, environment names that are surely bound here;
    ``handling``, the environment name of the exception that is current here; ``loop``, the loop around.
    """

    def __init__(self, finder: CallFinder) -> None:
        self.finder = finder
        self.steps: list[StepSpec] = []
        self.step_objects: list[Step[..., Any]] = []
        self.captured: dict[str, object] = {}
        self.block: list[AnyDraft] = []
        self.scope: Scope
        self.sure: set[str] = set()
        self.handling: str | None = None
        self.loop: DLoop | None = None
        self._temps = 0
        self._sites: dict[str, int] = {}

    # -- what everything uses ---------------------------------------------------------------------

    @property
    def frame(self) -> Frame:
        return self.scope.frame

    def temp(self) -> str:
        """Return a fresh local name that the user cannot have written."""
        self._temps += 1
        return f"{TEMP}{self._temps}"

    def span(self, node: ast.AST) -> Span:
        line, column = getattr(node, "lineno", 1), getattr(node, "col_offset", 0)
        end, end_column = getattr(node, "end_lineno", None), getattr(node, "end_col_offset", None)
        return Span(self.frame.unit, line, column, end or line, column if end_column is None else end_column)

    def holds(self, node: ast.AST) -> bool:
        """Return whether a step call stands in ``node``."""
        return id(node) in self.finder.holds

    def env(self, name: str) -> str:
        found = self.scope.env(name)
        assert found is not None, name
        return found

    def glue(self, *stmts: ast.stmt, effect: bool = False) -> DGlue:
        """Append glue to the block."""
        node = DGlue(
            self.span(stmts[0]), list(stmts), self.scope, self.handling, effect=effect, in_loop=self.loop
        )
        self.block.append(node)
        found = names_of(stmts)
        if not (
            found.deletes
            or any(
                isinstance(stmt, (ast.If, ast.For, ast.While, ast.Try, ast.TryStar, ast.Match))
                for stmt in stmts
            )
        ):
            self.sure.update(env for name in found.binds if (env := self.scope.env(name)))
        self.sure.difference_update(env for name in found.deletes if (env := self.scope.env(name)))
        return node

    def spill(self, value: ast.expr) -> ast.expr:
        """Evaluate ``value`` into a temporary and return its name."""
        if isinstance(value, ast.Starred):
            whole = ast.copy_location(ast.List([value], ast.Load()), value)
            return ast.copy_location(ast.Starred(self.spill(whole), ast.Load()), value)
        if isinstance(value, ast.Slice):
            parts = [part and self.spill(part) for part in (value.lower, value.upper, value.step)]
            return ast.copy_location(ast.Slice(*parts), value)
        if isinstance(value, ast.Tuple) and any(isinstance(part, ast.Slice) for part in value.elts):
            return ast.copy_location(ast.Tuple([self.spill(part) for part in value.elts], ast.Load()), value)
        temp = self.temp()
        if isinstance(value, ast.Name) and (env := self.scope.env(value.id)) in self.sure:
            self.move(temp, env or "", value)
        else:
            self.glue(assign(temp, value))
        return name_of(temp, value)

    def move(self, target: str, env: str, at: ast.AST) -> None:
        """Let the local name ``target`` be another name for the environment name ``env``."""
        self.block.append(DMove(self.span(at), self.env(target), env))
        self.sure.add(self.env(target))

    @contextmanager
    def into(self, block: list[AnyDraft]) -> Iterator[None]:
        """Append to ``block`` for a while; what gets bound there is not sure afterwards."""
        outer_block, outer_sure = self.block, self.sure
        self.block, self.sure = block, set(outer_sure)
        try:
            yield
        finally:
            self.block, self.sure = outer_block, outer_sure

    # -- order of evaluation ----------------------------------------------------------------------

    def is_atom(self, value: ast.expr, later: Sequence[ast.AST]) -> bool:
        """Return whether ``value`` gives the same whether it is read here or after ``later``."""
        if isinstance(value, (ast.Constant, ast.Lambda)) or getattr(value, ATOM, False):
            return True
        if isinstance(value, ast.Starred):
            return False
        if not isinstance(value, ast.Name):
            return False
        if value.id.startswith(TEMP):
            return True
        env = self.scope.env(value.id)
        if env is None:
            return look_up(value.id, self.scope) is not NOTHING
        return env in self.sure and value.id not in names_of(later).binds

    def lower_all(self, values: Sequence[ast.expr | None]) -> list[Any]:
        """Lower expressions that Python evaluates in this order."""
        last = max(
            (place for place, value in enumerate(values) if value is not None and self.holds(value)),
            default=-1,
        )
        lowered: list[ast.expr | None] = []
        for place, value in enumerate(values):
            result = None if value is None else self.lower(value)
            later = [after for after in values[place + 1 :] if after is not None]
            if result is not None and place < last and not self.is_atom(result, later):
                result = self.spill(result)
            lowered.append(result)
        return lowered

    def lower(self, node: ast.expr) -> ast.expr:
        """Return ``node`` without its step calls, which go into the block before it."""
        if not self.holds(node):
            return node
        method = getattr(self, f"lower_{type(node).__name__}", None)
        if method is None:
            self.finder.refuse("not-supported", node, type(node).__name__.lower())
            return constant(None, node)
        return method(node)  # type: ignore[no-any-return]

    def _rebuild(self, node: Tree, **parts: Any) -> Tree:
        fields: dict[str, Any] = {name: getattr(node, name) for name in node._fields}
        return ast.copy_location(type(node)(**{**fields, **parts}), node)

    # -- forms whose parts are evaluated from left to right ----------------------------------------

    def lower_BinOp(self, node: ast.BinOp) -> ast.expr:
        left, right = self.lower_all([node.left, node.right])
        return self._rebuild(node, left=left, right=right)

    def lower_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        return self._rebuild(node, operand=self.lower(node.operand))

    def lower_Attribute(self, node: ast.Attribute) -> ast.expr:
        return self._rebuild(node, value=self.lower(node.value))

    def lower_Starred(self, node: ast.Starred) -> ast.expr:
        return self._rebuild(node, value=self.lower(node.value))

    def lower_Subscript(self, node: ast.Subscript) -> ast.expr:
        value, index = self.lower_all([node.value, node.slice])
        return self._rebuild(node, value=value, slice=index)

    def lower_Slice(self, node: ast.Slice) -> ast.expr:
        lower, upper, step = self.lower_all([node.lower, node.upper, node.step])
        return self._rebuild(node, lower=lower, upper=upper, step=step)

    def _elements(self, node: ast.List | ast.Tuple | ast.Set) -> ast.expr:
        for element in node.elts:
            if isinstance(element, ast.Starred):
                consumed_here(element)
        return self._rebuild(node, elts=self.lower_all(node.elts))

    lower_List = lower_Tuple = lower_Set = _elements

    def lower_Dict(self, node: ast.Dict) -> ast.expr:
        parts: list[ast.expr] = []
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:
                # ``**other`` is merged when its turn comes.
                whole = ast.copy_location(ast.Dict([None], [value]), value)
                if self.holds(value):
                    self.finder.holds.add(id(whole))
                    self.finder._keep.append(whole)
                parts.append(value if len(node.keys) == 1 else whole)
            else:
                parts += [key, value]
        lowered = iter(self.lower_all(parts))
        keys: list[ast.expr | None] = []
        values: list[ast.expr] = []
        for key in node.keys:
            keys.append(None if key is None else next(lowered))
            values.append(next(lowered))
        return self._rebuild(node, keys=keys, values=values)

    def lower_JoinedStr(self, node: ast.JoinedStr) -> ast.expr:
        last = max(place for place, part in enumerate(node.values) if self.holds(part))
        values: list[ast.expr] = []
        for place, part in enumerate(node.values):
            if isinstance(part, ast.FormattedValue):
                value, spec = self.lower_all([part.value, part.format_spec])
                part = self._rebuild(part, value=value, format_spec=spec)
                if place < last:
                    # The text is made when its turn comes, not after the call that follows.
                    text = self.spill(ast.copy_location(ast.JoinedStr([part]), part))
                    part = ast.copy_location(ast.FormattedValue(text, -1, None), part)
            values.append(part)
        return self._rebuild(node, values=values)

    def lower_FormattedValue(self, node: ast.FormattedValue) -> ast.expr:
        value, spec = self.lower_all([node.value, node.format_spec])
        return self._rebuild(node, value=value, format_spec=spec)

    def lower_NamedExpr(self, node: ast.NamedExpr) -> ast.expr:
        value = self.lower(node.value)
        self.bind_name(node.target.id, value)
        return name_of(node.target.id, node)

    def bind_name(self, name: str, value: ast.expr) -> None:
        """Append what makes the local name ``name`` hold ``value``."""
        env = self.scope.env(value.id) if isinstance(value, ast.Name) else None
        if env is not None and env in self.sure:
            self.move(name, env, value)
        else:
            self.glue(assign(name, value))

    # -- forms that evaluate some of their parts ---------------------------------------------------

    def branch(self, test: ast.expr, then: str, otherwise: str = "else") -> DBranch:
        """Append a branch with two empty arms on the truth of ``test``."""
        decision = ast.copy_location(ast.IfExp(test, constant(0, test), constant(1, test)), test)
        glue = DGlue(self.span(test), [], self.scope, self.handling, arm=decision, in_loop=self.loop)
        node = DBranch(self.span(test), glue, [[], []], [then, otherwise])
        self.block.append(node)
        return node

    def lower_IfExp(self, node: ast.IfExp) -> ast.expr:
        test = self.lower(node.test)
        result = self.temp()
        branch = self.branch(test, "if")
        for arm, side in zip(branch.arms, (node.body, node.orelse), strict=True):
            with self.into(arm):
                self.bind_name(result, self.lower(side))
        self.sure.add(self.env(result))
        return name_of(result, node)

    def lower_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        result = self.temp()
        self.bind_name(result, self.lower(node.values[0]))
        self.sure.add(self.env(result))
        self._short_circuit(node, result, node.values[1:])
        return name_of(result, node)

    def _short_circuit(self, node: ast.BoolOp, result: str, rest: list[ast.expr]) -> None:
        if not rest:
            return
        test: ast.expr = name_of(result, rest[0])
        if isinstance(node.op, ast.Or):
            test = ast.copy_location(ast.UnaryOp(ast.Not(), test), rest[0])
        if not any(self.holds(value) for value in rest):
            whole = rest[0] if len(rest) == 1 else self._rebuild(node, values=rest)
            whole = ast.copy_location(ast.BoolOp(node.op, [name_of(result, rest[0]), whole]), rest[0])
            self.glue(assign(result, whole))
            return
        branch = self.branch(test, "and" if isinstance(node.op, ast.And) else "or")
        with self.into(branch.arms[0]):
            self.bind_name(result, self.lower(rest[0]))
            self._short_circuit(node, result, rest[1:])

    def lower_Compare(self, node: ast.Compare) -> ast.expr:
        if len(node.ops) == 1:
            left, right = self.lower_all([node.left, node.comparators[0]])
            return self._rebuild(node, left=left, comparators=[right])
        result = self.temp()
        self._compare_chain(node, result, node.left, list(node.ops), list(node.comparators))
        self.sure.add(self.env(result))
        return name_of(result, node)

    def _compare_chain(
        self, node: ast.Compare, result: str, left: ast.expr, ops: list[ast.cmpop], rest: list[ast.expr]
    ) -> None:
        first, right = self.lower_all([left, rest[0]])
        if len(ops) > 1:
            # The middle of a chain is evaluated once and compared twice.
            first = first if self.is_atom(first, []) else self.spill(first)
            right = right if self.is_atom(right, rest[1:]) else self.spill(right)
        test = ast.copy_location(ast.Compare(first, [ops[0]], [right]), node)
        self.glue(assign(result, test))
        if len(ops) > 1:
            branch = self.branch(name_of(result, node), "and")
            with self.into(branch.arms[0]):
                self._compare_chain(node, result, right, ops[1:], rest[1:])

    # -- calls --------------------------------------------------------------------------------------

    def lower_Call(self, node: ast.Call) -> ast.expr:
        target = self.finder.callees.get(id(node))
        if isinstance(target, Step):
            return self.step_call(node, target, None)
        if isinstance(target, Workflow):
            return self.workflow_call(node, target)
        return self._plain_call(node)

    def _plain_call(self, node: ast.Call) -> ast.expr:
        arguments = self._arguments(node)
        if isinstance(node.func, ast.Attribute) and any(map(self.holds, arguments)):
            receiver = self._receiver(node.func, arguments)
            lowered = self.lower_all([receiver, *arguments])
            func: ast.expr = self._rebuild(node.func, value=lowered[0])
        else:
            lowered = self.lower_all([node.func, *arguments])
            func = lowered[0]
        return self._with_arguments(node, func, lowered[1:])

    def _receiver(self, func: ast.Attribute, arguments: list[ast.expr]) -> ast.expr:
        """Return the receiver of a method call, after a check that it has the method."""
        receiver = self.lower(func.value)
        if not self.is_atom(receiver, arguments):
            receiver = self.spill(receiver)
        kind = self.frame.kinds.get(receiver.id) if isinstance(receiver, ast.Name) else None
        known = resolve(receiver, self.scope)
        if kind is None and known is NOTHING and not isinstance(receiver, ast.Constant):
            check = ast.copy_location(ast.Attribute(receiver, func.attr, ast.Load()), func)
            self.glue(ast.copy_location(ast.Expr(check), func))
        return receiver

    def _arguments(self, node: ast.Call) -> list[ast.expr]:
        """Return a call's arguments as expressions in their order; ``**x`` as a dict display."""
        parts: list[ast.expr] = []
        whole = known_builtin(node.func, self.scope) in CONSUMERS
        whole = whole or (isinstance(node.func, ast.Attribute) and node.func.attr in ("join", "extend"))
        for argument in node.args:
            consumed_here(argument, whole)
            # The only starred argument is read when the call is made, after the keywords.
            parts.append(argument.value if _is_star_call(node) else argument)  # type: ignore[attr-defined]
        for keyword in node.keywords:
            if keyword.arg is None:
                merged = ast.copy_location(ast.Dict([None], [keyword.value]), keyword.value)
                if self.holds(keyword.value):
                    self.finder.holds.add(id(merged))
                    self.finder._keep.append(merged)
                parts.append(merged)
            else:
                parts.append(keyword.value)
        return parts

    def _with_arguments(self, node: ast.Call, func: ast.expr, values: list[ast.expr]) -> ast.Call:
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
        arguments = self.lower_all(self._arguments(node))
        impure = [place for place, value in enumerate(arguments) if not is_pure(value, self.scope)]
        for place in range(max(impure, default=-1) + 1):
            if not self.is_atom(arguments[place], arguments[place + 1 :]):
                arguments[place] = self.spill(arguments[place])
        local = out or self.temp()
        call = self._with_arguments(node, node.func, arguments)
        step = self.step_number(target)
        path = self.site(target.name)
        self.block.append(
            DCall(self.span(node), call, self.scope, step, self.env(local), path, self.handling, self.loop)
        )
        self.sure.add(self.env(local))
        return name_of(local, node)

    def site(self, name: str) -> str:
        """Return the name of this call site: ``inc``, then ``inc.2``."""
        self._sites[name] = self._sites.get(name, 0) + 1
        return name if self._sites[name] == 1 else f"{name}.{self._sites[name]}"

    def step_number(self, target: Step[..., Any]) -> int:
        for number, known in enumerate(self.step_objects):
            if known is target or (
                known.function is target.function and known.step_options == target.step_options
            ):
                return number
        self.step_objects.append(target)
        return len(self.step_objects) - 1

    def workflow_call(self, node: ast.Call, target: Workflow[..., Any], used: bool = True) -> ast.expr:
        raise NotImplementedError

    def lower_Lambda(self, node: ast.Lambda) -> ast.expr:
        """Step calls in a lambda's defaults are made where the lambda stands."""
        arguments = node.args
        lowered = self.lower_all([*arguments.defaults, *arguments.kw_defaults])
        count = len(arguments.defaults)
        made = self._rebuild(arguments, defaults=lowered[:count], kw_defaults=lowered[count:])
        return self._rebuild(node, args=made)


def _is_star_call(node: ast.Call) -> bool:
    return len(node.args) == 1 and isinstance(node.args[0], ast.Starred)
