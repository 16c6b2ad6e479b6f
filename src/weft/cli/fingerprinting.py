"""``weft fingerprint``: what decides whether a step's results still hold."""

from __future__ import annotations

from collections.abc import Iterator

import click

from weft.cli.output import json_option, print_json
from weft.client import door
from weft.client.rerun.fingerprints import Part, StepFingerprint

_SHOWN_DIGITS = 3 + 12


@click.command(epilog="Example: weft fingerprint flights.py:train")
@click.argument("target", metavar="FILE[:STEP] | STEP")
@json_option
def fingerprint(target: str, as_json: bool) -> None:
    """Show what a step is made of: functions, classes, constants, modules, package versions.

    A change of any of them makes the step run again; formatting, comments, and where a function stands do not
    count. What cannot be followed is listed too: a change there is not seen. STEP alone is one of the latest
    run's file.
    """
    found = door.open_home().fingerprints(target)
    if as_json:
        print_json(found)
        return
    for number, each in enumerate(found):
        click.echo("\n".join([*([""] if number else []), *_lines(each)]))


def _lines(found: StepFingerprint) -> Iterator[str]:
    yield f"{click.style(found.step, bold=True)}  {found.digest[:_SHOWN_DIGITS]}"
    width = max((len(_name(part)) for part in found.parts), default=0)
    kinds = max([len("constant"), *(len(part.kind) for part in found.parts)])
    for part in found.parts:
        yield f"  {part.kind:<{kinds}}  {_name(part):<{width}}  {part.version or part.digest[:_SHOWN_DIGITS]}".rstrip()
    for note in found.unfollowed:
        yield f"  {click.style('not followed', fg='yellow')}  {note}"
    if found.unfollowed:
        yield "  A change there is not seen: pass it as an argument, or run the step again with --refresh or --from."


def _name(part: Part) -> str:
    return part.name or "Python"
