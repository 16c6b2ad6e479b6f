"""A run whose driver is gone shows as interrupted: at once on this host, after its lease elsewhere. Never for ever."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest
from tests.client.project import until
from tests.store.builders import accept

import weft
from weft.client.home import RunAlive
from weft.client.owners import is_dead, this_owner
from weft.clock import SystemClock
from weft.model.records import Owner
from weft.store.database import open_database
from weft.store.runs import RunNotFound, Runs

FLOW = """
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


@pytest.fixture
def driver(project):
    """A driver at work, with a lease of two seconds."""
    project.write("pyproject.toml", "[tool.weft]\nlease_ms = 2000\nheartbeat_ms = 200\n")
    project.module(FLOW, "flow")
    process = project.start_weft("run", "flow.py", "n=1")
    until((project.folder / "held").exists, 60)
    return process


def kill(process) -> None:
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()


def seize(project, **owner: object) -> None:
    """Write another owner into the run's row."""
    with closing(sqlite3.connect(project.home / "weft.db", isolation_level=None)) as connection:
        [[text]] = connection.execute("select owner from runs").fetchall()
        fields = dict(zip(Owner.__struct_fields__, json.loads(text), strict=True)) | owner
        connection.execute("update runs set owner = ?", [json.dumps(list(fields.values()))])


def test_a_killed_driver_on_this_host_shows_at_once_and_resume_works_at_once(project, driver):
    kill(driver)
    assert weft.get_run().state == "interrupted"
    assert weft.list_runs(state="interrupted")[0].id == weft.get_run().id
    assert "interrupted" in project.weft("ls").stdout
    (project.folder / "go").touch()
    assert project.weft("resume").returncode == 0
    assert weft.get_run().result() == 4


def test_a_driver_elsewhere_is_given_its_lease_and_not_more(project, driver):
    kill(driver)
    seize(project, host="elsewhere", pid=4242)
    run = weft.get_run()
    lease_ms = run.record.lease_until_ms
    if time.time() * 1000 < lease_ms - 500:
        assert run.state == "running"
        with pytest.raises(RunAlive, match="process 4242 on elsewhere"):
            run.resume()
    until(lambda: weft.get_run().state == "interrupted", 10)
    assert time.time() * 1000 >= lease_ms
    (project.folder / "go").touch()
    ended = project.weft("resume")
    assert ended.returncode == 0, ended.stderr
    assert weft.get_run().result() == 4


def test_with_a_live_driver_resume_is_refused_by_name(project, driver):
    ended = project.weft("resume")
    assert ended.returncode == 2
    assert f"process {driver.pid} on {os.uname().nodename}" in ended.stderr
    (project.folder / "go").touch()
    driver.communicate()
    assert weft.get_run().state == "succeeded"


def test_a_frozen_driver_loses_its_run_and_can_change_nothing_when_it_thaws(project, driver):
    os.kill(driver.pid, signal.SIGSTOP)
    until(lambda: weft.get_run().state == "interrupted", 30)
    (project.folder / "go").touch()
    run = weft.get_run().resume().wait(60)
    assert run.result() == 4
    before = (run.journal(), run.record.journal_head)
    os.kill(driver.pid, signal.SIGCONT)
    _, err = driver.communicate(timeout=60)
    assert driver.returncode != 0
    assert "no longer the current one" in err
    again = weft.get_run()
    assert (again.journal(), again.record.journal_head) == before
    assert again._home.database.journal.verify(run.id) == len(before[0])


def test_a_run_that_is_deleted_while_it_is_claimed_is_not_found(project, monkeypatch):
    run = project.module(FLOW).holds.start(1)
    until((project.folder / "held").exists, 60)
    run.stop()
    run.wait()
    home = weft.get_run()._home
    claim = Runs.claim

    def claim_late(self, name, *args, **options):
        lease = claim(self, name, *args, **options)
        with closing(sqlite3.connect(project.home / "weft.db", isolation_level=None)) as connection:
            connection.execute("update runs set lease_until_ms = 0")
        home.database.runs.delete(name)
        return lease

    monkeypatch.setattr(Runs, "claim", claim_late)
    with pytest.raises(RunNotFound, match=run.id):
        weft.get_run().resume()


def test_an_owner_is_dead_only_where_that_is_sure():
    here = this_owner()
    assert not is_dead(here)
    assert is_dead(None)
    gone = os.fork()
    if gone == 0:
        os._exit(0)
    os.waitpid(gone, 0)
    boot, _, _namespace = here.boot.partition(" ")
    for owner, dead in [
        (Owner(here.host, gone, here.boot, here.started_ms), True),  # no such process
        (Owner(here.host, here.pid, here.boot, here.started_ms - 1), True),  # its id was taken again
        (Owner(here.host, here.pid, "another boot", here.started_ms), True),
        (
            Owner(here.host, here.pid, boot, here.started_ms),
            False,
        ),  # written before containers were told apart
        (Owner(here.host, 1, f"{boot} pid:[1]", 1), False),  # in a container that nobody here sees into
        (Owner("elsewhere", here.pid, here.boot, 1), False),
    ]:
        assert is_dead(owner) is dead, owner


OTHER = """
import sys
from weft.clock import SystemClock
from weft.store.database import open_database
with open_database(sys.argv[1], SystemClock()) as database:
    database.runs.disown_all()
"""


def test_opening_a_database_again_takes_no_locks_from_those_who_have_it_open(tmp_path):
    place = tmp_path / "weft.db"
    with open_database(place, SystemClock()) as first:
        accept(first, "0one")
        open_database(place, SystemClock()).close()
        # A process that believes to be the last one takes the log away when it leaves.
        subprocess.run([sys.executable, "-c", OTHER, str(place)], check=True, timeout=60)
        assert (tmp_path / "weft.db-wal").exists()
        accept(first, "0two")
    with open_database(place, SystemClock()) as again:
        assert again.runs.count() == 2
