"""What is stored may be damaged, foreign, full or closed: it is detected, said, and never used."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
from pathlib import Path

import msgspec
import pytest
from tests.conftest import missing

import weft

FLOW = """
    @step
    def big(n):
        return list(range(n))

    @step
    def size(rows, plus=0):
        return len(rows) + plus

    @workflow
    def bigs(n: int):
        return size(big(n))
    """


@pytest.fixture
def flow(project):
    project.write("pyproject.toml", '[tool.weft]\nexecutor = "inline"\n')
    return project.module(FLOW, "flow")


def large_blobs(home: Path) -> list[Path]:
    return [
        path for path in (home / "artifacts").rglob("*") if path.is_file() and path.stat().st_size > 20_000
    ]


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)


def test_a_damaged_artifact_is_detected_and_never_used(project, flow):
    flow.bigs.run(20_000)
    [blob] = large_blobs(project.home)
    flip_a_byte(blob)
    ended = project.weft("verify")
    assert ended.returncode == 3
    assert blob.name in ended.stdout
    got = project.weft("get", "@", "big")
    assert got.returncode == 3
    assert "damaged" in got.stderr
    assert "Traceback" not in got.stderr


def test_a_damaged_artifact_is_made_again_where_a_resume_needs_it(project, flow):
    flow.bigs.run(20_000)
    [blob] = large_blobs(project.home)
    flip_a_byte(blob)
    project.edit(flow, "len(rows) + plus", "len(rows) + plus + 1")
    ended = project.weft("resume")
    if ended.returncode == 1:
        # Read by a task before anybody knew: the run fails with the reason, and the next resume makes it anew.
        assert "damaged" in ended.stdout
        ended = project.weft("resume")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert weft.get_run().result() == 20_001


@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.write_bytes(b"this is no database" * 1000),
        lambda path: _foreign(path),
        lambda path: _damage(path),
    ],
    ids=["garbage", "foreign", "damaged"],
)
def test_a_damaged_or_foreign_database_is_said_to_be_and_left_alone(project, flow, make):
    flow.bigs.run(1)
    path = project.home / "weft.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("pragma wal_checkpoint(truncate)")
    for extra in project.home.glob("weft.db-*"):
        extra.unlink()
    make(path)
    before = path.read_bytes()
    for words in (["ls"], ["run", "flow.py", "n=1"], ["resume"]):
        ended = project.weft(*words)
        assert ended.returncode == 3, ended.stdout + ended.stderr
        assert str(path) in ended.stderr
        assert "Traceback" not in ended.stderr
    assert path.read_bytes() == before
    doctor = project.weft("doctor")
    assert doctor.returncode == 2
    assert str(path) in doctor.stdout


def _foreign(path: Path) -> None:
    path.unlink()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("create table runs (a, b)")
        connection.execute("insert into runs values (1, 2)")
        connection.commit()


def _damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)
    path.write_bytes(content)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 16 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.getuid() != 0 or not shutil.which("mount"):
        missing("a small disk needs root")
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip(f"mounting is not permitted here: {done.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=False, capture_output=True)


FULL = """
    @step
    def small(i):
        return i

    @step
    def big(i):
        import random
        return random.Random(i).randbytes(1 << 20)

    @step
    def size(rows):
        return sum(map(len, rows))

    @workflow
    def fills(n: int):
        first = small(n)
        return size([big(i) for i in range(first)])
    """


def test_a_full_disk_stops_the_run_with_the_reason_and_it_resumes_after(project, small_disk):
    project.write("pyproject.toml", "[tool.weft]\ndisk_wait = 0\n")
    project.module(FULL, "flow")
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * (13 << 20))
    ended = project.weft("run", "flow.py", "n=3", WEFT_HOME=str(small_disk / "home"))
    assert ended.returncode != 0
    assert "no space" in (ended.stdout + ended.stderr).lower()
    assert "weft resume" in ended.stdout + ended.stderr
    ballast.unlink()
    resumed = project.weft("resume", WEFT_HOME=str(small_disk / "home"))
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    project.monkeypatch.setenv("WEFT_HOME", str(small_disk / "home"))
    assert weft.get_run().result() == 3 << 20
    assert project.weft("verify", WEFT_HOME=str(small_disk / "home")).returncode == 0


def test_a_disk_full_of_the_database_stops_with_the_reason_and_resumes(project, small_disk):
    project.write("pyproject.toml", "[tool.weft]\ndisk_wait = 0\n")
    project.write(
        "flow.py",
        """
        from weft import step, workflow
        import os

        @step
        def fill(i):
            # The database itself finds no more space: small results are its rows.
            if i == 5 and "BALLAST" in os.environ:
                with open(os.environ["BALLAST"], "wb") as file:
                    try:
                        while True:
                            file.write(b"x" * 4096)
                            file.flush()
                    except OSError:
                        pass
            return "y" * 4000 + str(i)

        @workflow
        def fills(n: int):
            return len([fill(i) for i in range(n)])
        """,
    )
    place = {"WEFT_HOME": str(small_disk / "home"), "BALLAST": str(small_disk / "ballast")}
    ended = project.weft("run", "flow.py", "n=200", **place)
    assert ended.returncode == 2, ended.stdout + ended.stderr
    assert "no space" in ended.stderr.lower()
    assert "weft resume" in ended.stderr
    assert "Traceback" not in ended.stderr
    (small_disk / "ballast").unlink()
    resumed = project.weft("resume", WEFT_HOME=place["WEFT_HOME"])
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert "result  200" in resumed.stdout


@pytest.mark.parametrize("words", [["ls"], ["run", "flow.py", "n=1"]], ids=["ls", "run"])
def test_a_home_that_is_a_file_is_named(project, flow, words):
    place = project.write("taken", "a file")
    ended = project.weft(*words, WEFT_HOME=str(place))
    assert ended.returncode == 2
    assert str(place) in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_home_without_write_permission_is_named(project, flow):
    home = project.folder / "closed"
    home.mkdir()
    if os.getuid() == 0:
        if subprocess.run(["chattr", "+i", str(home)], capture_output=True, check=False).returncode:
            pytest.skip("root may write everywhere, and chattr is not permitted here")
    else:
        home.chmod(0o555)
    try:
        for words in (["run", "flow.py", "n=1"], ["ls"]):
            ended = project.weft(*words, WEFT_HOME=str(home))
            assert ended.returncode == 2
            assert str(home) in ended.stderr
            assert "Traceback" not in ended.stderr
    finally:
        subprocess.run(["chattr", "-i", str(home)], capture_output=True, check=False)
        home.chmod(0o755)


def test_two_processes_share_a_home(project, flow):
    processes = [project.start_weft("run", "flow.py", f"n={n}", "-q") for n in (10, 20, 30)]
    ends = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], ends
    assert sorted(run.result() for run in weft.list_runs()) == [10, 20, 30]


def programs(home: Path) -> sqlite3.Connection:
    return sqlite3.connect(home / "weft.db")


def stored_program(project, change) -> None:
    """Change the program in the database, as another version of Weft would have written it."""
    from weft.client.home import open_home

    home = open_home()
    record = home.get_run().record
    raw = home.database.runs.program(record.program)
    document = msgspec.msgpack.decode(raw)
    change(document)
    with contextlib.closing(programs(project.home)) as connection:
        tables = [row[0] for row in connection.execute("select name from sqlite_master where type='table'")]
        table = next(name for name in tables if "program" in name)
        columns = [row[1] for row in connection.execute(f"pragma table_info({table})")]
        content = next(name for name in columns if name in ("content", "body", "bytes", "program", "raw"))
        connection.execute(f"update {table} set {content} = ?", [msgspec.msgpack.encode(document)])
        connection.commit()


def test_a_program_of_a_newer_weft_is_refused_and_still_listed(project, flow):
    flow.bigs.run(3)
    stored_program(project, lambda document: document.update(version=999))
    ended = project.weft("resume", "--code", "pinned", "n=5")
    assert ended.returncode == 3
    assert "999" in ended.stderr
    assert "Upgrade Weft" in ended.stderr
    assert project.weft("ls").returncode == 0
    assert project.weft("get").stdout == "3\n"


def test_a_program_of_an_older_weft_is_driven(project, flow):
    # Fields that an older version did not have are missing; ones that it had and we do not are there.
    flow.bigs.run(3)

    def older(document):
        document["long_gone"] = 1
        for name in ("notes", "debug", "free"):
            document.pop(name, None)

    stored_program(project, older)
    ended = project.weft("resume", "--code", "pinned", "n=5")
    assert ended.returncode == 0, ended.stderr
    assert weft.get_run().result() == 5
