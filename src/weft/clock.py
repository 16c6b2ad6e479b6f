"""The only source of time, of ids and of randomness in the product."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Protocol

from weft.seams import deferred

if TYPE_CHECKING:
    import random
else:
    random = deferred("random")

_ID_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u
_LAST_DIGITS = (1 << 35) - 1  # seven of base 32


class Clock(Protocol):
    """Where time, ids and randomness come from; tests bring their own."""

    def now_ms(self) -> int:
        """Return wall-clock time in milliseconds since 1970, UTC."""

    def monotonic_ms(self) -> int:
        """Return milliseconds on a clock that never goes back."""

    def new_id(self) -> str:
        """Return a fresh run id: 16 characters that sort by time of creation."""

    def jitter(self) -> float:
        """Return a random number in [0, 1)."""


def _base32(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 32)
        digits.append(_ID_ALPHABET[digit])
    return "".join(reversed(digits))


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000

    def new_id(self) -> str:
        return _base32(self.now_ms(), 9) + _base32(int.from_bytes(os.urandom(5)) & _LAST_DIGITS, 7)

    def jitter(self) -> float:
        return (int.from_bytes(os.urandom(7)) >> 3) / (1 << 53)


class FakeClock:
    """A double for tests: time stands still until it is moved, ids count up."""

    def __init__(self, now_ms: int = 1_700_000_000_000, seed: int = 0) -> None:
        self._now_ms = now_ms
        self._next_id = 0
        self._random = random.Random(seed)

    def now_ms(self) -> int:
        return self._now_ms

    def monotonic_ms(self) -> int:
        return self._now_ms

    def new_id(self) -> str:
        self._next_id += 1
        return _base32(self._now_ms, 9) + _base32(self._next_id, 7)

    def jitter(self) -> float:
        return self._random.random()

    def advance(self, ms: int) -> None:
        """Move time forward by ``ms`` milliseconds."""
        self._now_ms += ms
