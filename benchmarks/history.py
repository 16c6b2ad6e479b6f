"""Looking at runs where there are many: a home with ten of them, and one with a long history."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import msgspec

from weft.clock import SystemClock
from weft.model.journal import JournalEntry
from weft.model.records import Batch, NewRun, Owner, RunMove, RunRecord, TaskRecord, seal_move, seal_run
from weft.store.database import Database, open_database

from .driving import command_ms, drive, new_home
from .measure import Row, least

FEW = 10
_MEMORY = Path("/dev/shm")
_OWNER = Owner("history", 1)


def look(folder: Path, count: int) -> list[Row]:
    """``weft ls`` and ``weft show`` with ``count`` runs on record, against ten [ms]."""
    few, many = new_home(folder), new_home(folder)
    drive(few, "one", FEW)
    shutil.copytree(few, many, dirs_exist_ok=True)
    lengthen(many, count - FEW)
    rows = []
    for words in (("ls",), ("show",)):
        floor = min(command_ms(few, *words))
        name = f"weft {words[0]}, {count:,} runs"
        values = command_ms(many, *words)
        rows.append(least(name, "ms", values, floor=floor, aim=1.5, note="floor: ten runs; least of 7"))
    return rows


def lengthen(home: Path, count: int) -> None:
    """Write ``count`` more runs into the database of a home, each a copy of its latest, as a driver does.

    Where there is a folder in memory, they are written there: what waits for the disk is not measured here.
    """
    place = home / "weft.db"
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as work:
        copy = Path(work) / place.name
        shutil.copyfile(place, copy)
        with open_database(copy, SystemClock()) as database:
            latest = database.runs.get("@")
            tasks = list(database.tasks.outcomes(latest.id))
            program = database.runs.program(latest.program)
            for _ in range(count):
                _add_run(database, latest, tasks, program)
        shutil.copyfile(copy, place)


def _add_run(database: Database, like: RunRecord, tasks: list[TaskRecord], program: bytes) -> None:
    clock = SystemClock()
    now_ms = clock.now_ms()
    fields = {name: getattr(like, name) for name in NewRun.__struct_fields__}
    run = NewRun(**{**fields, "id": clock.new_id(), "created_ms": now_ms})
    database.runs.create(run, program, [JournalEntry(now_ms, "run.accepted", "", "started", seal_run(run))])
    lease = database.runs.claim(run.id, _OWNER, 30_000)
    copies = [msgspec.structs.replace(task, run=run.id) for task in tasks]
    move = RunMove("succeeded", now_ms, like.result)
    ended = JournalEntry(now_ms, "run.ended", "", "the workflow returned", seal_move(move))
    database.runs.commit(lease, Batch(tasks=copies, entries=[ended], move=move))
