"""The tasks of runs: read for people, for replay and for reuse. They are written by ``Runs.commit``."""

from __future__ import annotations

from collections.abc import Iterator
from operator import attrgetter
from typing import Final

from weft.model.records import (
    AttemptRecord,
    Index,
    TaskCount,
    TaskPage,
    TaskRecord,
    TaskState,
    index_from_bytes,
    index_to_bytes,
)
from weft.store.engine import Engine, Row, statements

PAGE: Final = 1000
_BEFORE_ALL: Final = (-1, b"")

task_to_row = attrgetter(
    *("run", "node", "index_bytes", "path", "kind", "state", "attempt", "key", "started_ms", "ended_ms"),
    *("cpu_ms", "memory_bytes", "executor", "worker", "source", "reason", "inputs", "outcome"),
)
"""The row of the statement ``put``, in its order of names."""

attempt_to_row = attrgetter(
    *("run", "node", "index_bytes", "attempt", "state", "started_ms", "ended_ms", "executor", "worker"),
    *("log", "failure"),
)
"""The row of the statement ``put_attempt``, in its order of names."""


def task_from_row(row: Row) -> TaskRecord:
    """Return the record of a row with all columns."""
    return TaskRecord(row[0], row[1], index_from_bytes(row[2]), *row[3:])


class Tasks:
    """The tasks of all runs."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._sql = statements("tasks")

    def find(self, run: str, node: int, index: Index = ()) -> TaskRecord | None:
        """Return one instance, or None where nothing is recorded of it."""
        key = {"run": run, "node": node, "idx": index_to_bytes(index)}
        rows = self._engine.execute(self._sql["get"], key)
        return task_from_row(rows[0]) if rows else None

    def named(self, run: str, path: str, *, limit: int = PAGE) -> list[TaskRecord]:
        """Return the instances with exactly this path. It reads all rows of the run."""
        rows = self._engine.execute(self._sql["named"], {"run": run, "path": path, "count": limit})
        return [task_from_row(row) for row in rows]

    def list_tasks(
        self, run: str, *, state: TaskState | None = None, limit: int = PAGE, cursor: str | None = None
    ) -> TaskPage:
        """Return a page of instances in program order; ``cursor`` is that of the page before."""
        node, idx = _cursor_from_text(cursor) if cursor else _BEFORE_ALL
        tasks = self._page(run, node, idx, limit + 1, state)
        more = len(tasks) > limit
        return TaskPage(tasks[:limit], _cursor_to_text(tasks[limit - 1]) if more else None)

    def outcomes(self, run: str) -> Iterator[TaskRecord]:
        """Yield every recorded instance in program order, page by page: what a resume replays."""
        node, idx = _BEFORE_ALL
        while tasks := self._page(run, node, idx, PAGE, None):
            yield from tasks
            node, idx = tasks[-1].node, tasks[-1].index_bytes

    def counts(self, run: str) -> list[TaskCount]:
        """Return how many instances of each node are in each state; for runs too big to list."""
        rows = self._engine.execute(self._sql["counts"], {"run": run})
        # A sum is a decimal in PostgreSQL.
        return [
            TaskCount(node, kind, state, count, int(attempts), started, ended)
            for node, kind, state, count, attempts, started, ended in rows
        ]

    def find_cached(self, key: str, *, not_before_ms: int = 0) -> TaskRecord | None:
        """Return the newest success of any run with this key that ended at ``not_before_ms`` or later."""
        rows = self._engine.execute(self._sql["cached"], {"key": key, "not_before_ms": not_before_ms})
        return task_from_row(rows[0]) if rows else None

    def find_in_run(self, run: str, key: str) -> TaskRecord | None:
        """Return what ``run`` made, or took over itself, under this key: what a resumed run takes over."""
        rows = self._engine.execute(self._sql["keyed"], {"key": key, "run": run})
        return task_from_row(rows[0]) if rows else None

    def attempts(self, run: str, node: int, index: Index = ()) -> list[AttemptRecord]:
        """Return the attempts of one instance that did not count, in order."""
        key = {"run": run, "node": node, "idx": index_to_bytes(index)}
        return [_attempt_from_row(row) for row in self._engine.execute(self._sql["attempts"], key)]

    def attempts_of_run(self, run: str) -> Iterator[AttemptRecord]:
        """Yield the attempts of a run that did not count, in program order, page by page."""
        place: dict[str, object] = {"node": -1, "idx": b"", "attempt": 0}
        sql = self._sql["attempts_of_run"]
        while rows := self._engine.execute(sql, {"run": run, "count": PAGE, **place}):
            yield from map(_attempt_from_row, rows)
            place = {"node": rows[-1][1], "idx": rows[-1][2], "attempt": rows[-1][3]}

    def _page(self, run: str, node: int, idx: bytes, count: int, state: TaskState | None) -> list[TaskRecord]:
        params = {"run": run, "node": node, "idx": idx, "count": count, "state": state}
        rows = self._engine.execute(self._sql["page_of_state" if state else "page"], params)
        return [task_from_row(row) for row in rows]


def _attempt_from_row(row: Row) -> AttemptRecord:
    return AttemptRecord(row[0], row[1], index_from_bytes(row[2]), *row[3:])


def _cursor_to_text(task: TaskRecord) -> str:
    return f"{task.node}-{task.index_bytes.hex()}"


def _cursor_from_text(cursor: str) -> tuple[int, bytes]:
    node, _, idx = cursor.partition("-")
    return int(node), bytes.fromhex(idx)
