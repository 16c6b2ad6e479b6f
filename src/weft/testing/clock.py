"""Time that can be skipped: what the engine waits for costs nothing, and what really runs takes what it takes."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable, Sequence

from weft.clock import SystemClock
from weft.executors.port import Capacity, Ended, Event, Executor
from weft.model.context import RunContext
from weft.model.jobs import Job, Limits
from weft.model.resources import parse_ms


class VirtualClock:
    """The machine's time, and on top of it all that was skipped.

    State: the milliseconds that were skipped so far; two threads may skip at once.
    """

    def __init__(self, seed: int = 0) -> None:
        self._system = SystemClock()
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._skipped_ms = 0

    def now_ms(self) -> int:
        return self._system.now_ms() + self._skipped_ms

    def monotonic_ms(self) -> int:
        return self._system.monotonic_ms() + self._skipped_ms

    def new_id(self) -> str:
        return self._system.new_id()

    def jitter(self) -> float:
        return self._random.random()

    def advance(self, by: str | int | float) -> None:
        """Skip a length of time: ``"7d"``, ``"90s"``, or a number of seconds.

        Raises:
            BadQuantity: ``by`` is no duration.
        """
        self.skip(parse_ms("advance", by))

    def skip(self, ms: int) -> None:
        """Skip milliseconds."""
        with self._lock:
            self._skipped_ms += ms


class VirtualTime:
    """An executor behind which nobody waits: while no job is out, the time until the next event is skipped.

    State: the jobs that are out, by run and id.
    """

    def __init__(self, executor: Executor, clock: VirtualClock) -> None:
        self.executor = executor
        self.out: set[tuple[str, int]] = set()
        self._clock = clock

    def capacity(self) -> Capacity:
        return self.executor.capacity()

    def check(self, limits: Limits) -> tuple[Limits, str]:
        return self.executor.check(limits)

    def start(self, context: RunContext) -> None:
        self.executor.start(context)

    def submit(self, jobs: Sequence[Job]) -> None:
        self.out.update((job.run, job.id) for job in jobs)
        self.executor.submit(jobs)

    def poll(self, timeout_s: float | None) -> list[Event]:
        events = self.executor.poll(timeout_s if self.out else 0)
        self.out.difference_update(
            (event.run, event.report.id) for event in events if isinstance(event, Ended)
        )
        if not events and not self.out and timeout_s is not None:
            self._clock.skip(round(timeout_s * 1000))
        return events

    def wake(self) -> None:
        self.executor.wake()

    def cancel(self, run: str, jobs: Iterable[int], grace_ms: int | None = None) -> None:
        self.executor.cancel(run, jobs, grace_ms)

    def finish(self, run: str) -> None:
        self.out = {job for job in self.out if job[0] != run}
        self.executor.finish(run)

    def close(self) -> None:
        self.executor.close()


class Survivor(VirtualTime):
    """An executor that outlives the drivers of its one run: what they left behind is cut off when one dies.

    Workers that were idle stay warm, so that a crash does not cost an import of the whole project; unless somebody
    waits for the end of all workers of a dead driver, as limits do.
    State: whether there are workers.
    """

    def __init__(self, executor: Executor, clock: VirtualClock) -> None:
        super().__init__(executor, clock)
        self._is_started = False
        self._keeps = True

    def start(self, context: RunContext) -> None:
        if not self._is_started:
            self._is_started = True
            self._keeps = not context.guard
            super().start(context)

    def finish(self, run: str) -> None:
        if self.out:
            self.executor.cancel(run, [job for _, job in self.out], grace_ms=0)
        while self.out:
            self.poll(None)
        if not self._keeps:
            self._is_started = False
            super().finish(run)
