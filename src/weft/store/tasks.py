"""The tasks of runs: read for people, for replay and for reuse. They are written by ``Runs.commit``."""

from __future__ import annotations

import binascii
from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Final

from weft.digest import ALGORITHM
from weft.model.records import (
    AttemptRecord,
    Index,
    TaskCount,
    TaskPage,
    TaskRecord,
    TaskState,
    TookRecord,
    index_from_bytes,
    index_to_bytes,
)
from weft.model.states import TASK_FINAL
from weft.store.engine import Engine, Row, statements

PAGE: Final = 1000
_BEFORE_ALL: Final = (-1, b"")

_before_key = attrgetter("run", "node", "index_bytes", "path", "kind", "state", "attempt")
_after_key = attrgetter(
    *("started_ms", "ended_ms", "cpu_ms", "memory_bytes", "executor", "worker", "source", "reason"),
    *("inputs", "outcome"),
)

attempt_to_row = attrgetter(
    *("run", "node", "index_bytes", "attempt", "state", "started_ms", "ended_ms", "executor", "worker"),
    *("log", "failure"),
)
"""The row of the statement ``put_attempt``, in its order of names."""


_KEY_PREFIX: Final = f"{ALGORITHM}:"
_KEY_LENGTH: Final = len(_KEY_PREFIX) + 64
_SHORT_LENGTH: Final = 43
_PADDING: Final = "="

_INDEXED: Final = ("waiting", "running", "retrying", "failed")


def count_rows(tasks: Sequence[TaskRecord]) -> list[tuple[object, ...]]:
    """Return the rows of the statement ``count_ended`` for those of ``tasks`` that are in a final state."""
    counts: dict[tuple[str, int, str, str], list[int]] = {}
    for task in tasks:
        if task.state not in TASK_FINAL:
            continue
        key = (task.run, task.node, task.kind, task.state)
        count = counts.setdefault(key, [0, 0, task.started_ms, 0])
        count[0] += 1
        count[1] += task.attempt
        if task.started_ms and not 0 < count[2] <= task.started_ms:
            count[2] = task.started_ms
        count[3] = max(count[3], task.ended_ms)
    return [(*key, *count) for key, count in counts.items()]


def task_to_row(task: TaskRecord) -> tuple[object, ...]:
    """Return the row of the statement ``put``, in its order of names."""
    return (*_before_key(task), _short_key(task.key), *_after_key(task))


def task_from_row(row: Row) -> TaskRecord:
    """Return the record of a row with all columns."""
    task = TaskRecord(row[0], row[1], index_from_bytes(row[2]), *row[3:])
    task.key = _long_key(task.key)
    return task


def _short_key(key: str | None) -> str | None:
    """Return a key as rows hold it: base 64, since it stands in each row and again in the index."""
    if key is None or len(key) != _KEY_LENGTH or not key.startswith(_KEY_PREFIX):
        return key
    digest = bytes.fromhex(key[len(_KEY_PREFIX) :])
    return binascii.b2a_base64(digest, newline=False).decode().rstrip(_PADDING)


def _long_key(key: str | None) -> str | None:
    if key is None or len(key) != _SHORT_LENGTH:
        return key
    return _KEY_PREFIX + binascii.a2b_base64(key + _PADDING).hex()


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
        return TaskPage(tasks[:limit], cursor_of(tasks[limit - 1]) if more else None)

    def outcomes(self, run: str) -> Iterator[TaskRecord]:
        """Yield every recorded instance in program order, page by page: what a resume replays."""
        node, idx = _BEFORE_ALL
        while tasks := self._page(run, node, idx, PAGE, None):
            yield from tasks
            node, idx = tasks[-1].node, tasks[-1].index_bytes

    def counts(self, run: str) -> list[TaskCount]:
        """Return how many instances of each node are in each state, in constant time however many there are."""
        rows = self._engine.execute(self._sql["counts"], {"run": run})
        # A sum is a decimal in PostgreSQL.
        return [
            TaskCount(node, kind, state, count, int(attempts), started, ended)
            for node, kind, state, count, attempts, started, ended in rows
        ]

    def took(self, run: str) -> list[TookRecord]:
        """Return what the calls of each node took that ended well. It reads all rows of the run."""
        rows = self._engine.execute(self._sql["took"], {"run": run})
        # A sum is a decimal in PostgreSQL.
        return [TookRecord(node, count, int(total), most) for node, count, total, most in rows]

    def sources(self, run: str) -> list[str]:
        """Return the runs that results were taken over from. It reads all rows of the run."""
        return [source for (source,) in self._engine.execute(self._sql["sources"], {"run": run})]

    def find_cached(self, key: str, *, not_before_ms: int = 0) -> TaskRecord | None:
        """Return the newest success of any run with this key that ended at ``not_before_ms`` or later."""
        rows = self._engine.execute(
            self._sql["cached"], {"key": _short_key(key), "not_before_ms": not_before_ms}
        )
        return task_from_row(rows[0]) if rows else None

    def find_in_run(self, run: str, key: str) -> TaskRecord | None:
        """Return what ``run`` made, or took over itself, under this key: what a resumed run takes over."""
        rows = self._engine.execute(self._sql["keyed"], {"key": _short_key(key), "run": run})
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
        name = "page" if state is None else "page_of_indexed_state" if state in _INDEXED else "page_of_state"
        rows = self._engine.execute(self._sql[name], params)
        return [task_from_row(row) for row in rows]


def _attempt_from_row(row: Row) -> AttemptRecord:
    return AttemptRecord(row[0], row[1], index_from_bytes(row[2]), *row[3:])


def cursor_of(task: TaskRecord) -> str:
    """Return the cursor of what follows ``task`` in program order."""
    return f"{task.node}-{task.index_bytes.hex()}"


def _cursor_from_text(cursor: str) -> tuple[int, bytes]:
    node, _, idx = cursor.partition("-")
    return int(node), bytes.fromhex(idx)
