"""The law by generation: random programs end durably as they end plainly, on each executor of one machine.

``WEFT_LAW_PROGRAMS`` and ``WEFT_LAW_SEED`` make it a longer run, or another one.
"""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from .generator import WIDE_FROM, Source, program_from_seed, programs
from .pools import write_settings
from .shrink import shrink_failure
from .verdict import HARNESS, RealRuns, Way, judge

COUNT = int(os.environ.get("WEFT_LAW_PROGRAMS", "500"))
FIRST = int(os.environ.get("WEFT_LAW_SEED", str(WIDE_FROM)))
PART = 50
QUICK = 10
REFUSED_OF_PART_MAX = 3
SHRINK_TRIES = 400
EXECUTORS: tuple[dict[str, Any], ...] = (
    {"executor": "inline"},
    {"executor": "local", "slots": 1},
    {"executor": "local", "slots": 2},
)


# A few programs at each change; the others, in parts that can run side by side, are the slow tests.
STARTS = [FIRST, *range(FIRST + min(QUICK, COUNT), FIRST + COUNT, PART)]
PARTS = [
    pytest.param(
        range(start, end), id=f"{start}-{end - 1}", marks=[] if start == FIRST else [pytest.mark.slow]
    )
    for start, end in pairwise([*STARTS, FIRST + COUNT])
]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for programs, with a home of its own."""
    monkeypatch.setenv("WEFT_HOME", str(tmp_path / "home"))
    write_settings(tmp_path)
    return tmp_path


@pytest.mark.parametrize("seeds", PARTS)
@pytest.mark.timeout(900)
def test_generated_programs_keep_the_law(seeds: range, home: Path) -> None:
    inline, one, two = (RealRuns(options) for options in EXECUTORS)
    refused: dict[int, str] = {}
    for seed in seeds:
        ways = [
            HARNESS,
            Way("inline executor", inline, seed),
            Way("local executor, 1 worker", one, seed),
            Way("local executor, 2 workers", two, seed + 1),
        ]
        verdict = judge(program_from_seed(seed), home, seed, ways)
        if verdict.is_failure:
            small = shrink_failure(seed, verdict, home, SHRINK_TRIES, ways)
            again = judge(small, home, seed, ways)
            pytest.fail(f"seed {seed}: {verdict.kind}: {verdict.text}\n{small!r}\n{again.text}")
        if verdict.kind == "refused":
            refused[seed] = verdict.text
    # Few are refused: a compiler that refuses all would keep the law.
    assert len(refused) <= REFUSED_OF_PART_MAX, refused
    # The number of workers is what was asked for: by the times of the calls that ran.
    assert (one.calls_at_once_max, two.calls_at_once_max) == (1, 2)
    assert two.workers >= 2


@given(programs())
@settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=[*HealthCheck],
)
@pytest.mark.timeout(600)
def test_drawn_programs_keep_the_law(tmp_path_factory: pytest.TempPathFactory, source: Source) -> None:
    verdict = judge(source, tmp_path_factory.mktemp("law"), 0)
    assert not verdict.is_failure, verdict.text
