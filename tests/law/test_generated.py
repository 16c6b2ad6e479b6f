"""The law by generation: random programs end durably as they end plainly, on each executor of one machine.

``WEFT_LAW_PROGRAMS`` and ``WEFT_LAW_SEED`` make it a longer run, or another one.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from weft.lang.compiler import compile_workflow
from weft.lang.refusals import CompileErrors

from .generator import Source, program_from_seed, programs
from .loading import module_from
from .pools import write_settings
from .shrink import shrink_failure
from .verdict import HARNESS, RealRuns, Way, judge

COUNT = int(os.environ.get("WEFT_LAW_PROGRAMS", "500"))
FIRST = int(os.environ.get("WEFT_LAW_SEED", "0"))
PART = 50
REFUSED_PERCENT_MAX = 2.0
SHRINK_TRIES = 400
EXECUTORS: tuple[dict[str, Any], ...] = (
    {"executor": "inline"},
    {"executor": "local", "slots": 1},
    {"executor": "local", "slots": 2},
)


PARTS = [
    pytest.param(first, marks=[] if first == FIRST else [pytest.mark.slow])
    for first in range(FIRST, FIRST + COUNT, PART)
]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for programs, with a home of its own."""
    monkeypatch.setenv("WEFT_HOME", str(tmp_path / "home"))
    write_settings(tmp_path)
    return tmp_path


@pytest.mark.parametrize("first", PARTS)
@pytest.mark.timeout(900)
def test_generated_programs_keep_the_law(first: int, home: Path) -> None:
    inline, one, two = (RealRuns(options) for options in EXECUTORS)
    for seed in range(first, min(first + PART, FIRST + COUNT)):
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
    # The number of workers is what was asked for: by the times of the calls that ran.
    assert (one.calls_at_once_max, two.calls_at_once_max) == (1, 2)
    assert two.workers >= 2


@pytest.mark.timeout(600)
def test_few_generated_programs_are_refused(tmp_path: Path) -> None:
    refused: dict[int, str] = {}
    for seed in range(FIRST, FIRST + 300):
        with module_from(program_from_seed(seed).text, tmp_path) as module:
            try:
                compile_workflow(module.main)
            except CompileErrors as error:
                refused[seed] = str(error)
    assert 100 * len(refused) / 300 < REFUSED_PERCENT_MAX, "\n".join(
        f"seed {k}: {v}" for k, v in refused.items()
    )


@given(programs())
@settings(
    max_examples=50,
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
