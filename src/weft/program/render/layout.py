"""Where boxes and arrows go: a layered layout, done for each group from the inside out.

Inside a group, boxes stand in layers so that every arrow points down. An arrow that crosses the border of
a group does so at a *port*; one that passes a layer keeps a slot in it, so that it never runs through a box.

Source: K. Sugiyama, S. Tagawa, M. Toda (1981), IEEE Trans. SMC 11(2), 109-125, for layers and order;
the x coordinates are an isotonic regression towards the neighbours' mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise

import msgspec

GAP_X = 22.0
GAP_Y = 34.0
PADDING = 16.0
HEADER = 24.0
GUTTER = 26.0
_SWEEPS = 8

Point = tuple[float, float]
Size = tuple[float, float]
Port = tuple[str, str]  # ("in", target node) or ("out", source node)


class Cell(msgspec.Struct):
    """One place in a layer: a box, a port, or the slot of an arrow that passes."""

    key: str
    width: float
    height: float
    rank: float
    layer: int = 0
    x: float = 0.0  # of the centre
    above: list[tuple[Cell, float, float]] = []  # other, its offset, own offset
    below: list[tuple[Cell, float, float]] = []


class Frame(msgspec.Struct):
    """A group, or the whole: what is in it, and after ``arrange`` how big it is and where all stands."""

    key: str
    parent: Frame | None = None
    rank: float = 0.0
    header: float = 0.0
    title_width: float = 0.0
    gutter: float = 0.0
    boxes: dict[str, Size] = {}
    ranks: dict[str, float] = {}
    frames: dict[str, Frame] = {}
    links: dict[tuple[str, str, str, str], None] = {}
    width: float = 0.0
    height: float = 0.0
    places: dict[str, Point] = {}  # top left corner of boxes and frames
    ports: dict[Port, float] = {}  # x
    paths: dict[tuple[str, str, str, str], list[Point]] = {}


def ancestors(frame: Frame) -> list[Frame]:
    """Return the frame and all around it, innermost first."""
    found: list[Frame] = []
    place: Frame | None = frame
    while place is not None:
        found.append(place)
        place = place.parent
    return found


def route(source: str, target: str, home: dict[str, Frame]) -> list[tuple[Frame, tuple[str, str, str, str]]]:
    """Cut an arrow at the borders it crosses: (frame, (from, to, out port's node, in port's node)) in order.

    ``from`` and ``to`` are keys inside the frame; ``^`` and ``_`` are its own upper and lower border.
    """
    up, down = ancestors(home[source]), ancestors(home[target])
    meeting = next(frame for frame in up if frame in down)
    pieces: list[tuple[Frame, tuple[str, str, str, str]]] = []
    at = source
    for frame in up[: up.index(meeting)]:
        pieces.append((frame, (at, "_", source, source)))
        at = frame.key
    inner = down[: down.index(meeting)]
    keys = [frame.key for frame in reversed(inner)] + [target]
    pieces.append((meeting, (at, keys[0], source, target)))
    for frame, key in zip(reversed(inner), keys[1:], strict=True):
        pieces.append((frame, ("^", key, target, target)))
    return pieces


def arrange(frame: Frame) -> None:
    """Give every box in ``frame``, and ``frame`` itself, its size and place."""
    for inner in frame.frames.values():
        arrange(inner)
    cells = _cells(frame)
    _connect(frame, cells)
    rows = _layers(cells)
    chains = _slots(frame, cells, rows)
    _order(rows)
    _place(rows)
    _settle(frame, rows, chains)


def _cells(frame: Frame) -> dict[str, Cell]:
    cells = {key: Cell(key, w, h, frame.ranks[key]) for key, (w, h) in frame.boxes.items()}
    for key, inner in frame.frames.items():
        cells[key] = Cell(key, inner.width, inner.height, inner.rank)
    for start, end, out, into in frame.links:
        if start == "^":
            cells.setdefault(f"^{into}", Cell(f"^{into}", 2, 0, -1))
        if end == "_":
            cells.setdefault(f"_{out}", Cell(f"_{out}", 2, 0, 1e9))
    return cells


def _ends(
    frame: Frame, cells: dict[str, Cell], link: tuple[str, str, str, str]
) -> tuple[Cell, float, Cell, float]:
    """Return the two cells of a link and where on them it starts and ends, from their centres."""
    start, end, out, into = link
    upper = cells[f"^{into}" if start == "^" else start]
    lower = cells[f"_{out}" if end == "_" else end]
    from_x = frame.frames[start].ports[("out", out)] - upper.width / 2 if start in frame.frames else 0.0
    to_x = frame.frames[end].ports[("in", into)] - lower.width / 2 if end in frame.frames else 0.0
    return upper, from_x, lower, to_x


def _connect(frame: Frame, cells: dict[str, Cell]) -> None:
    for link in frame.links:
        upper, from_x, lower, to_x = _ends(frame, cells, link)
        upper.below.append((lower, to_x, from_x))
        lower.above.append((upper, from_x, to_x))


def _layers(cells: dict[str, Cell]) -> list[list[Cell]]:
    """Put each cell one layer below the lowest that points to it; what has no such stands near its reader."""
    ordered = sorted(cells.values(), key=lambda cell: cell.rank)
    entry = any(cell.key.startswith("^") for cell in ordered)
    for cell in ordered:
        above = [other.layer + 1 for other, _, _ in cell.above if other.rank < cell.rank]
        cell.layer = 0 if cell.key.startswith("^") else max([*above, int(entry)])
    for cell in reversed(ordered):
        if not cell.above and cell.below and not cell.key.startswith("^"):
            cell.layer = max(cell.layer, min(other.layer for other, _, _ in cell.below) - 1)
    bottom = max((cell.layer for cell in ordered if not cell.key.startswith("_")), default=0)
    rows: list[list[Cell]] = [[] for _ in range(bottom + 2)]
    for cell in ordered:
        if cell.key.startswith("_"):
            cell.layer = bottom + 1
        rows[cell.layer].append(cell)
    return rows if rows[-1] else rows[:-1]


def _slots(
    frame: Frame, cells: dict[str, Cell], rows: list[list[Cell]]
) -> dict[tuple[str, str, str, str], list[tuple[Cell, float]]]:
    """Give a link that passes layers a slot in each, and return every link's chain of cells and offsets."""
    chains: dict[tuple[str, str, str, str], list[tuple[Cell, float]]] = {}
    shared: dict[tuple[str, str, str, int], Cell] = {}
    for cell in cells.values():
        cell.above.clear()
        cell.below.clear()
    for link in frame.links:
        upper, from_x, lower, to_x = _ends(frame, cells, link)
        chain = [(upper, from_x)]
        for layer in range(upper.layer + 1, lower.layer):
            # Arrows with one origin share their slots: they part where the first of them ends.
            key = (upper.key, link[2], lower.key if upper.key.startswith("^") else "", layer)
            slot = shared.get(key)
            if slot is None:
                slot = shared[key] = Cell(f"~{len(shared)}", 10, 0, (upper.rank + lower.rank) / 2, layer)
                rows[layer].append(slot)
            chain.append((slot, 0.0))
        chain.append((lower, to_x))
        for (first, first_x), (second, second_x) in pairwise(chain):
            if all(other is not second for other, _, _ in first.below) or not first.key.startswith("~"):
                first.below.append((second, second_x, first_x))
                second.above.append((first, first_x, second_x))
        chains[link] = chain
    return chains


def _order(rows: list[list[Cell]]) -> None:
    for row in rows:
        row.sort(key=lambda cell: cell.rank)
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        for row in rows:
            _number(row)
        for row in rows if down else reversed(rows):
            _sort_row(row, lambda cell: cell.above if down else cell.below)  # noqa: B023


def _sort_row(row: list[Cell], neighbours: Callable[[Cell], list[tuple[Cell, float, float]]]) -> None:
    def wish(cell: Cell) -> float:
        near = neighbours(cell)
        return sum(other.x + offset * 1e-4 for other, offset, _ in near) / len(near) if near else cell.x

    row.sort(key=wish)
    _number(row)


def _number(row: list[Cell]) -> None:
    for position, cell in enumerate(row):
        cell.x = position / (len(row) - 1) if len(row) > 1 else 0.5


def _place(rows: list[list[Cell]]) -> None:
    for row in rows:
        _spread(row, [0.0] * len(row))
    for sweep in range(_SWEEPS * 2):
        down = sweep % 2 == 0
        for row in rows if down else reversed(rows):
            wishes = [_wish(cell, both=sweep >= _SWEEPS, down=down) for cell in row]
            _spread(row, wishes)


def _wish(cell: Cell, *, both: bool, down: bool) -> float:
    near = cell.above + cell.below if both else cell.above if down else cell.below
    if not near:
        return cell.x
    pulls = [(_pull(cell, other), other.x + offset - own) for other, offset, own in near]
    return sum(pull * x for pull, x in pulls) / sum(pull for pull, _ in pulls)


def _pull(cell: Cell, other: Cell) -> float:
    # A long arrow should be straight: its slots hold on to each other first.
    return (1.0, 2.0, 8.0)[cell.key.startswith("~") + other.key.startswith("~")]


def _spread(row: list[Cell], wishes: list[float]) -> None:
    """Move the cells as close to their wishes as their order and widths allow (pool adjacent violators)."""
    blocks: list[tuple[float, float, int]] = []  # mean, weight, count
    offsets: list[float] = []
    at = 0.0
    for position, cell in enumerate(row):
        if position:
            at += (row[position - 1].width + cell.width) / 2 + GAP_X
        offsets.append(at)
        weight = 4.0 if cell.key.startswith(("~", "^", "_")) else 1.0
        mean, count = wishes[position] - at, 1
        while blocks and blocks[-1][0] > mean:
            other, other_weight, other_count = blocks.pop()
            mean = (mean * weight + other * other_weight) / (weight + other_weight)
            weight, count = weight + other_weight, count + other_count
        blocks.append((mean, weight, count))
    means = [mean for mean, _, count in blocks for _ in range(count)]
    for cell, offset, mean in zip(row, offsets, means, strict=True):
        cell.x = mean + offset


def _settle(
    frame: Frame,
    rows: list[list[Cell]],
    chains: dict[tuple[str, str, str, str], list[tuple[Cell, float]]],
) -> None:
    """Turn centres into corners from the frame's own corner, and chains into points."""
    every = [cell for row in rows for cell in row]
    left = min((cell.x - cell.width / 2 for cell in every), default=0.0) - PADDING
    right = max((cell.x + cell.width / 2 for cell in every), default=0.0) + PADDING
    frame.width = max(right - left + frame.gutter, frame.title_width + 2 * PADDING)
    shift = (frame.width - frame.gutter - (right - left)) / 2 - left
    tops, bottoms = _heights(frame, rows)
    for cell in every:
        cell.x += shift
        top, bottom = tops[cell.layer], bottoms[cell.layer]
        frame.places[cell.key] = (cell.x - cell.width / 2, (top + bottom - cell.height) / 2)
        if cell.key.startswith("^"):
            frame.ports[("in", cell.key[1:])] = cell.x
        elif cell.key.startswith("_"):
            frame.ports[("out", cell.key[1:])] = cell.x
    for link, chain in chains.items():
        points: list[Point] = []
        for position, (cell, offset) in enumerate(chain):
            x, middle = cell.x + offset, (tops[cell.layer] + bottoms[cell.layer]) / 2
            if position:
                points += [(x, tops[cell.layer]), (x, middle - cell.height / 2)]
            if position < len(chain) - 1:
                points += [(x, middle + cell.height / 2), (x, bottoms[cell.layer])]
        frame.paths[link] = points


def _heights(frame: Frame, rows: list[list[Cell]]) -> tuple[list[float], list[float]]:
    """Return the top and the bottom of each layer. Layers of ports are the frame's own borders."""
    tops: list[float] = []
    bottoms: list[float] = []
    y = frame.header
    for number, row in enumerate(rows):
        border = all(cell.key.startswith(("^", "_")) for cell in row)
        if border and number == 0:
            tops.append(0.0)
            bottoms.append(0.0)
            y = frame.header + PADDING / 2
            continue
        if number == 0 or tops[-1:] == [0.0]:
            y += PADDING / 2
        height = max(cell.height for cell in row)
        tops.append(y)
        bottoms.append(y + height)
        y += height + GAP_Y
    ported = bool(rows) and all(cell.key.startswith("_") for cell in rows[-1])
    if ported:
        frame.height = bottoms[-2] + PADDING
        tops[-1] = bottoms[-1] = frame.height
    else:
        frame.height = (bottoms[-1] if bottoms else 0.0) + PADDING
    return tops, bottoms


def absolute(frame: Frame, at: Point = (0.0, 0.0)) -> Iterable[tuple[Frame, Point]]:
    """Return every frame with its corner in the whole picture, outermost first."""
    yield frame, at
    for key, inner in frame.frames.items():
        x, y = frame.places[key]
        yield from absolute(inner, (at[0] + x, at[1] + y))
