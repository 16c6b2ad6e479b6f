"""What the compiler notes without refusing it."""

from __future__ import annotations

from pathlib import Path

from weft.lang.compiler import compile_workflow
from weft.program.nodes import Note

from ..law.loading import module_from

TEXT = """
import sys
from weft import step, workflow

@step
def inc(n):
    return n + 1

@workflow
def main(n, *rest, key=1, **more):
    class Local:
        size = 1
        twice = size * 2

        def own(self):
            return self.size, __class__

    def inner(q):
        import os

        try:
            return os, [a for a in q if (b := a)], b
        except ValueError as error:
            return error

    y = inc(n)
    match [y, rest, more]:
        case [{"a": found, **others}, *left]:
            return found, others, left
    print(__name__, __file__, sys, len, Local, inner)
    return HERE
"""


def notes(text: str, folder: Path) -> list[Note]:
    with module_from(TEXT.replace("HERE", text), folder) as module:
        return [n for n in compile_workflow(module.main).program.notes if n.code == "unknown-name"]


def test_a_name_that_is_bound_nowhere_is_noted_with_its_place(tmp_path: Path) -> None:
    (note,) = notes("misspelt", tmp_path)
    assert "`misspelt`" in note.message
    assert "NameError" in note.message
    line = TEXT.replace("HERE", "misspelt").splitlines()[note.span.line - 1]
    assert line[note.span.column : note.span.end_column] == "misspelt"


def test_a_name_in_a_function_inside_and_in_a_step_call_is_noted_once(tmp_path: Path) -> None:
    found = notes("[lambda v: v + one, inc(two), [three for _ in rest]]", tmp_path)
    assert [note.message.split("`")[1] for note in found] == ["one", "two", "three"]


def test_names_of_python_of_the_module_and_of_scopes_inside_are_known(tmp_path: Path) -> None:
    assert notes("y, key", tmp_path) == []
