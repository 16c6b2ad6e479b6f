"""``wf.run``, ``wf.start`` and what a run tells of itself: the door that Python code goes through."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.client.project import until

import weft
from weft.client.starting import UnknownOption
from weft.client.tasks import NoResult, NoSuchTask
from weft.errors import Cancelled, UserError

SUMS = """
    @step
    def inc(x, by=1):
        print("inc", x)
        return x + by

    @step
    def train(rows, kind="linear"):
        return [*rows, kind]

    @workflow
    def inner(rows):
        return [train(rows, kind) for kind in ("a", "b")]

    @workflow
    def sums(a: int, options: int = 5):
        b = inc(inc(a), by=10)
        many = [inc(i) for i in range(3)]
        both = inner(many)
        rows = inner([b])
        return b, many, both, rows, options

    @workflow
    def fails(a):
        b = inc(a)
        raise KeyError("no", b)
    """


@pytest.fixture
def flow(project):
    module = project.module(SUMS)
    for name in ("sums", "fails", "inner"):
        setattr(module, name, getattr(module, name).options(executor="inline"))
    return module


def test_run_waits_and_returns_the_run_with_the_plain_result(flow):
    run = flow.sums.run(1)
    assert run.state == "succeeded"
    assert run.result() == flow.sums(1)
    assert run.ended_ms >= run.started_ms >= run.created_ms > 0


def test_run_takes_exactly_the_arguments_of_the_call(flow):
    assert flow.sums.run(1, options=7).result()[-1] == 7  # a parameter, not an option of the run
    for bad in ({"b": 2}, {"profile": "x"}, {"executor": "inline"}):
        with pytest.raises(TypeError) as durable:
            flow.sums.run(1, **bad)
        with pytest.raises(TypeError) as plain:
            flow.sums(1, **bad)
        assert str(durable.value) == str(plain.value)
    with pytest.raises(TypeError, match=r"missing 1 required positional argument: 'a'"):
        flow.sums.run()
    assert len(weft.list_runs()) == 1  # what was refused was not started


def test_an_unknown_option_is_refused_by_name_and_the_parameters_are_pointed_to(flow):
    with pytest.raises(UnknownOption) as refused:
        flow.sums.options(months=[1]).run(1)
    assert "months=[1]" in str(refused.value)
    assert "tags" in refused.value.hint
    assert ".run(...)" in refused.value.hint
    assert weft.list_runs() == []


def test_run_raises_the_workflows_own_exception_with_a_note_that_names_run_and_command(flow):
    with pytest.raises(KeyError) as raised:
        flow.fails.run(1)
    assert type(raised.value) is KeyError
    assert raised.value.args == ("no", 2)
    run = weft.get_run()
    assert raised.value.__notes__[0] == f"in run {run.id}; fix and continue with: weft resume {run.id}"
    assert run.state == "failed"


def test_what_run_raises_tells_the_line_of_the_step_that_raised_it(project):
    flow = project.module("""
        def helper(x):
            return 1 / x

        @step
        def divides(x):
            return helper(x)

        @workflow
        def divide(x):
            return divides(x)
        """)
    for executor in ("inline", "local"):
        with pytest.raises(ZeroDivisionError) as raised:
            flow.divide.options(executor=executor).run(0)
        _, told = raised.value.__notes__
        assert "in helper\n      return 1 / x" in told
        assert "weft/worker" not in told


def test_start_neither_waits_nor_raises_and_result_does(project):
    flow = project.module("""
        @step
        def held(folder):
            while not Path(folder, "go").exists():
                time.sleep(0.005)
            raise ValueError("held")

        @workflow
        def holds(folder):
            return held(folder)
        """)
    run = flow.holds.options(executor="inline").start(str(project.folder))
    assert run.state == "running"
    with pytest.raises(NoResult, match=r"has no result: it is running"):
        run.result()
    assert run.wait(timeout=0.01) is run  # gives up without a word
    assert run.state == "running"
    (project.folder / "go").touch()
    run.wait()
    assert run.state == "failed"
    with pytest.raises(ValueError, match="held"):
        run.result()
    with pytest.raises(ValueError, match="held"):  # once more: the note is there once
        run.result()


def test_tasks_tell_path_state_attempts_times_and_executor(flow):
    run = flow.sums.run(1)
    tasks = run.tasks()
    assert [task.path for task in tasks] == [
        "inc",
        "inc.2",
        "inc.3[0]",
        "inc.3[1]",
        "inc.3[2]",
        "inner/train[0]",
        "inner/train[1]",
        "inner.2/train[0]",
        "inner.2/train[1]",
    ]
    assert {task.state for task in tasks} == {"succeeded"}
    assert {task.attempts for task in tasks} == {1}
    assert {task.executor for task in tasks} == {"inline"}
    assert all(run.started_ms <= task.started_ms <= task.ended_ms <= run.ended_ms for task in tasks)


def test_a_task_gives_its_result_inputs_and_logs(flow):
    run = flow.sums.run(1)
    task = run.task("inner/train[1]")
    assert task.result() == [1, 2, 3, "b"]
    assert [1, 2, 3] in task.inputs().values()
    assert set(task.inputs()) == {"kind", "rows"}
    assert [line.text.strip() for line in run.task("inc.3[2]").logs()] == ["inc 2"]
    assert task.output.artifact.digest.startswith("b3:")
    with pytest.raises(NoSuchTask, match=r"has no task 'train\[9\]'"):
        run.task("train[9]")


def test_loops_in_loops_and_glue_have_paths(project):
    flow = project.module("""
        @step
        def train(x):
            return x

        @workflow
        def outer(n):
            return [train(n * i) for i in range(2)]

        @workflow
        def whole(rows):
            nested = [[train(x) for x in row] for row in rows]
            groups = [outer(n) for n in range(3)]
            total = sum(map(sum, nested))
            return nested, groups, train(total)
        """)
    run = flow.whole.options(executor="inline").run([[1, 2], [3]])
    paths = [task.path for task in run.tasks()]
    assert paths[:3] == ["train[0,0]", "train[0,1]", "train[1,0]"] or paths[:3] == [
        "train[0][0]",
        "train[0][1]",
        "train[1][0]",
    ]
    assert "outer[2]/train[1]" in paths
    assert "train.2" in paths
    assert run.task("outer[2]/train[1]").result() == 2
    glue = [task.path for task in run.tasks(glue=True) if task.kind == "glue"]
    assert glue
    assert all(re.match(r"(outer\[\d\]/)?line \d+", path) for path in glue)


def test_glue_that_fails_is_among_the_tasks_as_its_line(flow):
    with pytest.raises(KeyError):
        flow.fails.run(1)
    [failed] = [task for task in weft.get_run().tasks() if task.state == "failed"]
    lines = Path(flow.__file__).read_text().splitlines()
    line = next(n for n, text in enumerate(lines, 1) if "raise KeyError" in text)
    assert failed.path == f"line {line}"
    assert failed.failure.type == "KeyError"
    with pytest.raises(KeyError):
        failed.result()


def test_a_failed_task_says_what_the_step_raised(project):
    flow = project.module("""
        @step
        def boom(x):
            raise LookupError(x, "gone")

        @workflow
        def booms(x):
            return boom(x)
        """)
    with pytest.raises(LookupError) as raised:
        flow.booms.options(executor="inline").run(3)
    assert raised.value.args == (3, "gone")
    task = weft.get_run().task("boom")
    assert (task.state, task.failure.type, task.failure.kind) == ("failed", "LookupError", "user")
    with pytest.raises(LookupError):
        task.result()
    assert "in boom" in task.failure.traceback
    assert "weft/" not in task.failure.traceback  # their traceback, not ours


def test_tags_name_and_parameters_are_kept(flow):
    run = flow.sums.options(tags={"team": "search", "n": 3}, name="nightly").run(2)
    run = weft.get_run(run.id)
    assert run.tags == {"team": "search", "n": "3"}
    assert run.workflow == "nightly"
    assert run.params == {"a": "2", "options": "5"}


def test_get_run_takes_an_id_a_unique_beginning_and_the_latest(flow):
    first, second = flow.sums.run(1), flow.sums.run(2)
    assert weft.get_run(first.id).result() == first.result()
    assert weft.get_run().id == weft.get_run("@").id == second.id
    same = len([1 for a, b in zip(first.id, second.id, strict=True) if a == b])
    assert weft.get_run(second.id[: same + 1]).id == second.id
    with pytest.raises(UserError) as many:
        weft.get_run(second.id[:2])
    assert first.id in str(many.value)
    with pytest.raises(UserError, match="nothing"):
        weft.get_run("nothing")


def test_list_runs_filters_by_workflow_and_state_and_the_latest_comes_first(flow):
    runs = [flow.sums.run(1), flow.sums.run(2), flow.inner.run([1])]
    with pytest.raises(KeyError):
        flow.fails.run(1)
    assert [run.workflow for run in weft.list_runs()] == ["fails", "inner", "sums", "sums"]
    assert [run.id for run in weft.list_runs(workflow="sums")] == [runs[1].id, runs[0].id]
    assert [run.workflow for run in weft.list_runs(state="failed")] == ["fails"]
    assert [run.id for run in weft.list_runs(workflow="sums", limit=1)] == [runs[1].id]
    assert weft.list_runs(state="interrupted") == []


def test_interrupted_runs_are_found_behind_many_others(flow):
    run = flow.sums.start(1)
    run.stop()
    run.wait()
    if run.state == "succeeded":
        pytest.skip("it ended before it was stopped")
    for i in range(3):
        flow.sums.run(i)
    assert [found.id for found in weft.list_runs(state="interrupted", limit=1)] == [run.id]
    assert weft.list_runs(state="running") == []


def test_a_profile_of_pyproject_says_where(project):
    project.write(
        "pyproject.toml",
        """
        [tool.weft.profiles.here]
        executor = "inline"
        [tool.weft.profiles.here.step]
        retries = 2
        backoff = "0s"
        """,
    )
    flow = project.module("""
        @step
        def flaky(folder):
            with open(Path(folder, "tries"), "a") as file:
                file.write("x")
            if Path(folder, "tries").stat().st_size < 3:
                raise OSError("not yet")
            return "well"

        @workflow
        def flakes(folder):
            return flaky(folder)
        """)
    run = flow.flakes.options(profile="here").run(str(project.folder))
    assert run.result() == "well"
    [task] = run.tasks()
    assert (task.executor, task.attempts) == ("inline", 3)
    with pytest.raises(UserError, match=r"no profile 'there'.*here"):
        flow.flakes.options(profile="there").run(str(project.folder))


def test_repr_says_what_it_is_and_html_is_escaped(project):
    flow = project.module("""
        @step(name="a<b")
        def odd(x):
            return x

        @workflow
        def shown(x):
            return odd(x)
        """)
    run = flow.shown.options(executor="inline").run(1)
    assert repr(run) == f"<run {run.id} of shown: succeeded>"
    [task] = run.tasks()
    assert re.fullmatch(r"<task a<b succeeded \d+\.\d{3} s>", repr(task))
    assert "a&lt;b" in task._repr_html_()
    assert "a<b" not in run._repr_html_()
    assert run.id in run._repr_html_()
    assert "succeeded" in run._repr_html_()


def test_a_failed_run_shows_its_failure_in_html(flow):
    with pytest.raises(KeyError):
        flow.fails.run(1)
    assert "KeyError" in weft.get_run()._repr_html_()


def test_a_run_started_by_a_step_is_its_child(project):
    flow = project.module("""
        @step
        def inc(x):
            return x + 1

        @workflow
        def child(x):
            return inc(x)

        @step
        def spawn(x):
            return child.options(executor="inline").run(x).result()

        @workflow
        def parent(x):
            return spawn(x)
        """)
    run = flow.parent.options(executor="inline").run(1)
    assert run.result() == 2
    [found] = weft.list_runs(workflow="child")
    assert (found.record.parent_run, found.record.parent_task) == (run.id, "spawn")
    assert run.record.parent_run is None


def test_current_in_a_step_tells_run_task_attempt_and_key(project):
    flow = project.module("""
        from weft import current

        @step
        def who():
            now = current()
            return now.run, now.task, now.attempt, now.key, Path(now.work_dir).is_dir()

        @workflow
        def asks():
            return [who() for _ in range(2)]
        """)
    run = flow.asks.options(executor="inline").run()
    assert run.result() == [(run.id, f"who[{i}]", 1, f"{run.id}/who[{i}]", True) for i in (0, 1)]


def test_cancel_ends_the_run_and_finally_blocks_run(project):
    flow = project.module("""
        @step
        def wait(folder):
            Path(folder, "started").touch()
            time.sleep(60)

        @step
        def tidy(folder):
            Path(folder, "tidied").touch()

        @workflow
        def waits(folder):
            try:
                return wait(folder)
            finally:
                tidy(folder)
        """)
    run = flow.waits.start(str(project.folder))
    until((project.folder / "started").exists)
    run.cancel()
    run.wait()
    assert run.state == "cancelled"
    assert (project.folder / "tidied").exists()
    assert [(task.path, task.state) for task in run.tasks()] == [
        ("wait", "cancelled"),
        ("tidy", "succeeded"),
    ]
    with pytest.raises(Cancelled):
        run.result()


def test_resume_of_a_run_object_gives_the_run_that_goes_on(flow):
    run = flow.sums.run(1)
    again = run.resume()
    assert again.wait().result() == run.result()
    assert again.resumed_from == run.id
    assert {task.state for task in again.tasks()} == {"reused"}
    assert weft.get_run(run.id).resume().wait().result() == run.result()


def test_a_run_in_html_counts_its_tasks_and_lists_a_bounded_number_of_failures(project):
    flow = project.module("""
        @step
        def load(i):
            if i >= 3:
                raise ValueError(f"<{i}> is bad")
            return i

        @workflow
        def loads(n):
            failed = []
            for i in range(n):
                try:
                    load(i)
                except ValueError as error:
                    failed.append(error)
            return len(failed)
        """)
    run = flow.loads.options(executor="inline").start(12).wait()
    page = run._repr_html_()
    assert "3 succeeded" in page
    assert "9 failed" in page
    assert "ValueError: &lt;3&gt; is bad" in page
    assert page.count("<code>load[") == 5
    assert "and 4 more" in page
    assert "<table" in page
    assert "ValueError: &lt;7&gt; is bad" in run.task("load[7]")._repr_html_()


def test_a_failure_of_wefts_own_is_named_without_a_module(project):
    flow = project.module("""
        import threading

        @step
        def makes():
            return threading.Lock()

        @workflow
        def made():
            return makes()
        """)
    run = flow.made.options(executor="inline").start().wait()
    assert run.failure.text.startswith("Unstorable: the result of makes")
    ended = project.weft("show")
    assert "weft.store" not in ended.stdout
    assert "Unstorable: the result of makes" in ended.stdout
