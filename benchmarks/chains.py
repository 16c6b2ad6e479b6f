"""Steps one after another: what each costs, and what it costs to take them over from another run."""

from __future__ import annotations

from pathlib import Path

from .driving import AGAIN, difference, drive, new_home
from .measure import Row

LENGTH = 500
REUSED = 1_000


def chain_step(folder: Path, floor_ms: float) -> Row:
    """One step of a chain [ms]; the run's own start and end are taken off."""
    home = new_home(folder)
    base = min(drive(home, "chain", AGAIN + 1, 1)["seconds"])
    runs = drive(home, "chain", AGAIN, LENGTH)["seconds"]
    values = [1000 * (seconds - base) / (LENGTH - 1) for seconds in runs]
    note = f"floor: two commits and a pipe round trip; chain of {LENGTH}, least of {AGAIN}"
    return difference("a step in a chain", values, floor=floor_ms, aim=1.2, note=note)


def reused_run(folder: Path) -> Row:
    """A run that takes over all steps of the chain that ran before it, from its start to its end [ms].

    Raises:
        RuntimeError: some ran again, so it is not what was to be measured.
    """
    said = drive(new_home(folder), "chain", 2, REUSED, reuse=True)
    if said["reused"] != [0, REUSED]:
        raise RuntimeError(f"of {REUSED:,} steps {said['reused'][1]:,} were taken over")
    milliseconds = 1000 * said["seconds"][1]
    return Row(f"reuse of {REUSED:,} steps", milliseconds, "ms", aim=1000, note="a chain; the whole run")
