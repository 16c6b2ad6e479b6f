"""``Run``: a run as its user sees it, while it runs and ever after."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from weft.client.output import Output
from weft.client.tasks import (
    NoResult,
    NoSuchTask,
    StepCount,
    Task,
    TaskList,
    count_steps,
    exception_of,
    load_ref,
)
from weft.model.journal import JournalEntry
from weft.model.records import RunRecord, TaskState, failure_from_bytes
from weft.model.states import RUN_FINAL
from weft.model.values import Failure, Ref
from weft.seams import deferred, door

if TYPE_CHECKING:
    from weft.client import pages
    from weft.client.home import Home, Session
    from weft.client.why.explaining import Reason
    from weft.lang.workflows import Workflow
else:
    pages = deferred("weft.client.pages")

R = TypeVar("R")
POLL_S = 0.1


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
        return dict(msgspec.json.decode(self._known.params))

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
        __tracebackhide__ = True
        record = self.record
        if record.state not in RUN_FINAL:
            raise NoResult(f"run {self.id}", self.state)
        failure = self.failure
        if failure is not None:
            error = exception_of(self._home, failure)
            error.add_note(f"in run {self.id}; fix and continue with: weft resume {self.id}")
            if failure.kind == "user" and failure.traceback:
                # Its own traceback begins here; where it was raised was another process.
                there = failure.traceback.rstrip().splitlines()
                error.add_note("\n  ".join(["it was raised there:", *there]))
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
        while not self.is_over:
            if until is not None and time.monotonic() >= until:
                break
            time.sleep(POLL_S)
        return self

    @property
    def is_over(self) -> bool:
        """Whether nobody drives it any more: it has ended, or it is interrupted."""
        if self._session is not None and self._session.thread is not None:
            return not self._session.thread.is_alive()
        state = self.state
        return state in RUN_FINAL or state == "interrupted"

    def output(self, is_wanted: Callable[[str], bool] = lambda path: True) -> Output:
        """Return what follows the output of its tasks, of all or of those whose path is wanted."""
        return Output(self._home, self.id, is_wanted)

    def tasks(
        self, glue: bool = False, *, state: TaskState | None = None, after: str | None = None
    ) -> Sequence[Task]:
        """Return the tasks in program order; of glue what failed, or all with ``glue``.

        They are read while they are gone through, so that a run of a million tasks costs no more memory than
        one of ten.

        Args:
            state: only those in this state.
            after: only those behind this place, the ``cursor`` of a task.
        """
        return TaskList(self._home, self.id, glue, state, after)

    def steps(self) -> list[StepCount]:
        """Return what became of each step's tasks, as counts: quick for a run of any size."""
        record = self._known
        return count_steps(self._home.program(record), self._home.database.tasks.counts(record.id))

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

    def why(self, task: str | None = None) -> Reason:
        """Return why a task, or without one the run itself, is as it is: from the journal only.

        Raises:
            NoSuchTask: the run's program has no task of this path.
        """
        return door("why")(self._home, self.record, task)  # type: ignore[no-any-return]

    def cancel(self) -> None:
        """Ask the run to end: what runs is stopped, ``finally`` blocks run, the rest does not start."""
        if self._session is not None and self._session.state == "running":
            self._session.driver.cancel("cancelled by its owner")
        else:
            self._home.database.runs.request_cancel(self.id, "cancelled")

    def stop(self) -> None:
        """Leave the run as it is, to be resumed. Only in the process that drives it."""
        if self._session is not None:
            self._session.driver.stop()

    def resume(self, **choice: Any) -> Run[R]:
        """Continue this run; see ``weft.client.rerun.resuming.resume``."""
        # By name: `resuming` makes runs, so it imports this module.
        return door("resume")(self._home, self, **choice)  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return f"<run {self.id} of {self.workflow}: {self.state}>"

    def _repr_html_(self) -> str:
        return pages.run_page(self)
