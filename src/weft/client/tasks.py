"""``Task``: one step call of a run as its user sees it; the lazy list of all; the counts that stand for many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, overload

import msgspec

from weft.errors import UserError
from weft.machine.plan import Plan
from weft.model.records import TaskCount, TaskRecord, TaskState, refs_from_bytes
from weft.model.states import TASK_FINAL
from weft.model.values import Failure, Ref
from weft.program.nodes import Program
from weft.seams import deferred
from weft.store.faults import MissingClass
from weft.store.tasks import cursor_of
from weft.worker.logs import LogLine, log_path, read_log

if TYPE_CHECKING:
    from weft.client import pages
    from weft.client.home import Home
else:
    pages = deferred("weft.client.pages")

_PAGE = 1000


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
    def cursor(self) -> str:
        """Its place among the run's tasks, for ``run.tasks(after=...)``."""
        return cursor_of(self._record)

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
        return pages.task_page(self)


def exception_of(home: Home, failure: Failure) -> BaseException:
    """Return the exception of a failure, as the workflow raised it."""
    if failure.exception is None:
        return RuntimeError(f"{failure.type}: {failure.message}")
    error: object = home.store.get(failure.exception)
    for part in failure.path:
        error = error[part]  # type: ignore[index]
    assert isinstance(error, BaseException)
    return error


class TaskList(Sequence[Task]):
    """The tasks of a run in program order, read page by page while they are gone through.

    Its length comes from the counts; a single one, as ``tasks[3]``, is read from the beginning.
    """

    def __init__(
        self,
        home: Home,
        run: str,
        glue: bool = False,
        state: TaskState | None = None,
        after: str | None = None,
    ) -> None:
        self._home = home
        self._run = run
        self._glue = glue
        self._state = state
        self._after = after

    def __iter__(self) -> Iterator[Task]:
        cursor = self._after
        while True:
            page = self._home.database.tasks.list_tasks(
                self._run, state=self._state, cursor=cursor, limit=_PAGE
            )
            for record in page.tasks:
                if self._holds(record.kind, record.state):
                    yield Task(self._home, record)
            cursor = page.cursor
            if cursor is None:
                return

    def _holds(self, kind: str, state: str) -> bool:
        return (kind == "call" or self._glue or state == "failed") and self._state in (None, state)

    def __len__(self) -> int:
        if self._after is not None:
            return sum(1 for _ in self)
        counts = self._home.database.tasks.counts(self._run)
        return sum(count.count for count in counts if self._holds(count.kind, count.state))

    @overload
    def __getitem__(self, place: int) -> Task: ...

    @overload
    def __getitem__(self, place: slice) -> list[Task]: ...

    def __getitem__(self, place: int | slice) -> Task | list[Task]:
        if isinstance(place, slice):
            start, stop, step = place.indices(len(self))
            if step < 0:
                return list(self)[place]
            return list(islice(self, start, stop, step))
        at = place + len(self) if place < 0 else place
        for task in islice(self, at, None) if at >= 0 else ():
            return task
        raise IndexError(f"run {self._run} has no task number {place}")

    def __repr__(self) -> str:
        return f"<{len(self)} tasks of run {self._run}>"


class StepCount(msgspec.Struct):
    """What became of the tasks of one step, counted. Times as in ``Task``, of what this run did itself.

    Attributes:
        step: a task's path without its loop indexes, ``outer/train``.
        states: how many tasks are in which state.
        attempts: how many have started in all.
        looped: it lies in a loop.
    """

    step: str
    looped: bool
    states: dict[str, int] = {}
    attempts: int = 0
    started_ms: int = 0
    ended_ms: int = 0

    @property
    def tasks(self) -> int:
        """How many tasks there are on record."""
        return sum(self.states.values())

    @property
    def open(self) -> int:
        """How many of them have not ended."""
        return sum(count for state, count in self.states.items() if state not in TASK_FINAL)

    def add(self, count: TaskCount) -> None:
        """Take in the tasks of one node in one state."""
        self.states[count.state] = self.states.get(count.state, 0) + count.count
        if count.state == "reused":
            return  # its times are those of the run that did the work
        self.attempts += count.attempts
        if count.started_ms_min:
            self.started_ms = min(self.started_ms or count.started_ms_min, count.started_ms_min)
        self.ended_ms = max(self.ended_ms, count.ended_ms_max)


def count_steps(program: Program, counts: Sequence[TaskCount]) -> list[StepCount]:
    """Return the steps that have tasks on record, in program order; of glue what failed."""
    paths = Plan(program).paths
    steps: dict[str, StepCount] = {}
    for count in counts:
        if count.kind != "call" and count.state != "failed":
            continue
        path = paths[count.node]
        name = "/".join(part for part, _ in path)
        steps.setdefault(name, StepCount(name, looped=path[-1][1] > 0)).add(count)
    return list(steps.values())
