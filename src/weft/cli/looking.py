"""``weft ls``, ``show``, ``logs``, ``get``: what runs did and made."""

from __future__ import annotations

import pickle
import re
import time
from itertools import islice
from pathlib import Path
from typing import Any

import click
import msgspec

from weft.cli.display import StepTally, ends_of, printable
from weft.cli.exits import FAILED, SUCCEEDED
from weft.cli.output import (
    GLYPHS,
    ago,
    clipped,
    counted,
    duration,
    json_option,
    print_error,
    print_json,
    print_note,
    short,
    state_word,
    table,
)
from weft.cli.summary import failure_lines, run_object, step_object, task_object
from weft.cli.targets import RunName, find_run_and_task, is_at, run_argument, tasks_at
from weft.client import door
from weft.client.tasks import StepCount
from weft.clock import SystemClock
from weft.errors import UserError
from weft.model.progress import LogLine, TaskProgress
from weft.model.states import RUN_FINAL, RUN_MOVES, TASK_FINAL, TASK_MOVES

_FOLLOW_S = 0.3
_SOME_MAX = 10
_PLACE = re.compile(r"\d+-([0-9a-f]{8})*")


class BadPlace(UserError):
    """``--after`` is no place in the tasks of a run."""

    code = "bad-place"

    def __init__(self, text: str) -> None:
        super().__init__(f"--after {text!r} is no place of a task", hint="Take it from the page before.")


class NoJsonForm(UserError):
    """A value cannot be written as JSON."""

    code = "no-json-form"

    def __init__(self, value: object, why: object) -> None:
        super().__init__(
            f"a value of type {type(value).__qualname__} has no JSON form: {why}",
            hint="Leave `--json` out to print it, or save it with `-o value.pkl`.",
        )


@click.command(epilog="Example: weft ls --state failed --limit 5")
@click.option("--workflow", metavar="NAME", help="Only runs of this workflow.")
@click.option("--state", type=click.Choice([*RUN_MOVES, "interrupted"]), help="Only runs in this state.")
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many at most."
)
@json_option
def ls(workflow: str | None, state: str | None, limit: int, as_json: bool) -> None:
    """List runs, the latest first."""
    runs = list(door.open_home().list_runs(workflow=workflow, state=state, limit=limit))
    if as_json:
        print_json([run_object(run) for run in runs])
        return
    if not runs:
        print_note(
            "No runs yet. Start one: weft run FILE.py name=value"
            if not (workflow or state)
            else "No such runs."
        )
        return
    now = SystemClock().now_ms()
    rows = [
        [run.id, run.workflow, state_word(run.state), ago(run.created_ms, now), _took(run, now), _params(run)]
        for run in runs
    ]
    click.echo(table(["RUN", "WORKFLOW", "STATE", "STARTED", "TOOK", "PARAMETERS"], rows))


@click.command(epilog="Example: weft show @ --state failed")
@run_argument
@click.option("--tasks", "all_tasks", is_flag=True, help="A line for each task, not for each step.")
@click.option("--state", type=click.Choice(list(TASK_MOVES)), help="A line for each task in this state.")
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=100, show_default=True, help="How many tasks at most."
)
@click.option("--after", metavar="PLACE", help="Only tasks behind this place; the page before tells it.")
@json_option
def show(name: str, all_tasks: bool, state: str | None, limit: int, after: str | None, as_json: bool) -> None:
    """Show a run: its parameters, its steps and what became of them, what runs and what failed."""
    run = door.open_home().get_run(name)
    if after is not None and not _PLACE.fullmatch(after):
        raise BadPlace(after)
    if as_json:
        tasks, after = _page(run, state, after, limit)
        page = {"tasks": [task_object(task) for task in tasks], "after": after}
        print_json({**run_object(run), "steps": [step_object(step) for step in run.steps()], **page})
        return
    now = SystemClock().now_ms()
    _print_head(run, now)
    if all_tasks or state or after:
        _print_tasks(run, state, after, limit)
        return
    if steps := run.steps():
        click.echo(_step_table(steps, run.state))
        for each in ("running", "failed"):
            _print_some(run, each, sum(step.states.get(each, 0) for step in steps), now)
    for line in failure_lines(run):
        click.echo(line)


def _print_head(run: Any, now: int) -> None:
    click.echo(f"{click.style(run.workflow, bold=True)}  {state_word(run.state)}  {run.id}")
    click.echo(f"  started {ago(run.started_ms or run.created_ms, now)}{_ended(run, now)}")
    for key, value in run.params.items():
        click.echo(f"  {key} = {value}")
    click.echo()


def _page(run: Any, state: str | None, after: str | None, limit: int) -> tuple[list[Any], str | None]:
    """Return some tasks, and the place of the last one where more follow."""
    tasks = list(islice(run.tasks(state=state, after=after), limit + 1))
    return tasks[:limit], tasks[limit - 1].cursor if len(tasks) > limit else None


def _print_tasks(run: Any, state: str | None, after: str | None, limit: int) -> None:
    tasks, after = _page(run, state, after, limit)
    if not tasks:
        print_note("No such tasks.")
        return
    click.echo(_task_table(tasks, run.state))
    if after is not None:
        words = f"--state {state}" if state else "--tasks"
        print_note(f"\nmore: weft show {run.id} {words} --limit {limit} --after {after}")


def _print_some(run: Any, state: str, count: int, now: int) -> None:
    """Print the first tasks of a loop that are in a state, each with how it stands."""
    # A single failure is shown with its traceback below; of an interrupted run nothing runs.
    if not count or (state, count) == ("failed", 1) or run.state == "interrupted":
        return
    click.echo()
    for task in islice(run.tasks(state=state), _SOME_MAX):
        word = click.style(GLYPHS[state][0], fg=GLYPHS[state][1])
        said = task.failure.text if task.failure else f"for {duration(now - task.started_ms)}"
        click.echo(clipped(f"{word} {task.path}  {printable(said.splitlines()[0])}"))
    if count > _SOME_MAX:
        click.echo(f"  and {counted(count - _SOME_MAX, 'task')} more: weft show {run.id} --state {state}")


@click.command(epilog="Example: weft logs @ train[2]")
@click.argument("name", metavar="[RUN]", type=RunName(), required=False)
@click.argument("task", metavar="[TASK]", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on until the run has ended.")
@json_option
def logs(name: str | None, task: str | None, follow: bool, as_json: bool) -> None:
    """Print what the tasks of a run printed and logged, in order. TASK may be a whole loop or group."""
    run, path = find_run_and_task(door.open_home(), name, task)
    if path is not None:
        tasks_at(run, path)
    output = run.output(lambda found: path is None or is_at(found, path))
    while True:
        over = run.is_over  # before the look: so nothing that came before the end is missed
        _print_said(output.all(), as_json)
        if follow:
            time.sleep(_FOLLOW_S)
        if over or not follow:
            _print_said(output.last(), as_json)
            return


def _print_said(events: list[LogLine | TaskProgress], as_json: bool) -> None:
    for event in events:
        if as_json:
            print_json(event)
        elif isinstance(event, LogLine):
            click.echo(f"{click.style(event.task, fg='cyan')}  {event.text}")


@click.command(epilog="Example: weft get @ best_of -o best.pkl")
@click.argument("name", metavar="[RUN]", type=RunName(), required=False)
@click.argument("task", metavar="[TASK]", required=False)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Save to FILE instead: .json, .pkl, .csv, .parquet, or text.",
)
@json_option
def get(name: str | None, task: str | None, output: Path | None, as_json: bool) -> int:
    """Print the result of a run, or of one task of it, as the last line."""
    run, path = find_run_and_task(door.open_home(), name, task)
    failed = _failure(run, path)
    if failed is not None:
        print_error(failed, f"`weft show {run.id}` shows it.")
        return FAILED
    value = run.result() if path is None else _one_result(run, path)
    if output is not None:
        save_value(value, output)
        print_note(f"saved {short(value, 60)} to {output}")
    elif as_json:
        click.echo(json_text(value))
    else:
        click.echo(value if isinstance(value, str) else repr(value))
    return SUCCEEDED


def _failure(run: Any, path: str | None) -> str | None:
    """Return why there is no result to get, or None where there is one, or will be."""
    for what, thing in (
        [(f"run {run.id}", run)] if path is None else [(t.path, t) for t in tasks_at(run, path)]
    ):
        if thing.failure is not None:
            return f"{what} failed: {thing.failure.text}"
    return None


def json_text(value: Any) -> str:
    """Return ``value`` as JSON.

    Raises:
        NoJsonForm: it has none.
    """
    try:
        return msgspec.json.encode(value, enc_hook=_plain_form).decode()
    except (TypeError, ValueError, OverflowError, RecursionError, NotImplementedError) as error:
        raise NoJsonForm(value, error) from error


def _plain_form(value: Any) -> Any:
    # NumPy and pandas values, by what they can do, so that neither is imported here.
    for method in ("tolist", "to_dict", "isoformat"):
        if hasattr(value, method):
            return getattr(value, method)()
    raise NotImplementedError(f"it holds a {type(value).__qualname__}")


def save_value(value: Any, path: Path) -> None:
    """Write ``value`` to ``path`` in the form that its suffix asks for.

    Raises:
        UserError: the value has no such form.
    """
    suffix = path.suffix.lower()
    if suffix in (".csv", ".parquet"):
        method = getattr(value, "to_csv" if suffix == ".csv" else "to_parquet", None)
        if method is None:
            raise UserError(
                f"a value of type {type(value).__qualname__} cannot be saved as {suffix}",
                hint="Use a name that ends in .pkl or .json.",
            )
        method(path)
    elif suffix == ".json":
        path.write_text(json_text(value) + "\n", encoding="utf-8")
    elif suffix in (".pkl", ".pickle"):
        path.write_bytes(pickle.dumps(value, protocol=5))
    elif isinstance(value, bytes | bytearray):
        path.write_bytes(value)
    else:
        path.write_text((value if isinstance(value, str) else repr(value)) + "\n", encoding="utf-8")


def _one_result(run: Any, path: str) -> Any:
    """Return the task's result; a loop's name gives the list of its tasks' results, in Python's order."""
    tasks = tasks_at(run, path)
    if len(tasks) == 1 and tasks[0].path == path:
        return tasks[0].result()
    return [task.result() for task in tasks]


def _took(run: Any, now: int) -> str:
    if not run.started_ms or (not run.ended_ms and run.state == "interrupted"):
        return ""
    return duration((run.ended_ms or now) - run.started_ms)


def _params(run: Any) -> str:
    text = " ".join(f"{key}={value}" for key, value in run.params.items())
    return text if len(text) <= 60 else text[:59] + "…"


def _step_table(steps: list[StepCount], state: str) -> str:
    rows = []
    for step in map(_tally_of, steps):
        step.over = state if state in RUN_FINAL or state == "interrupted" else ""
        rows.append([state_word(step.state), step.name, ends_of(step)])
    return table(["STATE", "STEP", ""], rows)


def _tally_of(step: StepCount) -> StepTally:
    return StepTally(
        step.step,
        planned=step.tasks,
        running=step.open,
        retries=max(0, step.attempts - step.tasks + step.states.get("reused", 0)),
        ends={state: count for state, count in step.states.items() if state in TASK_FINAL},
        first_ms=step.started_ms,
        last_ms=step.ended_ms,
        looped=step.looped,
    )


def _task_table(tasks: list[Any], state: str) -> str:
    rows = []
    for task in tasks:
        took = duration(task.ended_ms - task.started_ms) if task.started_ms and task.ended_ms else ""
        # On record it runs, but nobody drives it any more.
        word = (
            "interrupted" if state == "interrupted" and task.state in ("running", "retrying") else task.state
        )
        rows.append([state_word(word), task.path, str(task.attempts or ""), took, task.executor or ""])
    return table(["STATE", "TASK", "ATTEMPTS", "TOOK", "EXECUTOR"], rows)


def _ended(run: Any, now: int) -> str:
    took = _took(run, now)
    return f", {'took' if run.ended_ms else 'running for'} {took}" if took else ""
