"""``weft graph`` and ``weft check``: a workflow before it runs."""

from __future__ import annotations

import linecache
from pathlib import Path
from typing import Any

import click

from weft.cli.exits import FAILED, SUCCEEDED, TO_FIX
from weft.cli.output import clipped, counted, json_option, print_json, short, terminal_width
from weft.cli.seam import load
from weft.cli.targets import target_argument
from weft.client import loading
from weft.errors import UserError
from weft.lang.refusals import CompileErrors
from weft.program.graph import Graph
from weft.program.shapes import GraphNote

_FORMATS = {
    "text": Graph.to_text,
    "mermaid": Graph.to_mermaid,
    "dot": Graph.to_dot,
    "svg": Graph.to_svg,
    "json": Graph.to_json,
}


@click.command(epilog="Example: weft graph flights.py --format svg -o flights.svg")
@target_argument
@click.option(
    "--format",
    "form",
    type=click.Choice(list(_FORMATS)),
    default="text",
    show_default=True,
    help="How to draw it.",
)
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write to FILE.")
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
def graph(target: str, form: str, output: Path | None, as_json: bool) -> None:
    """Draw a workflow's whole graph, branches and loops included, without running anything."""
    form = "json" if as_json else form
    found = loading.load_workflow(target).graph()
    on_screen = form == "text" and output is None
    drawn = found.to_text(terminal_width()) if on_screen else _FORMATS[form](found)
    if output is not None:
        output.write_text(drawn, encoding="utf-8")
    else:
        click.echo(drawn.rstrip("\n"))


class ParametersWithoutLaw(UserError):
    """Parameters were given to a check that runs nothing."""

    code = "parameters-without-law"

    def __init__(self, text: str) -> None:
        super().__init__(
            f"{text!r}: a check runs nothing, so parameters have no use",
            hint="Add --law to call the workflow with them, plainly and durably, and compare.",
        )


@click.command(epilog="Example: weft check --law flights.py months=1,2")
@target_argument
@click.argument("parameters", metavar="[NAME=VALUE]...", nargs=-1)
@click.option(
    "--law", is_flag=True, help="Call the workflow plainly, run it durably, and compare how both end."
)
@json_option
def check(target: str, parameters: tuple[str, ...], law: bool, as_json: bool) -> int:
    """Compile a file's workflows and run nothing: all errors at once, and notes on what they do.

    With --law it does run one, twice: plainly in a process of its own, and durably.
    """
    if law:
        return _check_law(target, parameters, as_json)
    if parameters:
        raise ParametersWithoutLaw(parameters[0])
    findings = [_finding(workflow) for workflow in loading.load_workflows(target)]
    if as_json:
        print_json({"ok": all(found["ok"] for found in findings), "workflows": findings})
    else:
        for found in findings:
            _print_finding(found)
    return SUCCEEDED if all(found["ok"] for found in findings) else TO_FIX


def _check_law(target: str, parameters: tuple[str, ...], as_json: bool) -> int:
    report = load("weft.client.law:check_law")(target, parameters)
    if as_json:
        print_json(
            {
                "workflow": report.workflow,
                "equal": report.is_kept,
                "where": None if report.is_kept else report.difference.partition(": ")[0],
                "difference": report.difference,
                "plain": _end(report.plain),
                "durable": _end(report.durable),
                "run": report.run,
            }
        )
    elif report.is_kept:
        click.echo(
            f"{click.style('✓', fg='green')} {report.workflow}: both end with {_end_text(report.plain)}"
        )
    else:
        click.echo(f"{click.style('✗', fg='red')} {report.workflow}: {clipped(report.difference)}")
        click.echo(f"    plain call: {_end_text(report.plain)}")
        click.echo(f"    durable run {report.run}: {_end_text(report.durable)}")
    return SUCCEEDED if report.is_kept else FAILED


def _end(outcome: Any) -> dict[str, str]:
    if outcome.error is None:
        return {"value": short(outcome.value)}
    return {"error": type(outcome.error).__qualname__, "message": short(outcome.error)}


def _end_text(outcome: Any) -> str:
    return short(outcome.value) if outcome.error is None else short(outcome.error)


def _finding(workflow: Any) -> dict[str, Any]:
    try:
        drawn = workflow.graph()
    except CompileErrors as refused:
        errors = [
            {
                "code": error.code,
                "file": error.file,
                "line": error.line,
                "column": error.column,
                "message": error.reason,
                "hint": error.hint,
            }
            for error in refused.errors
        ]
        return {"workflow": workflow.name, "ok": False, "steps": 0, "errors": errors, "notes": []}
    steps = sum(node.kind == "step" for node in drawn.nodes)
    return {"workflow": workflow.name, "ok": True, "steps": steps, "errors": [], "notes": list(drawn.notes)}


def _print_finding(found: dict[str, Any]) -> None:
    for error in found["errors"]:
        where = f"{error['file']}:{error['line']}:{error['column']}"
        click.echo(f"{click.style(where, bold=True)}: {click.style('error', fg='red')}: {error['message']}")
        click.echo(_source(error["file"], error["line"], error["column"]))
        click.echo(f"    {error['hint']}\n")
    for note in found["notes"]:
        _print_note(note)
    if found["ok"]:
        notes = f", {counted(len(found['notes']), 'note')}" if found["notes"] else ""
        click.echo(
            f"{click.style('✓', fg='green')} {found['workflow']}: {counted(found['steps'], 'step call')}{notes}"
        )
    else:
        errors = counted(len(found["errors"]), "error")
        click.echo(f"{click.style('✗', fg='red')} {found['workflow']}: {errors}")


def _print_note(note: GraphNote) -> None:
    click.echo(f"{click.style(f'{note.file}:{note.line}', bold=True)}: note: {note.message}")
    if note.column:
        click.echo(_source(note.file, note.line, note.column))
    elif text := linecache.getline(note.file, note.line).strip():
        click.echo(f"    {text}")


def _source(file: str, line: int, column: int) -> str:
    """Return the line with a caret under ``column``, which counts from 1."""
    text = linecache.getline(file, line).rstrip("\n")
    pad = "".join(char if char == "\t" else " " for char in text[: column - 1])
    return f"    {text}\n    {pad}{click.style('^', fg='red')}"
