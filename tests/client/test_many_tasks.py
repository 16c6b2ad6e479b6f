"""A run of very many tasks: read lazily, shown by counts, paged."""

from __future__ import annotations

import json
import time
from itertools import islice

import pytest

import weft
from weft.client.owners import this_owner
from weft.model.jobs import Report
from weft.model.records import Batch, NewRun, TaskRecord, report_to_bytes
from weft.model.values import Failure

COUNT = 200_000
FAILED = (7, 9, 150_000)
FLOW = """
    @step
    def load(i):
        return i

    @step
    def last(rows):
        return len(rows)

    @workflow
    def loads(n: int):
        return last([load(i) for i in range(n)])
    """


@pytest.fixture
def flow(project):
    project.write("pyproject.toml", '[tool.weft]\nexecutor = "inline"\n')
    return project.module(FLOW, "flow")


def rows_of(run: str, node: int, first: int, count: int):
    for i in range(first, first + count):
        failure = Failure("user", "ValueError", f"{i} is bad") if i in FAILED else None
        report = Report(
            id=i, outcome="fail" if failure else "ok", failure=failure, started_ms=i, ended_ms=i + 1
        )
        state = "failed" if failure else "succeeded"
        times = {"started_ms": 1000 + i, "ended_ms": 1001 + i}
        yield TaskRecord(
            run, node, (i,), f"load[{i}]", "call", state, 1, outcome=report_to_bytes(report), **times
        )


def run_of(like, count: int):
    """Return an interrupted run of the same program, with ``count`` tasks written as a driver writes them."""
    home, record = like._home, like.record
    runs, tasks = home.database.runs, home.database.tasks
    node = next(task.node for task in tasks.outcomes(like.id) if task.path == "load[0]")
    new = NewRun(
        id=home.clock.new_id(),
        workflow="loads",
        program=record.program,
        created_ms=home.clock.now_ms(),
        inputs=record.inputs,
    )
    runs.create(new, runs.program(record.program))
    lease = runs.claim(new.id, this_owner(), 60_000)
    for first in range(0, count, 1000):
        runs.commit(lease, Batch(tasks=list(rows_of(new.id, node, first, min(1000, count - first)))))
    running = TaskRecord(new.id, node, (count,), f"load[{count}]", "call", "running", 1, started_ms=1)
    runs.commit(lease, Batch(tasks=[running]))
    return weft.get_run(new.id), lease


@pytest.mark.slow
def test_a_run_of_two_hundred_thousand_tasks_is_shown_at_once(project, flow):
    run, _ = run_of(flow.loads.run(1), COUNT)
    before = time.process_time()
    steps = run.steps()
    failed = list(run.tasks(state="failed"))
    assert [task.path for task in run.tasks(state="running")] == [f"load[{COUNT}]"]
    # Measured 2 ms. Reading the rows would take a second and more.
    assert time.process_time() - before < 0.25
    [step] = steps
    assert (step.step, step.looped, step.tasks, step.open) == ("load", True, COUNT + 1, 1)
    assert step.states == {"failed": 3, "running": 1, "succeeded": COUNT - 3}
    assert (step.started_ms, step.ended_ms) == (1, 1000 + COUNT)
    assert [task.path for task in failed] == ["load[7]", "load[9]", "load[150000]"]
    assert len(run.tasks()) == COUNT + 1
    shown = project.weft("show", run.id)
    assert "200,000 tasks, 3 failed" in shown.stdout
    assert "✗ load[150000]  ValueError: 150000 is bad" in shown.stdout
    assert "● load[200000]  for " in shown.stdout
    assert len(shown.stdout.splitlines()) < 20
    page = json.loads(project.weft("show", run.id, "--json", "--limit", "2").stdout)
    assert [task["path"] for task in page["tasks"]] == ["load[0]", "load[1]"]


def test_tasks_are_read_as_far_as_they_are_asked_for(flow, monkeypatch):
    run = flow.loads.run(3)
    tasks = run._home.database.tasks
    asked = []
    listed = tasks.list_tasks
    monkeypatch.setattr(
        tasks, "list_tasks", lambda *a, **k: asked.append(k["cursor"]) or listed(*a, **{**k, "limit": 2})
    )
    found = run.tasks()
    assert asked == []
    assert [task.path for task in islice(found, 1)] == ["load[0]"]
    before = len(asked)
    assert before <= 2  # of these rows the first is glue
    assert [task.path for task in found] == ["load[0]", "load[1]", "load[2]", "last"]
    assert len(asked) > before + 2  # page by page


def test_the_list_of_tasks_is_a_sequence(flow):
    run = flow.loads.run(3)
    tasks = run.tasks()
    assert len(tasks) == 4
    assert (tasks[0].path, tasks[-1].path, tasks[3].path) == ("load[0]", "last", "last")
    assert [task.path for task in tasks[1:3]] == ["load[1]", "load[2]"]
    assert [task.path for task in tasks[::-1]] == ["last", "load[2]", "load[1]", "load[0]"]
    for place in (4, -5):
        with pytest.raises(IndexError, match=f"no task number {place}"):
            tasks[place]
    assert repr(tasks) == f"<4 tasks of run {run.id}>"


def test_tasks_of_one_state_and_behind_a_place(flow):
    run, _ = run_of(flow.loads.run(1), 10)
    assert [task.path for task in run.tasks(state="failed")] == ["load[7]", "load[9]"]
    third = run.tasks()[2]
    assert [task.path for task in run.tasks(after=third.cursor)][:2] == ["load[3]", "load[4]"]
    assert len(run.tasks(after=third.cursor)) == len(run.tasks()) - 3
    assert [task.path for task in run.tasks(state="failed", after=run.task("load[7]").cursor)] == ["load[9]"]
    assert len(run.tasks(state="failed")) == 2


def test_steps_count_what_became_of_their_tasks(flow):
    run = flow.loads.run(3)
    assert [(step.step, step.looped, step.states) for step in run.steps()] == [
        ("load", True, {"succeeded": 3}),
        ("last", False, {"succeeded": 1}),
    ]
    [load, last] = run.steps()
    assert run.started_ms <= load.started_ms <= load.ended_ms <= last.ended_ms <= run.ended_ms
    again = run.resume().wait()
    assert [(step.states, step.started_ms, step.ended_ms) for step in again.steps()] == [
        ({"reused": 3}, 0, 0),  # the times of what is taken over are another run's
        ({"reused": 1}, 0, 0),
    ]
