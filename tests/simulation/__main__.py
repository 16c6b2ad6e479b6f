"""Run simulations: one with its trace, or many.

python -m tests.simulation --seed 17 --trace
python -m tests.simulation --seed 0 --count 2000
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from .chaos import plan_of
from .programs import COUNT
from .simulation import simulate


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--count", type=int, default=1, help="how many seeds")
    parser.add_argument("--where", action="append", default=[], help="only plans with this kind of trouble")
    parser.add_argument("--trace", action="store_true", help="print what happens")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at the first failure")
    parser.add_argument("--digests", action="store_true", help="print what tells two replays apart")
    given = parser.parse_args()
    began_s = time.monotonic()
    kills: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    failed = 0
    for seed in range(given.seed, given.seed + given.count):
        if not plan_of(seed, COUNT).has(given.where):
            continue
        verdict = simulate(seed, print if given.trace else None)
        kills.update(verdict.kills)
        counts.update(verdict.counts)
        if given.digests:
            print(f"{seed} {verdict.digest} {verdict.text}")
            continue
        if verdict.text:
            failed += 1
            print(f"seed {seed}: {verdict.text}", flush=True)
            if not given.keep_going:
                break
        elif given.count == 1:
            print(f"seed {seed}: all holds; digest {verdict.digest}")
    if given.count > 1 and not given.digests:
        last = seed if failed and not given.keep_going else given.seed + given.count - 1
        print(f"seeds {given.seed} to {last}: {failed} failed, {time.monotonic() - began_s:.0f} s")
        print("killed at:", ", ".join(f"{name} {count}" for name, count in sorted(kills.items())))
        print("seen:", ", ".join(f"{name} {count}" for name, count in sorted(counts.items())))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
