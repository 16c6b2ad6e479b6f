"""The flat graph in Graphviz' DOT language."""

from __future__ import annotations

from collections.abc import Iterator

from weft.program.render.outline import Item, drawn_edges, loop_words, outline
from weft.program.shapes import FlatGraph, GraphEdge, GraphNode

_NODES = {
    "start": "shape=box style=rounded",
    "end": "shape=box style=rounded",
    "return": "shape=box style=rounded",
    "branch": "shape=diamond",
    "glue": "shape=box style=dashed",
    "raise": "shape=octagon",
}
_EDGES = {
    "order": "style=dashed",
    "loop": "style=dashed constraint=false",
    "failure": "color=red",
    "finally": "style=dotted",
}


def render(graph: FlatGraph) -> str:
    """Return the graph as DOT text."""
    lines = [f"digraph {_quoted(graph.name)} {{", "  rankdir=TB", '  node [fontname="sans-serif"]']
    lines += _items(outline(graph), 1)
    lines += [f"  {_edge(edge)}" for edge in drawn_edges(graph)]
    return "\n".join([*lines, "}"]) + "\n"


def _items(items: list[Item], depth: int) -> Iterator[str]:
    pad = "  " * depth
    for item in items:
        if isinstance(item.what, GraphNode):
            shape = _NODES.get(item.what.kind, "shape=box")
            yield f"{pad}{_quoted(item.what.id)} [label={_quoted(item.what.label)} {shape}]"
        else:
            group = item.what
            words = f" ({loop_words(group)})" if group.kind == "loop" else ""
            yield f"{pad}subgraph {_quoted('cluster_' + group.id)} {{"
            yield f"{pad}  label={_quoted(group.label + words)}"
            yield from _items(item.inside, depth + 1)
            yield f"{pad}}}"


def _edge(edge: GraphEdge) -> str:
    label = edge.label if edge.kind in ("branch", "failure", "loop") else ""
    parts = [part for part in (f"label={_quoted(label)}" if label else "", _EDGES.get(edge.kind, "")) if part]
    return f"{_quoted(edge.source)} -> {_quoted(edge.target)}" + (f" [{' '.join(parts)}]" if parts else "")


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
