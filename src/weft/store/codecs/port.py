"""The codec port: how values of one kind become bytes and come back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple, TypeAlias

from weft.digest import digest_buffers, digest_bytes
from weft.model.values import trailer_of

Buffer: TypeAlias = bytes | bytearray | memoryview
ReadPart: TypeAlias = Callable[[str, str], memoryview]
"""From (digest, codec) of a part to its content: private to the caller, who may write into it."""

_JOIN_BYTES_MAX = 1 << 16


class Declined(Exception):
    """Raised by ``Codec.encode`` on finding that the value would not come back exactly."""


class Part(NamedTuple):
    """A large piece of a value, stored as a blob of its own so that other values can share it."""

    digest: str
    codec: str
    content: Sequence[Buffer]
    size_bytes: int


class Encoded(NamedTuple):
    """A value as bytes: the concatenation of ``content``, which refers to ``parts`` by digest."""

    content: Sequence[Buffer]
    parts: Sequence[Part] = ()


def size_of(content: Sequence[Buffer]) -> int:
    """Return the length of the concatenation, in bytes."""
    return sum([item.nbytes if isinstance(item, memoryview) else len(item) for item in content])


def digest_content(codec: str, content: Sequence[Buffer]) -> str:
    """Return the digest under which ``content`` made by ``codec`` is stored."""
    trailer = trailer_of(codec)
    if size_of(content) <= _JOIN_BYTES_MAX:
        return digest_bytes(b"".join([*content, trailer]))
    return digest_buffers([*content, trailer])


class Codec(ABC):
    """How values of one kind are stored. Subclass it and pass an instance to ``register_codec``.

    The law: a codec takes a value only if ``decode`` gives back exactly that value, with the same types all
    the way down. What no codec takes is pickled.
    """

    name: ClassVar[str]
    """Stored with each value; never reuse a name for another format. Letters, digits, ``-`` and ``_``."""

    @abstractmethod
    def accepts(self, value: Any) -> bool:
        """Say whether this codec is for ``value``. Cheap: by its type, not by reading it."""

    @abstractmethod
    def encode(self, value: Any) -> Encoded:
        """Return ``value`` as bytes; equal values give equal bytes as far as possible.

        Raises:
            Declined: seen closely, the value would not come back exactly.
        """

    @abstractmethod
    def decode(self, content: memoryview, read_part: ReadPart) -> Any:
        """Return the value. ``content`` is private memory (often a copy-on-write map): keep views of it
        rather than copies, and let users write into them."""

    def nests(self, value: Any) -> bool:
        """Say whether ``value`` shall come to this codec also where it stands inside a pickled value."""
        return True

    def parts_of(self, content: memoryview) -> list[tuple[str, str]]:
        """Return (digest, codec) of all parts that ``content`` refers to, without decoding the value."""
        return []
