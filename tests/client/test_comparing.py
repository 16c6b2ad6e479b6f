"""`weft compare` and `weft reproduce`: two runs side by side, and a run again as it was."""

from __future__ import annotations

import json

import pytest
from tests.client.project import until

import weft
from weft.client.door import open_home
from weft.client.rerun.reproducing import NotEnded

FLOW = """
    @step
    def load(month):
        return [month] * 3

    @step
    def total(rows, scale):
        return sum(map(sum, rows)) * scale

    @step
    def big(n):
        return list(range(n * 3000))

    @workflow
    def flow(months: list[int], scale: int = 2):
        n = total([load(m) for m in months], scale)
        return len(big(n))
    """


@pytest.fixture
def flow(project):
    project.write("pyproject.toml", '[tool.weft]\nexecutor = "inline"\n')
    return project.module(FLOW)


def compared(left, right):
    return open_home().compare(left, right)


def test_runs_of_different_parameters_and_code_are_told_apart_step_by_step(project, flow):
    left = flow.flow.run([1, 2])
    module = project.edit(flow, "* scale", "* scale + 1")
    right = module.flow.options(reuse=left.id).run([1, 3, 4], scale=2)
    found = compared(left, weft.get_run(right.id))
    assert (found.left.run, found.right.run, found.same_result) == (left.id, right.id, False)
    assert [(pair.name, pair.same) for pair in found.parameters] == [("months", False), ("scale", True)]
    assert found.changes == [f"source of `{flow.__name__}.total` changed"]
    load, total, big = found.steps
    assert (load.left_tasks, load.right_tasks, load.right_reused) == (2, 3, 1)
    assert (load.inputs, load.results, load.different) == ("different", "different", ["load[1]"])
    assert (total.results, total.code) == ("different", [f"source of `{flow.__name__}.total` changed"])
    assert (big.inputs, big.code) == ("different", [])
    assert found.left.took_ms is not None


def test_a_run_is_the_same_as_itself_and_as_its_repetition(flow):
    left, right = flow.flow.run([1, 2]), flow.flow.run([1, 2])
    found = compared(left, right)
    assert found.same_result
    assert found.changes == []
    assert {(pair.inputs, pair.results) for pair in found.steps} == {("same", "same")}
    assert all(pair.same for pair in found.parameters)


def test_what_only_one_run_has_is_said(project, flow):
    left = flow.flow.run([1, 2])
    right = flow.flow.run([1])
    load = compared(left, right).steps[0]
    assert (load.left_tasks, load.right_tasks, load.results) == (2, 1, "only one has it")


def test_the_command_marks_what_differs(project, flow):
    left, right = flow.flow.run([1, 2]), flow.flow.run([1, 2], scale=3)
    lines = project.weft("compare", left.id, right.id).stdout.splitlines()
    (scale,) = [line for line in lines if line.startswith("scale")]
    assert scale.split() == ["scale", "2", "3", "≠"]
    (months,) = [line for line in lines if line.startswith("months")]
    assert "≠" not in months
    found = json.loads(project.weft("compare", left.id, right.id, "--json").stdout)
    assert found["same_result"] is False
    assert found["steps"][0]["step"] == "load"


def test_a_run_is_reproduced_with_its_own_code_wherever_the_project_stands(project, flow):
    run = flow.flow.run([1, 2])
    project.edit(flow, "* scale", "* scale * 100")
    found = open_home().reproduce(weft.get_run(run.id))
    assert (found.same, found.compared, found.deviations, found.notes) == (True, 4, [], [])
    again = weft.get_run(found.again)
    assert again.tags == {"reproduces": run.id}
    assert {task.state for task in again.tasks()} == {"succeeded"}
    (project.folder / f"{flow.__name__}.py").unlink()
    ended = project.weft("reproduce", run.id)
    assert ended.returncode == 0, ended.stderr
    assert "✓ reproduced: 4 tasks gave the same results" in ended.stdout


def test_what_differs_is_named_and_what_follows_from_it(project):
    project.write("pyproject.toml", '[tool.weft]\nexecutor = "inline"\n')
    module = project.module("""
        @step
        def world(n):
            return Path("world.txt").read_text()

        @step
        def still(n):
            return n

        @step
        def join(a, b):
            return f"{a}{b}"

        @workflow
        def flow(n: int):
            return join(world(n), still(n))
        """)
    project.write("world.txt", "round")
    run = module.flow.run(1)
    project.write("world.txt", "flat")
    found = open_home().reproduce(run)
    assert not found.same
    assert not found.same_outcome
    assert [(each.task, each.kind) for each in found.deviations] == [("world", "result"), ("join", "follows")]
    ended = project.weft("reproduce", run.id, "--json")
    assert ended.returncode == 1
    assert json.loads(ended.stdout)["deviations"][0]["task"] == "world"
    assert "world  other result from equal inputs" in project.weft("reproduce", run.id).stdout


def test_a_failed_run_is_reproduced_if_it_fails_alike(project, flow):
    with pytest.raises(TypeError):
        flow.flow.run([1, None], scale="x")
    found = open_home().reproduce(weft.get_run())
    assert found.same
    assert found.compared == 3


def test_what_cannot_be_reproduced_is_refused(project):
    module = project.module("""
        @step
        def hold(n):
            Path("held").touch()
            while not Path("go").exists():
                time.sleep(0.02)
            return n

        @workflow
        def flow(n: int):
            return hold(n)
        """)
    run = module.flow.start(1)
    until((project.folder / "held").exists)
    with pytest.raises(NotEnded, match="is running"):
        open_home().reproduce(run)
    (project.folder / "go").touch()
    run.wait()
