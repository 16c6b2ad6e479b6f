"""Are two outcomes the same? Equal with the same types all the way down, or exceptions of one type and args.

Stricter than ``==``: ``1`` is not ``True``, ``1`` is not ``1.0``, a dict keeps its order, NaN is NaN, ``-0.0``
is not ``0.0``. ``difference`` returns None, or a text that names the first place where they differ.
"""

from __future__ import annotations

import enum
import re
import types
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from weft.store.codecs import fingerprint_value

ATOMS: Final = (str, bytes, bytearray, int, bool, type(None), range, slice, type(...))


class Outcome(msgspec.Struct, frozen=True):
    """How a call ended: with ``value``, or with ``error``."""

    value: Any = None
    error: BaseException | None = None

    def __str__(self) -> str:
        return (
            f"value {self.value!r}"
            if self.error is None
            else f"{type(self.error).__qualname__}{self.error.args!r}"
        )


def outcome_of(call: Any, *args: Any, **kwargs: Any) -> Outcome:
    """Call and return how it ended."""
    try:
        return Outcome(value=call(*args, **kwargs))
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # noqa: BLE001 - whatever the program raises is its outcome
        return Outcome(error=error)


def outcome_difference(expected: Outcome, found: Outcome) -> str | None:
    """Return how two outcomes differ, or None."""
    if expected.error is None and found.error is None:
        return difference(expected.value, found.value)
    if expected.error is None or found.error is None:
        return f"expected {expected}, found {found}"
    return error_difference(expected.error, found.error)


Pairs = frozenset[tuple[int, int]]


def error_difference(
    expected: BaseException, found: BaseException, where: str = "error", seen: Pairs = frozenset()
) -> str | None:
    """Return how two exceptions differ in type, args, cause or context, or None.

    Args:
        seen: pairs that are being compared, so that circles of causes end.
    """
    if (id(expected), id(found)) in seen:
        return None
    seen |= {(id(expected), id(found))}
    if isinstance(expected, NameError) and isinstance(found, NameError):
        if _quoted(expected) != _quoted(found):
            return f"{where}: {expected} is not {found}"
    elif _name(type(expected)) != _name(type(found)):
        return f"{where}: {_name(type(expected))}{expected.args!r} is not {_name(type(found))}{found.args!r}"
    else:
        text = difference(expected.args, found.args, f"{where}.args") or _state_difference(
            expected, found, where
        )
        if text:
            return text
    if missing := [
        note for note in getattr(expected, "__notes__", ()) if note not in getattr(found, "__notes__", ())
    ]:
        return f"{where}: lost the notes {missing}"
    return _chain_difference(expected, found, where, seen)


def _chain_difference(expected: BaseException, found: BaseException, where: str, seen: Pairs) -> str | None:
    """Compare what an exception came from, as a traceback would show it."""
    if expected.__suppress_context__ != found.__suppress_context__:
        return f"{where}.__suppress_context__: {expected.__suppress_context__} is not {found.__suppress_context__}"
    for name in ("__cause__", "__context__"):
        one, other = getattr(expected, name), getattr(found, name)
        if (one is None) != (other is None):
            return f"{where}.{name}: {one!r} is not {other!r}"
        if one is not None and (text := error_difference(one, other, f"{where}.{name}", seen)):
            return text
    return None


def _state_difference(expected: BaseException, found: BaseException, where: str) -> str | None:
    def state(error: BaseException) -> dict[str, Any]:
        # What Weft keeps on a stored exception (its traceback as text) is no part of the user's object.
        return {k: v for k, v in vars(error).items() if not k.startswith(("__notes__", "__weft_"))}

    return difference(state(expected), state(found), f"{where}.__dict__")


def _quoted(error: BaseException) -> list[str]:
    return re.findall(r"'([^']*)'", str(error))


def _name(cls: type) -> tuple[str, str]:
    return cls.__module__, cls.__qualname__


def difference(expected: Any, found: Any, where: str = "value") -> str | None:
    """Return where two values differ, or None where they are equal with equal types all the way down."""
    return _Comparison().compare(expected, found, where)


class _Comparison:
    """State: the pairs of objects that are being compared, so that cycles end."""

    def __init__(self) -> None:
        self.seen: set[tuple[int, int]] = set()

    def compare(self, a: Any, b: Any, where: str) -> str | None:
        if _name(type(a)) != _name(type(b)):
            return f"{where}: {a!r} ({type(a).__name__}) is not {b!r} ({type(b).__name__})"
        if (id(a), id(b)) in self.seen:
            return None
        self.seen.add((id(a), id(b)))
        return next(self._differences(a, b, where), None)

    def _differences(self, a: Any, b: Any, where: str) -> Iterator[str]:
        if _of_library(a):
            if not _same_in_library(a, b):
                yield f"{where}: {a!r} is not {b!r}"
        elif isinstance(a, float):
            if repr(a) != repr(b):
                yield f"{where}: {a!r} is not {b!r}"
        elif isinstance(a, (*ATOMS, complex, enum.Enum, type)) and not _has_state(a):
            if a != b and not (isinstance(a, type) and _name(a) == _name(b)):
                yield f"{where}: {a!r} is not {b!r}"
        elif isinstance(a, Mapping):
            yield from self._mappings(a, b, where)
        elif isinstance(a, (set, frozenset)):
            if sorted(map(_key, a)) != sorted(map(_key, b)):
                yield f"{where}: {a!r} is not {b!r}"
        else:
            yield from self._objects(a, b, where)

    def _mappings(self, a: Any, b: Any, where: str) -> Iterator[str]:
        if [_key(k) for k in a] != [_key(k) for k in b]:
            yield f"{where}: keys {list(a)!r} are not {list(b)!r}"
            return
        for (key, one), other in zip(a.items(), b.values(), strict=True):
            if text := self.compare(one, other, f"{where}[{key!r}]"):
                yield text

    def _objects(self, a: Any, b: Any, where: str) -> Iterator[str]:
        if isinstance(a, BaseException):
            if text := error_difference(a, b, where):
                yield text
            return
        if isinstance(a, types.FunctionType):
            return
        if isinstance(a, (list, tuple, deque)):
            yield from self._sequences(a, b, where)
        state = [_state(a), _state(b)]
        if state[0] is not None:
            yield from filter(None, [self.compare(state[0], state[1], f"{where}.__dict__")])
        elif not isinstance(a, (list, tuple, deque)) and not _equal(a, b):
            yield f"{where}: {a!r} is not {b!r}"

    def _sequences(self, a: Any, b: Any, where: str) -> Iterator[str]:
        if len(a) != len(b):
            yield f"{where}: {len(a)} items {a!r} are not {len(b)} items {b!r}"
            return
        for index, (one, other) in enumerate(zip(a, b, strict=True)):
            if text := self.compare(one, other, f"{where}[{index}]"):
                yield text


def _state(item: Any) -> dict[str, Any] | None:
    """Return an object's attributes, those in slots too, or None where it has none."""
    slots = [
        name for cls in type(item).__mro__ for name in getattr(cls, "__slots__", ()) if isinstance(name, str)
    ]
    found = {name: getattr(item, name) for name in slots if hasattr(item, name) and not name.startswith("__")}
    found.update(getattr(item, "__dict__", {}))
    return found or None


def _has_state(item: Any) -> bool:
    return not isinstance(item, (type, enum.Enum)) and bool(getattr(item, "__dict__", None))


def _key(item: Any) -> str:
    return f"{type(item).__qualname__}:{item!r}"


def _equal(a: Any, b: Any) -> bool:
    """Compare objects without attributes of their own."""
    compare: object = type(a).__eq__
    if compare is object.__eq__:
        return True
    try:
        return bool(a == b)
    except Exception:  # noqa: BLE001 - an array of another library has no truth; equal bytes are equal
        return bool(fingerprint_value(a) == fingerprint_value(b))


SHAPES: Final = ("dtype", "dtypes", "schema", "shape", "name", "names")
LIBRARIES: Final = ("numpy", "pandas", "polars", "pyarrow")


def _of_library(item: Any) -> bool:
    return type(item).__module__.partition(".")[0] in LIBRARIES and not isinstance(item, type)


def _same_in_library(a: Any, b: Any) -> bool:
    """Compare arrays and frames: data, shape, types, and the labels of both axes."""
    if any(str(getattr(a, name, "")) != str(getattr(b, name, "")) for name in SHAPES):
        return False
    labels = [part for part in ("index", "columns") if _of_library(getattr(a, part, None))]
    if not all(_same_in_library(getattr(a, part), getattr(b, part)) for part in labels):
        return False
    if hasattr(a, "equals"):
        return bool(a.equals(b))
    if str(getattr(a, "dtype", "")) == "object":
        return difference(a.tolist(), b.tolist()) is None
    return bool(a.tobytes() == b.tobytes()) if hasattr(a, "tobytes") else bool(a == b)
