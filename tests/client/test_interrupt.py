"""Ctrl-C: once stops cleanly, twice at once; both leave a run that can be resumed, and say how."""

from __future__ import annotations

import signal

import pytest
from tests.client.project import until

import weft

FLOW = """
    @step
    def first(n):
        return n + 1

    @step
    def held(n):
        Path("held").touch()
        try:
            while not Path("go").exists():
                time.sleep(0.01)
        finally:
            if Path("stubborn").exists():
                while not Path("go").exists():
                    time.sleep(0.01)
        return n * 2

    @workflow
    def holds(n: int):
        try:
            return held(first(n))
        finally:
            tidy()

    @step
    def tidy():
        Path("tidied").touch()

    if __name__ == "__main__":
        holds.run(1)
    """


@pytest.fixture
def held(project):
    project.module(FLOW, "flow")
    return project


def goes_on(project) -> None:
    """Check that the latest run is interrupted, and that resuming it comes to the end."""
    run = weft.get_run()
    assert run.state == "interrupted"
    assert not (project.folder / "tidied").exists()  # stopped is not cancelled
    (project.folder / "go").touch()
    again = run.resume().wait()
    assert (again.id, again.result()) == (run.id, 4)
    assert (project.folder / "tidied").exists()


def test_once_stops_cleanly_with_130_and_prints_the_command(held):
    process = held.start_weft("run", "flow.py", "n=1")
    until((held.folder / "held").exists)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=90)
    assert process.returncode == 130
    assert "Stopping: what runs is cut off, what has ended is kept." in err
    assert f"interrupted; continue with: weft resume {weft.get_run().id}" in err
    assert "Traceback" not in err
    goes_on(held)


def test_twice_stops_at_once_also_where_a_step_does_not_let_go(held):
    (held.folder / "stubborn").touch()
    process = held.start_weft("run", "flow.py", "n=1")
    until((held.folder / "held").exists)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    while "Stopping" not in process.stderr.readline():
        pass
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=90)
    # The second signal may also meet the last instants of a process that has stopped already.
    assert process.returncode in (130, -signal.SIGINT)
    assert f"continue with: weft resume {weft.get_run().id}" in err
    goes_on(held)


def test_a_terminated_command_stops_cleanly_too(held):
    process = held.start_weft("run", "flow.py", "n=1")
    until((held.folder / "held").exists)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=90)
    assert process.returncode == 130
    goes_on(held)


def test_a_script_that_is_interrupted_names_run_and_command(held):
    process = held.start("flow.py")
    until((held.folder / "held").exists)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=90)
    assert process.returncode in (130, -signal.SIGINT)
    run = weft.get_run()
    assert "KeyboardInterrupt" in err
    assert f"run {run.id} is interrupted; continue with: weft resume {run.id}" in err
    assert run.state == "interrupted"
    (held.folder / "go").touch()
    assert held.weft("resume").returncode == 0
    assert weft.get_run(run.id).result() == 4


def test_stop_leaves_the_run_to_be_resumed(project):
    flow = project.module("""
        @step
        def slow(folder, i):
            if i == 1 and not Path(folder, "go").exists():
                Path(folder, "held").touch()
                time.sleep(60)
            return i

        @workflow
        def slows(folder):
            return [slow(folder, i) for i in range(3)]
        """)
    run = flow.slows.start(str(project.folder))
    until((project.folder / "held").exists)
    run.stop()
    run.wait()
    assert run.state == "interrupted"
    (project.folder / "go").touch()
    again = run.resume()
    assert again.wait().result() == [0, 1, 2]
    assert again.id == run.id
