"""Each protection, taken out of the shipped code, is missed by the seed that missed it first.

All of them take some minutes: ``WEFT_SIMULATION_MUTANTS=all``; otherwise it is every sixth. When the code or the
simulation changes, ``python -m tests.simulation.mutants --write`` looks for the seeds anew.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .mutants import COUNT, MUTANTS, Mutant, find, found_before, stale

SAMPLE = MUTANTS if os.environ.get("WEFT_SIMULATION_MUTANTS") == "all" else MUTANTS[::6]


def test_each_protection_stands_in_the_code() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
    assert stale() == []


def test_each_protection_is_missed_within_the_seeds_of_the_tests() -> None:
    found = found_before()
    assert {mutant.name for mutant in MUTANTS} == set(found)
    assert all(0 <= seed < COUNT for seed in found.values())


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("mutant", SAMPLE, ids=lambda mutant: mutant.name)
def test_without_the_protection_a_seed_fails(mutant: Mutant, tmp_path: Path) -> None:
    seed, text = find(mutant, tmp_path, first=found_before()[mutant.name], count=1)
    assert seed >= 0, f"run `python -m tests.simulation.mutants --write` {text}"
