"""The costs that nobody can avoid: an interpreter, a pipe, a commit, a file.

State: files in the folder that each function is given.
"""

from __future__ import annotations

import mmap
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Literal

from blake3 import blake3

from .measure import Row, environment, least, middle, repeat, wall_ms

Synchronous = Literal["NORMAL", "FULL"]
MESSAGE = b"x" * 300  # about a job, or a report, of a small step
ARRAY_BYTES = 256 * 2**20

ECHO = """
import os
while message := os.read(0, 4096):
    os.write(1, message)
"""

FILL = """
import mmap, sys
memory = mmap.mmap(-1, int(sys.argv[1]))
for place in range(0, len(memory), mmap.PAGESIZE):
    memory[place] = 1
"""


def interpreter() -> Row:
    """``python -c pass`` [ms]."""
    return least(
        "python -c pass",
        "ms",
        repeat(lambda: wall_ms([sys.executable, "-c", "pass"]), 20),
        note="least of 20",
    )


def pipe_round_trip() -> Row:
    """A message of 300 bytes to another process and back [ms]."""
    command = [sys.executable, "-c", ECHO]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment()) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        there, back = child.stdin.fileno(), child.stdout.fileno()

        def once() -> float:
            begin = time.perf_counter()
            os.write(there, MESSAGE)
            os.read(back, 4096)
            return 1000 * (time.perf_counter() - begin)

        values = repeat(once, 3000)
    return middle("pipe round trip", "ms", values, note="median of 3,000")


def commit(folder: Path, synchronous: Synchronous) -> Row:
    """A transaction that inserts a row of 300 bytes and changes it, in SQLite with a WAL [ms]."""
    database = sqlite3.connect(folder / f"floor-{synchronous}.db", isolation_level=None)
    database.execute("pragma journal_mode = wal")
    database.execute(f"pragma synchronous = {synchronous}")
    database.execute("create table task (id integer primary key, state text, record blob)")

    def once() -> float:
        begin = time.perf_counter()
        database.execute("begin immediate")
        row = database.execute("insert into task (state, record) values ('running', ?)", (MESSAGE,)).lastrowid
        database.execute("update task set state = 'succeeded' where id = ? and state = 'running'", (row,))
        database.execute("commit")
        return 1000 * (time.perf_counter() - begin)

    values = repeat(once, 1500 if synchronous == "NORMAL" else 200)
    database.close()
    return middle(f"SQLite commit, {synchronous}", "ms", values, note=f"median of {len(values):,}")


def array_to_disk_and_back(folder: Path) -> Row:
    """Write 256 MiB, hash them once, sync, map, and read one byte of each page [ms]."""
    paths = [folder / f"floor-{number}.bin" for number in range(4)]
    values = []
    for path in paths:
        back_memory()
        values.append(array_once(path))
    for path in paths:
        path.unlink()
    return least("256 MiB: write, hash, sync, map", "ms", values, note=f"least of {len(values)}")


def array_once(path: Path) -> float:
    """Do so to a new file, which stays [ms]."""
    content = bytearray(os.urandom(2**20)) * (ARRAY_BYTES // 2**20)
    begin = time.perf_counter()
    with open(path, "wb", buffering=0) as file:
        view = memoryview(content)
        while view:
            view = view[file.write(view) :]
        blake3(content, max_threads=blake3.AUTO).digest()
        os.fsync(file.fileno())
    with open(path, "rb") as stored, mmap.mmap(stored.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        sum(mapped[:: mmap.PAGESIZE])
    return 1000 * (time.perf_counter() - begin)


def back_memory() -> None:
    """Have the host of a virtual machine give it memory: a process takes some, fills it, and ends.

    Memory that the host must find first costs up to ten times what it costs to fill it.
    """
    subprocess.run([sys.executable, "-c", FILL, str(5 * ARRAY_BYTES)], check=True, env=environment())


def hash_only() -> Row:
    """Hash 256 MiB that are stored already [ms]."""
    content = bytearray(ARRAY_BYTES)

    def once() -> float:
        begin = time.perf_counter()
        blake3(content, max_threads=blake3.AUTO).digest()
        return 1000 * (time.perf_counter() - begin)

    return least("256 MiB: hash", "ms", repeat(once, 5), note="least of 5")
