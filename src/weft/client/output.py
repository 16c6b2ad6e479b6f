"""What the tasks of a run put out: found in their log files, as events, each line once, also while they run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import msgspec

from weft.model.progress import LogLine, TaskProgress
from weft.model.records import TaskRecord, TaskState
from weft.worker.logs import LogLine as Line
from weft.worker.logs import LogReader, log_path

if TYPE_CHECKING:
    from weft.client.home import Home

Said = LogLine | TaskProgress
_LIVE: tuple[TaskState, ...] = ("running", "retrying")
_LIVE_MAX = 100  # tasks that are followed at once
_LATEST_BYTES_MAX = 1 << 16  # of one log at one time, for who only wants the latest


class _Progress(msgspec.Struct):
    """What ``progress(...)`` writes."""

    done: float = 0
    total: float | None = None
    text: str = ""


class Output:
    """Follows the output of one run, from this process or another one.

    State: a reader for each attempt of the tasks that run; the attempts that have ended but whose last lines may
    still be on their way into the file; how much of the journal was read.
    """

    def __init__(self, home: Home, run: str, is_wanted: Callable[[str], bool] = lambda path: True) -> None:
        self._home = home
        self._run = run
        self._is_wanted = is_wanted
        self._readers: dict[tuple[str, int], LogReader] = {}
        self._leaving: dict[tuple[str, int], bool] = {}  # to whether its path is its own
        self._seen = 0

    def latest(self) -> list[Said]:
        """Return what running tasks put out since the last call; very much of it only in part.

        A task counts as running once it has run for a fifth of a second.
        """
        said: list[Said] = []
        live = list(self._live())
        running = {record.path for record in live}
        for key in [key for key in self._readers if key[0] not in running]:
            said += _said(key[0], self._end(key, _LATEST_BYTES_MAX))
        for record in live:
            said += self._read(record, _LATEST_BYTES_MAX)
        return _in_order(said)

    def all(self) -> list[Said]:
        """Return what all tasks put out since the last call, those included that have ended meanwhile."""
        said = self.last()
        while True:
            ended, seen = self._home.database.journal.ended_tasks(self._run, after=self._seen)
            for record in ended:
                if self._is_wanted(record.path):
                    said += self._read_ended(record)
            if seen == self._seen:
                break
            self._seen = seen
        for record in self._live():
            said += self._read(record)
        return _in_order(said)

    def last(self) -> list[Said]:
        """Return what came late from tasks that had ended at the last call, and their lines without an end."""
        leaving, self._leaving = self._leaving, {}
        said: list[Said] = []
        for key, is_own in leaving.items():
            said += _said(key[0], self._end(key, forget=is_own))
        return _in_order(said)

    def _live(self) -> Iterator[TaskRecord]:
        tasks = self._home.database.tasks
        for state in _LIVE:
            for record in tasks.list_tasks(self._run, state=state, limit=_LIVE_MAX).tasks:
                if self._is_wanted(record.path):
                    yield record

    def _read(self, record: TaskRecord, bytes_max: int | None = None) -> Iterator[Said]:
        for attempt in range(1, record.attempt + 1):
            yield from _said(record.path, self._reader(record, attempt).read(bytes_max))

    def _read_ended(self, record: TaskRecord) -> Iterator[Said]:
        for attempt in range(1, max(1, record.attempt) + 1):
            self._leaving[record.path, attempt] = record.kind == "call"
            yield from _said(record.path, self._reader(record, attempt).read())

    def _reader(self, record: TaskRecord, attempt: int) -> LogReader:
        key = (record.path, attempt)
        if key not in self._readers:
            # The log of a result that was taken over lies with the run that made it.
            folder = self._home.folder("logs") / (record.source or self._run)
            self._readers[key] = LogReader(log_path(folder, record.path, attempt))
        return self._readers[key]

    def _end(
        self, key: tuple[str, int], bytes_max: int | None = None, *, forget: bool = True
    ) -> Iterator[Line]:
        reader = self._readers[key]
        yield from reader.read(bytes_max)
        yield from reader.rest()
        # Two pieces of glue of one line share a log: what was read of it must not come again.
        if forget or reader.is_at_start:
            del self._readers[key]


def _in_order(said: list[Said]) -> list[Said]:
    return sorted(said, key=lambda each: each.at_ms)


def _said(path: str, lines: Iterable[Line]) -> Iterator[Said]:
    step = step_of(path)
    for line in lines:
        if line.stream != "progress":
            yield LogLine(step=step, task=path, text=line.text, stream=line.stream, at_ms=line.ms)
            continue
        try:
            said = msgspec.json.decode(line.text, type=_Progress)
        except msgspec.DecodeError:
            continue  # torn, because its beginning was skipped
        fraction = min(1.0, max(0.0, said.done / said.total)) if said.total else None
        message = said.text or (
            f"{said.done:g}" if said.total is None else f"{said.done:g} of {said.total:g}"
        )
        yield TaskProgress(step=step, task=path, fraction=fraction, message=message, at_ms=line.ms)


def step_of(path: str) -> str:
    """Return a task's path without its loop indexes."""
    return "/".join(part.split("[", 1)[0] for part in path.split("/"))
