"""``weft verify``, ``gc``, ``backup``, ``restore``, ``doctor``: what is stored, and what it stands on."""

from __future__ import annotations

from pathlib import Path

import click

from weft.cli.exits import BAD_DATA, SUCCEEDED, TO_FIX
from weft.cli.output import ago, counted, duration, json_option, print_json, size, state_word, table
from weft.cli.targets import run_argument
from weft.client import door
from weft.client.upkeep.backing import BackupReport
from weft.client.upkeep.collecting import DoomedRun, Policy
from weft.clock import SystemClock
from weft.model.resources import parse_bytes, parse_ms

_copy_option = click.option(
    "--copy", is_flag=True, help="Copy every file, where otherwise a second name on the same disk would do."
)
_LEVELS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "error": ("✗", "red")}


@click.command(epilog="Example: weft verify @")
@run_argument
@json_option
def verify(name: str, as_json: bool) -> int:
    """Check a run: the journal's chain of hashes, what it vouches for, and every artifact it refers to."""
    home = door.open_home()
    run = home.get_run(name)
    report = home.verify(run)
    if as_json:
        print_json(report)
    else:
        for problem in report.problems:
            click.echo(f"{click.style('✗', fg='red')} {problem}")
        word = click.style("✗ damaged", fg="red") if report.problems else click.style("✓ intact", fg="green")
        click.echo(f"{word}: run {run.id}, {report.entries} journal entries, {report.artifacts} artifacts")
    return BAD_DATA if report.problems else SUCCEEDED


@click.command(epilog="Example: weft gc --dry-run")
@click.option("--older-than", metavar="TIME", help="Also delete runs that ended so long ago: 30d, 12h.")
@click.option(
    "--keep-last",
    type=click.IntRange(0),
    metavar="N",
    help="Also delete runs but the last N of each workflow.",
)
@click.option(
    "--max-size",
    metavar="SIZE",
    help="Delete only the oldest of them, until the rest is no more than SIZE: 10GiB.",
)
@click.option("--dry-run", is_flag=True, help="Only tell what would be deleted.")
@json_option
def gc(
    older_than: str | None, keep_last: int | None, max_size: str | None, dry_run: bool, as_json: bool
) -> None:
    """Delete artifacts that no run refers to, and what a crash left. Runs go only if an option says which.

    With --older-than and --keep-last, a run goes that neither keeps; with --max-size alone, all but the last of each
    workflow may go. A run that is not over stays, and so does every run that a run which stays goes back to.
    """
    policy = Policy(
        None if older_than is None else parse_ms("--older-than", older_than),
        keep_last,
        None if max_size is None else parse_bytes("--max-size", max_size),
    )
    report = door.open_home().gc(dry_run=dry_run, policy=policy)
    if as_json:
        print_json(report)
        return
    if report.runs:
        click.echo(_doomed_table(report.runs))
    verb = "would delete" if dry_run else "deleted"
    runs = f"{counted(len(report.runs), 'run')} and " if report.runs else ""
    click.echo(f"{verb} {runs}{report.deleted} files, {size(report.deleted_bytes)}; {report.kept} are in use")


def _doomed_table(runs: list[DoomedRun]) -> str:
    now = SystemClock().now_ms()
    rows = [
        [
            run.run,
            run.workflow,
            state_word(run.state),
            ago(run.ended_ms, now),
            size(run.size_bytes),
            duration(run.took_ms) if run.can_rebuild else "cannot be: its code is not archived",
        ]
        for run in runs
    ]
    return table(["RUN", "WORKFLOW", "STATE", "ENDED", "SIZE", "BUILT AGAIN IN"], rows)


@click.command(epilog="Example: weft backup /mnt/backups/weft-monday")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@_copy_option
@json_option
def backup(folder: Path, copy: bool, as_json: bool) -> int:
    """Copy the home to DIR, complete as it stands now; runs may go on meanwhile. DIR is then a home of its own."""
    return _copied("backed up", door.open_home().backup(folder, link=not copy), as_json)


@click.command(epilog="Example: WEFT_HOME=~/restored weft restore /mnt/backups/weft-monday")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@_copy_option
@json_option
def restore(folder: Path, copy: bool, as_json: bool) -> int:
    """Copy the backup in DIR to WEFT_HOME, which must be empty. Interrupted runs in it go on with `weft resume`."""
    return _copied("restored", door.open_home().restore(folder, link=not copy), as_json)


def _copied(verb: str, report: BackupReport, as_json: bool) -> int:
    if as_json:
        print_json(report)
    else:
        runs, files = counted(report.runs, "run"), counted(report.blobs, "file")
        click.echo(f"{verb} {runs} with {files}, {size(report.size_bytes)}, to {report.folder}")
        for digest in report.missing:
            click.echo(
                f"{click.style('✗', fg='red')} {digest} was missing before: `weft verify` names its runs"
            )
    return BAD_DATA if report.missing else SUCCEEDED


@click.command(epilog="Example: weft doctor")
@json_option
def doctor(as_json: bool) -> int:
    """Check this machine: home folder, disk, SQLite, Python, what tasks may use, the profile file."""
    findings = list(door.doctor())
    if as_json:
        print_json(findings)
    else:
        width = max((len(found.name) for found in findings), default=0)
        for found in findings:
            glyph, colour = _LEVELS[found.level]
            click.echo(f"{click.style(glyph, fg=colour)} {found.name:<{width}}  {found.message}")
            if found.hint and found.level != "ok":
                click.echo(f"  {'':<{width}}  {found.hint}")
    return TO_FIX if any(found.level == "error" for found in findings) else SUCCEEDED
