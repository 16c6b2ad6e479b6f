"""What one attempt of a step leaves in the file system, outside its work directory.

Seen in two ways: Python's audit events, which tell how a file was opened and by which line, and a list of the
project's files before and after, which also shows what other programs and compiled libraries wrote.
State of this module: the watch that is on, and whether the hook is in place; a hook cannot be taken out again.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import threading
from collections.abc import Sequence
from types import FrameType
from typing import Any, Final

import msgspec

FILES_MAX: Final = 20_000
HASHED_BYTES_MAX: Final = 64 << 20
SKIPPED_FOLDERS: Final = frozenset(
    {"__pycache__", "node_modules", "site-packages", "venv", ".git", ".venv", ".mypy_cache", ".pytest_cache"}
)
SKIPPED_ROOTS: Final = ("/dev/", "/proc/", "/sys/")
WHOLE: Final = frozenset({"emptied", "replaced", "removed"})
_OWN: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


FOLDER: Final = "folder"


class FileState(msgspec.Struct, array_like=True, frozen=True):
    """A file as it lies there. ``digest``: of its content; empty where that is too big to be read, or a word for
    what has none, which is a folder.
    """

    inode: int
    size_bytes: int
    changed_ns: int
    digest: str = ""


class Touch(msgspec.Struct, array_like=True):
    """What happened to one path.

    Attributes:
        ways: how it was opened or moved: ``emptied``, ``appended``, ``changed``, ``replaced``, ``removed``, ``made``.
        before, after: None where there was no file.
        where: ``file:line`` of the code that did it, where that is known.
    """

    ways: set[str]
    before: FileState | None = None
    after: FileState | None = None
    where: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether nothing of what lay there before is left."""
        is_new_file = (
            self.before is not None and self.after is not None and self.before.inode != self.after.inode
        )
        return bool(self.ways & WHOLE) or is_new_file

    @property
    def is_atomic(self) -> bool:
        """Whether readers see the file as it was or as it is, and nothing between."""
        return self.ways == {"replaced"}


class Footprint(msgspec.Struct, array_like=True):
    """What an attempt left: files by path; ``failure``, how it ended if not well; what could not be watched.

    ``read``: which files it read, whoever wrote them.
    """

    touches: dict[str, Touch] = {}
    failure: str = ""
    read: set[str] = set()
    unwatched: set[str] = set()


def state_of(path: str, *, with_digest: bool = False) -> FileState | None:
    """Return the state of a regular file or folder, or None."""
    try:
        found = os.stat(path)
        if stat.S_ISDIR(found.st_mode):
            return FileState(found.st_ino, 0, 0, FOLDER)
        if not stat.S_ISREG(found.st_mode):
            return None
        digest = digest_of(path) if with_digest and found.st_size <= HASHED_BYTES_MAX else ""
    except OSError:
        return None
    return FileState(found.st_ino, found.st_size, found.st_mtime_ns, digest)


def digest_of(path: str, size_bytes: int = -1) -> str:
    """Return a digest of the first ``size_bytes`` of a file, or of all of it."""
    with open(path, "rb") as file:
        return hashlib.blake2b(file.read(size_bytes), digest_size=16).hexdigest()


class Watch:
    """One attempt being watched.

    Args:
        roots: the folders whose files are listed before and after.
        skipped: folders that do not count, such as the home of the run.
    """

    def __init__(self, roots: Sequence[str], skipped: Sequence[str]) -> None:
        self._roots = [root for root in dict.fromkeys(map(os.path.realpath, roots)) if root != "/"]
        self._skipped = tuple(f"{os.path.realpath(folder)}/" for folder in skipped)
        self.touches: dict[str, Touch] = {}
        self.read: set[str] = set()
        self.unwatched: set[str] = set()

    def __enter__(self) -> Watch:
        self._listed = self._list()
        _turn(self)
        return self

    def __exit__(self, *error: object) -> None:
        _turn(None)

    def footprint(self, failure: str) -> Footprint:
        """Return what the attempt left, once it has ended."""
        for path, before, after in self._differences():
            self.touches.setdefault(path, Touch({"changed"} if before and after else set(), before))
        left: dict[str, Touch] = {}
        for path, touch in self.touches.items():
            touch.after = state_of(path, with_digest=True)
            if not _is_same(touch.before, touch.after):
                left[path] = touch
        return Footprint(left, failure, self.read, self.unwatched)

    def touch(self, path: Any, way: str) -> None:
        """Note that the attempt is about to do something to a file."""
        name = _full_name(path)
        if name is None or self._is_skipped(name):
            return
        found = self.touches.get(name)
        if found is None:
            found = self.touches[name] = Touch(set(), state_of(name), where=_user_line())
        found.ways.add(way)

    def _is_skipped(self, path: str) -> bool:
        return path.startswith(SKIPPED_ROOTS + self._skipped) or "/__pycache__/" in path

    def _list(self) -> dict[str, FileState] | None:
        found: dict[str, FileState] = {}
        for root in self._roots:
            for folder, folders, names in os.walk(root):
                folders[:] = [
                    each
                    for each in folders
                    if each not in SKIPPED_FOLDERS and not self._is_skipped(f"{folder}/{each}/")
                ]
                for name in names:
                    path = f"{folder}/{name}"
                    known = state_of(path)
                    if known is not None:
                        found[path] = known
                    if len(found) > FILES_MAX:
                        self.unwatched.add(f"more than {FILES_MAX:,} files in {root}: not listed")
                        return None
        return found

    def _differences(self) -> list[tuple[str, FileState | None, FileState | None]]:
        before, after = self._listed, self._list()
        if before is None or after is None:
            return []
        paths = [path for path in before.keys() | after.keys() if before.get(path) != after.get(path)]
        return [(path, before.get(path), after.get(path)) for path in sorted(paths)]


def _is_same(before: FileState | None, after: FileState | None) -> bool:
    if before is None or after is None:
        return before is after
    return (before.inode, before.size_bytes, before.changed_ns) == (
        after.inode,
        after.size_bytes,
        after.changed_ns,
    )


def _full_name(path: Any) -> str | None:
    if isinstance(path, int) or path is None:
        return None
    try:
        name = os.fsdecode(path)
    except (TypeError, ValueError):
        return None
    return os.path.join(os.path.realpath(os.path.dirname(name) or "."), os.path.basename(name))


def _user_line() -> str:
    """Return the place in the user's code that is at work: the first frame that is neither ours nor a library's."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        file = frame.f_code.co_filename
        if os.path.isfile(file) and not file.startswith((_OWN, sys.base_prefix, sys.prefix)):
            return f"{file}:{frame.f_lineno}"
        frame = frame.f_back
    return ""


# -- the audit hook -----------------------------------------------------------------------------------------

_watch: Watch | None = None
_is_hooked = False
_inside = threading.local()


def _turn(watch: Watch | None) -> None:
    global _watch, _is_hooked
    if not _is_hooked:
        sys.addaudithook(_hear)
        _is_hooked = True
    _watch = watch


def _hear(event: str, args: tuple[Any, ...]) -> None:
    if _watch is None or event not in _EVENTS or getattr(_inside, "is_busy", False):
        return
    _inside.is_busy = True
    try:
        _EVENTS[event](_watch, args)
    finally:
        _inside.is_busy = False


def _opened(watch: Watch, args: tuple[Any, ...]) -> None:
    path, _, flags = args
    if not isinstance(flags, int):
        return
    is_new = bool(flags & (os.O_TRUNC | os.O_EXCL))
    if flags & os.O_ACCMODE != os.O_WRONLY and not is_new and (name := _full_name(path)):
        watch.read.add(name)
    if flags & os.O_ACCMODE == os.O_RDONLY and not flags & os.O_CREAT:
        return
    if is_new:
        watch.touch(path, "emptied")
    elif flags & os.O_APPEND:
        watch.touch(path, "appended")
    else:
        watch.touch(path, "changed")


def _moved(watch: Watch, args: tuple[Any, ...]) -> None:
    watch.touch(args[0], "removed")
    watch.touch(args[1], "replaced")


def _connected(watch: Watch, args: tuple[Any, ...]) -> None:
    address = args[1]
    if isinstance(address, tuple):
        watch.unwatched.add(f"talks to {address[0]}:{address[1]}")


def _started(watch: Watch, args: tuple[Any, ...]) -> None:
    watch.unwatched.add(f"starts {os.path.basename(os.fsdecode(args[0]))}")


def _opened_database(watch: Watch, args: tuple[Any, ...]) -> None:
    if args[0] not in (":memory:", ""):
        watch.touch(args[0], "changed")


_EVENTS: Final = {
    "open": _opened,
    "os.rename": _moved,
    "os.remove": lambda watch, args: watch.touch(args[0], "removed"),
    "os.truncate": lambda watch, args: watch.touch(args[0], "changed"),
    "os.mkdir": lambda watch, args: watch.touch(args[0], "made"),
    "os.link": lambda watch, args: watch.touch(args[1], "replaced"),
    "os.symlink": lambda watch, args: watch.touch(args[1], "replaced"),
    "sqlite3.connect": _opened_database,
    "socket.connect": _connected,
    "subprocess.Popen": _started,
    "os.posix_spawn": _started,
}
