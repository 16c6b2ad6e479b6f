"""The journal of a run: entries chained by hash, read in pages, and verified."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from weft.errors import StoredDataError
from weft.model.journal import CHAIN_START, SEALING, JournalEntry, Seal, chain
from weft.model.records import TaskRecord, index_to_bytes, seal_digest
from weft.model.values import UNREADABLE
from weft.store.engine import Engine, Row, statements
from weft.store.tasks import task_from_row

PAGE: Final = 1000
_seal_decoder = msgspec.msgpack.Decoder(Seal)


class BrokenJournal(StoredDataError):
    """The journal of a run, or a row that it vouches for, is not what was written."""

    code = "broken-journal"

    def __init__(self, run: str, seq: int, why: str) -> None:
        super().__init__(
            f"run {run}: journal entry {seq} {why}",
            hint="The record of this run was changed after it was written; do not rely on it. "
            "A copy of the database from before holds the original.",
        )
        self.run = run
        self.seq = seq


def link(
    run: str, head: str, count: int, entries: Sequence[JournalEntry]
) -> tuple[str, list[tuple[object, ...]]]:
    """Number and chain ``entries`` after the entry ``count`` with hash ``head``.

    Returns:
        The new head, and the rows of the statement ``add``.
    """
    rows: list[tuple[object, ...]] = []
    for seq, entry in enumerate(entries, count + 1):
        entry.seq = seq
        head = chain(run, head, entry)
        rows.append((run, seq, entry.at_ms, entry.kind, entry.subject, entry.cause, entry.body, head))
    return head, rows


class Journal:
    """The journals of all runs. Entries are written by ``Runs.create`` and ``Runs.commit``."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._sql = statements("journal")
        self._get_task = statements("tasks")["get"]

    def list_entries(self, run: str, *, after: int = 0, limit: int = PAGE) -> list[JournalEntry]:
        """Return up to ``limit`` entries in order; ``after`` is the ``seq`` of the last one seen."""
        return [_entry_from_row(row) for row in self._page(run, after, limit)]

    def entries(self, run: str) -> Iterator[JournalEntry]:
        """Yield all entries in order, page by page."""
        for row in self._rows(run):
            yield _entry_from_row(row)

    def ended_tasks(self, run: str, *, after: int = 0) -> tuple[list[TaskRecord], int]:
        """Return the tasks that some entries after ``after`` vouch for, and the ``seq`` of the last one read.

        Raises:
            BrokenJournal: an entry, or a row that it vouches for, is not what was written.
        """
        tasks, last = [], after
        for entry in self.list_entries(run, after=after):
            last = entry.seq
            seal = self._seal(run, entry)
            if seal is not None:
                tasks += [self._sealed_task(run, entry, node, index) for node, index in seal.rows]
        return tasks, last

    def verify(self, run: str) -> int:
        """Check the chain, its stored head, and every row that an entry seals.

        Returns:
            The number of entries.

        Raises:
            BrokenJournal: names the first entry that is wrong, missing or too many.
        """
        head, count = CHAIN_START, 0
        stored = self._stored_head(run)
        while True:
            for row in self._rows(run, count):
                entry = _entry_from_row(row)
                if entry.seq != count + 1:
                    raise BrokenJournal(run, count + 1, "is missing")
                head = chain(run, head, entry)
                if head != row[6]:
                    raise BrokenJournal(run, entry.seq, "was changed")
                self._check_seal(run, entry)
                count += 1
            before, stored = stored, self._stored_head(run)
            # While somebody drives the run there is more each time.
            if stored in (before, (head, count)):
                break
        self._check_head(run, head, count, stored)
        return count

    def _stored_head(self, run: str) -> tuple[str, int]:
        rows = self._engine.execute(self._sql["head"], {"run": run})
        if not rows:
            raise BrokenJournal(run, 1, "belongs to a run that is missing")
        head, count = rows[0]
        return head, count

    def _check_head(self, run: str, head: str, count: int, stored: tuple[str, int]) -> None:
        stored_head, stored_count = stored
        if count < stored_count:
            raise BrokenJournal(run, count + 1, "is missing")
        if count > stored_count:
            raise BrokenJournal(run, stored_count + 1, "was added")
        if head != stored_head:
            raise BrokenJournal(run, count, "is not the one that the run remembers")

    def _check_seal(self, run: str, entry: JournalEntry) -> None:
        seal = self._seal(run, entry)
        if seal is None:
            return
        tasks = [self._sealed_task(run, entry, node, index) for node, index in seal.rows]
        if seal_digest(tasks) != seal.digest:
            named = ", ".join(task.path for task in tasks[:3])
            raise BrokenJournal(run, entry.seq, f"vouches for rows that were changed (among {named})")

    def _seal(self, run: str, entry: JournalEntry) -> Seal | None:
        if entry.kind not in SEALING or not entry.body:
            return None
        try:
            return _seal_decoder.decode(entry.body)
        except UNREADABLE as error:
            raise BrokenJournal(run, entry.seq, f"has an unreadable seal: {error}") from error

    def _sealed_task(self, run: str, entry: JournalEntry, node: int, index: tuple[int, ...]) -> TaskRecord:
        key = {"run": run, "node": node, "idx": index_to_bytes(index)}
        rows = self._engine.execute(self._get_task, key)
        if not rows:
            raise BrokenJournal(run, entry.seq, f"vouches for a task that is missing: node {node}, {index}")
        return task_from_row(rows[0])

    def _rows(self, run: str, after: int = 0) -> Iterator[Row]:
        while rows := self._page(run, after, PAGE):
            yield from rows
            after = rows[-1][0]

    def _page(self, run: str, after: int, limit: int) -> Sequence[Row]:
        return self._engine.execute(self._sql["page"], {"run": run, "after": after, "count": limit})


def _entry_from_row(row: Row) -> JournalEntry:
    seq, at_ms, kind, subject, cause, body, _ = row
    return JournalEntry(at_ms, kind, subject, cause, body, seq)
