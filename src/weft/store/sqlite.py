"""SQLite as an engine: one file in WAL mode, one connection, one lock for all who write.

State: the connection, the file descriptor of the lock, and the sync mode that the connection is in. Of the module:
which files this process has opened.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from weft.clock import Clock
from weft.errors import DiskFull
from weft.store.durable import make_folder
from weft.store.engine import (
    DamagedDatabase,
    DatabaseBusy,
    DatabaseGone,
    DiskFault,
    ForeignDatabase,
    Row,
    Statement,
    UnwritableHome,
)
from weft.store.filesystem import refuse_network_home

IN_MEMORY: Final = ":memory:"
BUSY_S_MAX: Final = 30.0
_APPLICATION_ID: Final = 0x57454654  # "WEFT"
_HEADER: Final = b"SQLite format 3\x00"
_CHECKPOINT_PAGES: Final = 4000
_LITTLE_SPACE_BYTES: Final = 1 << 18
_LOCK_WAIT_S: Final = 0.0005
_LOCK_WAIT_S_MAX: Final = 0.01
_CODE_MASK: Final = 0xFF  # The low byte of a SQLite error code is its family.


def open_sqlite(place: str, clock: Clock) -> SqliteEngine:
    """Return an engine on the file ``place``, created where there is none, or ``":memory:"``.

    Raises:
        UnwritableHome, NetworkHome: the folder cannot hold a database.
        DamagedDatabase: the file is not sound.
    """
    if place == IN_MEMORY:
        return SqliteEngine(place, clock)
    with _opening:
        _prepare_folder(Path(place))
        # Once for each file: whoever closes a file gives back all locks that this process has on it, those of open
        # connections too, and another process would then take away the log that these write to.
        if _file_at(place) not in _opened:
            _check_header(Path(place))
        engine = SqliteEngine(place, clock)
        _opened.add(_file_at(place))
    return engine


_opening = threading.Lock()
_opened: set[tuple[int, int] | None] = set()


def _prepare_folder(path: Path) -> None:
    try:
        if not path.exists():  # SQLite syncs the folder of its file, but none above
            make_folder(str(path.parent))
    except OSError as error:
        raise _from_os(error, str(path)) from error
    refuse_network_home(path.parent)


def _check_header(path: Path) -> None:
    try:
        with path.open("rb") as file:
            head, page = file.read(len(_HEADER)), int.from_bytes(file.read(2), "big")
            size = file.seek(0, os.SEEK_END)
    except FileNotFoundError:
        return
    except OSError as error:
        raise _from_os(error, str(path)) from error
    # With a journal beside it, it was cut off while it was made, and SQLite takes that back by itself.
    if not head or os.path.exists(f"{path}-journal"):
        return
    if head != _HEADER:
        raise DamagedDatabase(str(path), "it does not begin like a SQLite file")
    if size < page:  # SQLite would take it for an empty one, and begin anew
        raise DamagedDatabase(str(path), f"it is cut off after {size} bytes")


def _from_os(error: OSError, place: str) -> DiskFull | UnwritableHome | DiskFault:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(place, error.strerror)
    if error.errno == errno.EIO:
        return DiskFault(place, error.strerror)
    return UnwritableHome(place, error.strerror)


def sqlite_version() -> tuple[str, bool]:
    """Return the version of the linked SQLite, and whether it needs writers to take turns by a lock of ours."""
    return sqlite3.sqlite_version, sqlite3.sqlite_version_info < (3, 51, 3)


def _file_at(place: str) -> tuple[int, int] | None:
    """Return which file lies at ``place`` now, or None where there is none."""
    try:
        found = os.stat(place)
    except OSError:
        return None
    return found.st_dev, found.st_ino


class WriteLock:
    """An advisory lock on a file beside the database, for every transaction that writes.

    SQLite before 3.51.3 can damage a database when two connections write and reset the WAL at the same
    time. The lock is taken with newer versions too, because another process may bring an older one.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise _from_os(error, path) from error

    def acquire(self, wait_s_max: float = BUSY_S_MAX) -> None:
        """Take the lock.

        Raises:
            DatabaseBusy: another process held it for ``wait_s_max``.
        """
        if self._try():
            return
        pause_s, deadline = _LOCK_WAIT_S, time.monotonic() + wait_s_max
        while not self._try():
            if time.monotonic() >= deadline:
                raise DatabaseBusy(self._path, wait_s_max)
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _LOCK_WAIT_S_MAX)

    def _try(self) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Give the lock back."""
        fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the file, which also gives the lock back."""
        os.close(self._file)


class _NoLock(WriteLock):
    def __init__(self) -> None:
        """Nothing to lock: a database in memory belongs to one connection."""

    def acquire(self, wait_s_max: float = BUSY_S_MAX) -> None:
        pass

    def release(self) -> None:
        pass

    def close(self) -> None:
        pass


def _let_go(connection: sqlite3.Connection, lock: WriteLock | _NoLock, owner: int) -> None:
    """Close what an engine holds, in the process that opened it: a fork of it has no part in its locks."""
    if os.getpid() != owner:
        return
    # The last connection to close also checkpoints, which is a write. When the lock cannot be had, its holder
    # has the file open, so that this connection is not the last.
    with suppress(DatabaseBusy):
        lock.acquire(wait_s_max=1.0)
    try:
        connection.close()
    finally:
        lock.close()


class SqliteEngine:
    """The ``Engine`` port on the standard library's driver."""

    def __init__(self, place: str, clock: Clock) -> None:
        self.name = place
        self._clock = clock
        self._thread_lock = threading.RLock()
        self._is_full_sync = False
        self._write_lock = _NoLock() if place == IN_MEMORY else WriteLock(f"{place}.lock")
        try:
            self._connection = self._connect(place)
            self._file = _file_at(place)
        except BaseException:
            self._write_lock.close()
            raise
        # Who drops an engine without closing it, as notebooks do, gets the same end under the same lock.
        self._let_go = weakref.finalize(self, _let_go, self._connection, self._write_lock, os.getpid())

    def _connect(self, place: str) -> sqlite3.Connection:
        try:
            return self._connect_sharing(place)
        except DiskFull:
            # No space for the file that connections share. Without it there is one connection at a time, which
            # is enough to read; and if another one is there, so is the file.
            return self._connect_sharing(place, "pragma locking_mode = exclusive")

    def _connect_sharing(self, place: str, first: str = "") -> sqlite3.Connection:
        with self._errors():
            connection = sqlite3.connect(
                place,
                timeout=BUSY_S_MAX,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=256,
            )
        try:
            with self._errors():
                connection.execute(first)
                self._set_up(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _set_up(self, connection: sqlite3.Connection) -> None:
        connection.execute("pragma foreign_keys = on")
        connection.execute("pragma synchronous = normal")
        # A checkpoint syncs twice; with SQLite's own 1000 pages it would come every 200 small commits.
        connection.execute(f"pragma wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        if not _is_ours(connection):
            with self._locked():
                self._adopt(connection)

    def _adopt(self, connection: sqlite3.Connection) -> None:
        # Asked again under the lock: another process may have created it in between.
        if _is_ours(connection):
            return
        found = [row[0] for row in connection.execute("select name from sqlite_master order by name limit 3")]
        if found:
            raise ForeignDatabase(self.name, "tables " + ", ".join(found))
        connection.execute("pragma journal_mode = wal")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._thread_lock:
            self._write_lock.acquire()
            try:
                yield
            finally:
                self._write_lock.release()

    @contextmanager
    def transaction(self, *, full_sync: bool = False, exclusive: bool = False) -> Iterator[None]:
        # Spelled out rather than built from `_locked` and `_errors`: this is the path of every commit.
        execute = self._connection.execute
        with self._thread_lock:
            self._write_lock.acquire()
            try:
                if full_sync is not self._is_full_sync:
                    execute(f"pragma synchronous = {'full' if full_sync else 'normal'}")
                    self._is_full_sync = full_sync
                if _file_at(self.name) != self._file:
                    # An open file lives on without a name: all would be well until this process ends.
                    raise DatabaseGone(self.name)
                execute("begin immediate")
                yield
                execute("commit")
            except BaseException as error:
                self._roll_back()
                translated = self._translate(error) if isinstance(error, sqlite3.Error) else None
                if translated is None:
                    raise
                raise translated from error
            finally:
                self._write_lock.release()

    def _roll_back(self) -> None:
        # A failed commit may have rolled back by itself.
        if self._connection.in_transaction:
            with suppress(sqlite3.Error):
                self._connection.execute("rollback")

    def execute(self, statement: Statement, params: Mapping[str, object] = {}) -> list[Row]:
        with self._thread_lock, self._errors():
            return self._connection.execute(statement.qmark, statement.bind(params)).fetchall()

    def write(self, statement: Statement, params: Mapping[str, object]) -> int:
        return self._connection.execute(statement.qmark, statement.bind(params)).rowcount

    def write_many(self, statement: Statement, rows: Sequence[Sequence[object]]) -> int:
        return self._connection.executemany(statement.qmark, rows).rowcount if rows else 0

    def run_script(self, script: str) -> None:
        for text in split_script(script):
            self._connection.execute(text)

    def now_ms(self) -> int:
        return self._clock.now_ms()

    def schema_version(self) -> int:
        with self._thread_lock, self._errors():
            return int(self._connection.execute("pragma user_version").fetchone()[0])

    def record_version(self, number: int) -> None:
        self._connection.execute(f"pragma application_id = {_APPLICATION_ID}")
        self._connection.execute(f"pragma user_version = {number:d}")

    def adapt(self, schema: str) -> str:
        return schema

    def check(self) -> None:
        with self._thread_lock, self._errors():
            # Not `quick_check`, which leaves out whether the rows are where the indexes say.
            answer = self._connection.execute("pragma integrity_check(1)").fetchone()[0]
        if answer != "ok":
            raise DamagedDatabase(self.name, answer)

    def copy_to(self, path: str) -> None:
        with self._thread_lock, self._errors():
            copy = sqlite3.connect(path, isolation_level=None)
            try:
                # In one go: of all pages as they stand now, whoever writes meanwhile.
                self._connection.backup(copy)
            finally:
                copy.close()

    def close(self) -> None:
        with self._thread_lock:
            self._let_go()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except UnicodeDecodeError as error:
            # The driver's own message, which cites what is stored, is no text either.
            raise DamagedDatabase(self.name, error) from error
        except sqlite3.Error as error:
            translated = self._translate(error)
            if translated is None:
                raise
            raise translated from error

    def _translate(self, error: sqlite3.Error) -> Exception | None:
        family = getattr(error, "sqlite_errorcode", 0) & _CODE_MASK
        # The driver says by its message alone that a text is none; and names that are gone were in the schema.
        says_damage = str(error).startswith(("Could not decode to UTF-8", "no such column", "no such table"))
        if family in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or says_damage:
            return DamagedDatabase(self.name, error)
        if family in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return DatabaseBusy(self.name, BUSY_S_MAX)
        is_disk_trouble = family in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
        if family == sqlite3.SQLITE_FULL or (is_disk_trouble and self._has_little_space()):
            return DiskFull(self.name, error)
        if family in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
            return UnwritableHome(self.name, error)
        return DiskFault(self.name, error) if family == sqlite3.SQLITE_IOERR else None

    def _has_little_space(self) -> bool:
        # Without space the shared-memory file cannot grow, and SQLite calls that an I/O error.
        with suppress(OSError):
            disk = os.statvfs(Path(self.name).parent)
            return disk.f_bavail * disk.f_frsize < _LITTLE_SPACE_BYTES
        return False


def _is_ours(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("pragma application_id").fetchone()[0] == _APPLICATION_ID)


def split_script(script: str) -> Iterator[str]:
    """Yield the statements of a script; a semicolon inside a trigger or a string does not end one."""
    text = ""
    for line in script.splitlines(keepends=True):
        text += line
        if sqlite3.complete_statement(text):
            yield text
            text = ""
    if text.strip():
        yield text
