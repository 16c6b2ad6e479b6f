"""What tasks put out, as it comes: progress and lines of running tasks, every line of ended ones once."""

from __future__ import annotations

import json

import pytest
from tests.client.project import until

import weft
from weft.model.progress import LogLine, TaskEnded, TaskProgress

FLOW = """
    from weft import progress

    @step
    def quick(i):
        print("quick", i)
        return i

    @step(retries=1, backoff="0s")
    def held(name):
        print(name, "begins")
        progress(2, 8, "file two")
        for _ in range(4000):  # a bound, so that a test that waits in vain ends
            if Path("go").exists():
                break
            time.sleep(0.01)
        if name == "twice" and not Path("again").exists():
            Path("again").touch()
            raise OSError("once more")
        print(name, "ends")
        return name

    @workflow
    def holds(name: str):
        return [quick(i) for i in range(3)], held(name)
    """


@pytest.fixture
def flow(project):
    return project.module(FLOW, "flow")


def gathered(look, wanted, seen):
    """Look again and again until ``wanted`` stands in what was seen."""
    until(
        lambda: seen.extend(look()) or wanted in [(each.task, getattr(each, "text", None)) for each in seen]
    )
    return seen


def test_lines_and_progress_of_a_running_task_come_while_it_runs(project, flow):
    run = flow.holds.start("one")
    output, seen = run.output(), []
    gathered(output.latest, ("held", "one begins"), seen)
    assert not run.is_over
    until(lambda: seen.extend(output.latest()) or any(isinstance(each, TaskProgress) for each in seen))
    [progress] = [each for each in seen if isinstance(each, TaskProgress)]
    assert (progress.step, progress.task, progress.fraction, progress.message) == (
        "held",
        "held",
        0.25,
        "file two",
    )
    (project.folder / "go").touch()
    run.wait()
    seen += output.latest()
    assert [each.text for each in seen if isinstance(each, LogLine) and each.task == "held"] == [
        "one begins",
        "one ends",
    ]
    assert output.latest() == []


def test_all_gives_each_line_of_each_attempt_once_in_order_of_time(project, flow):
    run = flow.holds.start("twice")
    elsewhere, seen = weft.get_run(run.id).output(), []  # as another process would follow it
    gathered(elsewhere.all, ("held", "twice begins"), seen)
    (project.folder / "go").touch()
    run.wait()
    seen += elsewhere.all() + elsewhere.last()
    assert elsewhere.all() == elsewhere.last() == []
    at_once = weft.get_run(run.id).output().all()
    lines = [(each.task, each.text) for each in at_once if isinstance(each, LogLine)]
    assert sorted(lines) == sorted((each.task, each.text) for each in seen if isinstance(each, LogLine))
    assert [text for task, text in lines if task == "held"] == ["twice begins", "twice begins", "twice ends"]
    assert sorted(text for task, text in lines if task != "held") == ["quick 0", "quick 1", "quick 2"]
    assert [each.at_ms for each in at_once] == sorted(each.at_ms for each in at_once)


def test_a_line_without_an_end_and_one_that_came_late_are_not_lost(project):
    flow = project.module("""
        @step
        def speaks():
            print("no end", end="")

        @workflow
        def says():
            speaks()
        """)
    run = flow.says.run()
    output = run.output()
    assert output.all() == []
    [log] = (project.home / "logs" / run.id).glob("speaks*")
    with log.open("a") as file:  # as the process that writes the logs may be late
        file.write('[1, "err", "late\\n"]\n')
    assert [each.text for each in output.last()] == ["late", "no end"]
    assert output.last() == output.all() == []


def test_pieces_of_glue_on_one_line_share_a_log_and_each_line_of_it_comes_once(project):
    flow = project.module("""
        @step
        def one(x):
            return x

        def loud(x):
            print("glue", x)
            return x

        @workflow
        def glues(n: int):
            return one(loud(n)), one(loud(n + 1)), one(loud(n + 2))
        """)
    run = flow.glues.run(1)
    output = run.output()
    said = [*output.all(), *output.last(), *output.all(), *output.last()]
    assert sorted(each.text for each in said) == ["glue 1", "glue 2", "glue 3"]


def test_only_what_is_wanted(project, flow):
    (project.folder / "go").touch()
    run = flow.holds.run("one")
    found = run.output(lambda path: path == "quick[1]").all()
    assert [(each.step, each.task, each.text) for each in found] == [("quick", "quick[1]", "quick 1")]


def test_lines_of_a_reused_task_are_those_of_the_run_that_did_the_work(project, flow):
    (project.folder / "go").touch()
    run = flow.holds.run("one")
    again = run.resume().wait()
    assert {task.state for task in again.tasks()} == {"reused"}
    assert "quick 2" in [each.text for each in again.output().all() if isinstance(each, LogLine)]


def test_a_run_as_json_holds_progress_and_lines_of_running_tasks(project, flow):
    process = project.start_weft("run", "flow.py", "name=one", "--json")
    assert process.stdout is not None
    events = []
    for line in process.stdout:
        events.append(json.loads(line))
        if {"task-progress", "log-line"} <= {event["event"] for event in events}:
            (project.folder / "go").touch()
    process.communicate(timeout=60)
    assert process.returncode == 0
    said = [event for event in events if event["event"] == "log-line" and event["task"] == "held"]
    assert said[0]["text"] == "one begins"
    assert said[0]["stream"] == "out"
    progress = next(event for event in events if event["event"] == "task-progress")
    assert (progress["fraction"], progress["message"]) == (0.25, "file two")


def test_logs_follow_a_run_of_another_process_to_its_end(project, flow):
    driving = project.start_weft("run", "flow.py", "name=one", "-q")
    until((project.home / "weft.db").exists)
    until(lambda: any(run.steps() for run in weft.list_runs()))
    following = project.start_weft("logs", "-f")
    assert following.stdout is not None
    lines = []
    for line in following.stdout:
        lines.append(line.rstrip("\n"))
        if line == "held  one begins\n":
            (project.folder / "go").touch()
    for process in (following, driving):
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert lines[-1] == "held  one ends"
    assert sorted(lines[:-1]) == [
        "held  one begins",
        "quick[0]  quick 0",
        "quick[1]  quick 1",
        "quick[2]  quick 2",
    ]


def test_what_a_branch_leaves_out_is_told_as_skipped(project):
    flow = project.module("""
        @step
        def small(i):
            return i

        @step
        def large(i):
            return -i

        @step
        def late(rows):
            return rows

        @workflow
        def picks(n: int):
            rows = []
            for i in range(n):
                rows.append(small(i) if i < 2 else large(i))
            if n > 100:
                rows = late(rows)
            return rows
        """)
    events = []
    run = flow.picks.options(executor="inline", on_event=events.append).run(5)
    assert run.result() == [0, 1, -2, -3, -4]
    skipped = {}
    for event in events:
        if isinstance(event, TaskEnded) and event.state == "skipped":
            skipped[event.step] = skipped.get(event.step, 0) + event.count
    assert skipped == {"small": 3, "large": 2, "late": 1}
