"""Catches what an attempt prints and logs, in order, at next to no cost for one that is silent.

Two ways lead out of a worker, both to the *pump*, the process that writes the log files:

* What Python writes (``sys.stdout``, ``sys.stderr``, ``logging``, ``warnings``) goes as records, in exact
  order, each with its time and its attempt.
* What bypasses Python (C code, child processes) reaches file descriptors 1 and 2, which are pipes. Its
  time is its arrival's, and its attempt the one that stands in the *cell*, a page of shared memory.
  At the end of an attempt with bytes still in a pipe the worker waits until the pump has taken them.

A worker that dies loses nothing of either: the kernel keeps both until the pump has read them.
"""

from __future__ import annotations

import io
import mmap
import os
import select
import socket
import struct
import sys
import threading
import time
import warnings
from typing import Any, TextIO

OUT, ERR, LOG, WARN, PROGRESS, WEFT, SYNC = range(7)
PIECE_CHARS = 1 << 13
CELL_BYTES = 4096
TASK_BYTES_MAX = 4000
_RECORD = struct.Struct("<IBQIH")  # length of the rest, stream, milliseconds, attempt, length of the task
_CELL_HEAD = struct.Struct("<IH")  # attempt, length of the task; before them, the pump's count of raw bytes
_CELL_COUNT = struct.Struct("<Q")


def pack_record(stream: int, ms: int, attempt: int, task: bytes, text: bytes) -> bytes:
    """Return one record of the record channel."""
    rest = _RECORD.size - 4 + len(task) + len(text)
    return _RECORD.pack(rest, stream, ms, attempt, len(task)) + task + text


def unpack_record(payload: bytes) -> tuple[int, int, int, bytes, bytes]:
    """Return stream, milliseconds, attempt, task and text; ``payload`` comes without its length."""
    _, stream, ms, attempt, size = _RECORD.unpack_from(b"\0\0\0\0" + payload[: _RECORD.size - 4])
    start = _RECORD.size - 4
    return stream, ms, attempt, payload[start : start + size], payload[start + size :]


class Cell:
    """A shared page: the worker writes which attempt runs, the pump how many raw bytes it has taken."""

    def __init__(self, page: mmap.mmap) -> None:
        self._page = page

    def set_task(self, attempt: int, task: bytes) -> None:
        self._page[8 : 14 + len(task)] = _CELL_HEAD.pack(attempt, len(task)) + task

    def get_task(self) -> tuple[int, bytes]:
        attempt, size = _CELL_HEAD.unpack_from(self._page, 8)
        return attempt, self._page[14 : 14 + size]

    def raw_bytes(self) -> int:
        count: int = _CELL_COUNT.unpack_from(self._page)[0]
        return count

    def add_raw_bytes(self, count: int) -> None:
        _CELL_COUNT.pack_into(self._page, 0, self.raw_bytes() + count)


class Stream(io.TextIOBase):
    """Stands for ``sys.stdout`` or ``sys.stderr``: hands whole lines to the capture."""

    def __init__(self, capture: Capture, number: int, descriptor: int) -> None:
        self._capture = capture
        self._number = number
        self._descriptor = descriptor
        self._pending: list[str] = []
        self._pending_chars = 0
        self.buffer = _Binary(self)
        self.name = f"<{'stdout' if number == OUT else 'stderr'}>"
        self.mode = "w"

    encoding = "utf-8"
    errors = "backslashreplace"
    line_buffering = True

    def write(self, text: str, /) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        self._pending.append(text)
        self._pending_chars += len(text)
        if "\n" in text or self._pending_chars > PIECE_CHARS:
            self.flush()
        return len(text)

    def flush(self) -> None:
        if self._pending:
            text = "".join(self._pending)
            self._pending.clear()
            self._pending_chars = 0
            self._capture.put(self._number, text)

    def fileno(self) -> int:
        return self._descriptor

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return False

    def reconfigure(self, **options: Any) -> None:
        """Accept what programs ask of a real stream; the form of the log is fixed."""


class _Binary(io.RawIOBase):
    """The binary layer under a ``Stream``, for ``sys.stdout.buffer.write``."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def write(self, data: Any, /) -> int:
        raw = bytes(data)
        self._stream.write(raw.decode("utf-8", "backslashreplace"))
        return len(raw)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._stream.fileno()

    def flush(self) -> None:
        self._stream.flush()


class Capture:
    """A worker's end of the capture; one for the life of the process."""

    def __init__(self, records: socket.socket, cell: Cell, raw_read_ends: tuple[int, int]) -> None:
        self._records = records
        self._cell = cell
        # One system call for both, at the end of each attempt.
        self._raw = select.poll()
        for end in raw_read_ends:
            self._raw.register(end, select.POLLIN)
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._attempt, self._task = 0, b""
        self._sent_bytes = 0
        self._raw_before = 0
        self._logging_seen = False
        self.out = Stream(self, OUT, 1)
        self.err = Stream(self, ERR, 2)

    def install(self) -> None:
        """Put the capture in the place of this process's streams."""
        sys.stdout = sys.__stdout__ = self.out  # type: ignore[misc, assignment]
        sys.stderr = sys.__stderr__ = self.err  # type: ignore[misc, assignment]
        warnings.showwarning = self._show_warning

    def begin(self, task: str, attempt: int) -> None:
        """Attribute what follows to an attempt."""
        self._attempt, self._task = attempt, task.encode()[:TASK_BYTES_MAX]
        self._cell.set_task(attempt, self._task)
        self._sent_bytes = 0
        self._raw_before = self._cell.raw_bytes()
        _forget_shown_warnings()
        if not self._logging_seen and "logging" in sys.modules:
            self._logging_seen = True
            _catch_logging(self)

    def end(self) -> int:
        """Return how many bytes the attempt put out; all of them have left this process."""
        self.out.flush()
        self.err.flush()
        if self._unread():
            with self._lock:
                self._records.sendall(pack_record(SYNC, 0, self._attempt, self._task, b""))
                self._records.recv(1)
        return self._sent_bytes + self._cell.raw_bytes() - self._raw_before

    def _unread(self) -> bool:
        # Hung up, where the step closed its own output, is not something to read.
        return any(events & select.POLLIN for _, events in self._raw.poll(0))

    def put(self, stream: int, text: str) -> None:
        """Send text of a stream of the current attempt, after what other streams still hold back."""
        if os.getpid() != self._pid:
            # A child that the step forked shares our channel; only plain writes are safe for it.
            _write_all(2 if stream == ERR else 1, text.encode("utf-8", "backslashreplace"))
            return
        if stream != OUT:
            self.out.flush()
        if stream != ERR:
            self.err.flush()
        ms = time.time_ns() // 1_000_000
        with self._lock:
            for start in range(0, len(text), PIECE_CHARS):
                raw = text[start : start + PIECE_CHARS].encode("utf-8", "backslashreplace")
                self._sent_bytes += len(raw)
                self._records.sendall(pack_record(stream, ms, self._attempt, self._task, raw))

    def put_progress(self, text: str) -> None:
        self.put(PROGRESS, text)

    def _show_warning(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        text = warnings.formatwarning(message, category, filename, lineno, line)
        if file is None:
            self.put(WARN, text)
        else:
            file.write(text)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _forget_shown_warnings() -> None:
    # A warning is shown once for each place *and attempt*, not once in the life of a warm worker. There
    # is no public name for "what was shown no longer counts".
    forget = getattr(warnings, "_filters_mutated", None) or getattr(
        warnings, "_filters_mutated_lock_held", None
    )
    if forget is not None:
        forget()


def _catch_logging(capture: Capture) -> None:
    """Catch what no handler of the user's would show, from level INFO; leave their set-up alone."""
    logging: Any = sys.modules["logging"]

    class Handler(logging.Handler):  # type: ignore[misc]
        def emit(self, record: Any) -> None:
            try:
                capture.put(LOG, f"{record.levelname} {record.name}: {self.format(record)}\n")
            except Exception:  # noqa: BLE001 - as every handler: a bad message must not stop the step
                self.handleError(record)

    logging.lastResort = Handler()
    root = logging.getLogger()
    if root.level == logging.WARNING and not root.handlers:
        root.setLevel(logging.INFO)
    for handler in root.handlers:
        # Handlers made while modules were preloaded hold the nursery's stream.
        if getattr(handler, "stream", None) is not None and handler.stream in _BEFORE_FORK:
            handler.setStream(capture.err if handler.stream is _BEFORE_FORK[1] else capture.out)


_BEFORE_FORK: tuple[Any, Any] = (sys.stdout, sys.stderr)
