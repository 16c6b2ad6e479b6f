"""Whether a value has changed: a digest that forgets what nobody can see.

Two digests of one object, before and after some code ran, are equal if the object has not changed, even if a
``functools.cached_property`` was computed meanwhile, or an equal string took the place of another. Not seen: that two
equal parts of a value have become one object, or one has become two. Not forgotten: caches that a class keeps by
itself, unless its ``__getstate__`` leaves them out.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from typing import Any, Final

from blake3 import blake3

from weft.digest import ALGORITHM
from weft.store.codecs.exceptions import FAITHFUL, reduce_exception
from weft.store.codecs.pickles import PlainPickler, nested_value
from weft.store.codecs.port import Buffer, Codec, Encoded, Part, digest_content
from weft.store.codecs.registry import REGISTRY, Registry
from weft.store.faults import MissingArtifact

_STREAM_BYTES_MAX: Final = 1 << 28


def fingerprint_value(value: Any, registry: Registry = REGISTRY) -> str | None:
    """Return a digest of what ``value`` holds, or None where it cannot be stored or its classes fail."""
    found = registry.find_exact(value)
    if found is not None:
        return digest_content(found[0], found[1].content)
    for attempt in (_digest_stream, _digest_settled):
        try:
            return attempt(value, registry)
        except Exception:  # noqa: BLE001  unstorable, cyclic, too large, or the user's classes fail: less exactly
            continue
    return None


def _digest_stream(value: Any, registry: Registry) -> str:
    pickler: Any = _Hashing(registry, sys.maxsize, _reduce_without_bonds)
    # Without pickle's memo, equal parts give equal bytes, be they one object or two.
    pickler.fast = True
    pickler.dump(value)
    return f"{ALGORITHM}:{pickler.head.hasher.hexdigest()}"


def _digest_settled(value: Any, registry: Registry) -> str:
    """Return the digest after one round trip, in which pickle's memo settles."""
    first = registry.pickles.encode(value)
    settled = registry.pickles.decode(_joined(first), _PartsInMemory(first.parts).read)
    return digest_content(registry.pickles.name, registry.pickles.encode(settled).content)


class _TooMuch(Exception):
    """Parts that occur in many places make the stream far larger than the value."""


class _HashingSink:
    def __init__(self) -> None:
        self.hasher = blake3()
        self._count = 0

    def write(self, content: Buffer) -> int:
        self._count += len(content)
        if self._count > _STREAM_BYTES_MAX:
            raise _TooMuch
        self.hasher.update(content)
        return len(content)


class _Hashing(PlainPickler):
    """Pickles into a hash; leaves out what ``functools.cached_property`` has put into ``__dict__``."""

    def _open_head(self) -> Any:
        return _HashingSink()

    def _take_buffer(self, buffer: Any) -> bool:
        self.head.hasher.update(digest_content("raw", [buffer.raw()]).encode())
        return False

    def _nest(self, codec: Codec, value: Any) -> Any:
        content, parts = codec.encode(value)
        digests = [part.digest for part in parts]
        return nested_value, (codec.name, digest_content(codec.name, content), digests)

    def _rest(self, value: Any) -> Any:
        kind: Any = type(value)
        cached = _cached_names(kind)
        if not cached or cached.isdisjoint(getattr(value, "__dict__", ())):
            return NotImplemented
        reduced = value.__reduce_ex__(5)
        if len(reduced) < 3 or type(reduced[2]) is not dict:
            return NotImplemented
        state = {name: item for name, item in reduced[2].items() if name not in cached}
        return (*reduced[:2], state, *reduced[3:])


def _reduce_without_bonds(error: BaseException) -> Any:
    reduced = reduce_exception(error, FAITHFUL._replace(chain=frozenset()))
    # The setter would pickle the exception once more, for ever without a memo.
    return reduced if isinstance(reduced, str) else (*reduced[:2], reduced[2])


@functools.lru_cache(maxsize=1024)
def _cached_names(kind: type) -> frozenset[str]:
    own = [vars(base).items() for base in kind.__mro__]
    return frozenset(
        name for names in own for name, item in names if isinstance(item, functools.cached_property)
    )


def _joined(encoded: Encoded) -> memoryview:
    return memoryview(bytearray(b"".join(encoded.content)))


class _PartsInMemory:
    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = {part.digest: part for part in parts}

    def read(self, digest: str, codec: str) -> memoryview:
        try:
            return memoryview(bytearray(b"".join(self._parts[digest].content)))
        except KeyError:
            raise MissingArtifact(digest, "a part in memory") from None
