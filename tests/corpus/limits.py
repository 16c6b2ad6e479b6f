# ruff: noqa: F403, F405
# The odd forms are the point of this file.
"""``with limit(...)`` and ``with mutex(...)``: what they hold, and every way to leave them."""

import weft
from weft import limit, mutex, workflow

from .cases import call, cases
from .steps import *


@workflow
def around_calls(n):
    with limit("pool", slots=2):
        a = inc(n)
        b = inc(a)
    with mutex("table"), limit("pool"):
        c = add(a, b)
    with weft.limit(name="pool", slots=1):
        c += inc(c)
    return a, b, c


@workflow
def three_deep(xs):
    out = []
    for x in xs:
        if is_even(x):
            with mutex("outer"):
                try:
                    for y in range(x):
                        with limit("pool-inner"):
                            out.append(inc(y))
                            fail_from(y, 2)
                except ValueError as e:
                    out.append(e.args)
        else:
            with limit("pool-inner", slots=2):
                out.append(inc(x))
    return out


@workflow
def left_early(xs):
    seen = []
    for x in xs:
        with mutex("table"):
            if is_even(x):
                continue
            seen.append(inc(x))
            if x > 4:
                break
            with limit("pool"):
                if x == 3:
                    return "three", seen
    else:
        seen.append("all")
    return seen


@workflow
def failed_inside(n):
    steps = []
    try:
        with mutex("table"):
            steps.append(inc(n))
            with limit("pool"):
                fail(n, kind="bad")
            steps.append("not reached")
    except Bad as e:
        with limit("pool"):
            steps.append(inc(len(e.args)))
    finally:
        with mutex("table"):
            steps.append(inc(n))
    return steps


@workflow
def waits_for_the_one_above(n):
    # The second could have its slot before the first has asked, and what it runs needs what the first makes.
    a = inc(n)
    if a > 1:
        with mutex("table"):
            b = inc(a)
    else:
        b = 0
    with mutex("table"):
        c = inc(5)
        d = add(b, c)
    return b, c, d


@workflow
def turn_waits_for_the_turn_before(xs):
    total = 0
    for x in xs:
        if is_even(x):
            with mutex("table"):
                total = add(total, x)
    return total


@workflow
def part(n, xs):
    with mutex("part"):
        xs.append(inc(n))
        if n > 1:
            return xs
    return inc(len(xs))


@workflow
def around_workflows(n):
    xs = []
    with limit("pool-main", slots=2):
        made = [part(k, [k]) for k in range(n)]
        last = part(n, xs)
    return made, last, xs


@workflow
def given_up_while_it_waits(n):
    try:
        late = inc(inc(n))
        fail(n)
        with limit("pool-main", slots=1):
            return add(late, n)
    except ValueError as e:
        return str(e)


cases(around_calls, call(1))
cases(three_deep, call([1, 2, 4]), call([]))
cases(left_early, call([2, 1, 3, 5]), call([1, 6, 7]), call([2, 1]), call([]))
cases(failed_inside, call(3))
cases(waits_for_the_one_above, call(1), call(-3))
cases(turn_waits_for_the_turn_before, call([2, 3, 4, 6]))
cases(part, call(0, []), call(2, [1]))
cases(around_workflows, call(0), call(3))
cases(given_up_while_it_waits, call(1))
