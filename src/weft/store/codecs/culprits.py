"""Finds where in a value the object stands that cannot be stored, so that the message can say it."""

from __future__ import annotations

import functools
import types
from collections import deque
from collections.abc import Iterator
from typing import Any, Final

from weft.store.codecs.live import Refusal
from weft.store.faults import Unstorable

_OBJECTS_MAX: Final = 1_000_000
_KEY_CHARACTERS_MAX: Final = 60


def explain(culprit: object, refusal: Refusal, value: object, where: str) -> Unstorable:
    """Return the error for ``culprit``, which is ``value`` or stands somewhere inside it."""
    path = find_path(culprit, value)
    kind = type(culprit)
    place = f"somewhere in {where}" if path is None else where + path
    return Unstorable(place, _name(kind), why=refusal.why, hint=refusal.hint)


def explain_depth(value: object, where: str) -> Unstorable:
    hint = "Keep it as a flat list, or in another form that is not nested as deeply."
    return Unstorable(where, _name(type(value)), why="it is nested too deeply", hint=hint)


def _name(kind: type) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def find_path(culprit: object, value: object) -> str | None:
    """Return the shortest way from ``value`` to ``culprit``, such as ``['rows'][3].conn``, or None."""
    seen: dict[int, object] = {id(value): value}
    waiting: deque[tuple[object, str]] = deque([(value, "")])
    while waiting and len(seen) < _OBJECTS_MAX:
        item, path = waiting.popleft()
        if item is culprit:
            return path
        for step, child in _children(item):
            if id(child) not in seen:
                seen[id(child)] = child
                waiting.append((child, path + step))
    return None


def _children(item: Any) -> Iterator[tuple[str, object]]:
    if isinstance(item, dict):
        for key, child in item.items():
            yield f"[{repr(key)[:_KEY_CHARACTERS_MAX]}]", child
            yield ".keys()", key
    elif isinstance(item, (list, tuple, deque)):
        yield from ((f"[{place}]", child) for place, child in enumerate(item))
    elif isinstance(item, (set, frozenset)):
        yield from ((" (an item)", child) for child in item)
    elif isinstance(item, (types.ModuleType, type)):
        return
    yield from _attributes(item)


def _attributes(item: Any) -> Iterator[tuple[str, object]]:
    if isinstance(item, types.FunctionType):
        yield from _captured(item)
    elif isinstance(item, functools.partial):
        yield from ((".func", item.func), (".args", item.args), (".keywords", item.keywords))
    elif isinstance(item, (types.MethodType, types.BuiltinMethodType)):
        yield ".__self__", item.__self__
    elif isinstance(item, BaseException):
        yield from ((".args", item.args), (".__cause__", item.__cause__), (".__context__", item.__context__))
    # Past properties and __getattr__, which are the user's code.
    names = getattr(item, "__dict__", None)
    if type(names) is dict:
        yield from ((f".{name}", child) for name, child in list(names.items()))
    for base in type(item).__mro__:
        for name, member in vars(base).items():
            if isinstance(member, types.MemberDescriptorType):
                child = getattr(item, name, None)
                yield f".{name}", child


def _captured(function: types.FunctionType) -> Iterator[tuple[str, object]]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
        try:
            yield f" (its variable {name!r})", cell.cell_contents
        except ValueError:  # not bound yet
            continue
    for name in function.__code__.co_names:
        if name in function.__globals__:
            yield f" (its global {name!r})", function.__globals__[name]
    yield " (its defaults)", function.__defaults__
