"""The flat graph as a Mermaid flowchart."""

from __future__ import annotations

from collections.abc import Iterator

from weft.program.render.outline import Item, drawn_edges, loop_words, outline
from weft.program.shapes import FlatGraph, GraphEdge, GraphGroup, GraphNode

_SHAPES = {
    "start": ("([", "])"),
    "end": ("([", "])"),
    "return": ("([", "])"),
    "branch": ("{", "}"),
    "glue": ("(", ")"),
    "raise": ("[[", "]]"),
}
_ARROWS = {
    "data": "-->",
    "order": "-.->",
    "branch": "-->",
    "loop": "-.->",
    "failure": "-.->",
    "finally": "-.->",
}


def render(graph: FlatGraph) -> str:
    """Return the graph as Mermaid text, one statement a line."""
    lines = ["flowchart TD"]
    lines += _items(outline(graph), 1)
    lines += [f"  {_edge(edge)}" for edge in drawn_edges(graph)]
    return "\n".join(lines) + "\n"


def _items(items: list[Item], depth: int) -> Iterator[str]:
    pad = "  " * depth
    for item in items:
        if isinstance(item.what, GraphNode):
            yield pad + _node(item.what)
        else:
            yield f"{pad}subgraph {item.what.id}[{_quoted(_title(item.what))}]"
            yield from _items(item.inside, depth + 1)
            yield f"{pad}end"


def _title(group: GraphGroup) -> str:
    return f"{group.label} ({loop_words(group)})" if group.kind == "loop" else group.label


def _node(node: GraphNode) -> str:
    left, right = _SHAPES.get(node.kind, ("[", "]"))
    return f"{_name(node.id)}{left}{_quoted(node.label)}{right}"


def _edge(edge: GraphEdge) -> str:
    shown = edge.label if edge.kind in ("branch", "failure", "loop") else ""
    middle = f"|{_quoted(shown or edge.kind)}|" if shown or edge.kind in ("failure", "finally") else ""
    return f"{_name(edge.source)} {_ARROWS[edge.kind]}{middle} {_name(edge.target)}"


def _name(node_id: str) -> str:
    # `end` is a word of Mermaid's own.
    return "finish" if node_id == "end" else node_id


def _quoted(text: str) -> str:
    safe = text.replace("&", "&amp;").replace('"', "#quot;").replace("<", "&lt;").replace(">", "&gt;")
    return f'"{safe}"'
