"""What is behind ``workflow.program()`` and ``workflow.graph()``."""

from __future__ import annotations

from typing import Any

from weft.lang.compiler import compile_workflow
from weft.lang.workflows import Workflow
from weft.program.graph import Graph, graph_of
from weft.program.nodes import Program


def program_of_workflow(workflow: Workflow[..., Any]) -> Program:
    """Behind ``workflow.program()``."""
    return compile_workflow(workflow).program


def graph_of_workflow(workflow: Workflow[..., Any]) -> Graph:
    """Behind ``workflow.graph()``."""
    return graph_of(compile_workflow(workflow).program)
