"""``weft verify`` finds whatever was changed, cut off, taken away or added: in any row of a run, in any byte it stored."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.client.project import Project

import weft
from weft.client.door import open_home
from weft.errors import StoredDataError

FLOW = """
    @step(retries=2, backoff=0)
    def load(m):
        if m == 1 and not Path("tried").exists():
            Path("tried").touch()
            raise OSError("not yet")
        return [m] * 3000

    @step
    def check(rows):
        raise ValueError("x" * 9000)

    @step
    def total(rows, extra):
        return sum(map(len, rows)) + len(extra)

    @workflow
    def flow(n: int, extra: list):
        rows = [load(m) for m in range(n)]
        try:
            check(rows)
        except ValueError:
            return total(rows, extra)
    """
TABLES = {
    "runs": ("id",),
    "run_values": ("run",),
    "tasks": ("run", "node", "idx"),
    "attempts": ("run", "node", "idx", "attempt"),
    "task_counts": ("run", "node", "kind", "state"),
    "journal": ("run", "seq"),
    "blobs": ("digest", "run"),
    "programs": ("digest",),
}
# Who drives a run, and whether somebody wants its end, is no part of the record.
FREE = {"owner", "lease_until_ms", "cancel_requested_ms", "cancel_cause"}


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stored]:
    """A home with one ended run: a loop, a retry, a caught failure, values in rows and in files, archived code."""
    with pytest.MonkeyPatch.context() as patch:
        project = Project(tmp_path_factory.mktemp("verified"), patch)
        project.write("pyproject.toml", '[tool.weft]\nexecutor = "inline"\n')
        project.write("notes.py", "\n".join(f"# {number}" for number in range(2000)))
        run = project.module(FLOW).flow.options(tags={"for": "test"}).start(3, list(range(5000))).wait()
        assert run.result() == 14_000
        found = Stored(project.home, run.id)
        assert found.problems() == []
        yield found
        found.connection.close()


class Stored:
    """The rows and files of one run, and changes to them that are taken back."""

    def __init__(self, home: Path, run: str) -> None:
        self.home = home
        self.run = run
        self.connection = sqlite3.connect(home / "weft.db", isolation_level=None)

    def problems(self) -> list[str]:
        try:
            return open_home().verify(weft.get_run(self.run)).problems
        except StoredDataError as error:
            return [error.message]

    def rows(self, table: str) -> list[dict[str, object]]:
        cursor = self.connection.execute(f"select * from {table}")
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    def put(self, table: str, row: dict[str, object]) -> None:
        marks = ", ".join("?" * len(row))
        self.connection.execute(f"insert into {table} values ({marks})", list(row.values()))

    def take(self, table: str, row: dict[str, object]) -> None:
        keys = TABLES[table]
        where = " and ".join(f"{key} = ?" for key in keys)
        assert (
            self.connection.execute(f"delete from {table} where {where}", [row[key] for key in keys]).rowcount
            == 1
        )

    @contextmanager
    def replaced(self, table: str, row: dict[str, object], other: dict[str, object]) -> Iterator[bool]:
        """Put another row in the place of one, and the first back; False: the table itself refuses it."""
        self.take(table, row)
        try:
            self.put(table, other)
        except sqlite3.IntegrityError:
            yield False
        else:
            try:
                yield True
            finally:
                self.take(table, other)
        finally:
            self.put(table, row)

    def files(self) -> list[Path]:
        return [
            path for path in sorted((self.home / "artifacts").glob("??/*")) if not path.name.startswith(".")
        ]


def changed(value: object, seed: int) -> object:
    """Return a value of the same type that differs in one bit, letter or count."""
    if isinstance(value, int):
        return value + 1
    if isinstance(value, bytes) and value:
        place = random.Random(seed).randrange(len(value))
        return value[:place] + bytes([value[place] ^ (1 << seed % 8)]) + value[place + 1 :]
    if isinstance(value, str) and value:
        place = random.Random(seed).randrange(len(value))
        return value[:place] + ("a" if value[place] != "a" else "b") + value[place + 1 :]
    return b"x" if isinstance(value, bytes) else "x"


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("seed", range(3))
def test_a_change_of_any_field_of_any_row_is_found(stored: Stored, table: str, seed: int):
    assert stored.rows(table)
    for row in stored.rows(table):
        for name, value in row.items():
            if name in FREE or (table, name) == ("runs", "id"):
                continue
            other = {**row, name: changed(value, seed)}
            with stored.replaced(table, row, other) as is_allowed:
                assert not is_allowed or stored.problems(), f"{table}.{name} of {row}"
    assert stored.problems() == []


@pytest.mark.parametrize("table", [table for table in TABLES if table != "runs"])
def test_a_row_that_is_taken_away_is_found(stored: Stored, table: str):
    for row in stored.rows(table):
        stored.take(table, row)
        assert stored.problems(), row
        stored.put(table, row)
    assert stored.problems() == []


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("tasks", {"idx": b"\0\0\0\7"}),
        ("tasks", {"idx": b"\0\0\0\7", "state": "running"}),
        ("attempts", {"attempt": 9}),
        ("task_counts", {"state": "skipped"}),
        ("journal", {"seq": 10_000}),
        ("blobs", {"digest": "b3:" + "0" * 64}),
    ],
)
def test_a_row_that_is_added_is_found(stored: Stored, table: str, change: dict[str, object]):
    row = {**stored.rows(table)[-1], **change}
    stored.put(table, row)
    assert stored.problems()
    stored.take(table, row)
    assert stored.problems() == []


def test_a_task_that_is_added_with_its_count_is_found(stored: Stored):
    task = stored.rows("tasks")[-1]
    place = (task["node"], task["kind"], task["state"])
    count = next(
        row for row in stored.rows("task_counts") if (row["node"], row["kind"], row["state"]) == place
    )
    more = {**count, "instances": count["instances"] + 1, "attempts": count["attempts"] + task["attempt"]}
    with stored.replaced("task_counts", count, more):
        stored.put("tasks", {**task, "idx": b"\0\0\0\7"})
        assert stored.problems()
        stored.take("tasks", {**task, "idx": b"\0\0\0\7"})
    assert stored.problems() == []


def test_a_cut_tail_is_found_also_where_the_stored_head_was_set_back(stored: Stored):
    journal = stored.rows("journal")
    run = stored.rows("runs")[0]
    for kept in range(len(journal) - 1, 0, -1):
        stored.take("journal", journal[kept])
        assert "is missing" in stored.problems()[0]
        stored.take("runs", run)
        stored.put("runs", {**run, "journal_head": journal[kept - 1]["hash"], "journal_count": kept})
        assert stored.problems(), kept
        stored.take("runs", run)
        stored.put("runs", run)
    for row in journal[1:]:
        stored.put("journal", row)
    assert stored.problems() == []


@pytest.mark.parametrize("seed", range(20))
def test_a_change_of_any_byte_of_any_file_is_found(stored: Stored, seed: int):
    chance = random.Random(seed)
    assert len(stored.files()) >= 4  # results, an exception, archived code
    for path in stored.files():
        content = path.read_bytes()
        place = chance.randrange(len(content))
        flipped = bytes([content[place] ^ (1 << chance.randrange(8))])
        for damaged in (content[:place] + flipped + content[place + 1 :], content[:place], content + b"\0"):
            path.write_bytes(damaged)
            assert stored.problems(), path
        path.unlink()
        assert stored.problems(), path
        path.write_bytes(content)
    assert stored.problems() == []


def test_the_first_thing_that_is_wrong_is_named(stored: Stored):
    row = stored.rows("journal")[4]
    stored.take("journal", row)
    stored.put("journal", {**row, "cause": "something else"})
    assert stored.problems()[0] == f"run {stored.run}: journal entry 5 was changed"
    stored.take("journal", row)
    stored.put("journal", row)
