"""What a driver tells whoever watches a run: small facts, in order, for displays. Nothing is decided by them.

A listener is called in the driver's thread and must return at once. Events may be dropped without harm to
the run; what must last is in the journal. ``at_ms`` is wall clock, milliseconds since 1970.

``step`` is a task's path without its loop indexes, ``outer/train``; ``task`` is the whole path,
``outer[2]/train[5]``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

TaskEnd = Literal["succeeded", "reused", "failed", "skipped", "not_run", "cancelled"]


class RunEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="event"):
    """What every event has."""

    at_ms: int = 0


class RunStarted(RunEvent, frozen=True, kw_only=True, tag="run-started"):
    """The run was accepted. ``steps``: every step of the program in program order, before any has run."""

    run: str
    workflow: str
    steps: tuple[str, ...] = ()


class StepPlanned(RunEvent, frozen=True, kw_only=True, tag="step-planned"):
    """``count`` further tasks of a step are known: a loop was opened. A step outside loops counts as one
    without this event."""

    step: str
    count: int


class TaskStarted(RunEvent, frozen=True, kw_only=True, tag="task-started"):
    """An attempt began. Attempts count from 1."""

    step: str
    task: str
    attempt: int = 1


class TaskEnded(RunEvent, frozen=True, kw_only=True, tag="task-ended"):
    """A task reached its final state, or ``count`` tasks of a step did at once (``task`` is a range then).

    ``message``: the exception of a failure, the reason of a skip.
    """

    step: str
    task: str
    state: TaskEnd
    count: int = 1
    message: str = ""


class TaskRetrying(RunEvent, frozen=True, kw_only=True, tag="task-retrying"):
    """Attempt ``attempt`` failed with ``message``; the next one starts after ``delay_ms``."""

    step: str
    task: str
    attempt: int
    delay_ms: int = 0
    message: str = ""


class TaskProgress(RunEvent, frozen=True, kw_only=True, tag="task-progress"):
    """A step said how far it is: ``fraction`` in [0, 1], or None, and a few words."""

    step: str
    task: str
    fraction: float | None = None
    message: str = ""


class LogLine(RunEvent, frozen=True, kw_only=True, tag="log-line"):
    """A line of a task's output, without its line end. ``stream`` is one of ``weft.worker.logs.STREAMS``."""

    step: str
    task: str
    text: str
    stream: str = "out"


class Notice(RunEvent, frozen=True, kw_only=True, tag="notice"):
    """Something the user should know about the run: a clamped request, an import that prevents forking."""

    message: str


class RunMoved(RunEvent, frozen=True, kw_only=True, tag="run-moved"):
    """The run is in another state that is not its last: ``running``, ``failing``, ``cancelling``."""

    state: str


class RunEnded(RunEvent, frozen=True, kw_only=True, tag="run-ended"):
    """The driver is done with the run. ``state``: its final state, or ``interrupted``: it has no outcome
    yet and ``weft resume`` continues it."""

    run: str
    state: str
    message: str = ""


AnyEvent = (
    RunStarted
    | StepPlanned
    | TaskStarted
    | TaskEnded
    | TaskRetrying
    | TaskProgress
    | LogLine
    | Notice
    | RunMoved
    | RunEnded
)
Listener = Callable[[AnyEvent], None]
