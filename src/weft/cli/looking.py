"""``weft ls``, ``show``, ``logs``, ``get``: what runs did and made."""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

from weft.cli.display import StepTally, ends_of
from weft.cli.exits import FAILED, SUCCEEDED
from weft.cli.output import (
    ago,
    duration,
    json_option,
    print_error,
    print_json,
    print_note,
    short,
    state_word,
    table,
)
from weft.cli.summary import failure_lines, run_object, task_object
from weft.cli.targets import find_run_and_task, is_at, run_argument, tasks_at
from weft.client import door
from weft.clock import SystemClock
from weft.errors import UserError
from weft.model.progress import LogLine
from weft.model.states import RUN_FINAL, RUN_MOVES

_FOLLOW_SECONDS = 0.3


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


@click.command(epilog="Example: weft show @ --tasks")
@run_argument
@click.option("--tasks", "all_tasks", is_flag=True, help="A line for each task, not for each step.")
@json_option
def show(name: str, all_tasks: bool, as_json: bool) -> None:
    """Show a run: its parameters, its steps and what became of them."""
    run = door.open_home().get_run(name)
    tasks = list(run.tasks())
    if as_json:
        print_json({**run_object(run), "tasks": [task_object(task) for task in tasks]})
        return
    now = SystemClock().now_ms()
    click.echo(f"{click.style(run.workflow, bold=True)}  {state_word(run.state)}  {run.id}")
    click.echo(f"  started {ago(run.started_ms or run.created_ms, now)}{_ended(run, now)}")
    for key, value in run.params.items():
        click.echo(f"  {key} = {value}")
    click.echo()
    if tasks:
        click.echo(_task_table(tasks) if all_tasks else _step_table(tasks))
    for line in failure_lines(run):
        click.echo(line)


@click.command(epilog="Example: weft logs @ train[2]")
@click.argument("name", metavar="[RUN]", required=False)
@click.argument("task", metavar="[TASK]", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on until the run has ended.")
@json_option
def logs(name: str | None, task: str | None, follow: bool, as_json: bool) -> None:
    """Print what the tasks of a run printed and logged, in order. TASK may be a whole loop or group."""
    run, path = find_run_and_task(door.open_home(), name, task)
    if path is not None:
        tasks_at(run, path)
    for line in _log_lines(run, path, follow):
        if as_json:
            print_json(line)
        elif line.stream != "progress":
            click.echo(f"{click.style(line.task, fg='cyan')}  {line.text}")


@click.command(epilog="Example: weft get @ best_of -o best.pkl")
@click.argument("name", metavar="[RUN]", required=False)
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
            return f"{what} failed: {thing.failure.type}: {thing.failure.message}"
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


def _log_lines(run: Any, path: str | None, follow: bool) -> Iterator[LogLine]:
    """Yield log lines by time; with ``follow``, also those that come until the run ends."""
    seen: dict[str, int] = {}
    while True:
        ended = run.state in RUN_FINAL
        fresh: list[LogLine] = []
        for task in run.tasks():
            if path is None or is_at(task.path, path):
                lines = list(task.logs())
                fresh += [_event(task.path, line) for line in lines[seen.get(task.path, 0) :]]
                seen[task.path] = len(lines)
        yield from sorted(fresh, key=lambda line: line.at_ms)
        if not follow or ended:
            return
        time.sleep(_FOLLOW_SECONDS)
        run = door.open_home().get_run(run.id)


def _event(path: str, line: Any) -> LogLine:
    return LogLine(step=_step_of(path), task=path, text=line.text, stream=line.stream, at_ms=line.ms)


def _took(run: Any, now: int) -> str:
    if not run.started_ms or (not run.ended_ms and run.state == "interrupted"):
        return ""
    return duration((run.ended_ms or now) - run.started_ms)


def _params(run: Any) -> str:
    text = " ".join(f"{key}={value}" for key, value in run.params.items())
    return text if len(text) <= 60 else text[:59] + "…"


def _step_of(path: str) -> str:
    """Return a task's path without its loop indexes."""
    return "/".join(part.split("[", 1)[0] for part in path.split("/"))


def _step_table(tasks: Iterable[Any]) -> str:
    steps: dict[str, StepTally] = {}
    for task in tasks:
        name = _step_of(task.path)
        step = steps.setdefault(name, StepTally(name))
        step.planned += 1
        step.looped = step.looped or task.path != name
        step.retries += max(0, task.attempts - 1)
        if task.state == "running":
            step.running += 1
        elif task.state not in ("waiting", "retrying"):
            step.ends[task.state] = step.ends.get(task.state, 0) + 1
        if task.started_ms:
            step.first_ms = min(step.first_ms or task.started_ms, task.started_ms)
        step.last_ms = max(step.last_ms, task.ended_ms or 0)
    rows = [[state_word(step.state), step.name, ends_of(step)] for step in steps.values()]
    return table(["STATE", "STEP", ""], rows)


def _task_table(tasks: Iterable[Any]) -> str:
    rows = []
    for task in tasks:
        took = duration(task.ended_ms - task.started_ms) if task.started_ms and task.ended_ms else ""
        rows.append([state_word(task.state), task.path, str(task.attempts or ""), took, task.executor or ""])
    return table(["STATE", "TASK", "ATTEMPTS", "TOOK", "EXECUTOR"], rows)


def _ended(run: Any, now: int) -> str:
    took = _took(run, now)
    return f", {'took' if run.ended_ms else 'running for'} {took}" if took else ""
