# ruff: noqa: F403, F405, PIE804, RUF005
# The odd forms are the point of this file.
"""Evaluation order inside statements, where operands are changed or fail."""

from weft import workflow

from .cases import call, cases
from .steps import *


@workflow
def operands_are_read_in_turn(n):
    xs = [n]
    return xs + [xs.append(5) or inc(n)] + xs


@workflow
def popped_arguments(n):
    xs = [n, n + 1, n + 2]
    return inc(xs.pop(0), by=xs.pop(0)), xs


@workflow
def argument_binds(n):
    return inc((m := n + 1), by=m), m


@workflow
def name_is_rebound_inside(n):
    a = 1
    return a + (a := inc(n)) + a


@workflow
def item_augmented(n):
    trace = []
    store = {"k": 1}

    def key(k):
        trace.append(k)
        return k

    store[key("k")] += add(len(trace), n)
    return store, trace


@workflow
def right_side_first(n):
    trace = []

    def mark(v):
        trace.append(v)
        return v

    store = {}
    store[mark("key")] = mark(inc(n))
    return store, trace


@workflow
def key_before_value(n):
    trace = []

    def mark(v):
        trace.append(v)
        return v

    a = {mark("k"): mark(inc(n)), mark("l"): mark(double(n))}
    b = {mark(x): mark(inc(x)) for x in numbers(2)}
    return a, b, trace


@workflow
def receiver_before_argument(n):
    xs = [[n]]
    xs[0].append(xs.append([inc(n)]))
    return xs


@workflow
def receiver_is_rebound(n):
    out = [1]
    old = out
    out.append((out := [2]) and inc(n))
    return old, out


@workflow
def function_before_arguments(n):
    f = None
    try:
        return f(fail(n))
    except (TypeError, ValueError) as e:
        return type(e).__name__


@workflow
def left_fails_first(n):
    store = {}
    try:
        return store["k"] + fail(n)
    except (KeyError, ValueError) as e:
        return type(e).__name__


@workflow
def right_fails_first(n):
    store = {}
    try:
        return fail(n) + store["k"]
    except (KeyError, ValueError) as e:
        return type(e).__name__


@workflow
def comparison_stops(n):
    trace = []
    result = n < inc(n) < (trace.append("third") or inc(0)) < fail(n)
    return result, trace


@workflow
def starred_in_turn(n):
    xs = [n]
    return add(*xs, xs.append(4) or inc(n), *xs), anything(*xs, n, k=inc(n), **{"z": xs.pop()}), xs


@workflow
def slices_in_turn(n):
    xs = list(range(9))
    return xs[inc(n) : xs.pop() : inc(0)], xs


@workflow
def effects_stand_still(n):
    store = {}
    store["a"] = inc(n)
    nothing(store)
    store["b"] = double(n)
    _ = nothing(store)
    return store


@workflow
def conditional_in_argument(n):
    return inc(double(n) if is_even(n) else fail_from(n, 3), by=n or fail(n))


@workflow
def raise_holds_back(n):
    if n > 1:
        raise Bad("early", n)
    return fail(n)


@workflow
def generator_reads_later(n):
    xs = [1, 2]
    return sum(inc(x) for x in xs) + len(xs), [inc(x) for x in xs if xs.count(x) == 1]


@workflow
def subscript_of_changing(n):
    xs = [5, 6, 7]
    i = 0
    return xs[i] + xs[(i := 1)] + inc(xs[i]), xs[i]


@workflow
def delete_in_turn(n):
    xs = [1, 2, 3, 4]
    del xs[inc(n) % 4], xs[0]
    return xs


@workflow
def two_chains(n):
    a = inc(n)
    b = double(n)
    a = inc(a)
    b = double(b)
    a = inc(a)
    b = double(b)
    return a, b


@workflow
def star_that_is_no_iterable(value):
    try:
        return add(*value, start=inc(1))
    except TypeError as e:
        return str(e).rpartition(".")[2]


@workflow
def keywords_that_are_no_mapping(value):
    try:
        return anything(inc(1), **value)
    except TypeError as e:
        return str(e).rpartition(".")[2]


@workflow
def unbound_value_before_its_target(d):
    try:
        d[name_of(n := 2)] = n
    except NameError:
        return d
    return d, n


@workflow
def value_that_its_target_binds(d, n):
    d[inc(n := 5)] = n
    return d, n


cases(operands_are_read_in_turn, call(1))
cases(popped_arguments, call(1))
cases(argument_binds, call(1))
cases(name_is_rebound_inside, call(1))
cases(item_augmented, call(1))
cases(right_side_first, call(1))
cases(key_before_value, call(1))
cases(receiver_before_argument, call(1))
cases(receiver_is_rebound, call(1))
cases(function_before_arguments, call(1))
cases(left_fails_first, call(1))
cases(right_fails_first, call(1))
cases(comparison_stops, call(1))
cases(starred_in_turn, call(1))
cases(slices_in_turn, call(1))
cases(effects_stand_still, call(1))
cases(conditional_in_argument, call(2), call(3), call(5), call(0))
cases(raise_holds_back, call(1), call(2))
cases(generator_reads_later, call(1))
cases(subscript_of_changing, call(1))
cases(delete_in_turn, call(1))
cases(two_chains, call(1))
cases(star_that_is_no_iterable, call(None), call([1, 2]))
cases(keywords_that_are_no_mapping, call(None), call({"a": 1}))
cases(unbound_value_before_its_target, call({}))
cases(value_that_its_target_binds, call({}, 1))
