"""``weft why``: the reason that is on record for what became of a task or a run."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from weft.cli.display import printable
from weft.cli.output import clipped, json_option, print_json, state_word
from weft.cli.targets import LATEST
from weft.client import door
from weft.client.why.explaining import NOT_STARTED, Reason
from weft.errors import UserError
from weft.model.journal import JournalEntry


@click.command(epilog="Example: weft why @ train[2]")
@click.argument("name", metavar="[RUN]", required=False)
@click.argument("task", metavar="[TASK]", required=False)
@json_option
def why(name: str | None, task: str | None, as_json: bool) -> None:
    """Tell why a task ran, was reused, was skipped, waits or failed; without TASK, why the run is as it is."""
    reason = find_reason(door.open_home(), name, task)
    if as_json:
        print_json(reason_object(reason))
        return
    word = reason.state if reason.state == NOT_STARTED else state_word(reason.state)
    click.echo(f"{click.style(reason.task or 'run', bold=True)}  {word}  {reason.run}")
    click.echo(f"  {printable(reason.text)}")
    for line in reason.details:
        click.echo(clipped(f"    {printable(line)}"))
    if reason.evidence:
        click.echo("\n  in the journal")
    for entry in reason.evidence:
        click.echo(clipped(click.style(f"    {_entry_line(entry)}", fg="bright_black")))


def find_reason(home: Any, name: str | None, task: str | None) -> Reason:
    """Return the answer about ``[RUN] [TASK]``; one word alone is a run, or else a task of the latest run.

    Raises:
        UserError: it is neither.
    """
    if name is None or task is not None:
        return home.get_run(name or LATEST).why(task)  # type: ignore[no-any-return]
    try:
        run = home.get_run(name)
    except UserError as error:
        try:
            return home.get_run(LATEST).why(name)  # type: ignore[no-any-return]
        except UserError:
            raise error from None
    return run.why()  # type: ignore[no-any-return]


def reason_object(reason: Reason) -> dict[str, Any]:
    """Return the stable JSON object of an answer; ``docs/cli.md`` lists its fields."""
    names = ("seq", "at_ms", "kind", "subject", "cause")
    evidence = [{name: getattr(entry, name) for name in names} for entry in reason.evidence]
    return {**msgspec.structs.asdict(reason), "evidence": evidence}


def _entry_line(entry: JournalEntry) -> str:
    about = f"{entry.subject}: " if entry.subject else ""
    return f"{entry.seq:>4}  {entry.kind:<15} {printable(about + entry.cause)}"
