"""A record with any field changed stops its own run at most, with a message; the others are not disturbed."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from contextlib import closing
from typing import Any

import pytest
from tests.client.project import until

import weft
from weft.client.door import open_home
from weft.errors import WeftError
from weft.store.database import open_database
from weft.store.engine import Row

# The longer form: WEFT_POISON=0 for each field with each value.
COUNT = int(os.environ.get("WEFT_POISON", "25"))
TABLES = ("runs", "run_values", "programs", "tasks", "task_counts", "attempts", "journal", "blobs")
VALUES: tuple[object, ...] = (
    None,
    -1,
    1 << 62,
    "",
    "no such thing",
    b"\xff\xfe\x00",
    b"\x93" * 50,
    "x" * 100_000,
)
FLOW = """
    @step(retries=1, backoff="1ms")
    def shaky(n):
        if not Path("failed").exists():
            Path("failed").touch()
            raise OSError("once")
        return [n] * 5000

    @step
    def held(rows):
        Path("held").touch()
        while not Path("go").exists():
            time.sleep(0.01)
        return sum(rows)

    @step
    def add(a, b):
        return a + b

    @workflow
    def waits(n: int):
        return held(shaky(n))

    @workflow
    def healthy(n: int):
        return add(add(n, 1), 1)
    """


def fields(path: str) -> list[tuple[str, str]]:
    """Return the columns of the tables that have rows."""
    found = []
    with closing(sqlite3.connect(path)) as connection:
        for table in TABLES:
            if connection.execute(f"select count(*) from {table}").fetchone()[0]:
                columns: list[Row] = connection.execute(f"pragma table_info({table})").fetchall()
                found += [(table, str(column[1])) for column in columns]
    return found


def poison(path: str, table: str, column: str, value: object) -> bool:
    """Change a field of every row; return whether the database's own rules allow it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("pragma foreign_keys = off")
        try:
            connection.execute(f"update {table} set {column} = ?", [value])
        except (sqlite3.IntegrityError, sqlite3.OperationalError):
            return False
    return True


def live(project: Any, flow: Any) -> str:
    """Look at, and try to go on with, what is damaged; run what is healthy. Return what was said of the first."""
    said = []
    for action in (
        lambda: weft.list_runs(),
        lambda: [task.state for task in weft.get_run().tasks()],
        lambda: open_home().verify(weft.get_run()).problems or None,
        lambda: weft.get_run().resume().wait(60).state,
    ):
        try:
            outcome = action()
        except WeftError as error:
            said.append(f"{type(error).__name__}: {error.message}")
        else:
            said.append(str(outcome)[:200])
    run = flow.healthy.run(3)
    assert run.result() == 5
    assert open_home().verify(run).problems == []
    return "\n".join(said)


@pytest.mark.slow
@pytest.mark.timeout(60 + 5 * (COUNT or 800))
def test_any_field_of_a_waiting_run_may_be_damaged_and_healthy_runs_go_on(project, capsys):
    project.write("pyproject.toml", '[tool.weft]\nexecutor = "inline"\n')
    flow = project.module(FLOW, "flow")
    driver = project.start("-c", "import flow; flow.waits.run(2)")
    until((project.folder / "held").exists, 60)
    driver.kill()
    driver.communicate()
    path = project.home / "weft.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("pragma wal_checkpoint(truncate)")
    shutil.copy(path, project.folder / "kept.db")
    (project.folder / "go").touch()
    cases = [(*field, value) for field in fields(str(path)) for value in VALUES]
    chosen = random.Random(1).sample(cases, COUNT) if COUNT else cases
    tried = 0
    for table, column, value in chosen:
        for left in project.home.glob("weft.db*"):
            left.unlink()
        shutil.copy(project.folder / "kept.db", path)
        if not poison(str(path), table, column, value):
            continue
        tried += 1
        try:
            live(project, flow)
        except BaseException as error:
            error.add_note(f"{table}.{column} = {value!r:.60}")
            raise
    with capsys.disabled():
        print(f"\n{tried} damaged fields of {len(cases)} that could be")


def test_the_table_of_fields_knows_all_tables(tmp_path):
    with open_database(tmp_path / "weft.db", weft.client.home.SystemClock()):
        pass
    with closing(sqlite3.connect(tmp_path / "weft.db")) as connection:
        rows = connection.execute("select name from sqlite_master where type = 'table'").fetchall()
    assert {name for (name,) in rows} <= {*TABLES, "migrations"}
