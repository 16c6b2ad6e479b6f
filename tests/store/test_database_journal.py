"""The journal: its golden hash, and that no change to a record goes unseen."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.store.builders import ended, entry, finish, open_at, start, task

from weft.clock import FakeClock
from weft.model.journal import KINDS, SEALING, JournalEntry, chain
from weft.model.records import AttemptRecord, Batch, TaskRecord, seal_digest
from weft.store.database import Database
from weft.store.journal import BrokenJournal


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def database(database_place: str, clock: FakeClock) -> Iterator[Database]:
    with open_at(database_place, clock) as opened:
        yield opened


def recorded(database: Database, clock: FakeClock) -> str:
    """Return a finished run with six entries and two sealed tasks."""
    lease = start(database, clock)
    database.runs.commit(lease, ended(task(lease, 0, key="k", reason="r", source="0old", outcome=b"one")))
    database.runs.commit(lease, ended(task(lease, 1, inputs=b"in", worker="w", executor="e", outcome=b"two")))
    database.runs.commit(lease, Batch(entries=[entry("note", subject="s", cause="c", body=b"free")]))
    finish(database, lease)
    return lease.run


def test_the_hash_of_an_entry_is_golden() -> None:
    first = JournalEntry(
        1_700_000_000_000, "task.ended", "train[3]", "attempt 1 succeeded", b"\x93\x01", seq=1
    )
    head = chain("01h455vb4pex5vsk", "", first)
    assert head == "b3:88e5827044bab9e057367687c116c9af4e2390f2f9a95d217cbb59ea02ab6bfa"
    second = JournalEntry(1_700_000_000_001, "run.ended", seq=2)
    assert (
        chain("01h455vb4pex5vsk", head, second)
        == "b3:6c33d50cf108af7a09a8ee77c8b1e249bf40386287f0b3b03eeec3a9bdb5203f"
    )


def test_the_digest_of_a_sealed_row_is_golden() -> None:
    row = TaskRecord(
        "0run", 4, (1, 2), "train[1]", "call", "succeeded", 2, "b3:k", 10, 20, 3, 4, "local", "w"
    )
    assert seal_digest([row]) == "b3:82d2aa8694f0ed60b57e7b4bb2c1dfed4a090836994871877b5e4e8fee5bade5"


def test_the_kinds_are_distinct_and_hold_those_that_seal() -> None:
    assert len(set(KINDS)) == len(KINDS)
    assert set(KINDS) > SEALING


def test_entries_are_numbered_from_one_and_read_in_pages(database: Database, clock: FakeClock) -> None:
    run = recorded(database, clock)
    assert [each.seq for each in database.journal.entries(run)] == [1, 2, 3, 4, 5, 6]
    page = database.journal.list_entries(run, after=4, limit=1)
    assert [(each.seq, each.kind, each.subject, each.cause, each.body) for each in page] == [
        (5, "note", "s", "c", b"free")
    ]


def test_an_untouched_journal_verifies(database: Database, clock: FakeClock) -> None:
    run = recorded(database, clock)
    assert database.journal.verify(run) == 6
    with pytest.raises(BrokenJournal, match="belongs to a run that is missing"):
        database.journal.verify("0none")


@pytest.mark.parametrize(
    ("damage", "seq", "why"),
    [
        ("delete from journal where seq = 6", 6, "is missing"),
        ("delete from journal where seq >= 3", 3, "is missing"),
        ("delete from journal where seq = 2", 2, "is missing"),
        ("delete from journal", 1, "is missing"),
        ("update journal set seq = 9 where seq = 2", 2, "is missing"),
        ("update runs set journal_head = 'b3:0'", 6, "is not the one that the run remembers"),
        ("update runs set journal_count = 5", 6, "was added"),
        ("delete from tasks where path = 'train[0]'", 3, "vouches for a task that is missing"),
        (
            "update tasks set state = 'failed' where path = 'train[1]'",
            4,
            "vouches for rows that were changed",
        ),
    ],
)
def test_the_first_wrong_entry_is_named(
    database: Database, clock: FakeClock, damage: str, seq: int, why: str
) -> None:
    run = recorded(database, clock)
    with database.engine.transaction():
        database.engine.run_script(damage)
    with pytest.raises(BrokenJournal, match=f"journal entry {seq} {why}") as caught:
        database.journal.verify(run)
    assert caught.value.seq == seq


def _cells(path: Path, table: str) -> list[tuple[int, str, object]]:
    """Return (row, column, value) of every cell."""
    with sqlite3.connect(path) as raw:
        columns = [row[1] for row in raw.execute(f"pragma table_info({table})")]
        rows = raw.execute(f"select * from {table}").fetchall()
    raw.close()
    return [
        (number, name, value)
        for number, row in enumerate(rows)
        for name, value in zip(columns, row, strict=True)
    ]


def _changes(value: object) -> list[object]:
    """Return the value with each of its bytes changed, one at a time."""
    if isinstance(value, bytes):
        return [value[:i] + bytes([value[i] ^ 4]) + value[i + 1 :] for i in range(len(value))] or [b"x"]
    if isinstance(value, str):
        swapped = ["x" if letter != "x" else "y" for letter in value]
        return [value[:i] + other + value[i + 1 :] for i, other in enumerate(swapped)] or ["x"]
    return [value + 1000 if isinstance(value, int) else "x"]


@pytest.mark.parametrize("table", ["journal", "tasks"])
def test_a_change_to_any_byte_of_a_row_is_found(tmp_path: Path, table: str) -> None:
    path = tmp_path / "weft.db"
    with open_at(str(path), FakeClock()) as database:
        run = recorded(database, FakeClock())
        keys = {"journal": ("run", "seq"), "tasks": ("run", "node", "idx")}[table]
        where = " and ".join(f"{key} = ?" for key in keys)
        raw = sqlite3.connect(path, isolation_level=None)
        raw.execute("pragma synchronous = off")
        tried = 0
        cells = _cells(path, table)
        for number, column, value in cells:
            row = {name: cell for at, name, cell in cells if at == number}
            for changed in _changes(value):
                tried += 1
                now = {**row, column: changed}
                update = f"update {table} set {column} = ? where {where}"
                raw.execute(update, (changed, *[row[key] for key in keys]))
                with pytest.raises(BrokenJournal):
                    database.journal.verify(run)
                raw.execute(update, (value, *[now[key] for key in keys]))
        raw.close()
        assert tried > 100
        assert database.journal.verify(run) == 6


def test_attempts_do_not_disturb_the_chain(database: Database, clock: FakeClock) -> None:
    lease = start(database, clock)
    attempt = AttemptRecord(lease.run, 1, (0,), 1, "failed")
    database.runs.commit(lease, Batch(attempts=[attempt], entries=[entry("task.retried")]))
    assert database.journal.verify(lease.run) == 3
