"""Content hashes. Every digest carries its algorithm and every hash input carries a tag."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

from blake3 import blake3

ALGORITHM = "b3"
_THREADS_FROM_BYTES = 1 << 20
_LENGTH = struct.Struct("<Q")


def digest_bytes(content: bytes | bytearray | memoryview) -> str:
    """Return ``b3:<64 hex digits>``, the BLAKE3 hash of ``content``.

    Source: J. O'Connor et al. (2020), BLAKE3: one function, fast everywhere.
    """
    size = content.nbytes if isinstance(content, memoryview) else len(content)
    large = size >= _THREADS_FROM_BYTES
    hasher = blake3(content, max_threads=blake3.AUTO) if large else blake3(content)
    return f"{ALGORITHM}:{hasher.hexdigest()}"


def digest_buffers(buffers: Sequence[bytes | bytearray | memoryview]) -> str:
    """Return the digest of the buffers' concatenation, as ``digest_bytes`` would, without building it."""
    large = any(len(content) >= _THREADS_FROM_BYTES for content in buffers)
    hasher = blake3(max_threads=blake3.AUTO if large else 1)
    for content in buffers:
        hasher.update(content)
    return f"{ALGORITHM}:{hasher.hexdigest()}"


def digest_parts(tag: str, parts: Iterable[str | bytes]) -> str:
    """Return the digest of a tagged sequence of parts.

    Each part is preceded by its length, so that no two sequences collide, and
    the tag keeps hashes of different kinds of thing apart.
    """
    # In one piece: parts are small, and a call of the hasher for each costs more than to join them.
    pieces = [f"weft/{tag}\n".encode()]
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        pieces += (_LENGTH.pack(len(raw)), raw)
    return f"{ALGORITHM}:{blake3(b''.join(pieces)).hexdigest()}"
