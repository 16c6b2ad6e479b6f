"""What commands print: tables, times, JSON, errors. Results go to stdout, all else to stderr."""

from __future__ import annotations

import importlib
import reprlib
import sys
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from weft.seams import deferred

if TYPE_CHECKING:
    import shutil
    import traceback
else:
    shutil = deferred("shutil")
    traceback = deferred("traceback")

_OURS = str(Path(__file__).parents[1])

GLYPHS = {
    "succeeded": ("✓", "green"),
    "reused": ("↺", "green"),
    "running": ("●", "cyan"),
    "retrying": ("↻", "yellow"),
    "failing": ("●", "red"),
    "cancelling": ("●", "yellow"),
    "failed": ("✗", "red"),
    "skipped": ("–", "bright_black"),
    "not_run": ("–", "bright_black"),
    "cancelled": ("⊘", "yellow"),
    "interrupted": ("⏸", "yellow"),
    "queued": ("○", "bright_black"),
    "waiting": ("○", "bright_black"),
}


def state_word(state: str) -> str:
    """Return a state with its glyph, in colour where the terminal has it."""
    glyph, colour = GLYPHS.get(state, ("?", "white"))
    return click.style(f"{glyph} {state.replace('_', ' ')}", fg=colour)


def print_error(message: str, hint: str = "") -> None:
    """Print an error and what to do about it to stderr."""
    click.echo(f"{click.style('error:', fg='red', bold=True)} {message}", err=True)
    if hint:
        click.echo("\n".join(f"  {line}" for line in hint.splitlines()), err=True)


def user_traceback(error: BaseException) -> str:
    """Return the traceback of what the user's file raised, without Weft's and the import system's frames."""
    shown = traceback.TracebackException.from_exception(error)
    hide = (_OURS, "<frozen importlib", importlib.__file__)
    link: traceback.TracebackException | None = shown
    while link is not None:
        link.stack[:] = [frame for frame in link.stack if not frame.filename.startswith(hide)]
        link = link.__cause__ or link.__context__
    return "".join(shown.format())


def print_note(message: str) -> None:
    """Print something worth knowing to stderr."""
    click.echo(message, err=True)


def print_json(value: Any) -> None:
    """Print ``value`` as one line of JSON. What JSON does not have is printed as its ``str``."""
    click.echo(to_json(value))


def to_json(value: Any) -> str:
    """Return ``value`` as one line of JSON; non-ASCII text stays as it is."""
    return msgspec.json.encode(value, enc_hook=str).decode()


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the option ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")(command)


def width_of(text: str) -> int:
    """Return how many columns ``text`` takes in a terminal, colours aside."""
    plain = click.unstyle(text)
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else not unicodedata.combining(c) for c in plain)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return aligned columns under a quiet head, without rules. The last column may be of any length."""
    every = [[click.style(cell, fg="bright_black") for cell in head], *rows]
    widths = [max(width_of(row[i]) for row in every) for i in range(len(head))]
    lines = []
    for row in every:
        cells = [cell + " " * (width - width_of(cell)) for cell, width in zip(row, widths, strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def duration(ms: float) -> str:
    """Return a length of time for people: ``0.31 s``, ``12.4 s``, ``3 min 05 s``, ``2 h 10 min``."""
    seconds = ms / 1000
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def ago(at_ms: int, now_ms: int) -> str:
    """Return how long ago something was: ``just now``, ``5 min ago``, ``3 d ago``."""
    seconds = max(0, now_ms - at_ms) // 1000
    if seconds < 10:
        return "just now"
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"


def size(count: int) -> str:
    """Return a number of bytes for people, in binary units."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def short(value: Any, length: int = 100) -> str:
    """Return a one-line ``repr`` of at most ``length`` characters; a failing ``__repr__`` names the type."""
    shown = reprlib.Repr()
    shown.maxstring = shown.maxother = shown.maxlong = length
    try:
        text = " ".join(shown.repr(value).split())
    except Exception as error:  # noqa: BLE001  the user's own __repr__
        text = f"<{type(value).__qualname__} whose repr fails: {type(error).__name__}>"
    return text if len(text) <= length else text[: length - 1] + "…"


def clipped(line: str) -> str:
    """Return a line that fits the terminal where stdout is one; elsewhere the whole line."""
    width = terminal_width()
    if width is None or width_of(line) <= width:
        return line
    kept = line
    while width_of(kept) >= width:
        kept = kept[:-1]
    return f"{kept}…"


def terminal_width() -> int | None:
    """Return how many columns the terminal at stdout has, or None where there is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def counted(count: int, noun: str) -> str:
    """Return ``1 task``, ``3 tasks`` or ``200,000 tasks``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def is_terminal() -> bool:
    """Return whether a person looks at stderr, where progress goes."""
    return sys.stderr.isatty()
