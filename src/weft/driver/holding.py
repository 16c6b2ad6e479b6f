"""The slots of limits that one run asks for, holds and gives back.

Slots go back only when nothing that was called off may still be at work under them.
"""

from __future__ import annotations

from weft.driver.ledger import Ledger
from weft.driver.slots import Slots
from weft.machine.events import Acquire, Granted


class Holding:
    """State: requests that are on record as waiting; those that shall go back; jobs that were called off and
    may still be at work.
    """

    def __init__(self, slots: Slots, ledger: Ledger) -> None:
        self._slots = slots
        self._ledger = ledger
        self._waiting: dict[int, Acquire] = {}
        self._released: list[int] = []
        self._at_work: set[int] = set()

    @property
    def is_waiting(self) -> bool:
        """Whether a request has not been granted yet."""
        return self._slots.is_waiting

    def ask(self, command: Acquire) -> list[Granted]:
        """Ask for slots; return whose are held now. What has to wait is put on record."""
        self._slots.ask(command.request, command.name, command.slots)
        granted = self._take()
        if all(other.request != command.request for other in granted):
            self._waiting[command.request] = command
            self._ledger.asked(command)
        return granted

    def turn_over(self) -> list[Granted]:
        """Give back what was released, take what is free, and return whose slots are held from now on."""
        # As soon as nothing may be at work under what was released.
        if self._released and not self._at_work:
            for request in self._released:
                self._slots.release(request)
            self._released = []
        return self._take() if self._slots.is_waiting else []

    def _take(self) -> list[Granted]:
        granted = [Granted(request) for request in self._slots.grant()]
        for event in granted:
            if event.request in self._waiting:
                self._ledger.granted(self._waiting.pop(event.request))
        return granted

    def release(self, request: int) -> None:
        """Have ``turn_over`` give back what a request holds, or stop waiting for it."""
        self._waiting.pop(request, None)
        self._released.append(request)

    def called_off(self, job: int) -> None:
        """Keep all slots while ``job``, which is not wanted any more, may still be at work."""
        self._at_work.add(job)

    def ended(self, job: int) -> None:
        """Note that a job is no longer at work."""
        self._at_work.discard(job)

    def close(self) -> None:
        """Give back everything; all that was at work has ended."""
        self._slots.close()
