"""``weft run``, ``resume``, ``cancel``: what starts, continues and stops runs."""

from __future__ import annotations

import sys
from typing import Any

import click

from weft.cli.display import Display, JsonDisplay, PlainDisplay, QuietDisplay
from weft.cli.exits import SUCCEEDED
from weft.cli.following import follow
from weft.cli.output import is_terminal, json_option, print_json, print_note
from weft.cli.seam import load
from weft.cli.summary import run_object
from weft.cli.targets import run_argument, target_argument
from weft.client import loading
from weft.errors import UserError
from weft.lang.parameters import arguments_of, parse_parameters
from weft.model.states import RUN_FINAL


class BadTag(UserError):
    """``--tag`` is not NAME=VALUE."""

    code = "bad-tag"

    def __init__(self, text: str) -> None:
        super().__init__(f"--tag {text!r} is not NAME=VALUE", hint="Write for example --tag team=search.")


class NothingToPlan(UserError):
    """``weft run --dry-run`` was not told which run to take results over from."""

    code = "nothing-to-plan"

    def __init__(self) -> None:
        super().__init__(
            "--dry-run shows what a run takes over from another, and none is named",
            hint="Name it: --reuse RUN, or --reuse @ for the latest. `weft graph FILE` shows all that a run may do.",
        )


@click.command(epilog="Example: weft run flights.py months=1,2 target=0.8")
@target_argument
@click.argument("parameters", metavar="[NAME=VALUE]...", nargs=-1)
@click.option("--profile", metavar="NAME", help="Where to run: a profile of pyproject.toml or weft.toml.")
@click.option("--tag", "tags", metavar="NAME=VALUE", multiple=True, help="A tag of the run; may be repeated.")
@click.option(
    "--cache/--no-cache",
    default=None,
    help="Reuse results of other runs where code and inputs are the same: of every step, or of none.",
)
@click.option(
    "--refresh", metavar="STEP", multiple=True, help="Run this step, or task, in any case; may be repeated."
)
@click.option("--reuse", metavar="RUN", help="Take over what still holds from this run.")
@click.option("--dry-run", is_flag=True, help="With --reuse: only show the plan.")
@click.option("--strict", is_flag=True, help="Make reports of what plain Python would do otherwise errors.")
@click.option("-q", "--quiet", is_flag=True, help="Print the summary only.")
@json_option
def run(
    target: str,
    parameters: tuple[str, ...],
    profile: str | None,
    tags: tuple[str, ...],
    cache: bool | None,
    refresh: tuple[str, ...],
    reuse: str | None,
    dry_run: bool,
    strict: bool,
    quiet: bool,
    as_json: bool,
) -> int:
    """Run a workflow durably and wait for its end.

    Values are read by the parameters' annotations: months=1,2 for a list[int]. Ctrl-C stops cleanly, and
    `weft resume` goes on from there.
    """
    workflow = loading.load_workflow(target)
    args, kwargs = arguments_of(workflow.function, parse_parameters(workflow.function, parameters))
    display = display_for(as_json=as_json, quiet=quiet)
    options: dict[str, Any] = {"on_event": display.listen}
    chosen = {"profile": profile, "tags": _tags(tags), "refresh": refresh, "reuse": reuse, "strict": strict}
    options.update((key, value) for key, value in chosen.items() if value)
    if cache is not None:
        options["cache"] = cache
    if dry_run and not reuse:
        raise NothingToPlan
    if reuse and (dry_run or not quiet):
        home = load("weft.client.door:open_home")()
        plan = home.plan_reuse(home.get_run(reuse), workflow.options(**options), *args, **kwargs)
        _show(plan, as_json=as_json)
    if dry_run:
        return SUCCEEDED
    return follow(lambda: workflow.options(**options).start(*args, **kwargs), display, as_json=as_json)


@click.command(epilog="Example: weft resume @ --from train")
@run_argument
@click.argument("parameters", metavar="[NAME=VALUE]...", nargs=-1)
@click.option(
    "--code",
    type=click.Choice(["current", "pinned"]),
    default="current",
    show_default=True,
    help="The project's code as it is now, or as it was.",
)
@click.option("--from", "from_", metavar="TASK", help="Run this task, and what depends on it, again.")
@click.option("--dry-run", is_flag=True, help="Only show the plan.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("-q", "--quiet", is_flag=True, help="Print the summary only.")
@json_option
def resume(
    name: str,
    parameters: tuple[str, ...],
    code: str,
    from_: str | None,
    dry_run: bool,
    yes: bool,
    quiet: bool,
    as_json: bool,
) -> int:
    """Continue an interrupted run, or start a new one that takes over all results that still hold.

    The plan comes first: what is reused, what runs again and why, and how long that took. A question is asked
    only where code or parameters differ, at a terminal.
    """
    home = load("weft.client.door:open_home")()
    if "=" in name:  # `weft resume lr=0.1`: no RUN is named
        name, parameters = "@", (name, *parameters)
    old = home.get_run(name)
    choice: dict[str, Any] = {"code": code, "params": parameters, "from_": from_}
    plan = home.plan_resume(old, **choice)
    asks = bool(plan.changes) and not (yes or as_json or dry_run) and sys.stdin.isatty() and is_terminal()
    if as_json or asks or dry_run or not quiet:
        _show(plan, as_json=as_json)
    if dry_run:
        return SUCCEEDED
    if asks:
        click.confirm("Continue?", default=True, abort=True, err=True)
    display = display_for(as_json=as_json, quiet=quiet)
    return follow(lambda: home.resume(old, **choice, on_event=display.listen), display, as_json=as_json)


def _show(plan: Any, *, as_json: bool) -> None:
    """Print the plan of a run that takes over results of another, before it begins."""
    if as_json:
        print_json({"event": "plan", **load("msgspec:to_builtins")(plan)})
        return
    for line in load("weft.cli.planned:plan_lines")(plan):
        print_note(line)


@click.command(epilog="Example: weft cancel @")
@run_argument
@json_option
def cancel(name: str, as_json: bool) -> None:
    """Cancel a run: what runs is stopped, `finally` blocks run, the rest does not start."""
    home = load("weft.client.door:open_home")()
    found = home.get_run(name)
    state = found.state
    if state not in RUN_FINAL:
        found.cancel()
        if state == "interrupted":  # nobody is there to hear it: drive the run to its end here
            home.resume(found).wait()
        found = home.get_run(found.id)
    if as_json:
        print_json(run_object(found))
    elif found.state in RUN_FINAL:
        print_note(f"run {found.id} is {found.state}")
    else:
        print_note(f"run {found.id} is asked to stop; `weft show {found.id}` tells when it has")


def display_for(*, as_json: bool, quiet: bool) -> Display:
    """Return the display that fits: JSON lines, nothing, a live picture for a terminal, or plain lines."""
    if as_json:
        return JsonDisplay()
    if quiet:
        return QuietDisplay()
    if is_terminal():
        made: Display = load("weft.cli.live:LiveDisplay")()
        return made
    return PlainDisplay()


def _tags(texts: tuple[str, ...]) -> dict[str, str]:
    tags = {}
    for text in texts:
        key, sign, value = text.partition("=")
        if not sign or not key:
            raise BadTag(text)
        tags[key] = value
    return tags
