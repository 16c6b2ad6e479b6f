"""The port behind which tasks run. An executor knows neither SQL nor the machine.

A driver calls ``start`` once for each run, then submits jobs and polls events. One executor serves many
runs at a time; a job is named by its run and its id.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from weft.errors import UserError
from weft.model.context import RunContext
from weft.model.jobs import Job, Limits, Report


class Started(msgspec.Struct, frozen=True, gc=False):
    """Jobs were handed to a worker. A job that is sent again after an innocent loss starts again."""

    run: str
    jobs: tuple[int, ...]
    worker: str


class Ended(msgspec.Struct, frozen=True, gc=False):
    """A job ended, by itself or because its worker died, was stopped or was never started.

    ``report.failure.kind`` tells: ``lost``, ``preempted``, ``memory``, ``timeout`` and ``cancelled`` come from the
    executor, all other kinds from the evaluator. Each submitted job ends exactly once.
    """

    run: str
    report: Report


class Notice(msgspec.Struct, frozen=True, gc=False):
    """Something that the user should be told once: a clamped request, an import that forbids forking."""

    run: str
    code: str
    message: str


Event = Started | Ended | Notice


class Capacity(msgspec.Struct, frozen=True):
    """What the executor may use in all. ``gpus`` are the names of its devices."""

    cpu: float
    memory_bytes: int
    gpus: tuple[str, ...] = ()


class ImpossibleRequest(UserError):
    """A step asks for what this executor never has."""

    code = "impossible-request"

    def __init__(self, what: str, asked: object, available: object) -> None:
        super().__init__(
            f"{what}={asked} is asked for, and this executor has {available}",
            hint=f"Lower {what}= of the step, or choose a profile whose executor has more.",
        )


class Executor(Protocol):
    """Where tasks run."""

    def capacity(self) -> Capacity:
        """Return what there is in all, used or not."""

    def check(self, limits: Limits) -> tuple[Limits, str]:
        """Return the limits as they will be granted, and a warning ("" if none was clamped).

        Raises:
            ImpossibleRequest: waiting would be in vain (``gpu``); asked before the run starts.
        """

    def start(self, context: RunContext) -> None:
        """Make ready for the jobs of a run; returns before workers are up."""

    def submit(self, jobs: Sequence[Job]) -> None:
        """Take jobs; never blocks on a worker. Jobs of one node start in the order given."""

    def poll(self, timeout_s: float | None) -> list[Event]:
        """Return what happened, blocking up to ``timeout_s`` (None: for ever) while nothing has."""

    def wake(self) -> None:
        """Make a blocked ``poll`` return; the only method that other threads and handlers may call."""

    def cancel(self, run: str, jobs: Iterable[int], grace_ms: int | None = None) -> None:
        """Stop jobs, queued or running; each ends as ``cancelled`` unless its report came first.

        A running step gets ``Cancelled`` raised and ``grace_ms`` (None: the run's own) to clean up.
        """

    def finish(self, run: str) -> None:
        """Let go of a run: its workers and all they started are gone on return."""

    def close(self) -> None:
        """Finish all runs and free everything. Safe to call twice."""
