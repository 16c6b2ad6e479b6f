"""Every workflow of the corpus: the plain call and the durable run end in the same way."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from weft.lang.compiler import compile_workflow
from weft.program.serial import program_from_json, program_to_json

from ..law.compare import Outcome, outcome_difference, outcome_of
from ..law.harness import durable
from ..law.verdict import compiled_once
from .cases import Inputs
from .collected import CORPUS, Entry
from .golden import golden_text, read_golden

SEEDS = (0, 1, 2)


@pytest.mark.parametrize("entry", CORPUS, ids=lambda entry: entry.id)
def test_durable_run_ends_as_the_plain_call(entry: Entry) -> None:
    with compiled_once():
        for number, inputs in enumerate(entry.inputs):
            check(entry, inputs, SEEDS[number % len(SEEDS)])


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_durable_runs_end_as_the_plain_call_in_any_order_of_completion(seed: int) -> None:
    with compiled_once():
        for entry in CORPUS:
            for inputs in entry.inputs:
                check(entry, inputs, seed)


def check(entry: Entry, inputs: Inputs, seed: int) -> None:
    args, kwargs = inputs.fresh()
    plain = outcome_of(entry.function.function, *args, **kwargs)
    args, kwargs = inputs.fresh()
    found = durable(entry.function, args, kwargs, seed)
    text = outcome_difference(plain, Outcome(found.value, found.error))
    assert text is None, f"{entry.id}, {inputs} with seed {seed}: {text}"


@pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="how Python writes a tree as text differs by version"
)
@pytest.mark.parametrize("entry", CORPUS, ids=lambda entry: entry.id)
def test_program_is_the_golden_one(entry: Entry) -> None:
    golden = read_golden(entry)
    assert golden is not None, (
        "no golden program: run `python -m tests.corpus.golden` and look at what it wrote"
    )
    assert golden_text(entry) == golden, (
        "the program changed: run `python -m tests.corpus.golden` and look at the diff"
    )


@pytest.mark.parametrize("entry", CORPUS[:: max(len(CORPUS) // 20, 1)], ids=lambda entry: entry.id)
def test_program_survives_json(entry: Entry) -> None:
    program = compile_workflow(entry.function).program
    assert program_from_json(program_to_json(program)) == program


def test_corpus_is_large_and_its_names_are_distinct() -> None:
    assert len({entry.id for entry in CORPUS}) == len(CORPUS) >= 120
    golden = {path.stem for path in (Path(__file__).parent / "golden").glob("*.json")}
    assert golden <= {entry.id for entry in CORPUS}, "golden programs of workflows that are gone"
    assert os.sep not in "".join(entry.id for entry in CORPUS)
