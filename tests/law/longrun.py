"""The law over many programs: ``python -m tests.law.longrun --count 20000 --seed 1``.

Prints count, seed and verdicts; each failing program goes to a folder as a file that can be run again.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .generator import program_from_seed
from .verdict import Verdict, judge


@dataclass
class Tally:
    """State: the verdicts so far."""

    kinds: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    failures: dict[int, Verdict] = field(default_factory=dict)

    def add(self, seed: int, verdict: Verdict) -> None:
        self.kinds[verdict.kind] += 1
        self.codes.update(set(verdict.codes))
        if verdict.is_failure:
            self.failures[seed] = verdict

    @property
    def refused_percent(self) -> float:
        return 100 * self.kinds["refused"] / max(self.kinds.total(), 1)

    def __str__(self) -> str:
        codes = f", refused for {dict(self.codes.most_common())}" if self.codes else ""
        return f"{dict(self.kinds)}{codes}"


def judge_seed(seed: int) -> tuple[int, Verdict]:
    """Judge the program of a seed in a folder of its own."""
    try:
        source = program_from_seed(seed)
    except SyntaxError as error:
        return seed, Verdict("crashed", f"the generator wrote what Python refuses: {error}: {error.text}")
    with tempfile.TemporaryDirectory() as folder:
        return seed, judge(source, Path(folder), seed)


def judge_all(seeds: range, workers: int) -> Iterator[tuple[int, Verdict]]:
    """Judge seeds, in as many processes as asked."""
    if workers <= 1:
        yield from map(judge_seed, seeds)
        return
    context = multiprocessing.get_context("spawn")
    with context.Pool(workers, maxtasksperchild=500) as pool:
        yield from pool.imap_unordered(judge_seed, seeds, chunksize=10)


def keep(seed: int, verdict: Verdict, folder: Path) -> None:
    """Write a failing program as a file that says what was wrong."""
    folder.mkdir(parents=True, exist_ok=True)
    reason = "\n".join(f"# {line}" for line in verdict.text.splitlines())
    folder.joinpath(f"seed_{seed}.py").write_text(
        f"# {verdict.kind}\n{reason}\n{program_from_seed(seed).text}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.law.longrun", description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "weft-law-failures")
    given = parser.parse_args()
    tally, started = Tally(), time.monotonic()
    for seed, verdict in judge_all(range(given.seed, given.seed + given.count), given.workers):
        tally.add(seed, verdict)
        if verdict.is_failure:
            keep(seed, verdict, given.folder)
            print(f"seed {seed}: {verdict.kind}: {verdict.text.splitlines()[0]}", flush=True)
        if tally.kinds.total() % 1000 == 0:
            print(f"{tally.kinds.total()} programs, {time.monotonic() - started:.0f} s: {tally}", flush=True)
    print(f"{given.count} programs from seed {given.seed}, {time.monotonic() - started:.0f} s: {tally}")
    if tally.failures:
        print(f"programs in {given.folder}")
    return 1 if tally.failures else 0


if __name__ == "__main__":
    sys.exit(main())
