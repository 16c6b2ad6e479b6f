"""The law by generation: random programs end durably as they end plainly.

``WEFT_LAW_PROGRAMS`` and ``WEFT_LAW_SEED`` make it a longer run, or another one.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from weft.lang.compiler import compile_workflow
from weft.lang.refusals import CompileErrors

from .generator import Source, program_from_seed, programs
from .loading import module_from
from .shrink import shrink_failure
from .verdict import judge, run_with

COUNT = int(os.environ.get("WEFT_LAW_PROGRAMS", "500"))
FIRST = int(os.environ.get("WEFT_LAW_SEED", "0"))
PART = 50
REFUSED_PERCENT_MAX = 2.0
SHRINK_TRIES = 400


PARTS = [
    pytest.param(first, marks=[] if first == FIRST else [pytest.mark.slow])
    for first in range(FIRST, FIRST + COUNT, PART)
]


@pytest.mark.parametrize("first", PARTS)
@pytest.mark.timeout(900)
def test_generated_programs_keep_the_law(first: int, tmp_path: Path) -> None:
    for seed in range(first, min(first + PART, FIRST + COUNT)):
        verdict = judge(program_from_seed(seed), tmp_path, seed)
        if verdict.is_failure:
            small = shrink_failure(seed, verdict, tmp_path, SHRINK_TRIES)
            pytest.fail(
                f"seed {seed}: {verdict.kind}: {verdict.text}\n{small!r}\n{judge(small, tmp_path, seed).text}"
            )


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


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("workers", [1, 2])
def test_generated_programs_keep_the_law_in_workers(
    workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("weft.client.door")
    monkeypatch.setenv("WEFT_HOME", str(tmp_path / "home"))
    run = run_with(executor="local", workers=workers)
    for seed in range(FIRST, FIRST + 25):
        verdict = judge(program_from_seed(seed), tmp_path, seed, run)
        assert not verdict.is_failure, f"seed {seed}: {verdict.text}"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_generated_programs_keep_the_law_inline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("weft.client.door")
    monkeypatch.setenv("WEFT_HOME", str(tmp_path / "home"))
    run = run_with(executor="inline")
    for seed in range(FIRST, FIRST + 50):
        verdict = judge(program_from_seed(seed), tmp_path, seed, run)
        assert not verdict.is_failure, f"seed {seed}: {verdict.text}"
