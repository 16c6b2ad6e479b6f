"""``Run`` and ``Task``: a run as its user sees it, while it runs and ever after."""

from __future__ import annotations

import html
import json
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from weft.errors import UserError
from weft.model.journal import JournalEntry
from weft.model.records import RunRecord, TaskRecord, failure_from_bytes, refs_from_bytes
from weft.model.states import RUN_FINAL
from weft.model.values import Failure, Ref
from weft.seams import door
from weft.store.faults import MissingClass
from weft.worker.logs import LogLine, log_path, read_log

if TYPE_CHECKING:
    from weft.client.home import Home, Session
    from weft.lang.workflows import Workflow

R = TypeVar("R")
POLL_S = 0.1


class NoResult(UserError):
    """A result was asked for before there is one."""

    code = "no-result"

    def __init__(self, what: str, state: str) -> None:
        super().__init__(f"{what} has no result: it is {state}", hint="Wait for its end with `run.wait()`.")


class NoSuchTask(UserError):
    """The run has no task of this path."""

    code = "no-such-task"

    def __init__(self, run: str, path: str) -> None:
        super().__init__(f"run {run} has no task {path!r}", hint=f"`weft show {run} --tasks` lists them.")


def load_ref(home: Home, ref: Ref, run: str = "") -> Any:
    """Return the value that a reference stands for.

    Args:
        run: the run that made it: its project is looked into for a class that this process does not know.
    """
    try:
        value = home.store.get(ref.artifact)
    except MissingClass:
        if not run or not home.enter_project(run):
            raise
        value = home.store.get(ref.artifact)
    for part in ref.path:
        value = value[part]
    return value


class Task:
    """One task of a run, as it stood when it was read.

    Attributes:
        path: ``train``, ``inc.2`` for the second call site, ``train[3]`` in a loop, ``line 27`` for glue.
        state: see ``weft.model.states``.
        attempts: how many have started. Times are milliseconds since 1970; 0: not yet.
        reason: why it was reused or skipped; ``source``: the run that a reused result is from.
    """

    def __init__(self, home: Home, record: TaskRecord) -> None:
        self._home = home
        self._record = record
        self.path = record.path
        self.state: str = record.state
        self.attempts = record.attempt
        self.started_ms = record.started_ms
        self.ended_ms = record.ended_ms
        self.executor = record.executor
        self.worker = record.worker
        self.reason = record.reason
        self.source = record.source
        self.kind = record.kind

    @property
    def failure(self) -> Failure | None:
        """Why it failed, if it did."""
        report = self._record.report()
        return report.failure if report is not None else None

    @property
    def output(self) -> Ref | None:
        """The reference of the result, or None."""
        report = self._record.report()
        return Ref(report.outputs[0].artifact, 0) if report is not None and report.outputs else None

    @property
    def input_refs(self) -> dict[str, Ref]:
        """The references of what the call's arguments were made of, by name."""
        refs = refs_from_bytes(self._record.inputs) if self._record.inputs else {}
        return {name.partition("@")[0] or f"value {name[1:]}": ref for name, ref in refs.items()}

    def inputs(self) -> dict[str, Any]:
        """Return the values that the call's arguments were made of, by name."""
        run = self._record.run
        return {name: load_ref(self._home, ref, run) for name, ref in self.input_refs.items()}

    def result(self) -> Any:
        """Return what the step returned, or raise what it raised.

        Raises:
            NoResult: it has not ended.
        """
        report = self._record.report()
        if report is None:
            raise NoResult(f"task {self.path}", self.state)
        if report.failure is not None:
            raise exception_of(self._home, report.failure)
        return None if self.output is None else load_ref(self._home, self.output, self._record.run)

    def logs(self) -> list[LogLine]:
        """Return what its attempts printed and logged, in order."""
        folder = self._home.folder("logs") / (self.source or self._record.run)
        attempts = range(1, max(1, self.attempts) + 1)
        return [line for attempt in attempts for line in read_log(log_path(folder, self.path, attempt))]

    def __repr__(self) -> str:
        took = (
            f" {(self.ended_ms - self.started_ms) / 1000:.3f} s" if self.ended_ms and self.started_ms else ""
        )
        return f"<task {self.path} {self.state}{took}>"

    def _repr_html_(self) -> str:
        return f"<code>{html.escape(self.path)}</code> {html.escape(self.state)}"


def exception_of(home: Home, failure: Failure) -> BaseException:
    """Return the exception of a failure, as the workflow raised it."""
    if failure.exception is None:
        return RuntimeError(f"{failure.type}: {failure.message}")
    error = home.store.get(failure.exception)
    assert isinstance(error, BaseException)
    return error


class Run(Generic[R]):
    """A durable run.

    State: its record, read again while it has not ended; the session, if this process drives it; and in
    ``made_of`` the workflow, if this process started it.
    """

    def __init__(self, home: Home, record: RunRecord, session: Session | None = None) -> None:
        self._home = home
        self._known = record
        self._session = session
        self.made_of: Workflow[..., R] | None = None

    @property
    def record(self) -> RunRecord:
        """The run's row, as it stands now."""
        if self._known.state not in RUN_FINAL:
            self._known = self._home.database.runs.get(self._known.id)
        return self._known

    @property
    def id(self) -> str:
        return self._known.id

    @property
    def workflow(self) -> str:
        """The workflow's name."""
        return self._known.workflow

    @property
    def state(self) -> str:
        """``running``, ``failing``, …, ``succeeded``, ``failed``, ``cancelled``; ``interrupted``: nobody drives it."""
        record = self.record
        return "interrupted" if self._home.is_interrupted(record) else record.state

    @property
    def params(self) -> dict[str, str]:
        """Names and short texts of the parameters."""
        return dict(json.loads(self._known.params))

    @property
    def tags(self) -> dict[str, str]:
        return self._known.tags

    @property
    def created_ms(self) -> int:
        return self._known.created_ms

    @property
    def started_ms(self) -> int:
        return self.record.started_ms

    @property
    def ended_ms(self) -> int:
        return self.record.ended_ms

    @property
    def resumed_from(self) -> str | None:
        """The run that this one continues."""
        return self._known.resumed_from

    @property
    def failure(self) -> Failure | None:
        """Why it failed, if it did."""
        raw = self.record.failure
        return failure_from_bytes(raw) if raw else None

    def result(self) -> R:
        """Return what the workflow returned, or raise what it raised.

        Raises:
            NoResult: it has not ended.
        """
        record = self.record
        if record.state not in RUN_FINAL:
            raise NoResult(f"run {self.id}", self.state)
        failure = self.failure
        if failure is not None:
            error = exception_of(self._home, failure)
            error.add_note(f"in run {self.id}; fix and continue with: weft resume {self.id}")
            raise error
        if not record.result:
            return None  # type: ignore[return-value]
        result = msgspec.msgpack.decode(record.result, type=Ref)
        return load_ref(self._home, result, self.id)  # type: ignore[no-any-return]

    def wait(self, timeout: float | None = None) -> Run[R]:
        """Wait up to ``timeout`` seconds for the end; a failure of the workflow is not raised.

        Raises:
            WeftError: the driver itself had to give up (a full disk, a lost database); the run can be resumed.
        """
        if self._session is not None and self._session.thread is not None:
            self._session.thread.join(timeout)
            if self._session.error is not None:
                raise self._session.error
            return self
        until = None if timeout is None else time.monotonic() + timeout
        while self.state not in RUN_FINAL and self.state != "interrupted":
            if until is not None and time.monotonic() >= until:
                break
            time.sleep(POLL_S)
        return self

    def tasks(self, glue: bool = False) -> list[Task]:
        """Return the tasks in program order; of glue what failed, or all with ``glue``."""
        return list(self._tasks(glue))

    def _tasks(self, glue: bool) -> Iterator[Task]:
        cursor = None
        while True:
            page = self._home.database.tasks.list_tasks(self.id, cursor=cursor, limit=1000)
            for record in page.tasks:
                if record.kind == "call" or glue or record.state == "failed":
                    yield Task(self._home, record)
            cursor = page.cursor
            if cursor is None:
                return

    def task(self, path: str) -> Task:
        """Return one task.

        Raises:
            NoSuchTask: there is none of this path, or it has not started.
        """
        found = self._home.database.tasks.named(self.id, path, limit=1)
        if not found:
            raise NoSuchTask(self.id, path)
        return Task(self._home, found[0])

    def journal(self) -> list[JournalEntry]:
        """Return what happened and why, in order."""
        return list(self._home.database.journal.entries(self.id))

    def cancel(self) -> None:
        """Ask the run to end: what runs is stopped, ``finally`` blocks run, the rest does not start."""
        if self._session is not None and self._session.state == "running":
            self._session.driver.cancel("cancelled by its owner")
        else:
            self._home.database.runs.request_cancel(self.id, "cancelled")

    def stop(self, now: bool = False) -> None:
        """Leave the run as it is, to be resumed. Only in the process that drives it."""
        if self._session is not None:
            self._session.driver.stop()

    def resume(self, **choice: Any) -> Run[R]:
        """Continue this run; see ``weft.client.resuming.resume``."""
        # By name: `resuming` makes runs, so it imports this module.
        return door("resume")(self._home, self, **choice)  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return f"<run {self.id} of {self.workflow}: {self.state}>"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td><code>{html.escape(task.path)}</code></td><td>{html.escape(task.state)}</td>"
            f"<td style='text-align:right'>{(task.ended_ms - task.started_ms) / 1000:.2f} s</td></tr>"
            for task in self.tasks()[:200]
            if task.ended_ms
        )
        head = f"<b>{html.escape(self.workflow)}</b> {html.escape(self.state)} <code>{self.id}</code>"
        failure = self.failure
        why = "" if failure is None else f"<pre>{html.escape(f'{failure.type}: {failure.message}')}</pre>"
        return f"<div>{head}{why}<table>{rows}</table></div>"
