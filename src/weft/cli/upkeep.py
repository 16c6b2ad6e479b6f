"""``weft verify``, ``gc``, ``doctor``: what is stored, and what it stands on."""

from __future__ import annotations

import click

from weft.cli.exits import BAD_DATA, SUCCEEDED, TO_FIX
from weft.cli.output import json_option, print_json, size
from weft.cli.targets import run_argument
from weft.client import door

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
@click.option("--dry-run", is_flag=True, help="Only tell what would be deleted.")
@json_option
def gc(dry_run: bool, as_json: bool) -> None:
    """Delete artifacts that no run refers to, and files that a crash left half written."""
    report = door.open_home().gc(dry_run=dry_run)
    if as_json:
        print_json(report)
        return
    verb = "would delete" if dry_run else "deleted"
    click.echo(f"{verb} {report.deleted} files, {size(report.deleted_bytes)}; {report.kept} are in use")


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
