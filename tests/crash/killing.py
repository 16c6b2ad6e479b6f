"""Named points of the shipped code, and SIGKILL there. Installed by a launcher around the shipped functions.

``install`` wraps functions of the product in this process, before anything of it has run; a nursery and its workers
are forked from here and have the wrappers too. The product itself knows nothing of it.

State, for each process: ``_spec``, which point kills whom, and ``_seen``, how often that point was reached.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from weft.driver.driver import Driver
from weft.driver.reuse import Reuse
from weft.executors.local import LocalExecutor
from weft.executors.nursery import Nursery
from weft.executors.port import Ended
from weft.machine.budgets import Budgets
from weft.model.states import RUN_FINAL
from weft.store import blobs, durable
from weft.store.engine import statement, statements
from weft.store.postgres import PostgresEngine
from weft.store.runs import Runs
from weft.store.sqlite import SqliteEngine
from weft.worker import checkpoints, process

DRIVER_POINTS = (
    "accept: before commit",
    "accept: after commit",
    "claim: before commit",
    "claim: after commit",
    "commit: half written",
    "commit: before",
    "commit: after",
    "commit: after a retry is recorded",
    "submit: before",
    "submit: after",
    "batch: between two",
    "reap: a report, not recorded yet",
    "end: before commit",
    "end: after commit",
)
WORKER_POINTS = (
    "upload: file begun",
    "upload: in the middle",
    "upload: written, not synced",
    "upload: synced, not renamed",
    "upload: after rename, folder not synced",
    "report: result stored, not reported",
    "report: after it was sent",
    "checkpoint: value stored, not named",
    "checkpoint: named",
)
NURSERY_POINTS = ("reap: a dead worker",)
POINTS = DRIVER_POINTS + WORKER_POINTS + NURSERY_POINTS
VICTIMS = ("driver", "worker", "both")


class Spec(NamedTuple):
    """Kill ``victim`` when ``point`` is reached for the ``nth`` time in one process; ``hits``: where to note it.

    ``number`` SIGSTOP freezes them; who wakes them again reads their ids in ``hits``.
    """

    point: str
    victim: str
    nth: int
    hits: str
    number: int = signal.SIGKILL
    driver: int = 0


_spec: Spec | None = None
_seen = 0
_executor: LocalExecutor | None = None


def reach(point: str) -> None:
    """Say that this process is at ``point``."""
    global _seen
    if _spec is None or _spec.point != point:
        return
    _seen += 1
    if _seen == _spec.nth:
        _kill(_spec)


def _kill(spec: Spec) -> None:
    victims = _victims(spec)
    if not victims:
        return
    # Once in all: of several workers at the point only the first may kill.
    try:
        file = os.open(spec.hits, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    except FileExistsError:
        return
    os.write(file, " ".join(map(str, victims)).encode())
    os.close(file)
    for victim in victims:
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, spec.number)


def _victims(spec: Spec) -> list[int]:
    """Return whom to kill, this process last: a worker and its driver, or one of them."""
    here = os.getpid()
    worker = _worker() if here == spec.driver else [here]
    driver = [spec.driver]
    return {"driver": driver, "worker": worker, "both": [*sorted({*worker, *driver} - {here}), here]}[
        spec.victim
    ]


def _worker() -> list[int]:
    """Return one worker of this driver, at work if there is one; none if none was born yet."""
    nests = _executor._nests.values() if _executor is not None else ()
    alive = [hand for nest in nests for hand in nest.hands.values() if hand.pid]
    return [hand.pid for hand in sorted(alive, key=lambda hand: not hand.outstanding)[:1]]


def install(spec: Spec) -> None:
    """Wrap the shipped functions in this process, which is going to be the driver."""
    global _spec, _seen
    _spec, _seen = spec._replace(driver=os.getpid()), 0
    _wrap(Runs, "create", None, "accept: after commit")
    _wrap(Runs, "claim", None, "claim: after commit")
    _wrap(LocalExecutor, "submit", "submit: before", "submit: after")
    _wrap(Driver, "_turn", "batch: between two", None)
    _wrap(Nursery, "_bury", "reap: a dead worker", None)
    _wrap(durable, "_write_all", "upload: file begun", "upload: written, not synced")
    _wrap(durable, "_write_synced", None, "upload: synced, not renamed")
    _wrap(process.Worker, "_run", None, "report: result stored, not reported")
    _wrap(checkpoints.Shelf, "_write", "checkpoint: value stored, not named", "checkpoint: named")
    _wrap_commit()
    for engine in (SqliteEngine, PostgresEngine):
        _wrap_transaction(engine)
        _wrap_write(engine)
    _wrap_poll()
    _wrap_report()
    _wrap_upload()


def _wrap(owner: Any, name: str, before: str | None, after: str | None) -> None:
    shipped = getattr(owner, name)

    @functools.wraps(shipped)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if before is not None:
            reach(before)
        result = shipped(*args, **kwargs)
        if after is not None:
            reach(after)
        return result

    setattr(owner, name, wrapped)


def _wrap_commit() -> None:
    shipped = Runs.commit

    def commit(self: Runs, lease: Any, batch: Any) -> None:
        ends = batch.move is not None and batch.move.state in RUN_FINAL
        with _inside("end: before commit" if ends else "commit: before"):
            shipped(self, lease, batch)
        if batch.attempts:
            reach("commit: after a retry is recorded")
        reach("end: after commit" if ends else "commit: after")

    Runs.commit = commit  # type: ignore[method-assign]
    for name in ("create", "claim"):
        _wrap_inside(name, f"{ {'create': 'accept', 'claim': 'claim'}[name] }: before commit")


def _wrap_inside(name: str, point: str) -> None:
    shipped = getattr(Runs, name)

    @functools.wraps(shipped)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        with _inside(point):
            return shipped(*args, **kwargs)

    setattr(Runs, name, wrapped)


_before_commit: list[str] = []


@contextlib.contextmanager
def _inside(point: str) -> Iterator[None]:
    _before_commit.append(point)
    try:
        yield
    finally:
        _before_commit.pop()


def _wrap_transaction(engine: Any) -> None:
    shipped = engine.transaction

    @contextlib.contextmanager
    def transaction(self: Any, **options: Any) -> Iterator[None]:
        with shipped(self, **options):
            yield
            # All is written, and the commit is the next statement.
            if _before_commit:
                reach(_before_commit[-1])

    engine.transaction = transaction


def _wrap_write(engine: Any) -> None:
    shipped = engine.write_many

    def write_many(self: Any, statement: Any, rows: Any) -> int:
        if rows and _before_commit[-1:] == ["commit: before"]:
            reach("commit: half written")
        written: int = shipped(self, statement, rows)
        return written

    engine.write_many = write_many


def _wrap_poll() -> None:
    shipped = LocalExecutor.poll

    def poll(self: LocalExecutor, timeout_s: float | None) -> list[Any]:
        global _executor
        _executor = self
        events = shipped(self, timeout_s)
        if any(isinstance(event, Ended) for event in events):
            reach("reap: a report, not recorded yet")
        return events

    LocalExecutor.poll = poll  # type: ignore[method-assign]


def _wrap_report() -> None:
    shipped = process.Worker._work

    def work(self: Any, batch: Any) -> None:
        shipped(self, batch)
        reach("report: after it was sent")

    process.Worker._work = work  # type: ignore[method-assign]


def _wrap_upload() -> None:
    shipped: Callable[[int, Any], None] = durable._write_all

    def write_all(file: int, content: Any) -> None:
        views = [memoryview(item).cast("B") for item in content]
        if _spec is not None and _spec.point == "upload: in the middle":
            for view in views:
                shipped(file, [view[: len(view) // 2]])
                reach("upload: in the middle")
                shipped(file, [view[len(view) // 2 :]])
            return
        shipped(file, content)

    durable._write_all = write_all
    sync = durable.sync_folder

    def sync_folder(folder: str) -> None:
        if folder.rpartition("/")[2] not in ("artifacts", "blobs"):
            reach("upload: after rename, folder not synced")
        sync(folder)

    durable.sync_folder = blobs.sync_folder = sync_folder


def sabotage(protection: str) -> None:
    """Take a protection out of the shipped code in this process: the kills must then be noticed."""
    if protection == "what is recorded is replayed":
        Reuse.find = _find_nothing  # type: ignore[method-assign]
    elif protection == "rows and journal are one transaction":
        SqliteEngine.transaction = _each_statement_by_itself  # type: ignore[method-assign,assignment]
    elif protection == "a lost worker is no failure of the task":
        Budgets._charge_loss = lambda *_: None  # type: ignore[method-assign]
    elif protection == "a write compares the fence":
        statements("runs")["advance"] = statement(
            "update runs set journal_head = :head, journal_count = :count where id = :run"
        )
        statements("runs")["heartbeat"] = statement(
            "update runs set lease_until_ms = :until_ms where id = :run returning cancel_requested_ms"
        )
    else:
        raise ValueError(protection)


_shipped_find = Reuse.find


def _find_nothing(self: Reuse, command: Any, now_ms: int, out: str | None) -> Any:
    self.recorded.pop(command.instance, None)
    return _shipped_find(self, command, now_ms, out)


@contextlib.contextmanager
def _each_statement_by_itself(self: SqliteEngine, **options: Any) -> Iterator[None]:
    with self._locked():
        yield
