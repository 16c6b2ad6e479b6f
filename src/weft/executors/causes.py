"""What is said of an attempt whose worker died: the cause, the limit and the peak, the last output."""

from __future__ import annotations

import os
import signal
from collections import deque

from weft.errors import OutOfMemory, WorkerLost
from weft.executors.admission import bytes_text
from weft.executors.orders import Exited
from weft.model.context import RunContext
from weft.model.jobs import Job, Report
from weft.model.values import Failure
from weft.worker.logs import log_path, read_log

_LAST_LINES = 20


def death_text(status: int) -> str:
    """Return how a process ended, from its wait status."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number == signal.SIGKILL:
            return "killed by signal 9"
        return f"killed by signal {number} ({_signal_name(number)})"
    return f"exited with code {os.WEXITSTATUS(status)} (os._exit)"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"


def death_report(job: Job, exited: Exited, context: RunContext) -> Report:
    """Return the report of a job whose worker died while it ran."""
    text = death_text(exited.status)
    cause: type[Exception] = WorkerLost
    kind = "lost"
    if exited.over_limit:
        limit, peak = bytes_text(job.limits.memory_bytes or 0), bytes_text(exited.peak_bytes, exact=True)
        kind, cause = "memory", OutOfMemory
        text = f"killed by signal 9 (out of memory: limit {limit}, peak {peak})"
    elif exited.kernel_oom and os.WIFSIGNALED(exited.status) and os.WTERMSIG(exited.status) == signal.SIGKILL:
        kind, cause = "memory", OutOfMemory
        text += (
            f" (out of memory: this machine had none left, peak {bytes_text(exited.peak_bytes, exact=True)})"
        )
    name = f"{cause.__module__}.{cause.__qualname__}"
    failure = Failure(kind, name, f"the worker of {job.task} was lost: {text}", _last_output(job, context))
    return Report(job.id, "fail", failure=failure, failed_entry=0, memory_bytes_max=exited.peak_bytes)


def _last_output(job: Job, context: RunContext) -> str:
    lines = deque(read_log(log_path(context.log_folder, job.task, job.attempt)), _LAST_LINES)
    return "\n".join(("Last output:", *(line.text for line in lines))) if lines else ""
