"""Take times, hold results, print them as one table."""

from __future__ import annotations

import os
import platform
import resource
import sqlite3
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: what was measured. ``unit``: of ``value`` and ``floor``.
        floor: the cost that nobody can avoid, taken in this same run; None where there is none.
        aim: largest ``value``, or largest ratio to the floor where there is one; None for a floor itself.
        spread: smallest and largest of the repeated values.
        note: how it was taken, or why it could not be.
    """

    name: str
    value: float | None
    unit: str
    floor: float | None = None
    aim: float | None = None
    spread: tuple[float, float] | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """How many floors it costs."""
        return self.value / self.floor if self.value is not None and self.floor else None

    @property
    def met(self) -> bool | None:
        """Whether the aim is met; None where there is none. What could not be measured met nothing."""
        if self.value is None:
            return False
        if self.aim is None:
            return None
        return (self.value if self.ratio is None else self.ratio) <= self.aim


def repeat(take: Callable[[], float], times: int) -> list[float]:
    """Return ``times`` values of ``take``, after one that does not count."""
    take()
    return [take() for _ in range(times)]


def least(name: str, unit: str, values: list[float], **rest: Any) -> Row:
    """Return a row with the smallest value: for whole processes, to which other work can only add."""
    return Row(name, min(values), unit, spread=(min(values), max(values)), **rest)


def middle(name: str, unit: str, values: list[float], **rest: Any) -> Row:
    """Return a row with the median: for costs of many small things, such as a commit."""
    return Row(name, statistics.median(values), unit, spread=(min(values), max(values)), **rest)


def wall_ms(command: list[str], cwd: Path | None = None, **variables: str) -> float:
    """Return how long a process takes from its start to its end [ms]."""
    begin = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, cwd=cwd, env=environment(**variables))
    return 1000 * (time.perf_counter() - begin)


def cpu_ms(command: list[str]) -> float:
    """Return user and system time of a process and its children [ms]."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment())
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def environment(**more: str) -> dict[str, str]:
    """Return the environment with byte code allowed: without it every start is several times slower."""
    return {**{key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}, **more}


def machine() -> dict[str, Any]:
    """Return what the numbers were taken on, and how busy it was."""
    return {
        "cores": os.cpu_count(),
        "load_1m": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "system": f"{platform.system()} {platform.machine()}",
    }


def as_table(rows: list[Row]) -> str:
    """Return the rows as a Markdown table that also reads well in a terminal."""
    head = ("what", "measured", "floor", "ratio", "aim", "", "how")
    lines = [head, *(_cells(row) for row in rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(head))]
    text = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in lines
    ]
    text.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(text)


def as_data(rows: list[Row]) -> list[dict[str, Any]]:
    """Return the rows as plain data."""
    return [{**asdict(row), "ratio": row.ratio, "met": row.met} for row in rows]


def _cells(row: Row) -> tuple[str, ...]:
    verdict = "failed" if row.value is None else {None: "", True: "met", False: "missed"}[row.met]
    aim = "" if row.aim is None else f"{row.aim:g} {'x' if row.floor is not None else row.unit}"
    return (
        row.name,
        _number(row.value, row.unit),
        _number(row.floor, row.unit),
        "" if row.ratio is None else f"{row.ratio:.2f} x",
        aim,
        verdict,
        row.note,
    )


def _number(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:.4g} {unit}"
