"""Failures of the infrastructure and of the user's code are counted apart, each by its own budget."""

from __future__ import annotations

import os
import signal

import pytest
from tests.client.project import until

import weft
from weft.errors import OutOfMemory, WorkerLost
from weft.model.records import failure_from_bytes

FLOW = """
    from weft import current

    @step(retries=RETRIES, backoff="1ms")
    def work(script):
        with open("attempts.txt", "a") as file:
            file.write(f"{current().attempt}\\n")
        tried = len(open("attempts.txt").readlines())
        match script[tried - 1]:
            case "l":
                os._exit(9)
            case "k":
                os.kill(os.getpid(), 9)
            case "p":
                os.kill(os.getpid(), 15)
                time.sleep(60)
            case "u":
                raise OSError(tried)
            case "n":
                raise ValueError(tried)
            case "w":
                Path("waits").touch()
                time.sleep(60)
        return tried

    @workflow
    def works(script: str):
        return work(script)
    """


def flow(project, retries: int):
    return project.module(FLOW.replace("RETRIES", str(retries)), "flow")


def kinds(run) -> list[str]:
    """Return the kinds of the failures that did not count, in order."""
    return [
        failure_from_bytes(each.failure).kind for each in run._home.database.tasks.attempts_of_run(run.id)
    ]


# l: the worker leaves; k: killed; p: preempted; u: the user's failure; .: success.
@pytest.mark.parametrize(
    ("script", "retries"), [("l.", 0), ("k.", 0), ("p.", 0), ("lk.", 0), ("lukp"[:3] + ".", 1), ("uu.", 2)]
)
def test_what_the_budgets_allow_succeeds(project, script, retries):
    assert flow(project, retries).works.run(script).result() == len(script)
    names = {"l": "lost", "k": "lost", "p": "preempted", "u": "user"}
    assert kinds(weft.get_run()) == [names[each] for each in script[:-1]]
    assert weft.get_run().task("work").attempts == len(script)


@pytest.mark.parametrize(
    ("script", "retries", "error"),
    [
        ("u.", 0, OSError),
        ("uu.", 1, OSError),
        ("lulu.", 1, OSError),
        ("lll.", 5, WorkerLost),
        ("kkk.", 0, WorkerLost),
    ],
)
def test_what_is_beyond_a_budget_is_the_tasks_failure(project, script, retries, error):
    with pytest.raises(error):
        flow(project, retries).works.run(script)
    assert len(project.lines("attempts.txt")) == len(script) - 1


def test_the_budget_of_losses_is_the_profiles(project):
    project.write(
        "pyproject.toml", "[tool.weft]\nlosses_max = 0\n[tool.weft.profiles.spot]\nlosses_max = 4\n"
    )
    works = flow(project, 3).works
    with pytest.raises(WorkerLost):
        works.run("l.")
    (project.folder / "attempts.txt").unlink()
    assert works.options(profile="spot").run("llll.").result() == 5


def test_a_lost_worker_under_glue_costs_nothing(project):
    module = project.module("""
        @step
        def one():
            return 1

        def fragile(n):
            if not Path("fell").exists():
                Path("fell").touch()
                os._exit(3)
            return n + 1

        @workflow
        def glues():
            a = one()
            b = fragile(a)
            return one() + b
        """)
    assert module.glues.run().result() == 3


def test_out_of_memory_without_a_range_is_tried_as_often_as_other_losses(project):
    module = project.module("""
        @step(memory="120MiB")
        def eats():
            with open("attempts.txt", "a") as file:
                file.write("x\\n")
            hold = bytearray(300 << 20)
            time.sleep(5)

        @workflow
        def eating():
            try:
                eats()
            except MemoryError:
                return "too much"
        """)
    assert module.eating.run().result() == "too much"
    run = weft.get_run()
    assert kinds(run) == ["memory", "memory"]
    assert run.task("eats").failure.kind == "memory"
    assert issubclass(OutOfMemory, MemoryError)
    assert len(project.lines("attempts.txt")) == 3


def test_attempts_and_budgets_live_on_when_the_driver_dies(project):
    flow(project, 2)
    driver = project.start("-c", "import flow; flow.works.run('uwuu.')")
    until((project.folder / "waits").exists, 60)
    until(lambda: weft.get_run().task("work").state == "running", 60)
    os.kill(driver.pid, signal.SIGKILL)
    driver.communicate()
    run = weft.get_run().resume().wait()
    # u, then w which was cut off and is nobody's failure, then u, u: the third failure is one too many.
    assert run.state == "failed"
    assert project.lines("attempts.txt") == ["1", "2", "3", "4"]
    assert kinds(run) == ["user", "user"]


def test_a_retry_that_was_due_when_the_driver_died_is_a_retry_and_not_blamed_on_the_driver(project):
    module = project.module("""
        @step(retries=1, backoff="2s")
        def once():
            Path("failed").touch()
            if not Path("go").exists():
                raise OSError("not yet")
            return 1

        @workflow
        def tries():
            return once()
        """)
    driver = project.start("-c", f"import {module.__name__} as flow; flow.tries.run()")
    until((project.folder / "failed").exists, 60)
    until(lambda: "retrying" in [task.state for task in weft.get_run().tasks()], 60)
    driver.kill()
    driver.communicate()
    (project.folder / "go").touch()
    run = weft.get_run().resume().wait()
    assert run.result() == 1
    assert run.why("once").cause == "retried"
    assert any("OSError: not yet" in line for line in run.why("once").details)
