"""The flat graph that people see: nodes, edges and groups, with the names and lines of the source.

A program is a tree; a picture of it is not. ``graph_of`` follows each value from the node that makes it to
the nodes that read it, and keeps of the order only what data does not say already. Small glue is passed
through: an edge goes from task to task, unless ``glue=True`` asks for all.
"""

from __future__ import annotations

import msgspec

from weft.program.flow import walk
from weft.program.nodes import Program
from weft.program.render import dot, mermaid, svg, text
from weft.program.shapes import FlatGraph

__all__ = ["Graph", "graph_of"]


class Graph(FlatGraph, frozen=True, kw_only=True):
    """A workflow as boxes and arrows: data, and ways to show it."""

    def to_json(self) -> str:
        """Return the graph as one line of JSON."""
        return msgspec.json.encode(self).decode()

    def to_text(self, width: int | None = None) -> str:
        """Return a tree for a terminal, of at most ``width`` columns where that is given."""
        return text.render(self, width)

    def to_mermaid(self) -> str:
        """Return a Mermaid flowchart."""
        return mermaid.render(self)

    def to_dot(self) -> str:
        """Return a Graphviz graph."""
        return dot.render(self)

    def to_svg(self) -> str:
        """Return a picture that follows the reader's light or dark theme."""
        return svg.render(self)

    def _repr_html_(self) -> str:
        return svg.render(self)

    def __str__(self) -> str:
        return text.render(self)

    # What a prompt shows of an expression.
    __repr__ = __str__


def graph_of(program: Program, *, glue: bool = False) -> Graph:
    """Return the graph of ``program``. ``glue``: also show the plain Python between the calls."""
    flat = walk(program, glue=glue)
    return Graph(**{name: getattr(flat, name) for name in FlatGraph.__struct_fields__})
