"""PostgreSQL goes away under live runs, and networks cut: no running step is lost, nothing is lost or doubled."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from typing import Any

import psycopg
import pytest
from tests.client.project import until
from tests.conftest import PostgresServer
from tests.crash.chaos import Blow, World, report, storm
from tests.crash.proxy import PLACES, Proxy
from tests.store.builders import accept, ended, task

import weft
from weft.client.owners import this_owner
from weft.clock import SystemClock
from weft.store.database import open_database
from weft.store.postgres import split_address

# The longer forms: WEFT_CUTS_OF_NETWORK=1000, WEFT_OUTAGES=100.
CUTS = int(os.environ.get("WEFT_CUTS_OF_NETWORK", "60"))
OUTAGES = int(os.environ.get("WEFT_OUTAGES", "4"))
LEASE_S = 2.0
WAYS = ("fast stop", "immediate stop", "kill -9 of the driver's backend")
FLOW = """
    @step
    def held(n):
        with open("ran.txt", "a") as file:
            file.write(f"{n}\\n")
        while not Path("go").exists():
            time.sleep(0.01)
        return n * 2

    @step
    def add(numbers):
        return sum(numbers)

    @workflow
    def holds(n: int):
        return add([held(n), held(n + 1)])
    """

pytestmark = [pytest.mark.skipif(sys.platform != "linux", reason="needs /proc"), pytest.mark.slow]


@pytest.fixture
def driver(project, postgres_address):
    """A driver with two steps at work, its database on PostgreSQL."""
    project.write(
        "pyproject.toml",
        f'[tool.weft]\nlease_ms = {LEASE_S * 1000:.0f}\nheartbeat_ms = 200\ndatabase = "{postgres_address}"\nslots = 2\n',
    )
    project.module(FLOW, "flow")
    process = project.start_weft("run", "flow.py", "n=1")
    until(lambda: len(project.lines("ran.txt")) == 2, 60)
    return process


def out(postgres: PostgresServer, how: str, seconds: float) -> None:
    """Have the server be away for a while."""
    if how.startswith("kill"):
        _kill_backends(postgres)
        time.sleep(seconds)
        return
    postgres.stop(signal.SIGINT if how == "fast stop" else signal.SIGQUIT)
    time.sleep(seconds)
    postgres.start()


def _kill_backends(postgres: PostgresServer) -> None:
    """Kill a backend as a crash would; the server ends all others and recovers."""
    with psycopg.connect(postgres.address, autocommit=True) as connection:
        sql = "select pid from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()"
        for (pid,) in connection.execute(sql).fetchall():
            os.kill(pid, signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize(
    "seconds", [0.3, 2 * LEASE_S], ids=["shorter than the lease", "longer than the lease"]
)
@pytest.mark.parametrize("how", WAYS)
def test_an_outage_ends_no_running_step(project, postgres, driver, how, seconds):
    out(postgres, how, seconds)
    time.sleep(0.5)  # the driver is to look at the server while steps still run
    (project.folder / "go").touch()
    _, complaint = driver.communicate(timeout=60)
    assert driver.returncode == 0, complaint
    assert sorted(project.lines("ran.txt")) == ["1", "2"]
    run = weft.get_run()
    assert run.result() == 6
    assert [task.attempts for task in run.tasks()] == [1, 1, 1]
    assert run.record.fence == 1
    assert run._home.database.journal.verify(run.id) == run.record.journal_count


def test_a_driver_whose_run_was_taken_after_a_long_outage_is_fenced(project, postgres, driver):
    os.kill(driver.pid, signal.SIGSTOP)  # so that the other one is there first
    out(postgres, "fast stop", LEASE_S * 1.2)
    until(lambda: weft.get_run().state == "interrupted", 30)
    (project.folder / "go").touch()
    assert project.weft("resume").returncode == 0
    run = weft.get_run()
    assert run.result() == 6
    before = (run.journal(), run.record.journal_head)
    os.kill(driver.pid, signal.SIGCONT)
    _, complaint = driver.communicate(timeout=60)
    assert driver.returncode != 0
    assert "no longer the current one" in complaint
    again = weft.get_run()
    assert (again.journal(), again.record.journal_head) == before


@pytest.mark.slow
def test_a_server_that_stays_away_leaves_a_run_that_can_be_resumed(project, postgres, driver):
    text = (project.folder / "pyproject.toml").read_text()
    (project.folder / "pyproject.toml").write_text(text + 'disk_wait = "1s"\n')
    os.kill(driver.pid, signal.SIGKILL)
    driver.communicate()
    again = project.start_weft("resume")
    until(lambda: len(project.lines("ran.txt")) == 4, 60)
    postgres.stop()
    try:
        _, complaint = again.communicate(timeout=60)
    finally:
        postgres.start()
    assert again.returncode == 2
    assert "cannot be reached" in complaint
    assert "continue with: weft resume" in complaint
    (project.folder / "go").touch()
    assert project.weft("resume").returncode == 0
    assert weft.get_run().result() == 6


class CutWorld(World):
    """A world whose drivers reach their database through a network that cuts."""

    proxy: Proxy

    @property
    def is_struck_enough(self) -> bool:
        if self.proxy.cuts.total() < self.wanted:
            return False
        self.proxy.every = None
        return True


@pytest.mark.slow
@pytest.mark.timeout(300 + CUTS)
def test_runs_through_a_network_that_cuts_lose_and_double_nothing(postgres_address, tmp_path, capsys):
    conninfo, schema = split_address(postgres_address)
    proxy = Proxy(conninfo, every=25)
    address = f"{proxy.address}?schema={schema}"
    # A lease that lasts: whoever is fenced here did not recognise a commit of its own.
    world = CutWorld(
        "postgres x2", tmp_path, address, CUTS, lambda _: None, postgres_address, lease_ms=60_000
    )
    world.proxy = proxy
    runs = storm(world, 2, 1)
    assert world.fenced == 0
    with capsys.disabled():
        print(f"\n{runs} runs, cuts: {dict(sorted(proxy.cuts.items()))}")
    proxy.close()
    world.home.database.close()


@pytest.fixture
def cut_off(postgres_address):
    """A proxy, and a database behind it."""
    conninfo, schema = split_address(postgres_address)
    proxy = Proxy(conninfo, every=None)
    with open_database(f"{proxy.address}?schema={schema}", SystemClock()) as database:
        yield proxy, database
    proxy.close()


@pytest.mark.parametrize("place", PLACES)
def test_a_run_whose_acceptance_was_cut_is_accepted_once(cut_off, place):
    proxy, database = cut_off
    proxy.arm(place, b"commit")
    assert accept(database, "0run") == "0run"
    assert [run.id for run in database.runs.list_runs().runs] == ["0run"]
    assert database.journal.verify("0run") == 1


@pytest.mark.parametrize("place", PLACES)
def test_a_claim_that_was_cut_gives_a_lease_that_holds(cut_off, place):
    proxy, database = cut_off
    accept(database, "0run")
    proxy.arm(place, b"commit")
    lease = database.runs.claim("0run", this_owner(), 60_000)
    database.runs.commit(lease, ended(task(lease)))
    assert database.runs.get("0run").owner == this_owner()
    assert database.journal.verify("0run") == lease.journal_count


def test_what_a_driver_was_told_is_written_outlives_a_crash_of_the_server(postgres, postgres_address):
    with open_database(postgres_address, SystemClock()) as database:
        accept(database, "0run")
        lease = database.runs.claim("0run", this_owner(), 60_000)
        for number in range(5):
            database.runs.commit(lease, ended(task(lease, number)))
        postgres.stop(signal.SIGQUIT)
        postgres.start()
        database.runs.commit(lease, ended(task(lease, 5)))
        assert database.journal.verify("0run") == lease.journal_count


class OutageWorld(World):
    """A world whose server comes and goes. State: how often it went, and how."""

    outages: Counter[str]

    @property
    def is_struck_enough(self) -> bool:
        return self.outages.total() >= self.wanted


@pytest.mark.slow
@pytest.mark.timeout(300 + 20 * OUTAGES)
def test_runs_whose_server_comes_and_goes_end_as_unbroken_ones(postgres, postgres_address, tmp_path, capsys):
    world = OutageWorld("postgres x2", tmp_path, postgres_address, OUTAGES, _seldom)
    world.outages = Counter()
    nemesis = threading.Thread(target=_come_and_go, args=(world, postgres), daemon=True)
    nemesis.start()
    runs = storm(world, 2, 1)
    nemesis.join()
    with capsys.disabled():
        print(f"\n{runs} runs, outages: {dict(world.outages)}\n{report([world])}")
    world.home.database.close()


def _seldom(dice: random.Random) -> Blow | None:
    """Mostly leave the drivers alone: the server is what fails."""
    if dice.random() < 0.8:
        return None
    return Blow("kill", "driver", "", 1, dice.uniform(0.0, 0.9), 0.0)


def _come_and_go(world: Any, postgres: PostgresServer) -> None:
    dice = random.Random(1)
    for number in range(world.wanted):
        time.sleep(dice.uniform(1.0, 2.0))
        how = WAYS[number % len(WAYS)]
        out(postgres, how, dice.choice((0.2, 0.5, 1.5, 2.5)))
        world.outages[how] += 1
