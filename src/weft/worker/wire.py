"""How drivers, nurseries and workers talk: length-prefixed msgpack frames over socket pairs."""

from __future__ import annotations

import socket
import struct
from typing import Any, TypeVar

import msgspec

from weft.model.jobs import Job, Report

Message = TypeVar("Message")

READ_BYTES = 1 << 16
_LENGTH = struct.Struct("<I")
_encode = msgspec.msgpack.Encoder().encode


class Batch(msgspec.Struct, array_like=True, gc=False):
    """Jobs for one worker, in order. ``devices`` is their CUDA_VISIBLE_DEVICES, None to leave it."""

    jobs: list[Job]
    devices: str | None = None


class Done(msgspec.Struct, array_like=True, gc=False):
    """One report and how long the evaluation took, in microseconds."""

    report: Report
    micros: int


def frame(message: Any) -> bytes:
    """Return ``message`` as one frame."""
    payload = _encode(message)
    return _LENGTH.pack(len(payload)) + payload


class FrameReader:
    """Cuts a stream of bytes into frames; joins a frame's pieces once, however many there are."""

    __slots__ = ("_have", "_need", "_pieces")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._have = 0
        self._need = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Return the payloads that are complete with ``data``."""
        if self._pieces:
            self._pieces.append(data)
            self._have += len(data)
            if self._have < self._need:
                return []
            data = b"".join(self._pieces)
            self._pieces = []
        frames = []
        at, size = 0, len(data)
        self._need = 4
        while size - at >= 4:
            end = at + 4 + _LENGTH.unpack_from(data, at)[0]
            if end > size:
                self._need = end - at
                break
            frames.append(data[at + 4 : end])
            at = end
        if at < size:
            self._pieces = [data[at:]]
            self._have = size - at
        return frames


class Channel:
    """A non-blocking end of a socket pair: what cannot be sent now waits in ``backlog``."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.backlog = bytearray()
        self._reader = FrameReader()

    def send(self, data: bytes) -> None:
        """Send or keep; a dead receiver is found out by reading, not here."""
        if self.backlog:
            self.backlog += data
            return
        sent = self._try(data)
        if sent < len(data):
            self.backlog += memoryview(data)[sent:]

    def flush(self) -> bool:
        """Send what waits. Returns whether nothing waits any more."""
        while self.backlog:
            sent = self._try(self.backlog)
            if sent == 0:
                return False
            del self.backlog[:sent]
        return True

    def _try(self, data: bytes | bytearray) -> int:
        try:
            return self.sock.send(data)
        except BlockingIOError:
            return 0
        except (BrokenPipeError, ConnectionResetError):
            return len(data)

    def read(self) -> tuple[list[bytes], bool]:
        """Return the frames that are there without waiting, and whether the other end is open."""
        try:
            data = self.sock.recv(READ_BYTES)
        except BlockingIOError:
            return [], True
        except ConnectionResetError:
            return [], False
        return (self._reader.feed(data), True) if data else ([], False)

    def cut(self, data: bytes) -> list[bytes]:
        """Return the frames that are complete with ``data``, which the caller received itself."""
        return self._reader.feed(data)

    def drain(self) -> list[bytes]:
        """Return all frames that a dead sender left behind."""
        frames: list[bytes] = []
        while True:
            try:
                data = self.sock.recv(READ_BYTES)
            except (BlockingIOError, ConnectionResetError):
                return frames
            if not data:
                return frames
            frames += self._reader.feed(data)

    def is_closed(self) -> bool:
        return self.sock.fileno() < 0

    def close(self) -> None:
        self.sock.close()
