"""Each semantic bug kept in ``mutants`` is found by the program that found it first.

When the compiler or the generator changes, ``python -m tests.law.mutants --write`` looks for the programs anew.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from .mutants import MUTANTS, Mutant, find, found_before, stale


def test_there_are_thirty_mutants_and_each_fits_the_code() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 30
    assert stale() == []


def test_each_mutant_was_found_within_five_hundred_programs() -> None:
    found = found_before()
    assert {mutant.name for mutant in MUTANTS} == set(found)
    assert all(0 <= seed < 500 for seed in found.values())


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_mutant_breaks_the_law(mutant: Mutant, tmp_path: Path) -> None:
    seed = found_before()[mutant.name]
    assert find(mutant, first=seed, count=1, skip=[], folder=tmp_path), (
        "run `python -m tests.law.mutants --write`"
    )
