"""Tasks in this very process, one at a time, in the order given: for debugging and for tests.

A debugger works in it, and what steps print is seen and logged. It cannot enforce: ``timeout`` and ``memory``
do nothing here, and a step that ends its process ends the run's driver.
"""

from __future__ import annotations

import io
import logging
import sys
import threading
import time
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, TextIO

from weft.executors.admission import count_cores, count_memory
from weft.executors.port import Capacity, Ended, Event, Started
from weft.model.context import RunContext
from weft.model.jobs import Job, Limits, Report
from weft.worker import checkpoints
from weft.worker.context import Current, activate, deactivate
from weft.worker.logs import LogWriter, log_path
from weft.worker.process import JobEvaluator, broken_report, load_evaluator
from weft.worker.stops import cancelled_report


class InlineExecutor:
    """Evaluates one waiting job in each ``poll``.

    State: the jobs that wait; for each run its evaluator and what it added to ``sys.path``.
    """

    def __init__(self) -> None:
        self._waiting: deque[Job] = deque()
        self._events: list[Event] = []
        self._contexts: dict[str, RunContext] = {}
        self._evaluators: dict[str, JobEvaluator] = {}
        self._added: dict[str, list[str]] = {}
        self._woken = threading.Event()

    def capacity(self) -> Capacity:
        return Capacity(count_cores(), count_memory())

    def check(self, limits: Limits) -> tuple[Limits, str]:
        return limits, ""

    def start(self, context: RunContext) -> None:
        self._contexts[context.run] = context
        self._added[context.run] = [entry for entry in context.sys_path if entry not in sys.path]
        sys.path[:0] = self._added[context.run]

    def submit(self, jobs: Sequence[Job]) -> None:
        self._waiting.extend(jobs)

    def poll(self, timeout_s: float | None) -> list[Event]:
        if not self._events and not self._waiting:
            self._woken.wait(timeout_s)
        self._woken.clear()
        if self._waiting:
            job = self._waiting.popleft()
            self._events.append(Started(job.run, (job.id,), "inline"))
            self._events.append(Ended(job.run, self._run(job)))
        events, self._events = self._events, []
        return events

    def wake(self) -> None:
        self._woken.set()

    def cancel(self, run: str, jobs: Iterable[int], grace_ms: int | None = None) -> None:
        wanted = set(jobs)
        for job in [job for job in self._waiting if job.run == run and job.id in wanted]:
            self._waiting.remove(job)
            self._events.append(Ended(run, cancelled_report(job.id)))

    def finish(self, run: str) -> None:
        self._waiting = deque(job for job in self._waiting if job.run != run)
        self._contexts.pop(run, None)
        self._evaluators.pop(run, None)
        for entry in self._added.pop(run, ()):
            if entry in sys.path:
                sys.path.remove(entry)

    def close(self) -> None:
        for run in list(self._contexts):
            self.finish(run)

    def _run(self, job: Job) -> Report:
        context = self._contexts[job.run]
        log = _Log(context, job)
        now = Current(job.run, job.task, job.attempt, job.key, context.work_folder)
        started_ms = time.time_ns() // 1_000_000
        activate(now, lambda text: log.put("progress", text))
        checkpoints.enter(context, job)
        try:
            with log.copying():
                report = self._evaluator(context).evaluate(job)
        except Exception as error:  # noqa: BLE001 - as in a worker: a job always gets a report
            report = broken_report(job, error)
        finally:
            deactivate()
            checkpoints.leave()
            log.close()
        report.started_ms, report.ended_ms = started_ms, time.time_ns() // 1_000_000
        report.log_bytes = log.size_bytes
        return report

    def _evaluator(self, context: RunContext) -> JobEvaluator:
        evaluator = self._evaluators.get(context.run)
        if evaluator is None:
            evaluator = self._evaluators[context.run] = load_evaluator(context)(context)
        return evaluator


class _Log:
    """Copies what one attempt puts out to its log file, which is made at the first output."""

    def __init__(self, context: RunContext, job: Job) -> None:
        self._context = context
        self._job = job
        self._writer: LogWriter | None = None
        self.size_bytes = 0

    def put(self, stream: str, text: str) -> None:
        if self._writer is None:
            path = log_path(self._context.log_folder, self._job.task, self._job.attempt)
            self._writer = LogWriter(path, self._context.log_bytes_max)
        self._writer.append(time.time_ns() // 1_000_000, stream, text)
        self.size_bytes += len(text.encode("utf-8", "replace"))

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()

    @contextmanager
    def copying(self) -> Iterator[None]:
        """Let streams, logging and warnings of this process reach the log as well."""
        with ExitStack() as undo:
            for name, stream in (("stdout", "out"), ("stderr", "err")):
                real = getattr(sys, name)
                setattr(sys, name, _Copy(real, self, stream))
                undo.callback(setattr, sys, name, real)
            undo.callback(setattr, warnings, "showwarning", warnings.showwarning)
            warnings.showwarning = self._show_warning  # type: ignore[assignment]
            undo.callback(setattr, logging, "lastResort", logging.lastResort)
            logging.lastResort = _Handler(self)
            yield

    def _show_warning(self, message: Any, category: Any, filename: str, lineno: int, *rest: Any) -> None:
        text = warnings.formatwarning(message, category, filename, lineno)
        self.put("warn", text)
        if sys.__stderr__ is not None:
            sys.__stderr__.write(text)


class _Handler(logging.Handler):
    def __init__(self, log: _Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        text = f"{record.levelname} {record.name}: {self.format(record)}\n"
        self._log.put("log", text)
        if sys.__stderr__ is not None:
            sys.__stderr__.write(text)


class _Copy(io.TextIOBase):
    """A text stream that writes to the real one and to a log."""

    def __init__(self, real: TextIO, log: _Log, stream: str) -> None:
        self._real = real
        self._log = log
        self._stream = stream

    def write(self, text: str, /) -> int:
        self._log.put(self._stream, text)
        return self._real.write(text)

    def flush(self) -> None:
        self._real.flush()

    def fileno(self) -> int:
        return self._real.fileno()

    def isatty(self) -> bool:
        return self._real.isatty()

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._real.encoding

    @property
    def buffer(self) -> Any:
        return self._real.buffer
