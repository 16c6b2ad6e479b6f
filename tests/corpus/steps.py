"""The steps and plain functions of the corpus. Steps are pure; plain functions may change what they get."""

from __future__ import annotations

import copy
import math
from collections import deque, namedtuple
from dataclasses import dataclass, field

import numpy as np

from weft import step


class Bad(Exception):
    """Its ``args`` are not what its ``__init__`` takes."""

    def __init__(self, left, right):
        super().__init__(f"{left}:{right}")
        self.left, self.right = left, right


class Worse(Bad):
    """A subclass with a keyword of its own."""

    def __init__(self, left, *, note="none"):
        super().__init__(left, "worse")
        self.note = note


class Leave(BaseException):
    """No ``Exception``."""


Point = namedtuple("Point", "x y")


@dataclass
class Box:
    """A mutable object."""

    n: int
    items: list = field(default_factory=list)

    def bump(self, by=1):
        self.n += by
        self.items.append(by)
        return self


@dataclass(frozen=True)
class Report:
    """What a check finds."""

    ok: bool
    reasons: tuple = ()


class Model:
    """Something that learns in place."""

    def __init__(self, kind):
        self.kind = kind
        self.seen = []
        self.weight = 0.0

    def fit(self, rows):
        self.seen.extend(rows)
        self.weight = sum(self.seen) / max(len(self.seen), 1)
        return self

    def predict(self, row):
        return row * self.weight


@step
def inc(n, by=1):
    return n + by


@step
def double(n):
    return n * 2


@step
def add(*numbers, start=0):
    return sum(numbers, start)


@step
def ident(value):
    return copy.deepcopy(value)


@step
def is_even(n):
    return n % 2 == 0


@step
def fail(n=0, kind="value"):
    if kind == "bad":
        raise Bad("fail", n)
    if kind == "worse":
        raise Worse(n, note="kept")
    if kind == "key":
        raise KeyError("k", n)
    if kind == "os":
        raise FileNotFoundError(2, "none", f"file{n}")
    if kind == "exit":
        raise SystemExit(3)
    if kind == "leave":
        raise Leave(n)
    if kind == "stop":
        raise StopIteration(n)
    if kind == "unicode":
        raise UnicodeDecodeError("ascii", b"\xff", 0, 1, "bad byte")
    raise ValueError(f"no {n}")


@step
def fail_from(n, limit=0):
    if n > limit:
        raise ValueError(f"{n} is above {limit}")
    return n


@step
def fail_chained(n):
    try:
        return n // 0
    except ZeroDivisionError as error:
        error.add_note("from the inside")
        raise Bad("chained", n) from error


@step
def numbers(n):
    return list(range(n))


@step
def table(n):
    return {"a": n, "b": [n, n]}


@step
def rows(n):
    return [[k, k + 1] for k in range(n)]


@step
def make_box(n):
    return Box(n, [n])


@step
def pair(a, b):
    return a, b


@step
def point(x, y):
    return Point(x, y)


@step
def queue(*items):
    return deque(items, maxlen=9)


@step
def total(items):
    return sum(items)


@step
def name_of(n):
    return f"<{n}>"


@step
def nothing(*_, **__):
    return None


@step
def spawn(n):
    return [n - 1, n - 2] if n > 1 else []


@step
async def later(n, *, by=1):
    return n + by


@step
def only_positional(a, b=5, /):
    return a * b


@step
def only_keyword(*, a, b=7):
    return a - b


@step
def anything(*args, **kwargs):
    return list(args), dict(kwargs)


@step(name="renamed", retries=1)
def titled(n):
    return n + 100


@step
def load(month):
    return [month * 10 + day for day in range(3)]


@step
def check(data):
    return Report(all(n >= 0 for n in data), tuple(n for n in data if n < 0))


@step
def train(data, kind):
    return Model(kind).fit(data)


@step
def evaluate(model, data):
    return sum(model.predict(n) for n in data) % 1000


@step
def improve(weight, epoch):
    return weight * 0.5 + epoch


root = step(math.isqrt)
CHAIN = (inc, double)
TABLE = {"one": 1, "two": 2}


def push(items, n):
    items.append(n)


def bump(store, key, by=1):
    store[key] = store.get(key, 0) + by


def same(value):
    return value


def broken(items, count):
    for index, item in enumerate(items):
        if index == count:
            raise Bad("broken", index)
        yield item


def up_to(n):
    yield from range(n)


def first(iterator):
    return next(iter(iterator))


class Countable:
    """An old-style sequence: it iterates through ``__getitem__``."""

    def __init__(self, n):
        self.n = n

    def __getitem__(self, index):
        if index >= self.n:
            raise IndexError(index)
        return index * 3


LIMIT = 3
OTHER = 5


@step
def array_of(n):
    return np.arange(n)
