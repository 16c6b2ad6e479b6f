"""Workflows whose helpers give back a part, a view or a column of what they were given."""

import numpy as np
import pandas as pd

from weft import step, workflow


@step
def inc(n):
    return n + 1


def middle(a):
    return a[1:3]


def as_square(a):
    return a.reshape(2, 2)


def turned(a):
    return a.T


def flat(a):
    return a.ravel()


def flat_copy(a):
    return a.flatten()


def as_array(a):
    return np.asarray(a)


def reshaped_by_function(a):
    return np.reshape(a, (2, 2))


def middle_of_middle(a):
    return middle(a)[:1]


def both(a):
    left, right = a[:2], a[2:]
    return {"left": left, "right": right}


def by_mask(a):
    return a[a > 1]


def scale(a, by):
    a *= by


def put(a, value):
    a[...] = value


def put_out(a, value):
    np.add(a, value, out=a)


def column(df):
    return df["x"]


def with_column(df, value):
    df["z"] = value
    return df


def with_new_column(df, value):
    df = df.copy()
    df["z"] = value
    return df


def assigned(df, value):
    return df.assign(z=value)


def fill_in_place(df):
    df.fillna(0, inplace=True)


def values_of(df):
    return df.to_numpy()


def frame_of(a):
    return pd.DataFrame(a.reshape(2, 2), columns=["x", "y"])


def inner(rows):
    return rows[0]


def inner_rows(rows):
    return [row for row in rows if row]


def pairs(rows, others):
    return list(zip(rows, others, strict=True))


@workflow
def slice_written_later(a):
    v = middle(a)
    v[0] = inc(9)
    w = middle_of_middle(v)
    w[0] = inc(w[0])
    return a, v, w


@workflow
def base_written_later(a):
    v = middle(a)
    a[1] = inc(20)
    x = inc(v[0])
    a += x
    return v, a


@workflow
def square_written_by_helper(a):
    v = as_square(a)
    x = inc(1)
    scale(v, x)
    y = inc(int(a[0]))
    put(turned(v), y)
    return a, v


@workflow
def flat_and_turned(a):
    v = flat(turned(as_square(a)))
    v[0] = inc(50)
    w = flat(a)
    w[1] = inc(60)
    u = flat_copy(a)
    u[2] = inc(70)
    return a, v, w, u


@workflow
def through_functions(a):
    v = as_array(a)
    v[0] = inc(7)
    w = reshaped_by_function(a)
    w[1, 1] = inc(8)
    put_out(w, inc(0))
    return a, v, w


@workflow
def parts_in_a_dict(a):
    parts = both(a)
    parts["left"][0] = inc(5)
    x = inc(int(a[0]))
    put(parts["right"], x)
    return a, parts


@workflow
def mask_is_a_copy(a):
    v = by_mask(a)
    v[0] = inc(90)
    return a, v


@workflow
def written_in_a_loop(a):
    for k in range(3):
        v = a[k : k + 1]
        put(v, inc(k))
    return a


@workflow
def views_made_in_a_loop(a):
    parts = []
    for k in range(3):
        parts.append(middle(a))
        inc(k)
    parts[1][0] = inc(33)
    return a, parts


@workflow
def column_added_by_helper(df):
    other = with_column(df, inc(1))
    x = inc(int(df["z"].sum()))
    other["w"] = x
    return df, other


@workflow
def column_added_to_a_copy(df):
    other = with_new_column(df, inc(1))
    third = assigned(df, inc(2))
    other["w"] = inc(3)
    third["w"] = inc(4)
    return df, other, third


@workflow
def column_taken(df):
    col = column(df)
    x = inc(int(col.iloc[0]))
    df["x"] = df["x"] + x
    y = inc(int(col.iloc[0]))
    return df, col, y


@workflow
def filled_in_place(df):
    df.loc[0, "x"] = None
    fill_in_place(df)
    x = inc(int(df["x"].iloc[0]))
    return df, x


@workflow
def lists_in_lists(rows):
    row = inner(rows)
    row.append(inc(1))
    kept = inner_rows(rows)
    kept[-1].append(inc(2))
    both_ = pairs(rows, kept)
    both_[0][1].append(inc(3))
    return rows, row, kept, both_


@workflow
def frames_in_a_loop(df):
    frames = [with_new_column(df, inc(k)) for k in range(3)]
    total = inc(sum(int(frame["z"].iloc[0]) for frame in frames))
    return frames, total, df
