"""The log file of one attempt: JSON lines, bounded, readable while it is written and after a crash.

Each line is ``[milliseconds since 1970, stream, text]``. Streams: ``out`` and ``err`` (standard output and
error, also those of child processes and of C code), ``log`` (``logging``), ``warn`` (``warnings``),
``progress`` (JSON text ``{"done", "total", "text"}``), ``weft`` (remarks of Weft itself).

The first half of the allowed bytes is the file itself. What follows goes to segments of a quarter each,
``NAME.tail-1``, ``-2`` …, of which the last two stay; a segment's first line says how many bytes of text
had been dropped when it began. The last line of a part that is followed by another has the stream ``turn``
and no text.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from weft.digest import digest_parts

STREAMS = ("out", "err", "log", "warn", "progress", "weft")
_TURN = b',"turn",""]\n'
_PIECE_CHARS = 1 << 16
_NAME_CHARS_MAX = 120
_ODD = re.compile(r"[^A-Za-z0-9_.\[\]-]")
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(tuple[int, str, str]).decode


class LogLine(msgspec.Struct, frozen=True, gc=False):
    """One line of output, without its line end. ``ms`` is when its last part was written."""

    ms: int
    stream: str
    text: str


def log_path(folder: str | Path, task: str, attempt: int) -> Path:
    """Return where the log of an attempt lies, whether or not the attempt wrote any."""
    name = _ODD.sub(lambda match: f"%{ord(match[0]):02x}", task)
    if len(name) > _NAME_CHARS_MAX:
        name = f"{name[:80]}%{digest_parts('log', [task])[-24:]}"
    return Path(folder) / f"{name}~{attempt}.log"


def _segments(path: Path) -> list[tuple[int, Path]]:
    found = path.parent.glob(f"{_glob_safe(path.name)}.tail-*")
    return sorted((int(segment.name.rpartition("-")[2]), segment) for segment in found)


def _glob_safe(name: str) -> str:
    return name.replace("[", "[[]")


class LogWriter:
    """Appends to the log of one attempt; the only writer of that file."""

    def __init__(self, path: Path, bytes_max: int) -> None:
        self._path = path
        self._head_max = bytes_max // 2
        self._segment_max = bytes_max // 4
        # JSON may take six bytes for a character; a piece must fit into any segment.
        self._piece_chars = max(1, min(_PIECE_CHARS, bytes_max // 64))
        self._text_bytes = 0
        self._kept: list[tuple[Path, int]] = []
        self._generation = 0
        self._dropped = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._open(path)

    def _open(self, path: Path) -> None:
        # Bare descriptors: one write call for each entry, so that a crash leaves whole lines.
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._size = os.fstat(self._fd).st_size

    def append(self, ms: int, stream: str, text: str) -> None:
        for start in range(0, len(text), self._piece_chars):
            piece = text[start : start + self._piece_chars]
            line = _encode((ms, stream, piece)) + b"\n"
            if self._size + len(line) > (self._segment_max if self._generation else self._head_max):
                self._turn(ms)
            self._put(line)
            self._text_bytes += len(piece.encode("utf-8", "replace"))

    def _put(self, line: bytes) -> None:
        os.write(self._fd, line)
        self._size += len(line)

    def _turn(self, ms: int) -> None:
        self._put(_encode((ms, "turn", "")) + b"\n")
        os.close(self._fd)
        if self._generation:
            self._kept.append((self._path_of(self._generation), self._text_bytes))
        if len(self._kept) == 2:
            oldest, text_bytes = self._kept.pop(0)
            oldest.unlink(missing_ok=True)
            self._dropped += text_bytes
        self._generation += 1
        self._open(self._path_of(self._generation))
        self._put(_encode((ms, "weft", f"{self._dropped} bytes of output were dropped here\n")) + b"\n")
        self._text_bytes = 0

    def _path_of(self, generation: int) -> Path:
        return self._path.with_name(f"{self._path.name}.tail-{generation}")

    def close(self) -> None:
        os.close(self._fd)


class _Joiner:
    """Joins the pieces of lines, stream by stream."""

    def __init__(self) -> None:
        self._open: dict[str, list[str]] = {}
        self._ms = 0

    def take(self, raw: bytes) -> Iterator[LogLine]:
        try:
            ms, stream, text = _decode(raw)
        except msgspec.DecodeError:
            return  # a torn last line: the disk was full
        self._ms = ms
        *whole, rest = text.split("\n")
        for line in whole:
            yield LogLine(ms, stream, "".join((*self._open.pop(stream, ()), line)))
        if rest:
            self._open.setdefault(stream, []).append(rest)

    def rest(self) -> Iterator[LogLine]:
        for stream, pieces in self._open.items():
            yield LogLine(self._ms, stream, "".join(pieces))


class LogReader:
    """Reads the log of an attempt, also while it grows: each ``read`` gives what came since the one before.

    State: the part that is read, by number, and how far; whether its end was seen; pieces of lines whose end
    is not there yet.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._part = 0
        self._offset = 0
        self._is_over = False
        self._joiner = _Joiner()

    @property
    def is_at_start(self) -> bool:
        """Whether there was nothing to read yet."""
        return self._part == self._offset == 0

    def read(self, bytes_max: int | None = None) -> Iterator[LogLine]:
        """Yield the lines that are whole. ``bytes_max``: of each part, skip what lies further back than that."""
        yield from self._read_part(bytes_max)
        # Only now is it worth to look through a folder that may hold a hundred thousand logs.
        while self._is_over and (number := _next_part(self._path, self._part)) is not None:
            if number != self._part + 1:
                yield from self._joiner.take(self._newest_marker())
            self._part, self._is_over = number, False
            self._offset = len(_first_line(_part_path(self._path, number)))
            yield from self._read_part(bytes_max)

    def rest(self) -> Iterator[LogLine]:
        """Yield the last line of each stream, if it has no end: nothing more will come of it."""
        yield from self._joiner.rest()
        self._joiner = _Joiner()

    def _read_part(self, bytes_max: int | None) -> Iterator[LogLine]:
        try:
            file = _part_path(self._path, self._part).open("rb")
        except FileNotFoundError:
            self._is_over = self._part > 0  # dropped, because newer ones have come
            return
        with file:
            self._skip(file, bytes_max)
            for raw in _whole_lines(file):
                self._offset += len(raw)
                self._is_over = raw.endswith(_TURN)
                yield from self._joiner.take(raw)

    def _newest_marker(self) -> bytes:
        """Return the newest part's first line: it counts what is gone between the head and all that is left."""
        parts = _segments(self._path)
        return _first_line(parts[-1][1]) if parts else b""

    def _skip(self, file: BinaryIO, bytes_max: int | None) -> None:
        end = file.seek(0, os.SEEK_END)
        if bytes_max is not None and end - self._offset > bytes_max:
            file.seek(end - bytes_max)
            self._offset = end - bytes_max + len(file.readline())
        file.seek(self._offset)


def read_log(path: str | Path) -> Iterator[LogLine]:
    """Yield the lines of an attempt's log; nothing if it wrote none."""
    reader = LogReader(path)
    yield from reader.read()
    yield from reader.rest()


def _part_path(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.tail-{number}") if number else path


def _next_part(path: Path, number: int) -> int | None:
    return next((found for found, _ in _segments(path) if found > number), None)


def _first_line(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.readline()
    except FileNotFoundError:
        return b""  # it was dropped meanwhile


def _whole_lines(file: BinaryIO) -> Iterator[bytes]:
    while True:
        start = file.tell()
        line = file.readline()
        if not line.endswith(b"\n"):
            file.seek(start)
            return
        yield line
