"""Reuse across runs: the cache, `--refresh`, `--reuse`, and results that are gone or damaged."""

from __future__ import annotations

import random

import pytest
from tests.client.project import Project

import weft
from weft.client.starting import NoStepToRefresh

FLOW = """
    def note(name):
        with open("ran.txt", "a") as file:
            file.write(name + "\\n")

    @step
    def load(n):
        note(f"load {n}")
        return list(range(n * 2000, n * 2000 + 2000))

    @step
    def parity(rows):
        note("parity")
        return [row % 2 for row in rows]

    @step
    def total(rows):
        note("total")
        return sum(rows)

    @workflow
    def one(n: int):
        return total(parity(load(n)))

    @workflow
    def other(n: int, times: int = 2):
        totals = []
        for month in range(n, n + times):
            rows = load(month)
            totals.append(total(parity(rows)))
        return totals
    """


@pytest.fixture
def flow(project: Project):
    project.write("pyproject.toml", '[tool.weft]\nexecutor = "inline"\n')
    return project.module(FLOW)


def states(run) -> dict[str, str]:
    return {task.path: task.state for task in run.tasks()}


def ran(project: Project) -> list[str]:
    """Return what has run since this was asked last."""
    lines = project.lines("ran.txt")
    (project.folder / "ran.txt").unlink(missing_ok=True)
    return lines


def test_the_cache_holds_across_workflows_and_an_equal_result_stops_the_wave(project, flow):
    assert flow.one.run(1).result() == 1000
    ran(project)
    run = flow.other.options(cache=True).run(1)
    assert run.result() == [1000, 1000]
    # load(2) is new; its rows differ and their parities do not, so `total` is what it was.
    assert ran(project) == ["load 2", "parity"]
    assert states(run)["total[1]"] == "reused"


def test_a_run_takes_over_what_holds_from_a_run_that_it_names(project, flow):
    first = flow.one.run(1)
    flow.one.run(3)
    ran(project)
    run = flow.other.options(reuse=first.id[:12]).run(1)
    assert run.resumed_from == first.id
    assert ran(project) == ["load 2", "parity"]
    assert run.task("load[0]").source == first.id
    flow.other.run(1)
    assert len(ran(project)) == 6  # nobody asked


def test_the_flags_of_the_command_line(project, flow):
    file = f"{flow.__name__}.py"
    first = flow.one.run(1)
    ran(project)
    ended = project.weft("run", f"{file}:one", "n=1", "--cache", "--refresh", "parity", "-q")
    assert ended.returncode == 0, ended.stderr
    assert ran(project) == ["parity"]
    assert project.weft("run", f"{file}:one", "n=1", "--no-cache", "-q").returncode == 0
    assert len(ran(project)) == 3
    ended = project.weft("run", f"{file}:other", "n=1", "--reuse", first.id)
    assert f"run {first.id} of one has succeeded; a new run continues it" in ended.stderr
    assert ran(project) == ["load 2", "parity"]


def test_no_cache_overrides_the_step_and_the_profile(project):
    project.write("pyproject.toml", '[tool.weft]\nexecutor = "inline"\ncache = true\n')
    module = project.module(FLOW.replace("@step\n    def load", "@step(cache=True)\n    def load"))
    module.one.run(1)
    assert set(states(module.one.run(1)).values()) == {"reused"}
    assert set(states(module.one.options(cache=False).run(1)).values()) == {"succeeded"}


def test_names_of_the_workflow_do_not_count_and_names_of_parameters_do(project):
    project.write("pyproject.toml", '[tool.weft]\nexecutor = "inline"\ncache = true\n')
    module = project.module("""
        @step
        def pick(a=0, b=0):
            return a, b

        @workflow
        def first(n, m):
            return pick(a=n, b=m)

        @workflow
        def renamed(left, right):
            return pick(a=left, b=right)

        @workflow
        def swapped(n, m):
            return pick(b=n, a=m)

        @workflow
        def constant(n):
            return pick(a=n, b=2)

        @workflow
        def other_constant(n):
            return pick(a=n, b=3)
        """)
    assert module.first.run(1, 2).result() == (1, 2)
    assert set(states(module.renamed.run(1, 2)).values()) == {"reused"}
    assert module.swapped.run(1, 2).result() == (2, 1)
    assert module.constant.run(1).result() == (1, 2)
    assert module.other_constant.run(1).result() == (1, 3)


def test_a_step_that_is_not_called_cannot_be_refreshed(project, flow):
    with pytest.raises(NoStepToRefresh, match="one calls no step 'pairty'") as refused:
        flow.one.options(refresh="pairty").run(1)
    assert refused.value.hint == "Its steps are load, parity, total."
    assert not (project.folder / "home" / "weft.db").exists() or weft.list_runs() == []


def damage(path, how: str) -> None:
    content = bytearray(path.read_bytes())
    if how == "gone":
        path.unlink()
    elif how == "cut":
        path.write_bytes(content[: len(content) // 2])
    else:
        content[len(content) // 3] ^= 4
        path.write_bytes(content)


@pytest.mark.parametrize(
    "value", ["data", "[np.frombuffer(data, np.uint8)]"]
)  # one blob; and one with a part
@pytest.mark.parametrize("how", ["gone", "cut", "one bit"])
def test_a_cached_result_that_is_gone_or_damaged_is_a_miss(project, how, value):
    project.write("pyproject.toml", '[tool.weft]\nexecutor = "inline"\ncache = true\n')
    module = project.module(
        """
        import random
        import numpy as np

        @step
        def big(i, size):
            data = random.Random(i).randbytes(size)
            return VALUE

        @step
        def measure(data):
            return len(data)

        @workflow
        def many(n: int, size: int):
            return [measure(big(i, size)) for i in range(n)]
        """.replace("VALUE", value)
    )
    first = module.many.run(20, 30_000)
    blobs = [path for path in (project.home / "artifacts").rglob("*") if path.is_file()]
    large = [path for path in blobs if path.stat().st_size >= 30_000]
    assert len(large) == 20
    hit = random.Random(0).sample(large, 13)
    for path in hit:
        damage(path, how)
    run = module.many.run(20, 30_000)
    assert run.result() == first.result()
    kinds = [task.state for task in run.tasks() if task.path.startswith("big")]
    assert (kinds.count("succeeded"), kinds.count("reused")) == (13, 7)
    assert {task.state for task in run.tasks() if task.path.startswith("measure")} == {"reused"}
    again = module.many.run(20, 30_000)
    assert {task.state for task in again.tasks()} == {"reused"}


def test_a_dry_run_with_reuse_shows_the_plan_and_starts_nothing(project, flow):
    run = flow.one.run(1)
    count = len(list(weft.list_runs()))
    shown = project.weft("run", f"{flow.__name__}.py:one", "n=2", "--reuse", run.id, "--dry-run")
    assert shown.returncode == 0
    assert "parameter n 1 → 2" in shown.stderr
    assert "takes" in shown.stderr
    assert len(list(weft.list_runs())) == count
    refused = project.weft("run", f"{flow.__name__}.py:one", "n=2", "--dry-run")
    assert refused.returncode == 2
    assert "--reuse" in refused.stdout + refused.stderr
