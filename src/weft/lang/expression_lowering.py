"""Lowering of expressions: step calls are taken out, in Python's order of evaluation.

What stands before a step call and is not an atom is *spilled*: evaluated into a temporary first, so that
it is evaluated, and fails, before the call. What stands after stays where it is.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from weft.lang.loop_lowering import is_endless
from weft.lang.making import ATOM, assign, constant, consumed_here, name_of, rebuild, runtime_call
from weft.lang.names import Comprehension

if TYPE_CHECKING:
    from weft.lang.lowering import Lowering


class ExpressionLowering:
    """Turns expressions with step calls into draft nodes and what is left of the expression."""

    def __init__(self, parts: Lowering) -> None:
        self.parts = parts
        self.draft = parts.draft

    def lower_all(self, values: Sequence[ast.expr | None]) -> list[Any]:
        """Lower expressions that Python evaluates in this order."""
        last = max(
            (place for place, value in enumerate(values) if value is not None and self.draft.holds(value)),
            default=-1,
        )
        lowered: list[ast.expr | None] = []
        for place, value in enumerate(values):
            result = None if value is None else self.lower(value)
            later = [after for after in values[place + 1 :] if after is not None]
            if isinstance(result, ast.GeneratorExp) and place < last:
                result = self._begun(result)
            if result is not None and place < last and not self.draft.is_atom(result, later):
                result = self.draft.spill(result)
            lowered.append(result)
        return lowered

    def _begun(self, generator: ast.GeneratorExp) -> ast.GeneratorExp:
        """Evaluate a generator's first iterable where Python does, and fail there if it is none."""
        first = generator.generators[0]
        if is_endless(first.iter, self.draft.scope):
            return generator
        if self.draft.is_atom(first.iter, []):
            if not isinstance(first.iter, ast.Call):
                check = runtime_call("check_iterable", [first.iter], first.iter)
                self.draft.glue(assign(self.draft.temp(), check))
            return generator
        read = self.draft.spill(runtime_call("read_ahead", [first.iter], first.iter))
        again = runtime_call("replay", [ast.copy_location(ast.Starred(read, ast.Load()), read)], read)
        begun = rebuild(generator, generators=[rebuild(first, iter=again), *generator.generators[1:]])
        setattr(begun, ATOM, getattr(generator, ATOM, False))
        return begun

    def lower(self, node: ast.expr) -> ast.expr:
        """Return ``node`` without its step calls, which go into the block before it."""
        if not self.draft.holds(node):
            return node
        if isinstance(node, ast.Call):
            return self.parts.calls.lower(node)
        if isinstance(node, Comprehension):
            return self.parts.comprehensions.lower(node)
        method = getattr(self, f"lower_{type(node).__name__}", None)
        if method is None:
            self.draft.finder.refuse("not-supported", node, type(node).__name__.lower())
            return constant(None, node)
        return method(node)  # type: ignore[no-any-return]

    def lower_BinOp(self, node: ast.BinOp) -> ast.expr:
        left, right = self.lower_all([node.left, node.right])
        return rebuild(node, left=left, right=right)

    def lower_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        return rebuild(node, operand=self.lower(node.operand))

    def lower_Attribute(self, node: ast.Attribute) -> ast.expr:
        return rebuild(node, value=self.lower(node.value))

    def lower_Starred(self, node: ast.Starred) -> ast.expr:
        return rebuild(node, value=self.lower(node.value))

    def lower_Subscript(self, node: ast.Subscript) -> ast.expr:
        value, index = self.lower_all([node.value, node.slice])
        return rebuild(node, value=value, slice=index)

    def lower_Slice(self, node: ast.Slice) -> ast.expr:
        lower, upper, step = self.lower_all([node.lower, node.upper, node.step])
        return rebuild(node, lower=lower, upper=upper, step=step)

    def _elements(self, node: ast.List | ast.Tuple | ast.Set) -> ast.expr:
        for element in node.elts:
            if isinstance(element, ast.Starred):
                consumed_here(element)
        return rebuild(node, elts=self.lower_all(node.elts))

    lower_List = lower_Tuple = lower_Set = _elements

    def lower_Dict(self, node: ast.Dict) -> ast.expr:
        parts: list[ast.expr] = []
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:
                # ``**other`` is merged when its turn comes.
                whole = ast.copy_location(ast.Dict([None], [value]), value)
                if self.draft.holds(value):
                    self.draft.finder.holds.add(id(whole))
                    self.draft.finder._keep.append(whole)
                parts.append(value if len(node.keys) == 1 else whole)
            else:
                parts += [key, value]
        lowered = iter(self.lower_all(parts))
        keys: list[ast.expr | None] = []
        values: list[ast.expr] = []
        for key in node.keys:
            keys.append(None if key is None else next(lowered))
            values.append(next(lowered))
        return rebuild(node, keys=keys, values=values)

    def lower_JoinedStr(self, node: ast.JoinedStr) -> ast.expr:
        last = max(place for place, part in enumerate(node.values) if self.draft.holds(part))
        values: list[ast.expr] = []
        for place, part in enumerate(node.values):
            if isinstance(part, ast.FormattedValue):
                value, spec = self.lower_all([part.value, part.format_spec])
                part = rebuild(part, value=value, format_spec=spec)
                if place < last:
                    # The text is made when its turn comes, not after the call that follows.
                    text = self.draft.spill(ast.copy_location(ast.JoinedStr([part]), part))
                    part = ast.copy_location(ast.FormattedValue(text, -1, None), part)
            values.append(part)
        return rebuild(node, values=values)

    def lower_FormattedValue(self, node: ast.FormattedValue) -> ast.expr:
        value, spec = self.lower_all([node.value, node.format_spec])
        return rebuild(node, value=value, format_spec=spec)

    def lower_NamedExpr(self, node: ast.NamedExpr) -> ast.expr:
        value = self.lower(node.value)
        self.draft.bind_name(node.target.id, value)
        return name_of(node.target.id, node)

    def lower_IfExp(self, node: ast.IfExp) -> ast.expr:
        test = self.lower(node.test)
        result = self.draft.temp()
        branch = self.draft.branch(test, "if")
        for arm, side in zip(branch.arms, (node.body, node.orelse), strict=True):
            with self.draft.into(arm):
                self.draft.bind_name(result, self.lower(side))
        self.draft.sure.add(self.draft.env(result))
        return name_of(result, node)

    def lower_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        result = self.draft.temp()
        self.draft.bind_name(result, self.lower(node.values[0]))
        self.draft.sure.add(self.draft.env(result))
        self._short_circuit(node, result, node.values[1:])
        return name_of(result, node)

    def _short_circuit(self, node: ast.BoolOp, result: str, rest: list[ast.expr]) -> None:
        if not rest:
            return
        test: ast.expr = name_of(result, rest[0])
        if isinstance(node.op, ast.Or):
            test = ast.copy_location(ast.UnaryOp(ast.Not(), test), rest[0])
        if not any(self.draft.holds(value) for value in rest):
            whole = rest[0] if len(rest) == 1 else rebuild(node, values=rest)
            whole = ast.copy_location(ast.BoolOp(node.op, [name_of(result, rest[0]), whole]), rest[0])
            self.draft.glue(assign(result, whole))
            return
        branch = self.draft.branch(test, "and" if isinstance(node.op, ast.And) else "or")
        with self.draft.into(branch.arms[0]):
            self.draft.bind_name(result, self.lower(rest[0]))
            self._short_circuit(node, result, rest[1:])

    def lower_Compare(self, node: ast.Compare) -> ast.expr:
        if len(node.ops) == 1:
            left, right = self.lower_all([node.left, node.comparators[0]])
            return rebuild(node, left=left, comparators=[right])
        result = self.draft.temp()
        self._compare_chain(node, result, node.left, list(node.ops), list(node.comparators))
        self.draft.sure.add(self.draft.env(result))
        return name_of(result, node)

    def _compare_chain(
        self, node: ast.Compare, result: str, left: ast.expr, ops: list[ast.cmpop], rest: list[ast.expr]
    ) -> None:
        first, right = self.lower_all([left, rest[0]])
        if len(ops) > 1:
            # The middle of a chain is evaluated once and compared twice.
            first = first if self.draft.is_atom(first, []) else self.draft.spill(first)
            right = right if self.draft.is_atom(right, rest[1:]) else self.draft.spill(right)
        test = ast.copy_location(ast.Compare(first, [ops[0]], [right]), node)
        self.draft.glue(assign(result, test))
        if len(ops) > 1:
            branch = self.draft.branch(name_of(result, node), "and")
            with self.draft.into(branch.arms[0]):
                self._compare_chain(node, result, right, ops[1:], rest[1:])

    def lower_Lambda(self, node: ast.Lambda) -> ast.expr:
        """Step calls in a lambda's defaults are made where the lambda stands."""
        arguments = node.args
        lowered = self.lower_all([*arguments.defaults, *arguments.kw_defaults])
        count = len(arguments.defaults)
        made = rebuild(arguments, defaults=lowered[:count], kw_defaults=lowered[count:])
        return rebuild(node, args=made)
