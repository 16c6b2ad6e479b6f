"""Calls key functions: what they give stands for a call's inputs where a step's results are looked for again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from weft.errors import UserError
from weft.seams import deferred

if TYPE_CHECKING:
    import inspect
else:
    inspect = deferred("inspect")

_ATOMS: Final = (type(None), bool, int, float, complex, str, bytes)


class BadCacheKey(UserError):
    """A key function gave something that is no plain data."""

    code = "bad-cache-key"

    def __init__(self, function: str, step: str, where: str, value: object) -> None:
        kind = type(value)
        found = f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
        super().__init__(
            f"the key function `{function}` of step {step} gave a value of type {found}{where}, which cannot be a key",
            hint="Give None, booleans, numbers, texts, bytes, and tuples, lists, dicts or sets of these.",
        )


def cache_key(
    key: Callable[..., object], name: str, step: str, function: Callable[..., object], args: Any, kwargs: Any
) -> str:
    """Return what a key function gives for a call of a step, as a text; equal for equal values of equal types.

    Args:
        name: what people call the key function. ``step``, ``function``: the step's name, and the function under it.

    Raises:
        BadCacheKey: the key function gave something else than plain data.
        TypeError: the arguments do not fit the step, as the step's own call says it.
        Whatever the key function raises, with a note that names it.
    """
    given = _arguments(key, function, args, kwargs)
    try:
        return _text(key(**given), "", name, step)
    except BaseException as error:
        error.add_note(f"in the key function `{name}` of step {step}")
        raise


def _arguments(
    key: Callable[..., object], function: Callable[..., object], args: Any, kwargs: Any
) -> dict[str, Any]:
    """Return those of a step's arguments that its key function names, defaults filled in."""
    bound = inspect.signature(function).bind(*args, **kwargs)
    bound.apply_defaults()
    parameters = inspect.signature(key).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return dict(bound.arguments)
    return {each.name: bound.arguments[each.name] for each in parameters if each.name in bound.arguments}


def _text(value: Any, where: str, name: str, step: str) -> str:
    kind = type(value)
    if kind in _ATOMS:
        return repr(value)
    if kind in (list, tuple):
        parts = [_text(part, f"{where}[{place}]", name, step) for place, part in enumerate(value)]
        inside = ", ".join(parts)
        return f"[{inside}]" if kind is list else f"({inside}{',' if len(parts) == 1 else ''})"
    if kind in (set, frozenset):
        return f"{kind.__name__}({', '.join(sorted(_text(part, where, name, step) for part in value))})"
    if kind is dict:
        pairs = [
            (_text(key, where, name, step), _text(part, f"{where}[{key!r}]", name, step))
            for key, part in value.items()
        ]
        return f"{{{', '.join(f'{key}: {part}' for key, part in sorted(pairs))}}}"
    raise BadCacheKey(name, step, f" at {where}" if where else "", value)
