"""Bytes of an exception, whatever it holds: as it is if that can be, else with less, else a stand-in."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from typing import Final

from weft.errors import WeftError
from weft.store.codecs.exceptions import (
    FAITHFUL,
    Manner,
    first_of_chain,
    keep_all,
    reduce_exception,
    stand_in_for,
)
from weft.store.codecs.pickles import Codecs, PickleCodec

NAME: Final = "exception"


def encode_exception(error: BaseException, codecs: Codecs) -> bytes:
    """Return ``error`` as bytes that stand for themselves, without parts.

    What comes back has the same type and ``args``, cause, context, notes, and the traceback as text. An item of
    ``args`` that cannot be stored comes back as its ``repr``, an attribute that cannot is left out; an exception
    whose class cannot comes back as a ``RemoteError``.
    """
    pickles = PickleCodec(codecs, part_bytes_min=sys.maxsize)
    for manner in _manners(error, pickles):
        content = _try(error, manner, pickles)
        if content is not None:
            return content
    return b"".join(pickles.encode(stand_in_for(error)).content)


def decode_exception(content: bytes | memoryview, codecs: Codecs) -> BaseException:
    """Return the exception that ``encode_exception`` was given, or its stand-in.

    Raises:
        MissingClass: its class is gone.
    """
    pickles = PickleCodec(codecs, part_bytes_min=sys.maxsize)
    error: BaseException = pickles.decode(memoryview(bytearray(content)), _no_parts)
    return error


def _manners(error: BaseException, pickles: PickleCodec) -> Iterator[Manner]:
    can_store = functools.partial(_can_store, pickles)
    near = first_of_chain(error)
    yield FAITHFUL
    yield Manner(own=False)
    yield Manner(own=True, chain=near)
    yield Manner(own=False, keep=can_store, chain=near)
    yield Manner(own=False, keep=can_store, chain=frozenset())


def _try(error: BaseException, manner: Manner, pickles: PickleCodec) -> bytes | None:
    reduce = functools.partial(reduce_exception, manner=manner)
    try:
        content = b"".join(pickles.encode(error, reduce).content)
        back = pickles.decode(memoryview(bytearray(content)), _no_parts)
    except Exception:  # noqa: BLE001  the user's classes take part; the next manner asks less of them
        return None
    return content if _is_like(back, error, manner) else None


def _is_like(back: object, error: BaseException, manner: Manner) -> bool:
    if type(back) is not type(error):
        return False
    may_replace = manner.keep is not keep_all
    return may_replace or [type(item) for item in back.args] == [type(item) for item in error.args]


def _can_store(pickles: PickleCodec, item: object) -> bool:
    try:
        pickles.decode(memoryview(bytearray(b"".join(pickles.encode(item).content))), _no_parts)
    except Exception:  # noqa: BLE001  whatever goes wrong in the user's classes, the answer is no
        return False
    return True


def _no_parts(digest: str, codec: str) -> memoryview:
    raise WeftError(f"an exception refers to the blob {digest}, though it is stored in one piece")
