"""Values in and out of the store: a codec makes bytes of a value; small ones travel inside the artifact.

A blob is the codec's content and a trailer with the codec's name, so that its digest, the file's plain BLAKE3 sum,
stands for the value. Parts are blobs of their own and are written first: what refers is written after what it
refers to. State: none but the blob store and the registry of codecs that it is given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from weft.digest import digest_bytes
from weft.errors import WeftError
from weft.model.values import INLINE_BYTES_MAX, Artifact, trailer_of
from weft.store.blobs import BlobStore
from weft.store.codecs import failures
from weft.store.codecs.plain import CANNOT, SCALARS, decode_plain, encode_scalar
from weft.store.codecs.plain import NAME as PLAIN
from weft.store.codecs.port import Encoded, digest_content, size_of
from weft.store.codecs.registry import REGISTRY, Registry
from weft.store.faults import DamagedArtifact, MissingArtifact, UnreadableArtifact

_PLAIN_TRAILER: Final = trailer_of(PLAIN)


class ArtifactStore:
    def __init__(self, blobs: BlobStore, registry: Registry = REGISTRY) -> None:
        self._blobs = blobs
        self._registry = registry

    def put(self, value: Any, where: str = "value") -> Artifact:
        """Store ``value`` and return what refers to it. Content that is there already costs a hash only.

        Args:
            where: what people call the value; messages begin with it.

        Raises:
            Unstorable: names what inside the value cannot be stored, and where it stands.
            DiskFull: nothing refers to what was written so far.
        """
        if type(value) in SCALARS:
            # The way of most values: of counts, names, metrics. Kept short.
            try:
                content = encode_scalar(value)
            except CANNOT:
                return self._store(*self._registry.encode(value, where))
            if len(content) <= INLINE_BYTES_MAX:
                return Artifact(digest_bytes(content + _PLAIN_TRAILER), PLAIN, len(content), content)
        return self._store(*self._registry.encode(value, where))

    def put_exception(self, error: BaseException) -> Artifact:
        """Store an exception; what of it cannot be stored is replaced, see ``failures.encode_exception``."""
        return self._store(failures.NAME, Encoded((failures.encode_exception(error, self._registry),)))

    def get(self, artifact: Artifact) -> Any:
        """Return a copy of the stored value that belongs to the caller alone.

        Raises:
            MissingArtifact, DamagedArtifact: its blob, or a part of it, is not there or not whole.
            UnknownCodec, MissingClass, UnreadableArtifact: this process cannot make a value of it.
        """
        try:
            if artifact.inline is not None and artifact.codec == PLAIN:
                return decode_plain(artifact.inline)
            return self._registry.get(artifact.codec).decode(self._content(artifact), self._read_part)
        except (WeftError, MemoryError):
            raise
        except Exception as error:
            raise UnreadableArtifact(artifact.digest, artifact.codec, error) from error

    def verify(self, artifact: Artifact) -> None:
        """Read all bytes of the value and compare their digests.

        Raises:
            MissingArtifact, DamagedArtifact: names what is not as it was stored.
        """
        if artifact.inline is not None:
            found = digest_content(artifact.codec, [artifact.inline])
            if found != artifact.digest:
                held = f"{len(artifact.inline)} bytes with digest {found}"
                raise DamagedArtifact(artifact.digest, "its row", held)
            return
        self._blobs.verify(artifact.digest)
        for digest in self.parts(artifact):
            self._blobs.verify(digest)

    def parts(self, artifact: Artifact) -> list[str]:
        """Return the digests of the blobs that this one refers to. An inline artifact never has any."""
        if artifact.inline is not None:
            return []
        codec = self._registry.get(artifact.codec)
        return [digest for digest, _ in codec.parts_of(self._content(artifact))]

    def set_aside(self, damaged: DamagedArtifact) -> None:
        """Take what was found damaged out of the way: it is never used, and is written anew when made again."""
        self._blobs.set_aside(damaged.digest)

    def exists(self, artifact: Artifact) -> bool:
        """Say whether the value and its parts are there, without checking the content of the parts."""
        return self._has(artifact, self._blobs.exists)

    def keep(self, artifact: Artifact) -> bool:
        """Say what ``exists`` says, and note that somebody wants the value now, so that gc spares it."""
        return self._has(artifact, self._blobs.keep)

    def _has(self, artifact: Artifact, has_blob: Callable[[str], bool]) -> bool:
        if artifact.inline is not None:
            return True
        try:
            return has_blob(artifact.digest) and all(map(has_blob, self.parts(artifact)))
        except MissingArtifact:
            return False
        except DamagedArtifact as error:
            self.set_aside(error)
            return False

    def is_whole(self, artifact: Artifact) -> bool:
        """Say whether the value and its parts are there and are what was stored; what is damaged is set aside.

        Large blobs that this host has checked, and nothing has changed since, are not read again.
        """
        try:
            if artifact.inline is not None:
                self.verify(artifact)
                return True
            self._blobs.map(artifact.digest)
            for digest in self.parts(artifact):
                self._blobs.map(digest)
        except MissingArtifact:
            return False
        except DamagedArtifact as error:
            self.set_aside(error)
            return False
        return True

    def _store(self, codec: str, encoded: Encoded) -> Artifact:
        content, parts = encoded
        if (
            not parts
            and len(content) == 1
            and type(content[0]) is bytes
            and len(content[0]) <= INLINE_BYTES_MAX
        ):
            inline = content[0]
            return Artifact(digest_bytes(inline + trailer_of(codec)), codec, len(inline), inline)
        size = size_of(content)
        if size <= INLINE_BYTES_MAX and not parts:
            inline = b"".join(content)
            return Artifact(digest_content(codec, [inline]), codec, size, inline)
        for part in parts:
            self._blobs.put([*part.content, trailer_of(part.codec)], part.digest)
        digest = self._blobs.put([*content, trailer_of(codec)])
        return Artifact(digest, codec, size + sum(part.size_bytes for part in parts))

    def _content(self, artifact: Artifact) -> memoryview:
        if artifact.inline is not None:
            return memoryview(bytearray(artifact.inline))
        return self._read_part(artifact.digest, artifact.codec)

    def _read_part(self, digest: str, codec: str) -> memoryview:
        blob = self._blobs.map(digest)
        trailer = trailer_of(codec)
        if blob[-len(trailer) :] != trailer:
            raise DamagedArtifact(digest, "its blob", f"something that codec {codec!r} did not write")
        return blob[: -len(trailer)]
