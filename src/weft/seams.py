"""The lazy seams: what is loaded by name at the time of use.

A lower room asks for a door of an upper one: ``app.DOORS`` says where each name lives, so that ``import weft``
stays light and ``Workflow.run`` finds its way to the client without importing it. And a module of a library that
few runs need is deferred, because the time of ``weft run`` from the shell is mostly the time of imports.
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


class _Deferred:
    """Stands for a module and imports it when the first attribute is asked for."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(import_module(self._name), attribute)


def deferred(name: str) -> Any:
    """Return a stand-in for the module ``name``, which is imported at its first use.

    Written where the import would stand, in the ``else`` of ``if TYPE_CHECKING:``, so that types are checked as ever.
    """
    return _Deferred(name)


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
