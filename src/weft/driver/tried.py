"""What instances that have not ended have used up of their budgets, from what is on record."""

from __future__ import annotations

from collections.abc import Iterable

from weft.machine.events import Instance, Tried
from weft.model.records import AttemptRecord, TaskRecord, failure_from_bytes
from weft.model.values import INFRASTRUCTURE


def tried_so_far(
    recorded: dict[Instance, TaskRecord], attempts: Iterable[AttemptRecord]
) -> dict[Instance, Tried]:
    """Return what a resumed run must know of attempts that its driver before has seen.

    An attempt that was cut off when the driver died counts as started; it was nobody's failure.
    """
    tried = {
        instance: Tried(record.attempt)
        for instance, record in recorded.items()
        if record.state in ("running", "retrying")
    }
    for attempt in attempts:
        known = tried.get(Instance(attempt.node, attempt.index))
        if known is not None:
            _count(known, failure_from_bytes(attempt.failure).kind)
    return tried


def _count(tried: Tried, kind: str) -> None:
    if kind == "memory":
        tried.memory += 1
    elif kind not in INFRASTRUCTURE:
        tried.failed += 1
    elif kind != "disk":
        tried.lost += 1
