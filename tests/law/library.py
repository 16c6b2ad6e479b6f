"""Steps, helpers and classes that generated workflows use. Its text opens every generated module.

Steps are pure: they never change an argument and never return one, which is what the law asks of them.
Helpers (plain functions) may change their argument in place; the law covers that.
"""

import copy
import math
import sys  # noqa: F401 - the programs use it
import time
from contextlib import suppress  # noqa: F401 - the programs use it

from weft import limit, mutex, step, workflow  # noqa: F401 - the programs use them

LIMIT = 3
NAMES = ("ab", "cd", "e")


class Clash(Exception):
    """An exception whose ``args`` are not what its ``__init__`` takes."""

    def __init__(self, left, right):
        super().__init__(f"{left} against {right}")
        self.left = left
        self.right = right


class Missing(LookupError):
    """An exception with a parent that handlers catch too."""


class Halt(BaseException):
    """What ``except Exception`` lets pass."""


class Box:
    """A mutable object with an attribute of each sort."""

    __match_args__ = ("n", "items")

    def __init__(self, n, items):
        self.n = n
        self.items = items

    def __eq__(self, other):
        return type(other) is Box and (self.n, self.items) == (other.n, other.items)

    __hash__ = None

    def __repr__(self):
        return f"Box({self.n}, {self.items})"

    def bump(self, by=1):
        self.n += by
        self.items.append(by)
        return self.n

    def total(self):
        return self.n + sum(self.items)


class Frozen(tuple):
    """A subclass of a builtin: it must come back as itself."""

    __slots__ = ()


@step
def inc(n, by=1):
    return n + by


@step
def add(a, b=2, *more, scale=1):
    return (a + b + sum(more)) * scale % 997


@step
def slow(n):
    time.sleep(n * 7 % 4 / 1000)
    return n + 1


@step
async def later(n, *, by=2):
    return n + by


@step(retries=0, name="halve")
def half(n, /):
    return n // 2


@step
def is_even(n):
    return n % 2 == 0


@step
def fail_if(n, modulus=3, kind="value"):
    if n % modulus == 0:
        if kind == "clash":
            raise Clash(n, modulus)
        if kind == "missing":
            raise Missing(n)
        if kind == "zero":
            return n // 0
        if kind == "halt":
            raise Halt(n)
        raise ValueError(f"{n} divides by {modulus}")
    return n


@step
def slow_fail(n, modulus=2):
    time.sleep(n * 5 % 4 / 1000)
    if n % modulus == 0:
        raise Clash("slow", n)
    return n + 3


@step
def total(*numbers, start=0, **named):
    return start + sum(numbers) + sum(named.values())


@step
def measure(items):
    return sum(items) % 997


@step
def make_list(n):
    return [n + k for k in range(n % 4)]


@step
def shifted(items, by=1):
    return [x + by for x in items][:6]


@step
def make_rows(n):
    return [[n, k] for k in range(1 + n % 3)]


@step
def make_dict(n):
    return {"a": n, "b": n + 1}


@step
def make_bag(n):
    return {"a": [n], "c": [n, n + 1]}


@step
def make_set(n):
    return {n % 8, (n + 3) % 8}


@step
def make_box(n):
    return Box(n, [n + 1])


@step
def pair(a, b):
    return (a, b)


@step
def twins(n):
    """Return one list twice: the two must stay one object."""
    shared = [n]
    return [shared, shared]


@step
def echo(value):
    return copy.deepcopy(value)


@step
def label(n):
    return f"<{n}>"


@step
def nothing(*_, **__):
    return None


@step
def freeze(*items):
    return Frozen(items)


root = step(math.isqrt)
quick = inc.options(name="quick")
STAGES = (inc, half)


def push(items, n):
    items.append(n)
    return len(items)


def bump(table, key, by=1):
    table[key] = table.get(key, 0) + by


def withhold(items, n):
    if n % 2 == 0:
        raise Clash(items, n)
    return len(items)


def held_in(error):
    return error.left if isinstance(error, Clash) else error.args[0]


def refill(items, other):
    items[:] = other[:3]


def same(value):
    return value


def tally(items):
    return sum(items) % 997


def first_above(iterator, bound, default=0):
    for n in iterator:
        if n > bound:
            return n
    return default


def broken_after(items, count):
    """An iterable that fails after ``count`` items."""
    for index, item in enumerate(items):
        if index == count:
            raise Missing(f"after {count}")
        yield item


def countdown(n):
    n = n % 4
    while n > 0:
        yield n
        n -= 1
