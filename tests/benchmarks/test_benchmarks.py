"""The benchmarks themselves: their arithmetic, their floors, and their workflows as plain calls."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("numpy", reason="the benchmarks need the extra [arrays]")

from benchmarks.measure import Row, as_data, as_table

from benchmarks import chains, driving, history, workflows
from weft.clock import SystemClock
from weft.store.database import open_database

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("row", "met"),
    [
        (Row("a floor", 3.0, "ms"), None),
        (Row("under an aim", 50.0, "ms", aim=60), True),
        (Row("over an aim", 61.0, "ms", aim=60), False),
        (Row("1.4 floors", 140.0, "ms", floor=100.0, aim=1.5), True),
        (Row("1.6 floors", 160.0, "ms", floor=100.0, aim=1.5), False),
        (Row("not measured", None, "ms", floor=100.0, aim=1.5), False),
        (Row("not measured, no aim", None, "ms"), False),
    ],
    ids=lambda value: value.name if isinstance(value, Row) else "",
)
def test_an_aim_is_a_value_or_where_there_is_a_floor_a_ratio(row, met):
    assert row.met is met


def test_the_table_says_what_failed_and_why():
    table = as_table([Row("quick", 1.0, "ms", floor=2.0, aim=1.5), Row("slow", None, "ms", note="no worker")])
    head, _line, quick, slow = table.splitlines()
    assert "floor" in head
    assert "0.50 x" in quick
    assert "met" in quick
    assert "failed" in slow
    assert "no worker" in slow


def test_a_measurement_that_fails_is_a_row_not_an_end():
    def broken():
        raise RuntimeError("no worker")

    (row,) = driving.attempt("a step", "ms", broken)
    assert (row.value, row.note, row.met) == (None, "no worker", False)
    assert as_data([row])[0]["met"] is False


def test_the_measured_workflows_are_right_as_plain_calls():
    assert workflows.one() == 1
    assert workflows.chain(5) == 5
    assert workflows.loop(4) == 1 + 2 + 3 + 4
    assert workflows.items(3, 64) >= 0  # 0 where the system does not count
    first, _seconds = workflows.hand_over(8 * 1024, 7)
    again, _seconds = workflows.hand_over(8 * 1024, 7)
    assert first == again


@pytest.mark.slow
def test_the_floors_are_taken_and_written(tmp_path):
    command = [
        sys.executable,
        "-m",
        "benchmarks",
        "--floors",
        "--folder",
        str(tmp_path / "disk"),
        "--json",
        str(tmp_path / "r.json"),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "r.json").read_text())
    assert {row["name"] for row in results["rows"]} >= {"pipe round trip", "SQLite commit, NORMAL"}
    assert all(row["value"] > 0 for row in results["rows"])
    assert list((tmp_path / "disk").iterdir()) == []


def test_a_history_is_made_of_runs_like_the_one_that_ran(tmp_path):
    driving.drive(tmp_path, "one", 1)
    history.lengthen(tmp_path, 3)
    with open_database(tmp_path / "weft.db", SystemClock()) as database:
        runs = database.runs.list_runs().runs
        tasks = [list(database.tasks.outcomes(run.id)) for run in runs]
    assert [(run.workflow, run.state) for run in runs] == [("one", "succeeded")] * 4
    assert [[task.path for task in each] for each in tasks] == [["increment"]] * 4


def test_a_run_that_takes_over_nothing_is_no_measure_of_reuse(tmp_path, monkeypatch):
    said = {"reused": [0, 999], "seconds": [1.0, 0.1]}
    monkeypatch.setattr(chains, "drive", lambda *_args, **_options: said)
    with pytest.raises(RuntimeError, match="of 1,000 steps 999 were taken over"):
        chains.reused_run(tmp_path)
