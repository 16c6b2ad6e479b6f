"""Damage: to blobs, uploads, cached results and pages of the database. It is found and named, and never used."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path

import pytest

import weft
from weft.client.home import Home
from weft.client.upkeep.verifying import verify_run
from weft.digest import digest_bytes
from weft.errors import WeftError
from weft.settings import read_settings
from weft.store import durable
from weft.store.blobs import FileBlobStore
from weft.store.faults import DamagedArtifact

pytestmark = pytest.mark.slow

# The longer form: WEFT_DAMAGE=1000.
COUNT = int(os.environ.get("WEFT_DAMAGE", "60"))


def flip_a_bit(path: Path, dice: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
    path.write_bytes(content)


def cut(path: Path, dice: random.Random) -> None:
    os.truncate(path, dice.randrange(path.stat().st_size))


def grow(path: Path, dice: random.Random) -> None:
    with path.open("ab") as file:
        file.write(dice.randbytes(dice.randrange(1, 100)))


def zero_a_page(path: Path, dice: random.Random) -> None:
    content = bytearray(path.read_bytes())
    at = dice.randrange(0, len(content), 4096)
    content[at : at + 4096] = bytes(len(content[at : at + 4096]))
    path.write_bytes(content)


DAMAGES = (flip_a_bit, cut, grow, zero_a_page)


@pytest.mark.timeout(60 + COUNT)
def test_any_damage_to_a_blob_is_found_before_anybody_sees_its_bytes(tmp_path):
    dice = random.Random(1)
    store = FileBlobStore(tmp_path / "artifacts")
    for number in range(COUNT):
        size = dice.choice((1, 5_000, 70_000, 1_100_000))
        digest = store.put([dice.randbytes(size)])
        path = Path(store._path(digest))
        DAMAGES[number % len(DAMAGES)](path, dice)
        # A fresh store, as another process; what this host has noted of the file must not hide it.
        with pytest.raises(DamagedArtifact, match=digest):
            FileBlobStore(store.folder).map(digest)


def test_two_blobs_that_changed_places_are_found(tmp_path):
    store = FileBlobStore(tmp_path / "artifacts")
    first, second = (Path(store._path(store.put([bytes([number]) * 2_000_000]))) for number in (1, 2))
    aside = tmp_path / "aside"
    first.rename(aside)
    second.rename(first)
    aside.rename(second)
    for path in (first, second):
        with pytest.raises(DamagedArtifact):
            FileBlobStore(store.folder).map(f"b3:{path.name}")


@pytest.mark.timeout(60 + COUNT)
def test_an_upload_that_is_killed_anywhere_leaves_nothing_to_see_and_is_swept(tmp_path):
    dice = random.Random(1)
    content = dice.randbytes(200_000)
    digest = digest_bytes(content)
    shipped = durable._write_all
    for _ in range(COUNT):
        child = os.fork()
        if child == 0:
            offset = dice.randrange(len(content))

            def write_a_part(file: int, views: object, offset: int = offset) -> None:
                shipped(file, [content[:offset]])
                os.kill(os.getpid(), signal.SIGKILL)

            durable._write_all = write_a_part
            FileBlobStore(tmp_path / "artifacts").put([content])
            os._exit(1)
        dice.random()
        assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    store = FileBlobStore(tmp_path / "artifacts")
    assert not store.exists(digest)
    assert list(store.list_blobs()) == []
    assert len(store.list_leftovers(before_ms=1 << 60)) == COUNT
    assert store.delete_leftovers(before_ms=1 << 60) == COUNT
    store.put([content])
    assert bytes(FileBlobStore(store.folder).map(digest)) == content


# The longer form, of eight each: WEFT_CACHED=25.
CACHED_ROUNDS = int(os.environ.get("WEFT_CACHED", "1"))
CACHED = """
    import numpy as np

    @step(cache=True)
    def big(i):
        with open("ran.txt", "a") as file:
            file.write(f"{i}\\n")
        return {"rows": np.full(200_000, i + 1)}  # the array is a blob of its own, to which that of the dict refers

    @step
    def size(parts):
        return int(sum(part["rows"].sum() for part in parts))

    @workflow
    def bigs(n: int):
        return size([big(i) for i in range(n)])
    """


def test_a_cached_result_that_is_gone_or_damaged_is_a_miss_and_is_made_again(project):
    project.write("pyproject.toml", '[tool.weft]\nexecutor = "inline"\n')
    flow = project.module(CACHED)
    assert flow.bigs.run(12).result() == sum(range(1, 13)) * 200_000
    dice = random.Random(1)
    for _ in range(CACHED_ROUNDS):
        files = (project.home / "artifacts").glob("*/*")  # what was damaged is set aside under a longer name
        blobs = [file for file in files if file.name.isalnum() and file.stat().st_size > 1_000_000]
        assert len(blobs) == 12
        hurt = dice.sample(blobs, 8)
        for number, path in enumerate(hurt):
            path.unlink() if number % 2 else DAMAGES[number // 2](path, dice)
        (project.folder / "ran.txt").unlink()
        assert flow.bigs.run(12).result() == sum(range(1, 13)) * 200_000
        assert len(project.lines("ran.txt")) == 8
        assert project.weft("verify").returncode == 0


FLOW = """
    @step
    def load(i):
        return {"rows": list(range(i * 10))}

    @step
    def total(part):
        return sum(part["rows"])

    @workflow
    def totals(n: int):
        found = []
        for part in [load(i) for i in range(n)]:
            found.append(total(part))
        return sum(found), "ended"
    """
# What is on record; the rest of a page is free space, indexes, and who drives a run or wants it cancelled.
STATE = (
    "select id, workflow, program, module, file, state, params, tags, profile, code, resumed_from, parent_run,"
    " parent_task, notes, created_ms, started_ms, ended_ms, journal_head, journal_count from runs",
    "select * from run_values",
    "select * from programs",
    "select * from tasks order by run, node, idx",
    "select * from journal order by run, seq",
    "select * from attempts",
    "select * from blobs order by digest, run",
)


def state_of(path: Path) -> list[object]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return [connection.execute(query).fetchall() for query in STATE]


@pytest.mark.slow
@pytest.mark.timeout(60 + 2 * COUNT)
def test_a_damaged_database_is_found_or_says_what_it_said_before(project, tmp_path, capsys):
    project.write("pyproject.toml", '[tool.weft]\nexecutor = "inline"\n')
    flow = project.module(FLOW)
    flow.totals.run(12)
    with closing(sqlite3.connect(project.home / "weft.db")) as connection:
        connection.execute("pragma wal_checkpoint(truncate)")
    whole = state_of(project.home / "weft.db")
    run = weft.get_run().id
    dice = random.Random(1)
    found: Counter[str] = Counter()
    for number in range(2 * COUNT):
        home = tmp_path / f"home-{number}"
        shutil.copytree(project.home, home)
        path = home / "weft.db"
        DAMAGES[number % len(DAMAGES)](path, dice)
        if is_noticed(home, run):
            found["noticed"] += 1
        else:
            assert state_of(path) == whole, f"damage {number} changed what is stored, and nobody noticed"
            found["harmless"] += 1
        shutil.rmtree(home)
    with capsys.disabled():
        print(f"\ndamaged databases: {dict(found)}")


def is_noticed(home: Path, run: str) -> bool:
    """Return whether Weft says that something is wrong, by itself or when it is asked to verify."""
    opened = Home(read_settings(home, {"WEFT_HOME": str(home)}))
    try:
        opened.database.engine.check()
        return bool(verify_run(opened, opened.get_run(run)).problems)
    except WeftError:
        return True
    finally:
        with suppress(WeftError):
            opened.database.close()


def test_a_run_whose_record_was_changed_is_not_driven_on(project):
    """Interrupted, then a recorded outcome is changed in the database: it is refused, and the entry named."""
    flow = project.module(
        FLOW.replace('return sum(part["rows"])', 'os.kill(os.getppid(), 0); return sum(part["rows"])')
    )
    run = flow.totals.start(3)
    run.stop()
    run.wait()
    if run.state != "interrupted":
        pytest.skip("it was faster than the stop")
    with closing(sqlite3.connect(project.home / "weft.db")) as connection:
        changed = connection.execute("update tasks set outcome = outcome || x'00' where state = 'succeeded'")
        connection.commit()
        if not changed.rowcount:
            connection.execute("update journal set cause = 'x' where seq = 1")
            connection.commit()
    ended = project.weft("resume", run.id)
    assert ended.returncode == 3, ended.stdout + ended.stderr
    assert "journal entry" in ended.stderr
    assert run.id in ended.stderr
