"""What goes on record late, because people look: a job that runs for a while, and one that nothing takes up.

Most jobs are over before anybody could look; those cost no row and no entry before their end.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from weft.driver.ledger import Ledger
from weft.driver.reuse import Missed
from weft.machine.events import RunJob

SHOWN_AFTER_MS: Final = 200


class Going:
    """A job that is out.

    ``missed``: why nothing stood for it. ``began_ms``: when a worker took it up, by the clock that never goes back;
    ``started_ms``, for people. ``queued``, ``shown``: it is on record that it waits, that it runs.
    """

    __slots__ = ("began_ms", "command", "missed", "queued", "shown", "started_ms", "worker")

    def __init__(self, command: RunJob, missed: Missed) -> None:
        self.command = command
        self.missed = missed
        self.began_ms = 0
        self.started_ms = 0
        self.worker = ""
        self.queued = False
        self.shown = False


class Showing:
    """State: the jobs that are out, which the driver keeps; those among them that have started, each with the
    time at which to show it; whether jobs were handed over since all were looked at; when there was news last.

    Args:
        out: job id → a job that is out.
        tick_ms: the time by the clock that never goes back, as in all methods here.
    """

    def __init__(self, out: dict[int, Going], ledger: Ledger, tick_ms: int) -> None:
        self._out = out
        self._ledger = ledger
        self._started: deque[tuple[int, Going]] = deque()
        self._has_unheard = False
        self._heard_ms = tick_ms

    def sent(self) -> None:
        """Jobs were handed to the executor."""
        self._has_unheard = True

    def heard(self, tick_ms: int) -> None:
        """The executor had news."""
        self._heard_ms = tick_ms

    def started(self, going: Going, tick_ms: int) -> None:
        """A worker has taken up a job."""
        going.began_ms = tick_ms
        self._started.append((tick_ms + SHOWN_AFTER_MS, going))

    def due_ms(self) -> int | None:
        """Return when there may be something to show; None: nothing has just started."""
        return self._started[0][0] if self._started else None

    def look(self, tick_ms: int) -> None:
        """Put on record what has been on its way for long enough."""
        started = self._started
        while started:
            due_ms, going = started[0]
            is_out = self._out.get(going.command.job.id) is going
            if is_out and due_ms > tick_ms:
                break
            started.popleft()
            if is_out and not going.shown:
                going.shown = True
                self._ledger.running(going.command, going.started_ms, going.worker)
        # Where nothing happens for a while, people want to know why.
        if self._has_unheard and tick_ms - self._heard_ms >= SHOWN_AFTER_MS:
            self._has_unheard = False
            self._show_queued()

    def _show_queued(self) -> None:
        for going in self._out.values():
            if not (going.started_ms or going.queued) and going.command.job.is_call:
                going.queued = True
                self._ledger.queued(going.command)
