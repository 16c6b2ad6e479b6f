"""Running a run again as it was, apart from everything: its pinned code in a temporary place, in a process of its own.

Nothing is taken over, from that run or any other. Then every result's hash is compared with the original's.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import msgspec

from weft.client.home import Home, open_home
from weft.client.rerun.comparing import calls_of, inputs_of, result_digest, result_of
from weft.client.rerun.pinned import NoPinnedCode, accept_again, moved_to
from weft.client.run import Run
from weft.client.starting import home_as_started
from weft.driver.launch import Launch
from weft.errors import UserError
from weft.model.records import RunRecord
from weft.model.states import RUN_FINAL
from weft.program.nodes import Program
from weft.store.project import restore_project

_DRIVE = "import sys; from weft.client.rerun.reproducing import drive_again; drive_again(*sys.argv[1:])"


class NotEnded(UserError):
    """A run that has no outcome cannot be compared with another."""

    code = "not-ended"

    def __init__(self, run: str, state: str) -> None:
        super().__init__(
            f"run {run} is {state}, so there is nothing to compare a reproduction with",
            hint=f"Let it end first: weft resume {run}.",
        )


class Deviation(msgspec.Struct):
    """A task that did not come out as in the original.

    Attributes:
        kind: ``result``: equal inputs gave another result, so it is not deterministic or leans on something that the
            run does not hold; ``follows``: its inputs were other ones; ``only original``, ``only again``: the other
            run has no such task.
        original, again: the hashes of the results, or the failures in words.
    """

    task: str
    kind: Literal["result", "follows", "only original", "only again"]
    original: str = ""
    again: str = ""


class Reproduction(msgspec.Struct):
    """What came of running a run again.

    Attributes:
        run, again: the original and the new run, which stays on record.
        same: every task and the run itself came out equal.
        compared: how many tasks were compared.
        notes: what differs around the code, such as package versions.
    """

    run: str
    again: str
    same: bool
    compared: int
    same_outcome: bool
    deviations: list[Deviation]
    notes: list[str]


def reproduce(home: Home, run: Run[Any]) -> Reproduction:
    """Run a run again with its pinned code in a temporary place, and compare.

    Raises:
        NotEnded, NoPinnedCode: it cannot be reproduced.
    """
    record, launch = run.record, home.launch(run.record)
    if record.state not in RUN_FINAL:
        raise NotEnded(record.id, run.state)
    if launch.pin is None:
        raise NoPinnedCode(record.id)
    folder = Path(tempfile.mkdtemp(prefix="weft-reproduce-"))
    try:
        restore_project(launch.pin, home.blobs, folder / launch.pin.root)
        again = _accept(
            home_as_started(home, record, launch), record, moved_to(folder / launch.pin.root, launch)
        )
        _drive_apart(home, again.id)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return _compared(home, run, home.get_run(again.id))


def _accept(home: Home, record: RunRecord, launch: Launch) -> RunRecord:
    # Nothing is looked up, so that everything runs.
    alone = msgspec.structs.replace(launch, cache=False, refresh=())
    tags = {**record.tags, "reproduces": record.id}
    return accept_again(home, record, alone, f"reproduces {record.id}", tags=tags)


def _drive_apart(home: Home, run: str) -> None:
    """Drive a run in a new interpreter, which has none of this process's modules and globals."""
    process = subprocess.Popen(
        [sys.executable, "-c", _DRIVE, run],
        env={**os.environ, "WEFT_HOME": str(home.settings.home)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,  # what tasks print is in their logs
    )
    try:
        process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()


def drive_again(run: str) -> None:
    """Drive an accepted run to its end: what the new interpreter does."""
    found = open_home().get_run(run)
    launch = found._home.launch(found.record)
    home = home_as_started(found._home, found.record, launch)
    home.drive(found.record, launch).wait()


def _compared(home: Home, run: Run[Any], again: Run[Any]) -> Reproduction:
    if again.state not in RUN_FINAL:
        raise NotEnded(again.id, again.state)
    deviations: list[Deviation] = []
    compared = 0
    before = {task.path: (inputs_of(task), result_of(task)) for task in calls_of(home, run.id)}
    for task in calls_of(home, again.id):
        was = before.pop(task.path, None)
        compared += was is not None
        deviations += _deviation(task.path, was, (inputs_of(task), result_of(task)))
    deviations += [Deviation(path, "only original", original=result) for path, (_, result) in before.items()]
    same_outcome = result_digest(run) == result_digest(again) and run.state == again.state
    notes = list(_package_notes(home.program(run.record)))
    same = same_outcome and not deviations
    return Reproduction(run.id, again.id, same, compared, same_outcome, deviations, notes)


def _deviation(path: str, was: tuple[str, str] | None, now: tuple[str, str]) -> Iterator[Deviation]:
    if was is None:
        yield Deviation(path, "only again", again=now[1])
    elif was[1] != now[1]:
        yield Deviation(path, "result" if was[0] == now[0] else "follows", was[1], now[1])


def _package_notes(program: Program) -> Iterator[str]:
    """Say which packages have another version here than the run had."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    if program.python and program.python != python:
        yield f"Python {program.python} → {python}"
    for label, version in program.parts:
        kind, _, name = label.partition(" ")
        if kind != "package":
            continue
        try:
            here = metadata.version(name)
        except metadata.PackageNotFoundError:
            here = ""
        if here != version:
            yield f"package {name} {version or 'unknown'} → {here or 'not installed'}"
