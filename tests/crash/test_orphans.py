"""What a driver holds for its workers is nobody's before the last of them is gone, whoever of them dies first."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress

import pytest
from tests.client.project import until

from weft.client.owners import process_started
from weft.driver.slots import Slots
from weft.executors.guard import hold

FLOW = """
    from weft import mutex

    @step
    def held(n):
        Path("held").write_text(f"{os.getpid()} {os.getppid()}")
        while not Path("go").exists():
            time.sleep(0.01)
        return n

    @workflow
    def alone(n: int):
        with mutex("table"):
            return held(n)
    """

pytestmark = [pytest.mark.skipif(sys.platform != "linux", reason="needs /proc"), pytest.mark.slow]


def is_free(project) -> bool:
    """Return whether somebody else could have the slot now."""
    slots = Slots(project.home / "limits", {})
    slots.ask(1, "table", 1)
    granted = slots.grant()
    slots.close()
    return bool(granted)


@pytest.fixture
def driver(project):
    project.module(FLOW, "flow")
    process = project.start_weft("run", "flow.py", "n=1")
    until(lambda: len(project.lines("held")) == 1, 60)
    return process


def processes(project) -> tuple[int, int]:
    """Return the worker at work and its nursery."""
    worker, nursery = map(int, (project.folder / "held").read_text().split())
    return worker, nursery


def open_files(pid: int) -> set[str]:
    found = set()
    for name in os.listdir(f"/proc/{pid}/fd"):
        with suppress(OSError):
            found.add(os.readlink(f"/proc/{pid}/fd/{name}"))
    return found


def test_the_processes_of_a_driver_hold_its_guard_until_they_are_gone(project, driver):
    worker, nursery = processes(project)
    [guard] = map(str, (project.home / "limits" / "at-work").iterdir())
    assert guard in open_files(worker)
    assert guard in open_files(nursery)
    assert guard not in open_files(driver.pid)
    driver.kill()
    driver.communicate()
    until(lambda: is_free(project), 60)
    assert process_started(worker) == 0


def test_a_slot_is_not_free_while_a_worker_of_its_dead_holder_is_at_work(tmp_path):
    guard = str(tmp_path / "guard")
    held, go = os.pipe(), os.pipe()
    orphan = os.fork()
    if orphan == 0:
        hold(guard)
        os.write(held[1], b".")
        os.read(go[0], 1)
        os._exit(0)
    os.read(held[0], 1)
    dead, other = Slots(tmp_path, {}, guard), Slots(tmp_path, {})
    dead.ask(1, "table", 1)
    assert dead.grant() == [1]
    for file in dead._held.pop(1):
        os.close(file)  # as the kernel does when it dies
    other.ask(1, "table", 1)
    assert other.grant() == []
    os.write(go[1], b".")
    os.waitpid(orphan, 0)
    assert other.grant() == [1]
    other.close()
    for end in (*held, *go):
        os.close(end)


def test_a_run_takes_its_own_slot_again(project, driver):
    driver.kill()
    driver.communicate()
    (project.folder / "go").touch()
    assert project.weft("resume").returncode == 0
    assert is_free(project)
    assert list((project.home / "limits" / "at-work").iterdir()) == []


def test_a_slot_is_free_when_driver_and_nursery_and_with_them_the_worker_are_gone(project, driver):
    worker, nursery = processes(project)
    assert not is_free(project)
    for pid in (driver.pid, nursery):
        os.kill(pid, signal.SIGKILL)
    driver.communicate()
    until(lambda: is_free(project), 60)
    assert process_started(worker) == 0
