"""The price of a plan: what its steps will take, by what they took in the run that is continued."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from weft.client.rerun.planning import StepPlan


class Price(msgspec.Struct):
    """What will be spent and saved.

    Attributes:
        slots: how many tasks run at a time.
        least_ms: the time if nothing runs that need not. ``most_ms``: if all of it does.
        saved_ms: the work, not the time, that is taken over in any case.
        unknown: steps that run and have never ended well, so that they are not in the times.
    """

    slots: int
    least_ms: int = 0
    most_ms: int = 0
    saved_ms: int = 0
    unknown: list[str] = []


def price(
    steps: Sequence[StepPlan], reads: Mapping[str, frozenset[str]], in_sequence: set[str], slots: int
) -> Price:
    """Return the price of the steps.

    Args:
        reads: of each step, in program order, those whose results it waits for.
        in_sequence: steps whose tasks run one after another.
    """
    sure = {step.step: step.runs for step in steps}
    every = {step.step: step.runs + step.may_run for step in steps}
    took = {step.step: step.took_ms or 0.0 for step in steps}
    return Price(
        slots,
        least_ms=_time_ms(sure, took, reads, in_sequence, slots),
        most_ms=_time_ms(every, took, reads, in_sequence, slots),
        saved_ms=round(sum(step.reused * (step.took_ms or 0) for step in steps)),
        unknown=[step.step for step in steps if step.verdict == "runs" and step.took_ms is None],
    )


def _time_ms(
    tasks: Mapping[str, int],
    took: Mapping[str, float],
    reads: Mapping[str, frozenset[str]],
    in_sequence: set[str],
    slots: int,
) -> int:
    """Return the longest chain of steps, or all their work on all slots, whichever is more."""
    ends: dict[str, float] = {}
    for step, others in reads.items():
        turns = tasks.get(step, 0) if step in in_sequence else min(1, tasks.get(step, 0))
        ends[step] = max((ends.get(other, 0.0) for other in others), default=0.0) + turns * took.get(
            step, 0.0
        )
    work = sum(count * took[step] for step, count in tasks.items())
    return round(max([*ends.values(), work / max(1, slots)], default=0.0))
