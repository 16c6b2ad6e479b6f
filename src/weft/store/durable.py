"""Files that are there after a power cut: written under a temporary name, synced, renamed, the folder synced."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import Final

from weft.store.codecs.port import Buffer

TEMPORARY: Final = ".part"
_WRITE_BYTES_MAX: Final = 1 << 26
_BUFFERS_PER_WRITE: Final = 512


def write_durably(path: str, content: Sequence[Buffer]) -> None:
    """Write a file so that a reader sees it whole or not at all, and a power cut after this keeps it."""
    shelf, name = os.path.split(path)
    # Random, because process ids repeat where containers or hosts share the folder.
    temporary = f"{shelf}/.{name}.{os.urandom(8).hex()}{TEMPORARY}"
    try:
        _write_synced(temporary, content)
        # Rename last: a reader sees the whole file or none of it.
        os.rename(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    sync_folder(shelf)


def _write_synced(path: str, content: Sequence[Buffer]) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        _write_all(file, content)
        os.fsync(file)
    finally:
        os.close(file)


def _write_all(file: int, content: Sequence[Buffer]) -> None:
    waiting = list(_chunks(content))[::-1]
    while waiting:
        batch = waiting[: -_BUFFERS_PER_WRITE - 1 : -1]
        written = os.writev(file, batch)
        while waiting and written >= len(waiting[-1]):
            written -= len(waiting.pop())
        if written:
            waiting[-1] = waiting[-1][written:]


def _chunks(content: Sequence[Buffer]) -> Iterator[memoryview]:
    for item in content:
        view = memoryview(item).cast("B")
        for start in range(0, len(view), _WRITE_BYTES_MAX):
            yield view[start : start + _WRITE_BYTES_MAX]


def sync_folder(folder: str) -> None:
    """Make the names in a folder last through a power cut."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def make_folder(folder: str) -> None:
    """Make a folder that lasts through a power cut, with those above it; one that is there is made to last too.

    A folder is made only in one that lasts. So of a folder that is there only its own name may be lost, where
    whoever made it has died before it synced the one above.
    """
    folder = os.path.abspath(folder)
    above = os.path.dirname(folder)
    if not os.path.isdir(folder):
        make_folder(above)
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder)
    with contextlib.suppress(PermissionError):  # not ours to read, so not ours to have made what is in it
        sync_folder(above)
