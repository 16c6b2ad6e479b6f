"""Copies of one exception become one object again, so that Python can break a circle of contexts."""

from __future__ import annotations

import pytest

from weft.store.codecs import decode_exception, encode_exception
from weft.store.codecs.exceptions import RAISED
from weft.worker.sameness import join_copies, mark


def raised(error: BaseException, task: str, context: BaseException | None = None) -> BaseException:
    """Return an exception as a job that ended with it leaves it."""
    error.__context__ = context
    mark(error, task)
    return error


def copy(error: BaseException) -> BaseException:
    return decode_exception(encode_exception(error))


def test_mark_is_stored_and_stays_that_of_the_first_task() -> None:
    error = copy(raised(ValueError(1), "first"))
    mark(error, "second")
    assert error.__dict__[RAISED] == "first"


class Stubborn(Exception):
    """It says itself how it is pickled, and leaves its attributes out."""

    def __reduce__(self):
        return Stubborn, self.args


def test_mark_is_stored_beside_what_a_class_says_of_its_pickling() -> None:
    assert copy(raised(Stubborn(1), "first")).__dict__[RAISED] == "first"


def test_context_becomes_the_named_object() -> None:
    first = raised(ValueError(1), "first")
    second = copy(raised(KeyError(2), "second", first))
    named = copy(first)
    assert second.__context__ is not named
    assert join_copies(second, [named, "a name of something else"]) is second
    assert second.__context__ is named


def test_raising_the_named_object_breaks_the_circle() -> None:
    first = raised(ValueError(1), "first")
    second = copy(raised(KeyError(2), "second", first))
    named = copy(first)
    with pytest.raises(ValueError, match="1") as caught:
        raise_while_handled(named, join_copies(second, [named]))
    assert caught.value.__context__ is second
    assert second.__context__ is None


def raise_while_handled(error: BaseException, current: BaseException) -> None:
    try:
        raise current
    except KeyError:
        raise error from None


def test_named_object_that_is_the_current_one_takes_its_place() -> None:
    error = raised(ValueError(1), "first")
    named = copy(error)
    assert join_copies(copy(error), [named]) is named


def test_cause_is_joined_and_what_is_suppressed_stays() -> None:
    first = raised(ValueError(1), "first")
    second = raised(KeyError(2), "second", first)
    second.__cause__ = first
    second.__suppress_context__ = False
    loaded, named = copy(second), copy(first)
    join_copies(loaded, [named])
    assert loaded.__cause__ is loaded.__context__ is named
    assert not loaded.__suppress_context__


def test_what_is_not_named_stays_as_it_was() -> None:
    loaded = copy(raised(KeyError(2), "second", raised(ValueError(1), "first", KeyError(0))))
    join_copies(loaded, [])
    assert loaded.__context__ is not None
    assert not loaded.__context__.__suppress_context__


def test_equal_exceptions_of_two_tasks_stay_two() -> None:
    second = copy(raised(KeyError(2), "second", raised(ValueError(1), "first")))
    other = raised(ValueError(1), "another")
    join_copies(second, [other])
    assert second.__context__ is not other
