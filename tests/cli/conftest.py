"""Doubles of the client: a home with runs in memory, so that commands are tested without a store."""

from __future__ import annotations

import types
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from weft.cli.main import main
from weft.client import door, loading
from weft.client.output import step_of
from weft.client.rerun.planning import StepPlan
from weft.client.rerun.pricing import Price
from weft.client.rerun.resuming import Plan
from weft.client.tasks import NoSuchTask, StepCount
from weft.errors import UserError
from weft.model.progress import LogLine
from weft.model.values import Failure


@dataclass
class FakeTask:
    path: str
    state: str = "succeeded"
    attempts: int = 1
    started_ms: int = 1000
    ended_ms: int = 2500
    executor: str = "local"
    value: Any = None
    lines: tuple[str, ...] = ()
    failure: Failure | None = None

    @property
    def cursor(self) -> str:
        return f"1-{sum(map(ord, self.path)):08x}"

    def result(self) -> Any:
        return self.value


@dataclass
class FakeOutput:
    tasks: list[FakeTask]

    def all(self) -> list[LogLine]:
        return [
            LogLine(step=step_of(task.path), task=task.path, text=text)
            for task in self.tasks
            for text in task.lines
        ]

    def last(self) -> list[LogLine]:
        return []

    def latest(self) -> list[LogLine]:
        return []


@dataclass
class FakeRun:
    id: str = "0hq3t5m2k9ab4cde"
    workflow: str = "delays"
    state: str = "succeeded"
    created_ms: int = 1000
    started_ms: int = 1000
    ended_ms: int = 13_400
    params: dict[str, str] = field(default_factory=lambda: {"months": "[1, 2]"})
    tags: dict[str, str] = field(default_factory=dict)
    resumed_from: str | None = None
    failure: Failure | None = None
    made: list[FakeTask] = field(default_factory=list)
    value: Any = None
    calls: list[str] = field(default_factory=list)
    on_wait: Callable[[FakeRun], None] | None = None

    def tasks(self, *, state: str | None = None, after: str | None = None) -> list[FakeTask]:
        places = [task.cursor for task in self.made]
        made = self.made[places.index(after) + 1 if after else 0 :]
        return [task for task in made if state in (None, task.state)]

    def steps(self) -> list[StepCount]:
        found: dict[str, StepCount] = {}
        for task in self.made:
            name = step_of(task.path)
            step = found.setdefault(name, StepCount(name, looped=name != task.path, started_ms=1000))
            step.states[task.state] = step.states.get(task.state, 0) + 1
            step.attempts += task.attempts
            step.ended_ms = max(step.ended_ms, task.ended_ms)
        return list(found.values())

    @property
    def is_over(self) -> bool:
        return True

    def output(self, is_wanted: Callable[[str], bool] = lambda path: True) -> FakeOutput:
        return FakeOutput([task for task in self.made if is_wanted(task.path)])

    def task(self, path: str) -> FakeTask:
        for task in self.made:
            if task.path == path:
                return task
        raise NoSuchTask(self.id, path)

    def result(self) -> Any:
        return self.value

    def wait(self, timeout: float | None = None) -> None:
        if self.on_wait:
            self.on_wait(self)

    def cancel(self) -> None:
        self.calls.append("cancel")
        self.state = "cancelling"

    def stop(self, now: bool = False) -> None:
        self.calls.append("stop now" if now else "stop")


class NoSuchRun(UserError):
    code = "no-such-run"


def plan_of(*changes: str) -> Plan:
    """Return a plan in which ``changes`` differ."""
    steps = [StepPlan("load", 3, took_ms=100), StepPlan("train", 1, runs=1, verdict="runs", was=["1 failed"])]
    price = Price(2, least_ms=500, most_ms=500, saved_ms=300)
    return Plan("0hq3t5m2k9ab4cde", "delays", "failed", False, "current", list(changes), [], steps, price)


@dataclass
class Report:
    problems: list[str] = field(default_factory=list)
    entries: int = 7
    artifacts: int = 3
    deleted: int = 2
    deleted_bytes: int = 4096
    kept: int = 9
    runs: list[Any] = field(default_factory=list)


@dataclass
class FakeHome:
    runs: list[FakeRun] = field(default_factory=list)
    report: Report = field(default_factory=Report)
    plan: Plan = field(default_factory=plan_of)
    asked: dict[str, Any] = field(default_factory=dict)
    resumed: FakeRun = field(default_factory=lambda: FakeRun(id="0hq3zzzzzzzzzzzz"))

    def list_runs(self, **asked: Any) -> list[FakeRun]:
        self.asked = asked
        return self.runs

    def get_run(self, id: str = "@") -> FakeRun:
        found = self.runs[:1] if id == "@" else [run for run in self.runs if run.id.startswith(id)]
        if len(found) != 1:
            raise NoSuchRun(f"no run is named {id!r}", hint="`weft ls` lists them.")
        return found[0]

    def plan_resume(self, run: FakeRun, **choice: Any) -> Plan:
        self.asked = choice
        return self.plan

    def resume(self, run: FakeRun, on_event: Any = None, **choice: Any) -> FakeRun:
        return self.resumed

    def verify(self, run: FakeRun) -> Report:
        return self.report

    def gc(self, dry_run: bool, policy: Any) -> Report:
        self.asked = {"dry_run": dry_run, "policy": policy}
        return self.report


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> FakeHome:
    made = FakeHome()
    monkeypatch.setattr(door, "open_home", lambda *_: made)
    return made


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set names of the client's modules: ``client(load_workflow=...)``."""

    def set_names(**names: Any) -> None:
        for name, value in names.items():
            monkeypatch.setattr(loading if name.startswith("load") else door, name, value)

    return set_names


@dataclass
class Ended:
    code: int
    out: str
    err: str


@pytest.fixture
def weft(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Call the command line in this process: ``weft("ls", "--json")``."""

    def call(*words: str) -> Ended:
        code = main(list(words))
        captured = capsys.readouterr()
        return Ended(code, captured.out, captured.err)

    return call


@pytest.fixture
def fake() -> Any:
    return types.SimpleNamespace(Run=FakeRun, Task=FakeTask, plan=plan_of, Report=Report)
