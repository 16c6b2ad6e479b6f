"""The nursery's side of the capture: takes what workers put out and writes the log files."""

from __future__ import annotations

import codecs
import fcntl
import mmap
import os
import selectors
import socket
import sys
import termios
import time

import msgspec

from weft.model.context import RunContext
from weft.worker.capture import CELL_BYTES, ERR, OUT, SYNC, Cell, unpack_record
from weft.worker.logs import STREAMS, LogWriter, log_path
from weft.worker.wire import FrameReader

_READ_BYTES = 1 << 17


class Pipes(msgspec.Struct, eq=False):
    """What leads out of one worker: both ends until it has started, then the pump's."""

    records: socket.socket
    records_worker: socket.socket
    out_read: int
    out_write: int
    err_read: int
    err_write: int
    cell_file: int
    cell: Cell

    def descriptors_of_worker(self) -> tuple[int, int, int, int, int, int]:
        """Return records, cell, then the read and the write ends of output and error."""
        return (
            self.records_worker.fileno(),
            self.cell_file,
            self.out_read,
            self.err_read,
            self.out_write,
            self.err_write,
        )

    def close_worker_ends(self) -> None:
        self.records_worker.close()
        os.close(self.out_write)
        os.close(self.err_write)
        os.close(self.cell_file)


def open_pipes() -> Pipes:
    """Return fresh pipes for one worker."""
    records, records_worker = socket.socketpair()
    out_read, out_write = os.pipe()
    err_read, err_write = os.pipe()
    cell_file = _shared_page()
    return Pipes(
        records,
        records_worker,
        out_read,
        out_write,
        err_read,
        err_write,
        cell_file,
        Cell(mmap.mmap(cell_file, CELL_BYTES)),
    )


def _shared_page() -> int:
    if hasattr(os, "memfd_create"):
        page = os.memfd_create("weft-cell")
    else:
        name = f"{os.environ.get('TMPDIR', '/tmp')}/weft-{os.urandom(8).hex()}"
        page = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        os.unlink(name)
    os.truncate(page, CELL_BYTES)
    return page


def _waiting_bytes(descriptor: int) -> int:
    answer: bytes = fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4))
    return int.from_bytes(answer, sys.byteorder)


def _decoder() -> codecs.IncrementalDecoder:
    return codecs.getincrementaldecoder("utf-8")("backslashreplace")


class Pump(msgspec.Struct, eq=False):
    """Writes the logs of one worker. State: the log that is open, and bytes of a character that is cut."""

    context: RunContext
    pipes: Pipes
    _reader: FrameReader = msgspec.field(default_factory=FrameReader)
    _decoders: dict[int, codecs.IncrementalDecoder] = {}
    _writer: LogWriter | None = None
    _writes_for: tuple[int, bytes] | None = None

    def register(self, selector: selectors.BaseSelector) -> None:
        pipes = self.pipes
        pipes.records.setblocking(False)
        for descriptor in (pipes.out_read, pipes.err_read):
            os.set_blocking(descriptor, False)
        selector.register(pipes.records, selectors.EVENT_READ, self.take_records)
        selector.register(pipes.out_read, selectors.EVENT_READ, self.take_out)
        selector.register(pipes.err_read, selectors.EVENT_READ, self.take_err)

    def take_out(self) -> bool:
        return bool(self._take_raw(self.pipes.out_read, OUT, self.pipes.cell.get_task()))

    def take_err(self) -> bool:
        return bool(self._take_raw(self.pipes.err_read, ERR, self.pipes.cell.get_task()))

    def take_records(self) -> bool:
        """Take what Python code in the worker wrote. Returns whether there was something."""
        try:
            data = self.pipes.records.recv(_READ_BYTES)
        except (BlockingIOError, ConnectionResetError):
            return False
        for payload in self._reader.feed(data):
            stream, ms, attempt, task, text = unpack_record(payload)
            if stream == SYNC:
                self._take_all_raw((attempt, task))
                self.pipes.records.send(b"\0")
            else:
                self._write((attempt, task), ms, STREAMS[stream], text.decode("utf-8", "backslashreplace"))
        return bool(data)

    def _take_all_raw(self, attempt: tuple[int, bytes]) -> None:
        for descriptor, stream in ((self.pipes.out_read, OUT), (self.pipes.err_read, ERR)):
            # What was there when asked, and not all that a child left behind may write for ever.
            left = _waiting_bytes(descriptor)
            while left > 0 and (taken := self._take_raw(descriptor, stream, attempt)):
                left -= taken

    def _take_raw(self, descriptor: int, stream: int, attempt: tuple[int, bytes]) -> int:
        """Take what bypassed Python. Returns how many bytes."""
        try:
            data = os.read(descriptor, _READ_BYTES)
        except BlockingIOError:
            return 0
        if not data:
            return 0
        self.pipes.cell.add_raw_bytes(len(data))
        text = self._decoders.setdefault(descriptor, _decoder()).decode(data)
        self._write(attempt, time.time_ns() // 1_000_000, STREAMS[stream], text)
        return len(data)

    def _write(self, attempt: tuple[int, bytes], ms: int, stream: str, text: str) -> None:
        try:
            if attempt != self._writes_for:
                self._open(attempt)
            assert self._writer is not None
            self._writer.append(ms, stream, text)
        except OSError:
            # A full disk: the step's result matters more than its output, and stops the run if it
            # cannot be stored either.
            self._writer, self._writes_for = None, None

    def _open(self, attempt: tuple[int, bytes]) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer = None
        number, task = attempt
        path = log_path(self.context.log_folder, task.decode("utf-8", "replace"), number)
        self._writer = LogWriter(path, self.context.log_bytes_max)
        self._writes_for = attempt

    def finish(self, selector: selectors.BaseSelector) -> None:
        """Take what a dead worker left behind, and close."""
        while self.take_records():
            pass
        self._take_all_raw(self.pipes.cell.get_task())
        for source in (self.pipes.records, self.pipes.out_read, self.pipes.err_read):
            selector.unregister(source)
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self.abandon()

    def abandon(self) -> None:
        """Close without reading; what a forked worker does with its siblings' pipes."""
        self.pipes.records.close()
        os.close(self.pipes.out_read)
        os.close(self.pipes.err_read)
