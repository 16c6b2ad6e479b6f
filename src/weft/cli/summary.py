"""A run and its tasks as the objects that ``--json`` prints, and as the words after a run."""

from __future__ import annotations

from typing import Any

import click

from weft.cli.output import clipped, duration, short, state_word, terminal_width


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


def step_object(step: Any) -> dict[str, Any]:
    """Return the stable JSON object of a step."""
    return {
        "step": step.step,
        "tasks": step.tasks,
        "states": step.states,
        "attempts": step.attempts,
        "started_ms": step.started_ms,
        "ended_ms": step.ended_ms,
    }


def failure_lines(run: Any) -> list[str]:
    """Return what went wrong in a run, and what to do, or nothing where nothing did."""
    failure = run.failure
    if failure is None:
        return []
    lines = ["", click.style(failure.text, fg="red")]
    if failure.kind != "weft":  # its message says it all; the frames would be ours
        frames = failure.traceback.rstrip().removesuffix(
            f"{failure.type}: {failure.message}".removesuffix(": ")
        )
        lines += [f"  {line}" for line in frames.rstrip().splitlines()]
    failed = next(iter(run.tasks(state="failed")), None)
    if failed is not None:
        lines += ["", f"  what it printed   weft logs {run.id} {_shell(failed.path)}"]
    lines.append(f"  fix and continue  weft resume {run.id}")
    return lines


def closing_lines(run: Any) -> list[str]:
    """Return the summary after a run: how it ended, what came of it, and where to look next."""
    took = f" in {duration(run.ended_ms - run.started_ms)}" if run.ended_ms and run.started_ms else ""
    lines = [f"{state_word(run.state)}{took}  {click.style(run.id, fg='bright_black')}"]
    if run.state == "succeeded":
        lines += [clipped(f"  result  {short(run.result())}"), *_look_lines(run.id)]
    else:
        lines += failure_lines(run) or [f"  look    weft show {run.id}", f"  again   weft resume {run.id}"]
    return lines


def _look_lines(run: str) -> list[str]:
    commands = [f"weft {command} {run}" for command in ("show", "logs", "get")]
    line = f"  look    {' · '.join(commands)}"
    if len(line) <= (terminal_width() or len(line)):
        return [line]
    return [
        f"  {'look' if first else '    '}    {command}"
        for first, command in zip((1, 0, 0), commands, strict=True)
    ]


def _shell(word: str) -> str:
    # zsh takes [ for a pattern.
    return f"'{word}'" if "[" in word or " " in word else word
