"""How a value travels: as an artifact (where its bytes are) and a reference (which value inside it)."""

from __future__ import annotations

import msgspec

INLINE_BYTES_MAX = 4096

Path = tuple[str | int, ...]


class Artifact(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A stored value, addressed by the hash of its encoded content.

    ``inline`` holds the encoded bytes of a value of up to ``INLINE_BYTES_MAX`` bytes; a larger one
    lies in the blob store under ``digest``.
    """

    digest: str
    codec: str
    size_bytes: int
    inline: bytes | None = None


class Ref(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One value: ``path`` inside the value that ``artifact`` decodes to.

    ``origin`` names the output that made the artifact. Two references of one origin are parts of one
    object graph and are loaded once; two origins with equal content are two objects.
    """

    artifact: Artifact
    origin: int
    path: Path = ()


class Failure(msgspec.Struct, frozen=True):
    """Why an attempt failed, and the exception itself where it could be stored.

    ``kind``: ``user`` (the step or glue raised), ``weft`` (a rule of Weft was broken: unstorable value,
    hidden change), ``timeout``, ``lost`` (worker died), ``memory``, ``cancelled``.
    """

    kind: str
    type: str
    message: str
    traceback: str = ""
    exception: Artifact | None = None
    retryable: bool = True
