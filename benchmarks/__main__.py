"""Measure, print one table, and write it as JSON beside it. Exit 1 if something could not be measured."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from . import arrays, chains, driving, floors, history, items, loops, startup
from .measure import Row, as_data, as_table, machine

RESULTS = Path(__file__).with_name("results.json")
Measure = Callable[[], Row | list[Row]]
GROUPS = ("startup", "chain", "reuse", "loop", "items", "array", "history")
LONG = "million"


def main() -> int:
    """Return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--folder", type=Path, help="where to write; default: build/ of this checkout, a real disk"
    )
    parser.add_argument("--json", type=Path, help=f"where the results go as JSON; of all: {RESULTS.name}")
    parser.add_argument("--floors", action="store_true", help="the floors only")
    parser.add_argument(
        "--only", action="append", choices=[*GROUPS, LONG], help="these only; may be repeated"
    )
    parser.add_argument("--long", action="store_true", help="also a million tasks, and 100,000 runs")
    parser.add_argument("--strict", action="store_true", help="exit 1 also where an aim is missed")
    given = parser.parse_args()
    parent = given.folder or driving.ROOT / "build"
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=parent))
    wanted = [] if given.floors else given.only or [*GROUPS, *([LONG] if given.long else [])]
    before = machine()
    try:
        rows = measure(folder, wanted, history_runs=100_000 if given.long else 10_000)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    about = {
        **before,
        "load_1m_after": machine()["load_1m"],
        "taken": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    print(", ".join(f"{key} {value}" for key, value in about.items()), end="\n\n")
    print(as_table(rows))
    # A part of the table does not replace the whole one.
    target = given.json or (None if given.only else RESULTS)
    if target is not None:
        target.write_text(json.dumps({"about": about, "rows": as_data(rows)}, indent=2) + "\n")
        print(f"\n{target}")
    return int(any(row.value is None or (given.strict and row.met is False) for row in rows))


def measure(folder: Path, wanted: list[str], *, history_runs: int) -> list[Row]:
    """Take the floors, then the groups that are wanted beside them."""
    interpreter, pipe = floors.interpreter(), floors.pipe_round_trip()
    normal, full = floors.commit(folder, "NORMAL"), floors.commit(folder, "FULL")
    rows = [interpreter, pipe, normal, full, floors.array_to_disk_and_back(folder), floors.hash_only()]
    chain_floor = 2 * (normal.value or 0) + (pipe.value or 0)
    table: dict[str, list[tuple[str, str, Measure]]] = {
        "startup": [
            ("import weft, CPU", "ms", startup.import_weft),
            ("weft run of one step", "ms", lambda: startup.cold_start(folder, interpreter)),
        ],
        "chain": [("a step in a chain", "ms", lambda: chains.chain_step(folder, chain_floor))],
        "reuse": [("reuse of a run", "ms", lambda: chains.reused_run(folder))],
        "loop": [("a task in a loop", "ms", lambda: loops.large_loop(folder))],
        "items": [("read for a loop", "MiB", lambda: items.bytes_read(folder))],
        "array": [("256 MiB from step to step", "ms", lambda: arrays.hand_over(folder))],
        "history": [("a history of runs", "ms", lambda: history.look(folder, history_runs))],
        LONG: [("a million tasks", "ms", lambda: loops.million_loop(folder))],
    }
    for group in wanted:
        for name, unit, take in table[group]:
            rows += driving.attempt(name, unit, take)
    return rows


if __name__ == "__main__":
    sys.exit(main())
