"""Migrations: numbered, applied once, recorded with what they do; every way leads to the same schema."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.store.builders import accept, open_at

from weft.clock import FakeClock
from weft.model.records import AttemptRecord, TaskRecord, index_to_bytes
from weft.store.database import Database
from weft.store.engine import Engine, statement, statements
from weft.store.migrate import Migration, all_migrations, migrate
from weft.store.postgres import open_postgres
from weft.store.sqlite import SqliteEngine, open_sqlite
from weft.store.tasks import attempt_to_row, task_to_row

CLOCK = FakeClock()
LATER = (
    Migration(
        len(all_migrations()) + 1, "pools", "create table pools (name text not null primary key, body blob);"
    ),
    Migration(
        len(all_migrations()) + 2, "pool_size", "alter table pools add column size bigint not null default 1;"
    ),
)


def engine_at(place: str) -> Engine:
    return open_postgres(place, CLOCK) if place.startswith("postgres") else open_sqlite(place, CLOCK)


def schema_of(engine: Engine) -> list[tuple[object, ...]]:
    """Return tables, columns and indexes in a form that does not depend on the order of creation."""
    if isinstance(engine, SqliteEngine):
        indexes = "select tbl_name, name, sql from sqlite_master where type = 'index' order by 1, 2"
        columns = (
            "select t.name, c.name, c.type, c.pk, c.dflt_value from sqlite_master t, pragma_table_info(t.name) c"
            " where t.type = 'table' order by 1, 2"
        )
    else:
        indexes = (
            "select tablename, indexname, regexp_replace(indexdef, ' ON .*?[.]', ' ON ') from pg_indexes"
            " where schemaname = current_schema() order by 1, 2"
        )
        columns = (
            "select table_name, column_name, data_type, is_nullable, column_default, collation_name"
            " from information_schema.columns where table_schema = current_schema() order by 1, 2"
        )
    return engine.execute(statement(columns)) + engine.execute(statement(indexes))


def test_a_fresh_schema_equals_one_that_was_migrated_step_by_step(
    database_place: str, tmp_path: Path
) -> None:
    known = (*all_migrations(), *LATER)
    engine = engine_at(database_place)
    for number in range(1, len(known) + 1):
        migrate(engine, known[:number])
        assert engine.schema_version() == number
    stepwise = schema_of(engine)
    recorded = engine.execute(statement("select number, name from migrations order by number"))
    engine.close()
    assert recorded == [(each.number, each.name) for each in known]
    fresh_place = (
        str(tmp_path / "fresh.db") if not database_place.startswith("postgres") else database_place + "f"
    )
    fresh = engine_at(fresh_place)
    migrate(fresh, known)
    assert schema_of(fresh) == stepwise
    if database_place.startswith("postgres"):
        with fresh.transaction():
            fresh.run_script(f"drop schema {database_place.rpartition('=')[2]}f cascade")
    fresh.close()


def test_an_old_database_keeps_its_runs_through_a_migration(database_place: str) -> None:
    with open_at(database_place, CLOCK) as database:
        accept(database, "0run")
    engine = engine_at(database_place)
    migrate(engine, (*all_migrations(), *LATER))
    assert Database(engine).runs.get("0run").state == "queued"
    engine.close()


def test_a_migration_that_fails_leaves_no_trace_and_can_be_tried_again(database_place: str) -> None:
    engine = engine_at(database_place)
    known = all_migrations()
    migrate(engine, known)
    before = schema_of(engine)
    broken = Migration(
        len(known) + 1, "broken", "create table half (name text);\ncreate table half (name text);"
    )
    with pytest.raises(Exception, match="half"):
        migrate(engine, (*known, broken))
    assert engine.schema_version() == len(known)
    assert schema_of(engine) == before
    migrate(engine, (*known, *LATER))
    assert engine.schema_version() == len(known) + 2
    engine.close()


def test_both_engines_have_the_same_tables_and_columns(postgres_address: str) -> None:
    found = []
    for place in (":memory:", postgres_address):
        engine = engine_at(place)
        migrate(engine)
        tables = {(row[0], row[1]) for row in schema_of(engine) if len(row) > 3}
        found.append({pair for pair in tables if not str(pair[0]).startswith("sqlite_")})
        engine.close()
    assert found[0] == found[1]
    assert ("runs", "fence") in found[0]


def test_text_sorts_by_bytes_on_postgres_whatever_its_locale(postgres_address: str) -> None:
    engine = engine_at(postgres_address)
    migrate(engine)
    collations = {row[5] for row in schema_of(engine) if len(row) > 5 and row[2] == "text"}
    engine.close()
    assert collations == {"C"}


def test_migrations_are_numbered_without_a_gap(tmp_path: Path) -> None:
    assert [each.number for each in all_migrations()] == list(range(1, len(all_migrations()) + 1))
    (tmp_path / "0002_late.sql").write_text("select 1")
    with pytest.raises(ValueError, match="not numbered from 1 without a gap"):
        all_migrations(tmp_path)
    (tmp_path / "1_bad.sql").write_text("select 1")
    with pytest.raises(ValueError, match=r"1_bad.sql is no name"):
        all_migrations(tmp_path)


TOPICS = ["runs", "tasks", "journal", "references"]


@pytest.mark.parametrize("topic", TOPICS)
def test_every_statement_runs_on_sqlite(topic: str) -> None:
    with open_at(":memory:", CLOCK) as database:
        for name, sql in statements(topic).items():
            try:
                database.engine.execute(sql, dict.fromkeys(sql.names, 0))
            except sqlite3.IntegrityError:
                assert name.startswith(("insert", "add", "put"))


@pytest.mark.parametrize("topic", TOPICS)
def test_no_statement_is_one_that_only_one_engine_knows(topic: str) -> None:
    foreign = re.compile(
        r"\b(pragma|rowid|ifnull|insert or|replace into|ilike|now\(\)|::|for update|glob)\b", re.I
    )
    for name, sql in statements(topic).items():
        assert not foreign.search(sql.qmark), name


def _named(kind: type[msgspec.Struct]) -> Any:
    """Return a record each of whose fields holds its own name."""
    fields = {field: field for field in kind.__struct_fields__}
    return kind(**{**fields, "index": ()})


def _value(column: str) -> object:
    return index_to_bytes(()) if column == "idx" else column


def test_the_rows_of_tasks_and_attempts_follow_their_statements() -> None:
    put, put_attempt = statements("tasks")["put"], statements("tasks")["put_attempt"]
    assert task_to_row(_named(TaskRecord)) == tuple(map(_value, put.names))
    assert attempt_to_row(_named(AttemptRecord)) == tuple(map(_value, put_attempt.names))
    journal = statements("journal")["add"]
    assert journal.names == ("run", "seq", "at_ms", "kind", "subject", "cause", "body", "hash")
    assert statements("references")["add"].names == ("digest", "run", "codec", "size_bytes")
