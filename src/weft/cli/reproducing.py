"""``weft reproduce``: does a run give the same again?"""

from __future__ import annotations

import click

from weft.cli.exits import FAILED, SUCCEEDED
from weft.cli.output import counted, json_option, print_json, print_note
from weft.cli.targets import run_argument
from weft.client import door
from weft.client.rerun.reproducing import Deviation

_SHOWN = 20
_DIGITS = 3 + 12
_WORDS = {
    "result": "other result from equal inputs",
    "follows": "other result, from other inputs",
    "only original": "not run this time",
    "only again": "not run the first time",
}


@click.command(epilog="Example: weft reproduce @")
@run_argument
@json_option
def reproduce(name: str, as_json: bool) -> int:
    """Run a run again with the code that it had, unpacked in a temporary place, and compare the hash of every result.

    Nothing is reused. The new run stays on record, tagged reproduces=RUN. The exit code is 1 where something
    differs.
    """
    home = door.open_home()
    run = home.get_run(name)
    if not as_json:
        print_note(
            f"run {run.id} of {run.workflow} runs again, with the code that it had and reusing nothing"
        )
    found = home.reproduce(run)
    if as_json:
        print_json(found)
        return SUCCEEDED if found.same else FAILED
    for note in found.notes:
        print_note(f"  {click.style('note', fg='yellow')}  {note}")
    for deviation in found.deviations[:_SHOWN]:
        click.echo(f"{click.style('✗', fg='red')} {_line(deviation)}")
    if len(found.deviations) > _SHOWN:
        click.echo(f"  and {len(found.deviations) - _SHOWN} more: --json lists them")
    if not found.same_outcome:
        click.echo(f"{click.style('✗', fg='red')} the run itself ended otherwise")
    tasks = counted(found.compared, "task")
    if found.same:
        click.echo(
            f"{click.style('✓', fg='green')} reproduced: {tasks} gave the same results, as run {found.again}"
        )
        return SUCCEEDED
    click.echo(
        f"not reproduced: {len(found.deviations)} of {tasks} differ; weft compare {found.run} {found.again}"
    )
    return FAILED


def _line(deviation: Deviation) -> str:
    hashes = " → ".join(
        text[:_DIGITS] if text.startswith("b3:") else text
        for text in (deviation.original, deviation.again)
        if text
    )
    return f"{deviation.task}  {_WORDS[deviation.kind]}  {hashes}"
