"""``memory=`` of a step: a size, or a range that it may grow through."""

from __future__ import annotations

import pytest

from weft import step
from weft.model.resources import BadQuantity

GIB = 1 << 30


@pytest.mark.parametrize(
    ("memory", "least", "most"),
    [
        ("2GiB", 2 * GIB, None),
        ("2GiB..16GiB", 2 * GIB, 16 * GIB),
        ("500 MB .. 1.5GiB", 500_000_000, 3 * GIB // 2),
        (1 << 20, 1 << 20, None),
        (None, None, None),
    ],
)
def test_a_size_is_a_limit_and_a_range_may_be_grown_through(memory, least, most):
    @step(memory=memory)
    def work():
        pass

    assert (work.step_options.memory_bytes, work.step_options.memory_bytes_max) == (least, most)


@pytest.mark.parametrize(
    "memory", ["16GiB..2GiB", "2GiB..2GiB", "2GiB..", "..2GiB", "0..2GiB", "2GiB..many", "1..2..3"]
)
def test_a_range_that_does_not_grow_is_refused_with_an_example(memory):
    with pytest.raises(BadQuantity, match=r"2GiB\.\.16GiB"):
        step(memory=memory)


def test_a_plain_size_given_later_takes_the_range_away():
    @step(memory="2GiB..16GiB")
    def work():
        pass

    assert work.options(memory="4GiB").step_options.memory_bytes_max is None
