# ruff: noqa: B008, C416, E731, F403, F405, F722, F821, F841
# The odd forms are the point of this file.
"""Names: what binds them, what unbinds them, and on which paths."""

from contextlib import suppress

from weft import workflow

from . import steps as lib
from .cases import call, cases
from .steps import *


@workflow
def plain_chain(n):
    a = inc(n)
    b = double(a)
    return b


@workflow
def tuple_targets(n):
    a, b = pair(n, inc(n))
    (c, d), e = pair(a, b), double(b)
    [f, g] = pair(c, d)
    return a, b, c, d, e, f, g


@workflow
def star_targets(n):
    first_one, *rest = numbers(n)
    *head, last = [inc(n), *rest, 9]
    a, (b, *c), d = 1, numbers(n), double(n)
    return first_one, rest, head, last, a, b, c, d


@workflow
def unpacking_fails(n):
    a, b = numbers(n)
    return a, b


@workflow
def chain_of_targets(n):
    box = Box(0)
    store = {}
    a = store["k"] = box.n = inc(n)
    return a, store, box.n


@workflow
def swaps(n):
    a, b = inc(n), double(n)
    a, b = b, a
    xs = [a, b, 3]
    xs[0], xs[2] = xs[2], inc(xs[0])
    i = 0
    i, xs[i] = 2, double(n)
    return a, b, xs, i


@workflow
def target_order(n):
    trace = []
    store = {}

    def key(k):
        trace.append(k)
        return k

    store[key("a")], store[key("b")] = pair(n, 2)
    return store, trace


@workflow
def subscript_target_after_value(n):
    store = {}
    store[name_of(n)] = fail_from(n, 3)
    return store


@workflow
def augmented_everywhere(n):
    a = 1
    a += inc(n)
    xs = [1, 2]
    xs[0] += double(n)
    xs += numbers(n)
    xs[name_index(n)] -= inc(n)
    store = {"k": 1}
    store["k"] *= inc(n)
    box = Box(2)
    box.n **= inc(1)
    box.items += [inc(n)]
    s = "x"
    s += name_of(n)
    u = {1}
    u |= {inc(n)}
    return a, xs, store, box.n, box.items, s, u


def name_index(n):
    return n % 2


@workflow
def augmented_unbound_first(n):
    if n > 1:
        c = 0
    try:
        c += fail(n)
    except UnboundLocalError:
        return "unbound"
    except ValueError:
        return "failed"


@workflow
def augmented_missing_key(n):
    store = {"k": 1} if n else {}
    try:
        store["k"] += fail(n)
    except (KeyError, ValueError) as e:
        return type(e).__name__
    return store


@workflow
def augmented_tuple_item(n):
    t = ([1],)
    try:
        t[0] += [inc(n)]
    except TypeError as e:
        return t, str(e)
    return t


@workflow
def walrus_everywhere(n):
    if (a := inc(n)) > 2 and (b := double(a)):
        c = a + b
    else:
        c = a
    xs = [d := inc(c), d + 1]
    while_sum = 0
    return a, c, xs, d, [e := double(x) for x in xs if (f := x) > 0], e, f, while_sum


@workflow
def walrus_on_some_paths(n):
    ok = n > 2 and (b := inc(n)) > 0
    try:
        return ok, b
    except UnboundLocalError as e:
        return ok, e.args


@workflow
def bound_on_one_side(n):
    if n > 1:
        a = inc(n)
    return a


@workflow
def bound_on_both_sides(n):
    if is_even(n):
        a, b = inc(n), 1
    elif n > 4:
        a = double(n)
        b = 2
    else:
        a = b = 0
    return a, b


@workflow
def deleted(n):
    a = inc(n)
    b = [a, 2, 3]
    del a, b[0]
    try:
        return a
    except NameError:
        return b


@workflow
def deleted_in_loop(n):
    x = 1
    seen = []
    for i in range(n):
        seen.append(inc(x))
        del x
        if i % 2 == 0:
            x = double(i)
    return seen, x


@workflow
def chained_comparison(n):
    return inc(n) < double(n) <= fail_from(n, 6), 1 < inc(n) < 4 < inc(9)


@workflow
def short_circuits(n):
    a = n and inc(n) and fail_from(n, 3)
    b = n or inc(n)
    c = not is_even(n) or name_of(n)
    return a, b, c, (None or [] or inc(n)), (n > 100 and fail(n))


@workflow
def conditional_expressions(n):
    a = inc(n) if is_even(n) else double(n)
    b = fail(n) if n > 100 else (inc(a) if a else 0)
    return a, b


@workflow
def nested_calls(n):
    return add(inc(n), double(inc(n)), add(inc(1, by=inc(2)), start=double(n)))


@workflow
def formatted(n):
    width = inc(6)
    return f"{inc(n):>{width}}|{name_of(n)!r}|{double(n)=}|{n}|{f'{inc(n)}'}"


@workflow
def formatted_in_turn(n):
    xs = [1]
    return f"{xs} {add(len(xs), n)} {xs.append(2)} {inc(len(xs))} {xs}"


@workflow
def displays(n):
    store = {"z": 0, **table(n), name_of(n): inc(n), "b": double(n)}
    return [inc(n), *numbers(n), n], {inc(n), n}, (double(n),), store, {*numbers(n)}


@workflow
def subscripts(n):
    xs = [10, 20, 30, 40]
    return xs[inc(n) % 4], xs[double(n) % 3 : inc(n)], numbers(5)[n % 5], table(n)["b"][0], xs[:: inc(1)]


@workflow
def attributes_of_results(n):
    return make_box(n).items, make_box(n).bump(2).n, point(n, 2).x, name_of(n).upper().strip("<")


@workflow
def closures(n):
    k = inc(n)
    scale = lambda v, *, m=3: v * k + m
    a = double(n)

    def shift(v, by=a):
        return v + k + by

    return scale(a), scale(a, m=inc(0)), shift(a), list(map(scale, numbers(3)))


@workflow
def closure_changes_its_capture(n):
    out = []

    def keep(v):
        out.append(v)
        return len(out)

    a = inc(n)
    keep(a)
    b = double(a)
    keep(b)
    return out, keep(inc(b))


@workflow
def steps_in_defaults(n):
    def shift(v, by=inc(n), *, more=double(n)):
        return v + by + more

    scale = lambda v, k=inc(1): v * k
    a = double(n)
    return shift(a), scale(shift(1, more=0)), shift(1, 2)


@workflow
def inner_scopes_shadow(n):
    x = inc(n)
    ys = [x for x in numbers(3)]
    zs = [inc(x) for x in [x, x + 1]]
    f = lambda x: x * 10
    return x, ys, zs, f(double(x)), [[inc(x) for x in range(x)] for x in range(3)], x


@workflow
def star_and_annotations(n):
    a: int = inc(n)
    b: "no such name at all" = double(a)
    c: list[int]
    try:
        return a, b, c
    except UnboundLocalError:
        return a, b


@workflow
def local_import(n):
    import math
    from collections import Counter

    a = inc(n)
    return math.gcd(a, 6), Counter([a, a, n])


@workflow
def local_class(n):
    class Local:
        def __init__(self, v):
            self.v = v

        def get(self):
            return self.v * 2

    return [Local(n).get(), inc(n)]


@workflow
def module_attributes(n):
    return lib.inc(n) + lib.double(lib.TABLE["two"]), lib.root(n * n), lib.titled(n)


@workflow
def globals_are_read(n):
    return inc(TABLE["one"], by=len(CHAIN)) + n


@workflow
def rebinds_parameters(n, xs):
    n = inc(n)
    xs = [*xs, n]
    return n, xs


@workflow
def old_version_kept(n):
    xs = [1]
    a = inc(n)
    try:
        a // 0
        xs = []
    except ZeroDivisionError:
        return xs, a


@workflow
def types_survive(n):
    return (
        True,
        1,
        1.0,
        -0.0,
        1j,
        b"x",
        None,
        ...,
        frozenset({n}),
        Point(n, 2),
        range(n),
        slice(1, inc(n)),
        float("nan"),
    ), ident(Point(1, (2,)))


@workflow
def unpacked_and_deleted(n, x):
    a, x = pair(n, 2)
    del x
    try:
        return a, x
    except NameError:
        return a


@workflow
def deleted_by_finally(n):
    try:
        k = inc(n)
    finally:
        del n
    try:
        n += fail(k)
    except UnboundLocalError:
        return "unbound"


@workflow
def bound_where_a_failure_was_suppressed(n):
    with suppress(ZeroDivisionError):
        k = 3 // n
    try:
        k += fail(1)
    except UnboundLocalError:
        return "unbound"
    except ValueError:
        return "failed"


@workflow
def deleted_before_a_failure(n):
    try:
        if inc(n) > 1:
            del n
        fail(1)
        n = 3
    except ValueError:
        pass
    try:
        n += fail(2)
    except UnboundLocalError:
        return "unbound"
    except ValueError:
        return "failed", n


@workflow
def deleted_by_the_round_before(n):
    done = 0
    try:
        for k in numbers(3):
            n += fail(1) if k else inc(k)
            done += n
            del n
    except UnboundLocalError:
        return "unbound", done


cases(plain_chain, call(3))
cases(tuple_targets, call(3))
cases(star_targets, call(3), call(1), call(0))
cases(unpacking_fails, call(2), call(3), call(1))
cases(chain_of_targets, call(3))
cases(swaps, call(3))
cases(target_order, call(3))
cases(subscript_target_after_value, call(3), call(4))
cases(augmented_everywhere, call(3), call(0))
cases(augmented_unbound_first, call(1), call(2))
cases(deleted_by_finally, call(1))
cases(bound_where_a_failure_was_suppressed, call(0), call(1))
cases(deleted_before_a_failure, call(0), call(2))
cases(deleted_by_the_round_before, call(2))
cases(augmented_missing_key, call(0), call(1))
cases(augmented_tuple_item, call(1))
cases(walrus_everywhere, call(3), call(0))
cases(walrus_on_some_paths, call(3), call(0))
cases(bound_on_one_side, call(3), call(0))
cases(bound_on_both_sides, call(2), call(3), call(5))
cases(deleted, call(1))
cases(deleted_in_loop, call(1), call(2), call(0))
cases(chained_comparison, call(3), call(0), call(9))
cases(short_circuits, call(0), call(3), call(5))
cases(conditional_expressions, call(2), call(3))
cases(nested_calls, call(3))
cases(formatted, call(3))
cases(formatted_in_turn, call(3))
cases(displays, call(3))
cases(subscripts, call(3))
cases(attributes_of_results, call(3))
cases(closures, call(3))
cases(closure_changes_its_capture, call(3))
cases(steps_in_defaults, call(3))
cases(inner_scopes_shadow, call(2))
cases(star_and_annotations, call(2))
cases(local_import, call(2))
cases(local_class, call(2))
cases(module_attributes, call(2))
cases(globals_are_read, call(2))
cases(rebinds_parameters, call(2, [1]))
cases(old_version_kept, call(2))
cases(types_survive, call(2))
cases(unpacked_and_deleted, call(1, 5))
