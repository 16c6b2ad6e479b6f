"""What a person, or a program, sees while a run goes on.

A display listens to the driver's events: it counts, and it never waits. State: one tally for each step.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any, Protocol, TextIO

import click
import msgspec

from weft.cli.output import GLYPHS, counted, duration, to_json
from weft.model.progress import (
    AnyEvent,
    LogLine,
    Notice,
    RunEnded,
    RunMoved,
    RunStarted,
    StepPlanned,
    TaskEnded,
    TaskProgress,
    TaskRetrying,
    TaskStarted,
)

_STARTED = ("succeeded", "failed", "cancelled")
_SAID_MAX = 20  # failures and retries of one step that get a line of their own


class Display(Protocol):
    """A listener with a beginning and an end. ``shows_output``: it also wants what running tasks put out."""

    shows_output: bool

    def listen(self, event: AnyEvent) -> None:
        """Take one event: the run's in the driver's thread, what tasks put out in the one that waits for it."""

    def open(self) -> None:
        """Begin to show."""

    def close(self) -> None:
        """Stop showing, and leave the terminal as it was."""

    def say(self, message: str) -> None:
        """Show a line that is no event, such as what Ctrl-C did."""


class StepTally(msgspec.Struct):
    """The tasks of one step, counted by what became of them."""

    name: str
    planned: int = 0
    running: int = 0
    retries: int = 0
    ends: dict[str, int] = {}
    first_ms: int = 0
    last_ms: int = 0
    message: str = ""
    trouble: str = ""
    looped: bool = False
    over: str = ""  # how the run ended: nothing more will come

    @property
    def done(self) -> int:
        """How many tasks have ended, in whatever way."""
        return sum(self.ends.values())

    @property
    def total(self) -> int:
        """How many tasks are known now."""
        return max(self.planned, self.done + self.running)

    @property
    def left(self) -> str:
        """What became of tasks that have not ended, and will not in this run of the driver; "" if all have."""
        count = max(0, self.planned - self.done)
        if not self.over or not self.done or not count:
            return ""
        return f"{count:,} left" if self.over == "interrupted" else f"{count:,} not run"

    @property
    def state(self) -> str:
        """The one state that stands for all of them."""
        if self.ends.get("failed"):
            return "failed"
        if not self.over and (self.running or (self.done and self.done < self.planned)):
            return "running"
        if self.over == "interrupted" and (self.running or 0 < self.done < self.planned):
            return "interrupted"
        if not self.done:
            return "not_run" if self.over else "waiting"
        order = ("succeeded", "reused", "cancelled", "not_run", "skipped")
        return next(state for state in order if self.ends.get(state))

    def elapsed_ms(self, now_ms: int) -> int:
        """Return from the first start to the last end, or to now."""
        if not self.first_ms:
            return 0
        going = not self.over and (self.running or self.done < self.planned)
        return max(0, (now_ms if going else self.last_ms or now_ms) - self.first_ms)


class Tally:
    """The whole run as counts. An event costs a few additions."""

    def __init__(self) -> None:
        self.run = ""
        self.workflow = ""
        self.state = "queued"
        self.started_ms = 0
        self.ended_ms = 0
        self.steps: dict[str, StepTally] = {}
        self.notices: list[str] = []

    def step(self, name: str) -> StepTally:
        found = self.steps.get(name)
        if found is None:
            found = self.steps[name] = StepTally(name)
        return found

    def take(self, event: AnyEvent) -> None:
        """Count one event."""
        _TAKE[type(event)](self, event)

    def started(self, event: RunStarted) -> None:
        self.run, self.workflow, self.started_ms, self.state = (
            event.run,
            event.workflow,
            event.at_ms,
            "running",
        )
        for name in event.steps:
            self.step(name)

    def planned(self, event: StepPlanned) -> None:
        step = self.step(event.step)
        step.planned += event.count
        step.looped = True

    def task_started(self, event: TaskStarted) -> None:
        step = self.step(event.step)
        if event.attempt == 1:
            step.running += 1
        step.first_ms = step.first_ms or event.at_ms

    def task_ended(self, event: TaskEnded) -> None:
        step = self.step(event.step)
        if event.state in _STARTED:
            # Never below zero: a resumed run ends tasks that an earlier process started.
            step.running = max(0, step.running - event.count)
        step.ends[event.state] = step.ends.get(event.state, 0) + event.count
        if event.state not in ("skipped", "not_run"):
            step.first_ms = step.first_ms or event.at_ms
            step.last_ms = event.at_ms
        if event.state == "failed":
            step.trouble = event.message
        elif event.message:
            step.message = event.message

    def task_retrying(self, event: TaskRetrying) -> None:
        step = self.step(event.step)
        step.retries += 1
        step.message = f"attempt {event.attempt} failed: {event.message}"

    def task_said(self, event: TaskProgress | LogLine) -> None:
        step = self.steps.get(event.step)
        text = event.text if isinstance(event, LogLine) else event.message
        if isinstance(event, TaskProgress) and event.fraction is not None:
            text = f"{event.fraction:.0%} {text}".rstrip()
        if step is not None and (text := printable(text)):
            step.message = f"{event.task}: {text}" if step.looped else text

    def noticed(self, event: Notice) -> None:
        if len(self.notices) < _SAID_MAX:
            self.notices.append(event.message)

    def moved(self, event: RunMoved) -> None:
        self.state = event.state

    def ended(self, event: RunEnded) -> None:
        self.state, self.ended_ms = event.state, event.at_ms
        for step in self.steps.values():
            step.over = event.state


_TAKE: dict[type, Callable[[Tally, Any], None]] = {
    RunStarted: Tally.started,
    StepPlanned: Tally.planned,
    TaskStarted: Tally.task_started,
    TaskEnded: Tally.task_ended,
    TaskRetrying: Tally.task_retrying,
    TaskProgress: Tally.task_said,
    LogLine: Tally.task_said,
    Notice: Tally.noticed,
    RunMoved: Tally.moved,
    RunEnded: Tally.ended,
}


def printable(text: str) -> str:
    """Return a line as it would stand in a terminal: without colours, and what a progress bar wrote last."""
    shown = click.unstyle(text).rstrip().rpartition("\r")[2].expandtabs(4).strip()
    return "".join(char for char in shown if char.isprintable())


class PlainDisplay:
    """Lines for a file or a log: one for each step that is done, one for each failure, none for each task."""

    shows_output = False

    def __init__(self, stream: TextIO | None = None) -> None:
        self.tally = Tally()
        self.stream = stream or sys.stderr
        self.said: dict[str, int] = {}  # step → tasks done when its last line was printed
        self.troubles: dict[str, int] = {}

    def open(self) -> None:
        """Nothing to prepare."""

    def close(self) -> None:
        """Say what was not said yet."""
        for step in self.tally.steps.values():
            if step.done > self.said.get(step.name, 0):
                self._step(step)

    def say(self, message: str) -> None:
        print(message, file=self.stream, flush=True)

    def listen(self, event: AnyEvent) -> None:
        self.tally.take(event)
        if isinstance(event, TaskEnded):
            self._task(event)
        elif isinstance(event, TaskRetrying):
            wait = f", again in {duration(event.delay_ms)}" if event.delay_ms else ""
            self._trouble(
                event.step, f"↻ {event.task}: attempt {event.attempt} failed: {event.message}{wait}"
            )
        elif isinstance(event, Notice):
            self.say(f"note: {event.message}")
        elif isinstance(event, RunStarted):
            self.say(f"run {event.run} of {event.workflow}")

    def _task(self, event: TaskEnded) -> None:
        step = self.tally.steps[event.step]
        if event.state == "failed":
            self._trouble(event.step, f"✗ {event.task}: {event.message}")
        # A loop inside a loop is complete many times: a line each time that the count has doubled is enough.
        if not step.running and step.done >= max(step.planned, 2 * self.said.get(event.step, 0)):
            self._step(step)

    def _step(self, step: StepTally) -> None:
        self.said[step.name] = step.done
        if step.state == "failed" and not step.looped:
            return  # its own line has said it
        self.say(f"{GLYPHS[step.state][0]} {step.name} {ends_of(step)}".rstrip())

    def _trouble(self, step: str, message: str) -> None:
        count = self.troubles[step] = self.troubles.get(step, 0) + 1
        if count <= _SAID_MAX:
            self.say(message)
        elif count == _SAID_MAX + 1:
            self.say(f"  further failures of {step} are counted, not listed; `weft show` has them")


def ends_of(step: StepTally) -> str:
    """Return what became of a step's tasks, in words: ``12 tasks, 3 reused, 4.2 s``."""
    parts = []
    if step.looped:
        parts.append(counted(step.done, "task"))
    main = "succeeded" if step.looped or step.state == "succeeded" else ""
    for state, count in step.ends.items():
        if state != main:
            words = state.replace("_", " ")
            parts.append(f"{count} {words}" if step.looped else words)
    if step.left:
        parts.append(step.left)
    if step.retries:
        parts.append(f"{step.retries} retr{'ies' if step.retries != 1 else 'y'}")
    if step.first_ms and step.ends.keys() & {"succeeded", "failed"}:
        parts.append(duration(step.last_ms - step.first_ms))
    return f"({', '.join(parts)})" if parts else ""


class JsonDisplay:
    """Every event as one line of JSON on stdout."""

    shows_output = True

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stdout
        self.lock = threading.Lock()  # events come from two threads, and a line must stay whole

    def open(self) -> None:
        """Nothing to prepare."""

    def close(self) -> None:
        self.stream.flush()

    def say(self, message: str) -> None:
        print(message, file=sys.stderr, flush=True)

    def listen(self, event: AnyEvent) -> None:
        with self.lock:
            self.stream.write(to_json(event) + "\n")
            self.stream.flush()


class QuietDisplay:
    """Nothing while it runs."""

    shows_output = False

    def open(self) -> None:
        """Nothing to prepare."""

    def close(self) -> None:
        """Nothing to undo."""

    def say(self, message: str) -> None:
        print(message, file=sys.stderr, flush=True)

    def listen(self, event: AnyEvent) -> None:
        """Do not look."""
