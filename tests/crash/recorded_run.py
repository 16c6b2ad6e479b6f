"""A run to be recorded: it writes to ``marks`` when the run is accepted and when it has ended.

``python recorded_run.py SHAPE [SABOTAGE]``: with a protection taken out of the shipped code, for the proof that the
cuts test it. Workers are forked from this process, so that they lack it too.
"""

from __future__ import annotations

import os
import sys

import flows

from weft.executors.nursery import prelaunch_by_fork
from weft.store import blobs, durable
from weft.worker import checkpoints


def _write_without_sync(path: str, content: object) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    durable._write_all(file, content)  # type: ignore[arg-type]
    os.close(file)


def sabotage(protection: str) -> None:
    if protection == "content is synced":
        durable._write_synced = _write_without_sync
    elif protection == "names are synced":
        durable.sync_folder = blobs.sync_folder = lambda folder: None
    elif protection == "what refers comes after what it refers to":
        shipped = blobs.FileBlobStore.put
        late: list[tuple[object, ...]] = []

        def put(self: blobs.FileBlobStore, content: object, digest: str = "") -> str:
            if late:
                shipped(*late.pop())  # type: ignore[arg-type]
            kept = [bytes(item) for item in content]  # type: ignore[attr-defined]
            late.append((self, kept, digest))
            return digest or blobs.digest_buffers(kept)

        checkpoints.FileBlobStore.put = put  # type: ignore[method-assign,assignment]


def main() -> None:
    shape, protection = sys.argv[1], (sys.argv[2] if len(sys.argv) > 2 else "")
    sabotage(protection)
    assert prelaunch_by_fork()
    marks = os.open("marks", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    run = getattr(flows, shape).start(3)
    os.write(marks, b"accepted")
    run.wait()
    os.write(marks, b"ended")


main()
