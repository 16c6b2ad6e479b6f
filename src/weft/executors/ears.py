"""What a driver's thread waits on: sockets of workers and nurseries, deadlines, and a wake-up from elsewhere."""

from __future__ import annotations

import os
import selectors
from typing import Generic, TypeVar

from weft.clock import Clock
from weft.worker.wire import Channel

Source = TypeVar("Source")


class Ears(Generic[Source]):
    """Channels, each with its source, and a pipe that ``wake`` writes to."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._selector.register(self._wake_read, selectors.EVENT_READ, None)
        self._is_closed = False

    def listen(self, channel: Channel, source: Source) -> None:
        mask = selectors.EVENT_READ | (selectors.EVENT_WRITE if channel.backlog else 0)
        self._selector.register(channel.sock, mask, (channel, source))

    def mind_backlog(self, channel: Channel, source: Source) -> None:
        """Send what waits in ``channel`` as soon as its receiver has room."""
        if channel.backlog:
            mask = selectors.EVENT_READ | selectors.EVENT_WRITE
            self._selector.modify(channel.sock, mask, (channel, source))

    def deafen(self, channel: Channel) -> None:
        """Stop listening; harmless for a channel that was closed or never heard."""
        try:
            self._selector.unregister(channel.sock)
        except (KeyError, ValueError):
            return

    def wait(self, timeout_s: float | None) -> list[Source]:
        """Return the sources with something to read; send what waits on the way."""
        heard = []
        for key, mask in self._selector.select(timeout_s):
            if key.data is None:
                os.read(self._wake_read, 4096)
                continue
            channel, source = key.data
            if mask & selectors.EVENT_WRITE and channel.flush():
                self._selector.modify(channel.sock, selectors.EVENT_READ, key.data)
            if mask & selectors.EVENT_READ:
                heard.append(source)
        return heard

    def wake(self) -> None:
        try:
            os.write(self._wake_write, b"\0")
        except BlockingIOError:
            return  # enough wake-ups wait already

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._selector.close()
            os.close(self._wake_read)
            os.close(self._wake_write)


class Deadlines(Generic[Source]):
    """When which source has had time enough."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._at_ms: dict[Source, int] = {}

    def set(self, source: Source, in_ms: int) -> None:
        self._at_ms[source] = self._clock.monotonic_ms() + in_ms

    def drop(self, source: Source) -> None:
        self._at_ms.pop(source, None)

    def patience(self, timeout_s: float | None) -> float | None:
        """Return how long to wait: until the first deadline, or ``timeout_s`` if that is shorter."""
        if not self._at_ms:
            return timeout_s
        left_s = max(0.0, (min(self._at_ms.values()) - self._clock.monotonic_ms()) / 1000)
        return left_s if timeout_s is None else min(timeout_s, left_s)

    def take_overdue(self) -> list[Source]:
        """Return the sources whose deadline has passed, each once."""
        if not self._at_ms:
            return []
        now = self._clock.monotonic_ms()
        overdue = [source for source, at_ms in self._at_ms.items() if at_ms <= now]
        for source in overdue:
            del self._at_ms[source]
        return overdue
