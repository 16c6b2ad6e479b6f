"""The flat graph as an SVG picture that needs nothing else: no script, no font, no style sheet."""

from __future__ import annotations

from html import escape
from itertools import pairwise

from weft.program.render import layout
from weft.program.render.layout import Frame, Point
from weft.program.render.outline import drawn_edges, loop_words
from weft.program.shapes import FlatGraph, GraphEdge, GraphGroup, GraphNode

_LIGHT = """--paper:#ffffff;--ink:#1f2328;--quiet:#656d76;--line:#8c959f;--box:#f3f6fa;--edge:#b6c2d1;--frame:#d0d7de;
--tint:rgba(84,110,150,.05);--accent:#0757b5;--choice:#fff4d6;--choice-edge:#c99a2e;--bad:#c0362c;--bad-box:#fdecea"""
_DARK = """--paper:#0f141a;--ink:#e6edf3;--quiet:#9aa4af;--line:#76818d;--box:#1b2430;--edge:#3d4b5c;--frame:#35404d;
--tint:rgba(140,170,220,.06);--accent:#7ab7ff;--choice:#332a12;--choice-edge:#b08a35;--bad:#ff8f85;--bad-box:#3a1917"""
# Of the reader's system, unless the page (Jupyter, VS Code) has a theme of its own.
_STYLE = (
    f"""
.weft-graph{{{_LIGHT};
font-family:system-ui,-apple-system,"Segoe UI","DejaVu Sans",sans-serif;font-size:13px;max-width:100%;height:auto}}
@media (prefers-color-scheme:dark){{.weft-graph{{{_DARK}}}}}
[data-jp-theme-light="true"] .weft-graph,.vscode-light .weft-graph{{{_LIGHT}}}
[data-jp-theme-light="false"] .weft-graph,.vscode-dark .weft-graph{{{_DARK}}}
"""
    + """\
.weft-graph .paper{fill:var(--paper)}
.weft-graph text{fill:var(--ink);text-anchor:middle}
.weft-graph .small{font-size:11px;fill:var(--quiet)}
.weft-graph .title{font-size:12px;fill:var(--quiet);text-anchor:start;paint-order:stroke;stroke:var(--paper);stroke-width:3px}
.weft-graph .loop>.title{fill:var(--accent)}
.weft-graph .frame{fill:var(--tint);stroke:var(--frame)}
.weft-graph .loop>.frame{stroke:var(--accent);stroke-opacity:.55}
.weft-graph .arm>.frame,.weft-graph .limit>.frame{stroke-dasharray:3 3}
.weft-graph .shape{fill:var(--box);stroke:var(--edge)}
.weft-graph .start .shape,.weft-graph .end .shape,.weft-graph .return .shape{fill:var(--paper);stroke:var(--line)}
.weft-graph .branch .shape{fill:var(--choice);stroke:var(--choice-edge)}
.weft-graph .raise .shape,.weft-graph .except>.frame{stroke:var(--bad)}
.weft-graph .raise .shape{fill:var(--bad-box)}
.weft-graph .glue .shape{fill:none;stroke-dasharray:3 2}
.weft-graph .arrow{fill:none;stroke:var(--line);stroke-width:1.4}
.weft-graph .order,.weft-graph .finally{stroke-dasharray:2 4}
.weft-graph .loop-arrow{stroke:var(--accent);stroke-dasharray:5 3}
.weft-graph .failure{stroke:var(--bad);stroke-dasharray:5 3}
.weft-graph .word{font-size:11px;fill:var(--quiet);text-anchor:start;paint-order:stroke;stroke:var(--paper);stroke-width:4px}
"""
)
_NARROW = frozenset("iljtfr.,:;'|!()[]{}I ")


def render(graph: FlatGraph) -> str:
    """Return the picture as one ``<svg>`` element."""
    whole, home = _frames(graph)
    for edge in drawn_edges(graph):
        if edge.kind != "loop":
            for frame, link in layout.route(edge.source, edge.target, home):
                frame.links[link] = None
    layout.arrange(whole)
    corners = {frame.key: corner for frame, corner in layout.absolute(whole)}
    boxes = _boxes(graph, home, corners)
    parts = [_frame(group, home_of, corners) for group, home_of in _groups(graph, whole)]
    parts += [_edge(graph, edge, home, corners, boxes) for edge in drawn_edges(graph)]
    parts += [_title_of(group, corners[group.id]) for group in graph.groups]  # over the arrows
    parts += [_node(node, boxes[node.id]) for node in graph.nodes]
    width, height = whole.width, whole.height
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="weft-graph" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{escape(f"graph of {graph.name}")}">'
        f"<style>{_STYLE}</style>{_HEADS}"
        f'<rect class="paper" width="100%" height="100%" rx="8"/>{"".join(parts)}</svg>'
    )


_HEADS = (
    "<defs>"
    + "".join(
        f'<marker id="weft-{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path d="M0 .8 7.5 4 0 7.2z" style="fill:var({colour})"/></marker>'
        for name, colour in (("head", "--line"), ("loop", "--accent"), ("fail", "--bad"))
    )
    + "</defs>"
)


def text_width(text: str, size: float = 13.0) -> float:
    """Return about how wide ``text`` is in a sans-serif font of ``size`` pixels."""
    units = sum(
        0.34 if c in _NARROW else 0.72 if c.isupper() or c in "mwMW@%" else 1.0 if ord(c) > 0x2E7F else 0.58
        for c in text
    )
    return units * size * 1.06


def _frames(graph: FlatGraph) -> tuple[Frame, dict[str, Frame]]:
    """Return the tree of frames with every box in it, and in which frame each node lies."""
    whole = Frame("")
    frames: dict[str | None, Frame] = {None: whole}
    for group in graph.groups:
        parent = frames[group.parent]
        frame = Frame(group.id, parent, group.rank, layout.HEADER, text_width(_title(group), 12))
        parent.frames[group.id] = frames[group.id] = frame
    home = {}
    for node in graph.nodes:
        frame = home[node.id] = frames[node.group]
        frame.boxes[node.id], frame.ranks[node.id] = _size(node), node.rank
    for edge in graph.edges:
        if edge.kind == "loop":
            _common(home[edge.source], home[edge.target]).gutter = layout.GUTTER
    return whole, home


def _common(first: Frame, second: Frame) -> Frame:
    around = layout.ancestors(second)
    return next(frame for frame in layout.ancestors(first) if frame in around)


def _title(group: GraphGroup) -> str:
    if group.kind != "loop":
        return group.label
    return f"{group.label} · {'in order' if group.sequence else 'parallel'}"


def _size(node: GraphNode) -> tuple[float, float]:
    extra = 44 if node.kind == "branch" else 28
    width = max(text_width(node.label), text_width(node.detail, 11)) + extra
    return max(64.0, width), 46.0 if node.detail else 32.0


def _groups(graph: FlatGraph, whole: Frame) -> list[tuple[GraphGroup, Frame]]:
    frames = {frame.key: frame for frame, _ in layout.absolute(whole)}
    return [(group, frames[group.id]) for group in graph.groups]


def _boxes(
    graph: FlatGraph, home: dict[str, Frame], corners: dict[str, Point]
) -> dict[str, tuple[float, float, float, float]]:
    boxes = {}
    for node in graph.nodes:
        frame = home[node.id]
        (x, y), (dx, dy) = frame.places[node.id], corners[frame.key]
        boxes[node.id] = (x + dx, y + dy, *frame.boxes[node.id])
    return boxes


def _frame(group: GraphGroup, frame: Frame, corners: dict[str, Point]) -> str:
    x, y = corners[group.id]
    return (
        f'<g class="{group.kind}">{_tooltip(loop_words(group) if group.sequence else "")}'
        f'<rect class="frame" x="{x:.1f}" y="{y:.1f}" width="{frame.width:.1f}" height="{frame.height:.1f}" rx="8"/></g>'
    )


def _title_of(group: GraphGroup, corner: Point) -> str:
    x, y = corner
    title = f'<text class="title" x="{x + 10:.1f}" y="{y + 17:.1f}">{escape(_title(group))}</text>'
    return f'<g class="{group.kind}">{title}</g>'


def _tooltip(text: str) -> str:
    return f"<title>{escape(text)}</title>" if text else ""


def _node(node: GraphNode, box: tuple[float, float, float, float]) -> str:
    x, y, width, height = box
    middle, centre = x + width / 2, y + height / 2
    if node.kind == "branch":
        points = [
            (x, centre),
            (x + 14, y),
            (x + width - 14, y),
            (x + width, centre),
            (x + width - 14, y + height),
            (x + 14, y + height),
        ]
        shape = f'<polygon class="shape" points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in points)}"/>'
    else:
        radius = height / 2 if node.kind in ("start", "end", "return") else 6
        shape = f'<rect class="shape" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="{radius:g}"/>'
    label_y = centre + 4.5 - (8 if node.detail else 0)
    text = f'<text x="{middle:.1f}" y="{label_y:.1f}">{escape(node.label)}</text>'
    if node.detail:
        text += f'<text class="small" x="{middle:.1f}" y="{label_y + 16:.1f}">{escape(node.detail)}</text>'
    where = f"{node.file}:{node.line}" if node.line else node.label
    return f'<g class="{node.kind}" data-node="{node.id}">{_tooltip(where)}{shape}{text}</g>'


def _edge(
    graph: FlatGraph,
    edge: GraphEdge,
    home: dict[str, Frame],
    corners: dict[str, Point],
    boxes: dict[str, tuple[float, float, float, float]],
) -> str:
    if edge.kind == "loop":
        return _back(edge, home, corners, boxes)
    points: list[Point] = []
    for frame, link in layout.route(edge.source, edge.target, home):
        dx, dy = corners[frame.key]
        points += [(x + dx, y + dy) for x, y in frame.paths[link]]
    head = "fail" if edge.kind == "failure" else "head"
    line = f'<path class="arrow {edge.kind}" d="{_curve(points)}" marker-end="url(#weft-{head})">{_tooltip(edge.label)}</path>'
    return line + _word(graph, edge, points)


def _curve(points: list[Point]) -> str:
    """Go straight where the points stand above each other, and in an S where they do not."""
    x, y = points[0]
    path = [f"M{x:.1f} {y:.1f}"]
    for (ax, ay), (bx, by) in pairwise(points):
        if (ax, ay) == (bx, by):
            continue
        if abs(ax - bx) < 0.5:
            path.append(f"L{bx:.1f} {by:.1f}")
        else:
            middle = (ay + by) / 2
            path.append(f"C{ax:.1f} {middle:.1f} {bx:.1f} {middle:.1f} {bx:.1f} {by:.1f}")
    return "".join(path)


def _word(graph: FlatGraph, edge: GraphEdge, points: list[Point]) -> str:
    """Return the arm's name beside the arrow, where no frame around the target says it already."""
    if edge.kind != "branch" or not edge.label:
        return ""
    parents = {group.id: group for group in graph.groups}
    place = next(node.group for node in graph.nodes if node.id == edge.target)
    while place is not None:
        if parents[place].owner == edge.source:
            return ""
        place = parents[place].parent
    (ax, ay), (bx, by) = next(
        ((a, b) for a, b in pairwise(points) if b[1] - a[1] > 8), (points[0], points[-1])
    )
    return f'<text class="word" x="{(ax + 3 * bx) / 4 + 6:.1f}" y="{(ay + 2 * by) / 3 + 3:.1f}">{escape(edge.label)}</text>'


def _back(
    edge: GraphEdge,
    home: dict[str, Frame],
    corners: dict[str, Point],
    boxes: dict[str, tuple[float, float, float, float]],
) -> str:
    """Draw what one iteration hands to the next: out at the right, up along the border, in at the right."""
    frame = _common(home[edge.source], home[edge.target])
    gutter = corners[frame.key][0] + frame.width - layout.GUTTER / 2
    x, y, width, height = boxes[edge.source]
    tx, ty, twidth, theight = boxes[edge.target]
    from_x, from_y = x + width, y + height * (0.7 if edge.source == edge.target else 0.5)
    to_x, to_y = tx + twidth, ty + theight * (0.3 if edge.source == edge.target else 0.5)
    bend = 8 if from_y - to_y > 18 else (from_y - to_y) / 2
    path = (
        f"M{from_x:.1f} {from_y:.1f}H{gutter - bend:.1f}Q{gutter:.1f} {from_y:.1f} {gutter:.1f} {from_y - bend:.1f}"
        f"V{to_y + bend:.1f}Q{gutter:.1f} {to_y:.1f} {gutter - bend:.1f} {to_y:.1f}H{to_x + 1:.1f}"
    )
    return f'<path class="arrow loop-arrow" d="{path}" marker-end="url(#weft-loop)">{_tooltip(edge.label)}</path>'
