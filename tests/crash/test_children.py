"""Cancel, timeout and the driver's death reach every process that a step started; ``finally`` blocks run."""

from __future__ import annotations

import os
import random
import signal
import sys
import time

import pytest
from tests.client.project import until

import weft

pytestmark = [pytest.mark.skipif(sys.platform != "linux", reason="needs /proc"), pytest.mark.slow]

# A step with a child of each kind. Each writes its process id, and would live for a minute.
FLOW = """
    import signal, subprocess, sys

    def sleeper(name, deaf=False):
        if deaf:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        fresh = Path(f"{name}.new")
        fresh.write_text(str(os.getpid()))
        fresh.rename(f"{name}.pid")
        time.sleep(60)
        os._exit(0)

    def fork(work, *arguments, **options):
        if os.fork() == 0:
            work(*arguments, **options)
            os._exit(0)

    def own_session(then):
        os.setsid()
        then()

    def twice():
        os.setsid()
        fork(sleeper, "daemon", deaf=True)

    @step(OPTIONS)
    def family(n):
        fork(sleeper, "child")
        fork(sleeper, "deaf", deaf=True)
        fork(own_session, lambda: sleeper("session"))
        fork(twice)
        subprocess.Popen([sys.executable, "-c", "import time, os; open('program.pid', 'w').write(str(os.getpid())); time.sleep(60)"])
        fork(lambda: own_session(lambda: fork(own_session, lambda: sleeper("deep"))))
        try:
            time.sleep(60)
        finally:
            if DEAF:
                time.sleep(60)

    @step
    def tidy(n):
        Path("tidied").write_text(str(n))

    @workflow
    def families(n: int):
        try:
            family(n)
        finally:
            tidy(n)
    """
CANCELS = int(os.environ.get("WEFT_CANCELS", "0"))
KINDS = ("child", "deaf", "session", "daemon", "program", "deep")


def start(project, options: str = "", deaf: bool = False):
    project.module(FLOW.replace("OPTIONS", options).replace("DEAF", str(deaf)), "flow")
    process = project.start_weft("run", "flow.py", "n=7")
    until(lambda: all(project.lines(f"{kind}.pid") for kind in KINDS), 60)
    return process, {kind: int(project.lines(f"{kind}.pid")[0]) for kind in KINDS}


def is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except (FileNotFoundError, ProcessLookupError):
        return False


def living(children: dict[str, int]) -> list[str]:
    return [kind for kind, pid in children.items() if is_alive(pid)]


@pytest.mark.slow
@pytest.mark.skipif(
    CANCELS == 0, reason="the longer form: WEFT_CANCELS=50 cancels at drawn moments, of six children each"
)
@pytest.mark.timeout(60 + 10 * CANCELS)
def test_many_cancels_at_drawn_moments_leave_no_child(project):
    dice = random.Random(1)
    for _ in range(CANCELS):
        for kind in KINDS:
            (project.folder / f"{kind}.pid").unlink(missing_ok=True)
        process, children = start(project, deaf=dice.random() < 0.3)
        time.sleep(dice.uniform(0, 0.5))
        weft.get_run().cancel()
        process.communicate(timeout=60)
        assert weft.get_run().state == "cancelled"
        assert living(children) == []
        assert project.lines("tidied") == ["7"]
        (project.folder / "tidied").unlink()


@pytest.mark.parametrize("deaf", [False, True], ids=["willing", "deaf"])
def test_cancel_ends_all_children_and_finally_runs(project, deaf):
    process, children = start(project, deaf=deaf)
    assert living(children) == list(KINDS)
    weft.get_run().cancel()
    process.communicate(timeout=60)
    run = weft.get_run()
    assert run.state == "cancelled"
    assert living(children) == []
    assert project.lines("tidied") == ["7"]
    assert {task.path: task.state for task in run.tasks()} == {"family": "cancelled", "tidy": "succeeded"}


@pytest.mark.parametrize("deaf", [False, True], ids=["willing", "deaf"])
def test_timeout_ends_all_children_before_the_run_goes_on(project, deaf):
    process, children = start(project, 'timeout="3s"', deaf=deaf)
    process.communicate(timeout=60)
    run = weft.get_run()
    assert run.state == "failed"
    assert run.failure.kind == "timeout"
    assert living(children) == []
    assert project.lines("tidied") == ["7"]


def test_the_drivers_death_ends_all_children(project):
    process, children = start(project)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    until(lambda: not living(children), 30)


def test_a_stop_of_the_command_ends_all_children_and_finally_waits_for_the_resume(project):
    process, children = start(project)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert living(children) == []
    assert weft.get_run().state == "interrupted"
    assert project.lines("tidied") == []


def test_a_cancelled_run_whose_driver_died_runs_finally_when_it_is_taken_up(project):
    process, children = start(project)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    until(lambda: not living(children), 30)
    assert project.weft("cancel").returncode == 0
    assert weft.get_run().state == "cancelled"
    assert project.lines("tidied") == ["7"]
