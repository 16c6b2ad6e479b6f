"""Outlasting a store that is out of reach for a while: a full disk, a busy or restarting database.

What runs goes on meanwhile, and its results wait. A failed sync is not such a while: whether the disk kept what
it was given is not known then, so the driver stops.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from weft.clock import Clock
from weft.errors import DiskFull
from weft.store.engine import DatabaseBusy, DatabaseUnreachable

T = TypeVar("T")
PAUSE_S: Final = 0.5
PASSING: Final = (DiskFull, DatabaseBusy, DatabaseUnreachable)


class Patience:
    """Tries again until it works, the time is up, or somebody wants the driver to stop.

    Args:
        wait_ms: how long, from the first refusal on.
        pause: waits for so many seconds, and returns whether the driver is to stop; then at once.
        say: is told the reason, once for each time that the store goes out of reach.
    """

    def __init__(
        self, clock: Clock, wait_ms: int, pause: Callable[[float], bool], say: Callable[[str], None]
    ) -> None:
        self._clock = clock
        self._wait_ms = wait_ms
        self.pause = pause
        self._say = say

    def outlast(self, work: Callable[[], T]) -> T:
        """Return what ``work`` returns.

        Raises:
            DiskFull, DatabaseBusy, DatabaseUnreachable: it lasted too long.
        """
        since_ms: int | None = None
        is_stopping = False
        while True:
            try:
                return work()
            except PASSING as error:
                now_ms = self._clock.monotonic_ms()
                if since_ms is None:
                    since_ms = now_ms
                    self._say(f"{error.message}: waiting")
                if now_ms - since_ms >= self._wait_ms or is_stopping:
                    raise
            is_stopping = self.pause(PAUSE_S)
