"""Things that live only in their process, refused by type before anything is pickled.

Some of them would pickle without complaint, and come back as dead copies: a view that no longer follows its
dict, a file with its content, an iterator that two nodes would both advance.
"""

from __future__ import annotations

import collections
import io
import itertools
import socket
import sys
import threading
import types
from typing import Any, Final, NamedTuple


class Refusal(NamedTuple):
    """Why a type is refused, and what to write instead."""

    why: str
    hint: str


_VIEW: Final = Refusal("it is a live view of another object", "Keep list(...) of it, or a copy, instead.")
_ITERATOR: Final = Refusal(
    "it is an iterator, which is used up by reading",
    "Keep list(...) of it instead, or read it where it is made.",
)
_COROUTINE: Final = Refusal("it is unfinished work", "Await it where it is made, and keep the result.")
_FILE: Final = Refusal(
    "it is open only in this process", "Keep the path or the content, and open it in the step that reads it."
)
_CONNECTION: Final = Refusal(
    "it is connected only in this process", "Keep the address, and connect in the step that needs it."
)
_LOCK: Final = Refusal(
    "it belongs to this process", "Make it in the step that needs it, or leave it out in __getstate__."
)

_ordered: Final[collections.OrderedDict[Any, Any]] = collections.OrderedDict()
_views: Final[list[Any]] = [
    {}.keys(),
    {}.values(),
    {}.items(),
    _ordered.keys(),
    _ordered.values(),
    _ordered.items(),
]
_iterables: Final[list[Any]] = [
    [],
    (),
    "",
    "é",
    b"",
    bytearray(),
    set(),
    range(0),
    range(1 << 70),
    {},
    _ordered,
]
_reversibles: Final[list[Any]] = [
    [],
    {},
    {}.values(),
    {}.items(),
    collections.deque(),
    range(0),
    range(1 << 70),
]
_iterators: Final[list[Any]] = [
    *map(iter, [*_iterables, *_views, collections.deque()]),
    *map(reversed, _reversibles),
    iter(int, 1),
]

_BY_TYPE: Final[dict[type, Refusal]] = {
    **dict.fromkeys([*map(type, _views), types.MappingProxyType, memoryview], _VIEW),
    **dict.fromkeys((types.CoroutineType, types.AsyncGeneratorType), _COROUTINE),
    **dict.fromkeys((types.GeneratorType, map, filter, zip, enumerate, reversed), _ITERATOR),
    **{kind: _ITERATOR for kind in vars(itertools).values() if isinstance(kind, type)},
    **dict.fromkeys(map(type, _iterators), _ITERATOR),
    **dict.fromkeys(map(type, (threading.Lock(), threading.RLock())), _LOCK),
}

_BY_BASE: Final = ((threading.Thread, _LOCK), (socket.socket, _CONNECTION), (io.IOBase, _FILE))
_IN_MEMORY: Final = (io.BytesIO, io.StringIO)
_STANDARD: Final = frozenset({"builtins", "io", "_io", "socket", "_socket", "threading"})
_OWN_WAYS: Final = ("__reduce__", "__reduce_ex__", "__getstate__")


def find_refusal(kind: type) -> Refusal | None:
    """Return why objects of this type cannot be stored, or None where nothing is known against it."""
    if kind in _BY_TYPE:
        return _BY_TYPE[kind]
    if issubclass(kind, _IN_MEMORY) or _knows_how_to_pickle(kind):
        return None
    return next((refusal for base, refusal in _BY_BASE if issubclass(kind, base)), None)


def _knows_how_to_pickle(kind: type) -> bool:
    """Say whether a class written in Python has its own idea of how its objects are stored."""
    own = [vars(base) for base in kind.__mro__ if base.__module__ not in _STANDARD]
    return any(name in names for names in own for name in _OWN_WAYS)


def find_stream_name(value: Any) -> str | None:
    """Return ``stdout`` and so on where ``value`` is that stream: each process has one, so it goes by name."""
    for name in ("stdin", "stdout", "stderr"):
        if value is getattr(sys, name) or value is getattr(sys, f"__{name}__"):
            return name
    return None
