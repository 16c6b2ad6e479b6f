"""``limit`` and ``mutex``: slots that step calls take across runs. In a plain call they do nothing."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from weft.lang.draft import Scope
from weft.lang.resolve import resolve


@contextmanager
def limit(name: str, slots: int = 1) -> Iterator[None]:
    """Hold ``slots`` of the limit ``name`` around the step calls inside. Its capacity is configuration."""
    yield


@contextmanager
def mutex(name: str) -> Iterator[None]:
    """Let one run at a time be inside: a limit of capacity 1."""
    yield


class LimitCall(NamedTuple):
    """A ``with limit(...)`` whose arguments are constants."""

    name: str
    slots: int


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
