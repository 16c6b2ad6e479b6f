"""A run and its tasks as the objects that ``--json`` prints, and as the words after a run."""

from __future__ import annotations

from typing import Any

import click

from weft.cli.output import duration, short, state_word


def run_object(run: Any) -> dict[str, Any]:
    """Return the stable JSON object of a run; ``docs/cli.md`` lists its fields."""
    failure = run.failure
    return {
        "id": run.id,
        "workflow": run.workflow,
        "state": run.state,
        "created_ms": run.created_ms,
        "started_ms": run.started_ms,
        "ended_ms": run.ended_ms,
        "params": dict(run.params),
        "tags": dict(run.tags),
        "resumed_from": run.resumed_from,
        "failure": {"type": failure.type, "message": failure.message, "kind": failure.kind}
        if failure
        else None,
    }


def task_object(task: Any) -> dict[str, Any]:
    """Return the stable JSON object of a task."""
    return {
        "path": task.path,
        "state": task.state,
        "attempts": task.attempts,
        "started_ms": task.started_ms,
        "ended_ms": task.ended_ms,
        "executor": task.executor,
    }


def failure_lines(run: Any) -> list[str]:
    """Return what went wrong in a run, and what to do, or nothing where nothing did."""
    failure = run.failure
    if failure is None:
        return []
    lines = ["", click.style(f"{failure.type}: {failure.message}".rstrip(": "), fg="red")]
    if failure.kind != "weft":  # its message says it all; the frames would be ours
        lines += [f"  {line}" for line in failure.traceback.rstrip().splitlines()]
    failed = [task.path for task in run.tasks() if task.state == "failed"]
    if failed:
        lines += ["", f"  what it printed   weft logs {run.id} {_shell(failed[0])}"]
    lines.append(f"  fix and continue  weft resume {run.id}")
    return lines


def closing_lines(run: Any) -> list[str]:
    """Return the summary after a run: how it ended, what came of it, and where to look next."""
    took = f" in {duration(run.ended_ms - run.started_ms)}" if run.ended_ms and run.started_ms else ""
    lines = [f"{state_word(run.state)}{took}  {click.style(run.id, fg='bright_black')}"]
    if run.state == "succeeded":
        lines += [
            f"  result  {short(run.result())}",
            f"  look    weft show {run.id} · weft logs {run.id} · weft get {run.id}",
        ]
    else:
        lines += failure_lines(run) or [f"  look    weft show {run.id}", f"  again   weft resume {run.id}"]
    return lines


def _shell(word: str) -> str:
    # zsh takes [ for a pattern.
    return f"'{word}'" if "[" in word or " " in word else word
