"""The tables of ``docs/language.md``: each row's tests exist, and every form of Python's grammar is in one."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from weft.lang.refusals import REASONS

from .corpus.collected import CORPUS
from .corpus.refusals import REFUSALS

PAGE = Path(__file__).parent.parent / "docs" / "language.md"
# Contexts, operators and parts that only stand inside a form of the tables.
ABSTRACT = {"expr", "stmt", "TemplateStr", "Interpolation", "Num", "Str", "Bytes", "NameConstant", "Ellipsis"}


def rows() -> list[list[str]]:
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return [row for row in cells if len(row) == 4 and row[0] != "form"]


def known_tests() -> set[str]:
    return {entry.id for entry in CORPUS} | {f"refusal:{refusal.name}" for refusal in REFUSALS}


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0][:40])
def test_a_row_names_tests_that_exist(row: list[str]) -> None:
    named = re.findall(r"`([^`]+)`", row[3])
    assert named or row[0].startswith("a `type`")
    assert set(named) <= known_tests()


def test_every_form_of_the_grammar_is_in_a_table() -> None:
    forms = {
        kind.__name__
        for base in (ast.stmt, ast.expr)
        for kind in base.__subclasses__()
        if kind.__module__ in ("ast", "_ast")
    }
    listed = {name for row in rows() for name in re.findall(r"`([A-Z]\w+)`", row[2])}
    assert forms - ABSTRACT <= listed


def test_every_refused_code_of_the_page_is_one_that_the_compiler_has() -> None:
    codes = {code for row in rows() for code in re.findall(r"`([a-z]+-[a-z-]+)`", row[1])}
    assert codes - {"no-source"} <= set(REASONS)
