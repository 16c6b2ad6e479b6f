"""Fixtures: a run on an executor."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from tests.executors.bench import Bench, assert_none_left, descendants, start_mother

from weft.executors.inline import InlineExecutor
from weft.executors.local import LocalExecutor


@pytest.fixture
def bench(tmp_path) -> Iterator[Bench]:
    """A run on a local executor with two slots; afterwards none of its processes is left."""
    start_mother()  # it stays with the test process
    before = descendants()
    executor = LocalExecutor(cpu=2)
    yield Bench(executor, tmp_path)
    executor.close()
    if sys.platform == "linux":
        assert_none_left(before)


@pytest.fixture(params=["inline", "local"])
def any_bench(request, tmp_path) -> Iterator[Bench]:
    executor = InlineExecutor() if request.param == "inline" else LocalExecutor(cpu=2)
    yield Bench(executor, tmp_path)
    executor.close()
