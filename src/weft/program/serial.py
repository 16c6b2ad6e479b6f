"""Programs as bytes: msgpack for storage, JSON for people and other tools. Both round-trip exactly."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import msgspec

from weft.digest import digest_bytes
from weft.errors import StoredDataError
from weft.model.values import UNREADABLE
from weft.program.nodes import PROGRAM_VERSION, Program

_encoder = msgspec.msgpack.Encoder()


class UnknownProgram(StoredDataError):
    """The program was written by a newer Weft, or is not a program."""

    code = "unknown-program"

    def __init__(self, version: object) -> None:
        super().__init__(
            f"this program has version {version!r}; this Weft reads versions 1 to {PROGRAM_VERSION}",
            hint="Upgrade Weft to the version that wrote it, or run the workflow again.",
        )


class _Head(msgspec.Struct):
    version: int


@cache
def program_decoder() -> msgspec.msgpack.Decoder[Program]:
    """Return what decodes programs, made once: working out the types takes as long as some ten imports.

    Whoever forks asks for it first, so that its children need not; whoever only starts a run never does.
    """
    return msgspec.msgpack.Decoder(Program)


def program_to_bytes(program: Program) -> bytes:
    """Return the program as msgpack."""
    return _encoder.encode(program)


def program_from_bytes(raw: bytes) -> Program:
    """Return the program that ``program_to_bytes`` wrote.

    Raises:
        UnknownProgram: another version, or bytes that are no program.
    """
    _check_version(raw, msgspec.msgpack.Decoder(_Head).decode)
    return program_decoder().decode(raw)


def program_to_json(program: Program) -> bytes:
    """Return the program as JSON."""
    return msgspec.json.encode(program)


def program_from_json(raw: bytes) -> Program:
    """Return the program that ``program_to_json`` wrote.

    Raises:
        UnknownProgram: another version, or text that is no program.
    """
    _check_version(raw, msgspec.json.Decoder(_Head).decode)
    return msgspec.json.decode(raw, type=Program)


def program_digest(program: Program) -> str:
    """Return the content hash of a program."""
    return digest_bytes(program_to_bytes(program))


def _check_version(raw: bytes, decode: Callable[[bytes], _Head]) -> None:
    try:
        head = decode(raw)
    except UNREADABLE as error:
        raise UnknownProgram(None) from error
    if not 1 <= head.version <= PROGRAM_VERSION:
        raise UnknownProgram(head.version)
