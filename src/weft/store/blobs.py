"""Blobs: bytes that never change, each under the BLAKE3 hash of its content.

A file's name is its digest, in one of 256 folders by its first two digits. A file is written under a temporary
name, synced, renamed, and its folder synced; so a reader sees the whole blob or none of it.

State: ``FileBlobStore`` remembers which digests it has checked (at most ``_CHECKED_MAX``) and which of the
256 folders it has seen.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from weft.digest import ALGORITHM, digest_buffers, digest_bytes
from weft.errors import DiskFull
from weft.store.codecs.port import Buffer, size_of
from weft.store.faults import DamagedArtifact, MissingArtifact, StoreNotWritable

_CHECKED_MAX = 65_536
_MAP_FROM_BYTES = 1 << 16
_NOTED_FROM_BYTES = 1 << 20  # checking a smaller file is quicker than noting that it was checked
_WRITE_BYTES_MAX = 1 << 26
_BUFFERS_PER_WRITE = 512
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
_NO_ACCESS = {errno.EACCES, errno.EPERM, errno.EROFS}
_TEMPORARY = ".part"
_DAMAGED = ".damaged"


class BlobInfo(NamedTuple):
    """``modified_ms``: when the blob was last put, milliseconds since 1970; putting it again counts."""

    digest: str
    size_bytes: int
    modified_ms: int


class BlobStore(Protocol):
    """Where blobs lie. All implementations pass ``tests/store/test_blobs.py``."""

    def put(self, content: Sequence[Buffer], digest: str = "") -> str:
        """Store the concatenation of ``content``, durably, and return its digest.

        Args:
            content: not changed by others while this runs.
            digest: the digest of ``content`` where the caller knows it already.

        Raises:
            DiskFull: nothing is left behind.
            StoreNotWritable: the store refuses to be written to.
        """

    def map(self, digest: str) -> memoryview:
        """Return the blob as private writable memory: writes to it reach nobody else.

        Raises:
            MissingArtifact: there is none.
            DamagedArtifact: what is there has another digest. Checked at this process's first reading.
        """

    def exists(self, digest: str) -> bool:
        """Say whether there is such a blob, without reading it."""

    def verify(self, digest: str) -> None:
        """Read the blob whole and compare its digest, checked before or not; raises as ``map`` does."""

    def delete(self, digest: str) -> None:
        """Remove a blob, if it is there. Maps of it stay valid."""

    def set_aside(self, digest: str) -> None:
        """Take a damaged blob out of the way, so that putting it again writes it; its bytes are kept for a look."""

    def list_blobs(self) -> Iterator[BlobInfo]:
        """Go through all blobs, in no order. A blob put meanwhile may be missed."""


class MemoryBlobStore:
    """A double for tests: blobs in a dict."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}
        self.puts = 0

    def put(self, content: Sequence[Buffer], digest: str = "") -> str:
        digest = digest or digest_buffers(content)
        if digest not in self.contents:
            self.contents[digest] = b"".join(content)
            self.puts += 1
        return digest

    def map(self, digest: str) -> memoryview:
        self.verify(digest)
        return memoryview(bytearray(self.contents[digest]))

    def exists(self, digest: str) -> bool:
        return digest in self.contents

    def verify(self, digest: str) -> None:
        if digest not in self.contents:
            raise MissingArtifact(digest, "its place in memory")
        _compare(digest, memoryview(self.contents[digest]), "memory")

    def delete(self, digest: str) -> None:
        self.contents.pop(digest, None)

    def set_aside(self, digest: str) -> None:
        self.delete(digest)

    def list_blobs(self) -> Iterator[BlobInfo]:
        for digest, content in list(self.contents.items()):
            yield BlobInfo(digest, len(content), 0)


class FileBlobStore:
    """Blobs as files of one folder. Any number of processes may use it at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._root = os.fspath(folder)
        self._checked: dict[str, int] = {}
        self._folders: set[str] = set()

    def put(self, content: Sequence[Buffer], digest: str = "") -> str:
        digest = digest or digest_buffers(content)
        path = self._path(digest)
        try:
            is_seen = _is_seen(path)
            if not _touch(path, size_of(content)):
                self._write(path, content)
                is_seen = True
            if is_seen:
                _note_seen(path)
        except OSError as error:
            raise self._translated(error) from error
        self._remember(digest, path)
        return digest

    def map(self, digest: str) -> memoryview:
        path = self._path(digest)
        with self._open(digest, path) as file:
            status = os.fstat(file)
            view = _read(file, status.st_size)
        if self._checked.get(digest) != status.st_ino:
            if not _is_seen(path):
                _compare(digest, view, path)
                _note_seen(path)
            self._remember(digest, path, status.st_ino)
        return view

    def exists(self, digest: str) -> bool:
        return os.path.exists(self._path(digest))

    def verify(self, digest: str) -> None:
        self._checked.pop(digest, None)
        _forget_seen(self._path(digest))
        self.map(digest)

    def delete(self, digest: str) -> None:
        _forget_seen(self._path(digest))
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path(digest))

    def set_aside(self, digest: str) -> None:
        path = self._path(digest)
        _forget_seen(path)
        self._checked.pop(digest, None)
        shelf, name = os.path.split(path)
        with contextlib.suppress(OSError):  # gone already, or a store that cannot be written
            os.rename(path, f"{shelf}/.{name}{_DAMAGED}")

    def list_blobs(self) -> Iterator[BlobInfo]:
        for name, status in self._list_files():
            if not name.startswith("."):
                yield BlobInfo(f"{ALGORITHM}:{name}", status.st_size, status.st_mtime_ns // 1_000_000)

    def delete_leftovers(self, before_ms: int) -> int:
        """Delete temporary files of writers that died before ``before_ms``; return how many there were."""
        count = 0
        for name, status in self._list_files():
            if name.endswith(_TEMPORARY) and status.st_mtime_ns // 1_000_000 < before_ms:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.join(self._root, name[1:3], name))
                    count += 1
        return count

    def _path(self, digest: str) -> str:
        name = digest.partition(":")[2]
        return f"{self._root}/{name[:2]}/{name}"

    def _list_files(self) -> Iterator[tuple[str, os.stat_result]]:
        if not self.folder.is_dir():
            return
        for shelf in sorted(os.listdir(self._root)):
            for entry in os.scandir(os.path.join(self._root, shelf)):
                # It may be renamed or deleted between being listed and being looked at.
                with contextlib.suppress(FileNotFoundError):
                    yield entry.name, entry.stat()

    @contextlib.contextmanager
    def _open(self, digest: str, path: str) -> Iterator[int]:
        try:
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise MissingArtifact(digest, path) from error
        try:
            yield file
        finally:
            os.close(file)

    def _write(self, path: str, content: Sequence[Buffer]) -> None:
        shelf, name = os.path.split(path)
        self._make_folder(shelf)
        # Random, because process ids repeat where containers or hosts share the folder.
        temporary = f"{shelf}/.{name}.{os.urandom(8).hex()}{_TEMPORARY}"
        try:
            _write_synced(temporary, content)
            # Rename last: a reader sees the whole blob or none of it.
            os.rename(temporary, path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            raise
        _sync_folder(shelf)

    def _make_folder(self, shelf: str) -> None:
        if shelf in self._folders:
            return
        if not os.path.isdir(shelf):
            os.makedirs(shelf, exist_ok=True)
            _sync_folder(self._root)
        self._folders.add(shelf)

    def _remember(self, digest: str, path: str, inode: int | None = None) -> None:
        # Forgetting all at once is rough, but costs only a hash for each blob that is read again.
        if len(self._checked) >= _CHECKED_MAX:
            self._checked.clear()
        with contextlib.suppress(FileNotFoundError):
            self._checked[digest] = os.stat(path).st_ino if inode is None else inode

    def _translated(self, error: OSError) -> Exception:
        if error.errno in _NO_SPACE:
            return DiskFull(f"the artifacts in {self._root}", error.strerror)
        if error.errno in _NO_ACCESS:
            return StoreNotWritable(self.folder, error.strerror or str(error))
        return error


def _stamp(path: str) -> bytes:
    """Return what tells this very file, in this very state, from any other; empty for one too small to note."""
    status = os.stat(path)
    if status.st_size < _NOTED_FROM_BYTES:
        return b""
    return f"{status.st_ino} {status.st_size} {status.st_ctime_ns}".encode()


def _note_path(path: str) -> str:
    shelf, name = os.path.split(path)
    return f"{shelf}/.{name}.seen"


def _is_seen(path: str) -> bool:
    """Say whether a process of this host has checked the file, and nothing has changed it since.

    The note beside the file holds the time of its last change, which the kernel sets and users cannot.
    """
    try:
        with open(_note_path(path), "rb") as note:
            return note.read() == _stamp(path)
    except OSError:
        return False


def _note_seen(path: str) -> None:
    # A note is only a saving: where none can be written, the next process checks again.
    with contextlib.suppress(OSError):
        stamp = _stamp(path)
        if stamp:
            with open(_note_path(path), "wb") as note:
                note.write(stamp)


def _forget_seen(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(_note_path(path))


def _touch(path: str, size_bytes: int) -> bool:
    """Say whether the blob is there; if so, note that somebody wants it now, so that gc spares it."""
    try:
        os.utime(path)
        # A file of the wrong size is damaged; writing it again repairs it.
        return os.stat(path).st_size == size_bytes
    except FileNotFoundError:
        return False


def _read(file: int, size_bytes: int) -> memoryview:
    if size_bytes >= _MAP_FROM_BYTES:
        return memoryview(mmap.mmap(file, size_bytes, access=mmap.ACCESS_COPY))
    content = bytearray(size_bytes)
    os.preadv(file, [content], 0)
    return memoryview(content)


def _compare(digest: str, content: memoryview, where: str) -> None:
    found = digest_bytes(content)
    if found != digest:
        raise DamagedArtifact(digest, where, f"{len(content)} bytes with digest {found}")


def _write_synced(path: str, content: Sequence[Buffer]) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        _write_all(file, content)
        os.fsync(file)
    finally:
        os.close(file)


def _write_all(file: int, content: Sequence[Buffer]) -> None:
    waiting = list(_chunks(content))[::-1]
    while waiting:
        batch = waiting[: -_BUFFERS_PER_WRITE - 1 : -1]
        written = os.writev(file, batch)
        while waiting and written >= len(waiting[-1]):
            written -= len(waiting.pop())
        if written:
            waiting[-1] = waiting[-1][written:]


def _chunks(content: Sequence[Buffer]) -> Iterator[memoryview]:
    for item in content:
        view = memoryview(item).cast("B")
        for start in range(0, len(view), _WRITE_BYTES_MAX):
            yield view[start : start + _WRITE_BYTES_MAX]


def _sync_folder(folder: str) -> None:
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
