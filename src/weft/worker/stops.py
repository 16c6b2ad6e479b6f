"""How a running step is told to stop: a signal raises an exception in its main thread.

SIGALRM, from a timer of the worker's own, raises ``StepTimeout``; SIGTERM, from outside, ``Cancelled``.
Whatever the step makes of the exception, its attempt has ended that way. A step that does not end within
the grace is killed from outside.
"""

from __future__ import annotations

import os
import signal
from types import FrameType

from weft.errors import Cancelled, StepTimeout, WorkerLost
from weft.model.jobs import Job, Report
from weft.model.values import Failure


def seconds_text(ms: int) -> str:
    """Return a duration as people write it: ``2 s``, ``0.25 s``."""
    return f"{ms / 1000:g} s"


def stop_report(job: Job, kind: str, traceback: str = "") -> Report:
    """Return the report of a job that timed out or was cancelled.

    Args:
        kind: ``timeout``, ``preempted`` or ``cancelled``.
    """
    if kind == "timeout":
        cause: type[BaseException] = StepTimeout
        message = f"{job.task} ran past its timeout of {seconds_text(job.limits.timeout_ms or 0)}"
    elif kind == "preempted":
        cause = WorkerLost
        message = f"the worker of {job.task} was told to end, and not by Weft (signal 15)"
    else:
        cause = Cancelled
        message = f"{job.task} was cancelled"
    name = f"{cause.__module__}.{cause.__qualname__}"
    failure = Failure(kind, name, message, traceback, None, kind != "cancelled")
    return Report(job.id, "fail", failure=failure, failed_entry=0)


def cancelled_report(job: int) -> Report:
    """Return the report of a job that was cancelled before it ran."""
    name = f"{Cancelled.__module__}.{Cancelled.__qualname__}"
    failure = Failure("cancelled", name, "cancelled before it started", retryable=False)
    return Report(job, "fail", failure=failure, failed_entry=0)


class Stops:
    """The signal handlers of one worker process, and whether they may raise now."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._armed = False
        self._pending = False
        self._timed = False
        self._task = ""
        self._timeout_ms = 0
        self.fired: str | None = None

    def install(self) -> None:
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGALRM, self._on_signal)

    def arm(self, job: Job) -> None:
        """Let signals reach the job from now on.

        Raises:
            Cancelled: the signal came before the job began.
        """
        self.fired = None
        timeout_ms = job.limits.timeout_ms
        self._task = job.task
        if timeout_ms is not None:
            self._timed = True
            self._timeout_ms = timeout_ms
            signal.setitimer(signal.ITIMER_REAL, max(timeout_ms, 1) / 1000)
        self._armed = True
        if self._pending:
            self._on_signal(signal.SIGTERM, None)

    def disarm(self) -> None:
        self._armed = False
        if self._timed:
            self._timed = False
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._pid:
            # A child that the step forked: to it the signal means what it means to any process.
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        if not self._armed:
            self._pending = self._pending or number == signal.SIGTERM
            return
        if self.fired is not None:
            return
        if number == signal.SIGALRM:
            self.fired = "timeout"
            raise StepTimeout(f"{self._task} ran past its timeout of {seconds_text(self._timeout_ms)}")
        self.fired = "cancelled"
        raise Cancelled(f"{self._task} was cancelled")
