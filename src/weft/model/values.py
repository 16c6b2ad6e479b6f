"""How a value travels: as an artifact (where its bytes are) and a reference (which value inside it)."""

from __future__ import annotations

import msgspec

from weft.digest import digest_bytes

INLINE_BYTES_MAX = 4096

INFRASTRUCTURE = frozenset({"lost", "preempted", "memory", "disk"})
"""Kinds of failures that are no fault of the user's code: retried by a budget of their own, from the profile."""

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, TypeError)
"""What decoding raises for bytes that are not what was encoded; of text that is no UTF-8 it is the second, and of a
damaged field that holds no bytes at all it is the third."""

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


def trailer_of(codec: str) -> bytes:
    """Return what follows the content in a file and in the hash, so that a digest covers the codec too.

    A trailer rather than a header: the file stays what its format says (NumPy reads it as it lies), and
    the file's plain BLAKE3 sum is its name.
    """
    return b"\nweft:" + codec.encode()


def without_digest(artifact: Artifact) -> Artifact:
    """Return an artifact as rows hold it: of an inline one the digest, longer than most such values, is left out."""
    if artifact.inline is None:
        return artifact
    return Artifact("", artifact.codec, artifact.size_bytes, artifact.inline)


def with_digest(artifact: Artifact) -> Artifact:
    """Return the artifact that ``without_digest`` was given."""
    if artifact.inline is None or artifact.digest:
        return artifact
    digest = digest_bytes(artifact.inline + trailer_of(artifact.codec))
    return Artifact(digest, artifact.codec, artifact.size_bytes, artifact.inline)


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
    hidden change), ``timeout``, ``cancelled``, and those of ``INFRASTRUCTURE``: ``lost`` (the worker died),
    ``preempted`` (it was told to end, and not by Weft), ``memory``, ``disk`` (no space for a result).
    ``path``: where the exception is inside the value that its artifact decodes to, stored with what it shares.
    """

    kind: str
    type: str
    message: str
    traceback: str = ""
    exception: Artifact | None = None
    retryable: bool = True
    path: Path = ()

    @property
    def text(self) -> str:
        """The failure in one line, as a traceback ends; the path of a module of Weft's own tells nobody anything."""
        name = self.type.rpartition(".")[2] if self.type.startswith("weft.") else self.type
        return f"{name}: {self.message}".removesuffix(": ")
