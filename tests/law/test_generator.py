"""The generator itself: what it writes is measured, so that the law's test cannot grow hollow unseen."""

from __future__ import annotations

import pytest

from .forms import forms_of
from .generator import program_from_seed
from .histogram import Histogram, measure


@pytest.fixture(scope="module")
def histogram() -> Histogram:
    return measure(500)


@pytest.mark.slow
def test_each_form_stands_in_two_percent_of_programs(histogram: Histogram) -> None:
    assert histogram.rare(2.0) == [], histogram.text()


@pytest.mark.slow
def test_a_third_of_programs_nests_three_deep(histogram: Histogram) -> None:
    assert histogram.percent(histogram.deep) >= 33, histogram.text()


@pytest.mark.slow
def test_a_third_of_programs_raises(histogram: Histogram) -> None:
    raising = histogram.percent(sum(histogram.raising.values()))
    assert 33 <= raising <= 60, histogram.text()


def test_one_seed_gives_one_program() -> None:
    assert program_from_seed(7) == program_from_seed(7)
    assert program_from_seed(7) != program_from_seed(8)


def test_forms_are_found_only_around_step_calls() -> None:
    text = "@workflow\ndef main(n0):\n    if n0:\n        n0 = 1\n    return n0\n"
    assert "if-around-step" not in forms_of(text)
    assert "if-around-step" in forms_of(text.replace("= 1", "= inc(1)"))
