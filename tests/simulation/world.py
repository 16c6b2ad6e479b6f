"""The simulated world: one clock that only events move, and one source of chance, both from a seed.

Processes are stepped one at a time, without threads. One that is paused in the middle of a turn lets the world
go on inside its own call, so that others work while it holds what it has read.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
import random
from collections.abc import Callable
from typing import Any

START_MS = 1_700_000_000_000
EVENTS_MAX = 40_000


class Killed(BaseException):
    """The process dies here, without a word."""


class Broken(AssertionError):
    """An invariant does not hold."""


class World:
    """State: ``now_ms``, true time; the events to come, in order; ``digest`` over all that was said of the run."""

    def __init__(self, seed: int, show: Callable[[str], None] | None = None) -> None:
        self.seed = seed
        self.chance = random.Random(f"weft-simulation-{seed}")
        self.now_ms = START_MS
        self.happened = 0
        self._show = show
        self._digest = hashlib.blake2b(digest_size=8)
        self._events: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._numbers = itertools.count()

    def likely(self, share: float) -> bool:
        """Return True with the likelihood ``share``; draws nothing where that is 0."""
        return share > 0 and self.chance.random() < share

    def delay_ms(self, most: int) -> int:
        """Return a delay of up to ``most``: mostly short, now and then long."""
        return int(most * self.chance.random() ** 4)

    def after(self, delay_ms: float, action: Callable[..., None], *args: Any) -> None:
        """Do something later. What is due at the same time is done in the order in which it was asked for."""
        due_ms = self.now_ms + max(0, round(delay_ms))
        heapq.heappush(self._events, (due_ms, next(self._numbers), action, args))

    def run(self, until_ms: int, is_over: Callable[[], bool] = lambda: False) -> None:
        """Let everything happen that is due until then, and move the clock there, unless it is over before."""
        while self._events and self._events[0][0] <= until_ms:
            if is_over():
                return
            due_ms, _, action, args = heapq.heappop(self._events)
            self.now_ms = max(self.now_ms, due_ms)
            self.happened += 1
            if self.happened > EVENTS_MAX:
                raise Broken(f"no end after {EVENTS_MAX} events")
            action(*args)
        if not is_over():
            self.now_ms = max(self.now_ms, until_ms)

    def say(self, who: str, text: str) -> None:
        """Add to the trace."""
        line = f"{(self.now_ms - START_MS) / 1000:9.3f} {who:6} {text}"
        self._digest.update(line.encode())
        if self._show is not None:
            self._show(line)

    def digest(self) -> str:
        """Return a hash of all that happened: two runs of one seed have the same."""
        return self._digest.hexdigest()


class WorldClock:
    """True time: what a database server's clock is to all its clients."""

    def __init__(self, world: World) -> None:
        self._world = world

    def now_ms(self) -> int:
        return self._world.now_ms

    def monotonic_ms(self) -> int:
        return self._world.now_ms - START_MS

    def new_id(self) -> str:
        raise NotImplementedError("a database makes no ids")

    def jitter(self) -> float:
        return self._world.chance.random()


class SkewedClock:
    """The clock of one host: its wall clock is off by ``offset_ms`` and may be set; its rate is not quite 1."""

    def __init__(self, world: World, offset_ms: int, rate: float) -> None:
        self._world = world
        self._started_ms = world.now_ms
        self._rate = rate
        self.offset_ms = offset_ms
        self._ids = itertools.count(1)

    def now_ms(self) -> int:
        return self._started_ms + self.monotonic_ms() + self.offset_ms

    def monotonic_ms(self) -> int:
        return int((self._world.now_ms - self._started_ms) * self._rate)

    def true_ms(self, duration_s: float) -> float:
        """Return how long a duration of this clock really takes."""
        return 1000 * duration_s / self._rate

    def new_id(self) -> str:
        return f"{next(self._ids):016d}"

    def jitter(self) -> float:
        return self._world.chance.random()
