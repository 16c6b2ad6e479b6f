"""Blobs: bytes that never change, each under the BLAKE3 hash of its content.

A file's name is its digest, in one of 256 folders by its first two digits. A file is written under a temporary
name, synced, renamed, and its folder synced; so a reader sees the whole blob or none of it.

State: ``FileBlobStore`` remembers which digests it has checked (at most ``_CHECKED_MAX``), and which of the
256 folders and which blobs it knows to be on the disk to stay.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from weft.digest import ALGORITHM, digest_buffers, digest_bytes
from weft.errors import DiskFull
from weft.seams import deferred
from weft.store.codecs.port import Buffer, size_of
from weft.store.durable import TEMPORARY, make_folder, sync_folder, write_durably
from weft.store.faults import DamagedArtifact, MissingArtifact, StoreFault, StoreNotWritable

if TYPE_CHECKING:
    import shutil
else:
    shutil = deferred("shutil")

_CHECKED_MAX = 65_536
_MAP_FROM_BYTES = 1 << 16
_NOTED_FROM_BYTES = 1 << 20  # checking a smaller file is quicker than noting that it was checked
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
_NO_ACCESS = {errno.EACCES, errno.EPERM, errno.EROFS}
_NO_LINK = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP}
_DAMAGED = ".damaged"
_HIDDEN = ".hidden"


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
            StoreFault: the disk failed, or failed to sync.
        """

    def map(self, digest: str) -> memoryview:
        """Return the blob as private writable memory: writes to it reach nobody else.

        Raises:
            MissingArtifact: there is none.
            DamagedArtifact: what is there has another digest. Checked at this process's first reading.
        """

    def exists(self, digest: str) -> bool:
        """Say whether there is such a blob, without reading it."""

    def keep(self, digest: str) -> bool:
        """Say whether there is such a blob, and note that somebody wants it now, so that gc spares it."""

    def hide(self, digest: str) -> None:
        """Take a blob out of the way of ``put`` and ``keep``, not of readers: the first half of a sweep."""

    def drop_hidden(self, digest: str, before_ms: int) -> bool:
        """Delete a hidden blob, and return True; or put it back if somebody has wanted it since ``before_ms``."""

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

    def keep(self, digest: str) -> bool:
        return digest in self.contents

    def hide(self, digest: str) -> None:
        """Nothing to hide: who holds this store is alone."""

    def drop_hidden(self, digest: str, before_ms: int) -> bool:
        return self.contents.pop(digest, None) is not None

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
        self._durable: set[str] = set()

    def put(self, content: Sequence[Buffer], digest: str = "") -> str:
        digest = digest or digest_buffers(content)
        path = self._path(digest)
        try:
            is_seen = _is_seen(path)
            if not _touch(path, size_of(content)):
                self._write(path, content)
                is_seen = True
            elif digest not in self._durable:
                # Another process renamed it, and may have died before it synced the folders.
                self._make_folder(os.path.dirname(path))
                sync_folder(os.path.dirname(path))
            self._durable.add(digest)
            if is_seen:
                _note_seen(path)
        except OSError as error:
            raise self.translated(error) from error
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
        path = self._path(digest)
        return os.path.exists(path) or os.path.exists(_hidden_path(path)) or os.path.exists(path)

    def keep(self, digest: str) -> bool:
        path = self._path(digest)
        # What a sweep has hidden is as good as gone, and what is not is spared by the time that is set here.
        with contextlib.suppress(FileNotFoundError):
            is_seen = _is_seen(path)
            os.utime(path)
            if is_seen:
                _note_seen(path)
            return os.path.exists(path)
        return False

    def hide(self, digest: str) -> None:
        path = self._path(digest)
        with contextlib.suppress(FileNotFoundError):
            os.rename(path, _hidden_path(path))

    def drop_hidden(self, digest: str, before_ms: int) -> bool:
        path = self._path(digest)
        hidden = _hidden_path(path)
        try:
            # Whoever wanted it before it was hidden has set its time; whoever came later wrote it anew.
            is_wanted = os.stat(hidden).st_mtime_ns // 1_000_000 > before_ms
        except FileNotFoundError:
            return False
        if is_wanted:
            with contextlib.suppress(FileExistsError):
                os.link(hidden, path)
        else:
            _forget_seen(path)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(hidden)
        return not is_wanted

    def verify(self, digest: str) -> None:
        self._checked.pop(digest, None)
        _forget_seen(self._path(digest))
        self.map(digest)

    def delete(self, digest: str) -> None:
        _forget_seen(self._path(digest))
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path(digest))

    def share(self, digest: str, other: FileBlobStore, *, link: bool) -> int | None:
        """Give another store this blob, as a second name of its file if ``link`` and the disk is the same.

        Returns:
            Its size in bytes; None where it is not there.
        """
        path, target = self._path(digest), other._path(digest)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        for source in (path, _hidden_path(path), path):
            with contextlib.suppress(FileNotFoundError):
                _link_or_copy(source, target, link)
                return os.stat(target).st_size
        return None

    def set_aside(self, digest: str) -> None:
        path = self._path(digest)
        _forget_seen(path)
        self._checked.pop(digest, None)
        shelf, name = os.path.split(path)
        with contextlib.suppress(OSError):  # gone already, or a store that cannot be written
            os.rename(path, f"{shelf}/.{name}{_DAMAGED}")

    def list_blobs(self) -> Iterator[BlobInfo]:
        for name, status in self._list_files():
            if name.endswith(_HIDDEN):  # by a sweep that did not come to its end
                name = name[1 : -len(_HIDDEN)]
            if not name.startswith("."):
                yield BlobInfo(f"{ALGORITHM}:{name}", status.st_size, status.st_mtime_ns // 1_000_000)

    def delete_leftovers(self, before_ms: int) -> int:
        """Delete temporary files of writers that died before ``before_ms``; return how many there were."""
        count = 0
        for path, _ in self.list_leftovers(before_ms):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
                count += 1
        return count

    def list_leftovers(self, before_ms: int) -> list[tuple[str, int]]:
        """Return the paths and sizes of temporary files that nobody has written to since ``before_ms``."""
        return [
            (os.path.join(self._root, name[1:3], name), status.st_size)
            for name, status in self._list_files()
            if name.endswith(TEMPORARY) and status.st_mtime_ns // 1_000_000 < before_ms
        ]

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
        file = _open_first(path, _hidden_path(path), path)
        if file is None:
            raise MissingArtifact(digest, path)
        try:
            yield file
        finally:
            os.close(file)

    def _write(self, path: str, content: Sequence[Buffer]) -> None:
        self._make_folder(os.path.dirname(path))
        write_durably(path, content)

    def _make_folder(self, shelf: str) -> None:
        if shelf in self._folders:
            return
        make_folder(shelf)
        self._folders.add(shelf)

    def _remember(self, digest: str, path: str, inode: int | None = None) -> None:
        # Forgetting all at once is rough, but costs only a hash for each blob that is read again.
        if len(self._checked) >= _CHECKED_MAX:
            self._checked.clear()
            self._durable.clear()
        with contextlib.suppress(FileNotFoundError):
            self._checked[digest] = os.stat(path).st_ino if inode is None else inode

    def translated(self, error: OSError) -> Exception:
        """Return what an error under this folder means."""
        if error.errno in _NO_SPACE:
            return DiskFull(f"the artifacts in {self._root}", error.strerror)
        if error.errno in _NO_ACCESS:
            return StoreNotWritable(self.folder, error.strerror or str(error))
        if error.errno == errno.EIO:
            return StoreFault(self.folder, error.strerror or str(error))
        return error


def _stamp(path: str) -> bytes:
    """Return what tells this very file, in this very state, from any other; empty for one too small to note."""
    status = os.stat(path)
    if status.st_size < _NOTED_FROM_BYTES:
        return b""
    return f"{status.st_ino} {status.st_size} {status.st_ctime_ns}".encode()


def _open_first(*paths: str) -> int | None:
    """Open the first file that is there; None: there is none. A sweep may move one to and fro meanwhile."""
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    return None


def _link_or_copy(source: str, target: str, link: bool) -> None:
    if link:
        with contextlib.suppress(FileExistsError):
            try:
                os.link(source, target)
            except OSError as error:
                if error.errno not in _NO_LINK:
                    raise
                shutil.copyfile(source, target)
    else:
        shutil.copyfile(source, target)


def _hidden_path(path: str) -> str:
    shelf, name = os.path.split(path)
    return f"{shelf}/.{name}{_HIDDEN}"


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
