"""The comparison is stricter than ``==``."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from decimal import Decimal

import pytest

from .compare import Outcome, difference, outcome_difference, outcome_of
from .library import Box, Clash, Frozen

Pair = namedtuple("Pair", "a b")
NAN = float("nan")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, True),
        (1, 1.0),
        (0.0, -0.0),
        ((1,), [1]),
        ((1, 2), Pair(1, 2)),
        ((1,), Frozen((1,))),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"a": 1}, OrderedDict(a=1)),
        ({1}, {True}),
        ([1, [2, (3, {"x": [4]})]], [1, [2, (3, {"x": [5]})]]),
        (Box(1, [2]), Box(1, [2.0])),
        (Decimal("1.0"), Decimal("1.00")),
        (b"x", "x"),
        (None, 0),
        (ValueError(1), ValueError(2)),
        (range(3), range(4)),
    ],
)
def test_unlike_values_differ(one: object, other: object) -> None:
    if isinstance(one, Decimal):
        assert difference(one, other) is None  # Equal numbers of one type; ``==`` decides.
        return
    assert difference(one, other) is not None
    assert difference(one, one) is None


def test_nan_is_nan_all_the_way_down() -> None:
    assert difference([NAN, {"x": (NAN,)}], [float("nan"), {"x": (float("nan"),)}]) is None


def test_cycles_end() -> None:
    one: list[object] = [1]
    one.append(one)
    other: list[object] = [1]
    other.append(other)
    assert difference(one, other) is None
    other.append(2)
    assert difference(one, other) is not None


def raising(error: BaseException, cause: BaseException | None = None) -> Outcome:
    def fail() -> None:
        raise error from cause

    return outcome_of(fail)


def test_errors_are_compared_by_class_args_attributes_and_cause() -> None:
    assert outcome_difference(raising(Clash(1, 2)), raising(Clash(1, 2))) is None
    assert outcome_difference(raising(Clash(1, 2)), raising(Clash(2, 1)))
    assert outcome_difference(raising(KeyError("k")), raising(LookupError("k")))
    assert outcome_difference(raising(KeyError("k"), ValueError(1)), raising(KeyError("k")))
    assert outcome_difference(raising(KeyError("k"), ValueError(1)), raising(KeyError("k"), ValueError(2)))
    assert outcome_difference(raising(KeyError("k")), Outcome(value=None))


def test_unbound_names_are_one_family() -> None:
    plain = raising(
        UnboundLocalError("cannot access local variable 'x' where it is not associated with a value")
    )
    assert outcome_difference(plain, raising(NameError("name 'x' is not defined"))) is None
    assert outcome_difference(plain, raising(NameError("name 'y' is not defined")))


def test_numpy_values_are_compared_with_their_dtype() -> None:
    numpy = pytest.importorskip("numpy")
    assert difference(numpy.float64(1), 1.0)
    assert difference(numpy.arange(3), numpy.arange(3)) is None
    assert difference(numpy.arange(3), numpy.arange(3).astype("int32"))
    assert difference(numpy.array([1.0, NAN]), numpy.array([1.0, NAN])) is None


def test_frames_are_compared_with_index_and_dtypes() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1, 2]})
    assert difference(frame, frame.copy()) is None
    assert difference(frame, frame.astype("float64"))
    assert difference(frame, frame.set_index(pandas.Index([1, 2])))
