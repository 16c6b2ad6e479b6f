"""What ``with limit(...)`` says to the compiler: its name and slots, and whether limits nest in one order."""

from __future__ import annotations

import ast
from collections import defaultdict
from typing import NamedTuple

from weft.lang.draft import Scope
from weft.lang.limits import limit, mutex
from weft.lang.resolve import resolve


class LimitCall(NamedTuple):
    """A ``with limit(...)`` whose arguments are constants."""

    name: str
    slots: int


class Nesting:
    """Which limits are taken inside which: a workflow must not wait for slots that it holds itself.

    State: ``held``, the limits around this place; ``inside``: limit → those that are taken inside it.
    """

    def __init__(self) -> None:
        self.held: list[str] = []
        self.inside: defaultdict[str, set[str]] = defaultdict(set)

    def fault(self, name: str) -> str:
        """Note that ``name`` is taken here; return the code of the refusal if that could wait for ever."""
        if name in self.held:
            return "nested-limit"
        if self._all_inside(name) & set(self.held):
            return "limit-order"
        for outer in self.held:
            self.inside[outer].add(name)
        return ""

    def _all_inside(self, name: str) -> set[str]:
        found: set[str] = set()
        todo = [name]
        while todo:
            new = self.inside[todo.pop()] - found
            found |= new
            todo += new
        return found


def read_limit(item: ast.withitem, scope: Scope) -> LimitCall | bool:
    """Return the limit that ``item`` names; True if its arguments are no constants, False if it is none."""
    call = item.context_expr
    if not isinstance(call, ast.Call):
        return False
    found = resolve(call.func, scope)
    if found not in (limit, mutex):
        return False
    values = [*call.args, *(keyword.value for keyword in call.keywords)]
    if item.optional_vars or not all(isinstance(value, ast.Constant) for value in values):
        return True
    given: dict[str, object] = dict(
        zip(("name", "slots"), (v.value for v in call.args if isinstance(v, ast.Constant)), strict=False)
    )
    given.update({k.arg: k.value.value for k in call.keywords if k.arg and isinstance(k.value, ast.Constant)})
    name, slots = given.get("name"), given.get("slots", 1)
    if not isinstance(name, str) or not isinstance(slots, int) or slots < 1:
        return True
    return LimitCall(name, slots)
