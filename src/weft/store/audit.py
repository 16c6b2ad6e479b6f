"""Rows of a run that its journal vouches for: each is compared with what the entries say.

``Journal.verify`` checks the chain and the ended tasks. Here is the rest: the run's own row, attempts that failed,
counts, the program, and rows that no entry knows. Who drives a run (its owner and lease) and a wish to cancel it are
not part of the record, and are not compared.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from weft.digest import digest_bytes
from weft.errors import StoredDataError
from weft.model.journal import SEALING, AttemptSeal, JournalEntry, MoveSeal, Seal
from weft.model.records import RunRecord, attempt_digest, seal_run
from weft.model.states import RUN_FINAL, TASK_FINAL
from weft.model.values import UNREADABLE
from weft.store.engine import Engine, statements
from weft.store.journal import Journal
from weft.store.runs import Runs
from weft.store.tasks import Tasks

_seal = msgspec.msgpack.Decoder(Seal).decode
_attempt = msgspec.msgpack.Decoder(AttemptSeal).decode
_move = msgspec.msgpack.Decoder(MoveSeal).decode


class ChangedRow(StoredDataError):
    """A row is not what the journal says of it."""

    code = "changed-row"

    def __init__(self, run: str, what: str) -> None:
        super().__init__(
            f"run {run}: {what}",
            hint="The record of this run was changed after it was written; do not rely on it. "
            "A copy of the database from before holds the original.",
        )


class Audit:
    """Checks one run. State: what the entries read so far say."""

    def __init__(self, engine: Engine, run: RunRecord) -> None:
        self._engine = engine
        self._run = run
        self._sealed = 0
        self._attempts = 0
        self._claims: list[JournalEntry] = []
        self._last: tuple[JournalEntry, MoveSeal] | None = None

    def problems(self) -> Iterator[ChangedRow]:
        """Yield what is wrong, in the order of the journal, then rows that no entry knows.

        Raises:
            StoredDataError: an entry or a row cannot be read.
        """
        for entry in Journal(self._engine).entries(self._run.id):
            try:
                yield from self._entry(entry)
            except UNREADABLE as error:
                yield self._wrong(f"journal entry {entry.seq} is unreadable: {error}")
        yield from self._program()
        # While somebody drives the run, its rows are ahead of what was read of its journal.
        if Runs(self._engine).get(self._run.id).journal_count == self._run.journal_count:
            yield from self._run_row()
            yield from self._unknown_rows()

    def _wrong(self, what: str) -> ChangedRow:
        return ChangedRow(self._run.id, what)

    def _entry(self, entry: JournalEntry) -> Iterator[ChangedRow]:
        if entry.kind in SEALING and entry.body:
            self._sealed += len(_seal(entry.body).rows)
        elif entry.kind == "run.accepted" and entry.body and entry.body != seal_run(self._run):
            yield self._wrong("what it was started with is not what was accepted")
        elif entry.kind == "run.claimed":
            self._claims.append(entry)
        elif entry.kind in ("run.moved", "run.ended") and entry.body:
            self._last = entry, _move(entry.body)
        elif entry.kind == "task.retried":
            yield from self._attempt(entry, _attempt(entry.body))

    def _attempt(self, entry: JournalEntry, seal: AttemptSeal) -> Iterator[ChangedRow]:
        self._attempts += 1
        found = Tasks(self._engine).attempts(self._run.id, seal.node, seal.index)
        row = next((each for each in found if each.attempt == seal.attempt), None)
        what = f"attempt {seal.attempt} of {entry.subject}"
        if row is None:
            yield self._wrong(f"{what} is missing")
        elif attempt_digest(row) != seal.digest:
            yield self._wrong(f"the row of {what} was changed")

    def _run_row(self) -> Iterator[ChangedRow]:
        run, claims = self._run, self._claims
        state, result, failure, ended_ms = "running" if claims else "queued", None, None, 0
        if self._last is not None:
            entry, move = self._last
            state, result, failure = move.state, move.result, move.failure
            ended_ms = entry.at_ms if state in RUN_FINAL else 0
        told = {
            "state": (run.state, state),
            "result": (run.result, result),
            "failure": (run.failure, failure),
            "time of its end": (run.ended_ms, ended_ms),
            "time of its start": (run.started_ms, claims[0].at_ms if claims else 0),
            "number of claims": (run.fence, len(claims)),
        }
        for what, (found, recorded) in told.items():
            if found != recorded:
                yield self._wrong(f"its {what} is not what the journal says")

    def _unknown_rows(self) -> Iterator[ChangedRow]:
        sql, run = statements("tasks"), {"run": self._run.id}
        recounted = self._engine.execute(sql["recount"], run)
        ended = [row for row in recounted if row[2] in TASK_FINAL]
        count = sum(row[3] for row in ended)
        if count != self._sealed:
            yield self._wrong(f"{count} tasks have ended, and the journal vouches for {self._sealed}")
        if self._run.state in RUN_FINAL and len(ended) != len(recounted):
            yield self._wrong("it has ended, and has tasks that have not")
        if [_plain(row) for row in ended] != [
            _plain(row) for row in self._engine.execute(sql["ended_counts"], run)
        ]:
            yield self._wrong("the counts of its tasks are not those of their rows")
        attempts = self._engine.execute(sql["count_attempts"], run)[0][0]
        if attempts != self._attempts:
            yield self._wrong(f"it has {attempts} failed attempts, and the journal knows {self._attempts}")

    def _program(self) -> Iterator[ChangedRow]:
        try:
            body = Runs(self._engine).program(self._run.program)
        except StoredDataError as error:
            yield self._wrong(error.message)
            return
        if digest_bytes(body) != self._run.program:
            yield self._wrong(f"its program {self._run.program} was changed")


def _plain(row: tuple[object, ...]) -> tuple[object, ...]:
    # A sum is a decimal in PostgreSQL.
    return tuple(each if isinstance(each, str) else int(each) for each in row)  # type: ignore[call-overload]
