"""PostgreSQL as a database: addresses, lost connections, several drivers, and the server's clock."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import psycopg
import pytest
from tests.conftest import PostgresServer
from tests.store.builders import LEASE_MS, ME, OTHER, accept, ended, finish, open_at, start, task

from weft.clock import FakeClock, SystemClock
from weft.errors import DiskFull, StoredDataError
from weft.store.database import Database, open_database
from weft.store.engine import (
    DamagedDatabase,
    DatabaseBusy,
    DatabaseUnreachable,
    DiskFault,
    Fenced,
    ForeignDatabase,
    NewerDatabase,
)
from weft.store.postgres import BadAddress, PostgresEngine, open_postgres, split_address, without_password
from weft.store.runs import RunBusy


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def database(postgres_address: str, clock: FakeClock) -> Iterator[Database]:
    with open_at(postgres_address, clock) as opened:
        yield opened


def raw(address: str) -> psycopg.Connection[tuple[object, ...]]:
    conninfo, schema = split_address(address)
    return psycopg.connect(conninfo, autocommit=True, options=f"-c search_path={schema}")


def connection_of(database: Database) -> psycopg.Connection[tuple[object, ...]]:
    engine = database.engine
    assert isinstance(engine, PostgresEngine)
    assert engine._connection is not None
    return engine._connection


def cut(address: str, database: Database) -> None:
    """End the database's connection from the server's side."""
    with raw(address) as connection:
        connection.execute(
            "select pg_terminate_backend(%s, 5000)", (connection_of(database).info.backend_pid,)
        )


class TestAddresses:
    def test_the_schema_is_taken_out_of_the_address(self) -> None:
        assert split_address("postgresql://u@h:1/d?schema=team&sslmode=off") == (
            "postgresql://u@h:1/d?sslmode=off",
            "team",
        )
        assert split_address("postgresql://h/d") == ("postgresql://h/d", "weft")

    def test_a_password_is_never_shown(self) -> None:
        assert without_password("postgresql://me:secret@h:1/d?password=secret") == "postgresql://me@h:1/d"
        with pytest.raises(DatabaseUnreachable) as caught:
            open_postgres("postgresql://me:secret@127.0.0.1:1/d")
        assert "secret" not in str(caught.value)
        assert "postgresql://me@127.0.0.1:1/d" in str(caught.value)

    @pytest.mark.parametrize("schema", ["a;b", "", "A", 'x"', "1a"])
    def test_a_schema_with_an_odd_name_is_refused(self, schema: str) -> None:
        with pytest.raises(BadAddress, match="is no name of a schema"):
            open_postgres(f"postgresql://h/d?schema={schema}")


class TestOpening:
    def test_two_schemas_of_one_server_do_not_meet(
        self, postgres: PostgresServer, postgres_address: str
    ) -> None:
        with open_database(postgres_address, SystemClock()) as one, raw(postgres_address) as connection:
            accept(one, "0run")
            other = postgres_address + "x"
            with open_database(other, SystemClock()) as two:
                assert two.runs.list_runs().runs == []
            connection.execute(f"drop schema {split_address(other)[1]} cascade")

    def test_several_processes_may_create_it_at_once(self, postgres_address: str) -> None:
        errors: list[BaseException] = []

        def work() -> None:
            try:
                open_database(postgres_address, SystemClock()).close()
            except BaseException as error:  # noqa: BLE001 - handed to the test's own thread
                errors.append(error)

        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []

    def test_a_schema_of_another_program_is_refused(self, postgres_address: str) -> None:
        schema = split_address(postgres_address)[1]
        with raw(postgres_address) as connection:
            connection.execute(f"create schema {schema}")
            connection.execute("create table recipes (name text)")
        with pytest.raises(ForeignDatabase, match="with tables recipes"):
            open_database(postgres_address, SystemClock())

    def test_a_newer_schema_is_refused(self, postgres_address: str) -> None:
        open_database(postgres_address, SystemClock()).close()
        with raw(postgres_address) as connection:
            connection.execute("insert into migrations values (99, 'later', 0)")
        with pytest.raises(NewerDatabase, match="has schema 99"):
            open_database(postgres_address, SystemClock())


class TestLeases:
    def test_leases_count_in_the_servers_time_not_in_this_machines(self, postgres_address: str) -> None:
        wrong = FakeClock(now_ms=1)
        with open_database(postgres_address, wrong) as database:
            run = accept(database, "0run")
            database.runs.claim(run, ME, LEASE_MS)
            left_ms = database.runs.get(run).lease_until_ms - SystemClock().now_ms()
            assert LEASE_MS - 10_000 < left_ms <= LEASE_MS + 10_000

    def test_of_many_drivers_one_gets_each_run(self, postgres_address: str, clock: FakeClock) -> None:
        names = [f"0run{number}" for number in range(8)]
        with open_at(postgres_address, clock) as database:
            for name in names:
                accept(database, name)
        won: list[str] = []

        def work() -> None:
            with open_at(postgres_address, clock) as mine:
                for name in names:
                    try:
                        mine.runs.claim(name, ME, LEASE_MS)
                    except RunBusy:
                        continue
                    won.append(name)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(won) == names


class TestLostConnections:
    def test_a_connection_that_broke_while_nobody_used_it_is_made_again_unseen(
        self, database: Database, clock: FakeClock, postgres_address: str
    ) -> None:
        lease = start(database, clock)
        cut(postgres_address, database)
        database.runs.commit(lease, ended(task(lease)))
        cut(postgres_address, database)
        assert database.runs.get(lease.run).state == "running"
        assert database.journal.verify(lease.run) == 3

    def test_who_is_idle_in_a_transaction_does_not_hold_a_run_for_ever(
        self, database: Database, clock: FakeClock, postgres_address: str
    ) -> None:
        lease = start(database, clock)
        longest = "idle_in_transaction_session_timeout"
        assert connection_of(database).execute(f"show {longest}").fetchone() == ("5s",)
        connection_of(database).execute(f"set {longest} to 100")

        def write_and_sleep() -> None:
            with database.engine.transaction():
                database.engine.run_script("update runs set lease_until_ms = 7")
                with raw(
                    postgres_address
                ) as other:  # waits for the row until the server has ended the sleeper
                    other.execute("update runs set lease_until_ms = 0")
                database.engine.run_script("insert into programs values ('b3:other', ''::bytea)")

        with pytest.raises(DatabaseUnreachable):
            write_and_sleep()
        assert database.runs.get(lease.run).lease_until_ms == 0
        finish(database, lease)

    @pytest.mark.parametrize("notices", [False, True])
    def test_a_connection_lost_in_a_transaction_writes_nothing(
        self, database: Database, clock: FakeClock, postgres_address: str, notices: bool
    ) -> None:
        lease = start(database, clock)

        def write_and_lose() -> None:
            with database.engine.transaction():
                database.engine.run_script("insert into programs values ('b3:half', ''::bytea)")
                if notices:
                    connection_of(database).close()
                else:
                    cut(postgres_address, database)
                database.engine.run_script("insert into programs values ('b3:other', ''::bytea)")

        with pytest.raises(DatabaseUnreachable):
            write_and_lose()
        with raw(postgres_address) as connection:
            found = connection.execute("select digest from programs order by digest").fetchall()
        assert found == [("b3:program",)]
        finish(database, lease)

    def test_a_server_that_crashes_and_comes_back_has_all_that_was_acknowledged_with_full_sync(
        self, postgres: PostgresServer, database: Database, clock: FakeClock
    ) -> None:
        lease = start(database, clock)
        batch = ended(task(lease))
        batch.full_sync = True
        database.runs.commit(lease, batch)
        postgres.stop(signal.SIGQUIT)
        with pytest.raises(DatabaseUnreachable):
            database.runs.get(lease.run)
        postgres.start()
        clock.advance(LEASE_MS)
        taken = database.runs.claim(lease.run, OTHER, LEASE_MS)
        assert taken.journal_count == lease.journal_count + 1
        with pytest.raises(Fenced):
            database.runs.commit(lease, ended(task(lease, 1)))
        assert database.journal.verify(lease.run) == 4


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (psycopg.errors.DiskFull, DiskFull),
        (psycopg.errors.LockNotAvailable, DatabaseBusy),
        (psycopg.errors.DeadlockDetected, DatabaseBusy),
        (psycopg.errors.IoError, DiskFault),
        (psycopg.errors.DataCorrupted, DamagedDatabase),
        (psycopg.errors.AdminShutdown, DatabaseUnreachable),
        (psycopg.OperationalError, DatabaseUnreachable),
    ],
)
def test_each_fault_of_postgres_has_its_error(
    database: Database, fault: type[Exception], expected: type[Exception]
) -> None:
    with pytest.raises(expected), database.engine.transaction():
        raise fault("a fault")
    assert issubclass(DamagedDatabase, StoredDataError)
    accept(database, "0run")
