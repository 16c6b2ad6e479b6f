"""The flat graph as a tree again: what lies in which group, in program order."""

from __future__ import annotations

import msgspec

from weft.program.shapes import FlatGraph, GraphEdge, GraphGroup, GraphNode


class Item(msgspec.Struct):
    """A node, or a group with what is inside."""

    what: GraphNode | GraphGroup
    inside: list[Item] = []


def outline(graph: FlatGraph) -> list[Item]:
    """Return the top of the tree."""
    top: list[Item] = []
    groups = {group.id: Item(group) for group in graph.groups}
    items = [*groups.values(), *(Item(node) for node in graph.nodes)]
    for item in sorted(items, key=lambda item: item.what.rank):
        parent = item.what.parent if isinstance(item.what, GraphGroup) else item.what.group
        (groups[parent].inside if parent is not None else top).append(item)
    return top


def loop_words(group: GraphGroup) -> str:
    """Return how a loop runs: ``parallel``, or ``in order`` and why."""
    if not group.sequence:
        return "parallel"
    return f"in order: {group.reason}" if group.reason else "in order"


def drawn_edges(graph: FlatGraph) -> list[GraphEdge]:
    """Return the arrows of a picture: all, but for parameters read by what other arrows lead to already."""
    led_to = {edge.target for edge in graph.edges if edge.kind != "loop" and edge.source != "start"}
    return [edge for edge in graph.edges if edge.source != "start" or edge.target not in led_to]
