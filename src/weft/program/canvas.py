"""The graph while it is drawn: what is placed, what is connected, what was carried round a loop."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import msgspec

from weft.program.labels import file_of, plain_name
from weft.program.nodes import Node, Program
from weft.program.shapes import EdgeKind, GraphEdge, GraphGroup, GraphNode, GroupKind, NodeKind

CARRIED: Final = "loop"


class Source(NamedTuple):
    """Where something comes from: a node, and the kind and label that an arrow from it has."""

    node: str
    kind: EdgeKind = "data"
    label: str = ""


Sources = frozenset[Source]
NOTHING: Sources = frozenset()


class Flow(msgspec.Struct):
    """One flow of control at one place in the text.

    ``env``: name → where its value comes from. ``gate``: what all below waits for. ``since``: the nodes that
    lie behind the gate. ``placed``: all nodes that a node made for its effect has to wait for, which holds
    ``since``. ``ended``: nothing below is reached.
    """

    env: dict[str, Sources]
    gate: Sources
    since: dict[str, None] = {}
    placed: dict[str, None] = {}
    ended: bool = False

    def add(self, name: str) -> None:
        self.since[name] = self.placed[name] = None

    def close_gate(self, gate: Sources, *, ordered: bool) -> None:
        """Make all below wait for ``gate``; ``ordered``: which itself has waited for all above."""
        self.gate, self.since = gate, {}
        if ordered:
            self.placed = {}

    def fork(self, gate: Sources | None = None) -> Flow:
        return Flow(dict(self.env), self.gate if gate is None else gate)


def merge(flows: Sequence[Flow]) -> dict[str, Sources]:
    merged: dict[str, Sources] = {}
    for flow in flows:
        for name, sources in flow.env.items():
            merged[name] = merged.get(name, NOTHING) | sources
    return merged


def nodes_of(sources: Iterable[Source]) -> set[str]:
    return {source.node for source in sources if source.kind != CARRIED}


class Canvas:
    """The nodes, edges and groups so far, and the group that is open."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.nodes: list[GraphNode] = []
        self.groups: list[GraphGroup] = []
        self.edges: dict[tuple[str, str], GraphEdge] = {}
        self.leaves: set[str] = set()  # nodes without an arrow that leads on
        self.group: str | None = None
        self.path: tuple[str, ...] = ()
        self.rank = 0
        self.readers: dict[tuple[str, str], set[str]] = {}  # (loop, name) → nodes that read the carried name

    def next_rank(self) -> int:
        self.rank += 1
        return self.rank - 1

    def place(self, flow: Flow, node: GraphNode, sources: Sources, *, ordered: bool = False) -> None:
        """Put ``node`` into the graph: after its sources, and after the gate if no source is."""
        self.nodes.append(node)
        before = self.exits(flow) if ordered else flow.gate
        for source in sorted(sources):
            self.connect(source, node.id)
        if ordered or not nodes_of(sources) & flow.since.keys():
            for source in sorted(before):
                self.connect(source, node.id)
        self.leaves.add(node.id)
        if ordered:
            flow.close_gate(frozenset({Source(node.id, "order")}), ordered=True)
        flow.add(node.id)

    def connect(self, source: Source, target: str) -> None:
        if source.kind == CARRIED:
            self.readers.setdefault((source.node, source.label), set()).add(target)
            return
        if source.node == target:
            return
        key = (source.node, target)
        if source.kind != "failure":  # what may fail may also lead on
            self.leaves.discard(source.node)
        known = self.edges.get(key)
        if known is None:
            self.edges[key] = GraphEdge(
                source=source.node, target=target, kind=source.kind, label=source.label
            )
        elif source.label and known.kind == source.kind and source.label not in known.label.split(", "):
            label = f"{known.label}, {source.label}" if known.label else source.label
            self.edges[key] = GraphEdge(source=source.node, target=target, kind=known.kind, label=label)

    def way_out(self, flow: Flow) -> Flow:
        """Return ``flow`` as it leaves here, and end it."""
        way = Flow(dict(flow.env), self.exits(flow), dict(flow.since), dict(flow.placed))
        flow.ended = True
        return way

    def exits(self, flow: Flow, kind: EdgeKind = "order") -> Sources:
        """Return what must have happened where ``flow`` is now: its last nodes, or else its gate."""
        gate = nodes_of(flow.gate)
        last = [name for name in flow.placed if name in self.leaves and name not in gate]
        behind = any(name in flow.since for name in last)
        return frozenset(Source(name, kind) for name in last) | (NOTHING if behind else flow.gate)

    def open_group(self, kind: GroupKind, label: str, node: Node, **more: object) -> str | None:
        """Start a group inside the present one and return the present one, for ``close_group``."""
        before = self.group
        rank = self.next_rank()
        self.group = f"g{rank}"
        self.groups.append(
            GraphGroup(
                id=self.group,
                kind=kind,
                label=label,
                rank=rank,
                node=node.id,
                parent=before,
                line=node.span.line,
                path="/".join(self.path),
                **more,  # type: ignore[arg-type]
            )
        )
        return before

    def box(self, kind: NodeKind, label: str, node: Node, **more: str) -> GraphNode:
        return GraphNode(
            id=f"n{node.id}",
            kind=kind,
            label=label,
            rank=self.next_rank(),
            node=node.id,
            group=self.group,
            file=file_of(self.program, node.span),
            line=node.span.line,
            column=node.span.column,
            end_line=node.span.end_line,
            **more,
        )

    def carry(self, loop: str, env: dict[str, Sources]) -> None:
        """Draw the arrows back: from what an iteration leaves to what the next one reads."""
        for (owner, name), readers in self.readers.items():
            if owner != loop:
                continue
            for source in sorted(env.get(name, NOTHING)):
                for reader in sorted(readers):
                    if source.kind != CARRIED:
                        key = (source.node, reader)
                        edge = GraphEdge(
                            source=source.node, target=reader, kind="loop", label=plain_name(name)
                        )
                        self.edges.setdefault(key, edge)


def without_implied(nodes: list[GraphNode], edges: list[GraphEdge]) -> list[GraphEdge]:
    """Drop the arrows of order that other arrows already imply."""
    ranks = {node.id: node.rank for node in nodes}
    forward = [edge for edge in edges if edge.kind != "loop" and ranks[edge.source] < ranks[edge.target]]
    onward: dict[str, list[str]] = {}
    for edge in forward:
        onward.setdefault(edge.source, []).append(edge.target)
    below: dict[str, int] = {}  # node → the set of ranks that lie below it, as bits
    for node in reversed(nodes):
        below[node.id] = 0
        for target in onward.get(node.id, ()):
            below[node.id] |= below[target] | (1 << ranks[target])
    return [
        edge
        for edge in edges
        if edge.kind != "order"
        or not any(
            below[other] >> ranks[edge.target] & 1 for other in onward[edge.source] if other != edge.target
        )
    ]


def filled(groups: list[GraphGroup], nodes: list[GraphNode]) -> list[GraphGroup]:
    """Drop the groups that hold no node."""
    parents = {group.id: group.parent for group in groups}
    used: set[str] = set()
    for node in nodes:
        place = node.group
        while place is not None and place not in used:
            used.add(place)
            place = parents[place]
    return [group for group in groups if group.id in used]
