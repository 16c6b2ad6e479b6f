"""The workflows that are simulated: small ones, one for each shape of graph, with steps that are pure functions."""

from __future__ import annotations

from weft import limit, step, workflow

BIG = 3000


class Odd(Exception):
    """What steps here raise."""


@step(retries=2, backoff="300ms")
def inc(n):
    return n + 1


@step(retries=1, backoff="2s")
def double(n):
    return 2 * n


@step(retries=3, backoff="100ms")
def rows(n):
    """Return more than travels in a row of the database."""
    return [n * k % 1009 for k in range(BIG)]


@step
def total(*parts):
    return sum(sum(part) if isinstance(part, list) else part for part in parts)


@step(retries=1, backoff="100ms")
def refuse_odd(n):
    if n % 2:
        raise Odd(n)
    return n


@step
def note(text):
    return None


@workflow
def chain(n):
    a = inc(n)
    b = double(a)
    c = inc(b)
    return inc(c)


@workflow
def diamond(n):
    a = inc(n)
    left = rows(a)
    right = rows(double(a))
    return total(left, right, a)


@workflow
def fan(n):
    made = [double(inc(k)) for k in range(n)]
    return total(made), len(made)


@workflow
def sequence(n):
    value = 0
    for k in range(n):
        value = double(inc(value)) + k
    return value


@workflow
def branches(n):
    kept = []
    for k in range(n):
        if inc(k) % 2:
            kept.append(double(k))
        else:
            kept.append(rows(k)[-1])
    return kept


@workflow
def caught(n):
    found = []
    for k in range(n):
        try:
            found.append(refuse_odd(k))
        except Odd as error:
            found.append(-error.args[0])
        finally:
            last = inc(k)
    return found, last


@workflow
def uncaught(n):
    before = inc(n)
    try:
        parts = [refuse_odd(before + k) for k in range(3)]
    finally:
        done = note("done")
    return total(parts), done


@workflow
def ordered(n):
    note("first")
    a = inc(n)
    note(a)
    if a > 2:
        return double(a)
    note("last")
    return a


@workflow
def early(n):
    for k in range(10):
        found = inc(k)
        if found > n:
            break
    else:
        found = 0
    return found, double(found)


@workflow
def inner(n):
    return double(inc(n)), rows(n)


@workflow
def nested(n):
    a, big = inner(n)
    b, other = inner(a)
    return total(big, other, a, b)


@workflow
def limited(n):
    made = []
    for k in range(n):
        with limit("pool", slots=1):
            made.append(inc(k))
        with limit("wide", slots=2):
            made.append(double(k))
    return total(made)


@workflow
def limited_caught(n):
    try:
        with limit("pool", slots=1):
            a = refuse_odd(n)
    except Odd:
        a = double(n)
    with limit("pool", slots=1):
        b = inc(a)
    return a, b


@workflow
def limited_dropped(n):
    made = []
    try:
        for k in range(n):
            with limit("wide", slots=1):
                made.append(refuse_odd(n - k))
    except Odd:
        with limit("wide", slots=3):
            made = [inc(n)]
    return made


@workflow
def cleaned(n):
    a = 0
    try:
        a = inc(n)
        b = double(a)
        c = rows(b)
        return total(c, a)
    finally:
        note(a)
        note("cleaned")


POOL = (
    (chain, (3,)),
    (diamond, (2,)),
    (fan, (5,)),
    (sequence, (4,)),
    (branches, (4,)),
    (caught, (4,)),
    (uncaught, (4,)),
    (uncaught, (7,)),
    (ordered, (5,)),
    (ordered, (1,)),
    (early, (3,)),
    (nested, (2,)),
    (limited, (3,)),
    (limited_caught, (3,)),
    (cleaned, (4,)),
    (limited_dropped, (3,)),
)
