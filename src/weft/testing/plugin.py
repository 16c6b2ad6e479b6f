"""The pytest plugin: fixtures for tests of workflows. pytest loads it in every project where Weft is installed.

So it imports nothing but pytest until a fixture is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from weft.testing.clock import VirtualClock
    from weft.testing.fakes import Fake


@pytest.fixture
def weft_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home of its own for the runs of this test, and of the processes that it starts."""
    home = tmp_path / "weft-home"
    monkeypatch.setenv("WEFT_HOME", str(home))
    monkeypatch.delenv("WEFT_PROFILE", raising=False)
    return home


@pytest.fixture
def weft_clock(weft_home: Path) -> Iterator[VirtualClock]:
    """The clock of this test's runs. Back-offs cost no time; ``weft_clock.advance("7d")`` makes results older."""
    with import_module("weft.testing.virtual").virtual_time() as clock:
        yield clock


@pytest.fixture
def weft_fake(weft_home: Path, tmp_path: Path) -> Iterator[Callable[[Any, Any], Fake]]:
    """Give a step a stand-in until the test ends: ``weft_fake(flows.load, [1, 2])``, or a function in place of the value.

    It works in plain calls and in durable runs, in workers too; ``.calls`` of what is returned lists the calls.
    """
    folder = tmp_path / "weft-fakes"
    folder.mkdir()
    with ExitStack() as undo:
        fakes = import_module("weft.testing.fakes")
        yield lambda step, value: undo.enter_context(fakes.standing_in(step, value, folder))


@pytest.fixture
def assert_same_as_plain() -> Callable[..., Any]:
    """``assert_same_as_plain(workflow, **params)``: the durable run ends as the plain call does; returns its value."""
    check: Callable[..., Any] = import_module("weft.testing.same").assert_same_as_plain
    return check
