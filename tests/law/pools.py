"""The limits of generated programs, and slots as a driver gives them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from weft.machine.events import Acquire, Command, Release

# What a pool of a program has in all; a mutex has one slot.
POOL_SLOTS = 2
LEVELS = range(8)
FUNCTIONS = ("main", "part_0", "part_1")


def pool_name(function: str, level: int) -> str:
    return f"{function}-pool-{level}"


def write_settings(folder: Path) -> None:
    """Give the pools of programs that lie in ``folder`` their slots."""
    rows = [f'"{pool_name(function, level)}" = {POOL_SLOTS}' for function in FUNCTIONS for level in LEVELS]
    folder.joinpath("weft.toml").write_text("\n".join(["[tool.weft.limits]", *rows, ""]))


class Pools:
    """State: the requests that wait, in order, and those that hold their slots."""

    def __init__(self) -> None:
        self.waiting: dict[int, Acquire] = {}
        self.held: dict[int, Acquire] = {}

    def obey(self, commands: list[Command]) -> list[int]:
        """Take requests and releases; return which requests hold their slots from now on."""
        for command in commands:
            match command:
                case Acquire():
                    self.waiting[command.request] = command
                case Release():
                    self.waiting.pop(command.request, None)
                    self.held.pop(command.request, None)
        granted = [request for request in list(self.waiting) if self._take(request)]
        return granted

    def _take(self, request: int) -> bool:
        asked = self.waiting[request]
        taken = Counter[str]()
        for other in self.held.values():
            taken[other.name] += other.slots
        if taken[asked.name] + asked.slots > (POOL_SLOTS if "pool" in asked.name else 1):
            return False
        self.held[request] = self.waiting.pop(request)
        return True
