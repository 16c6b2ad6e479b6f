"""How commands are told which run: the argument RUN, its completion, and the doors behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from weft.cli.seam import load
from weft.client.tasks import NoSuchTask
from weft.errors import UserError, WeftError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

LATEST = "@"


class RunName(click.ParamType):  # type: ignore[type-arg]
    """A run's id, a unique beginning of it, or ``@``."""

    name = "run"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        try:
            runs = load("weft.client.door:open_home")().list_runs(limit=50)
        except WeftError:
            return []  # a completion has nowhere to show an error
        item = load("click.shell_completion:CompletionItem")
        return [
            item(run.id, help=f"{run.workflow} {run.state}") for run in runs if run.id.startswith(incomplete)
        ]


class WorkflowTarget(click.ParamType):  # type: ignore[type-arg]
    """``FILE[:WORKFLOW]``; the shell completes the file."""

    name = "target"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        item = load("click.shell_completion:CompletionItem")
        return [item(incomplete, type="file")]


def target_argument(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the argument ``FILE[:WORKFLOW]``."""
    return click.argument("target", metavar="FILE[:WORKFLOW]", type=WorkflowTarget())(command)


def run_argument(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the argument ``[RUN]``, the latest run by default."""
    return click.argument("name", metavar="[RUN]", type=RunName(), default=LATEST)(command)


def find_run_and_task(home: Any, run: str | None, task: str | None) -> tuple[Any, str | None]:
    """Return the run, and the task's path, that ``[RUN] [TASK]`` mean. One word alone may be either.

    Raises:
        UserError: it is neither a run nor a task of the latest run.
    """
    if run is None or task is not None:
        return home.get_run(run or LATEST), task
    try:
        return home.get_run(run), None
    except UserError as error:
        try:
            latest = home.get_run(LATEST)
            tasks_at(latest, run)
        except UserError:
            raise error from None
        return latest, run


def tasks_at(run: Any, path: str) -> list[Any]:
    """Return the task of this path, or all tasks of the loop or group.

    Raises:
        NoSuchTask: there is none, or none has started.
    """
    try:
        return [run.task(path)]
    except NoSuchTask:
        found = [task for task in run.tasks() if is_at(task.path, path)]
        if not found:
            raise
        return found


def is_at(path: str, wanted: str) -> bool:
    """Return whether a task's path is the wanted one: itself, all of its loop, or all of its group."""
    return path == wanted or path.startswith((wanted + "[", wanted + "/"))
