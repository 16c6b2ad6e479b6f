"""Weft: plain Python is the workflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from weft.seams import door

if TYPE_CHECKING:
    from weft.client.door import get_run, list_runs
    from weft.client.run import Run
    from weft.client.tasks import Task
    from weft.lang.limits import limit, mutex
    from weft.lang.steps import step
    from weft.lang.workflows import workflow
    from weft.store.codecs import register_codec
    from weft.worker.checkpoints import checkpoint
    from weft.worker.context import current, progress

__version__ = "0.1.0"

__all__ = [
    "Run",
    "Task",
    "checkpoint",
    "current",
    "get_run",
    "limit",
    "list_runs",
    "mutex",
    "progress",
    "register_codec",
    "step",
    "workflow",
]


def __getattr__(name: str) -> Any:
    """Load a public name at its first use, so that ``import weft`` and the command line start at once."""
    if name not in __all__:
        raise AttributeError(f"module 'weft' has no attribute {name!r}")
    value = globals()[name] = door(name)
    return value
