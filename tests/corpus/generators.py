# ruff: noqa: B905, C400, C401, C402, C416, F403, F405, F841
# The odd forms are the point of this file.
# ruff: noqa: B905, C400, C401, C402, C416, F403, F405, F841
# The odd forms are the point of this file.
"""Generators handed to a call: they arrive as iterators, and fail only where the consumer gets to."""

import itertools

from weft import workflow

from .cases import call, cases
from .steps import *


@workflow
def any_and_all(xs):
    return any(is_even(x) for x in xs), all(is_even(x) for x in xs)


@workflow
def any_stops_before_the_failure(xs):
    return any(fail_from(x, 2) > 1 for x in xs)


@workflow
def next_of(xs):
    return next((inc(x) for x in xs), "none"), next(y for x in xs if (y := inc(x)) > 2)


@workflow
def next_stops_before_the_failure(xs):
    return next(fail_from(x, 2) for x in xs)


@workflow
def zipped(xs):
    return list(zip((inc(x) for x in xs), (double(x) for x in xs[1:]))), dict(zip("ab", (inc(x) for x in xs)))


@workflow
def zip_stops_before_the_failure(xs):
    return [a + b for a, b in zip([1, 2], (fail_from(x, 2) for x in xs))]


@workflow
def consumers(xs):
    return (
        sum(inc(x) for x in xs),
        sum((inc(x) for x in xs), 10),
        sorted((inc(x) for x in xs), reverse=True),
        max((double(x) for x in xs), default=-1),
        min((double(x) for x in xs), default=-1, key=lambda v: -v),
        list(inc(x) for x in xs),
        set(inc(x) for x in xs),
        tuple(inc(x) for x in xs),
        dict((x, inc(x)) for x in xs),
        ",".join(name_of(x) for x in xs),
        list(enumerate(inc(x) for x in xs)),
        list(map(str, (inc(x) for x in xs))),
        list(itertools.islice((inc(x) for x in xs), 1)),
        list(itertools.takewhile(lambda v: v < 3, (inc(x) for x in xs))),
        first(itertools.chain((inc(x) for x in xs), [0])),
    )


@workflow
def passed_to_a_step(xs):
    return total(inc(x) for x in xs), inc(sum(double(x) for x in xs))


@workflow
def helper_reads_one(xs):
    return first(fail_from(x, 2) for x in xs)


@workflow
def failure_reaches_the_consumer(xs):
    try:
        return sum(fail_from(x, 2) for x in xs)
    except ValueError as e:
        return str(e)


@workflow
def filter_and_nest(xs):
    return list(inc(y) for x in xs if is_even(x) for y in range(x)), any(
        any(is_even(y) for y in range(x)) for x in xs
    )


@workflow
def first_source_fails_at_once(n):
    try:
        return any(inc(x) for x in n)
    except TypeError as e:
        return str(e)


@workflow
def iterable_fails_midway(n):
    try:
        return list(inc(x) for x in broken([1, 2, 3], n))
    except Bad as e:
        return e.args


@workflow
def stops_before_the_iterable_fails(n):
    return any(is_even(x) for x in broken([1, 2, 3], n))


@workflow
def looped_over(n):
    return [inc(x) for x in (v for v in numbers(n) if v != 1)], [
        x for x in map(str, (inc(v) for v in range(n)))
    ]


@workflow
def appended_generator(xs):
    out = []
    out.extend(inc(x) for x in xs)
    out.extend([double(x) for x in xs])
    return out


@workflow
def failure_of_a_deferred_consumer(n):
    for _ in range(1):
        unused = sum(fail(x) for x in numbers(n))
    return n


@workflow
def loop_over_a_generator(n):
    out = []
    for x in (inc(k) for k in numbers(n)):
        out.append(x)
    for x in (inc(k) for k in numbers(n)):
        out.append(double(x))
    return out


@workflow
def changes_in_a_generator_read_to_its_end(n):
    xs = numbers(n)
    return sum(inc(xs.pop()) for _ in range(n)), xs, ",".join(name_of(len(xs)) for _ in numbers(n))


@workflow
def begun_before_the_next_argument(xs):
    return list(zip((x for x in xs), (inc(x) for x in xs[:2])))


class Source:
    def __init__(self, found):
        self.found = found

    def read(self):
        if self.found is None:
            raise KeyError("nothing to read")
        return self.found

    def stream(self):
        yield from self.found


@workflow
def begun_with_what_a_call_gives(found):
    source = Source(found)
    return list(zip((x for x in source.read()), [fail_from(2, 3)], (inc(x) for x in [1])))


@workflow
def begun_with_what_cannot_be_stored(found):
    source, table = Source(found), {"a": found}
    streamed = list(zip((x + 1 for x in source.stream()), [inc(1), inc(2)]))
    viewed = list(zip((k for k, _ in table.items()), (x for x in table["a"]), [fail_from(1, 3)]))
    return streamed, viewed, list(zip((k * 2 for k in itertools.count()), [inc(7)]))


@workflow
def begun_before_a_failure(found):
    source = Source(found)
    try:
        return list(zip((x for x in source.read()), [fail_from(3, 3)]))
    except (KeyError, TypeError, Bad, ValueError) as error:
        return type(error).__name__, str(error)


cases(begun_with_what_a_call_gives, call([1, 2]), call(5), call(None))
cases(begun_with_what_cannot_be_stored, call([4, 5]), call([]), call(None))
cases(begun_before_a_failure, call([1]), call(5), call(None))
cases(any_and_all, call([]), call([1, 2]), call([2]))
cases(any_stops_before_the_failure, call([1, 2, 3]), call([1, 3]), call([]))
cases(next_of, call([1, 2]), call([]), call([0]))
cases(next_stops_before_the_failure, call([1, 9]), call([9, 1]))
cases(zipped, call([1, 2, 3]), call([]))
cases(zip_stops_before_the_failure, call([1, 2, 9]), call([1, 9]))
cases(consumers, call([1, 2, 3]))
cases(passed_to_a_step, call([1, 2, 3]))
cases(helper_reads_one, call([1, 9]), call([9]))
cases(failure_reaches_the_consumer, call([1, 9]), call([1]))
cases(filter_and_nest, call([1, 2, 4]))
cases(first_source_fails_at_once, call(5), call([5]))
cases(iterable_fails_midway, call(1), call(7))
cases(stops_before_the_iterable_fails, call(1), call(2))
cases(looped_over, call(3))
cases(appended_generator, call([1, 2]))
cases(failure_of_a_deferred_consumer, call(2), call(0))
cases(loop_over_a_generator, call(3), call(0))
cases(changes_in_a_generator_read_to_its_end, call(3))
cases(begun_before_the_next_argument, call([1, 2, 3]), call(None))
