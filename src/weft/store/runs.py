"""Runs: accepted, claimed, written by their driver under a fence, looked up, and deleted.

Every write of a driver is one transaction that begins with the fence: the first statement moves the
journal's head on where the run is still claimed by this lease, and locks the run's row while it does so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from weft.errors import RetryableError, StoredDataError, UserError
from weft.model.journal import CHAIN_START, JournalEntry
from weft.model.records import (
    Batch,
    Lease,
    NewRun,
    Owner,
    Reference,
    RunMove,
    RunPage,
    RunRecord,
    RunState,
    TaskRecord,
    UnreadableRecord,
    seal_move,
)
from weft.model.states import RUN_FINAL
from weft.model.values import UNREADABLE
from weft.store.engine import DatabaseUnreachable, Engine, Fenced, IllegalMove, Row, statements
from weft.store.journal import link
from weft.store.tasks import attempt_to_row, count_rows, task_to_row

LATEST: Final = "@"
_CANDIDATES_SHOWN: Final = 5
_AFTER_ALL: Final = "\x7f"
_json_encoder = msgspec.json.Encoder()
_owner_decoder = msgspec.json.Decoder(Owner)
_tags_decoder = msgspec.json.Decoder(dict[str, str])


class RunNotFound(UserError):
    """No run has this id."""

    code = "run-not-found"

    def __init__(self, name: str) -> None:
        if name == LATEST:
            super().__init__("there is no run yet", hint="Start one with `weft run FILE`.")
        else:
            super().__init__(f"no run has an id that begins with {name!r}", hint="`weft ls` lists the runs.")


class AmbiguousRun(UserError):
    """Several runs have an id that begins like this."""

    code = "ambiguous-run"

    def __init__(self, name: str, candidates: Sequence[str], *, is_complete: bool) -> None:
        listed = "; ".join(candidates) + ("" if is_complete else "; and more")
        super().__init__(f"several runs begin with {name!r}: {listed}", hint="Give more of the id.")
        self.candidates = tuple(candidates)


class RunExists(UserError):
    """A run with this id was accepted before."""

    code = "run-exists"

    def __init__(self, run: str) -> None:
        super().__init__(f"run {run} exists already", hint="Take a new id, or look at it: `weft show`.")


class RunEnded(UserError):
    """The run has ended; it never changes again."""

    code = "run-ended"

    def __init__(self, run: str, state: str) -> None:
        super().__init__(
            f"run {run} has ended: {state}",
            hint="`weft resume` starts a new run that takes over its results.",
        )


class RunBusy(RetryableError):
    """Another process drives the run."""

    code = "run-busy"

    def __init__(self, run: str, owner: Owner | None, remaining_ms: int) -> None:
        who = f"process {owner.pid} on {owner.host}" if owner else "another process"
        super().__init__(
            f"run {run} is driven by {who}; its lease lasts {max(remaining_ms, 0) / 1000:.0f} s more",
            hint="Stop that process, or wait until its lease has run out.",
        )
        self.owner = owner


class MissingProgram(StoredDataError):
    """The program of a run is not in the database."""

    code = "missing-program"

    def __init__(self, digest: str) -> None:
        super().__init__(f"the program {digest} is not stored", hint="Run the workflow again.")


class Runs:
    """All runs. State: none besides the database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._sql = statements("runs")
        self._put_task = statements("tasks")["put"]
        self._put_attempt = statements("tasks")["put_attempt"]
        self._count_ended = statements("tasks")["count_ended"]
        self._add_entry = statements("journal")["add"]
        self._add_reference = statements("references")["add"]

    # --- accepting

    def create(
        self,
        run: NewRun,
        program: bytes,
        entries: Sequence[JournalEntry] = (),
        references: Sequence[Reference] = (),
    ) -> None:
        """Accept a run: state ``queued``, on the disk when this returns.

        Raises:
            RunExists: the id is taken by another run.
        """
        try:
            self._create(run, program, entries, references)
        except DatabaseUnreachable:
            # What was lost may be the answer alone; a run that did arrive is found and not written again.
            self._create(run, program, entries, references)

    def _create(
        self,
        run: NewRun,
        program: bytes,
        entries: Sequence[JournalEntry],
        references: Sequence[Reference],
    ) -> None:
        head, rows = link(run.id, CHAIN_START, 0, entries)
        values = {**msgspec.structs.asdict(run), "tags": _json_encoder.encode(run.tags).decode()}
        with self._engine.transaction(full_sync=True):
            self._engine.write(self._sql["insert_program"], {"digest": run.program, "body": program})
            chained = {**values, "journal_head": head, "journal_count": len(rows)}
            if self._engine.write(self._sql["insert"], chained) == 0:
                first = {"run": run.id, "params": run.params, "hash": rows[0][-1] if rows else ""}
                if not self._engine.execute(self._sql["begins_with"], first):
                    raise RunExists(run.id)
                return
            self._engine.write(self._sql["insert_values"], values)
            self._engine.write_many(self._add_entry, rows)
            self._write_references(run.id, references)

    def program(self, digest: str) -> bytes:
        """Return the bytes of a program.

        Raises:
            MissingProgram: it is not stored.
        """
        rows = self._engine.execute(self._sql["get_program"], {"digest": digest})
        if not rows:
            raise MissingProgram(digest)
        if not isinstance(rows[0][0], bytes):
            raise UnreadableRecord(f"program {digest}", f"it is a {type(rows[0][0]).__name__}")
        return rows[0][0]

    # --- driving

    def claim(self, run: str, owner: Owner, lease_ms: int, *, dead: Owner | None = None) -> Lease:
        """Take the right to drive a run; a queued one becomes ``running``. The journal says who took it.

        Args:
            dead: an owner that the caller knows to be dead; its lease need not run out.

        Raises:
            RunBusy: somebody else's lease still runs.
            RunEnded: it is in a final state.
            RunNotFound: no run has this id.
        """
        try:
            return self._claim(run, owner, lease_ms, dead)
        except DatabaseUnreachable:
            # What was lost may be the answer alone: then the run is this owner's already.
            rows = self._engine.execute(self._sql["standing"], {"run": run})
            is_own = bool(rows) and rows[0][1] == _owner_to_text(owner)
            return self._claim(run, owner, lease_ms, owner if is_own else dead)

    def _claim(self, run: str, owner: Owner, lease_ms: int, dead: Owner | None) -> Lease:
        now_ms = self._engine.now_ms()
        params = {
            "run": run,
            "owner": _owner_to_text(owner),
            "dead": _owner_to_text(dead) if dead else None,
            "now_ms": now_ms,
            "until_ms": now_ms + lease_ms,
        }
        with self._engine.transaction(full_sync=True):
            rows = self._engine.execute(self._sql["claim"], params)
            if not rows:
                raise self._why_not_claimed(run, now_ms)
            lease = Lease(run, *rows[0])
            if not isinstance(lease.journal_count, int):
                raise UnreadableRecord(f"length of the journal of run {run}", f"{lease.journal_count!r:.40}")
            cause = f"claim {lease.fence} by process {owner.pid} on {owner.host}"
            self._append(lease, JournalEntry(now_ms, "run.claimed", cause=cause))
        return lease

    def _append(self, lease: Lease, entry: JournalEntry) -> None:
        head, rows = link(lease.run, lease.journal_head, lease.journal_count, [entry])
        self._engine.write_many(self._add_entry, rows)
        lease.journal_head, lease.journal_count = head, entry.seq
        self._engine.write(self._sql["append"], {"run": lease.run, "head": head, "count": entry.seq})

    def _why_not_claimed(self, run: str, now_ms: int) -> RunBusy | RunEnded | RunNotFound:
        rows = self._engine.execute(self._sql["standing"], {"run": run})
        if not rows:
            return RunNotFound(run)
        state, owner, _, lease_until_ms, *_ = rows[0]
        if state in RUN_FINAL:
            return RunEnded(run, state)
        return RunBusy(run, _owner_from_text(owner), lease_until_ms - now_ms)

    def heartbeat(self, lease: Lease, lease_ms: int) -> bool:
        """Make the lease last ``lease_ms`` from now; return whether somebody asked to cancel.

        Raises:
            Fenced: the lease is no longer the current one.
        """
        until_ms = self._engine.now_ms() + lease_ms
        params = {"run": lease.run, "fence": lease.fence, "until_ms": until_ms}
        with self._engine.transaction():
            rows = self._engine.execute(self._sql["heartbeat"], params)
            if not rows:
                raise self._fenced(lease)
        return bool(rows[0][0])

    def release(self, lease: Lease) -> None:
        """Give the run back unended, so that anybody may claim it at once. A lost lease is no error."""
        with self._engine.transaction(full_sync=True):
            self._engine.write(self._sql["release"], {"run": lease.run, "fence": lease.fence})

    def commit(self, lease: Lease, batch: Batch) -> None:
        """Write a batch in one transaction, and move the lease's journal head on.

        A batch with entries may be handed over again after ``DatabaseUnreachable``: if the first try
        did arrive, nothing is written twice.

        Raises:
            Fenced: the lease is no longer the current one; nothing was written.
            IllegalMove: a state would move where it must not; nothing was written.
        """
        ends = batch.move is not None and batch.move.state in RUN_FINAL
        head, rows = link(lease.run, lease.journal_head, lease.journal_count, batch.entries)
        count = lease.journal_count + len(rows)
        with self._engine.transaction(full_sync=ends or batch.full_sync):
            if self._advance(lease, head, count):
                self._write(lease, batch, rows)
            elif not (rows and self._stands_at(lease, head, count)):
                raise self._fenced(lease)
        lease.journal_head, lease.journal_count = head, count
        if batch.move is not None:
            lease.state = batch.move.state

    def _advance(self, lease: Lease, head: str, count: int) -> bool:
        params = {
            "run": lease.run,
            "fence": lease.fence,
            "head": head,
            "count": count,
            "head_before": lease.journal_head,
            "count_before": lease.journal_count,
        }
        return self._engine.write(self._sql["advance"], params) == 1

    def _stands_at(self, lease: Lease, head: str, count: int) -> bool:
        rows = self._engine.execute(self._sql["standing"], {"run": lease.run})
        return bool(rows) and (rows[0][2], rows[0][4], rows[0][5]) == (lease.fence, head, count)

    def _write(self, lease: Lease, batch: Batch, journal_rows: Sequence[Sequence[object]]) -> None:
        if batch.tasks:
            self._write_tasks(lease, batch.tasks)
        if batch.attempts:
            self._engine.write_many(
                self._put_attempt, [attempt_to_row(attempt) for attempt in batch.attempts]
            )
        self._engine.write_many(self._add_entry, journal_rows)
        if batch.references:
            self._write_references(lease.run, batch.references)
        if batch.move is not None:
            self._move(lease, batch.move)

    def _write_tasks(self, lease: Lease, tasks: Sequence[TaskRecord]) -> None:
        rows = [task_to_row(task) for task in tasks]
        if any(row[0] != lease.run for row in rows):
            raise ValueError(f"a batch of run {lease.run} holds a task of another run")
        if self._engine.write_many(self._put_task, rows) != len(rows):
            raise self._illegal_task(tasks)
        self._engine.write_many(self._count_ended, count_rows(tasks))

    def _illegal_task(self, tasks: Sequence[TaskRecord]) -> IllegalMove:
        get = statements("tasks")["get"]
        for task in tasks:
            key = {"run": task.run, "node": task.node, "idx": task.index_bytes}
            rows = self._engine.execute(get, key)
            # Rows of this batch that were written just now read as they were handed over.
            if rows and rows[0][5:7] != (task.state, task.attempt):
                return IllegalMove(f"task {task.path} of run {task.run}", rows[0][5], task.state)
        return IllegalMove(f"a task of run {tasks[0].run}", "final", "written again")

    def _write_references(self, run: str, references: Sequence[Reference]) -> None:
        rows = [(reference.digest, run, reference.codec, reference.size_bytes) for reference in references]
        self._engine.write_many(self._add_reference, rows)

    def _move(self, lease: Lease, move: RunMove) -> None:
        params: dict[str, object] = {"run": lease.run, "fence": lease.fence, "state": move.state}
        ends = move.state in RUN_FINAL
        sql = self._sql["end" if ends else "move"]
        if self._engine.write(sql, {**params, "at_ms": move.at_ms}) != 1:
            raise IllegalMove(f"run {lease.run}", lease.state, move.state)
        if ends:
            values = {"run": lease.run, "result": move.result, "failure": move.failure}
            self._engine.write(self._sql["end_values"], values)

    def _fenced(self, lease: Lease) -> Fenced:
        rows = self._engine.execute(self._sql["standing"], {"run": lease.run})
        if not rows:
            return Fenced(lease.run, lease.fence, "the run was deleted")
        state, _, fence, *_ = rows[0]
        return Fenced(lease.run, lease.fence, f"the run is {state}, claim {fence}")

    # --- cancelling

    def request_cancel(self, run: str, cause: str) -> RunState:
        """Ask for the end of a run and return the state it is in: its driver cancels it. A run that
        nobody has claimed yet is cancelled at once; on an ended one nothing changes.

        Raises:
            RunNotFound: no run has this id.
        """
        params = {"run": run, "now_ms": self._engine.now_ms(), "cause": cause}
        with self._engine.transaction(full_sync=True):
            if self._engine.write(self._sql["cancel_queued"], params):
                self._append_end_of_queued(run, cause)
            self._engine.write(self._sql["request_cancel"], params)
            rows = self._engine.execute(self._sql["standing"], {"run": run})
        if not rows:
            raise RunNotFound(run)
        state: RunState = rows[0][0]
        return state

    def _append_end_of_queued(self, run: str, cause: str) -> None:
        state, _, fence, _, head, count = self._engine.execute(self._sql["standing"], {"run": run})[0]
        now_ms = self._engine.now_ms()
        body = seal_move(RunMove("cancelled", now_ms))
        ended = JournalEntry(now_ms, "run.ended", cause=f"cancelled while queued: {cause}", body=body)
        self._append(Lease(run, fence, state, head, count), ended)

    def is_cancel_requested(self, run: str) -> bool:
        """Return whether somebody asked to cancel; False for a run that is not there."""
        rows = self._engine.execute(self._sql["cancel_requested"], {"run": run})
        return bool(rows and rows[0][0])

    # --- looking up

    def get(self, name: str) -> RunRecord:
        """Return a run by its id, a unique prefix of it, or ``@``, the latest that is no child run.

        Raises:
            RunNotFound: there is none.
            AmbiguousRun: there are several; the message lists them.
        """
        run = self._full_id(name)
        rows = self._engine.execute(self._sql["get"], {"run": run})
        if not rows:
            if self._engine.execute(self._sql["standing"], {"run": run}):
                raise UnreadableRecord(f"run {run}", "its values are missing")
            raise RunNotFound(name)
        return _run_from_row(rows[0])

    def _full_id(self, name: str) -> str:
        if name == LATEST:
            rows = self._engine.execute(self._sql["latest"])
            return str(rows[0][0]) if rows else ""
        prefix = name.lower()
        if not (prefix.isascii() and prefix.isalnum()):
            raise RunNotFound(name)
        span = {"low": prefix, "high": prefix + _AFTER_ALL, "count": _CANDIDATES_SHOWN + 1}
        found = self._engine.execute(self._sql["candidates"], span)
        if len(found) > 1 and all(row[0] != prefix for row in found):
            shown = [f"{run} ({workflow}, {state})" for run, workflow, state in found[:_CANDIDATES_SHOWN]]
            raise AmbiguousRun(name, shown, is_complete=len(found) <= _CANDIDATES_SHOWN)
        return prefix if len(found) != 1 else str(found[0][0])

    def list_runs(
        self,
        *,
        workflow: str | None = None,
        state: RunState | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> RunPage:
        """Return a page of runs, newest first; ``cursor`` is that of the page before."""
        name = "list" + ("_by" if workflow or state else "")
        name += ("_workflow" if workflow else "") + ("_state" if state else "")
        params = {"workflow": workflow, "state": state, "before": cursor or _AFTER_ALL, "count": limit + 1}
        ids = [row[0] for row in self._engine.execute(self._sql[name], params)]
        runs = self._records(ids[:limit])
        return RunPage(runs, ids[limit - 1] if len(ids) > limit else None)

    def children(self, run: str) -> list[RunRecord]:
        """Return the runs that tasks of ``run`` started, oldest first."""
        rows = self._engine.execute(self._sql["list_children"], {"parent": run})
        return self._records([row[0] for row in rows])

    def resumed_as(self, run: str) -> list[RunRecord]:
        """Return the runs that were resumed from ``run``, oldest first."""
        rows = self._engine.execute(self._sql["list_resumed"], {"origin": run})
        return self._records([row[0] for row in rows])

    def _records(self, ids: Sequence[str]) -> list[RunRecord]:
        pages = [self._engine.execute(self._sql["get"], {"run": run}) for run in ids]
        # A run may have been deleted since its id was read.
        return [_run_from_row(rows[0]) for rows in pages if rows]

    def count(self) -> int:
        """Return how many runs there are."""
        return int(self._engine.execute(self._sql["count"])[0][0])

    # --- in a copy

    def disown_all(self) -> None:
        """Take all runs from those who drive them; for a database that was copied from where they do."""
        with self._engine.transaction(full_sync=True):
            self._engine.write(self._sql["disown_all"], {})

    # --- deleting

    def delete(self, run: str) -> None:
        """Delete a run with all that is recorded of it; its blobs are swept later.

        Raises:
            RunBusy: somebody drives it.
            RunNotFound: no run has this id.
        """
        now_ms = self._engine.now_ms()
        with self._engine.transaction(full_sync=True):
            rows = self._engine.execute(self._sql["close_for_delete"], {"run": run, "now_ms": now_ms})
            if not rows:
                raise self._why_not_claimed(run, now_ms)
            params: Mapping[str, object] = {"run": run, "program": rows[0][0]}
            for part in ("tasks", "counts", "attempts", "journal", "blobs", "values"):
                self._engine.write(self._sql[f"delete_{part}"], params)
            self._engine.write(self._sql["delete"], params)
            self._engine.write(self._sql["delete_program"], params)


def _owner_to_text(owner: Owner) -> str:
    return _json_encoder.encode(owner).decode()


def _owner_from_text(text: str | None) -> Owner | None:
    try:
        return _owner_decoder.decode(text) if text else None
    except UNREADABLE as error:
        raise UnreadableRecord("owner of a run", error) from error


def _run_from_row(row: Row) -> RunRecord:
    fields = dict(zip(RunRecord.__struct_fields__, row, strict=True))
    try:
        fields["tags"] = _tags_decoder.decode(fields["tags"])
    except UNREADABLE as error:
        raise UnreadableRecord(f"tags of run {fields['id']}", error) from error
    fields["owner"] = _owner_from_text(fields["owner"])
    return RunRecord(**fields)
