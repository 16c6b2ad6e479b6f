"""Compiling takes time in proportion to the size of the program, also where everything shares objects."""

from __future__ import annotations

import time
from pathlib import Path

from weft.lang.compiler import compile_workflow

from ..law.loading import module_from

HEAD = """
from weft import step, workflow

@step
def inc(n):
    return n + 1

def unknown(*args):
    yield args

@workflow
def part(rows, table, n):
    for row in rows:
        row.append(inc(n))
    table[n] = [inc(k) for k in range(n) if unknown(rows, k)]
    try:
        rows.append(unknown(table, n))
        n = inc(len(rows))
    except ValueError as error:
        table["error"] = error
    if inc(n) > 3:
        return table.setdefault(n, rows)
    return rows[1:]

"""


def program_text(parts: int) -> str:
    """A workflow that inlines so many workflows, all of which change the same objects."""
    lines = [f"    rows = part(rows, table, {number})" for number in range(parts)]
    return "\n".join([HEAD, "@workflow", "def main(rows, table):", *lines, "    return rows, table", ""])


def seconds_to_compile(parts: int, folder: Path) -> tuple[float, int]:
    """Return the least time of three, in seconds of this process, and the number of nodes."""
    with module_from(program_text(parts), folder) as module:
        times = []
        for _ in range(3):
            started = time.process_time()
            count = compile_workflow(module.main).program.node_count
            times.append(time.process_time() - started)
    return min(times), count


def test_eight_times_the_program_takes_about_eight_times_as_long(tmp_path: Path) -> None:
    small, small_count = seconds_to_compile(5, tmp_path)
    large, large_count = seconds_to_compile(40, tmp_path)
    assert large_count > 7 * small_count
    assert large / small < 3 * large_count / small_count
