"""Make a failing program small: ``python -m tests.law.shrink SEED`` prints the smallest one found.

A program is the list of numbers that the dice gave. Shorter lists and smaller numbers make smaller programs.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .dice import SeededDice
from .generator import WIDE_FROM, Source, program_from_dice, program_from_seed
from .verdict import HARNESS, Verdict, Way, judge

SIGNATURES = (r"found (\w+)[( ]", r"is not \('[\w.]+', '(\w+)'\)", r"inputs \d+: (\w+)")


@dataclass
class RecordingDice:
    """State: the numbers given so far."""

    seed: int
    given: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._inner = SeededDice(self.seed)

    def below(self, n: int) -> int:
        self.given.append(self._inner.below(n))
        return self.given[-1]


@dataclass
class ReplayDice:
    """Gives a list of numbers again, and zeros after its end. State: how many were taken."""

    numbers: list[int]
    taken: int = 0

    def below(self, n: int) -> int:
        number = self.numbers[self.taken] if self.taken < len(self.numbers) else 0
        self.taken += 1
        return number % n


def shrink(seed: int, fails: Callable[[Source], bool], tries: int = 3000) -> Source:
    """Return the smallest program found that still ``fails``, after at most ``tries`` programs."""
    recording = RecordingDice(seed)
    wide = seed >= WIDE_FROM
    best = program_from_dice(recording, f"seed {seed}", wide=wide)
    numbers = recording.given
    improved = True
    while improved and tries > 0:
        improved = False
        for candidate in _candidates(numbers):
            tries -= 1
            if tries <= 0:
                break
            dice = ReplayDice(candidate)
            try:
                source = program_from_dice(dice, f"seed {seed}, made small", wide=wide)
            except SyntaxError:
                continue
            if _size(source) < _size(best) and fails(source):
                best, numbers, improved = source, candidate[: dice.taken], True
                break
    return best


def _size(source: Source) -> tuple[int, int]:
    return len(source.body), source.body.count("\n")


def _candidates(numbers: list[int]) -> Iterator[list[int]]:
    """Give shorter lists first, then lists with smaller numbers."""
    length = max(len(numbers) // 2, 1)
    while length:
        for start in range(0, len(numbers), length):
            yield numbers[:start] + numbers[start + length :]
            if any(numbers[start : start + length]):
                yield numbers[:start] + [0] * len(numbers[start : start + length]) + numbers[start + length :]
        length //= 2
    for place, number in enumerate(numbers):
        if number > 1:
            yield [*numbers[:place], number // 2, *numbers[place + 1 :]]


def signature(verdict: Verdict) -> str:
    """Return what kind of failure this is, so that a smaller program does not show another one."""
    for pattern in SIGNATURES:
        if found := re.search(pattern, verdict.text):
            return f"{verdict.kind} {found[1]}"
    return verdict.kind


def shrink_failure(
    seed: int, verdict: Verdict, folder: Path, tries: int = 3000, ways: Sequence[Way] = (HARNESS,)
) -> Source:
    """Shrink the program of a seed as long as the law fails on it in the same way."""

    def fails(source: Source) -> bool:
        try:
            return signature(judge(source, folder, seed, ways)) == signature(verdict)
        except SyntaxError:
            return False

    return shrink(seed, fails, tries)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        for wanted in map(int, sys.argv[1:]):
            first = judge(program_from_seed(wanted), Path(made), wanted)
            print(first.kind, first.text)
            if first.is_failure:
                small = shrink_failure(wanted, first, Path(made), 1500)
                print(f"{small!r}\n{judge(small, Path(made), wanted).text}")
