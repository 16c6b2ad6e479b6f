"""Measure everything, print one table, and write it as JSON beside it. Exit 1 if an aim is missed."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from . import costs, floors
from .measure import Row, as_data, as_table, machine

RESULTS = Path(__file__).with_name("results.json")


def main() -> int:
    """Return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--folder", type=Path, help="where to write; default: build/ of this checkout, a real disk"
    )
    parser.add_argument("--json", type=Path, default=RESULTS, help="where the results go as JSON")
    parser.add_argument("--floors", action="store_true", help="the floors only")
    given = parser.parse_args()
    parent = given.folder or costs.ROOT / "build"
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=parent))
    before = machine()
    try:
        rows = measure(folder, floors_only=given.floors)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    about = {
        **before,
        "load_1m_after": machine()["load_1m"],
        "taken": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    print(", ".join(f"{key} {value}" for key, value in about.items()), end="\n\n")
    print(as_table(rows))
    given.json.write_text(json.dumps({"about": about, "rows": as_data(rows)}, indent=2) + "\n")
    print(f"\n{given.json}")
    return int(any(row.met is False for row in rows))


def measure(folder: Path, *, floors_only: bool) -> list[Row]:
    """Take the floors, then the costs beside them."""
    interpreter, pipe = floors.interpreter(), floors.pipe_round_trip()
    normal, full = floors.commit(folder, "NORMAL"), floors.commit(folder, "FULL")
    disk, hashing = floors.array_to_disk_and_back(folder), floors.hash_only()
    rows = [interpreter, pipe, normal, full, disk, hashing]
    if floors_only:
        return rows
    chain_floor = 2 * (normal.value or 0) + (pipe.value or 0)
    rows += costs.attempt("import weft, CPU", "ms", costs.import_weft)
    rows += costs.attempt("weft run of one step", "ms", lambda: costs.cold_start(folder, interpreter))
    rows += costs.attempt("a step in a chain", "ms", lambda: costs.chain_step(folder, chain_floor))
    rows += costs.attempt("a task in a loop", "ms", lambda: costs.loop_task(folder))
    rows += costs.attempt(
        "256 MiB from step to step", "ms", lambda: costs.array_hand_over(folder, disk, hashing)
    )
    return rows


if __name__ == "__main__":
    sys.exit(main())
