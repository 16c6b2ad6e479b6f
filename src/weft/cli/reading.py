"""``weft graph`` and ``weft check``: a workflow before it runs."""

from __future__ import annotations

import linecache
from pathlib import Path
from typing import Any

import click

from weft.cli.exits import SUCCEEDED, TO_FIX
from weft.cli.output import counted, json_option, print_json
from weft.client import loading
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
@click.argument("target", metavar="FILE[:WORKFLOW]")
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
    drawn = _FORMATS["json" if as_json else form](loading.load_workflow(target).graph())
    if output is not None:
        output.write_text(drawn, encoding="utf-8")
    else:
        click.echo(drawn.rstrip("\n"))


@click.command(epilog="Example: weft check flights.py")
@click.argument("target", metavar="FILE[:WORKFLOW]")
@json_option
def check(target: str, as_json: bool) -> int:
    """Compile a file's workflows and run nothing: all errors at once, and notes on what they do."""
    findings = [_finding(workflow) for workflow in loading.load_workflows(target)]
    if as_json:
        print_json({"ok": all(found["ok"] for found in findings), "workflows": findings})
    else:
        for found in findings:
            _print_finding(found)
    return SUCCEEDED if all(found["ok"] for found in findings) else TO_FIX


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
    if text := linecache.getline(note.file, note.line).strip():
        click.echo(f"    {text}")


def _source(file: str, line: int, column: int) -> str:
    """Return the line with a caret under ``column``, which counts from 1."""
    text = linecache.getline(file, line).rstrip("\n")
    pad = "".join(char if char == "\t" else " " for char in text[: column - 1])
    return f"    {text}\n    {pad}{click.style('^', fg='red')}"
