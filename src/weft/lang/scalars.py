"""Values of simple types from text, and what a type is called where people read it."""

from __future__ import annotations

import datetime
import decimal
import enum
import numbers
import pathlib
import re
import types
import typing
import uuid
from collections.abc import Callable
from typing import Any, Final

ANY: Final = Any
_DURATION: Final = re.compile(r"\s*(?:\d+(?:\.\d+)?\s*(?:ms|[smhdw])\s*)+")
_DURATION_PART: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|[smhdw])")
_YES: Final = frozenset({"true", "yes", "1", "on"})
_NO: Final = frozenset({"false", "no", "0", "off"})
_ARTICLES: Final = {"int": "an int", "None": "None", "any": "any value"}
_UNITS: Final = {
    "ms": "milliseconds",
    "s": "seconds",
    "m": "minutes",
    "h": "hours",
    "d": "days",
    "w": "weeks",
}


class BadText(Exception):
    """A text is no value of the wanted type.

    Attributes:
        wanted: the type, in words. ``reason``: what is wrong. ``hint``: what to write; NAME is the parameter.
    """

    def __init__(self, wanted: str, reason: str, hint: str = "") -> None:
        super().__init__(f"{wanted}: {reason}")
        self.wanted = wanted
        self.reason = reason
        self.hint = hint


def describe_type(kind: Any) -> str:
    """Return a type as help shows it: ``list[int]``, ``float | None``, ``'a' | 'b'``."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is ANY:
        return "any"
    if kind in (None, type(None)):
        return "None"
    if origin is typing.Annotated:
        return describe_type(arguments[0])
    if origin in (typing.Union, types.UnionType):
        return " | ".join(map(describe_type, arguments))
    if origin is typing.Literal:
        return " | ".join(map(repr, arguments))
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return " | ".join(kind.__members__)
    name = getattr(origin or kind, "__name__", str(kind))
    inner = ", ".join("..." if each is ... else describe_type(each) for each in arguments)
    return f"{name}[{inner}]" if inner else name


def with_article(kind: Any) -> str:
    """Return a type in a sentence: ``a float``, ``an int``, ``one of 'a' | 'b'``."""
    text = describe_type(kind)
    if typing.get_origin(kind) is typing.Literal or (isinstance(kind, type) and issubclass(kind, enum.Enum)):
        return f"one of {text}"
    return _ARTICLES.get(text, f"an {text}" if text[0] in "aeiouAEIOU" else f"a {text}")


def from_scalar(kind: type, text: str) -> Any:
    """Return the value of a simple type that a text stands for.

    Raises:
        BadText: it stands for none, or the type has no form as text.
    """
    read = next((read for base, read in _SCALARS.items() if issubclass(kind, base)), None)
    if read is None:
        raise no_form(kind)
    try:
        return read(kind, text)
    except (ValueError, ArithmeticError):
        raise BadText(with_article(kind), f"{text!r} is not one") from None


def no_form(kind: Any) -> BadText:
    """Return the problem of a type whose values nobody can type."""
    hint = "Give the parameter a default, or call .run(...) from Python."
    return BadText(with_article(kind), "which cannot be written as text", hint)


def _enum(kind: Any, text: str) -> Any:
    if text in kind.__members__:
        return kind[text]
    for member in kind:
        if str(member.value) == text:
            return member
    raise BadText(with_article(kind), f"{text!r} is none of them")


def _bool(_kind: type, text: str) -> bool:
    word = text.strip().lower()
    if word not in _YES | _NO:
        raise BadText("a bool", f"{text!r} is not one", "Write NAME=true or NAME=false.")
    return word in _YES


def _duration(_kind: type, text: str) -> datetime.timedelta:
    if _DURATION.fullmatch(text):
        parts = [
            datetime.timedelta(**{_UNITS[unit]: float(count)}) for count, unit in _DURATION_PART.findall(text)
        ]
        return sum(parts, datetime.timedelta())
    found = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", text.strip())
    if found is None:
        raise BadText("a timedelta", f"{text!r} is not one", "Write NAME=90s, NAME=1h30m or NAME=01:30:00.")
    return datetime.timedelta(hours=int(found[1]), minutes=int(found[2]), seconds=float(found[3]))


def _when(kind: Any, text: str) -> Any:
    try:
        return kind.fromisoformat(text.strip())
    except ValueError:
        hint = f"Write it as {'2026-01-31' if kind is datetime.date else '2026-01-31T12:00' if kind is datetime.datetime else '12:00'}."
        raise BadText(with_article(kind), f"{text!r} is not one", hint) from None


def _made(kind: Any, text: str) -> Any:
    return kind(text.strip())


# The order counts: an Enum may be a str, a bool is an int, a datetime is a date.
_SCALARS: Final[dict[type, Callable[[Any, str], Any]]] = {
    enum.Enum: _enum,
    str: lambda kind, text: kind(text),
    bool: _bool,
    int: _made,
    float: _made,
    complex: _made,
    bytes: lambda kind, text: kind(text.encode()),
    datetime.datetime: _when,
    datetime.date: _when,
    datetime.time: _when,
    datetime.timedelta: _duration,
    # A shell expands `~` at the start of a word only, not after `data=`.
    pathlib.PurePath: lambda kind, text: (
        kind(text).expanduser() if issubclass(kind, pathlib.Path) else kind(text)
    ),
    decimal.Decimal: _made,
    uuid.UUID: _made,
    numbers.Rational: _made,  # fractions.Fraction, and what is like it
}
