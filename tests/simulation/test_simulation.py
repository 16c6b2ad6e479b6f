"""2,000 simulations of the shipped driver, machine and store; ``WEFT_SIMULATIONS`` and ``WEFT_SIMULATION_SEED``
make it a longer run, or another one. ``python -m tests.simulation --seed N --trace`` shows what a seed does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from .chaos import WEIGHTS, plan_of
from .programs import COUNT as PROGRAMS
from .simulation import simulate

COUNT = int(os.environ.get("WEFT_SIMULATIONS", "2000"))
FIRST = int(os.environ.get("WEFT_SIMULATION_SEED", "0"))
PART = 200
QUICK = 20
ROOT = Path(__file__).parents[2]


def _kills(first: int, count: int) -> Counter[str]:
    kills: Counter[str] = Counter()
    for seed in range(first, first + count):
        verdict = simulate(seed)
        assert not verdict.text, f"python -m tests.simulation --seed {seed} --trace\n{verdict.text}"
        kills.update(verdict.kills)
    return kills


def test_whatever_goes_wrong_in_a_few_seeds_every_promise_holds() -> None:
    assert _kills(FIRST, QUICK).total() > QUICK


# In parts, so that several processes share them.
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("first", range(FIRST, FIRST + COUNT, PART))
def test_whatever_goes_wrong_every_promise_holds(first: int) -> None:
    kills = _kills(first, min(PART, FIRST + COUNT - first))
    missed = [point for point in WEIGHTS if not kills[point] and point != "cancel"]
    assert missed == [], "no process was killed there"


@pytest.mark.slow
def test_a_seed_replays_exactly_in_another_process() -> None:
    digests = set()
    for hash_seed in ("1", "2"):
        command = [sys.executable, "-m", "tests.simulation", "--seed", "100", "--count", "10", "--digests"]
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        digests.add(done.stdout)
    assert len(digests) == 1, digests


def test_the_seeds_plan_every_kind_of_trouble() -> None:
    plans = [plan_of(seed, PROGRAMS) for seed in range(300)]
    quiet = [
        field
        for field in type(plans[0].chaos).__dataclass_fields__
        if len({getattr(plan.chaos, field) for plan in plans}) < 2
    ]
    assert quiet == []
    assert {program for plan in plans for program in plan.programs} == set(range(PROGRAMS))
    assert max(plan.processes for plan in plans) == 3
    assert {plan.outages for plan in plans} == {0, 1, 2}
