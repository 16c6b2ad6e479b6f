# ruff: noqa: B006, F403, F405
# The odd forms are the point of this file.
"""Workflows that call workflows."""

from weft import workflow

from .cases import call, cases
from .steps import *


@workflow
def part(n, by=1):
    a = inc(n, by=by)
    return double(a)


@workflow
def changes_its_list(xs, n):
    xs.append(inc(n))
    ys = xs
    ys.append(0)
    return ys


@workflow
def leaves_early(n):
    if n > 2:
        return "early"
    a = inc(n)
    for k in range(3):
        if add(k, a) > 3:
            return k
    return None


@workflow
def fails(n):
    try:
        return fail_from(n, 1)
    finally:
        inc(n)


@workflow
def recursive_by_hand(n):
    a = part(n)
    a = part(a)
    return part(a, by=part(0))


@workflow
def own_names(n):
    a = 5
    b = part(n)
    by = 7
    return a, b, by, part(a, by)


@workflow
def list_is_changed(n):
    xs = [n]
    got = changes_its_list(xs, n)
    got.append(double(n))
    return xs, got


@workflow
def in_loops(n):
    out = []
    for k in range(n):
        out.append(part(k))
        out.append(leaves_early(k))
    return out, [part(x) for x in out if isinstance(x, int)], {k: leaves_early(k) for k in range(n)}


@workflow
def changed_in_a_loop(n):
    xs = []
    for k in range(n):
        changes_its_list(xs, k)
    return xs


@workflow
def in_branches(n):
    if part(n) > 4 and leaves_early(n):
        return part(n)
    return leaves_early(n) or part(n) if n else fails(n)


@workflow
def in_try(n):
    try:
        a = fails(n)
    except ValueError as e:
        return str(e), part(n)
    else:
        return a
    finally:
        part(0)


@workflow
def in_expressions(n):
    return (
        [part(n), *changes_its_list([1], n)],
        f"{part(n)}",
        inc(part(n), by=part(1)),
        part(n) < part(n + 1) < 3,
    )


@workflow
def wrong_call(n):
    try:
        return part(n, nope=inc(n))
    except TypeError as e:
        return str(e)


@workflow
def missing_argument(n):
    try:
        return changes_its_list([inc(n)])
    except TypeError as e:
        return str(e)


@workflow
def every_parameter(a, /, b, c=3, *rest, d, e=5, **more):
    a = inc(a)
    return a, b, c, rest, d, double(e), more


@workflow
def called_every_way(n):
    xs = [4, 5]
    options = {"d": 1, "z": inc(n)}
    return (
        every_parameter(n, 2, d=1),
        every_parameter(n, inc(n), 3, *xs, **options),
        every_parameter(*numbers(3), d=inc(n), e=0, y=1),
    )


@workflow
def default_is_taken_once(n, by=[]):
    return [*by, inc(n)]


@workflow
def returns_nothing(n):
    inc(n)


@workflow
def uses_nothing(n):
    got = returns_nothing(n)
    returns_nothing(n)
    return got is None, default_is_taken_once(n), default_is_taken_once(n, by=[1])


@workflow
def inner_inner(n):
    return own_names(part(n))


@workflow
def arguments_share(n):
    xs = [n]
    return changes_and_reads(xs, xs)


@workflow
def changes_and_reads(xs, ys):
    xs.append(inc(1))
    return ys, len(ys)


@workflow
def rebinding_stays_inside(xs):
    xs = [*xs, inc(1)]
    xs.append(2)
    return xs


@workflow
def caller_keeps_its_own(n):
    xs = [n]
    ys = rebinding_stays_inside(xs)
    return xs, ys


def make(k):
    @workflow
    def inner(n):
        return inc(n, by=k)

    return inner


with_three = make(3)


@workflow
def captured(n):
    return with_three(n), part(with_three(1))


@workflow
def filled(n):
    found = []
    push(found, inc(n))
    return found


@workflow
def one_workflow_in_two_loops(n):
    a = [filled(k) for k in range(n)]
    b = []
    for k in range(n):
        b.append(filled(k))
    return a, b


@workflow
def grown_by(xs, n):
    xs += [(lambda v: v + n)(x) for x in xs[:2]]
    return inc(len(xs))


@workflow
def parameter_grows_in_a_loop(n):
    xs = numbers(n)
    counts = []
    for k in range(n):
        counts.append(grown_by(xs, k))
    return xs, counts


cases(recursive_by_hand, call(1))
cases(own_names, call(1))
cases(list_is_changed, call(1))
cases(leaves_early, call(1), call(2), call(3))
cases(in_loops, call(3), call(0))
cases(changed_in_a_loop, call(3))
cases(in_branches, call(0), call(1), call(2), call(5))
cases(in_try, call(1), call(2))
cases(in_expressions, call(1))
cases(wrong_call, call(1))
cases(missing_argument, call(1))
cases(every_parameter, call(1, 2, d=4), call(1, 2, 3, 4, 5, d=6, e=7, f=8))
cases(called_every_way, call(1))
cases(uses_nothing, call(1))
cases(inner_inner, call(1))
cases(arguments_share, call(1))
cases(caller_keeps_its_own, call(1))
cases(with_three, call(1))
cases(captured, call(1))
cases(one_workflow_in_two_loops, call(2))
cases(parameter_grows_in_a_loop, call(2))
