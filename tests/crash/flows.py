"""Workflows of many shapes to be killed. Each attempt of a step appends its task and key to a file outside."""

from __future__ import annotations

import os

from weft import checkpoint, current, step, workflow

BIG = 300_000


def note(what: str = "") -> None:
    """Append one line, whole or not at all, before anything else of the step happens."""
    line = f"{current().task or 'plain'}\t{what}\n".encode()
    file = os.open(os.environ["CRASH_EFFECTS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, line)
    os.close(file)


@step
def start(n):
    note()
    return n


@step
def add(a, b):
    note()
    return a + b


@step
def scale(row, by):
    note()
    if by == 3:
        raise ValueError(row)
    return row * by


@step
def big(i):
    note()
    return bytes([i % 251]) * (BIG + i)


@step
def join(parts):
    note()
    return b"".join(part[:5] for part in parts)


@step(retries=3, backoff="10ms")
def shaky(i):
    note()
    # By what it left behind, not by its attempt: it fails twice in all, whatever is killed.
    failures = os.path.join(os.path.dirname(os.environ["CRASH_EFFECTS"]), f"shaky-{i}")
    if os.path.getsize(failures) < 2 if os.path.exists(failures) else True:
        with open(failures, "ab") as file:
            file.write(b".")
        if current().task:
            raise OSError(i)
    return i * 10


@step
def train(epochs):
    state = checkpoint.load({"epoch": 0, "sum": 0, "weights": b""})
    note(str(state["epoch"]))
    for epoch in range(state["epoch"], epochs):
        state = {"epoch": epoch + 1, "sum": state["sum"] + epoch, "weights": bytes(5000 + epoch)}
        checkpoint.save(state)
    return state["sum"], len(state["weights"])


@workflow
def chain(n: int):
    a = start(n)
    b = add(a, 1)
    c = add(b, 2)
    d = add(c, 3)
    return add(d, 4)


@workflow
def loop(n: int):
    return sum([scale(add(i, n), 2) for i in range(8)])


@workflow
def branch(n: int):
    a = start(n)
    if a > 2:
        b = add(a, 10)
    else:
        b = add(a, 20)
    if b > 5 and add(b, 1) > 7:
        return add(b, 100)
    return b


@workflow
def attempts(n: int):
    found = []
    for i in range(3):
        try:
            found.append(scale(i, 3 if i == 1 else 2))
        except ValueError as error:
            found.append(error.args[0])
        finally:
            done = start(i)
    return found, done


@workflow
def retries(n: int):
    return [shaky(i) for i in range(3)]


@workflow
def inner(n: int, by: int):
    a = add(n, by)
    return [scale(a, k) for k in (1, 2)]


@workflow
def nested(n: int):
    return [inner(i, n) for i in range(3)]


@workflow
def bigs(n: int):
    return join([big(i) for i in range(4)])


@workflow
def training(n: int):
    return train(4), train(5)


SHAPES = (chain, loop, branch, attempts, retries, nested, bigs, training)
