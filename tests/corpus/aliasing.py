# ruff: noqa: F403, F405, RUF005
# The odd forms are the point of this file.
"""Two names of one object, containers that hold each other, change in place through any of them."""

from weft import workflow

from .cases import call, cases
from .steps import *


@workflow
def two_names(n):
    a = b = []
    y = inc(n)
    a.append(y)
    return a, b


@workflow
def name_of_a_name(n):
    a = [n]
    b = a
    b += [inc(n)]
    c = b
    c.append(double(n))
    b = b + [0]
    b.append(1)
    return a, b, c


@workflow
def rows_of_a_table(n):
    grid = rows(n)
    for r in grid:
        r.append(inc(len(r)))
    return grid


@workflow
def dicts_of_a_list(n):
    configs = [{"s": 0}, {"s": 1}]
    for c in configs:
        c["s"] = inc(c["s"], by=n)
    return configs


@workflow
def one_of_two(n):
    a, b = [1], [2]
    c = a if is_even(n) else b
    c.append(inc(n))
    d = a or b
    d.append(0)
    return a, b, c


@workflow
def setdefault_groups(n):
    groups = {}
    for x in numbers(n):
        groups.setdefault(name_of(x % 2), []).append(inc(x))
    odd = groups.setdefault("odd", [])
    odd.append(double(n))
    return groups


@workflow
def item_of_item(n):
    grid = [[[0]]]
    inner = grid[0][0]
    inner.append(inc(n))
    grid[0].append(inner)
    grid[0][1].append(double(n))
    return grid, inner


@workflow
def put_into_container(n):
    x = [n]
    store = {"x": x}
    y = inc(n)
    store["x"].append(y)
    x.append(double(y))
    return store, x


@workflow
def attribute_of_object(n):
    box = Box(0)
    held = box.items
    held.append(inc(n))
    box.items.append(double(n))
    box.items = [9]
    held.append(1)
    return box, held


@workflow
def helper_changes(n):
    xs = []
    push(xs, inc(n))
    ys = xs
    push(ys, double(n))
    store = {}
    bump(store, name_of(n), by=inc(n))
    bump(store, name_of(n))
    return xs, ys, store


@workflow
def method_changes(n):
    box = Box(n)
    other = box
    box.bump(inc(n))
    other.bump()
    a = inc(box.n)
    return box, other, a


@workflow
def model_fitted_in_place(n):
    model = Model("linear")
    data = numbers(n)
    model.fit(data)
    best = model
    best.fit(load(n))
    return model.weight, best.seen, model.kind


@workflow
def hold_each_other(n):
    a = {"n": inc(n)}
    b = [a]
    a["b"] = b
    b.append(double(n))
    return len(a["b"]), a["b"][0]["n"], b[0]["b"][1], a


@workflow
def holds_itself(n):
    xs = [n]
    xs.append(xs)
    y = inc(n)
    xs[1].append(y)
    return xs, len(xs[1][1])


@workflow
def equal_but_not_one(n):
    a = []
    b = []
    c = inc(n)
    a.append(c)
    return a, b


@workflow
def split_and_joined(n):
    a = b = [0]
    if is_even(n):
        a = [1]
    a.append(inc(n))
    b.append(double(n))
    return a, b


@workflow
def through_tuple(n):
    xs = [n]
    t = (xs, 1)
    inc(n)
    t[0].append(inc(n))
    a, _ = t
    a.append(2)
    return xs, t


@workflow
def through_star(n):
    xs = [1]
    head, *rest = [xs, [2], [3]]
    rest[0].append(inc(n))
    head.append(double(n))
    return xs, rest


@workflow
def through_helper_result(n):
    xs = [n]
    ys = same(xs)
    ys.append(inc(n))
    zs = max([xs, [0]])
    zs.append(double(n))
    return xs, ys, zs


@workflow
def twins_from_a_step(n):
    a, b = ident([[n]] * 2)
    a.append(inc(n))
    return a, b


@workflow
def swapped_objects(n):
    a, b = [1], [2]
    c = a
    a, b = b, a
    a.append(inc(n))
    b.append(double(n))
    return a, b, c


@workflow
def slice_is_a_copy(n):
    xs = [[1], [2]]
    ys = xs[:]
    ys.append([inc(n)])
    ys[0].append(double(n))
    xs[:1] = [[inc(n)]]
    return xs, ys


@workflow
def argument_is_changed(xs, store):
    xs.append(inc(1))
    store["xs"] = xs
    store["xs"].append(double(2))
    return xs, store


@workflow
def arguments_share(xs, ys):
    xs.append(inc(1))
    ys.append(double(1))
    return xs, ys


@workflow
def dict_values_change(n):
    store = {"a": [1], "b": [2]}
    for k, v in store.items():
        v.append(inc(len(k)))
    for v in store.values():
        v.append(double(n))
    return store


@workflow
def default_of_get(n):
    store = {"a": [1]}
    got = store.get("a", [])
    got.append(inc(n))
    missing = store.get("z", [])
    missing.append(double(n))
    return store, got, missing


@workflow
def changed_while_it_waits(n):
    xs = [n]
    a = total(xs)
    xs.append(10)
    b = total(xs)
    xs.clear()
    return a, b, xs


@workflow
def sorted_in_place(n):
    xs = [3, 1, inc(n)]
    ys = xs
    xs.sort(key=lambda v: -v)
    zs = sorted(ys)
    ys.reverse()
    inc(0)
    return xs, ys, zs, xs.pop(), ys


@workflow
def kept_in_a_loop(n):
    last = None
    seen = []
    for k in range(n):
        row = [inc(k)]
        seen.append(row)
        if last is not None:
            last.append(double(k))
        last = row
    return seen, last


@workflow
def same_row_again(n):
    row = []
    seen = []
    for k in range(n):
        row.append(inc(k))
        seen.append(row)
    return seen


cases(two_names, call(1))
cases(name_of_a_name, call(1))
cases(rows_of_a_table, call(3), call(0))
cases(dicts_of_a_list, call(2))
cases(one_of_two, call(2), call(3))
cases(setdefault_groups, call(4), call(0))
cases(item_of_item, call(1))
cases(put_into_container, call(1))
cases(attribute_of_object, call(1))
cases(helper_changes, call(1))
cases(method_changes, call(1))
cases(model_fitted_in_place, call(3))
cases(hold_each_other, call(1))
cases(holds_itself, call(1))
cases(equal_but_not_one, call(1))
cases(split_and_joined, call(1), call(2))
cases(through_tuple, call(1))
cases(through_star, call(1))
cases(through_helper_result, call(1), call(-1))
cases(twins_from_a_step, call(1))
cases(swapped_objects, call(1))
cases(slice_is_a_copy, call(1))
cases(argument_is_changed, call([1], {}))
_shared = [5]
cases(arguments_share, call([1], [2]), call(_shared, _shared))
cases(dict_values_change, call(1))
cases(default_of_get, call(1))
cases(changed_while_it_waits, call(1))
cases(sorted_in_place, call(1))
cases(kept_in_a_loop, call(3), call(0))
cases(same_row_again, call(3))


@workflow
def view_of_an_array(n):
    whole = array_of(n)
    part = whole[1:]
    k = inc(n)
    part[0] = k
    k = inc(k)
    whole[2] = k
    return whole, part


cases(view_of_an_array, call(4))


@workflow
def local_function_collects(n, xs):
    table = {"seen": []}

    def keep(v):
        xs.append(v)
        table["seen"].append(len(xs))
        return len(xs)

    summed = 0
    for k in numbers(3):
        summed += inc(k) + keep(k)
    return (
        summed,
        [inc(k) + keep(n) for k in numbers(2)],
        sum(inc(k) + keep(k) for k in numbers(2)),
        xs,
        table,
    )


cases(local_function_collects, call(4, [1]))
