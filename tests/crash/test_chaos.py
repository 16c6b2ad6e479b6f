"""SIGKILL and SIGSTOP at random, on both databases, with several drivers: nothing is lost, doubled, or left unended."""

from __future__ import annotations

import itertools
import os
import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.crash.chaos import Blow, World, report, storm

# The longer form: WEFT_CHAOS=2000 blows in all.
BLOWS = int(os.environ.get("WEFT_CHAOS", "200"))

pytestmark = [pytest.mark.skipif(sys.platform != "linux", reason="needs /proc"), pytest.mark.slow]


WORLDS = (("sqlite", 1), ("sqlite", 2), ("postgres", 2), ("postgres", 3))


@pytest.mark.timeout(300 + 2 * BLOWS)
def test_runs_that_are_struck_at_random_end_as_unbroken_ones(postgres, tmp_path, capsys):
    seed = int(os.environ.get("WEFT_SEED", "1"))
    worlds = []
    for database, places in WORLDS:
        folder = tmp_path / f"{database}-{places}"
        folder.mkdir()
        address = f"{postgres.address}?schema=chaos{places}" if database == "postgres" else ""
        wanted = BLOWS * places // sum(each for _, each in WORLDS)
        worlds.append(World(f"{database} x{places}", folder, address, wanted))
    began = time.monotonic()
    # Side by side: what is frozen costs nothing, and a busy machine is a harder place to be in.
    with ThreadPoolExecutor(len(worlds)) as pool:
        storms = [
            pool.submit(storm, world, places, seed) for world, (_, places) in zip(worlds, WORLDS, strict=True)
        ]
        runs = [each.result() for each in storms]
    with capsys.disabled():
        print(f"\nseed {seed}, {sum(runs)} runs, {time.monotonic() - began:.0f} s\n{report(worlds)}")
    for world in worlds:
        world.home.database.close()


# When the holder of a slot may die: the longer form is WEFT_HOLDERS=300, fifty of each.
HOLDERS = int(os.environ.get("WEFT_HOLDERS", "12"))
PHASES = (
    "claim: after commit",  # claimed
    "submit: before",  # the slot is held, nothing sent
    "submit: after",  # starting
    "",  # running
    "reap: a report, not recorded yet",  # finishing
    "commit: half written",  # giving back
)


@pytest.mark.timeout(300 + 3 * HOLDERS)
def test_whenever_the_holder_of_a_slot_dies_the_limit_holds_and_the_slot_comes_back(tmp_path, capsys):
    phases = itertools.cycle(PHASES)

    def draw(dice: random.Random) -> Blow:
        point = next(phases)
        is_early = point.startswith("claim")
        victim = "driver" if is_early or not point else dice.choice(("driver", "both"))
        nth = 1 if is_early else dice.choice((1, 2))
        return Blow("kill", victim, point, nth, dice.uniform(0.05, 0.5), 0.0)

    world = World("sqlite x3", tmp_path, "", HOLDERS, draw, shapes=("limited",))
    runs = storm(world, 3, 1)
    with capsys.disabled():
        print(f"\n{runs} runs\n{report([world])}")
    world.home.database.close()


def _freeze_until_another_has_the_run(dice: random.Random) -> Blow:
    return Blow("freeze", "driver", "batch: between two", dice.choice((2, 3)), 0.0, 3.0)


def _kill_between_two(dice: random.Random) -> Blow:
    return Blow("kill", "driver", "batch: between two", dice.choice((3, 4, 5, 6)), 0.0, 0.0)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("protection", "draw"),
    [
        ("what is recorded is replayed", _kill_between_two),
        ("a write compares the fence", _freeze_until_another_has_the_run),
    ],
)
def test_without_a_protection_the_blows_are_noticed(protection, draw, tmp_path):
    world = World("sabotaged", tmp_path, "", 40, draw)
    with pytest.raises(AssertionError):
        storm(world, 2, 1, protection)
    world.home.database.close()
