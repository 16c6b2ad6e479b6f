# ruff: noqa: F403, F405, PIE804
# The odd forms are the point of this file.
"""Parameters of workflows and of steps."""

from weft import workflow

from .cases import call, cases
from .steps import *


@workflow
def every_kind(a, /, b, c=3, *rest, d, e=5, **more):
    return add(a, b, c, *rest, start=inc(d)), double(e), {k: inc(v) for k, v in more.items()}


@workflow
def no_parameters():
    return inc(1)


@workflow
def defaults_of_each_sort(n, scale=2.5, names=("a", "b"), flag=None, kind=Bad):
    return inc(n), scale, names, flag, kind.__name__


@workflow
def parameters_are_changed(n, xs):
    n += inc(n)
    xs += [n]
    del n
    return xs


@workflow
def rest_is_a_tuple(*rest, **more):
    return type(rest).__name__, [inc(x) for x in rest], sorted(more), inc(len(more))


@workflow
def steps_of_each_sort(n):
    return (
        only_positional(n),
        only_positional(n, 2),
        only_keyword(a=n),
        only_keyword(b=n, a=2),
        anything(1, *numbers(n), k=n, **{"z": 1}),
        later(n),
        later(n, by=later(1)),
        titled(n),
        root(n + 8),
        inc.options(retries=3)(n),
        inc(by=n, n=1),
    )


@workflow
def step_refuses(n):
    try:
        only_positional(a=n)
    except TypeError as e:
        return str(e)


@workflow
def duplicate_keyword(n):
    try:
        return anything(k=inc(n), **{"k": 1})
    except TypeError as e:
        return str(e)


@workflow
def keywords_that_clash(text, self=1, cls=2, state=3, args=4):
    return name_of(text), self, cls, state, inc(args)


@workflow
def objects_as_arguments(box, point_, items):
    box.items.append(inc(box.n))
    return box, point_.x, inc(point_.y), [inc(x) for x in items]


@workflow
def single_call(n):
    return inc(n)


@workflow
def unicode_names(größe, 名="x"):
    größe = inc(größe)
    return größe, name_of(名)


cases(every_kind, call(1, 2, d=4), call(1, 2, 3, 4, d=5, e=6, f=7))
cases(no_parameters, call())
cases(defaults_of_each_sort, call(1), call(1, 2.0, (), True))
cases(parameters_are_changed, call(1, [0]))
cases(rest_is_a_tuple, call(), call(1, 2, a=3, b=4))
cases(steps_of_each_sort, call(2))
cases(step_refuses, call(2))
cases(duplicate_keyword, call(2))
cases(keywords_that_clash, call("t"), call("t", self=5, args=6))
cases(objects_as_arguments, call(Box(1), Point(1, 2), {1: 2}))
cases(single_call, call(1))
cases(unicode_names, call(1))
