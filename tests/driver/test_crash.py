"""Kill the driver, then resume: what was recorded is kept, what was not runs again, nothing else."""

from __future__ import annotations

import os
import random
import signal
import time

import pytest
from tests.client.project import until

import weft
from weft.client.home import RunAlive

# Each task appends its name once it begins; a task that is recorded as ended must never be there again.
FLOW = """
    from weft import current

    def note():
        name = current().task or "plain"
        with open("effects.txt", "a") as file:
            file.write(name + "\\n")

    @step
    def load(i):
        note()
        time.sleep(0.01)
        return list(range(i + 1))

    @step
    def scale(rows, by):
        note()
        time.sleep(0.01)
        if by == 3:
            raise ValueError(len(rows))
        return [row * by for row in rows]

    @step
    def total(parts):
        note()
        return sum(map(sum, parts))

    @step
    def tidy(n):
        note()
        return n

    @workflow
    def crash(n: int):
        loaded = [load(i) for i in range(n)]
        parts = []
        for rows in loaded:
            try:
                parts.append(scale(rows, 3 if len(rows) == 2 else 2))
            except ValueError as error:
                parts.append([error.args[0]])
            finally:
                done = tidy(len(rows))
        if done > 2:
            return total(parts), done
        return None
    """
MAIN = "import sys, flow; flow.crash.run(int(sys.argv[1]))"
N = 4


@pytest.fixture
def flow(project):
    return project.module(FLOW, "flow")


def recorded(run) -> set[str]:
    return {task.path for task in run.tasks() if task.state in ("succeeded", "failed")}


def kill(process) -> None:
    """Kill a driver as the kernel does when memory is out: without a word."""
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()


@pytest.mark.parametrize("seed", range(5))
def test_a_killed_driver_loses_nothing_and_repeats_nothing_recorded(project, flow, seed):
    dice = random.Random(seed)
    after = dice.randrange(1, 3 * N)
    process = project.start("-c", MAIN, str(N))
    until(lambda: len(project.lines("effects.txt")) >= after)
    kill(process)
    run = weft.get_run()
    if run.state == "succeeded":
        pytest.skip("it was faster than the signal")
    assert run.state == "interrupted"  # at once: nobody waits for a lease to end
    assert [found.id for found in weft.list_runs(state="interrupted")] == [run.id]
    before = {task.path: task.attempts for task in run.tasks() if task.path in recorded(run)}
    ran = project.lines("effects.txt")
    again = weft.get_run().resume()
    again.wait()
    log = project.lines("effects.txt")[len(ran) :]
    assert again.id == run.id
    assert again.state == "succeeded"
    assert again.result() == flow.crash(N)
    tasks = {task.path: task for task in again.tasks()}
    assert {path: tasks[path].attempts for path in before} == before
    assert [path for path in before if path in log] == []  # recorded, so it did not run again
    assert run._home.database.journal.verify(run.id) > 0


def test_a_driver_killed_again_and_again_comes_to_the_end(project, flow):
    dice = random.Random(7)
    # A run that had ended before the signal came is not continued: that would be another run.
    resume = "from weft import get_run as g; g().state == 'interrupted' and g().resume().wait()"
    process = project.start("-c", MAIN, "10")
    until(lambda: weft.list_runs())
    for _ in range(4):
        done, poll = len(project.lines("effects.txt")), process.poll
        until(lambda done=done, poll=poll: len(project.lines("effects.txt")) > done or poll() is not None)
        if poll() is not None:
            break
        time.sleep(dice.random() / 20)
        kill(process)
        process = project.start("-c", resume)
    process.communicate()
    [run] = weft.list_runs()
    assert run.state == "succeeded"
    assert run.result() == flow.crash(10)
    assert run._home.database.journal.verify(run.id) > 0


HELD = """
    @step
    def first(n):
        return n + 1

    @step
    def held(n):
        Path("held").touch()
        while not Path("go").exists():
            time.sleep(0.01)
        return n * 2

    @workflow
    def holds(n: int):
        return held(first(n))
    """


def test_a_run_with_a_live_driver_is_not_resumed_and_the_driver_is_named(project):
    project.module(HELD, "flow")
    process = project.start("-c", "import flow; flow.holds.run(1)")
    until((project.folder / "held").exists)
    run = weft.get_run()
    assert run.state == "running"
    with pytest.raises(RunAlive) as refused:
        run.resume()
    assert f"process {process.pid} on " in str(refused.value)
    assert run.id in str(refused.value)
    ended = project.weft("resume")
    assert ended.returncode == 2
    assert str(process.pid) in ended.stderr
    # Watching from outside sees the tasks that take long.
    until(lambda: [task.state for task in run.tasks()] == ["succeeded", "running"])
    (project.folder / "go").touch()
    process.communicate()
    assert weft.get_run().wait(90).result() == 4


def test_cancel_from_another_process_is_heard(project):
    project.module(HELD, "flow")
    process = project.start("-c", "import flow; flow.holds.run(1)")
    until((project.folder / "held").exists)
    weft.get_run().cancel()
    process.communicate(timeout=90)
    run = weft.get_run()
    assert run.state == "cancelled"
    assert [task.state for task in run.tasks()] == ["succeeded", "cancelled"]


def test_a_killed_drivers_workers_end(project):
    project.module(HELD.replace('Path("held").touch()', 'Path("held").write_text(str(os.getpid()))'), "flow")
    process = project.start("-c", "import flow; flow.holds.run(1)")
    until(lambda: project.lines("held"))
    worker = int(project.lines("held")[0])
    kill(process)
    until(lambda: not os.path.exists(f"/proc/{worker}"))


def test_an_interrupted_run_goes_on_with_the_code_that_it_had(project):
    module = project.module(HELD, "flow")
    process = project.start("-c", "import flow; flow.holds.run(1)")
    until((project.folder / "held").exists)
    kill(process)
    (project.folder / "go").touch()
    project.edit(module, "n * 2", "n * 1000")
    ended = project.weft("resume")
    assert ended.returncode == 0, ended.stderr
    assert weft.get_run().result() == 4
    assert weft.get_run().state == "succeeded"


def test_an_interrupted_run_takes_no_other_parameters(project):
    project.module(HELD, "flow")
    process = project.start("-c", "import flow; flow.holds.run(1)")
    until((project.folder / "held").exists)
    kill(process)
    run = weft.get_run()
    ended = project.weft("resume", "n=5")
    assert ended.returncode == 2
    assert f"run {run.id} was interrupted" in ended.stderr
    assert f"weft cancel {run.id}" in ended.stderr
    # Cancelled by the command, without a driver: it is driven to its end.
    assert project.weft("cancel").returncode == 0
    assert weft.get_run().state == "cancelled"
