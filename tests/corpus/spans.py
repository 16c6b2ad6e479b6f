# ruff: noqa: F403, F405
# The odd forms are the point of this file.
"""How parallel a program is: the number of waves of step calls, if each takes one unit of time.

A compiler that ran everything in sequence would obey the law; this catches it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from weft import limit, workflow

from .steps import *


@dataclass(frozen=True)
class Span:
    """A call that has ``calls`` step calls and must need ``waves`` of them, one after the other."""

    function: Any
    args: tuple[Any, ...]
    calls: int
    waves: int


@workflow
def list_comprehension(n):
    return [inc(k) for k in range(n)]


@workflow
def dict_comprehension(n):
    return {k: inc(k) for k in range(n)}


@workflow
def set_comprehension(n):
    return {inc(k) for k in range(n)}


@workflow
def generator_to_call(n):
    return sum(inc(k) for k in range(n))


@workflow
def early_stop(n):
    return any(inc(k) > 2 for k in range(n))


@workflow
def nested_comprehension(n):
    return [[add(a, b) for b in range(n)] for a in range(n)]


@workflow
def filtered_by_step(n):
    return [inc(k) for k in range(n) if is_even(k)]


@workflow
def append_loop(n):
    out = []
    for k in range(n):
        out.append(inc(k))
    return out


@workflow
def append_chain_loop(n):
    out = []
    for k in range(n):
        a = inc(k)
        b = double(a)
        out.append((a, b))
    return out


@workflow
def extend_loop(n):
    out = []
    for k in range(n):
        out.extend([inc(k), double(k)])
    return out


@workflow
def augmented_list_loop(n):
    out = []
    for k in range(n):
        out += [inc(k)]
    return out


@workflow
def sum_loop(n):
    total_of = 0
    for k in range(n):
        total_of += inc(k)
    return total_of


@workflow
def dict_by_key(n):
    store = {}
    for k in range(n):
        store[k] = inc(k)
    return store


@workflow
def set_loop(n):
    seen = set()
    for k in range(n):
        seen.add(inc(k))
    return seen


@workflow
def nested_loops(n):
    out = []
    for a in range(n):
        row = []
        for b in range(n):
            row.append(add(a, b))
        out.append(total(row))
    return out


@workflow
def loop_with_branch(n):
    out = []
    for k in range(n):
        if is_even(k):
            out.append(inc(k))
        else:
            out.append(double(k))
    return out


@workflow
def loop_with_continue(n):
    out = []
    for k in range(n):
        if k % 2:
            continue
        out.append(inc(k))
    return out


@workflow
def loop_with_try(n):
    out = []
    for k in range(n):
        try:
            out.append(fail_from(k, 2))
        except ValueError:
            out.append(inc(k))
    return out


@workflow
def independent_chains(n):
    a = inc(n)
    b = double(n)
    a = inc(a)
    b = double(b)
    return add(a, b)


@workflow
def independent_calls(n):
    a, b, c = inc(n), double(n), name_of(n)
    return a, b, c


@workflow
def arguments_in_parallel(n):
    return add(inc(n), double(n), inc(n + 1))


@workflow
def two_loops(n):
    xs = [inc(k) for k in range(n)]
    ys = [double(k) for k in range(n)]
    return xs, ys


@workflow
def map_then_reduce(n):
    xs = [inc(k) for k in range(n)]
    ys = [double(x) for x in xs]
    return total(ys)


@workflow
def pipelined(n):
    xs = [inc(k) for k in range(n)]
    return [double(x) for x in xs]


@workflow
def part(n):
    return double(inc(n))


@workflow
def inlined_in_loop(n):
    return [part(k) for k in range(n)]


@workflow
def inlined_in_append_loop(n):
    out = []
    for k in range(n):
        out.append(part(k))
    return out


@workflow
def unrolled_kinds(n):
    return [train(load(n), kind) for kind in ("a", "b", "c")]


@workflow
def both_arms_ready(n):
    a = inc(n)
    if n > 1:
        b = double(n)
    else:
        b = name_of(n)
    return a, b


@workflow
def items_of_rows(n):
    grid = [[k] for k in range(n)]
    for row in grid:
        row.append(inc(row[0]))
    return grid


@workflow
def configurations(n):
    configs = [{"s": k} for k in range(n)]
    for c in configs:
        c["s"] = inc(c["s"])
    return configs


@workflow
def epochs(n):
    weight = 1.0
    for epoch in range(n):
        weight = improve(weight, epoch)
    return weight


@workflow
def break_is_a_guard(n):
    for k in range(n):
        if inc(k) > 100:
            break
    return k


@workflow
def guard_holds_back(n):
    if inc(n) > 100:
        return None
    return double(n)


@workflow
def chain(n):
    return inc(inc(inc(n)))


@workflow
def effects_keep_place(n):
    a = inc(n)
    nothing(a)
    return double(n)


@workflow
def effect_in_loop(n):
    for k in range(n):
        nothing(k)


@workflow
def carried_value(n):
    last, out = 0, []
    for k in range(n):
        last = add(last, k)
        out.append(inc(last))
    return out


# Parallel: the number of waves does not grow with n.
@workflow
def loop_with_limit(n):
    out = []
    for k in range(n):
        with limit("pool"):
            a = inc(k)
            b = add(a, k)
            out.append(b)
    return out


@workflow
def loop_with_limit_around_more(n):
    out = []
    for k in range(n):
        with limit("pool"):
            try:
                a = inc(k) if k else 0
            except ValueError:
                a = 1
            for _ in range(2):
                a = inc(a)
        out.append(a)
    return out


PARALLEL = [
    Span(loop_with_limit, (6,), 12, 2),
    Span(loop_with_limit_around_more, (6,), 17, 3),
    Span(list_comprehension, (6,), 6, 1),
    Span(dict_comprehension, (6,), 6, 1),
    Span(set_comprehension, (6,), 6, 1),
    Span(generator_to_call, (6,), 6, 1),
    Span(early_stop, (6,), 6, 1),
    Span(nested_comprehension, (4,), 16, 1),
    Span(filtered_by_step, (6,), 9, 2),
    Span(append_loop, (6,), 6, 1),
    Span(append_chain_loop, (6,), 12, 2),
    Span(extend_loop, (6,), 12, 1),
    Span(augmented_list_loop, (6,), 6, 1),
    Span(sum_loop, (6,), 6, 1),
    Span(dict_by_key, (6,), 6, 1),
    Span(set_loop, (6,), 6, 1),
    Span(nested_loops, (4,), 20, 2),
    Span(loop_with_branch, (6,), 12, 2),
    Span(loop_with_continue, (6,), 3, 1),
    Span(loop_with_try, (6,), 9, 2),
    Span(independent_chains, (6,), 5, 3),
    Span(independent_calls, (6,), 3, 1),
    Span(arguments_in_parallel, (6,), 4, 2),
    Span(two_loops, (6,), 12, 1),
    Span(map_then_reduce, (6,), 13, 3),
    Span(pipelined, (6,), 12, 2),
    Span(inlined_in_loop, (6,), 12, 2),
    Span(inlined_in_append_loop, (6,), 12, 2),
    Span(unrolled_kinds, (6,), 6, 2),
    Span(both_arms_ready, (6,), 2, 1),
]
# In sequence: what the data or the order of effects demands.
SEQUENCE = [
    Span(epochs, (6,), 6, 6),
    Span(break_is_a_guard, (6,), 6, 6),
    Span(guard_holds_back, (6,), 2, 2),
    Span(chain, (6,), 3, 3),
    Span(effects_keep_place, (6,), 3, 3),
    Span(effect_in_loop, (6,), 6, 6),
    # A loop is a sequence as a whole, so the calls that could run ahead wait too.
    Span(carried_value, (6,), 12, 12),
    # Nothing says that the rows are different objects, and a call reads what another may have changed.
    Span(items_of_rows, (6,), 6, 6),
    Span(configurations, (6,), 6, 6),
]
