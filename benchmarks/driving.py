"""Homes, runs in processes of their own, and what is made of their times: what the measurements share.

State: none; each measurement has a home of its own in the folder that it is given.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from .measure import Row, environment, least, repeat, wall_ms

ROOT = Path(__file__).resolve().parents[1]
AGAIN = 3
_TIMEOUT_S = 3600


def new_home(folder: Path) -> Path:
    """Return a fresh WEFT_HOME."""
    return Path(tempfile.mkdtemp(prefix="home-", dir=folder))


def drive(home: Path, workflow: str, times: int, *arguments: int, reuse: bool = False) -> dict[str, Any]:
    """Run a workflow some times in a process of its own and return what that says about itself.

    Args:
        reuse: each run takes over what still holds of the one before.
    """
    command = [sys.executable, "-m", "benchmarks.drive", *(["--reuse"] if reuse else [])]
    done = subprocess.run(
        [*command, workflow, str(times), *map(str, arguments)],
        cwd=ROOT,
        env=environment(WEFT_HOME=str(home)),
        capture_output=True,
        text=True,
        check=False,
        timeout=_TIMEOUT_S,
    )
    if done.returncode:
        raise RuntimeError(f"{workflow}{arguments} ended with {done.returncode}: {_last_line(done.stderr)}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def command_ms(home: Path, *words: str, times: int = 7) -> list[float]:
    """Return how long ``weft`` with these words takes in a home, from start to end, several times [ms]."""
    command = [str(Path(sys.executable).with_name("weft")), *words]
    return repeat(lambda: wall_ms(command, cwd=ROOT, WEFT_HOME=str(home)), times)


def database_bytes(home: Path) -> int:
    """Return what the database of a home takes on the disk, its log emptied into it."""
    with closing(sqlite3.connect(home / "weft.db")) as database:
        database.execute("pragma wal_checkpoint(truncate)")
    return sum(file.stat().st_size for file in home.glob("weft.db*"))


def attempt(name: str, unit: str, measure: Callable[[], Row | list[Row]]) -> list[Row]:
    """Return the rows of ``measure``, or one that says why there are none."""
    try:
        rows = measure()
    except (RuntimeError, OSError, subprocess.SubprocessError, ValueError) as error:
        return [Row(name, None, unit, note=str(error))]
    return rows if isinstance(rows, list) else [rows]


def difference(name: str, values: list[float], *, note: str, **rest: float | None) -> Row:
    """Return a row for differences of times [ms], if they are any: noise may be larger than the cost."""
    if min(values) <= 0:
        shown = ", ".join(f"{one:.3g}" for one in values)
        return Row(name, None, "ms", note=f"drowned in noise ({shown} ms): take it on an idle machine")
    return least(name, "ms", values, note=note, **rest)


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no message"])[-1]
