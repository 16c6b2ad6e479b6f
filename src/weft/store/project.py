"""The code of a run: the project's files, archived by content, and the git commit below them.

An archive is one value: the table of all files with their digests, and the contents of those files that
no earlier archive holds. So a project that did not change costs nothing, a changed file costs one write of
its own size, and a project of one small file fits into the run's row.

State kept: none in the process. A small file in the home's cache folder remembers which files had which
digests; it can be deleted at any time.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, Literal

import msgspec

from weft.digest import digest_bytes, digest_parts
from weft.errors import StoredDataError
from weft.model.values import INLINE_BYTES_MAX, UNREADABLE, Artifact
from weft.store.blobs import BlobStore
from weft.store.project_files import ProjectFile, find_commit, project_files

ARCHIVE_CODEC: Final = "weft-code"
HOMES_MAX: Final = 16
RACY_NS: Final = 2_000_000_000  # the coarsest clock of a file system: FAT's


class DamagedArchive(StoredDataError):
    """The archived code of a run cannot be read back."""

    code = "damaged-archive"


class CodePin(msgspec.Struct, frozen=True):
    """Which code a run runs.

    Attributes:
        kind: ``git`` if the project is in a repository with a commit; the archive holds the files as they
            were in either case, so what was not committed needs no diff.
        root: the name of the project's folder. Its path is of the author's machine only.
        archive: the files; of ``ARCHIVE_CODEC``.
        is_cut_off: the project has more files than the archive takes.
    """

    kind: Literal["git", "files"]
    commit: str | None
    root: str
    archive: Artifact
    files_count: int
    size_bytes: int
    is_cut_off: bool = False


class ArchivedFile(msgspec.Struct, frozen=True, array_like=True):
    """``home``: the digest of the archive that holds the content; "" is the archive that says so."""

    digest: str
    size_bytes: int
    home: str = ""


class _Archive(msgspec.Struct, frozen=True):
    files: dict[str, ArchivedFile]
    contents: dict[str, bytes] = {}
    version: int = 1


class _Known(msgspec.Struct, array_like=True):
    """A file as it was when it was last read."""

    size_bytes: int
    modified_ns: int
    inode: int
    digest: str
    home: str = ""


class _Cache(msgspec.Struct):
    files: dict[str, _Known] = {}
    archive: Artifact | None = None
    version: int = 1


def pin_project(
    root: Path,
    blobs: BlobStore,
    *,
    used: Iterable[str | Path] = (),
    cache_folder: Path | None = None,
    skipped: Path | None = None,
) -> CodePin:
    """Archive the code of the project in ``root`` and return which code it is.

    Args:
        used: files that count in any case, such as those of the loaded modules.
        cache_folder: where to remember digests, so that unchanged files are not read again.
        skipped: a folder that is no part of the project, such as the home of its runs.
    """
    root = Path(os.path.abspath(root))
    cache = _CacheFile(root, cache_folder)
    listed, is_cut_off = project_files(root, used, skipped)
    files, contents = _read(root, listed, cache)
    commit = find_commit(root)
    return CodePin(
        kind="git" if commit else "files",
        commit=commit,
        root=root.name,
        archive=_archive(files, contents, blobs, cache),
        files_count=len(files),
        size_bytes=sum(file.size_bytes for file in files.values()),
        is_cut_off=is_cut_off,
    )


def _read(
    root: Path, listed: list[ProjectFile], cache: _CacheFile
) -> tuple[dict[str, _Known], dict[str, bytes]]:
    """Return the files with their digests, and the contents of those that had to be read."""
    files: dict[str, _Known] = {}
    contents: dict[str, bytes] = {}
    homes = {known.digest: known.home for known in cache.known.files.values() if known.home}
    for file in listed:
        known = cache.find(file)
        if known is None:
            content = _content(root, file.path)
            if content is None:
                continue
            digest = digest_bytes(content)
            contents[digest] = content
            known = _Known(len(content), file.modified_ns, file.inode, digest, homes.get(digest, ""))
            cache.is_changed = True
        files[file.path] = known
    return files, contents


def _content(root: Path, path: str) -> bytes | None:
    """Return what a file holds; None if it went away or may not be read, as an editor's temporary file."""
    try:
        return (root / path).read_bytes()
    except OSError:
        return None


def _archive(
    files: dict[str, _Known], contents: dict[str, bytes], blobs: BlobStore, cache: _CacheFile
) -> Artifact:
    """Return the archive of ``files``, that of the last run where it says the same."""
    last = cache.known.archive
    if (
        last is not None
        and cache.says_the_same(files)
        and (last.inline is not None or blobs.keep(last.digest))
    ):
        cache.keep(files, last)
        return last
    table, added = _table(cache.root, files, contents, blobs)
    raw = msgspec.msgpack.encode(_Archive(table, added))
    if len(raw) <= INLINE_BYTES_MAX:
        archive = Artifact(digest_bytes(raw), ARCHIVE_CODEC, len(raw), raw)
    else:
        archive = Artifact(blobs.put([raw]), ARCHIVE_CODEC, len(raw))
    for path, file in table.items():
        files[path].home = file.home or archive.digest
    cache.is_changed = True
    cache.keep(files, archive)
    return archive


def _table(
    root: Path, files: dict[str, _Known], contents: dict[str, bytes], blobs: BlobStore
) -> tuple[dict[str, ArchivedFile], dict[str, bytes]]:
    """Return the table of an archive, and the contents that it must hold itself."""
    homes = {known.home for known in files.values() if known.home}
    kept = {home for home in homes if blobs.keep(home)} if len(homes) <= HOMES_MAX else set()
    table, added = {}, {}
    for path, known in files.items():
        home = known.home if known.home in kept else ""
        if not home:
            content = contents[known.digest] if known.digest in contents else _content(root, path)
            if content is None:
                continue
            known.digest, known.size_bytes = digest_bytes(content), len(content)
            added[known.digest] = content
        table[path] = ArchivedFile(known.digest, known.size_bytes, home)
    return table, added


class _CacheFile:
    """What is remembered about one project. A cache that is lost, old or damaged is an empty one."""

    def __init__(self, root: Path, folder: Path | None) -> None:
        self.root = root
        self.known = _Cache()
        self.is_changed = False
        self._written_ns = 0
        self._path = None
        if folder is not None:
            name = digest_parts("project", [str(root)]).partition(":")[2][:32]
            self._path = folder / f"code-{name}.msgpack"
            self._load(self._path)

    def _load(self, path: Path) -> None:
        with contextlib.suppress(OSError, msgspec.DecodeError):
            raw = path.read_bytes()
            self._written_ns = path.stat().st_mtime_ns
            self.known = msgspec.msgpack.decode(raw, type=_Cache)

    def find(self, file: ProjectFile) -> _Known | None:
        """Return what is known of a file that has not changed since.

        A file changed just before the cache was written may have changed again in the same tick.
        """
        known = self.known.files.get(file.path)
        if known is None or file.modified_ns > self._written_ns - RACY_NS:
            return None
        stamp = (known.size_bytes, known.modified_ns, known.inode)
        return known if stamp == (file.size_bytes, file.modified_ns, file.inode) else None

    def says_the_same(self, files: dict[str, _Known]) -> bool:
        """Return whether the last archive has these very files."""
        before = {path: known.digest for path, known in self.known.files.items()}
        return before == {path: known.digest for path, known in files.items()}

    def keep(self, files: dict[str, _Known], archive: Artifact) -> None:
        """Remember ``files`` for the next run, if there is anything new."""
        if self._path is None or not self.is_changed:
            return
        temporary = f"{self._path}.{os.getpid()}.part"
        with contextlib.suppress(OSError):  # a cache that cannot be written is done without
            self._path.parent.mkdir(parents=True, exist_ok=True)
            Path(temporary).write_bytes(msgspec.msgpack.encode(_Cache(files, archive)))
            os.replace(temporary, self._path)


def archived_files(pin: CodePin, blobs: BlobStore) -> dict[str, ArchivedFile]:
    """Return the table of an archive: path → digest, size and where the content lies.

    Raises:
        DamagedArchive: the archive is no archive. MissingArtifact, DamagedArtifact: as ``blobs`` says.
    """
    return _open_archive(pin.archive, blobs).files


def archive_homes(pin: CodePin, blobs: BlobStore) -> set[str]:
    """Return the digests of all blobs that an archive needs, its own included: what must be kept."""
    own = {pin.archive.digest} if pin.archive.inline is None else set()
    return own | {file.home for file in archived_files(pin, blobs).values() if file.home}


def restore_project(pin: CodePin, blobs: BlobStore, folder: Path) -> None:
    """Write the archived files of a run into ``folder``, each checked against its digest.

    Raises:
        DamagedArchive: a content is missing or has another digest, or a path leads out of ``folder``.
    """
    for path, content in archived_contents(pin, blobs):
        target = _target(folder, path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def archived_contents(pin: CodePin, blobs: BlobStore) -> Iterator[tuple[str, bytes]]:
    """Yield path and content of the archived files of a run, each checked against its digest.

    Raises:
        DamagedArchive: a content is missing or has another digest.
    """
    opened = {"": _open_archive(pin.archive, blobs)}
    for path, file in opened[""].files.items():
        if file.home not in opened:
            home = Artifact(file.home, ARCHIVE_CODEC, 0)
            opened[file.home] = _open_archive(home, blobs)
        content = opened[file.home].contents.get(file.digest)
        if content is None or digest_bytes(content) != file.digest:
            raise DamagedArchive(f"the archived code {pin.archive.digest} has not the content of {path}")
        yield path, content


def _target(folder: Path, path: str) -> Path:
    parts = path.split("/")
    if path.startswith("/") or os.pardir in parts or "" in parts:
        raise DamagedArchive(f"the archived code names a file {path!r} outside the project")
    return folder.joinpath(*parts)


def _open_archive(archive: Artifact, blobs: BlobStore) -> _Archive:
    raw = archive.inline if archive.inline is not None else bytes(blobs.map(archive.digest))
    try:
        return msgspec.msgpack.decode(raw, type=_Archive)
    except UNREADABLE as error:
        raise DamagedArchive(f"{archive.digest} is no archive of code: {error}") from error
