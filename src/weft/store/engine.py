"""What differs between databases, as a port, and the errors that both can raise.

SQL lies in ``store/sql/*.sql``, each statement after a line ``-- name: ...``. It is one text for both
databases, with named parameters (``:run``). The exceptions, all made where the text is loaded:
the parameter sign; and in migrations the words ``blob``, ``text`` and ``without rowid``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from weft.errors import RetryableError, StoredDataError, UserError

Row = tuple[Any, ...]


class Engine(Protocol):
    """A connection to one database."""

    name: str

    def transaction(
        self, *, full_sync: bool = False, exclusive: bool = False
    ) -> AbstractContextManager[None]:
        """Run a block as one transaction that may write; roll back if it raises.

        Args:
            full_sync: return only when the disk has it. Otherwise a power cut, not a crash of the
                process, may lose the last transactions. (PostgreSQL: always. Its crash is not the driver's.)
            exclusive: alone among the exclusive ones. (SQLite: always alone among writers.)
        """

    def execute(self, statement: Statement, params: Mapping[str, object] = ...) -> list[Row]:
        """Run one statement and return its rows (none for a statement that only writes)."""

    def write(self, statement: Statement, params: Mapping[str, object]) -> int:
        """Run one writing statement inside ``transaction`` and return how many rows it touched."""

    def write_many(self, statement: Statement, rows: Sequence[Sequence[object]]) -> int:
        """Run a writing statement once for each row of positional parameters, in the statement's order
        of names, inside ``transaction``; return how many rows were touched in all."""

    def run_script(self, script: str) -> None:
        """Run the statements of a migration, written for this engine, inside ``transaction``."""

    def now_ms(self) -> int:
        """Return the time that leases count in."""

    def schema_version(self) -> int:
        """Return the number of the last applied migration; 0 for an empty database.

        Raises:
            ForeignDatabase: it holds something else.
        """

    def record_version(self, number: int) -> None:
        """Remember, inside ``transaction``, that migration ``number`` is applied."""

    def adapt(self, schema: str) -> str:
        """Return the text of a migration as this database spells it."""

    def check(self) -> None:
        """Read the whole database and compare its structures.

        Raises:
            DamagedDatabase: they disagree.
        """

    def copy_to(self, path: str) -> None:
        """Write a copy of the database, as it stands at one moment, to a new file; others may go on writing.

        Raises:
            NoCopyOfDatabase: this database is no file.
        """

    def close(self) -> None:
        """Give back the connection; closing twice is allowed."""


class NoCopyOfDatabase(UserError):
    """The database is on a server, which has its own way to be copied."""

    code = "no-copy-of-database"

    def __init__(self, place: str) -> None:
        super().__init__(
            f"the database {place} is on a server and is not copied by Weft",
            hint="Copy it with `pg_dump` first, and the folder of artifacts after it: what it refers to is then there.",
        )


class Fenced(RetryableError):
    """A driver wrote with a lease that is no longer its own. It must stop; nothing was written."""

    code = "fenced"

    def __init__(self, run: str, fence: int, found: object) -> None:
        super().__init__(
            f"run {run}: claim {fence} is no longer the current one ({found}); nothing was written",
            hint="Another process drives this run now, or it has ended; `weft show` says which.",
        )
        self.run = run
        self.fence = fence


class IllegalMove(StoredDataError):
    """A write would move a run or a task along an edge that the table of states does not have."""

    code = "illegal-move"

    def __init__(self, what: str, before: str, after: str) -> None:
        super().__init__(
            f"{what} is {before!r} and cannot become {after!r}; nothing was written",
            hint="This is a fault of Weft, or rows were changed by hand: run `weft verify` and report it.",
        )


class DatabaseBusy(RetryableError):
    """Another process held the database for too long."""

    code = "database-busy"

    def __init__(self, place: str, waited_s: float) -> None:
        super().__init__(
            f"the database {place} was busy for {waited_s:g} s",
            hint="Try again; a stopped or hanging process may hold it (`fuser` on the file names it).",
        )


class DatabaseUnreachable(RetryableError):
    """PostgreSQL does not answer, or the connection broke; what was not committed is gone."""

    code = "database-unreachable"

    def __init__(self, place: str, why: object) -> None:
        super().__init__(
            f"the database {place} cannot be reached: {why}", hint="Check that it runs, then try again."
        )


class DiskFault(StoredDataError):
    """The disk refused to read, write or sync. Whether the last transaction is kept is not known."""

    code = "disk-fault"

    def __init__(self, place: str, why: object) -> None:
        super().__init__(
            f"the disk failed under the database {place}: {why}",
            hint="Check the disk and its log, run `weft doctor`, then `weft resume`.",
        )


class DamagedDatabase(StoredDataError):
    """The file is not a sound database."""

    code = "damaged-database"

    def __init__(self, place: str, why: object) -> None:
        super().__init__(
            f"the database {place} is damaged: {why}",
            hint="Put back a copy, or move the file away to start with an empty one. It is not changed.",
        )


class DatabaseGone(StoredDataError):
    """The file of an open database was deleted, moved or replaced; what would be written would be lost."""

    code = "database-gone"

    def __init__(self, place: str) -> None:
        super().__init__(
            f"the database {place} was deleted, moved or replaced while it was in use",
            hint="Put its folder back, as it was, and `weft resume`. Where it is gone for good, so are its runs: "
            "start the workflow again.",
        )


class ForeignDatabase(StoredDataError):
    """The database belongs to another program."""

    code = "foreign-database"

    def __init__(self, place: str, found: str) -> None:
        super().__init__(
            f"{place} is a database of another program ({found}); it is not changed",
            hint="Choose another place: WEFT_HOME for the folder, or `database` in [tool.weft].",
        )


class NewerDatabase(StoredDataError):
    """A newer Weft wrote this database."""

    code = "newer-database"

    def __init__(self, place: str, found: int, known: int) -> None:
        super().__init__(
            f"the database {place} has schema {found}; this Weft knows schemas up to {known}",
            hint="Upgrade Weft, or use another WEFT_HOME.",
        )


class UnwritableHome(UserError):
    """The folder of the database cannot be written."""

    code = "unwritable-home"

    def __init__(self, place: str, why: object) -> None:
        super().__init__(
            f"the database {place} cannot be written: {why}",
            hint="Give yourself write permission, or set WEFT_HOME to a folder of your own.",
        )


class Statement(NamedTuple):
    """One SQL text, for both parameter signs, and the names of its parameters in their order."""

    qmark: str
    percent: str
    names: tuple[str, ...]

    def bind(self, params: Mapping[str, object]) -> tuple[object, ...]:
        """Return the parameters in the statement's order."""
        return tuple([params[name] for name in self.names])


_SQL_FOLDER = Path(__file__).parent / "sql"
_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_COMMENT = re.compile(r"--.*$", re.MULTILINE)
_PARAMETER = re.compile(r":([a-z_]+)")


@cache
def statements(topic: str) -> dict[str, Statement]:
    """Return the statements of ``store/sql/<topic>.sql`` by name."""
    _, *pieces = _NAME.split((_SQL_FOLDER / f"{topic}.sql").read_text(encoding="utf-8"))
    return {name: statement(body) for name, body in _pairs(pieces)}


def _pairs(pieces: Sequence[str]) -> Iterable[tuple[str, str]]:
    return zip(pieces[::2], pieces[1::2], strict=True)


def statement(text: str) -> Statement:
    """Return a statement from SQL with named parameters."""
    sql = " ".join(_COMMENT.sub("", text).split()).rstrip(";")
    names = tuple(_PARAMETER.findall(sql))
    percent = _PARAMETER.sub("%s", sql.replace("%", "%%"))
    return Statement(_PARAMETER.sub("?", sql), percent, names)
