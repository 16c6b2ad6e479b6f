"""The flat graph as a tree for a terminal: program order downwards, what feeds each task to the right."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

import msgspec

from weft.program.labels import shorten
from weft.program.render.outline import Item, loop_words, outline
from weft.program.shapes import FlatGraph, GraphGroup, GraphNode

_COLUMN_MAX = 44  # a longer cell moves the rest of its own line only
_LABEL_MIN = 16
_MARKS = {"branch": "◇ ", "raise": "✗ ", "return": "⏎ ", "glue": "· "}


class _Row(msgspec.Struct):
    label: str
    how: str = ""
    source: str = ""
    line: str = ""


def render(graph: FlatGraph, width: int | None = None) -> str:
    """Return the tree, its columns aligned. No colour, so that it can be piped.

    Args:
        width: columns of the terminal; where they do not suffice, what feeds a task is left out, then how it is
            called, and then labels are shortened.
    """
    rows = [_start(graph)]
    rows += _rows(graph, _joined(outline(graph))[1:], "")
    for note in graph.notes:
        rows.append(_Row(f"note: {note.message}", line=f"line {note.line}"))
    return _aligned(rows, width)


def _start(graph: FlatGraph) -> _Row:
    node = graph.nodes[0]
    file = graph.file.rpartition("/")[2]
    return _Row(node.label, line=f"{file}:{node.line}" if node.line else file)


def _joined(items: list[Item]) -> list[Item]:
    """Hang the arms under their branches, so that the tree reads like the text."""
    kept: list[Item] = []
    for item in items:
        item.inside = _joined(item.inside)
        what = item.what
        if isinstance(what, GraphGroup) and what.kind == "arm" and kept and kept[-1].what.id == what.owner:
            kept[-1].inside.append(item)
        else:
            kept.append(item)
    return kept


def _rows(graph: FlatGraph, items: list[Item], rail: str) -> Iterator[_Row]:
    for position, item in enumerate(items):
        last = position == len(items) - 1
        row, inside = _row(graph, item)
        row.label = f"{rail}{'└─ ' if last else '├─ '}{row.label}"
        yield row
        yield from _rows(graph, inside, rail + ("   " if last else "│  "))


def _row(graph: FlatGraph, item: Item) -> tuple[_Row, list[Item]]:
    what = item.what
    if isinstance(what, GraphNode):
        return _node(graph, what), item.inside
    if what.kind == "loop":
        how = f"×{shorten(what.over, 24)} ({loop_words(what)})" if what.over else f"({loop_words(what)})"
        only = item.inside[0] if len(item.inside) == 1 else None
        if only is not None and isinstance(only.what, GraphNode) and only.what.kind == "step":
            row = _node(graph, only.what)
            row.how = f"{how}, {row.how}" if row.how else how
            return row, []
        return _Row(f"↻ {what.label}", f"({loop_words(what)})", line=_line(what.line)), item.inside
    names = {"arm": f"{what.label}:", "workflow": f"▸ {what.label}"}
    return _Row(names.get(what.kind, f"{what.label}:"), line=_line(what.line)), item.inside


def _node(graph: FlatGraph, node: GraphNode) -> _Row:
    labels = {other.id: other.label for other in graph.nodes}
    feeds = [
        labels[edge.source]
        for edge in graph.edges
        if edge.target == node.id and edge.kind in ("data", "loop") and edge.source != "start"
    ]
    source = f"← {', '.join(shorten(feed, 24) for feed in dict.fromkeys(feeds))}" if feeds else ""
    return _Row(_MARKS.get(node.kind, "") + node.label, node.detail, source, _line(node.line))


def _line(number: int) -> str:
    return f"line {number}" if number else ""


def _aligned(rows: list[_Row], width: int | None) -> str:
    head, *cells = [[row.label, row.how, row.source, row.line] for row in rows]
    widths = _widths(cells or [head])
    if width is not None and cells:
        _fit(cells, widths, width)
    if width is not None and _width(_joined_cells(head, widths)) > width:
        head[3] = head[3].rpartition("/")[2]
        head[0] = shorten(head[0], max(_LABEL_MIN, width - _width(head[3]) - 2))
        return "\n".join([f"{head[0]}  {head[3]}", *(_joined_cells(row, widths) for row in cells)]) + "\n"
    return "\n".join(_joined_cells(row, widths) for row in [head, *cells]) + "\n"


def _fit(cells: list[list[str]], widths: list[int], width: int) -> None:
    """Leave out columns, and shorten labels, until all rows fit."""
    for column in (2, 1):
        if _longest(cells, widths) > width:
            widths[column] = 0
    over = _longest(cells, widths) - width
    if over > 0:
        widths[0] = max(_LABEL_MIN, max(_width(row[0]) for row in cells) - over)
        for row in cells:
            row[0] = shorten(row[0], widths[0])


def _widths(cells: list[list[str]]) -> list[int]:
    return [min(_COLUMN_MAX, max(_width(row[i]) for row in cells)) for i in range(3)]


def _longest(cells: list[list[str]], widths: list[int]) -> int:
    return max(_width(_joined_cells(row, widths)) for row in cells)


def _joined_cells(row: list[str], widths: list[int]) -> str:
    padded = [
        cell + " " * (width - _width(cell)) for cell, width in zip(row[:3], widths, strict=True) if width
    ]
    return "  ".join([*padded, row[3]]).rstrip()


def _width(text: str) -> int:
    return sum(
        2 if unicodedata.east_asian_width(char) in "WF" else 0 if unicodedata.combining(char) else 1
        for char in text
    )
