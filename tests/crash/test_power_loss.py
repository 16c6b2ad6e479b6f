"""A power cut at any moment: no row and no checkpoint refers to content that is not there, and nothing
acknowledged is lost. A real run's system calls are recorded and replayed up to a cut, with unsynced writes dropped."""

from __future__ import annotations

import os
import random
import shutil
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from tests.conftest import missing
from tests.crash.matrix import HERE, SOURCE, expected
from tests.crash.recording import Recording, record

from weft.client.home import Home
from weft.client.upkeep.verifying import verify_run
from weft.errors import WeftError
from weft.settings import read_settings
from weft.worker.checkpoints import Shelf

# The longer form: WEFT_CUTS=500 for each shape.
CUTS = int(os.environ.get("WEFT_CUTS", "60"))
SEED = int(os.environ.get("WEFT_SEED", "1"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(200 + CUTS),
    pytest.mark.skipif(sys.platform != "linux", reason="needs strace"),
]


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """Return what records a run of a shape, once with each protection."""
    if shutil.which("strace") is None:
        missing("strace is not installed")

    def make(shape: str, protection: str = "") -> Recording:
        work = tmp_path / "work"
        work.mkdir()
        monkeypatch.chdir(work)
        command = [
            sys.executable,
            str(HERE / "recorded_run.py"),
            shape,
            *([protection] if protection else []),
        ]
        environment = {
            "WEFT_HOME": str(work / "new" / "home"),
            "CRASH_EFFECTS": str(work / "effects"),
            "PYTHONHASHSEED": "0",
            "PYTHONPATH": os.pathsep.join([str(HERE), str(SOURCE)]),
        }
        return record(command, work / "new", tmp_path / "traces", environment)

    return make


def cuts(recording: Recording, dice: random.Random, count: int):
    """Yield moments: some of all, and so more where more happens; the last one is after the end."""
    for _ in range(count - 1):
        yield dice.choice(recording.moments) + dice.choice((-1e-6, 1e-6))
    yield recording.moments[-1] + 1


def look(folder: Path, recording: Recording, cut: float, shape: str, resume: bool) -> Counter[str]:
    """Return what was found wrong in what a cut left, by kind, and what was looked at."""
    found: Counter[str] = Counter()
    home = Home(read_settings(folder, {"WEFT_HOME": str(folder / "home")}))
    with closing(home.database) as database:
        runs = home.list_runs()
        found["runs"] += len(runs)
        found["lost run"] += not runs and cut > recording.marks["accepted"]
        database.engine.check()
        for run in runs:
            found["references"] += len(list(database.references.of_run(run.id)))
            found["dangling"] += len(verify_run(home, run).problems)
            found["lost end"] += run.state != "succeeded" and cut > recording.marks["ended"]
            if resume and run.state == "interrupted":
                run = run.resume().wait()
                found["resumed"] += 1
            if run.state == "succeeded":
                found["wrong result"] += run.result() != expected(shape, 3)
        # Of a run that has succeeded they are being deleted, and nobody will look at them.
        useful = [run.id for run in runs if run.record.state != "succeeded"]
    for shelf in (shelf for run in useful for shelf in (folder / "home" / "checkpoints" / run).glob("*")):
        for number in Shelf(shelf).numbers():
            found["checkpoints"] += 1
            try:
                Shelf(shelf).load(Shelf(shelf).point(number))
            except WeftError:
                found["dangling checkpoint"] += 1
    return found


def replay(recording: Recording, shape: str, folder: Path, count: int) -> Counter[str]:
    dice = random.Random(SEED)
    found: Counter[str] = Counter()
    for number, cut in enumerate(cuts(recording, dice, count)):
        recording.restore(folder, cut, dice)
        if (folder / "home").is_dir():
            found += look(folder, recording, cut, shape, resume=number % 10 == 0)
        else:
            found["lost run"] += cut > recording.marks["accepted"]
        found["cuts"] += 1
        shutil.rmtree(folder)
    return found


BAD = ("lost run", "lost end", "dangling", "dangling checkpoint", "wrong result")


@pytest.mark.parametrize("shape", ["bigs", "training", "chain"])
def test_a_power_cut_leaves_no_reference_without_content_and_loses_nothing_acknowledged(
    recorded, tmp_path, shape, capsys, monkeypatch
):
    recording = recorded(shape)
    monkeypatch.setenv("CRASH_EFFECTS", str(tmp_path / "effects"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), str(SOURCE)]))
    found = replay(recording, shape, tmp_path / "after", CUTS)
    with capsys.disabled():
        print(f"\n{shape}, seed {SEED}: {dict(sorted(found.items()))}")
    assert {kind: found[kind] for kind in BAD} == dict.fromkeys(BAD, 0)
    assert found["cuts"] == CUTS


@pytest.mark.parametrize(
    ("protection", "shape"),
    [
        ("content is synced", "bigs"),
        ("names are synced", "bigs"),
        ("content is synced", "training"),
        ("what refers comes after what it refers to", "training"),
    ],
)
def test_without_a_protection_a_power_cut_is_noticed(recorded, tmp_path, protection, shape):
    recording = recorded(shape, protection)
    found: Counter[str] = Counter()
    dice = random.Random(SEED)
    for cut in cuts(recording, dice, 60):
        recording.restore(tmp_path / "after", cut, dice)
        if (tmp_path / "after" / "home").is_dir():
            found += look(tmp_path / "after", recording, cut, shape, resume=False)
        shutil.rmtree(tmp_path / "after")
    assert sum(found[kind] for kind in BAD) > 0
