"""Slots of named limits, across all runs of one home on this machine.

A slot is a lock on a file, so it is free again when its holder dies, whatever it dies of. The file names the guard
of the holder's workers: a slot is free only when the last of those is gone as well.
State: the locks that this process holds, and the requests that wait.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Mapping
from pathlib import Path

from weft.digest import digest_parts
from weft.errors import UserError
from weft.executors.guard import is_held

_PATH_BYTES_MAX = 4096


class LimitTooSmall(UserError):
    """A workflow asks for more slots than a limit has in all."""

    code = "limit-too-small"

    def __init__(self, name: str, asked: int, capacity: int) -> None:
        super().__init__(
            f"limit {name!r} has {capacity} slots in all, and the workflow asks for {asked}",
            hint=f'Raise it in pyproject.toml: [tool.weft.limits] with "{name}" = {asked}.',
        )


class Slots:
    """The slots of a home.

    Args:
        capacity: maps a limit's name to its slots; 1 where it says nothing.
        guard: the guard that the workers of this holder keep locked; "": it has no processes of its own.
    """

    def __init__(self, folder: Path, capacity: Mapping[str, int], guard: str = "") -> None:
        self._folder = folder
        self._capacity = capacity
        self._guard = guard
        self._held: dict[int, list[int]] = {}
        self._waiting: dict[int, tuple[str, int]] = {}

    def ask(self, request: int, name: str, slots: int) -> None:
        """Queue a request.

        Raises:
            LimitTooSmall: it could never be granted.
        """
        capacity = self._capacity.get(name, 1)
        if slots > capacity:
            raise LimitTooSmall(name, slots, capacity)
        self._waiting[request] = (name, slots)

    @property
    def is_waiting(self) -> bool:
        """Whether a request has not been granted yet."""
        return bool(self._waiting)

    def grant(self) -> list[int]:
        """Return the requests that hold their slots from now on."""
        granted = []
        for request, (name, slots) in list(self._waiting.items()):
            locks = self._take(name, slots)
            if locks:
                del self._waiting[request]
                self._held[request] = locks
                granted.append(request)
        return granted

    def _take(self, name: str, slots: int) -> list[int]:
        folder = self._folder / digest_parts("limit", [name])[3:35]
        folder.mkdir(parents=True, exist_ok=True)
        locks: list[int] = []
        for slot in range(self._capacity.get(name, 1)):
            file = os.open(folder / str(slot), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            if not self._is_free(file):
                os.close(file)
                continue
            locks.append(file)
            if len(locks) == slots:
                self._sign(locks)
                return locks
        for file in locks:
            os.close(file)
        return []

    def _is_free(self, file: int) -> bool:
        """Lock a slot; return whether nobody holds it, nor workers that its last holder has left behind."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        last = os.fsdecode(os.pread(file, _PATH_BYTES_MAX, 0))
        return last in ("", self._guard) or not is_held(last)

    def _sign(self, locks: list[int]) -> None:
        for file in locks:
            os.ftruncate(file, 0)
            os.pwrite(file, os.fsencode(self._guard), 0)

    def release(self, request: int) -> None:
        """Give back what a request holds, or stop waiting for it."""
        self._waiting.pop(request, None)
        for file in self._held.pop(request, ()):
            os.close(file)

    def close(self) -> None:
        """Give back everything."""
        for request in [*self._held, *self._waiting]:
            self.release(request)
        if self._guard:
            Path(self._guard).unlink(missing_ok=True)
