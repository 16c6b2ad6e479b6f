"""What is behind ``workflow.start(...)`` and ``workflow.run(...)``."""

from __future__ import annotations

from typing import Any

from weft.client.run import Run
from weft.client.starting import start
from weft.client.tracebacks import hide_frames
from weft.lang.workflows import Workflow


def start_workflow(workflow: Workflow[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Run[Any]:
    """Behind ``workflow.start(...)``."""
    return start(workflow, args, kwargs)


def run_workflow(workflow: Workflow[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Run[Any]:
    """Behind ``workflow.run(...)``: waits, and raises the workflow's own exception."""
    __tracebackhide__ = True
    run = start(workflow, args, kwargs)
    try:
        run.wait()
    except KeyboardInterrupt as stop:
        run.stop()
        run.wait()
        stop.add_note(f"run {run.id} is interrupted; continue with: weft resume {run.id}")
        raise
    if run.failure is not None:
        hide_frames()
        run.result()
    return run
