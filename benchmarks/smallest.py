"""The smallest workflow: one step, and no library to import, for the time from shell to exit."""

from __future__ import annotations

from weft import step, workflow


@step
def increment(number: int) -> int:
    return number + 1


@workflow
def smallest(number: int = 1) -> int:
    return increment(number)
