"""A home that is deleted, moved or replaced under a run: the run stops and says so."""

from __future__ import annotations

import pytest
from tests.client.project import until

import weft
from weft.errors import StoredDataError

FLOW = """
    @step
    def held(n):
        Path("held").touch()
        while not Path("go").exists():
            time.sleep(0.01)
        return n

    @workflow
    def holds(n: int):
        return held(n) + held(n)
    """


def test_the_run_stops_with_what_where_and_what_to_do(project):
    project.module(FLOW, "flow")
    process = project.start_weft("run", "flow.py", "n=1")
    until((project.folder / "held").exists)
    project.home.rename(project.folder / "elsewhere")
    (project.folder / "go").touch()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 3, out + err
    assert f"the database {project.home}/weft.db was deleted, moved or replaced while it was in use" in err
    assert "Put its folder back" in err
    assert "Traceback" not in err
    # And that works: nothing but the end of the cut-off task is missing.
    for left in sorted(project.home.rglob("*"), reverse=True) if project.home.exists() else ():
        left.rmdir() if left.is_dir() else left.unlink()
    if project.home.exists():
        project.home.rmdir()
    (project.folder / "elsewhere").rename(project.home)
    ended = project.weft("resume")
    assert ended.returncode == 0, ended.stderr
    assert weft.get_run().result() == 2


def test_a_step_that_runs_for_long_does_not_hide_it(project):
    project.write("pyproject.toml", "[tool.weft]\nheartbeat_ms = 100\n")
    flow = project.module(FLOW)
    run = flow.holds.start(1)
    until((project.folder / "held").exists)
    project.home.rename(project.folder / "elsewhere")
    with pytest.raises(StoredDataError, match="was deleted, moved or replaced"):
        run.wait(timeout=60)
    assert run.is_over
