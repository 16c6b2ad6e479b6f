"""Workflows that are at work for a while, for kills and freezes at random moments. Copied into a project as ``busy.py``.

Each attempt writes one line to a ledger outside the engine before anything else: run, task, attempt, and the driver's
process, which the journal maps to a fence. A step under a limit holds a file's lock, so that two at once are seen.
"""

from __future__ import annotations

import fcntl
import os
import time

from weft import current, limit, step, workflow


def _note(kind: str = "ran") -> None:
    """Append one line, whole or not at all."""
    me = current()
    if not me.run:
        return
    line = f"{kind}\t{me.run}\t{me.task}\t{me.attempt}\t{os.environ['CRASH_DRIVER']}\n"
    file = os.open(os.environ["CRASH_LEDGER"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, line.encode())
    os.close(file)


def _work(seconds: float = 0.04) -> None:
    _note()
    if current().run:
        time.sleep(seconds)


@step
def add(a, b):
    _work()
    return a + b


@step
def slow(a):
    _work(0.35)
    return a * 3


@step
def block(i):
    _work(0.02)
    return bytes([i % 251]) * (200_000 + i)


@step
def total(parts):
    _work()
    return sum(len(part) for part in parts)


@step(retries=3, backoff="10ms")
def shaky(i):
    _work(0.02)
    # By what it left behind, not by its attempt: it fails twice in all, whatever is killed.
    me = current()
    if me.run:
        left = os.path.join(os.path.dirname(os.environ["CRASH_LEDGER"]), f"failures-{me.run}-{i}")
        file = os.open(left, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        failed = os.fstat(file).st_size
        os.write(file, b".")
        os.close(file)
        if failed < 2:
            raise OSError(i)
    return i * 10


@step
def alone(i):
    _note()
    if current().run:
        with open(os.environ["CRASH_LEDGER"] + ".lock", "a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                _note("together")
            time.sleep(0.15)
    return i + 1


@workflow
def chain(n: int):
    a = add(n, 1)
    b = slow(a)
    c = add(b, 2)
    return add(c, 3)


@workflow
def diamond(n: int):
    a = add(n, 1)
    left, right = slow(a), add(a, 5)
    return add(left, right)


@workflow
def fan(n: int):
    return sum([add(i, n) for i in range(8)])


@workflow
def blocks(n: int):
    return total([block(i + n) for i in range(4)])


@workflow
def retries(n: int):
    return [shaky(i + n) for i in range(2)]


@workflow
def limited(n: int):
    with limit("one"):
        a = alone(n)
        return alone(a)


SHAPES = (chain, diamond, fan, blocks, retries, limited)
