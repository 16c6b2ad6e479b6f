"""SIGKILL at named points: nothing acknowledged is lost, nothing committed runs again, the result is the same."""

from __future__ import annotations

import os
import sys

import pytest
from tests.crash.matrix import report, run_matrix

# The longer form: WEFT_KILLS=20 kills at each point twenty times.
LEAST = int(os.environ.get("WEFT_KILLS", "6"))

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")


@pytest.mark.slow
@pytest.mark.timeout(60 + 60 * LEAST)
def test_runs_that_are_killed_again_and_again_end_as_unbroken_ones(capsys):
    seed = int(os.environ.get("WEFT_SEED", "1"))
    hits = run_matrix(LEAST, seed)
    with capsys.disabled():
        print(f"\nseed {seed}\n{report(hits)}")


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "protection",
    [
        "what is recorded is replayed",
        "rows and journal are one transaction",
        "a lost worker is no failure of the task",
    ],
)
def test_without_a_protection_the_kills_are_noticed(protection):
    with pytest.raises(AssertionError, match="seed 1, run"):
        run_matrix(3, 1, protection)
