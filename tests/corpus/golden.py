"""Golden programs: what the compiler makes of the corpus, as JSON text that people can compare.

``python -m tests.corpus.golden`` writes them again; the diff shows what a change of the compiler does.
Paths and fingerprints are left out: the first belong to a machine, the second have tests of their own.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from weft.lang.compiler import compile_workflow
from weft.program.serial import program_to_json

from .collected import CORPUS, Entry

FOLDER = Path(__file__).with_name("golden")
NAMES = ("reads", "writes")
LEFT_OUT = ("file", "fingerprint", "judged", "parts", "plain", "python", "positions", "source", "first_line")


def golden_text(entry: Entry) -> str:
    """Return the compiled program of a workflow as stable text."""
    program = json.loads(program_to_json(compile_workflow(entry.function).program))
    first = min(unit["first_line"] for unit in program["units"])
    return json.dumps(_stable(program, first), indent=1, ensure_ascii=False) + "\n"


def read_golden(entry: Entry) -> str | None:
    path = FOLDER / f"{entry.id}.json"
    return path.read_text(encoding="utf-8") if path.exists() else None


def _stable(item: Any, first: int) -> Any:
    """Leave out what differs between machines, and what is empty; lines count from the workflow's own first."""
    if isinstance(item, dict):
        kept = {key: value for key, value in item.items() if key not in LEFT_OUT}
        made = {
            key: _place(value, first) if key == "span" else value if key in NAMES else _stable(value, first)
            for key, value in kept.items()
        }
        return {key: value for key, value in made.items() if value not in (None, False, "", [], {})}
    return [_stable(part, first) for part in item] if isinstance(item, list) else item


def _place(span: list[int], first: int) -> str:
    unit, line, column, end_line, end_column = span
    return f"{unit}: {line - first}:{column} to {end_line - first}:{end_column}"


def write_all() -> int:
    """Write every golden program and return how many changed."""
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.glob("*.json"):
        if path.stem not in {entry.id for entry in CORPUS}:
            path.unlink()
    changed = 0
    for entry in CORPUS:
        text = golden_text(entry)
        if text != read_golden(entry):
            changed += 1
            (FOLDER / f"{entry.id}.json").write_text(text, encoding="utf-8")
    return changed


if __name__ == "__main__":
    print(f"{write_all()} of {len(CORPUS)} golden programs changed")
