"""``weft run``, ``resume``, ``graph``, ``check``: against doubles of the client."""

from __future__ import annotations

import json
import os
import signal
import threading
import types

import pytest

from weft.errors import UserError
from weft.lang.refusals import CompileError, CompileErrors
from weft.model.progress import RunEnded, RunStarted, TaskEnded, TaskStarted
from weft.model.values import Failure
from weft.program.graph import Graph
from weft.program.shapes import GraphNode, GraphNote

RUN = "0hq3t5m2k9ab4cde"


class FakeWorkflow:
    """Starts ``run`` and tells a short story about it."""

    name = "delays"

    def __init__(self, run, graph=None):
        self.run, self.given, self.chosen, self.drawn = run, {}, {}, graph

    @staticmethod
    def function(months: str = "", target: str = "") -> None:
        pass

    def options(self, **chosen):
        self.chosen = chosen
        return self

    def start(self, **given):
        self.given = given
        tell = self.chosen["on_event"]
        tell(RunStarted(run=self.run.id, workflow="delays", steps=("load",), at_ms=1000))
        tell(TaskStarted(step="load", task="load", at_ms=1000))
        tell(TaskEnded(step="load", task="load", state="succeeded", at_ms=2500))
        tell(RunEnded(run=self.run.id, state=self.run.state, at_ms=2500))
        return self.run

    def graph(self):
        if isinstance(self.drawn, Exception):
            raise self.drawn
        return self.drawn


@pytest.fixture
def workflow(client, fake):
    made = FakeWorkflow(fake.Run(value={"auc": 0.76}))
    client(load_workflow=lambda target: made, load_workflows=lambda target: [made])
    return made


def test_run_prints_steps_then_the_result_and_where_to_look(weft, workflow):
    ended = weft("run", "flights.py", "months=12")
    assert ended.code == 0
    assert workflow.given == {"months": "12"}
    assert "✓ load (1.50 s)" in ended.err
    assert "{'auc': 0.76}" in ended.out
    for command in ("show", "logs", "get"):
        assert f"weft {command} {RUN}" in ended.out


def test_run_passes_options_apart_from_parameters(weft, workflow):
    weft("run", "flights.py", "--profile", "big", "--tag", "team=search", "target=0.8")
    chosen = {key: value for key, value in workflow.chosen.items() if key != "on_event"}
    assert chosen == {"profile": "big", "tags": {"team": "search"}}
    assert workflow.given == {"target": "0.8"}


def test_a_tag_without_a_value_is_2(weft, workflow):
    assert weft("run", "flights.py", "--tag", "team").code == 2


def test_a_failed_run_is_1_and_shows_the_exception_and_the_way_on(weft, workflow):
    workflow.run.state = "failed"
    workflow.run.failure = Failure(
        "user", "ValueError", "bad kind", traceback="Traceback (most recent call last):\n"
    )
    ended = weft("run", "flights.py")
    assert ended.code == 1
    assert "ValueError: bad kind" in ended.out
    assert f"weft resume {RUN}" in ended.out


def test_run_json_is_events_and_then_the_run(weft, workflow):
    ended = weft("run", "flights.py", "--json")
    lines = [json.loads(line) for line in ended.out.splitlines()]
    assert [line["event"] for line in lines] == [
        "run-started",
        "task-started",
        "task-ended",
        "run-ended",
        "run",
    ]
    assert lines[-1]["run"]["state"] == "succeeded"
    assert ended.err == ""


def test_quiet_prints_the_summary_only(weft, workflow):
    ended = weft("run", "-q", "flights.py")
    assert "load" not in ended.err
    assert "result" in ended.out


def test_a_result_whose_repr_fails_does_not_fail_the_run(weft, workflow):
    class Bad:
        def __repr__(self):
            raise ZeroDivisionError

    workflow.run.value = Bad()
    ended = weft("run", "flights.py")
    assert ended.code == 0
    assert "Bad" in ended.out


def test_one_ctrl_c_stops_cleanly_with_130_and_the_resume_command(weft, workflow):
    def pressed(run):
        os.kill(os.getpid(), signal.SIGINT)
        run.state = "running"

    workflow.run.on_wait = pressed
    before = signal.getsignal(signal.SIGINT)
    ended = weft("run", "flights.py")
    assert ended.code == 130
    assert workflow.run.calls == ["stop"]
    assert f"weft resume {RUN}" in ended.err
    assert signal.getsignal(signal.SIGINT) is before


class Exited(BaseException):
    """Stands for the end of the process."""


@pytest.fixture
def exits(monkeypatch):
    def exit_with(code):
        raise Exited(code)

    monkeypatch.setattr(os, "_exit", exit_with)


@pytest.mark.usefixtures("exits")
def test_two_ctrl_c_stop_at_once(weft, workflow):
    def pressed(run):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    workflow.run.on_wait = pressed
    with pytest.raises(Exited, match="130"):
        weft("run", "flights.py")
    assert workflow.run.calls == ["stop"]


@pytest.mark.usefixtures("exits")
def test_a_second_ctrl_c_in_the_middle_of_the_first_waits_for_no_lock(weft, workflow, monkeypatch):
    lock = threading.Lock()

    def stop(now=False):
        assert lock.acquire(timeout=5), "the second signal waits for the first, which it interrupts"
        os.kill(os.getpid(), signal.SIGINT)
        lock.release()

    monkeypatch.setattr(workflow.run, "stop", stop)
    workflow.run.on_wait = lambda run: os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(Exited, match="130"):
        weft("run", "flights.py")


def test_resume_continues_with_the_choices_given(weft, home, fake):
    home.runs, home.resumed = [fake.Run(state="failed")], fake.Run(id="0hq3zzzzzzzzzzzz", value=1)
    ended = weft("resume", "@", "lr=0.1", "--code", "pinned", "--from", "train")
    assert ended.code == 0
    assert home.asked == {"code": "pinned", "params": ("lr=0.1",), "from_": "train"}
    assert "0hq3zzzzzzzzzzzz" in ended.out


def test_resume_without_a_run_takes_parameters(weft, home, fake):
    home.runs = [fake.Run(state="failed")]
    assert weft("resume", "lr=0.1", "-q").code == 0
    assert home.asked["params"] == ("lr=0.1",)


def test_resume_shows_the_plan_and_asks_only_at_a_terminal(weft, home, fake):
    home.runs, home.plan = [fake.Run(state="failed")], fake.plan("source of `train` changed")
    ended = weft("resume")
    assert ended.code == 0
    assert ended.err.splitlines()[:5] == [
        "run 0hq3t5m2k9ab4cde of delays failed; a new run continues it with the code as it is now",
        "  changed  source of `train` changed",
        "  ↺ load   3 tasks  reused",
        "  ● train  1 task   runs again: 1 failed",
        "  takes about 0.50 s on 2 slots, by what that run took; 0.30 s of work is reused",
    ]
    assert "Continue?" not in ended.err
    assert "reused" not in weft("resume", "-q").err


@pytest.mark.parametrize(
    ("words", "changes", "asked"),
    [
        ((), ("source of `train` changed",), True),
        ((), (), False),
        (("--yes",), ("source of `train` changed",), False),
    ],
)
def test_at_a_terminal_resume_asks_where_something_differs(
    weft, home, fake, monkeypatch, words, changes, asked
):
    home.runs, home.plan = [fake.Run(state="failed")], fake.plan(*changes)
    monkeypatch.setattr("weft.cli.running.is_terminal", lambda: True)
    monkeypatch.setattr("sys.stdin", types.SimpleNamespace(isatty=lambda: True))
    questions = []
    monkeypatch.setattr("click.confirm", lambda text, **_: questions.append(text))
    assert weft("resume", "-q", *words).code == 0
    assert bool(questions) == asked


def test_a_plan_of_quick_steps_does_not_say_that_nothing_runs(weft, home, fake):
    home.runs, home.plan = [fake.Run(state="failed")], fake.plan()
    home.plan.price.least_ms = home.plan.price.most_ms = home.plan.price.saved_ms = 0
    assert "takes next to no time" in weft("resume", "--dry-run").err
    home.plan.steps.pop()
    assert "nothing is to run" in weft("resume", "--dry-run").err


def test_a_dry_run_starts_nothing_and_its_json_is_the_plan(weft, home, fake):
    home.runs, home.plan = [fake.Run(state="failed")], fake.plan("source of `train` changed")
    home.resume = None
    assert "● train" in weft("resume", "--dry-run").err
    plan = json.loads(weft("resume", "--dry-run", "--json").out)
    assert (plan["event"], plan["changes"]) == ("plan", ["source of `train` changed"])
    assert plan["steps"][1]["runs"] == 1
    assert plan["price"]["most_ms"] == 500


def drawn(*notes):
    nodes = (
        GraphNode(id="start", kind="start", label="delays()", rank=0),
        GraphNode(id="n1", kind="step", label="load", rank=1),
    )
    return Graph(name="delays", file="flights.py", nodes=nodes, notes=notes)


@pytest.mark.parametrize(
    ("form", "start"),
    [
        ("text", "delays()"),
        ("mermaid", "flowchart"),
        ("dot", "digraph"),
        ("svg", "<svg"),
        ("json", '{"name"'),
    ],
)
def test_graph_draws_in_each_format(weft, workflow, form, start):
    workflow.drawn = drawn()
    ended = weft("graph", "flights.py", "--format", form)
    assert ended.code == 0
    assert ended.out.startswith(start)


def test_graph_writes_to_a_file(weft, workflow, tmp_path):
    workflow.drawn = drawn()
    assert weft("graph", "flights.py", "--json", "-o", str(tmp_path / "g.json")).out == ""
    assert json.loads((tmp_path / "g.json").read_text())["name"] == "delays"


def refused(tmp_path):
    file = tmp_path / "w.py"
    file.write_text("def w():\n    while True:\n        step()\n    yield\n")
    errors = [
        CompileError("unbounded-loop", "", str(file), 2, 5),
        CompileError("yield-in-workflow", "", str(file), 4, 5),
    ]
    return CompileErrors(errors)


def test_check_shows_all_errors_with_line_and_caret_and_is_2(weft, workflow, tmp_path):
    workflow.drawn = refused(tmp_path)
    ended = weft("check", "w.py")
    assert ended.code == 2
    assert "w.py:2:5: error: `while`" in ended.out
    assert "        while True:\n        ^" in ended.out
    assert "w.py:4:5" in ended.out
    assert "✗ delays: 2 errors" in ended.out


def test_check_json_lists_errors_as_objects(weft, workflow, tmp_path):
    workflow.drawn = refused(tmp_path)
    ended = weft("check", "w.py", "--json")
    found = json.loads(ended.out)
    assert ended.code == 2
    assert found["ok"] is False
    first = found["workflows"][0]["errors"][0]
    assert (first["code"], first["line"], first["column"]) == ("unbounded-loop", 2, 5)


def test_check_of_a_good_file_is_0_and_prints_notes(weft, workflow, tmp_path):
    file = tmp_path / "w.py"
    file.write_text("for x in xs: m = fit(m)\n")
    workflow.drawn = drawn(
        GraphNote(code="sequence", message="`m` makes this loop sequential", file=str(file), line=1)
    )
    ended = weft("check", "w.py")
    assert ended.code == 0
    assert "note: `m` makes this loop sequential\n    for x in xs" in ended.out
    assert "✓ delays: 1 step call, 1 note" in ended.out


def test_a_file_that_cannot_be_loaded_is_2(weft, client):
    def missing(target):
        raise UserError(f"there is no file {target}")

    client(load_workflow=missing)
    ended = weft("run", "flight.py")
    assert ended.code == 2
    assert "there is no file flight.py" in ended.err
