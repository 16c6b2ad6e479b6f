"""Text and JSON as Python values, by type: what the command line and the REST door read parameters with.

``from_text`` reads what a person types (``1,2``; ``yes``; ``90s``), ``from_data`` what JSON holds.
"""

from __future__ import annotations

import collections.abc
import decimal
import enum
import inspect
import numbers
import re
import types
import typing
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from weft.lang.scalars import ANY, BadText, from_scalar, no_form, with_article
from weft.seams import deferred

if TYPE_CHECKING:
    import json
else:
    json = deferred("json")

_Reader = Callable[[Any, Any], Any]
_RANGE: Final = re.compile(r"\s*(-?\d+)\s*\.\.\.?\s*(-?\d+)\s*")
_NOTHING: Final = frozenset({"none", "null"})
_ABSENT: Final = type(None)
_LISTS: Final[dict[Any, Callable[[list[Any]], Any]]] = {
    list: list, tuple: tuple, set: set, frozenset: frozenset,
    collections.abc.Sequence: list, collections.abc.Iterable: list, collections.abc.Collection: list,
    collections.abc.MutableSequence: list, collections.abc.Set: set, collections.abc.MutableSet: set,
}  # fmt: skip
_DICTS: Final = (dict, collections.abc.Mapping, collections.abc.MutableMapping)


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
        return from_scalar(kind, text)
    raise no_form(kind)


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
        raise BadText("a value", f"{text!r} is not one")
    try:
        return json.loads(text)
    except RecursionError:
        raise _too_deep("a value") from None
    except ValueError:
        return text


def _too_deep(wanted: str) -> BadText:
    return BadText(
        wanted, "its JSON is nested too deeply", "Keep it as a flat list, or read it from a file in a step."
    )


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
    raise BadText(with_article(kind), f"{value!r} is not one")


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
        except RecursionError:
            raise _too_deep(with_article(kind)) from None
        except ValueError as error:
            raise BadText(with_article(kind), f"{text!r} is no JSON: {error}") from None
        if not isinstance(data, list if origin in _LISTS else dict):
            raise BadText(with_article(kind), f"{text!r} is not one")
        return from_data(kind, data)
    if range_form(text) is not None:
        raise BadText(with_article(kind), f"{text!r} is not one")
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
        hasattr(kind, "__dataclass_fields__")
        or issubclass(kind, msgspec.Struct)
        or hasattr(kind, "model_validate")
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
        if issubclass(kind, enum.Enum) or issubclass(kind, (decimal.Decimal, numbers.Rational)):
            return from_scalar(kind, str(data))
    raise BadText(with_article(kind), f"{data!r} is not one")
