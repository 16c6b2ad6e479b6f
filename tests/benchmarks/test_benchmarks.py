"""The benchmarks themselves: their arithmetic, their floors, and their workflows as plain calls."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("numpy", reason="the benchmarks need the extra [arrays]")

from benchmarks.measure import Row, as_data, as_table

from benchmarks import costs, workflows

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

    (row,) = costs.attempt("a step", "ms", broken)
    assert (row.value, row.note, row.met) == (None, "no worker", False)
    assert as_data([row])[0]["met"] is False


def test_the_measured_workflows_are_right_as_plain_calls():
    assert workflows.one() == 1
    assert workflows.chain(5) == 5
    assert workflows.loop(4) == 1 + 2 + 3 + 4
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
