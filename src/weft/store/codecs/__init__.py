"""Codecs: how values become bytes and come back with the same types all the way down.

Loads the standard library and msgspec only; the libraries of frames, arrays and tensors are imported for a value
that shows that they are loaded already, or to read one.
"""

from __future__ import annotations

from weft.store.codecs import failures
from weft.store.codecs.exceptions import RemoteError
from weft.store.codecs.fingerprints import fingerprint_value
from weft.store.codecs.port import Codec, Declined, Encoded, Part, ReadPart
from weft.store.codecs.registry import REGISTRY, BadCodec

__all__ = [
    "BadCodec",
    "Codec",
    "Declined",
    "Encoded",
    "Part",
    "ReadPart",
    "RemoteError",
    "decode_exception",
    "encode_exception",
    "fingerprint_value",
    "register_codec",
]


def register_codec(codec: Codec) -> None:
    """Have ``codec`` asked before all others, in this process.

    Call it in a module that the workflow's file imports, so that every worker has it too.

    Raises:
        BadCodec: its name is malformed, or another codec has it.
    """
    REGISTRY.add(codec)


def encode_exception(error: BaseException) -> bytes:
    """Return ``error`` as bytes; see ``failures.encode_exception`` for what comes back."""
    return failures.encode_exception(error, REGISTRY)


def decode_exception(content: bytes) -> BaseException:
    """Return the exception that ``encode_exception`` was given, or its stand-in."""
    return failures.decode_exception(content, REGISTRY)
