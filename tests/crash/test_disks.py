"""Full, read-only and failing disks: nothing acknowledged is lost, nothing failed counts as done, it is all said."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from tests.client.project import WEFT, until
from tests.conftest import missing

import weft

pytestmark = pytest.mark.slow

# The longer form: WEFT_FAULTS=200 points of each kind.
FAULTS = int(os.environ.get("WEFT_FAULTS", "10"))

FLOW = """
    import random

    @step
    def one(i):
        return i

    @step
    def big(i):
        Path("begun").touch()
        return random.Random(i).randbytes(1 << 20)

    @step
    def small(i):
        fill(i)
        return "y" * 4000 + str(i)

    def fill(i):
        # The database is to find no space in the middle of the loop: small results are its rows.
        if i == 5 and "BALLAST" in os.environ and not Path("filled").exists():
            Path("filled").touch()
            with open(os.environ["BALLAST"], "wb", buffering=0) as file:
                try:
                    while True:
                        file.write(bytes(4096))
                except OSError:
                    pass

    @step
    def size(parts):
        return sum(map(len, parts))

    @workflow
    def bigs(n: int):
        return size([big(i) for i in range(one(n))])

    @workflow
    def smalls(n: int):
        return size([small(i) for i in range(n)])
    """


@pytest.fixture
def disk(project, tmp_path):
    """A file system of 16 MiB with the home on it."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.getuid() != 0 or not shutil.which("mount"):
        missing("a small disk needs root")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        missing(f"mounting is not permitted here: {mounted.stderr.decode().strip()}")
    project.module(FLOW, "flow")
    project.home = place / "home"
    project.monkeypatch.setenv("WEFT_HOME", str(project.home))
    yield place
    subprocess.run(["umount", "-l", str(place)], check=False, capture_output=True)


def fill(disk: Path, leave: int = 0) -> Path:
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while shutil.disk_usage(disk).free > leave:
                file.write(bytes(min(1 << 16, max(4096, shutil.disk_usage(disk).free - leave))))
        except OSError:
            pass
    return ballast


def test_a_run_waits_while_there_is_no_space_for_artifacts_and_goes_on_by_itself(project, disk):
    ballast = fill(disk, leave=3 << 20)
    process = project.start_weft("run", "flow.py:bigs", "n=4")
    until((project.folder / "begun").exists, 60)
    until(lambda: any("retry" in task.state for task in weft.get_run().tasks()), 60)
    assert process.poll() is None
    ballast.unlink()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, out + err
    run = weft.get_run()
    assert run.result() == 4 << 20
    assert project.weft("verify").returncode == 0
    assert not list((project.home / "artifacts").rglob("*.part"))


def test_a_run_waits_while_the_database_has_no_space_and_goes_on_by_itself(project, disk):
    said = project.folder / "said.txt"
    with said.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", WEFT, "run", "flow.py:smalls", "n=200"],
            env={**os.environ, "BALLAST": str(disk / "ballast")},
            stdout=file,
            stderr=file,
        )
    until(lambda: "waiting" in said.read_text() or process.poll() is not None, 60)
    assert process.poll() is None, said.read_text()
    assert "no space is left for" in said.read_text()
    # Reading goes on meanwhile.
    assert project.weft("ls").returncode == 0
    assert project.weft("show").returncode == 0
    (disk / "ballast").unlink()
    assert process.wait(60) == 0, said.read_text()
    assert weft.get_run().result() == sum(4000 + len(str(i)) for i in range(200))
    assert project.weft("verify").returncode == 0


def test_with_no_space_a_run_is_refused_clearly_and_reading_goes_on(project, disk):
    assert project.weft("run", "flow.py:smalls", "n=3", "-q").returncode == 0
    ballast = fill(disk)
    ended = project.weft("run", "flow.py:bigs", "n=3")
    assert ended.returncode == 2
    assert "no space" in ended.stderr.lower()
    assert "Traceback" not in ended.stderr
    for words in (["ls"], ["show"], ["get"], ["logs"]):
        read = project.weft(*words)
        assert read.returncode == 0, (words, read.stderr)
    ballast.unlink()
    assert [run.workflow for run in weft.list_runs()] == ["smalls"]
    assert project.weft("run", "flow.py:bigs", "n=3", "-q").returncode == 0


def test_where_space_does_not_come_the_run_ends_with_the_reason_and_can_be_resumed(project, disk):
    project.write("pyproject.toml", '[tool.weft]\ndisk_wait = "1s"\n')
    ended = project.start("-c", WEFT, "run", "flow.py:smalls", "n=200", BALLAST=str(disk / "ballast"))
    out, err = ended.communicate(timeout=60)
    assert ended.returncode == 2, out + err
    assert "no space" in err
    assert "weft resume" in err
    (disk / "ballast").unlink()
    again = project.weft("resume")
    assert again.returncode == 0, again.stderr
    assert weft.get_run().result() == sum(4000 + len(str(i)) for i in range(200))


def test_a_disk_that_turns_read_only_loses_nothing(project, disk):
    def remount(how: str) -> None:
        done = subprocess.run(["mount", "-o", f"remount,{how}", str(disk)], capture_output=True, check=False)
        if done.returncode:
            missing(f"remounting is not permitted here: {done.stderr.decode()}")

    assert project.weft("run", "flow.py:smalls", "n=3", "-q").returncode == 0
    remount("ro")
    ended = project.weft("run", "flow.py:bigs", "n=3")
    assert ended.returncode in (2, 3)
    assert str(project.home) in ended.stderr
    assert "Traceback" not in ended.stderr
    remount("rw")
    assert weft.get_run().result() == 3 * 4001
    assert project.weft("run", "flow.py:bigs", "n=3", "-q").returncode == 0


# -- the n-th call fails --------------------------------------------------------------------------------------


def calls(project, name: str, home: Path) -> int:
    """Return how often a run calls ``name`` in the process that calls it the most."""
    trace = project.folder / "count"
    strace(project, home, ["-o", str(trace), "-ff", "-e", f"trace={name}"])
    counts = [
        len(re.findall(rf"^{name}\(", file.read_text(), re.M)) for file in project.folder.glob("count.*")
    ]
    for file in project.folder.glob("count.*"):
        file.unlink()
    return max(counts)


def strace(project, home: Path, options: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["strace", "-f", "-qq", *options, "--", sys.executable, "-c", WEFT, "run", "flow.py:bigs", "n=2"],
        cwd=project.folder,
        env={**os.environ, "WEFT_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.timeout(120 + 12 * FAULTS)
@pytest.mark.parametrize(
    ("name", "error"),
    [("fsync", "EIO"), ("fdatasync", "EIO"), ("pwrite64", "EIO"), ("rename", "ENOSPC"), ("writev", "ENOSPC")],
)
def test_a_call_that_fails_is_never_taken_for_done(project, name, error, capsys):
    """At each point: an exit code of success means that all is there; otherwise a resume, or another start, ends well."""
    if shutil.which("strace") is None:
        missing("strace is not installed")
    project.module(FLOW, "flow")
    project.write("pyproject.toml", '[tool.weft]\ndisk_wait = "1s"\n')
    most = calls(project, name, project.folder / "home-count")
    points = sorted(random.Random(1).sample(range(1, most + 1), min(FAULTS, most)))
    found: Counter[str] = Counter(calls=most)
    for number in points:
        home = project.folder / f"home-{number}"
        project.monkeypatch.setenv("WEFT_HOME", str(home))
        ended = strace(project, home, ["-o", "/dev/null", "-e", f"inject={name}:error={error}:when={number}"])
        assert "Traceback (most recent call last)" not in ended.stderr, (number, ended.stderr)
        runs = weft.list_runs() if (home / "weft.db").exists() else []
        if ended.returncode == 0:
            found["succeeded in spite of it"] += 1
            assert runs[0].state == "succeeded"
        else:
            found["said so"] += 1
            assert ended.stderr or ended.stdout
            again = project.weft("resume" if runs else "run", *([] if runs else ["flow.py:bigs", "n=2"]))
            assert again.returncode == 0, (number, ended.stderr, again.stdout + again.stderr)
        run = weft.get_run()
        assert run.result() == 2 << 20
        assert project.weft("verify").returncode == 0
        shutil.rmtree(home)
    with capsys.disabled():
        print(f"\n{name} {error}: {dict(found)}")
