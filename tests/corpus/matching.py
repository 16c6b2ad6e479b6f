# ruff: noqa: F403, F405, F841
# The odd forms are the point of this file.
"""``match`` around step calls."""

from weft import workflow

from . import steps as lib
from .cases import call, cases
from .steps import *


@workflow
def literals(value):
    match value:
        case 0 | 1:
            return inc(0)
        case "a":
            return name_of("a")
        case None | True:
            return double(5)
        case -1.5:
            return inc(1.5)
        case _:
            return name_of("other")


@workflow
def sequences(xs):
    match ident(xs):
        case []:
            a = inc(0)
        case [x]:
            a = inc(x)
        case [x, *rest] if len(rest) > 2:
            a = add(x, *rest)
        case [_, (y, z), *_]:
            a = add(y, z)
        case [x, y]:
            a = (x, inc(y))
        case _:
            a = "none"
    return a


@workflow
def mappings(store):
    match store:
        case {"kind": "add", "args": [a, b], **rest}:
            return add(a, b), rest
        case {"kind": str(kind)}:
            return name_of(kind)
        case {}:
            return inc(len(store))


@workflow
def classes(value):
    match value:
        case Box(n=0):
            return "empty"
        case Box(n=n, items=[first_item, *_]):
            return inc(n), double(first_item)
        case Point(x, y) if x == y:
            return inc(x)
        case lib.Point(x=x):
            return double(x)
        case int() | float() as number:
            return inc(number)
        case str(text):
            return name_of(text)
    return "nothing"


@workflow
def guard_with_step(value):
    match value:
        case [x, y] if inc(x) > y:
            return "above", x
        case [x, y] if is_even(y):
            return "even", x, double(y)
        case [x, *_] as whole if fail_from(x, 4):
            return "kept", whole
        case _:
            return "other"


@workflow
def captures_stay_bound(value):
    match value:
        case [a, b] if a > b:
            inc(a)
        case [a, *c]:
            double(a)
    try:
        return a, b
    except UnboundLocalError:
        return a, c


@workflow
def subject_is_a_step(n):
    match inc(n), is_even(n):
        case (1, _):
            return "one"
        case (m, True):
            return double(m)
        case (m, False):
            m = inc(m)
    return m


@workflow
def in_a_loop(values):
    out = []
    for value in values:
        match value:
            case 0:
                continue
            case 9:
                break
            case int(n) if is_even(n):
                out.append(inc(n))
            case [*xs]:
                for x in xs:
                    out.append(double(x))
            case _:
                out.append(name_of(value))
    return out


@workflow
def value_patterns(n):
    match n:
        case lib.OTHER if False:
            return 0
        case _:
            pass
    match inc(n):
        case lib.LIMIT:
            return "limit"
        case lib.OTHER:
            return double(n)
    return n


@workflow
def pattern_fails(value):
    try:
        match value:
            case Box(a, b, c):
                return inc(a)
    except TypeError as e:
        return str(e)


@workflow
def capture_of_a_shared_name(n):
    xs = numbers(n)
    ys = xs
    inc(n)
    match ys:
        case [9, *ys]:
            ys.append(inc(1))
        case _:
            push(ys, inc(n))
    return xs, ys


cases(literals, call(0), call(True), call("a"), call(None), call(-1.5), call([]))
cases(
    sequences,
    call([]),
    call([1]),
    call([1, 2]),
    call([1, 2, 3, 4]),
    call([1, (2, 3)]),
    call("xy"),
    call([1, 2, 3]),
)
cases(mappings, call({"kind": "add", "args": [1, 2], "z": 3}), call({"kind": "x"}), call({"a": 1}))
cases(
    classes,
    call(Box(0)),
    call(Box(2, [3])),
    call(Point(1, 1)),
    call(Point(1, 2)),
    call(1.5),
    call("s"),
    call(None),
    call(Box(1)),
)
cases(guard_with_step, call([3, 2]), call([1, 4]), call([1, 5]), call([9, 11]), call(None))
cases(captures_stay_bound, call([2, 1]), call([1, 2]), call([1]), call(5))
cases(subject_is_a_step, call(0), call(2), call(3))
cases(in_a_loop, call([1, 2, 0, [3, 4], "s", 9, 8]))
cases(value_patterns, call(2), call(4), call(1))
cases(pattern_fails, call(Box(1)), call(1))
cases(capture_of_a_shared_name, call(2), call(0))
