"""The plan of a resume: what is taken over, what runs again and why, what it will take."""

from __future__ import annotations

import time

import pytest
from tests.client.project import until

import weft
from weft.client.door import open_home
from weft.client.rerun.resuming import NothingToChange

HELPERS = """
    SCALE = 2

    def clean(row):
        return row * SCALE

    def other(row):
        return row
    """

FLOW = """
    import plan_helpers
    from plan_helpers import other

    @step
    def load(month):
        return [month] * 3

    @step
    def tidy(rows):
        return [plan_helpers.clean(row) for row in rows]

    @step
    def total(rows):
        return sum(map(sum, rows))

    @step
    def train(n, lr):
        if n > 1000:
            raise ValueError("too many")
        return n * lr

    @step
    def release(model):
        return f"v{model}"

    @step
    def warn(model):
        return "low"

    def limit_of(lr):
        return lr * 2

    @workflow
    def flow(months: list[int], lr: int = 1, limit: int = 5):
        rows = [tidy(load(m)) for m in months]
        model = train(total(rows), lr)
        if model > limit + limit_of(1):
            return release(model)
        return warn(model)
    """


@pytest.fixture
def flow(project):
    """A project whose workflow has run: its module."""
    project.write("pyproject.toml", '[tool.weft]\nexecutor = "inline"\n')
    project.write("plan_helpers.py", HELPERS)
    project.load("plan_helpers")
    module = project.module(FLOW)
    assert module.flow.run([1, 2]).result() == "v18"
    return module


def plan_of(**choice):
    home = open_home()
    return home.plan_resume(home.get_run(), **choice)


def verdicts(plan) -> dict[str, str]:
    return {step.step: step.verdict for step in plan.steps}


ALL_REUSED = dict.fromkeys(["load", "tidy", "total", "train", "release"], "reused")


def test_where_nothing_changed_all_is_taken_over(flow):
    plan = plan_of()
    assert (plan.changes, plan.notes, plan.goes_on, plan.code) == ([], [], False, "current")
    assert verdicts(plan) == ALL_REUSED  # `warn` was not wanted, and is not now
    assert [step.tasks for step in plan.steps] == [2, 2, 1, 1, 1]
    assert (plan.price.most_ms, plan.price.unknown) == (0, [])


def edit_helpers(project, flow, old, new):
    project.edit(project.load("plan_helpers"), old, new)
    project.edit(flow, "\n", "\n")


@pytest.mark.parametrize(
    ("old", "new", "change"),
    [
        ("row * SCALE", "SCALE * row", "source of `plan_helpers.clean` changed, reached through `tidy`"),
        ("SCALE = 2", "SCALE = 3", "constant `plan_helpers.SCALE` changed, reached through `tidy`"),
    ],
)
def test_what_changed_is_named_with_the_step_that_it_is_reached_through(project, flow, old, new, change):
    edit_helpers(project, flow, old, new)
    plan = plan_of()
    assert plan.changes == [change]
    assert verdicts(plan) == ALL_REUSED | {
        "tidy": "runs",
        "total": "depends",
        "train": "depends",
        "release": "depends",
        "warn": "depends",
    }
    steps = {step.step: step for step in plan.steps}
    assert (steps["tidy"].runs, steps["tidy"].reused) == (2, 0)
    assert steps["total"].depends_on == ["`tidy`"]
    assert steps["warn"].was == ["not run then"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("def other(row):\n    return row", "def other(row):\n    return -row"),
        ("return row * SCALE", "return row * SCALE  # twice"),
        ("SCALE = 2\n", "SCALE = 1 + 1\n\n\n\n"),
    ],
)
def test_what_does_not_count_is_no_change(project, flow, old, new):
    edit_helpers(project, flow, old, new)
    assert plan_of().changes == []


def test_a_parameter_is_named_with_its_values_and_the_only_step_that_reads_it(flow):
    plan = plan_of(params=["lr=3"])
    assert plan.changes == ["parameter lr 1 → 3, read by `train` only"]
    assert verdicts(plan) == ALL_REUSED | {"train": "runs", "release": "depends", "warn": "depends"}
    assert plan_of(params={"lr": 1}).changes == []  # the value that it has


def test_what_only_glue_reads_decides_again(flow):
    plan = plan_of(params=["limit=100"])
    assert plan.changes == ["parameter limit 5 → 100"]
    assert verdicts(plan) == ALL_REUSED | {"release": "depends", "warn": "depends"}
    assert [step.depends_on for step in plan.steps][-1] == ["parameter `limit`"]


def test_a_function_that_the_workflow_calls_counts(project, flow):
    project.edit(flow, "return lr * 2", "return lr * 200")
    plan = plan_of()
    assert plan.changes == [f"function `{flow.__name__}.limit_of` changed, which the workflow calls"]
    assert verdicts(plan)["warn"] == "depends"
    assert verdicts(plan)["train"] == "reused"


def test_another_line_of_the_workflow_counts_for_what_reads_its_result(project, flow):
    project.edit(flow, "if model > limit +", "if model > 1000 + limit +")
    plan = plan_of()
    assert len(plan.changes) == 1
    assert plan.changes[0].startswith("the workflow's own text changed (line ")
    assert verdicts(plan) == ALL_REUSED | {"release": "depends", "warn": "depends"}


def test_another_call_and_a_new_step_run(project, flow):
    project.edit(flow, "train(total(rows), lr)", "train(total(rows), lr + 1)")
    assert plan_of().changes == ["the call of `train` changed"]
    project.edit(flow, "return release(model)", "return warn(release(model))")
    plan = plan_of()
    assert verdicts(plan)["warn"] == "depends"  # whether its branch is taken is not known here


def test_from_names_one_task_of_a_loop(flow):
    plan = plan_of(from_="tidy[1]")
    assert plan.changes == ["`tidy[1]` runs again, as asked for"]
    tidy = next(step for step in plan.steps if step.step == "tidy")
    assert (tidy.runs, tidy.reused, tidy.verdict) == (1, 1, "runs")


def test_a_failed_run_tells_what_failed_and_what_was_not_reached(project, flow):
    with pytest.raises(ValueError, match="too many"):
        flow.flow.run([1000, 1])
    plan = plan_of()
    assert plan.changes == []
    assert plan.state == "failed"
    assert verdicts(plan) == ALL_REUSED | {"train": "runs", "release": "runs", "warn": "runs"}
    steps = {step.step: step for step in plan.steps}
    assert (steps["train"].was, steps["train"].runs) == (["1 failed"], 1)
    assert steps["release"].was == ["not reached then"]
    assert set(plan.price.unknown) == {"train", "release", "warn"}


def test_a_dry_plan_writes_nothing(project, flow):
    home = open_home()
    before = sorted((project.home / "artifacts").rglob("*"))
    plan_of(params={"lr": "x" * 10_000})
    assert sorted((project.home / "artifacts").rglob("*")) == before
    assert len(home.list_runs()) == 1


SLOW = """
    @step
    def first(n):
        time.sleep(0.3)
        return n

    @step
    def second(n):
        time.sleep(0.2)
        return n

    @step
    def third(rows):
        time.sleep(0.4)
        return sum(rows)

    @workflow
    def slow(n: int, k: int = 0):
        return third([second(first(i)) for i in range(n)])
    """


@pytest.mark.parametrize(("slots", "least_ms"), [(1, 4 * 200 + 400), (2, 2 * 200 + 400), (8, 200 + 400)])
def test_the_price_is_the_longest_chain_or_all_the_work_on_all_slots(project, slots, least_ms):
    project.write("pyproject.toml", f"[tool.weft]\nslots = {slots}\n")
    module = project.module(SLOW)
    module.slow.run(4)
    project.edit(module, "time.sleep(0.2)\n", "time.sleep(0.2) or None\n")
    plan = plan_of()
    assert verdicts(plan) == {"first": "reused", "second": "runs", "third": "depends"}
    # On a loaded machine a step takes longer than it sleeps: by what was recorded, not by what should be.
    took = {step.step: step.took_ms for step in plan.steps}
    assert took["first"] >= 300
    chain = {1: 0, 2: 0, 8: took["second"] + took["third"]}[slots]
    work = (4 * took["second"] + took["third"]) / slots
    assert plan.price.most_ms == pytest.approx(max(chain, work, took["second"] + took["third"]), abs=2)
    assert plan.price.least_ms == pytest.approx(max(took["second"], 4 * took["second"] / slots), abs=2)
    assert plan.price.saved_ms == pytest.approx(4 * took["first"], abs=2)
    assert plan.price.slots == slots


HELD = """
    @step
    def quick(n):
        return n

    @step
    def hold(n, rows):
        Path("held").touch()
        while not Path("go").exists():
            time.sleep(0.02)
        return n * len(rows)

    @step
    def after(rows):
        return sum(rows)

    @workflow
    def holds(n: int):
        rows = [quick(i) for i in range(2)]
        return after([hold(i, rows) for i in range(n)])
    """


def test_an_interrupted_run_goes_on_with_its_own_code_and_says_so(project):
    project.write("pyproject.toml", "[tool.weft]\nslots = 1\n")
    module = project.module(HELD)
    run = module.holds.start(6)
    until((project.folder / "held").exists)
    run.stop()
    run.wait()
    plan = plan_of()
    assert (plan.state, plan.goes_on, plan.changes, plan.notes) == ("interrupted", True, [], [])
    quick, hold, after = plan.steps
    assert (quick.tasks, quick.reused, quick.verdict) == (2, 2, "reused")
    assert (hold.tasks, hold.reused, hold.runs) == (6, 0, 6)  # the loop was opened, so that is known
    assert (after.was, after.verdict) == (["not reached then"], "runs")
    with pytest.raises(NothingToChange):
        plan_of(params=["n=3"])
    project.edit(module, "return sum(rows)", "return -sum(rows)")
    (note,) = plan_of().notes
    assert "goes on with the code that it began with" in note
    (project.folder / "go").touch()
    again = weft.get_run().resume().wait()
    assert (again.id, again.result()) == (run.id, 30)
    assert (
        weft.get_run().resume().wait().result() == -30
    )  # it has ended: a new run, with the code as it is now


def test_a_plan_of_a_large_loop_is_quick(project):
    project.write("pyproject.toml", '[tool.weft]\nexecutor = "inline"\n')
    module = project.module(SLOW.replace("time.sleep(0.3)", "0").replace("time.sleep(0.2)", "0"))
    module.slow.run(300)
    started = time.process_time()
    plan_of(params={"k": 1})
    assert time.process_time() - started < 2
