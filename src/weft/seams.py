"""The one lazy seam: a lower room asks for a door of an upper one by name, at the time of use.

``app.DOORS`` says where each name lives, so that ``import weft`` stays light and ``Workflow.run`` finds
its way to the client without importing it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any


def door(name: str) -> Callable[..., Any]:
    """Return the function that ``app.DOORS`` lists under ``name``."""
    doors: dict[str, str] = import_module("weft.app").DOORS
    module, attribute = doors[name].split(":")
    return getattr(import_module(module), attribute)  # type: ignore[no-any-return]


_importing: list[str] = []


@contextmanager
def importing_for_worker(what: str) -> Iterator[None]:
    """Note that a worker imports the user's code now, where starting a run would never end."""
    _importing.append(what)
    try:
        yield
    finally:
        _importing.pop()


def imported_for_worker() -> str | None:
    """Return what a worker is importing now, or None."""
    return _importing[-1] if _importing else None
