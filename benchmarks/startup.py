"""From the shell to the end: ``import weft``, and ``weft run`` of one step."""

from __future__ import annotations

import sys
from pathlib import Path

from .driving import command_ms, new_home
from .measure import Row, cpu_ms, least, repeat


def import_weft() -> Row:
    """CPU of ``import weft`` beyond that of a bare interpreter [ms]."""
    bare = min(repeat(lambda: cpu_ms([sys.executable, "-c", "pass"]), 12))
    values = repeat(lambda: cpu_ms([sys.executable, "-c", "import weft"]) - bare, 12)
    return least("import weft, CPU", "ms", values, aim=60, note="least of 12")


def cold_start(folder: Path, floor: Row) -> Row:
    """``weft run`` of one step, in a process of its own, to its end [ms]."""
    values = command_ms(new_home(folder), "run", "benchmarks/smallest.py")
    return least("weft run of one step", "ms", values, floor=floor.value, aim=8, note="least of 7")
