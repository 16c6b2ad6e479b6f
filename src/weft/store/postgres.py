"""PostgreSQL as an engine: one connection, opened again after it broke. psycopg is an extra.

Every transaction waits for the server's disk. The driver outlives a crash of the server, so what it was told is
written must still be there afterwards.

State: the connection, and whether a transaction is open on it.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from weft.clock import Clock
from weft.errors import DiskFull, UserError, WeftError
from weft.store.engine import (
    DamagedDatabase,
    DatabaseBusy,
    DatabaseUnreachable,
    DiskFault,
    ForeignDatabase,
    NoCopyOfDatabase,
    Row,
    Statement,
)

if TYPE_CHECKING:
    import psycopg

DEFAULT_SCHEMA: Final = "weft"
LOCK_S_MAX: Final = 30
_CONNECT_S_MAX: Final = 10
# A process that is frozen, or cut off, in the middle of a transaction holds its run's row only for so long.
_IDLE_S_MAX: Final = 5
# And a server that is cut off is noticed: half a minute without an answer from its machine.
_KEEPALIVE: Final[dict[str, Any]] = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 4,
    "tcp_user_timeout": 30_000,
}
_MIGRATION_LOCK: Final = 0x57454654  # "WEFT": one lock for all schemas of one database.
_SCHEMA_NAME: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_SPELLINGS: Final = (
    (re.compile(r"\bblob\b"), "bytea"),
    # Ordered by bytes, as SQLite does; the locale of the server must not change a page.
    (re.compile(r"\btext\b"), 'text collate "C"'),
    (re.compile(r"\) without rowid\b"), ")"),
)
_BUSY_CODES: Final = ("55P03", "40001", "40P01")


class NoDriver(UserError):
    """psycopg is not installed."""

    code = "no-postgres-driver"

    def __init__(self) -> None:
        super().__init__(
            "a PostgreSQL database needs the package psycopg",
            hint='Install it: pip install "weft[postgres]".',
        )


class BadAddress(UserError):
    """The address of the database cannot be read."""

    code = "bad-database-address"

    def __init__(self, place: str, why: str) -> None:
        super().__init__(
            f"the database address {place} cannot be used: {why}",
            hint="Write for example postgresql://user@host:5432/name?schema=weft.",
        )


def open_postgres(address: str, clock: Clock | None = None) -> PostgresEngine:
    """Return an engine on the database at ``address``.

    Args:
        clock: a double, for tests; without one the server's own clock counts.

    Raises:
        NoDriver, BadAddress, DatabaseUnreachable: it cannot be opened.
    """
    conninfo, schema = split_address(address)
    if not _SCHEMA_NAME.fullmatch(schema):
        raise BadAddress(without_password(address), f"{schema!r} is no name of a schema")
    return PostgresEngine(conninfo, schema, clock)


def split_address(address: str) -> tuple[str, str]:
    """Return the address as the driver takes it, and the schema that it names."""
    parts = urlsplit(address)
    options = parse_qsl(parts.query, keep_blank_values=True)
    schema = next((value for name, value in options if name == "schema"), DEFAULT_SCHEMA)
    query = urlencode([(name, value) for name, value in options if name != "schema"])
    return urlunsplit(parts._replace(query=query)), schema


def without_password(address: str) -> str:
    """Return the address as it may be shown."""
    parts = urlsplit(address)
    user, at, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=user.partition(":")[0] + at + host, query=""))


class PostgresEngine:
    """The ``Engine`` port on psycopg."""

    def __init__(self, conninfo: str, schema: str, clock: Clock | None) -> None:
        try:
            import psycopg
        except ImportError as error:
            raise NoDriver from error
        self._driver = psycopg
        self.name = without_password(conninfo)
        self._conninfo = conninfo
        self._schema = schema
        self._clock = clock
        self._thread_lock = threading.RLock()
        self._connection: psycopg.Connection[Row] | None = None
        self._is_in_transaction = False
        with self._errors():
            self._connect()

    def _connect(self) -> psycopg.Connection[Row]:
        # Never a fresh connection inside a transaction: it would commit each statement by itself.
        if self._connection is not None and (self._is_in_transaction or not self._connection.closed):
            return self._connection
        self._connection = self._driver.connect(
            self._conninfo,
            autocommit=True,
            connect_timeout=_CONNECT_S_MAX,
            options=f"-c search_path={self._schema} -c lock_timeout={LOCK_S_MAX}s "
            f"-c idle_in_transaction_session_timeout={_IDLE_S_MAX}s",
            **_KEEPALIVE,
        )
        return self._connection

    def _reach(self, sql: str, params: Sequence[object] = ()) -> psycopg.Cursor[Row]:
        """Run a statement that begins something, or only reads: on a new connection if the old one has broken.

        It may have broken long ago, while nobody used it; nobody needs to hear of that.
        """
        old = self._connection
        is_old = old is not None and not old.closed and not self._is_in_transaction
        try:
            return self._run(sql, params)
        except self._driver.Error as error:
            if not (is_old and isinstance(self._translate(error), DatabaseUnreachable)):
                raise
        self.close()
        return self._run(sql, params)

    @contextmanager
    def transaction(self, *, full_sync: bool = False, exclusive: bool = False) -> Iterator[None]:
        with self._thread_lock, self._errors():
            self._reach("begin")
            connection = self._connect()
            self._is_in_transaction = True
            try:
                if exclusive:
                    connection.execute("select pg_advisory_xact_lock(%s)", (_MIGRATION_LOCK,))
                yield
                connection.execute("commit")
            except BaseException:
                if not connection.closed:
                    with suppress(self._driver.Error):
                        connection.execute("rollback")
                raise
            finally:
                self._is_in_transaction = False

    def execute(self, statement: Statement, params: Mapping[str, object] = {}) -> list[Row]:
        with self._thread_lock, self._errors():
            return self._reach(statement.percent, statement.bind(params)).fetchall()

    def write(self, statement: Statement, params: Mapping[str, object]) -> int:
        return self._run(statement.percent, statement.bind(params)).rowcount

    def write_many(self, statement: Statement, rows: Sequence[Sequence[object]]) -> int:
        if not rows:
            return 0
        if len(rows) == 1:
            return self._run(statement.percent, rows[0]).rowcount
        with self._connect().cursor() as cursor:
            cursor.executemany(_as_query(statement.percent), rows)
            return cursor.rowcount

    def _run(self, sql: str, params: Sequence[object]) -> psycopg.Cursor[Row]:
        return self._connect().execute(_as_query(sql), params)

    def run_script(self, script: str) -> None:
        connection = self._connect()
        connection.execute(_as_query(f"create schema if not exists {self._schema}"))
        connection.execute(_as_query(script))

    def now_ms(self) -> int:
        if self._clock is not None:
            return self._clock.now_ms()
        with self._thread_lock, self._errors():
            row = self._reach("select (extract(epoch from clock_timestamp()) * 1000)::bigint").fetchone()
        assert row is not None
        return int(row[0])

    def schema_version(self) -> int:
        names = "select table_name from information_schema.tables where table_schema = %s order by 1"
        with self._thread_lock, self._errors():
            tables = [row[0] for row in self._reach(names, (self._schema,)).fetchall()]
            if not tables:
                return 0
            if not {"migrations", "programs", "runs"} <= set(tables):
                found = f"schema {self._schema} with tables {', '.join(tables[:3])}"
                raise ForeignDatabase(self.name, found)
            row = self._run("select max(number) from migrations", ()).fetchone()
        return int(row[0]) if row and row[0] else 0

    def record_version(self, number: int) -> None:
        """The row in ``migrations`` says it already."""

    def adapt(self, schema: str) -> str:
        for pattern, spelling in _SPELLINGS:
            schema = pattern.sub(spelling, schema)
        return schema

    def check(self) -> None:
        """PostgreSQL checks its own pages as it reads them."""

    def copy_to(self, path: str) -> None:
        raise NoCopyOfDatabase(self.name)

    def close(self) -> None:
        with self._thread_lock:
            if self._connection is not None:
                self._connection.close()

    def __del__(self) -> None:
        # A `Run` that nobody looks at any more was all that held its home, and this.
        if getattr(self, "_connection", None) is not None:
            self.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except self._driver.Error as error:
            translated = self._translate(error)
            if translated is None:
                raise
            raise translated from error

    def _translate(self, error: psycopg.Error) -> WeftError | None:
        code = error.sqlstate or ""
        why = str(error).strip().partition("\n")[0]
        if code in _BUSY_CODES:
            return DatabaseBusy(self.name, LOCK_S_MAX)
        if code == "53100":
            return DiskFull(self.name, why)
        if code.startswith("58"):
            return DiskFault(self.name, why)
        if code.startswith("XX"):
            return DamagedDatabase(self.name, why)
        # 08: connection; 57P: shut down; 25P03: too long in a transaction; no code: the connection broke before the
        # server could answer.
        is_gone = code.startswith(("08", "57P", "25P03")) or (
            not code and isinstance(error, self._driver.OperationalError | self._driver.InterfaceError)
        )
        return DatabaseUnreachable(self.name, why) if is_gone else None


def _as_query(sql: str) -> Any:
    # psycopg's types ask for literal strings; ours are literals too, but they come from files.
    return sql
