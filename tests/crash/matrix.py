"""Runs that are killed again and again at named points, and what must hold after each kill.

``python -m tests.crash.matrix 1000`` from the project's folder does so a thousand times and prints the counts.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

HERE = Path(__file__).parent
SOURCE = HERE.parents[1] / "src"
KILLS_MAX = 6
ENDED_WITHIN_S = 60.0
_DONE = ("succeeded", "failed", "reused")


def load(name: str) -> Any:
    """Return a module of this folder under the name that it has in the processes of the runs."""
    with patch.object(sys, "path", [str(HERE), *sys.path]):
        return importlib.import_module(name)


def _points() -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
    points = load("killing").POINTS
    fits = {
        shape.name: tuple(point for point in points if _can_reach(shape.name, point))
        for shape in load("flows").SHAPES
    }
    return fits, points


def _can_reach(shape: str, point: str) -> bool:
    """Return whether runs of a shape come by a point, so that no start is wasted."""
    if point.startswith("upload"):
        return shape in ("bigs", "training")
    if point.startswith("checkpoint"):
        return shape == "training"
    if point == "commit: after a retry is recorded":
        return shape == "retries"
    return True


@contextmanager
def zygote(sabotage: str = "") -> Iterator[subprocess.Popen[str]]:
    """Start the warm process that all drivers are forked from."""
    environment = {
        **os.environ,
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": os.pathsep.join([str(HERE), str(SOURCE)]),
        "PYTHONWARNINGS": "default",
        **({"CRASH_SABOTAGE": sabotage} if sabotage else {}),
    }
    process = subprocess.Popen(
        [sys.executable, str(HERE / "zygote.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        yield process
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


class Victim:
    """One run in a home of its own. State: what its database held as ended when its driver died last."""

    def __init__(self, warm: subprocess.Popen[str], folder: Path, shape: str, n: int, dice: random.Random):
        self.warm = warm
        self.folder = folder
        self.shape = shape
        self.n = n
        self.dice = dice
        self.environment = {
            "WEFT_HOME": str(folder / "home"),
            "CRASH_EFFECTS": str(folder / "effects"),
        }
        self.kept: dict[tuple[int, bytes], tuple[object, ...]] = {}

    def drive(self, words: list[str], kill: tuple[object, ...] | None) -> int:
        """Run the command line in a fresh process; return its wait status."""
        order = {
            "words": words,
            "folder": str(self.folder),
            "output": "output.txt",
            "environment": self.environment,
            "kill": kill,
        }
        assert self.warm.stdin is not None
        assert self.warm.stdout is not None
        self.warm.stdin.write(json.dumps(order) + "\n")
        self.warm.stdin.flush()
        self.warm.stdout.readline()  # the process's id
        status = int(self.warm.stdout.readline())
        assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) in (0, 1), self.output()
        return status

    def output(self) -> str:
        path = self.folder / "output.txt"
        return path.read_text() if path.exists() else ""

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        """Read the database as it lies there, without the product."""
        path = self.folder / "home" / "weft.db"
        if not path.exists():
            return []
        with closing(sqlite3.connect(path)) as connection:
            try:
                return connection.execute(sql).fetchall()
            except sqlite3.OperationalError as error:
                if "no such table" not in str(error):
                    raise
                return []  # killed before the tables were made

    def ended_tasks(self) -> dict[tuple[int, bytes], tuple[object, ...]]:
        assert len(self.rows("select id from runs")) <= 1
        sql = "select node, idx, path, kind, state, attempt, outcome from tasks"
        return {(row[0], row[1]): row[2:] for row in self.rows(sql) if row[4] in _DONE}  # type: ignore[misc]

    def ran(self) -> list[str]:
        path = self.folder / "effects"
        return [line.partition("\t")[0] for line in path.read_text().splitlines()] if path.exists() else []

    def check_after_kill(self, seen: int, before: dict[tuple[int, bytes], tuple[object, ...]]) -> None:
        """Nothing that had ended changed, and none of it ran again in the life of the driver that died."""
        now = self.ended_tasks()
        for key, row in before.items():
            assert now.get(key) == row, f"{row[0]} had ended and has changed: {row} to {now.get(key)}"
        paths = {str(row[0]) for row in before.values() if row[1] == "call"}
        again = [path for path in self.ran()[seen:] if path in paths]
        assert again == [], f"committed tasks ran again: {again}"


def live_through(victim: Victim, kills: list[tuple[str, str]], hits: Counter[tuple[str, str]]) -> None:
    """Start the run and kill it at each of ``kills`` in turn, resuming in between; then let it end; then compare."""
    words = ["run", str(HERE / f"flows.py:{victim.shape}"), f"n={victim.n}", "-q"]
    for number, (point, who) in enumerate(kills):
        before, seen = victim.ended_tasks(), len(victim.ran())
        mark = victim.folder / f"hit-{number}"
        nth = victim.dice.choice((1, 1, 2, 3, 5))
        status = victim.drive(words, (point, who, nth, str(mark)))
        if mark.exists():
            hits[point, who] += 1
        _await_quiet(victim)
        victim.check_after_kill(seen, before)
        if not os.WIFSIGNALED(status) or _has_ended(victim):
            break  # only workers died, or the point came too late
        assert os.WTERMSIG(status) == signal.SIGKILL
        words = ["resume", "-q"] if victim.rows("select id from runs") else words
    else:
        before, seen = victim.ended_tasks(), len(victim.ran())
        if not _has_ended(victim):
            victim.drive(words, None)
        victim.check_after_kill(seen, before)
    _compare(victim)


def _has_ended(victim: Victim) -> bool:
    return victim.rows("select state from runs") == [("succeeded",)]


def _await_quiet(victim: Victim) -> None:
    """Wait until no process of the run is left: its nursery ends what the driver has left behind."""
    deadline = time.monotonic() + ENDED_WITHIN_S
    mark = f"CRASH_EFFECTS={victim.environment['CRASH_EFFECTS']}".encode()
    while any(_has_mark(pid, mark) for pid in os.listdir("/proc") if pid.isdigit()):
        assert time.monotonic() < deadline, "processes of a dead driver are still there"
        time.sleep(0.005)


def _has_mark(pid: str, mark: bytes) -> bool:
    # The working folder tells too, and of forked processes it is the only one that does.
    try:
        return os.readlink(f"/proc/{pid}/cwd") == mark.partition(b"=")[2].rpartition(b"/")[0].decode()
    except OSError:
        return False


def _compare(victim: Victim) -> None:
    """The run ended as the unbroken one, and its journal and artifacts are whole."""
    import weft.client.home as homes
    from weft.client.upkeep.verifying import verify_run
    from weft.settings import read_settings

    home = homes.Home(read_settings(victim.folder, victim.environment))
    try:
        [run] = home.list_runs()
        assert run.state == "succeeded", (victim.output(), run.failure)
        assert run.result() == expected(victim.shape, victim.n), victim.output()
        assert verify_run(home, run).problems == []
    finally:
        home.database.close()


def expected(shape: str, n: int) -> object:
    """Return what the plain call gives."""
    with (
        tempfile.TemporaryDirectory() as folder,
        patch.dict(os.environ, {"CRASH_EFFECTS": f"{folder}/effects"}),
    ):
        return getattr(load("flows"), shape)(n)


def plan_kills(
    dice: random.Random, hits: Counter[tuple[str, str]], least: int
) -> tuple[str, list[tuple[str, str]]]:
    """Choose a shape and what to kill in its run: first what has been hit the least."""
    fits, points = _points()
    count = Counter[str]()
    for (point, _), number in hits.items():
        count[point] += number
    short = sorted(points, key=lambda point: (count[point], dice.random()))
    shape = dice.choice([name for name, reached in fits.items() if short[0] in reached])
    wanted = [point for point in short if point in fits[shape] and count[point] < least][:KILLS_MAX]
    # The run is accepted once, so a kill there must come first; it ends once, so that comes last.
    wanted.sort(
        key=lambda point: (
            not point.startswith("accept"),
            not point.startswith("claim"),
            point.startswith("end"),
        )
    )
    return shape, [(point, _victim_at(point, dice)) for point in wanted]


def _victim_at(point: str, dice: random.Random) -> str:
    """Choose whom to kill; before anything was sent there is no worker."""
    if point.startswith(("accept", "claim")):
        return "driver"
    return dice.choice(("driver", "driver", "worker", "both"))


def run_matrix(least: int, seed: int, sabotage: str = "") -> Counter[tuple[str, str]]:
    """Kill until each point was hit ``least`` times; return how often each was, by point and victim.

    Args:
        sabotage: a protection to take out, for the proof that the kills test it.
    """
    _, points = _points()
    dice = random.Random(seed)
    hits: Counter[tuple[str, str]] = Counter()
    with zygote(sabotage) as warm, tempfile.TemporaryDirectory(prefix="weft-crash-") as root:
        for number in range(10_000):
            if (
                min(sum(hits[point, who] for who in ("driver", "worker", "both")) for point in points)
                >= least
            ):
                break
            folder = Path(root) / str(number)
            folder.mkdir()
            shape, kills = plan_kills(dice, hits, least)
            try:
                live_through(Victim(warm, folder, shape, dice.randrange(1, 6), dice), kills, hits)
            except AssertionError as error:
                error.add_note(f"seed {seed}, run {number}, shape {shape}, kills {kills}")
                raise
    return hits


def report(hits: Counter[tuple[str, str]]) -> str:
    """Return the counts as a table."""
    _, points = _points()
    lines = [f"{'point':<45}{'driver':>8}{'worker':>8}{'both':>8}{'all':>8}"]
    for point in points:
        counts = [hits[point, who] for who in ("driver", "worker", "both")]
        lines.append(f"{point:<45}" + "".join(f"{count:>8}" for count in (*counts, sum(counts))))
    lines.append(f"{'all':<45}{'':24}{sum(hits.values()):>8}")
    return "\n".join(lines)


if __name__ == "__main__":
    began = time.monotonic()
    cpu = os.times()
    found = run_matrix(
        int(sys.argv[1]) if len(sys.argv) > 1 else 20, int(sys.argv[2]) if len(sys.argv) > 2 else 1
    )
    now = os.times()
    print(report(found))
    print(
        f"{time.monotonic() - began:.0f} s, of a core {now[0] + now[1] + now[2] + now[3] - sum(cpu[:4]):.0f} s"
    )
