"""The workflows that are measured."""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt

from weft import step, workflow


@step
def increment(number: int) -> int:
    """Return the next number: as little work as a step can do."""
    return number + 1


@step
def total(numbers: list[int]) -> int:
    """Return the sum."""
    return sum(numbers)


@workflow
def one() -> int:
    """One step."""
    return increment(0)


@workflow
def chain(length: int) -> int:
    """Steps one after another, each with the result of the one before."""
    number = 0
    for _ in range(length):
        number = increment(number)
    return number


@workflow
def loop(count: int) -> int:
    """Independent steps, and one that joins them."""
    return total([increment(number) for number in range(count)])


@step
def make_array(size_bytes: int, seed: int) -> tuple[npt.NDArray[np.float64], float]:
    """Return an array of that size, and the seconds that making it took."""
    begin = time.perf_counter()
    array = np.random.default_rng(seed).standard_normal(size_bytes // 8)
    return array, time.perf_counter() - begin


@step
def touch_array(made: tuple[npt.NDArray[np.float64], float]) -> tuple[float, float]:
    """Read one number of each page; return their sum and the seconds of the user's own work so far."""
    begin = time.perf_counter()
    array, seconds = made
    return float(array[::512].sum()), seconds + time.perf_counter() - begin


@workflow
def hand_over(size_bytes: int, seed: int) -> tuple[float, float]:
    """An array from step to step."""
    return touch_array(make_array(size_bytes, seed))
