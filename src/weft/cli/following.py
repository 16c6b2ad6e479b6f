"""Watching one run to its end: the display, Ctrl-C, the summary, the exit code."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import click

from weft.cli.display import Display
from weft.cli.exits import BAD_DATA, FAILED, INTERRUPTED, SUCCEEDED, TO_FIX
from weft.cli.output import is_terminal, print_error, print_json
from weft.cli.summary import closing_lines, run_object
from weft.errors import StoredDataError, WeftError
from weft.model.states import RUN_FINAL

_SHOW_CURSOR = "\x1b[?25h\n"  # the live display hides it

_LOOK_S = 0.25


class _Stop:
    """What Ctrl-C means here: once, stop cleanly; twice, at once. State: how often it came, and the run."""

    def __init__(self, display: Display) -> None:
        self.display = display
        self.run: Any = None
        self.count = 0

    def __call__(self, _signal: int, _frame: FrameType | None) -> None:
        self.count += 1
        if self.run is None:
            raise KeyboardInterrupt
        if self.count == 1:
            self.display.say(
                "Stopping: what runs is cut off, what has ended is kept. Ctrl-C again stops at once."
            )
            self.run.stop()
        else:
            # This may interrupt the first call, in whatever lock it holds: take none. All that counts is on
            # disk, and threads that wait for workers would hold up an ordinary exit.
            os.write(2, f"{_SHOW_CURSOR if is_terminal() else ''}{_continue(self.run.id)}\n".encode())
            os._exit(INTERRUPTED)


@contextmanager
def _signals(stop: _Stop) -> Iterator[None]:
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def follow(start: Callable[[], Any], display: Display, *, as_json: bool) -> int:
    """Start a run, show it, wait for its end, print the summary and return the exit code."""
    stop = _Stop(display)
    display.open()
    try:
        with _signals(stop):
            run = stop.run = start()
            if stop.count:  # Ctrl-C while it started
                run.stop()
            _watch(run, display)
    except WeftError as error:
        display.close()
        if stop.run is None:
            raise
        # The driver gave up (a full disk, say): what was done is kept.
        print_error(error.message, error.hint)
        if isinstance(error, StoredDataError):
            return BAD_DATA  # whether it can be continued, its hint says
        click.echo(_continue(stop.run.id), err=True)
        return TO_FIX
    finally:
        display.close()
    if run.state not in RUN_FINAL:
        if as_json:
            print_json({"event": "run", "run": run_object(run)})
        click.echo(_continue(run.id), err=True)
        return INTERRUPTED
    if as_json:
        print_json({"event": "run", "run": run_object(run)})
    else:
        for line in closing_lines(run):
            click.echo(line)
    return SUCCEEDED if run.state == "succeeded" else FAILED


def _watch(run: Any, display: Display) -> None:
    """Wait for the end of a run, and meanwhile show what its tasks put out where the display wants that."""
    output = run.output() if display.shows_output else None
    while output is not None and not run.is_over:
        run.wait(_LOOK_S)
        try:
            said = output.latest()
        except (WeftError, OSError):
            break  # Only the look at it fails here; whether the run can go on is for its driver to say.
        for event in said:
            display.listen(event)
    run.wait()


def _continue(run: str) -> str:
    return f"interrupted; continue with: weft resume {run}"
