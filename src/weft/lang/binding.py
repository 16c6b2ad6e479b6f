"""Binding a call's arguments to parameters exactly as Python does, with its own complaints."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Any, Final

_VAR_POSITIONAL: Final = 0x04
_VAR_KEYWORD: Final = 0x08


def parameter_names(code: CodeType) -> list[str]:
    """Return the names of a function's parameters in the order of its signature."""
    count = code.co_argcount + code.co_kwonlyargcount
    rest = list(code.co_varnames[count:])
    order = list(code.co_varnames[: code.co_argcount])
    if code.co_flags & _VAR_POSITIONAL:
        order.append(rest.pop(0))
    order += code.co_varnames[code.co_argcount : count]
    if code.co_flags & _VAR_KEYWORD:
        order.append(rest.pop(0))
    return order


def bind(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return what each parameter of ``function`` gets from a call, its defaults included.

    Raises:
        TypeError: the very one that the plain call raises, in every version of Python.
    """
    code: CodeType = function.__code__
    binder = FunctionType(_binder_code(code), {}, function.__name__, function.__defaults__)
    binder.__kwdefaults__ = function.__kwdefaults__
    binder.__qualname__ = function.__qualname__
    return dict(zip(parameter_names(code), binder(*args, **kwargs), strict=True))


@functools.lru_cache(maxsize=256)
def _binder_code(code: CodeType) -> CodeType:
    """Return the code of a function with the same parameters that returns what they got, as a tuple."""
    order = parameter_names(code)
    positional = list(code.co_varnames[: code.co_argcount])
    keyword_only = set(code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount])
    parts: list[str] = []
    for place, name in enumerate(order):
        if name in keyword_only:
            if not any(part.startswith("*") for part in parts):
                parts.append("*")
            parts.append(name)
        elif place < len(positional):
            parts.append(name)
        else:
            is_last = bool(code.co_flags & _VAR_KEYWORD) and name == order[-1]
            parts.append(f"**{name}" if is_last else f"*{name}")
        if place + 1 == code.co_posonlyargcount:
            parts.append("/")
    answer = "".join(f"{name}, " for name in order)
    scope: dict[str, Callable[..., Any]] = {}
    exec(f"def binder({', '.join(parts)}): return ({answer})", scope)
    made: CodeType = scope["binder"].__code__
    return made.replace(co_name=code.co_name, co_qualname=code.co_qualname)
