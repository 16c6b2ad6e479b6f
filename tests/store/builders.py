"""Rows for the tests of the database."""

from __future__ import annotations

from weft.clock import Clock, FakeClock
from weft.model.journal import JournalEntry
from weft.model.records import Batch, Lease, NewRun, Owner, RunMove, TaskRecord, TaskState, seal
from weft.store.database import Database, open_database
from weft.store.migrate import migrate
from weft.store.postgres import open_postgres

LEASE_MS = 30_000
ME = Owner("here", 100, "boot", 5)
OTHER = Owner("there", 200, "boot", 6)
PROGRAM = b"a program"


def open_at(place: str, clock: Clock) -> Database:
    """Return the database at ``place``; leases count in ``clock``, on PostgreSQL too."""
    if not place.startswith("postgres"):
        return open_database(place, clock)
    engine = open_postgres(place, clock)
    migrate(engine)
    return Database(engine)


def new_run(run: str, workflow: str = "wf", **fields: object) -> NewRun:
    values = {"program": "b3:program", "created_ms": 1, **fields}
    return NewRun(id=run, workflow=workflow, **values)  # type: ignore[arg-type]


def accept(database: Database, run: str, workflow: str = "wf", **fields: object) -> str:
    database.runs.create(new_run(run, workflow, **fields), PROGRAM, [entry("run.accepted")])
    return run


def start(database: Database, clock: FakeClock, **fields: object) -> Lease:
    run = accept(database, clock.new_id(), **fields)  # type: ignore[arg-type]
    return database.runs.claim(run, ME, LEASE_MS)


def entry(kind: str = "note", **fields: object) -> JournalEntry:
    return JournalEntry(7, kind, **fields)  # type: ignore[arg-type]


def task(lease: Lease, number: int = 0, state: TaskState = "succeeded", **fields: object) -> TaskRecord:
    values = {"run": lease.run, "node": 1, "index": (number,), "path": f"train[{number}]", "kind": "call"}
    return TaskRecord(**{**values, "state": state, "attempt": 1, **fields})  # type: ignore[arg-type]


def ended(*tasks: TaskRecord) -> Batch:
    """Return a batch that writes tasks in final states, with an entry that vouches for them."""
    return Batch(tasks=list(tasks), entries=[entry("task.ended", body=seal(tasks))])


def finish(database: Database, lease: Lease, state: str = "succeeded", **fields: object) -> None:
    move = RunMove(state, 99, **fields)  # type: ignore[arg-type]
    database.runs.commit(lease, Batch(entries=[entry("run.ended")], move=move))
