"""Objects that make up an answer for each attribute, as `polars.col` does, are called in workflows like any other."""

from __future__ import annotations

from typing import Any

from tests.law.compare import outcome_difference, outcome_of
from tests.law.harness import durable
from weft import step, workflow


class Column:
    """Has each attribute that does not begin with ``__w``; none of them is a text or can be hashed."""

    def __getattr__(self, name: str) -> list[str]:
        if name.startswith("__w"):
            raise AttributeError(name)
        return [name]

    def __call__(self, *names: Any) -> list[Any]:
        return list(names)


col = Column()


@step
def inc(x: int) -> int:
    return x + 1


@workflow
def called(x: int) -> list[Any]:
    table = [inc(x)]
    table.append(col(table[0], "a"))
    return table + col("b")


@workflow
def iterated(x: int) -> list[int]:
    return [inc(y) for y in col(x, inc(x))]


def test_an_object_that_answers_for_each_attribute_is_called_as_in_python() -> None:
    for flow in (called, iterated):
        found = durable(flow, (1,))
        assert outcome_difference(outcome_of(flow, 1), found) is None  # type: ignore[arg-type]
