# ruff: noqa: B007, B905, F403, F405
# The odd forms are the point of this file.
"""Loops: any iterable, any target, collecting, leaving, and what a name is afterwards."""

import functools

from weft import workflow

from .cases import call, cases
from .steps import *


@workflow
def append_loop(n):
    out = []
    for k in range(n):
        out.append(inc(k))
    return out


@workflow
def every_way_to_collect(n):
    xs, ys, zs, store, seen, count, text = [], [], [], {}, set(), 0, ""
    for k in numbers(n):
        xs.append(inc(k))
        ys.extend([double(k), k])
        zs += [inc(k)]
        store[name_of(k)] = double(k)
        seen.add(inc(k) % 3)
        count += double(k)
        text += name_of(k)
    return xs, ys, zs, store, seen, count, text


@workflow
def epochs(n):
    weight = 1.0
    for epoch in range(n):
        weight = improve(weight, epoch)
    return weight


@workflow
def nested(n):
    out = []
    for a in range(n):
        row = []
        for b in range(a):
            row.append(add(a, inc(b)))
        out.append(row)
        out.append(total(row))
    return out


@workflow
def with_else(xs):
    for x in xs:
        if is_even(x):
            found = inc(x)
            break
    else:
        found = double(len(xs))
    return found


@workflow
def with_continue(xs):
    out = []
    for x in xs:
        if is_even(x):
            continue
        out.append(inc(x))
        if x > 6:
            continue
        out.append(0)
    return out


@workflow
def with_return(xs):
    for x in xs:
        y = inc(x)
        if y > 3:
            return y, x
    return "none"


@workflow
def break_out_of_two(xs):
    out = []
    for x in xs:
        for y in xs:
            if add(x, y) > 6:
                break
            out.append((x, y))
        else:
            continue
        out.append(inc(x))
        break
    return out


@workflow
def after_values(xs):
    y = -1
    for x in xs:
        y = inc(x)
        if is_even(x):
            z = double(x)
    try:
        return x, y, z
    except UnboundLocalError as e:
        return y, str(e)


@workflow
def odd_targets(n):
    store = {}
    box = Box(0)
    seen = []
    for store["k"], (box.n, *rest) in [(1, (2, 3, 4)), (inc(n), (double(n),))]:
        seen.append(add(store["k"], box.n, len(rest)))
    return store, box, seen, rest


@workflow
def over_many_iterables(n):
    out = []
    for a, b in enumerate(numbers(n), start=1):
        out.append(inc(a, by=b))
    for a, b in zip(numbers(n), "xyz"):
        out.append(name_of(b) + str(a))
    for k, v in table(n).items():
        out.append((k, ident(v)))
    for k in table(n):
        out.append(name_of(k))
    for c in "ab":
        out.append(name_of(c))
    for x in reversed(numbers(n)):
        out.append(inc(x))
    for x in {3, 1, 2}:
        out.append(double(x))
    for x in up_to(n):
        out.append(inc(x))
    for x in map(str, numbers(n)):
        out.append(name_of(x))
    for x in Countable(n):
        out.append(inc(x))
    for x in iter([inc(n), 2]):
        out.append(inc(x))
    for x in queue(1, 2):
        out.append(inc(x))
    return out


@workflow
def not_iterable(n):
    for x in n:
        inc(x)
    return n


@workflow
def iterable_fails_midway(n):
    out = []
    try:
        for x in broken([1, 2, 3], n):
            out.append(inc(x))
    except Bad as e:
        out.append(e.args)
    else:
        out.append("whole")
    return out


@workflow
def iterable_fails_after_failure(n):
    for x in broken([1, 2, 3], n):
        fail_from(x, 1)
    return n


@workflow
def empty_and_one(xs):
    out = [inc(x) for x in xs]
    total_of = 0
    for x in xs:
        total_of = total_of + double(x)
    return out, total_of


@workflow
def unrolled_steps(n):
    for stage in (inc, double, root):
        n = stage(n)
    return n, stage.name


@workflow
def unrolled_constant(n):
    out = []
    for stage in CHAIN:
        out.append(stage(n))
    return out, [stage(n) for stage in CHAIN], {k: f(n) for k, f in (("i", inc), ("d", double))}


@workflow
def unrolled_with_break(n):
    for name, stage in (("inc", inc), ("double", double), ("inc again", inc)):
        n = stage(n)
        if n > 4:
            break
    else:
        name = "all"
    return n, name


@workflow
def worklist(n):
    todo = [n]
    done = []
    for _ in range(20):
        if not todo:
            break
        item = todo.pop()
        done.append(item)
        todo.extend(spawn(item))
    return done, todo


@workflow
def worklist_from_the_front(n):
    todo, seen = [n], {n}
    for _ in range(12):
        if not todo:
            return sorted(seen)
        for other in spawn(todo.pop(0)):
            if other not in seen:
                seen.add(other)
                todo.append(inc(other, by=0))
    raise Bad("left", len(todo))


@workflow
def rebinds_its_iterable(n):
    xs = numbers(n)
    out = []
    for x in xs:
        xs = [inc(x)]
        out.append(xs)
    return xs, out


@workflow
def rebinds_its_target(n):
    out = []
    for x in numbers(n):
        x = inc(x)
        x += double(x)
        out.append(x)
    return out, x


@workflow
def copies_what_it_changes(n):
    xs = numbers(n)
    for x in list(xs):
        xs.append(inc(x))
    return xs


@workflow
def matrix(n):
    return {(a, b): add(a, b) for a in range(n) for b in range(n) if a != b}


@workflow
def plain_while_inside(n):
    out = []
    for k in range(n):
        m = inc(k)
        while m > 2:
            m -= 2
        out.append(m)
    i = 0
    while i < n:
        i += 1
        if i == 3:
            continue
    else:
        out.append(i)
    return out


@workflow
def loop_in_branch_in_loop(n):
    out = []
    for a in range(n):
        if is_even(a):
            for b in range(a):
                if b == 1:
                    continue
                out.append(inc(b))
        else:
            out.append(-a)
            if a > 2:
                break
    return out, a


@workflow
def carried_and_collected(n):
    last, out = 0, []
    for x in numbers(n):
        y = inc(x)
        out.append(add(last, y))
        last = y
    return out, last


@workflow
def reduce_by_step(xs):
    return functools.reduce(lambda a, b: a + b, [inc(x) for x in xs], 0)


@workflow
def walrus_in_the_iterable(n):
    out = []
    for k in range(m := inc(n)):
        out.append((inc(k), m))
    for x, y in ((m := double(n)), n), (n, 2):
        out.append(add(x, y, m))
    return out, m


@workflow
def target_changed_and_not_read_again(n):
    k = 0
    for k in range(n):
        k += (4, 6)[inc(n) % 2]
    a = inc(n)
    k = double(a)
    return k


@workflow
def slice_of_an_outer_list(n):
    xs = numbers(n)
    sums = []
    for k in range(n):
        part = xs[k:]
        push(part, inc(k))
        sums.append(total(part))
    return xs, sums


@workflow
def from_one_item_to_another(xs):
    state = {"todo": xs, "done": []}
    for x in state["todo"]:
        state["done"].append(inc(x))
        state["last"] = x
    return state


@workflow
def items_replaced_as_they_come(xs):
    holder = {"xs": list(xs), "scores": {name_of(x): x for x in xs}}
    for place, x in enumerate(holder["xs"]):
        holder["xs"][place] = inc(x)
    for name in holder["scores"]:
        holder["scores"][name] = double(holder["scores"][name])
    return holder


@workflow
def rows_of_an_item_change(n):
    table = {"rows": [{"a": k} for k in range(n)]}
    for row in table["rows"]:
        row["b"] = inc(row["a"])
    return table


@workflow
def grows_what_another_name_runs_over(n):
    store = {"a": [n]}
    kept = store["a"]
    for _ in range(2):
        for x in list(store["a"]):
            kept.append(inc(x))
    return store


cases(from_one_item_to_another, call([1, 2]), call([]))
cases(items_replaced_as_they_come, call([1, 2, 3]), call([]))
cases(rows_of_an_item_change, call(2), call(0))
cases(grows_what_another_name_runs_over, call(1))
cases(append_loop, call(0), call(1), call(4))
cases(every_way_to_collect, call(3), call(0))
cases(epochs, call(0), call(4))
cases(nested, call(3))
cases(with_else, call([1, 2]), call([1, 3]), call([]))
cases(with_continue, call([1, 2, 3, 7]))
cases(with_return, call([1, 2, 3]), call([1]), call([]))
cases(break_out_of_two, call([1, 2, 5]), call([1]))
cases(after_values, call([1, 2, 3]), call([1]), call([]))
cases(odd_targets, call(3))
cases(over_many_iterables, call(3), call(0))
cases(not_iterable, call(3))
cases(iterable_fails_midway, call(0), call(2), call(9))
cases(iterable_fails_after_failure, call(2), call(1))
cases(empty_and_one, call([]), call([4]))
cases(unrolled_steps, call(3))
cases(unrolled_constant, call(3))
cases(unrolled_with_break, call(1), call(3), call(-9))
cases(worklist, call(4), call(0))
cases(worklist_from_the_front, call(4), call(1), call(40))
cases(rebinds_its_iterable, call(2), call(0))
cases(rebinds_its_target, call(3), call(0))
cases(copies_what_it_changes, call(3))
cases(matrix, call(3))
cases(plain_while_inside, call(5))
cases(loop_in_branch_in_loop, call(4), call(2))
cases(carried_and_collected, call(3))
cases(reduce_by_step, call([1, 2]), call([]))
cases(walrus_in_the_iterable, call(2), call(0))
cases(target_changed_and_not_read_again, call(3), call(0))
cases(slice_of_an_outer_list, call(3))
