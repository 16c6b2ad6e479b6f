"""``weft compare``: two runs side by side."""

from __future__ import annotations

from collections.abc import Iterator

import click

from weft.cli.output import ago, duration, json_option, print_json, state_word, table
from weft.cli.targets import RunName
from weft.client import door
from weft.client.rerun.comparing import Comparison, Side, StepPair

_OTHER = ("≠", "yellow")
_DIGITS = 3 + 12


@click.command(epilog="Example: weft compare 0hq3t5 @")
@click.argument("left", metavar="RUN", type=RunName())
@click.argument("right", metavar="RUN", type=RunName())
@json_option
def compare(left: str, right: str, as_json: bool) -> None:
    """Show two runs side by side: parameters, code, inputs, results, times. What differs is marked with ≠."""
    home = door.open_home()
    found = home.compare(home.get_run(left), home.get_run(right))
    if as_json:
        print_json(found)
        return
    for line in _lines(found, home.clock.now_ms()):
        click.echo(line)


def _lines(found: Comparison, now_ms: int) -> Iterator[str]:
    yield table(
        ["", found.left.run, found.right.run, ""], [*_run_rows(found, now_ms), *_parameter_rows(found)]
    )
    if found.changes:
        yield ""
        yield from (f"{click.style('changed', fg='yellow')}  {change}" for change in found.changes)
    if found.steps:
        yield ""
        yield table(
            ["step", "tasks", "", "took", "", "inputs", "result", "code"], list(map(_step_row, found.steps))
        )


def _run_rows(found: Comparison, now_ms: int) -> Iterator[list[str]]:
    left, right = found.left, found.right
    yield _row("workflow", left.workflow, right.workflow)
    yield _row("state", state_word(left.state), state_word(right.state))
    yield _row("started", _started(left, now_ms), _started(right, now_ms), marks=False)
    yield _row("took", _took(left), _took(right), marks=False)
    yield _row("code", left.code[:_DIGITS] or "not on record", right.code[:_DIGITS] or "not on record")
    if left.commit or right.commit:
        yield _row("commit", left.commit[:12], right.commit[:12])
    if left.python != right.python:
        yield _row("Python", left.python, right.python)
    if left.profile or right.profile:
        yield _row("profile", left.profile, right.profile)
    yield _row("result", _result(left), _result(right), same=found.same_result)


def _parameter_rows(found: Comparison) -> Iterator[list[str]]:
    for pair in found.parameters:
        yield _row(pair.name, _shown(pair.left), _shown(pair.right), same=pair.same)


def _row(name: str, left: str, right: str, *, same: bool | None = None, marks: bool = True) -> list[str]:
    differs = marks and (left != right if same is None else not same)
    return [name, left, right, _marked() if differs else ""]


def _marked() -> str:
    return click.style(_OTHER[0], fg=_OTHER[1])


def _shown(text: str | None) -> str:
    return "–" if text is None else short_text(text)


def short_text(text: str, length: int = 40) -> str:
    """Return a text on one line of at most ``length`` characters."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1] + "…"


def _started(side: Side, now_ms: int) -> str:
    return ago(side.started_ms, now_ms) if side.started_ms else "–"


def _took(side: Side) -> str:
    return "–" if side.took_ms is None else duration(side.took_ms)


def _result(side: Side) -> str:
    return short_text(side.result) or "–"


def _step_row(pair: StepPair) -> list[str]:
    return [
        pair.step,
        _tasks(pair.left_tasks, pair.left_reused),
        _tasks(pair.right_tasks, pair.right_reused),
        duration(pair.left_ms) if pair.left_tasks else "–",
        duration(pair.right_ms) if pair.right_tasks else "–",
        _sameness(pair.inputs),
        _sameness(pair.results) + (f" {len(pair.different)}" if len(pair.different) > 1 else ""),
        _sameness("different") if pair.code else _sameness("same"),
    ]


def _tasks(count: int, reused: int) -> str:
    if not count:
        return "–"
    return f"{count} ↺{reused}" if reused else f"{count}"


def _sameness(word: str) -> str:
    return {"same": "=", "different": _marked()}.get(word, "–")
