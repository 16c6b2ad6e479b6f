"""Text and JSON as Python values, by type: what the command line and the REST door read parameters with.

``from_text`` reads what a person types (``1,2``; ``yes``; ``90s``), ``from_data`` what JSON holds.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import datetime
import decimal
import enum
import fractions
import inspect
import json
import pathlib
import re
import types
import typing
import uuid
from collections.abc import Callable
from typing import Any, Final

import msgspec

ANY: Final = Any
_Reader = Callable[[Any, Any], Any]
_RANGE: Final = re.compile(r"\s*(-?\d+)\s*\.\.\.?\s*(-?\d+)\s*")
_DURATION: Final = re.compile(r"\s*(?:\d+(?:\.\d+)?\s*(?:ms|[smhdw])\s*)+")
_DURATION_PART: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|[smhdw])")
_UNITS: Final = {
    "ms": "milliseconds",
    "s": "seconds",
    "m": "minutes",
    "h": "hours",
    "d": "days",
    "w": "weeks",
}
_YES: Final = frozenset({"true", "yes", "1", "on"})
_NO: Final = frozenset({"false", "no", "0", "off"})
_NOTHING: Final = frozenset({"none", "null"})
_ABSENT: Final = type(None)
_LISTS: Final[dict[Any, Callable[[list[Any]], Any]]] = {
    list: list, tuple: tuple, set: set, frozenset: frozenset,
    collections.abc.Sequence: list, collections.abc.Iterable: list, collections.abc.Collection: list,
    collections.abc.MutableSequence: list, collections.abc.Set: set, collections.abc.MutableSet: set,
}  # fmt: skip
_DICTS: Final = (dict, collections.abc.Mapping, collections.abc.MutableMapping)
_ARTICLES: Final = {"int": "an int", "None": "None", "any": "any value"}


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
    if kind is _ABSENT or kind is None:
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


def range_form(value: object) -> str | None:
    """Return how to write ``1..12``, which is no list in Python; None if ``value`` does not look so."""
    found = _RANGE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return None
    first, last = int(found[1]), int(found[2])
    if abs(last - first) >= 12:
        return f"{first},{first + 1},…,{last} in full"
    step = 1 if last >= first else -1
    return ",".join(map(str, range(first, last + step, step)))


def from_text(kind: Any, text: str) -> Any:
    """Return the value of type ``kind`` that ``text`` stands for.

    Raises:
        BadText: it stands for none.
    """
    kind = _plain(kind)
    origin = typing.get_origin(kind) or kind
    if kind is ANY:
        return _from_unannotated(text)
    if kind is _ABSENT or kind is None:
        return _none(kind, text)
    if origin in (typing.Union, types.UnionType):
        return _from_union(kind, text, from_text)
    if origin is typing.Literal:
        return _from_literal(kind, text)
    if origin in _LISTS or origin in _DICTS or _is_structure(origin):
        return _from_compound(kind, origin, text)
    if isinstance(kind, type):
        return _from_scalar(kind, text)
    raise _no_form(kind)


def from_data(kind: Any, data: Any) -> Any:
    """Return the value of type ``kind`` that JSON data stands for; a string is read as text.

    Raises:
        BadText: it stands for none.
    """
    kind = _plain(kind)
    origin = typing.get_origin(kind) or kind
    if kind is ANY:
        return data
    if origin in (typing.Union, types.UnionType):
        return _from_union(kind, data, from_data)
    if origin is typing.Literal:
        return _from_literal(kind, data)
    if origin in _LISTS and isinstance(data, list):
        return _from_list(kind, origin, data, from_data)
    if origin in _DICTS and isinstance(data, dict):
        return _from_dict(kind, data, from_data)
    if _is_structure(origin) and not isinstance(data, str):
        return _from_structure(kind, origin, data)
    if isinstance(data, str):
        return from_text(kind, data)
    return _from_number(kind, data)


def _plain(kind: Any) -> Any:
    """Return the type under ``Annotated``, ``NewType``, a ``type`` alias or a type variable."""
    while True:
        if typing.get_origin(kind) is typing.Annotated:
            kind = typing.get_args(kind)[0]
        elif hasattr(kind, "__supertype__"):
            kind = kind.__supertype__
        elif type(kind).__name__ == "TypeAliasType":
            kind = kind.__value__
        elif isinstance(kind, typing.TypeVar):
            kind = kind.__bound__ or ANY
        else:
            return ANY if kind in (object, inspect.Parameter.empty) else kind


def _from_unannotated(text: str) -> Any:
    if range_form(text) is not None:
        raise BadText("a value", f"{text!r} is none")
    try:
        return json.loads(text)
    except ValueError:
        return text


def _none(kind: Any, text: str) -> None:
    if text.strip().lower() not in _NOTHING:
        raise BadText(with_article(kind), f"{text!r} is not None")


def _from_union(kind: Any, value: Any, read: _Reader) -> Any:
    """Return the value by the narrowest member that takes it: None, int, float, the others, str."""
    members = [_plain(each) for each in typing.get_args(kind)]
    for member in sorted(members, key=lambda each: _width(each, value)):
        try:
            return read(member, value)
        except BadText:
            continue
    raise BadText(with_article(kind), f"{value!r} is none")


def _width(member: Any, value: Any) -> int:
    if member is bool:
        # `1` is a number to people where both are possible, `yes` is not.
        return 1 if isinstance(value, bool) or str(value).lower() not in ("0", "1") else 4
    ranks: dict[Any, int] = {_ABSENT: 0, int: 2, float: 3, ANY: 6}
    if member is str:
        return 5 if isinstance(value, str) else 7
    return ranks.get(member, 4) if isinstance(member, collections.abc.Hashable) else 4


def _from_literal(kind: Any, value: Any) -> Any:
    choices = typing.get_args(kind)
    for choice in choices:
        if type(choice) is type(value) and choice == value:
            return choice
    for choice in choices:
        try:
            wanted = from_text(type(choice), value) if isinstance(value, str) else value
        except BadText:
            continue
        if type(wanted) is type(choice) and wanted == choice:
            return choice
    raise BadText(with_article(kind), f"{value!r} is none of them")


def _from_compound(kind: Any, origin: Any, text: str) -> Any:
    stripped = text.strip()
    if stripped[:1] in ("[", "{"):
        try:
            data = json.loads(stripped)
        except ValueError as error:
            raise BadText(with_article(kind), f"{text!r} is no JSON: {error}") from None
        if not isinstance(data, list if origin in _LISTS else dict):
            raise BadText(with_article(kind), f"{text!r} is none")
        return from_data(kind, data)
    if range_form(text) is not None:
        raise BadText(with_article(kind), f"{text!r} is none")
    parts = [part.strip() for part in text.split(",")] if stripped else []
    if origin in _LISTS:
        return _from_list(kind, origin, parts, from_text)
    if origin in _DICTS:
        return _from_pairs(kind, parts)
    raise BadText(with_article(kind), f"{text!r} is no JSON object", "Write NAME='{\"field\": value}'.")


def _from_list(kind: Any, origin: Any, values: list[Any], read: _Reader) -> Any:
    make = _LISTS[origin]
    elements = _elements(kind, origin, len(values))
    if len(elements) != len(values):
        raise BadText(with_article(kind), f"{len(values)} values are given")
    items = [_item(kind, element, value, read) for element, value in zip(elements, values, strict=True)]
    try:
        return make(items)
    except TypeError as error:
        raise BadText(with_article(kind), str(error)) from None


def _elements(kind: Any, origin: Any, count: int) -> list[Any]:
    """Return the type of each of ``count`` elements; another number of them, if the type has its own."""
    arguments = typing.get_args(kind)
    if origin is tuple and arguments and arguments[-1] is not ...:
        return [] if arguments == ((),) else list(arguments)
    return [arguments[0] if arguments else ANY] * count


def _from_pairs(kind: Any, parts: list[str]) -> Any:
    data = {}
    for part in parts:
        key, colon, value = part.partition(":")
        if not colon:
            raise BadText(
                with_article(kind), f"{part!r} is no key:value", "Write NAME=key:value,… or a JSON object."
            )
        data[key.strip()] = value.strip()
    return _from_dict(kind, data, from_text)


def _from_dict(kind: Any, data: dict[str, Any], read: _Reader) -> Any:
    key_kind, value_kind = typing.get_args(kind) or (str, ANY)
    return {
        _item(kind, key_kind, key, from_text): _item(kind, value_kind, value, read)
        for key, value in data.items()
    }


def _item(kind: Any, element: Any, value: Any, read: _Reader) -> Any:
    try:
        return read(element, value)
    except BadText as problem:
        raise BadText(with_article(kind), f"{value!r} is not {problem.wanted}", problem.hint) from None


def _is_structure(kind: Any) -> bool:
    if not isinstance(kind, type):
        return False
    is_record = (
        dataclasses.is_dataclass(kind) or issubclass(kind, msgspec.Struct) or hasattr(kind, "model_validate")
    )
    is_tuple = issubclass(kind, tuple) and hasattr(kind, "_fields")
    return is_record or is_tuple or typing.is_typeddict(kind)


def _from_structure(kind: Any, origin: Any, data: Any) -> Any:
    """Return a dataclass, struct, typed dict, named tuple or pydantic model from a JSON object."""
    try:
        if hasattr(origin, "model_validate"):
            return origin.model_validate(data)
        if isinstance(data, dict) and issubclass(origin, tuple):
            return _named_tuple(origin, data)
        if isinstance(data, dict):
            _refuse_other_fields(kind, data)
        return msgspec.convert(data, kind, dec_hook=_from_hook)
    except (ValueError, TypeError) as error:  # msgspec's and pydantic's own are ValueErrors
        raise BadText(with_article(kind), str(error)) from None


def _named_tuple(kind: Any, data: dict[str, Any]) -> Any:
    hints = typing.get_type_hints(kind)
    return kind(**{key: from_data(hints.get(key, ANY), value) for key, value in data.items()})


def _refuse_other_fields(kind: Any, data: dict[str, Any]) -> None:
    """A misspelt field with a default would otherwise be passed over."""
    known = typing.get_type_hints(typing.get_origin(kind) or kind)
    other = sorted(set(data) - set(known) - set(getattr(kind, "__struct_encode_fields__", ())))
    if other and known:
        raise ValueError(f"{', '.join(map(repr, other))}: no such field; there are {', '.join(known)}")


def _from_hook(kind: type, data: Any) -> Any:
    try:
        return from_data(kind, data)
    except BadText as problem:
        raise ValueError(f"expected {problem.wanted}; {problem.reason}") from None


def _from_number(kind: Any, data: Any) -> Any:
    """Return JSON's null, boolean or number as a ``kind``; an int is a float too, a bool is no int."""
    if kind is _ABSENT or kind is None:
        if data is None:
            return None
    elif isinstance(kind, type):
        if type(data) is kind:
            return data
        if kind is float and isinstance(data, int) and not isinstance(data, bool):
            return float(data)
        if issubclass(kind, enum.Enum) or kind in (decimal.Decimal, fractions.Fraction):
            return _from_scalar(kind, str(data))
    raise BadText(with_article(kind), f"{data!r} is none")


def _from_scalar(kind: type, text: str) -> Any:
    read = next((read for base, read in _SCALARS.items() if issubclass(kind, base)), None)
    if read is None:
        raise _no_form(kind)
    try:
        return read(kind, text)
    except (ValueError, ArithmeticError):
        raise BadText(with_article(kind), f"{text!r} is none") from None


def _no_form(kind: Any) -> BadText:
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
        raise BadText("a bool", f"{text!r} is none", "Write NAME=true or NAME=false.")
    return word in _YES


def _duration(_kind: type, text: str) -> datetime.timedelta:
    if _DURATION.fullmatch(text):
        parts = [
            datetime.timedelta(**{_UNITS[unit]: float(count)}) for count, unit in _DURATION_PART.findall(text)
        ]
        return sum(parts, datetime.timedelta())
    found = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", text.strip())
    if found is None:
        raise BadText("a timedelta", f"{text!r} is none", "Write NAME=90s, NAME=1h30m or NAME=01:30:00.")
    return datetime.timedelta(hours=int(found[1]), minutes=int(found[2]), seconds=float(found[3]))


def _when(kind: Any, text: str) -> Any:
    try:
        return kind.fromisoformat(text.strip())
    except ValueError:
        hint = f"Write it as {'2026-01-31' if kind is datetime.date else '2026-01-31T12:00' if kind is datetime.datetime else '12:00'}."
        raise BadText(with_article(kind), f"{text!r} is none", hint) from None


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
    fractions.Fraction: _made,
    uuid.UUID: _made,
}
