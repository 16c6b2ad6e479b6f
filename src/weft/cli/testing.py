"""``weft test``: does a workflow end the same way plainly, durably, and whatever dies on the way?"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from weft.cli.exits import FAILED, SUCCEEDED
from weft.cli.output import counted, is_terminal, json_option, print_json, short
from weft.cli.seam import load
from weft.cli.targets import target_argument
from weft.errors import UserError
from weft.model.resources import parse_ms

if TYPE_CHECKING:
    from weft.testing.comparing import Finding
    from weft.testing.trial import ChaosReport, Progress, TrialReport


class ChaosOptionAlone(UserError):
    """An option that steers crashes was given to a test without any."""

    code = "chaos-option-alone"

    def __init__(self, option: str) -> None:
        super().__init__(
            f"{option} has no use without --chaos", hint=f"Write: weft test --chaos {option} ..."
        )


@click.command(epilog="Example: weft test flights.py --chaos months=1,2")
@target_argument
@click.argument("parameters", metavar="[NAME=VALUE]...", nargs=-1)
@click.option("--chaos", is_flag=True, help="Let drivers and workers die at every transition, and go on.")
@click.option(
    "--seed", type=click.IntRange(0), help="Which crashes, where not all can be made.  [default: 1]"
)
@click.option("--crashes", type=click.IntRange(1), help="About how many, at most.  [default: 200]")
@click.option("--time", "time_", metavar="DURATION", help="No more crashes after this time.  [default: 5m]")
@json_option
def test(
    target: str,
    parameters: tuple[str, ...],
    chaos: bool,
    seed: int | None,
    crashes: int | None,
    time_: str | None,
    as_json: bool,
) -> int:
    """Call a workflow plainly, run it durably, and compare how both end. Nothing is left in your home.

    With --chaos it runs once more, and processes die: the driver before and after each of its commits, and the
    worker of every step after its work and before its report. The run must end the same way. Every step has a
    second attempt then, and what this one finds that the first had left in files is reported, with what to
    write instead. Back-offs cost no time. Steps really run, so what they do outside is really done, several times.
    """
    for option, value in (("--seed", seed), ("--crashes", crashes), ("--time", time_)):
        if value is not None and not chaos:
            raise ChaosOptionAlone(option)
    with _progress(quiet=as_json) as tell:
        trial = load("weft.testing.trial:Trial")(
            target=target,
            parameters=parameters,
            chaos=chaos,
            seed=1 if seed is None else seed,
            crashes=crashes or 200,
            time_s=parse_ms("--time", time_ or "5m") / 1000,
            tell=tell,
        )
        report = load("weft.testing.trial:run_trial")(trial)
    if as_json:
        print_json(_object(report))
    else:
        _print(report)
    return SUCCEEDED if report.is_fine else FAILED


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Progress]:
    """Show at a terminal what is done now, and how many processes have died."""
    if quiet or not is_terminal():
        yield lambda phase, died: None
        return
    console = load("rich.console:Console")(stderr=True)
    with console.status("plain call") as status:
        yield lambda phase, died: status.update(f"{phase}, {died} processes died" if died else phase)


# -- for people ---------------------------------------------------------------------------------------------


def _print(report: TrialReport) -> None:
    _line(
        report.difference is None, f"{report.workflow}: the plain call and the durable run end the same way"
    )
    _ends(report.difference, {"plain call": report.plain, "durable run": report.durable})
    if report.chaos is None:
        return
    chaos = report.chaos
    _line(
        chaos.difference is None,
        f"after {_crashes(chaos)} it ends the same way"
        if chaos.difference is None
        else f"after {_crashes(chaos)} it ends another way",
    )
    _ends(chaos.difference, {"unbroken run": report.durable, "run with crashes": chaos.outcome})
    bad = [found for found in chaos.findings if not found.is_harmless]
    steps = len({found.step for found in bad})
    _line(
        not bad,
        f"{counted(steps, 'step')} of {len(chaos.steps)} met at the second attempt what the first had left"
        if bad
        else f"{counted(len(chaos.steps), 'step')} had a second attempt, and none met what the first had left",
    )
    for found in bad:
        _print_finding(found)
    _print_notes(chaos)


def _print_finding(found: Finding) -> None:
    click.echo(f"\n  {click.style(found.step, bold=True)}  {_shown(found.path)}  {_place(found)}".rstrip())
    click.echo(f"    {found.kind}: {found.detail}")
    click.echo(f"    {click.style('→', fg='green')} {found.hint}")


def _print_notes(chaos: ChaosReport) -> None:
    notes = [
        f"{found.step}: {_shown(found.path)}: {found.detail}. {found.hint}"
        for found in chaos.findings
        if found.is_harmless
    ]
    notes += [
        f"{step}: {', '.join(texts)}: this is not watched; give it current().key, so that it can tell attempts of one "
        "task from tasks"
        for step, texts in chaos.unwatched.items()
    ]
    if chaos.is_cut_short:
        notes.append("the time was up before all crashes were made; --time gives more")
    if chaos.share < 1:
        notes.append(f"these are the crashes of --seed {chaos.seed}; --crashes allows more at a time")
    if notes:
        click.echo()
    for note in notes:
        click.echo(f"{click.style('note:', fg='cyan')} {note}")


def _line(is_good: bool, text: str) -> None:
    click.echo(f"{click.style('✓', fg='green') if is_good else click.style('✗', fg='red')} {text}")


def _ends(difference: str | None, ends: dict[str, Any]) -> None:
    if difference is None:
        return
    click.echo(f"    {difference}")
    for name, outcome in ends.items():
        click.echo(f"    {name}: {_end_text(outcome)}")


def _crashes(chaos: ChaosReport) -> str:
    crashes = "1 crash" if chaos.crashes == 1 else f"{chaos.crashes:,} crashes"
    before, after = counted(chaos.drivers_before, "driver"), f"{chaos.drivers_after:,}"
    workers = counted(chaos.workers, "worker")
    return f"{crashes} ({before} before a commit, {after} after one, {workers} after a step's work)"


def _end_text(outcome: Any) -> str:
    return short(outcome.value) if outcome.error is None else short(outcome.error)


def _shown(path: str) -> str:
    """Return a path as one would type it here."""
    near = os.path.relpath(path) if path else ""
    return path if near.startswith("..") else near


def _place(found: Finding) -> str:
    return click.style(f"({_shown(found.where)})", fg="bright_black") if found.where else ""


# -- for programs -------------------------------------------------------------------------------------------


def _object(report: TrialReport) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "ok": report.is_fine,
        "workflow": report.workflow,
        "plain": _end(report.plain),
        "durable": _end(report.durable),
        "difference": report.difference,
    }
    if report.chaos is not None:
        shown["chaos"] = _chaos_object(report.chaos)
    return shown


def _chaos_object(chaos: ChaosReport) -> dict[str, Any]:
    return {
        "seed": chaos.seed,
        "end": _end(chaos.outcome),
        "difference": chaos.difference,
        "crashes": {
            "driver_before_commit": chaos.drivers_before,
            "driver_after_commit": chaos.drivers_after,
            "worker_after_step": chaos.workers,
        },
        "commits": chaos.commits,
        "share": chaos.share,
        "cut_short": chaos.is_cut_short,
        "steps": chaos.steps,
        "findings": [
            {
                "step": found.step,
                "task": found.task,
                "kind": found.kind,
                "harmless": found.is_harmless,
                "path": found.path,
                "where": found.where,
                "detail": found.detail,
                "hint": found.hint,
            }
            for found in chaos.findings
        ],
        "unwatched": chaos.unwatched,
    }


def _end(outcome: Any) -> dict[str, str]:
    if outcome.error is None:
        return {"value": short(outcome.value)}
    return {"error": type(outcome.error).__qualname__, "message": short(outcome.error)}
