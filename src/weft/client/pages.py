"""A run and a task as HTML, for notebooks. Text has the page's own colour, so that it reads on light and on dark."""

from __future__ import annotations

import html
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from weft.client.run import Run
    from weft.client.tasks import StepCount, Task

_FAILED_MAX: Final = 5
_GREEN, _RED, _YELLOW, _BLUE, _GREY = "#2e9e4f", "#d9534f", "#c98a00", "#2f7fd1", "#8a8a8a"
_COLOURS: Final = {
    "succeeded": _GREEN,
    "reused": _GREEN,
    "running": _BLUE,
    "failing": _RED,
    "failed": _RED,
    "retrying": _YELLOW,
    "cancelling": _YELLOW,
    "cancelled": _YELLOW,
    "interrupted": _YELLOW,
}
_CELL: Final = "padding:.15em 1.2em .15em 0;text-align:left;background:none;border:none;vertical-align:top"
_PRE: Final = "margin:.3em 0;padding:0;background:none;white-space:pre-wrap;overflow-wrap:anywhere"


def run_page(run: Run[Any]) -> str:
    """Return a run: how it stands, a row for each step, and what failed."""
    took = f" in {_seconds(run.ended_ms - run.started_ms)}" if run.ended_ms and run.started_ms else ""
    head = f"<b>{_text(run.workflow)}</b> &nbsp;{_state(run.state)}{took} &nbsp;{_quiet(run.id)}"
    return f"<div>{head}{_table(run.steps())}{_failures(run)}</div>"


def task_page(task: Task) -> str:
    """Return a task: its path, how it stands, and why it failed."""
    took = f" in {_seconds(task.ended_ms - task.started_ms)}" if task.ended_ms and task.started_ms else ""
    why = "" if task.failure is None else _pre(task.failure.text)
    return f"<div><code>{_text(task.path)}</code> &nbsp;{_state(task.state)}{took}{why}</div>"


def _table(steps: list[StepCount]) -> str:
    rows = "".join(_row(step) for step in steps)
    return f"<table style='margin:.4em 0;border:none'><tbody>{rows}</tbody></table>" if rows else ""


def _row(step: StepCount) -> str:
    states = " &nbsp;".join(
        _state(state, f"{count:,} " if step.looped else "") for state, count in step.states.items()
    )
    took = _seconds(step.ended_ms - step.started_ms) if step.ended_ms and step.started_ms else ""
    name = f"<code style='background:none'>{_text(step.step)}</code>"
    cells = "".join(f"<td style='{_CELL}'>{cell}</td>" for cell in (name, states, _quiet(took)))
    # Without a colour of its own, a page would stripe every other row.
    return f"<tr style='background:none'>{cells}</tr>"


def _failures(run: Run[Any]) -> str:
    failure = run.failure
    said = _pre(failure.text) if failure is not None else ""  # of one failed task it says all
    failed = run.tasks(state="failed")
    lines = "".join(task_page(task) for task in islice(failed, _FAILED_MAX)) if len(failed) > 1 else ""
    more = len(failed) - _FAILED_MAX
    return said + lines + (f"<div>{_quiet(f'and {more:,} more')}</div>" if more > 0 else "")


def _state(state: str, count: str = "") -> str:
    return f"<span style='color:{_COLOURS.get(state, _GREY)}'>{count}{_text(state.replace('_', ' '))}</span>"


def _quiet(text: str) -> str:
    return f"<span style='opacity:.65'>{_text(text)}</span>"


def _pre(text: str) -> str:
    return f"<pre style='{_PRE};color:{_RED}'>{_text(text)}</pre>"


def _text(text: str) -> str:
    return html.escape(text)


def _seconds(ms: int) -> str:
    return f"{ms / 1000:,.2f} s"
