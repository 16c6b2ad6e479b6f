"""The workflows that are measured."""

from __future__ import annotations

import os
import time
from pathlib import Path

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


@step
def make_items(count: int, size_bytes: int) -> list[bytes]:
    """Return different items of one size."""
    return [number.to_bytes(8, "little") * (size_bytes // 8) for number in range(count)]


@step
def look_at(item: bytes) -> tuple[int, int]:
    """Return this process and the bytes that it has read from files so far; 0 where the system does not tell."""
    counters = Path("/proc/self/io")
    if not item or not counters.exists():
        return os.getpid(), 0
    return os.getpid(), int(counters.read_text().split(maxsplit=2)[1])


@step
def add_up(looks: list[tuple[int, int]]) -> int:
    """Return the bytes that all processes together have read."""
    most: dict[int, int] = {}
    for process, read_bytes in looks:
        most[process] = max(most.get(process, 0), read_bytes)
    return sum(most.values())


@workflow
def items(count: int, size_bytes: int) -> int:
    """A loop over the items of a list that a step made."""
    return add_up([look_at(item) for item in make_items(count, size_bytes)])
