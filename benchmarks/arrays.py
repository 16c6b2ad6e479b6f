"""A large array from one step to the next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .driving import AGAIN, difference, drive, new_home
from .floors import ARRAY_BYTES, array_once, back_memory
from .measure import Row


def hand_over(folder: Path) -> list[Row]:
    """256 MiB from step to step [ms], once with new content and once with content that is stored already.

    The floor is taken in turns with it, and what both write stays: on a virtual machine the first touch of
    memory costs more than to fill it, so one that used the same pages again would be no floor.
    """
    home = new_home(folder)
    idle = [drive(home, "hand_over", 2, 8, seed)["seconds"] for seed in range(AGAIN)]
    floors, pairs = [], []
    for seed in range(1, AGAIN + 1):
        back_memory()
        floors.append(array_once(folder / f"floor-{seed}.bin"))
        back_memory()
        # The first run of a process starts the workers, the second finds them, and the content, there.
        pairs.append(drive(home, "hand_over", 2, ARRAY_BYTES, seed))
    new, again = ([_own_ms(pair, idle, place) for pair in pairs] for place in (0, 1))
    note = f"the user's time and an empty run's taken off, least of {AGAIN}"
    return [
        difference("256 MiB from step to step", new, floor=min(floors), aim=1.2, note=note),
        difference("the same 256 MiB again", again, floor=min(floors), aim=0.6, note=note),
    ]


def _own_ms(pair: dict[str, Any], idle: list[list[float]], place: int) -> float:
    """Return what run ``place`` of a pair cost beyond the user's own time and an empty run at that place [ms]."""
    _sum, user_seconds = pair["results"][place]
    return float(1000 * (pair["seconds"][place] - user_seconds - min(one[place] for one in idle)))
