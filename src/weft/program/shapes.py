"""The records of the flat graph: boxes, arrows, and boxes around boxes."""

from __future__ import annotations

from typing import Literal

import msgspec

GRAPH_VERSION = 1

NodeKind = Literal["start", "step", "branch", "glue", "raise", "return", "end"]
EdgeKind = Literal["data", "order", "branch", "loop", "failure", "finally"]
GroupKind = Literal["loop", "arm", "try", "except", "else", "finally", "limit", "workflow"]


class GraphNode(msgspec.Struct, frozen=True, kw_only=True):
    """One box.

    Attributes:
        id: unique in its graph and the same for the same program: ``start``, ``n12``.
        node: the id of the program's node; -1 for ``start`` and ``end``.
        rank: place in program order, in one count with the groups.
        path: the task's path without loop indexes, ``outer/train``; empty where there is no task.
        detail: what differs from the defaults of a step: ``retries 2, cpu 2``.
        line, end_line: of ``file``; 0 where there is none.
    """

    id: str
    kind: NodeKind
    label: str
    rank: int
    node: int = -1
    path: str = ""
    group: str | None = None
    detail: str = ""
    file: str = ""
    line: int = 0
    column: int = 0
    end_line: int = 0


class GraphEdge(msgspec.Struct, frozen=True, kw_only=True):
    """One arrow. ``label``: the names that travel (``data``, ``loop``), or the arm (``branch``, ``failure``)."""

    source: str
    target: str
    kind: EdgeKind
    label: str = ""


class GraphGroup(msgspec.Struct, frozen=True, kw_only=True):
    """A box around boxes.

    Attributes:
        owner: for an arm, the id of the branch node that chooses it.
        over: for a loop, the text of what it runs over.
        sequence: for a loop, whether one iteration waits for the one before; ``reason`` says why.
    """

    id: str
    kind: GroupKind
    label: str
    rank: int
    node: int
    parent: str | None = None
    path: str = ""
    owner: str = ""
    over: str = ""
    sequence: bool = False
    reason: str = ""
    line: int = 0


class GraphNote(msgspec.Struct, frozen=True, kw_only=True):
    """What ``weft check`` tells about a line. ``line`` and ``column`` count from 1; 0: not known."""

    code: str
    message: str
    file: str = ""
    line: int = 0
    column: int = 0


class FlatGraph(msgspec.Struct, frozen=True, kw_only=True):
    """A workflow as boxes and arrows. Nodes and groups are in program order; no cycle but ``loop`` edges."""

    name: str
    file: str
    version: int = GRAPH_VERSION
    nodes: tuple[GraphNode, ...] = ()
    edges: tuple[GraphEdge, ...] = ()
    groups: tuple[GraphGroup, ...] = ()
    notes: tuple[GraphNote, ...] = ()
