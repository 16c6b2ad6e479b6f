"""Where a generator's choices come from: a seed, or hypothesis, which can shrink them.

All choices are made of one primitive, ``below(n)``; 0 is the simplest answer, so tables put the plainest
entry first and hypothesis shrinks towards it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from hypothesis import strategies as st

T = TypeVar("T")


class Dice(Protocol):
    """A source of choices."""

    def below(self, n: int) -> int:
        """Return a number from 0 to n - 1."""


class SeededDice:
    """The same choices for the same seed, on every machine."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(f"weft-law-{seed}")

    def below(self, n: int) -> int:
        return self._random.randrange(n)


class DrawnDice:
    """Choices that hypothesis makes, and shrinks."""

    def __init__(self, draw: Callable[[st.SearchStrategy[int]], int]) -> None:
        self._draw = draw

    def below(self, n: int) -> int:
        return self._draw(st.integers(0, n - 1)) if n > 1 else 0


def pick(dice: Dice, items: Sequence[T]) -> T:
    """Return one of ``items``, all equally likely."""
    return items[dice.below(len(items))]


def chance(dice: Dice, percent: float) -> bool:
    """Return True in ``percent`` of 100 cases; False is the simpler answer."""
    return dice.below(1000) >= 1000 - round(percent * 10)


def pick_weighted(dice: Dice, table: Sequence[tuple[int, T]]) -> T:
    """Return an entry of ``table`` with a likelihood proportional to its weight."""
    roll: Any = dice.below(sum(weight for weight, _ in table))
    for weight, entry in table:
        roll -= weight
        if roll < 0:
            return entry
    raise AssertionError("the roll is below the sum of the weights")
