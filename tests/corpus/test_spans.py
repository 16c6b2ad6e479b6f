"""What may run in parallel does: the law alone would be kept by a compiler that runs all in sequence."""

from __future__ import annotations

import pytest

from ..law.waves import waves
from .spans import PARALLEL, SEQUENCE, Span


@pytest.mark.parametrize("span", [*PARALLEL, *SEQUENCE], ids=lambda span: span.function.name)
def test_span(span: Span) -> None:
    assert waves(span.function, span.args) == (span.calls, span.waves)


@pytest.mark.parametrize("span", PARALLEL, ids=lambda span: span.function.name)
def test_span_of_a_parallel_program_does_not_grow(span: Span) -> None:
    assert waves(span.function, (span.args[0] * 2,))[1] == span.waves
