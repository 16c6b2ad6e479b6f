"""Plain data as MessagePack: None, bool, int, float, str, bytes, and list, tuple and dict of these.

Tuples are extension 1 (an array inside), lists of tuples of scalars extension 2 (an array of arrays), for speed.
Equal values give equal bytes, whatever objects they are made of, so that keys of tasks are stable.
What is not exactly plain (subclasses, sets, ints beyond 64 bits, lone surrogates, a list that occurs twice or
holds itself) is declined.
"""

from __future__ import annotations

from itertools import chain
from typing import Any, Final

import msgspec
from msgspec.msgpack import Ext

from weft.store.codecs.port import Codec, Declined, Encoded, ReadPart

NAME: Final = "plain"
SCALARS: Final = frozenset({type(None), bool, int, float, str, bytes})

_TUPLE: Final = 1
_ROWS: Final = 2
_ONLY_TUPLES: Final = frozenset({tuple})
_PLAIN: Final = SCALARS | {list, tuple, dict}
_CONTAINERS: Final = frozenset({list, tuple, dict})


def _extension(code: int, data: memoryview) -> Any:
    if code == _TUPLE:
        return tuple(decode_plain(data))
    if code == _ROWS:
        return _read_rows(data)
    raise msgspec.DecodeError(f"unknown extension {code}")


encode_scalar: Final = msgspec.msgpack.Encoder().encode
"""From a value whose exact type is in ``SCALARS`` to bytes; raises as ``CANNOT`` says."""

decode_plain: Final = msgspec.msgpack.Decoder(ext_hook=_extension).decode
_read_rows: Final = msgspec.msgpack.Decoder(list[tuple[Any, ...]]).decode

CANNOT: Final = (OverflowError, UnicodeEncodeError, RecursionError, ValueError)
"""What MessagePack raises for big integers, lone surrogates, depth, and lengths above 4 GiB."""


class PlainCodec(Codec):
    name = NAME

    def accepts(self, value: Any) -> bool:
        return type(value) in _PLAIN

    def encode(self, value: Any) -> Encoded:
        try:
            return Encoded((encode_scalar(_to_msgpack(value, set())),))
        except CANNOT as error:
            raise Declined(str(error)) from error

    def decode(self, content: memoryview, read_part: ReadPart) -> Any:
        return decode_plain(content)


def _to_msgpack(value: Any, seen: set[int]) -> Any:
    kind = type(value)
    if kind in SCALARS:
        return value
    if kind is tuple:
        return Ext(_TUPLE, encode_scalar(_items(value, seen)))
    if kind not in _CONTAINERS:
        raise Declined(kind.__qualname__)
    # A mutable object that occurs twice is one object afterwards too; MessagePack would make two of it.
    if id(value) in seen:
        raise Declined("an object occurs twice")
    seen.add(id(value))
    return _items(value, seen) if kind is list else _mapping(value, seen)


def _items(value: list[Any] | tuple[Any, ...], seen: set[int]) -> Any:
    kinds = set(map(type, value))
    if kinds <= SCALARS:
        return value
    if kinds == _ONLY_TUPLES and set(map(type, chain.from_iterable(value))) <= SCALARS:
        return Ext(_ROWS, encode_scalar(value))
    return [_to_msgpack(item, seen) for item in value]


def _mapping(value: dict[Any, Any], seen: set[int]) -> Any:
    if not set(map(type, value)) <= SCALARS:
        raise Declined("a key is not a scalar")
    if set(map(type, value.values())) <= SCALARS:
        return value
    return {key: _to_msgpack(item, seen) for key, item in value.items()}
