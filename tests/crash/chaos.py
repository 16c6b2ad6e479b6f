"""Blows at random against real processes: SIGKILL and SIGSTOP of drivers, workers and nurseries, and what must hold.

A *world* is one database with several places for drivers. Each place starts new runs, or resumes those that others
have left behind; most drivers are struck once.
"""

from __future__ import annotations

import importlib.util
import json
import os
import random
import re
import shutil
import signal
import subprocess
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from tests.crash.matrix import ENDED_WITHIN_S, HERE, load, zygote

from weft.client.home import Home
from weft.client.run import Run
from weft.client.upkeep.verifying import verify_run
from weft.executors.processes import children
from weft.model.journal import Seal
from weft.model.states import RUN_FINAL
from weft.settings import read_settings
from weft.store.engine import DatabaseUnreachable

LEASE_MS = 1000
DRAINED_WITHIN_S = 300.0
SETTINGS = """
[tool.weft]
lease_ms = {lease_ms}
heartbeat_ms = 200
losses_max = 1000
slots = 2
"""
_CLAIMED = re.compile(r"claim (\d+) by process (\d+) on ")
_ALLOWED = (0, 2)  # ended; refused, or fenced, with a message


class Blow(NamedTuple):
    """What is done to a driver's processes once.

    Attributes:
        kind: ``kill``; ``freeze``, and thaw again; ``orphan``, which kills the driver while its nursery is frozen.
        victim: ``driver``, ``worker``, ``nursery`` or ``both``, driver and worker.
        point: a named point of the shipped code, or "" for a moment that ``delay_s`` after its start names.
        nth: at which time that the point is reached.
        frozen_s: how long what is frozen stays so; often longer than the lease.
    """

    kind: str
    victim: str
    point: str
    nth: int
    delay_s: float
    frozen_s: float


def draw(dice: random.Random) -> Blow:
    """Return a blow: half of them at named points, half at random moments."""
    frozen_s = dice.choice((0.1, 0.3, 1.4, 1.8))
    delay_s = dice.uniform(0.0, 0.9)
    if dice.random() < 0.5:
        kind, victim = dice.choice(
            (
                ("kill", "driver"),
                ("kill", "worker"),
                ("kill", "nursery"),
                ("kill", "both"),
                ("freeze", "driver"),
                ("freeze", "worker"),
                ("freeze", "nursery"),
                ("orphan", "driver"),
            )
        )
        return Blow(kind, victim, "", 1, delay_s, frozen_s)
    killing = load("killing")
    point = dice.choice([point for point in killing.POINTS if not point.startswith("checkpoint")])
    victim = dice.choice(("driver", "driver", "worker", "both"))
    if point.startswith(("accept", "claim")):
        victim = "driver"  # before anything was sent there is no worker
    return Blow(dice.choice(("kill", "freeze")), victim, point, dice.choice((1, 1, 2, 3)), delay_s, frozen_s)


class World:
    """One database, its runs, and the counts.

    Args:
        wanted: how many blows are to land. ``shapes``: of which workflows; (): of all.
        draw: says which; None: none for this driver.
        view: the database as this process reaches it, if not at the address that drivers have.

    State: ``hits``; ``homes``, the harness's own view of the database; whether a blow is still to be dealt.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        database: str,
        wanted: int,
        draw: Callable[[random.Random], Blow | None] = draw,
        view: str = "",
        lease_ms: int = LEASE_MS,
        shapes: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.draw = draw
        self.shapes = shapes or tuple(shape.name for shape in load("chaos_flows").SHAPES)
        self.folder = folder
        self.wanted = wanted
        self.hits: Counter[tuple[str, str, str]] = Counter()
        self.problems: list[BaseException] = []
        self.fenced = 0
        self._lock = threading.Lock()
        self._numbers = iter(range(1_000_000))
        shutil.copy(HERE / "chaos_flows.py", folder / "busy.py")
        address = f'database = "{database}"\n' if database else ""
        (folder / "weft.toml").write_text(SETTINGS.format(lease_ms=lease_ms) + address)
        self.environment = {"WEFT_HOME": str(folder / "home"), "CRASH_LEDGER": str(folder / "ledger")}
        settings = read_settings(folder, self.environment)
        self.home = Home(msgspec.structs.replace(settings, database=view or settings.database))
        self.home.database  # noqa: B018 - made before anybody else comes

    def next_number(self) -> int:
        with self._lock:
            return next(self._numbers)

    @property
    def is_struck_enough(self) -> bool:
        return sum(self.hits.values()) >= self.wanted

    def landed(self, blow: Blow) -> None:
        with self._lock:
            self.hits[blow.kind, blow.victim, blow.point] += 1

    def unended(self) -> list[str]:
        """Return the runs that have no outcome."""
        with self._lock:
            return [run.id for run in self._runs() if run.record.state not in RUN_FINAL]

    def abandoned(self) -> list[str]:
        """Return the runs that have no outcome and that nobody drives; none while the database is out of reach."""
        with self._lock, suppress(DatabaseUnreachable):
            return [run.id for run in self.home.list_runs(state="interrupted", limit=20)]
        return []

    def _runs(self) -> list[Run[Any]]:
        return self.home.list_runs(limit=100_000)

    # -- what must hold ---------------------------------------------------------------------------------

    def check(self) -> int:
        """All runs ended as unbroken ones do, and the ledger shows nothing twice and nothing lost; return how many."""
        plain = _plain_module(self.folder)
        ledger = self._ledger()
        runs = self._runs()
        assert set(ledger) <= {run.id for run in runs}, "a run is lost that steps ran for"
        for run in runs:
            assert run.state == "succeeded", (run, run.failure)
            arguments = {name: int(text) for name, text in json.loads(run.record.params).items()}
            assert run.result() == getattr(plain, run.workflow)(**arguments), run
            assert verify_run(self.home, run).problems == []
            self._check_effects(run.id, ledger[run.id])
        return len(runs)

    def _ledger(self) -> defaultdict[str, list[tuple[str, int, int]]]:
        """Return the lines of each run: task, attempt, driver."""
        found: defaultdict[str, list[tuple[str, int, int]]] = defaultdict(list)
        for line in (self.folder / "ledger").read_text().splitlines():
            kind, run, task, attempt, driver = line.split("\t")
            assert kind == "ran", f"two were under a limit of one slot: {line}"
            found[run].append((task, int(attempt), int(driver)))
        return found

    def _check_effects(self, run: str, lines: list[tuple[str, int, int]]) -> None:
        twice = [line for line, count in Counter(lines).items() if count > 1]
        assert twice == [], f"run {run}: launched twice under one fence: {twice}"
        fences, ended_under = self._fences(run)
        ran = defaultdict(list)
        for task, attempt, driver in lines:
            assert driver in fences, f"run {run}: process {driver} ran {task} without a claim"
            ran[task].append((fences[driver], attempt))
        page = self.home.database.tasks.list_tasks(run, limit=1000)
        assert page.cursor is None
        for task in page.tasks:
            if task.kind != "call" or task.state == "reused":
                continue  # reused: this run continues one that had ended by the time that it was to be resumed
            final = (ended_under[task.node, tuple(task.index)], task.attempt)
            assert final in ran[task.path], f"run {run}: {task.path} was recorded as {final} and never ran"
            later = [launch for launch in ran.pop(task.path) if launch > final]
            assert later == [], f"run {run}: {task.path} had ended under {final} and ran again: {later}"
        assert not ran, f"run {run}: ran and is not on record: {dict(ran)}"

    def _fences(self, run: str) -> tuple[dict[int, int], dict[tuple[int, tuple[int, ...]], int]]:
        """Return the fence of each driver, and under which fence each task ended, as the journal says."""
        fences: dict[int, int] = {}
        ended = {}
        fence = 0
        for entry in self.home.database.journal.entries(run):
            if entry.kind == "run.claimed":
                claimed = _CLAIMED.match(entry.cause)
                assert claimed is not None
                fence = int(claimed[1])
                fences[int(claimed[2])] = fence
            elif entry.kind == "task.ended":
                for node, index in msgspec.msgpack.decode(entry.body, type=Seal).rows:
                    assert (node, index) not in ended, f"run {run}: {entry.subject} ended twice"
                    ended[node, index] = fence
        return fences, ended


def _plain_module(folder: Path) -> Any:
    spec = importlib.util.spec_from_file_location("busy_plain", folder / "busy.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Place(threading.Thread):
    """One place for a driver: starts one after the other, and strikes it."""

    def __init__(self, world: World, warm: subprocess.Popen[str], seed: int) -> None:
        super().__init__(name=f"{world.name}, place {seed}", daemon=True)
        self.world = world
        self.warm = warm
        self.dice = random.Random(seed)
        self._strikers: list[threading.Thread] = []

    def run(self) -> None:
        try:
            self._live()
        except BaseException as error:  # noqa: BLE001 - handed to the test's own thread
            self.world.problems.append(error)
        finally:
            for striker in self._strikers:
                striker.join()

    def _live(self) -> None:
        world = self.world
        while not world.problems:
            is_enough = world.is_struck_enough
            waiting = world.abandoned()
            if waiting and (is_enough or self.dice.random() < 0.8):
                words = ["resume", self.dice.choice(waiting), "-q"]
            elif not is_enough:
                shape = self.dice.choice(world.shapes)
                words = ["run", f"busy.py:{shape}", f"n={self.dice.randrange(1, 9)}", "-q"]
            elif world.unended():
                time.sleep(0.05)  # somebody else is at it, or a lease has to run out
                continue
            else:
                return
            self._drive(words, None if is_enough or self.dice.random() < 0.1 else world.draw(self.dice))

    def _drive(self, words: list[str], blow: Blow | None) -> None:
        number = self.world.next_number()
        mark = self.world.folder / f"mark-{number}"
        output = f"output-{number}.txt"
        kill = None
        if blow is not None and blow.point:
            how = signal.SIGKILL if blow.kind == "kill" else signal.SIGSTOP
            kill = (blow.point, blow.victim, blow.nth, str(mark), int(how))
        driver = self._start(words, output, kill)
        ended = threading.Event()
        if blow is not None:
            striker = threading.Thread(target=self._strike, args=(blow, driver, mark, ended), daemon=True)
            striker.start()
            self._strikers.append(striker)
        assert self.warm.stdout is not None
        status = int(self.warm.stdout.readline())
        ended.set()
        self._judge(words, status, self.world.folder / output)

    def _start(self, words: list[str], output: str, kill: tuple[object, ...] | None) -> int:
        order = {
            "words": words,
            "folder": str(self.world.folder),
            "output": output,
            "environment": self.world.environment,
            "kill": kill,
        }
        assert self.warm.stdin is not None
        assert self.warm.stdout is not None
        self.warm.stdin.write(json.dumps(order) + "\n")
        self.warm.stdin.flush()
        return int(self.warm.stdout.readline())

    def _judge(self, words: list[str], status: int, output: Path) -> None:
        if os.WIFSIGNALED(status):
            assert os.WTERMSIG(status) == signal.SIGKILL, (words, status)
            return
        said = output.read_text()
        assert os.WEXITSTATUS(status) in _ALLOWED, (words, status, said)
        if os.WEXITSTATUS(status):
            time.sleep(0.1)
        if "no longer the current one" in said:
            with self.world._lock:
                self.world.fenced += 1

    # -- in a thread of its own: a blow -----------------------------------------------------------------

    def _strike(self, blow: Blow, driver: int, mark: Path, ended: threading.Event) -> None:
        if blow.point:
            while not mark.exists() and not ended.wait(0.02):
                pass
            if not mark.exists():
                return
            self.world.landed(blow)
            if blow.kind == "freeze":
                time.sleep(blow.frozen_s)
                # A mark without ids: it was written when the process was struck dead by another hand.
                for pid in mark.read_text().split():
                    _send(int(pid), signal.SIGCONT, self.world.folder)
            return
        if ended.wait(blow.delay_s):
            return
        victims = _victims(blow.victim, driver)
        if not victims:
            return
        if blow.kind == "orphan":
            self._orphan(blow, driver)
            return
        how = signal.SIGKILL if blow.kind == "kill" else signal.SIGSTOP
        if not [pid for pid in victims if _send(pid, how, self.world.folder)]:
            return
        self.world.landed(blow)
        if blow.kind == "freeze":
            time.sleep(blow.frozen_s)
            for pid in victims:
                _send(pid, signal.SIGCONT, self.world.folder)

    def _orphan(self, blow: Blow, driver: int) -> None:
        nurseries = children(driver)
        frozen = [pid for pid in nurseries if _send(pid, signal.SIGSTOP, self.world.folder)]
        if _send(driver, signal.SIGKILL, self.world.folder):
            self.world.landed(blow)
        time.sleep(blow.frozen_s)
        for pid in frozen:
            _send(pid, signal.SIGCONT, self.world.folder)


def _victims(victim: str, driver: int) -> list[int]:
    nurseries = children(driver)
    workers = [worker for nursery in nurseries for worker in children(nursery)][:1]
    if victim == "both":
        return [*workers, driver] if workers else []
    return {"driver": [driver], "nursery": nurseries[:1], "worker": workers}[victim]


def _send(pid: int, number: int, folder: Path) -> bool:
    """Send a signal to a process of this world, and to no other that has come by its id; return whether it was."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        if os.readlink(f"/proc/{pid}/cwd") != str(folder):
            return False
        signal.pidfd_send_signal(handle, number)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True


@contextmanager
def _thawing(folder: Path) -> Iterator[None]:
    """Leave no process of this world frozen, or behind, whatever happens."""
    try:
        yield
    finally:
        deadline = time.monotonic() + ENDED_WITHIN_S
        while left := _processes_in(folder):
            assert time.monotonic() < deadline, f"processes are still there: {left}"
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
            time.sleep(0.02)


def _processes_in(folder: Path) -> list[int]:
    found = []
    for pid in os.listdir("/proc"):
        with suppress(OSError):
            if pid.isdigit() and os.readlink(f"/proc/{pid}/cwd") == str(folder):
                found.append(int(pid))
    return found


def storm(world: World, places: int, seed: int, sabotage: str = "") -> int:
    """Strike ``world`` until all its blows have landed and all its runs have ended; return how many runs it had.

    Raises:
        AssertionError: something that must hold does not.
    """
    with ExitStack() as stack:
        stack.enter_context(_thawing(world.folder))
        threads = [
            Place(world, stack.enter_context(zygote(sabotage)), seed * 100 + number)
            for number in range(places)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if world.problems:
        raise world.problems[0]
    try:
        return world.check()
    except BaseException as error:
        error.add_note(report([world]))
        raise


def report(worlds: list[World]) -> str:
    """Return the counts by kind, victim and point."""
    names = [world.name for world in worlds]
    keys = sorted({key for world in worlds for key in world.hits}, key=lambda key: (bool(key[2]), key))
    lines = [f"{'blow':<65}" + "".join(f"{name:>14}" for name in names)]
    for key in keys:
        kind, victim, point = key
        title = f"{kind} {victim}" + (f" at {point}" if point else ", any moment")
        lines.append(f"{title:<65}" + "".join(f"{world.hits[key]:>14}" for world in worlds))
    sums = [sum(world.hits.values()) for world in worlds]
    lines.append(f"{'all':<65}" + "".join(f"{count:>14}" for count in sums) + f"{sum(sums):>14}")
    lines.append(f"{'drivers that found themselves fenced':<65}" + "".join(f"{w.fenced:>14}" for w in worlds))
    return "\n".join(lines)
