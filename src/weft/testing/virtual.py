"""All runs of this process in virtual time, for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from weft.client.home import Home
from weft.executors.port import Executor
from weft.testing.clock import VirtualClock, VirtualTime


@contextmanager
def virtual_time() -> Iterator[VirtualClock]:
    """Let every home that is opened from now on have this clock, and executors that wait for nothing but work."""
    clock = VirtualClock()
    make_clock, make_executor = Home.make_clock, Home.make_executor

    def make_virtual(home: Home) -> Executor:
        return VirtualTime(make_executor(home), clock)

    Home.make_clock = staticmethod(lambda: clock)
    Home.make_executor = make_virtual  # type: ignore[method-assign, assignment]
    try:
        yield clock
    finally:
        Home.make_clock = make_clock
        Home.make_executor = make_executor  # type: ignore[method-assign]
