"""A backup taken under load is a home in which all that is referred to exists, and in which its runs go on."""

from __future__ import annotations

import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.client.project import until

import weft
from weft.client.door import OpenHome, open_home
from weft.client.upkeep.backing import BadBackupPlace
from weft.client.upkeep.collecting import Policy
from weft.settings import Settings
from weft.store.engine import NoCopyOfDatabase

BACKUPS = int(os.environ.get("WEFT_BACKUPS", "6"))
FLOW = """
    from weft import checkpoint

    @step
    def make(n):
        done = checkpoint.load(0)
        for each in range(done, 3):
            checkpoint.save(each + 1)
            time.sleep(0.01)
        return [n] * 5000

    @step
    def total(rows):
        return sum(map(sum, rows))

    @workflow
    def flow(n: int):
        return total([make(i) for i in range(n)])

    @workflow
    def short(n: int):
        return make(10_000 + n)
    """
TURNS = 80
TOTAL = sum(range(TURNS)) * 5000


@pytest.fixture
def flow(project):
    project.write("pyproject.toml", '[tool.weft]\nexecutor = "local"\nslots = 2\n')
    return project.module(FLOW)


def home_at(folder: Path) -> OpenHome:
    return OpenHome(Settings(home=folder))


def test_backups_under_load_hold_all_that_they_refer_to_and_their_runs_go_on(project, flow):
    folders = [project.folder.parent / f"{project.folder.name}-backup-{number}" for number in range(BACKUPS)]
    over = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        collector = pool.submit(_make_and_collect, flow, over)
        try:
            run = flow.flow.start(TURNS)
            until(lambda: weft.get_run(run.id).tasks(state="succeeded"))
            for folder in folders:
                assert open_home().backup(folder).missing == []
        finally:
            over.set()
        assert run.wait().result() == TOTAL
        collector.result()
    for folder in folders:
        copy = home_at(folder)
        assert [copy.verify(each).problems for each in copy.list_runs(limit=100)] == [[]] * len(
            copy.list_runs(limit=100)
        )
    unended = [folder for folder in folders if home_at(folder).get_run(run.id).state == "interrupted"]
    assert unended  # taken while it ran
    copy = home_at(unended[0])
    before = len(copy.get_run(run.id).tasks(state="succeeded"))
    again = copy.resume(copy.get_run(run.id)).wait()
    assert (again.id, again.result()) == (run.id, TOTAL)
    assert before < len(again.tasks(state="succeeded")) == TURNS + 1
    assert copy.verify(again).problems == []
    assert open_home().verify(run).problems == []  # the copy went on by itself
    for folder in folders:
        shutil.rmtree(folder)


def _make_and_collect(flow, over: threading.Event) -> None:
    number = 0
    while not over.is_set():
        flow.short.options(executor="inline").start(number % 3).wait()
        open_home().gc(policy=Policy(keep_last=1))
        number += 1


def test_a_restored_home_has_the_same_runs_and_leaves_the_backup_alone(project, flow):
    run = flow.short.options(executor="inline").start(1).wait()
    saved, restored = project.folder / "saved", project.folder / "elsewhere"
    report = open_home().backup(saved)
    assert (report.runs, report.folder) == (1, str(saved))
    shutil.rmtree(project.home)
    home_at(restored).restore(saved, link=False)
    copy = home_at(restored)
    assert copy.get_run(run.id).result() == [10_001] * 5000
    assert copy.verify(copy.get_run(run.id)).problems == []
    for path in (restored / "artifacts").glob("??/*"):
        assert path.stat().st_nlink == 1
        path.write_bytes(b"damaged")
    assert home_at(saved).verify(home_at(saved).get_run(run.id)).problems == []


def test_what_cannot_be_a_backup_is_refused_by_name(project, flow):
    run = flow.short.options(executor="inline").start(1).wait()
    home = open_home()
    (project.folder / "full").mkdir()
    (project.folder / "full" / "letter").touch()
    with pytest.raises(BadBackupPlace, match="not empty"):
        home.backup(project.folder / "full")
    with pytest.raises(BadBackupPlace, match="inside the home"):
        home.backup(project.home / "backup")
    with pytest.raises(BadBackupPlace, match="is no backup"):
        home_at(project.folder / "new").restore(project.folder / "full")
    home.backup(project.folder / "saved")
    with pytest.raises(BadBackupPlace, match="not empty"):
        home.restore(project.folder / "saved")
    assert weft.get_run(run.id).result() == [10_001] * 5000


def test_a_backup_of_a_damaged_home_says_what_was_missing_and_holds_the_rest(project, flow):
    run = flow.short.options(executor="inline").start(1).wait()
    output = weft.get_run(run.id).task("make").output
    open_home().blobs.delete(output.artifact.digest)
    report = open_home().backup(project.folder / "saved")
    assert report.missing == [output.artifact.digest]
    assert home_at(project.folder / "saved").get_run(run.id).state == "succeeded"


def test_a_database_on_a_server_is_not_copied_and_that_is_said(postgres_address, tmp_path):
    home = OpenHome(Settings(home=tmp_path / "home", database=postgres_address))
    with pytest.raises(NoCopyOfDatabase, match="is on a server"):
        home.backup(tmp_path / "saved")
    assert not (tmp_path / "saved").exists()
    home.database.close()
