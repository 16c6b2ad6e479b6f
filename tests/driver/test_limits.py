"""``limit`` and ``mutex`` hold across runs and processes, and are free again when their holder dies."""

from __future__ import annotations

import os
import signal

import pytest
from tests.client.project import until

import weft
from weft.driver.slots import LimitTooSmall, Slots

FLOW = """
    from weft import limit, mutex

    @step
    def use(name, seconds):
        start = time.time()
        Path(f"{name}.in").touch()
        time.sleep(seconds)
        while name.endswith("-held") and not Path("go").exists():
            time.sleep(0.01)
        with open("spans.txt", "a") as file:
            file.write(f"{start} {time.time()}\\n")
        return name

    @workflow
    def alone(name: str, seconds: float = 0.3):
        with mutex("table"):
            return use(name, seconds)

    @workflow
    def pooled(name: str, seconds: float = 0.3, slots: int = 1):
        with limit("pool", slots=1):
            return use(name, seconds)

    @workflow
    def twice(name: str):
        first = use(name, 0.1)
        if first:
            with mutex("table"):
                second = use(first + "2", 0.0)
        with mutex("table"):
            return use(second + "3", 0.0)

    @workflow
    def both(name: str):
        with limit("pool", slots=2):
            return use(name, 0.0)
    """


def most_at_once(project) -> int:
    """Return how many steps were inside at the same time."""
    edges = []
    for line in project.lines("spans.txt"):
        start, end = map(float, line.split())
        edges += [(start, 1), (end, -1)]
    inside = most = 0
    for _, change in sorted(edges):
        inside += change
        most = max(most, inside)
    return most


@pytest.mark.parametrize(("workflow", "capacity", "most"), [("alone", None, 1), ("pooled", 2, 2)])
def test_a_limit_holds_across_processes(project, workflow, capacity, most):
    project.module(FLOW, "flow")
    if capacity:
        project.write("pyproject.toml", f"[tool.weft.limits]\npool = {capacity}\n")
    processes = [project.start_weft("run", f"flow.py:{workflow}", f"name={n}", "-q") for n in range(3)]
    ends = [process.communicate(timeout=90) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], ends
    assert len(project.lines("spans.txt")) == 3
    assert most_at_once(project) <= most


def test_a_limit_that_can_never_be_had_is_refused_with_the_setting(project):
    flow = project.module(FLOW, "flow")
    with pytest.raises(
        LimitTooSmall, match="'pool' has 1 slots in all, and the workflow asks for 2"
    ) as raised:
        flow.both.run("x")
    assert '"pool" = 2' in raised.value.hint
    project.write("pyproject.toml", "[tool.weft.limits]\npool = 2\n")
    assert flow.both.run("x").result() == "x"


def test_a_run_does_not_hold_the_slots_that_it_waits_for(project):
    flow = project.module(FLOW, "flow")
    run = flow.twice.start("a").wait(30)
    assert run.state == "succeeded"
    assert run.result() == "a23"


def test_a_killed_holder_frees_its_slots(project):
    flow = project.module(FLOW, "flow")
    holder = project.start_weft("run", "flow.py:alone", "name=a", "seconds=60", "-q")
    until((project.folder / "a.in").exists)
    run = flow.alone.start("b", 0.0)
    until(lambda: run.state == "running")
    assert not (project.folder / "b.in").exists()
    os.kill(holder.pid, signal.SIGKILL)
    holder.communicate()
    assert run.wait(90).result() == "b"


def test_a_cancelled_wait_for_a_limit_ends(project):
    flow = project.module(FLOW, "flow")
    holder = flow.alone.start("a-held", 0.0)
    until((project.folder / "a-held.in").exists)
    waiting = flow.alone.start("b", 0.0)
    until(lambda: weft.get_run(waiting.id).state == "running")
    waiting.cancel()
    assert waiting.wait(90).state == "cancelled"
    (project.folder / "go").touch()
    assert holder.wait().result() == "a-held"
    assert not (project.folder / "b.in").exists()


def test_slots_are_given_whole_or_not_at_all(tmp_path):
    first, second = Slots(tmp_path, {"pool": 3}), Slots(tmp_path, {"pool": 3})
    first.ask(1, "pool", 2)
    second.ask(1, "pool", 2)
    assert first.grant() == [1]
    assert second.grant() == []
    assert second.is_waiting
    first.ask(2, "pool", 1)  # what the second could not use is not kept from others
    assert first.grant() == [2]
    first.release(1)
    assert second.grant() == [1]
    first.close()
    second.close()
