"""A parallel loop of tasks that do nothing, and a join: time, memory, size of the database."""

from __future__ import annotations

from pathlib import Path

from .driving import command_ms, database_bytes, drive, new_home
from .measure import Row, least

SMALL = 10_000
LARGE = 100_000
MILLION = 1_000_000


def large_loop(folder: Path) -> list[Row]:
    """A loop of 100,000 tasks, and what it needs more than one of 10,000."""
    home = new_home(folder)
    drive(home, "one", 1)
    before = database_bytes(home)
    said = drive(home, "loop", 1, LARGE)
    size = database_bytes(home) - before
    small = drive(home, "loop", 1, SMALL)["peak_kib"] / 1024
    note = "logs, journal, retries and reuse at their defaults"
    return [
        Row(
            f"a task of {LARGE:,}",
            1000 * said["seconds"][0] / LARGE,
            "ms",
            aim=0.1,
            note=f"whole run; {note}",
        ),
        Row(
            f"memory for {LARGE:,} tasks",
            said["peak_kib"] / 1024,
            "MiB",
            small,
            1.1,
            note="floor: for 10,000",
        ),
        Row(f"database, one of {LARGE:,} tasks", size / LARGE, "B", aim=400, note="all included"),
    ]


def million_loop(folder: Path) -> list[Row]:
    """A loop of 1,000,000 tasks, and how long it then takes to look at the run."""
    home = new_home(folder)
    drive(home, "one", 1)
    before = database_bytes(home)
    said = drive(home, "loop", 1, MILLION)
    name = f"{MILLION:,} tasks"
    return [
        Row(f"a task of {MILLION:,}", 1000 * said["seconds"][0] / MILLION, "ms", note="whole run, once"),
        Row(f"memory for {name}", said["peak_kib"] / 1024, "MiB", aim=500, note="the driver's peak"),
        Row(
            f"database, one of {name}",
            (database_bytes(home) - before) / MILLION,
            "B",
            aim=400,
            note="all included",
        ),
        least(f"weft show, {name}", "ms", command_ms(home, "show"), aim=250, note="least of 7"),
        least(f"weft ls, {name}", "ms", command_ms(home, "ls"), aim=250, note="least of 7"),
    ]
