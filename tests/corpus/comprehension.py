# ruff: noqa: B023, B905, F403, F405, F841
# The odd forms are the point of this file.
# ruff: noqa: B023, B905, C417, F403, F405, F841
# The odd forms are the point of this file.
"""Comprehensions of each sort, with filters, nested, with names of their own."""

from weft import workflow

from .cases import call, cases
from .steps import *


@workflow
def each_sort(n):
    return (
        [inc(x) for x in numbers(n)],
        {inc(x) % 3 for x in numbers(n)},
        {name_of(x): double(x) for x in numbers(n)},
        tuple(inc(x) for x in numbers(n)),
    )


@workflow
def with_filters(n):
    return (
        [inc(x) for x in numbers(n) if is_even(x) if x < 4],
        [x for x in numbers(n) if is_even(inc(x))],
        [x for x in numbers(n) if x and inc(x) > 2],
    )


@workflow
def two_sources(n):
    return [add(x, y) for x in numbers(n) for y in range(x)], [
        (x, y) for x in numbers(n) if is_even(x) for y in numbers(x) if y
    ]


@workflow
def nested_lists(n):
    return [[add(x, y) for y in range(x)] for x in numbers(n)], [
        total([inc(y) for y in row]) for row in rows(n)
    ]


@workflow
def first_source_is_outside(n):
    x = numbers(n)
    return [inc(x) for x in x], x


@workflow
def inner_walrus_leaks(n):
    xs = [last := inc(x) for x in numbers(n)]
    try:
        return xs, last
    except UnboundLocalError:
        return xs


@workflow
def walrus_in_filter(n):
    kept = [y for x in numbers(n) if (y := inc(x)) > 1]
    return kept, {k: z for k in numbers(n) if (z := double(k)) != 2}


@workflow
def unbound_inside(n):
    if n > 9:
        k = 1
    try:
        return [inc(x, by=k) for x in numbers(n)]
    except NameError as e:
        return "no k"


@workflow
def key_collisions(n):
    return {x % 2: inc(x) for x in numbers(n)}, {name_of(x % 3): x for x in numbers(n)}


@workflow
def failing_item(n):
    try:
        return [fail_from(x, 1) for x in numbers(n)]
    except ValueError as e:
        return str(e)


@workflow
def filter_fails_before_later_items(n):
    try:
        return [inc(x) for x in numbers(n) if 6 // (2 - x)]
    except ZeroDivisionError:
        return "zero"


@workflow
def targets(n):
    return (
        [add(a, *b) for a, *b in rows(n)],
        [inc(v) for i, (v, _) in enumerate(rows(n)) if i],
        {k: ident(v) for k, v in table(n).items()},
    )


@workflow
def in_a_condition(n):
    if [x for x in numbers(n) if is_even(x)]:
        return "some"
    return "none" if not {inc(x) for x in numbers(n)} else "others"


@workflow
def in_an_argument(n):
    return (
        total([inc(x) for x in numbers(n)]),
        add(*[double(x) for x in numbers(n)]),
        anything(**{f"k{x}": inc(x) for x in numbers(n)}),
    )


@workflow
def captured_loop_name(n):
    fs = [lambda v, x=x: v + x for x in numbers(n)]
    y = inc(n)
    return [f(y) for f in fs]


@workflow
def late_binding_inside(n):
    return [f() for f in [lambda: x for x in range(3)]] + [inc(n)]


@workflow
def conditional_element(n):
    return [inc(x) if is_even(x) else double(x) for x in numbers(n)], [
        x or fail_from(x, 0) for x in numbers(n)
    ]


@workflow
def comprehension_in_loop(n):
    out = []
    for k in range(n):
        out.append([add(k, x) for x in range(k)])
    return out


@workflow
def plain_and_mixed(n):
    xs = [x * 2 for x in numbers(n)]
    ys = [inc(x) for x in xs]
    return (
        [x + y for x, y in zip(xs, ys)],
        sorted({x % 3 for x in ys}),
        [y for row in [[inc(x)] for x in xs] for y in row],
    )


@workflow
def objects_are_shared(n):
    box = Box(n)
    boxes = [box for x in numbers(n) if inc(x)]
    box.items.append(inc(n))
    return [b.items for b in boxes]


@workflow
def changes_inside(n):
    out = []
    xs = [out.append(inc(x)) for x in numbers(n)]
    return xs, out


@workflow
def methods_of_results(n):
    return (
        ",".join([name_of(x) for x in numbers(n)]),
        [name_of(x).upper() for x in numbers(n)],
        max([inc(x) for x in numbers(n)], default=None),
    )


for _wf in (
    each_sort,
    with_filters,
    two_sources,
    nested_lists,
    first_source_is_outside,
    inner_walrus_leaks,
    walrus_in_filter,
):
    cases(_wf, call(0), call(1), call(4))


@workflow
def filter_over_rows_that_change(n):
    lists = rows(n)
    kept = [inc(r[0]) for r in lists if len(r) > 1]
    for r in lists:
        r.append(inc(len(r)))
    return kept, [total(r) for r in lists if r[0] % 2 == 0]


@workflow
def inner_target_read_too_early(n):
    x = n
    try:
        return [x for y in numbers(n) if inc(x) for x in range(y)]
    except NameError as e:
        return type(e) in (NameError, UnboundLocalError), x


@workflow
def inner_iterable_reads_its_own_target(n):
    x = n
    try:
        return [inc(x) for y in numbers(n) for x in range(x)]
    except NameError:
        return x


@workflow
def inner_target_is_fresh_each_time(n):
    seen = []
    for k in range(n):
        try:
            seen.append([x for y in (0, 1) if not y or inc(x) for x in range(k, 3)])
        except NameError:
            seen.append(k)
    return seen


@workflow
def mapped_lambda_is_not_kept(n):
    added = list(map(lambda v: v + n, numbers(n)))
    a = inc(total(added))
    n = double(n)
    return added, a, n


@workflow
def filter_reads_what_a_later_filter_binds(n):
    k = 1
    return {x: inc(x) for x in range(n) if k % 2 if (k := x) > 1}, k


@workflow
def filter_reads_what_the_element_changes(n):
    left = numbers(n)
    return [inc(left.pop()) for _ in range(n) if len(left) > 1], left


cases(unbound_inside, call(2), call(10), call(0))
cases(key_collisions, call(5))
cases(failing_item, call(2), call(4))
cases(filter_fails_before_later_items, call(2), call(4))
cases(targets, call(3))
cases(in_a_condition, call(0), call(3))
cases(in_an_argument, call(3))
cases(captured_loop_name, call(3))
cases(late_binding_inside, call(3))
cases(conditional_element, call(4))
cases(comprehension_in_loop, call(3))
cases(plain_and_mixed, call(3))
cases(objects_are_shared, call(2))
cases(changes_inside, call(3))
cases(methods_of_results, call(3), call(0))
cases(filter_over_rows_that_change, call(3), call(0))
cases(inner_target_read_too_early, call(2), call(0))
cases(inner_iterable_reads_its_own_target, call(2))
cases(inner_target_is_fresh_each_time, call(3))
cases(mapped_lambda_is_not_kept, call(3))
cases(filter_reads_what_a_later_filter_binds, call(6), call(0))
cases(filter_reads_what_the_element_changes, call(4), call(0))
