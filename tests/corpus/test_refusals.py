"""What the language refuses, it refuses with the right code, at the right place, and says what to write."""

from __future__ import annotations

from pathlib import Path

import pytest

from weft.errors import UserError
from weft.lang.compiler import compile_workflow
from weft.lang.refusals import CompileErrors

from ..law.loading import module_from
from .refusals import REFUSALS, Refusal


def refused(refusal: Refusal, folder: Path) -> UserError:
    with module_from(refusal.text, folder) as module, pytest.raises(UserError) as caught:
        compile_workflow(module.main)
    error = caught.value
    return error.errors[0] if isinstance(error, CompileErrors) else error


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.name)
def test_refusal_names_code_and_place(refusal: Refusal, tmp_path: Path) -> None:
    error = refused(refusal, tmp_path)
    assert error.code == refusal.code, str(error)
    assert f".py:{refusal.line}" in str(error)
    if hasattr(error, "column"):
        assert (error.line, error.column) == (refusal.line, refusal.column + 1), str(error)


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.name)
def test_refusal_says_what_to_write(refusal: Refusal, tmp_path: Path) -> None:
    assert refused(refusal, tmp_path).hint


@pytest.mark.parametrize(
    "refusal", [r for r in REFUSALS if r.code != "no-source"], ids=lambda refusal: refusal.name
)
def test_refusal_shows_the_line_with_a_caret(refusal: Refusal, tmp_path: Path) -> None:
    shown = str(refused(refusal, tmp_path)).split("\n")
    line = refusal.text.splitlines()[refusal.line - 1]
    place = next(number for number, text in enumerate(shown) if text.endswith(line.strip()) and line.strip())
    assert shown[place + 1].rstrip().endswith("^")


def test_every_code_of_the_table_is_tried() -> None:
    assert len({refusal.code for refusal in REFUSALS}) >= 20
    assert len({refusal.name for refusal in REFUSALS}) == len(REFUSALS)
