"""``@workflow``: a Python function that can be called plainly, drawn as a graph, or run durably."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast

from weft.errors import UserError
from weft.seams import door

if TYPE_CHECKING:
    from weft.client.door import Run
    from weft.program.graph import Graph
    from weft.program.nodes import Program

P = ParamSpec("P")
R = TypeVar("R")


class BadWorkflow(UserError):
    """``@workflow`` was put on something that cannot be a workflow."""

    code = "bad-workflow"


class Workflow(Generic[P, R]):
    """A function marked as a workflow. Calling it calls the function."""

    def __init__(self, function: Callable[P, R], run_options: dict[str, Any] | None = None) -> None:
        if not callable(function) or isinstance(function, (Workflow, type)):
            raise BadWorkflow(f"@workflow stands on {function!r}", hint="Put it directly on a function.")
        self.function = function
        self.run_options = run_options or {}
        functools.update_wrapper(self, function, updated=())

    @property
    def name(self) -> str:
        """The workflow's name: its function's."""
        return getattr(self.function, "__name__", "workflow").strip("<>")

    def options(self, **run_options: Any) -> Workflow[P, R]:
        """Return this workflow with options for its runs: ``profile``, ``tags``, ``strict``, ``executor``, …"""
        return Workflow(self.function, {**self.run_options, **run_options})

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.function(*args, **kwargs)

    def run(self, /, *args: P.args, **kwargs: P.kwargs) -> Run[R]:
        """Run durably, wait for the end and return the run.

        Raises:
            The workflow's own exception, with a note that names the run and the command to continue.
        """
        __tracebackhide__ = True
        return door("run")(self, args, kwargs)  # type: ignore[no-any-return]

    def start(self, /, *args: P.args, **kwargs: P.kwargs) -> Run[R]:
        """Start a durable run and return it at once; ``run.wait()`` and ``run.result()`` tell the rest."""
        return door("start")(self, args, kwargs)  # type: ignore[no-any-return]

    def program(self) -> Program:
        """Return the workflow compiled.

        Raises:
            CompileErrors: the function says something that has no durable meaning.
        """
        return door("program")(self)  # type: ignore[no-any-return]

    def graph(self) -> Graph:
        """Return the whole graph, branches and loops included, as data that Jupyter shows as a picture."""
        return door("graph")(self)  # type: ignore[no-any-return]

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return self if instance is None else functools.partial(cast(Any, self), instance)

    def __repr__(self) -> str:
        return f"<workflow {self.name}>"

    def __reduce__(self) -> Any:
        return Workflow, (self.function, self.run_options)


def workflow(function: Callable[P, R], /) -> Workflow[P, R]:
    """Mark a function as a workflow: ``wf(...)`` is the plain call, ``wf.run(...)`` the durable run.

    Raises:
        BadWorkflow: the decorated thing is no function.
    """
    return Workflow(function)
