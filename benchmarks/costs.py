"""What Weft costs, each cost beside the floor that it is compared with.

State: each measurement has a home of its own in the folder that it is given.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .floors import ARRAY_BYTES
from .measure import Row, cpu_ms, environment, least, repeat, wall_ms

ROOT = Path(__file__).resolve().parents[1]
CHAIN = 500
LOOP = 10_000
AGAIN = 3


def import_weft() -> Row:
    """CPU of ``import weft`` beyond that of a bare interpreter [ms]."""
    bare = min(repeat(lambda: cpu_ms([sys.executable, "-c", "pass"]), 12))
    values = repeat(lambda: cpu_ms([sys.executable, "-c", "import weft"]) - bare, 12)
    return least("import weft, CPU", "ms", values, aim=60, note="least of 12")


def cold_start(folder: Path, floor: Row) -> Row:
    """``weft run`` of one step, in a process of its own, to its end [ms]."""
    command = [str(Path(sys.executable).with_name("weft")), "run", "benchmarks/smallest.py"]
    home = str(new_home(folder))
    values = repeat(lambda: wall_ms(command, cwd=ROOT, WEFT_HOME=home), 7)
    return least("weft run of one step", "ms", values, floor=floor.value, aim=10, note="least of 7")


def chain_step(folder: Path, floor_ms: float) -> Row:
    """One step of a chain of 500 [ms]; the run's own start and end are taken off."""
    values = _per_item(new_home(folder), "chain", CHAIN)
    note = f"floor: two commits and a pipe round trip; chain of {CHAIN}, least of {AGAIN}"
    return _difference("a step in a chain", values, floor=floor_ms, aim=1.5, note=note)


def loop_task(folder: Path) -> list[Row]:
    """One task of a parallel loop of 10,000 with a join [ms], and the memory of the process that drives it."""
    home = new_home(folder)
    values = _per_item(home, "loop", LOOP)
    small, large = (drive(home, "loop", 1, count)["peak_kib"] / 1024 for count in (1, LOOP))
    return [
        least(
            "a task in a loop", "ms", values, aim=0.2, note=f"loop of {LOOP:,} and a join, least of {AGAIN}"
        ),
        Row("the driver's memory, one task", small, "MiB", note="peak"),
        Row(f"the driver's memory, {LOOP:,} tasks", large, "MiB", note="peak"),
    ]


def array_hand_over(folder: Path, write_floor: Row, hash_floor: Row) -> list[Row]:
    """256 MiB from step to step [ms], once with new content and once with content that is stored already."""
    home = new_home(folder)
    # In pairs: the first run of a process starts the workers, the second finds them, and the content, there.
    idle = [drive(home, "hand_over", 2, 8, seed)["seconds"] for seed in range(AGAIN)]
    pairs = [drive(home, "hand_over", 2, ARRAY_BYTES, seed) for seed in range(1, AGAIN + 1)]
    new, again = ([_own_ms(pair, idle, place) for pair in pairs] for place in (0, 1))
    note = f"the user's time and an empty run's taken off, least of {AGAIN}"
    return [
        _difference("256 MiB from step to step", new, floor=write_floor.value, aim=1.5, note=note),
        _difference("the same 256 MiB again", again, floor=hash_floor.value, note=f"floor: one hash; {note}"),
    ]


def new_home(folder: Path) -> Path:
    """Return a fresh WEFT_HOME."""
    return Path(tempfile.mkdtemp(prefix="home-", dir=folder))


def drive(home: Path, workflow: str, times: int, *arguments: int) -> dict[str, Any]:
    """Run a workflow some times in a process of its own and return what that says about itself."""
    command = [sys.executable, "-m", "benchmarks.drive", workflow, str(times), *map(str, arguments)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment(WEFT_HOME=str(home)),
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    if done.returncode:
        raise RuntimeError(f"{workflow}{arguments} ended with {done.returncode}: {_last_line(done.stderr)}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def attempt(name: str, unit: str, measure: Callable[[], Row | list[Row]]) -> list[Row]:
    """Return the rows of ``measure``, or one that says why there are none."""
    try:
        rows = measure()
    except (RuntimeError, OSError, subprocess.SubprocessError, ValueError) as error:
        return [Row(name, None, unit, note=str(error))]
    return rows if isinstance(rows, list) else [rows]


def _per_item(home: Path, workflow: str, count: int) -> list[float]:
    """Return what one of ``count`` items costs [ms], a run of one item taken off, for each of some runs."""
    base = min(drive(home, workflow, AGAIN + 1, 1)["seconds"])
    runs = drive(home, workflow, AGAIN, count)["seconds"]
    return [1000 * (seconds - base) / (count - 1) for seconds in runs]


def _own_ms(pair: dict[str, Any], idle: list[list[float]], place: int) -> float:
    """Return what run ``place`` of a pair cost beyond the user's own time and an empty run at that place [ms]."""
    _sum, user_seconds = pair["results"][place]
    return float(1000 * (pair["seconds"][place] - user_seconds - min(one[place] for one in idle)))


def _difference(name: str, values: list[float], *, note: str, **rest: float | None) -> Row:
    """Return a row for differences of times [ms], if they are any: noise may be larger than the cost."""
    if min(values) <= 0:
        shown = ", ".join(f"{one:.3g}" for one in values)
        return Row(name, None, "ms", note=f"drowned in noise ({shown} ms): take it on an idle machine")
    return least(name, "ms", values, note=note, **rest)


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no message"])[-1]
