"""Stand-ins for steps: the step stays itself, with its name and options, and something else does its work.

A durable run finds a step by importing its module, in a worker that knows nothing of the test. So while a step has
a stand-in it goes by a name that cannot be imported; then the run takes the function along by value, as it does
with any step that lies in no module.
"""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import cloudpickle

from weft.errors import UserError
from weft.lang.steps import Step


class NoStepToFake(UserError):
    """Something that is no step was to get a stand-in."""

    code = "no-step-to-fake"

    def __init__(self, given: object) -> None:
        super().__init__(
            f"{given!r} is no step, so it cannot have a stand-in",
            hint="Give the step itself, as the workflow calls it: weft_fake(flows.load, ...).",
        )


class FakeCall(NamedTuple):
    """One call of a stand-in, in this process or in a worker."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class Fake:
    """What a test sees of a stand-in. State: the file in which each call is noted, by whichever process made it."""

    def __init__(self, step: Step[..., Any], notes: Path) -> None:
        self.step = step
        self._notes = notes

    @property
    def calls(self) -> list[FakeCall]:
        """All calls so far, in order; those of a durable run too."""
        found = []
        if self._notes.exists():
            with self._notes.open("rb") as file:
                while file.peek(1):
                    found.append(FakeCall(*pickle.load(file)))
        return found

    def __repr__(self) -> str:
        return f"<fake of {self.step!r}, called {len(self.calls)} times>"


@contextmanager
def standing_in(step: Any, value: Any, folder: Path) -> Iterator[Fake]:
    """Let ``value``, or what it returns where it is a function, stand in for a step, in plain calls and in runs.

    Args:
        folder: where calls are noted.

    Raises:
        NoStepToFake: ``step`` is none.
    """
    if not isinstance(step, Step):
        raise NoStepToFake(step)
    notes = folder / f"calls-{id(step):x}-{len(list(folder.iterdir()))}"
    function, known_as = step.function, getattr(step, "__qualname__", step.name)
    lent = _lend_by_value(value)
    step.function = _stand_in(function, value, str(notes))
    vars(step)["__qualname__"] = f"<fake of {known_as}>"
    try:
        yield Fake(step, notes)
    finally:
        step.function = function
        vars(step)["__qualname__"] = known_as
        if lent is not None:
            cloudpickle.unregister_pickle_by_value(lent)


def _lend_by_value(value: Any) -> Any:
    """Let a module of tests, which workers cannot import, travel with its functions; None: it does already."""
    module = sys.modules.get(getattr(value, "__module__", "") or "")
    if (
        not callable(value)
        or module is None
        or module.__name__ in cloudpickle.list_registry_pickle_by_value()
    ):
        return None
    if module.__name__ in sys.builtin_module_names or not getattr(module, "__file__", None):
        return None
    if "site-packages" in module.__file__ or module.__file__.startswith(sys.base_prefix):  # type: ignore[operator, union-attr]
        return None
    cloudpickle.register_pickle_by_value(module)
    return module


def _stand_in(function: Callable[..., Any], value: Any, notes: str) -> Callable[..., Any]:
    def stand_in(*args: Any, **kwargs: Any) -> Any:
        _note(notes, args, kwargs)
        return value(*args, **kwargs) if callable(value) else value

    stand_in.__name__ = getattr(function, "__name__", "stand_in")
    stand_in.__qualname__ = f"<fake of {stand_in.__name__}>"
    return stand_in


def _note(notes: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    # In one write to the end, so that calls of several processes do not mix.
    descriptor = os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, cloudpickle.dumps((args, kwargs)))
    finally:
        os.close(descriptor)
