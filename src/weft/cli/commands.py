"""The table of commands, and the help that is printed without loading any of them, or click.

A command's module is imported when it is called, so that ``weft --help`` costs what ``import weft`` does.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Entry(NamedTuple):
    """Where a command lives (``module:attribute``) and what it does, in a few words."""

    target: str
    summary: str


SECTIONS: Final[dict[str, dict[str, Entry]]] = {
    "Run a workflow": {
        "run": Entry("weft.cli.running:run", "Run a workflow from a file."),
        "resume": Entry("weft.cli.running:resume", "Continue a run, reusing what still holds."),
        "cancel": Entry("weft.cli.running:cancel", "Cancel a run."),
        "reproduce": Entry(
            "weft.cli.reproducing:reproduce", "Run a run again as it was, and compare every result."
        ),
    },
    "Look at runs": {
        "ls": Entry("weft.cli.looking:ls", "List runs, the latest first."),
        "show": Entry("weft.cli.looking:show", "Show a run and its tasks."),
        "why": Entry("weft.cli.explaining:why", "Tell why a task ran, was reused, skipped, waits, failed."),
        "compare": Entry("weft.cli.comparing:compare", "Show two runs side by side."),
        "logs": Entry("weft.cli.looking:logs", "Print what tasks printed."),
        "get": Entry("weft.cli.looking:get", "Print or save the result of a run or a task."),
    },
    "Look at a workflow": {
        "graph": Entry("weft.cli.reading:graph", "Draw a workflow before it runs."),
        "check": Entry("weft.cli.reading:check", "Compile only: show all errors and notes."),
        "test": Entry(
            "weft.cli.testing:test", "Compare plain call and durable run; with --chaos, under crashes."
        ),
        "fingerprint": Entry(
            "weft.cli.fingerprinting:fingerprint", "Show what decides whether a step runs again."
        ),
    },
    "Look after the store": {
        "verify": Entry(
            "weft.cli.upkeep:verify", "Check a run's journal and artifacts against their hashes."
        ),
        "gc": Entry("weft.cli.upkeep:gc", "Delete artifacts that no run refers to."),
        "backup": Entry("weft.cli.upkeep:backup", "Copy the whole home, while runs go on."),
        "restore": Entry("weft.cli.upkeep:restore", "Copy a backup to where the home is to be."),
        "doctor": Entry("weft.cli.upkeep:doctor", "Check this machine and the home folder."),
        "completion": Entry("weft.cli.completing:completion", "Print the completion script of a shell."),
    },
}
COMMANDS: Final = {name: entry for section in SECTIONS.values() for name, entry in section.items()}

_HEAD = """\
Usage: weft COMMAND [OPTIONS] [ARGUMENTS]

  Plain Python is the workflow: run it durably, look at it, resume it.
  Example: weft run flights.py months=1,2
"""
_FOOT = """\
Options:
  --version   Print the version.
  -h, --help  Print this help; `weft COMMAND --help` tells about a command.

A run is named by its id, by a unique beginning of it, or by @ (the latest run, also where none is named).
Exit codes: 0 succeeded; 1 the run failed; 2 something for you to fix; 3 stored data is wrong; 130 interrupted.
"""


def overview() -> str:
    """Return the help of ``weft`` itself."""
    width = max(map(len, COMMANDS)) + 2
    parts = [_HEAD]
    for title, entries in SECTIONS.items():
        lines = [f"  {name:<{width}}{entry.summary}" for name, entry in entries.items()]
        parts.append("\n".join([f"{title}:", *lines]) + "\n")
    return "\n".join([*parts, _FOOT])
