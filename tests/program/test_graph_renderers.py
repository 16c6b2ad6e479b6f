"""What people see of a graph: text, Mermaid, DOT, SVG."""

from __future__ import annotations

import re
from itertools import combinations
from xml.etree import ElementTree

import pytest

from weft.program.graph import graph_of

SVG = "{http://www.w3.org/2000/svg}"


def test_text_shows_loops_branches_feeds_and_lines(delays):
    lines = graph_of(delays).to_text().splitlines()
    assert lines[0].split() == ["delays(months,", "target=0.75)", "flights.py:1"]
    assert [re.split(r"  +(?=[×←l])", line)[0] for line in lines[1:6]] == [
        "├─ load",
        "├─ concat",
        "├─ check",
        "├─ ◇ not report.ok",
        "│  └─ yes:",
    ]
    assert re.search(r"load +×months \(parallel\), retries 2 +line 2$", lines[1])
    assert re.search(r"check +← concat +line 3$", lines[3])
    assert lines[-1] == "└─ end"


def test_text_columns_are_aligned(delays):
    lines = graph_of(delays).to_text().splitlines()[1:]
    assert len({line.index("line ") for line in lines if "line " in line}) == 1


@pytest.mark.parametrize("width", [40, 60, 80, 100])
def test_text_fits_the_terminal_and_keeps_names_and_lines(delays, width):
    graph = graph_of(delays)
    lines = graph.to_text(width).splitlines()
    assert max(map(len, lines)) <= width
    assert [line.split()[-1] for line in lines[1:] if "line " in line] == [
        line.split()[-1] for line in graph.to_text().splitlines()[1:] if "line " in line
    ]
    assert any("train" in line for line in lines)
    assert graph.to_text(500) == graph.to_text()


def test_text_says_why_a_loop_is_in_order(builder):
    b = builder("def w(m):\n    for e in range(9):\n        m = fit(m)\n", "m")
    loop = b.loop(
        "for e in range(9)",
        "",
        "e",
        b.call("fit(m)", "m", "m"),
        over="range(9)",
        sequence=True,
        carried=("m",),
        reason="`m` is carried",
    )
    assert "×range(9) (in order: `m` is carried)" in graph_of(b.program(loop)).to_text()


def test_mermaid_never_uses_its_own_word_end_as_a_name(delays):
    text = graph_of(delays).to_mermaid()
    assert text.startswith("flowchart TD\n")
    assert 'finish(["end"])' in text
    assert text.count("subgraph ") == len(re.findall(r"^ +end$", text, re.M))
    assert 'n10 -->|"yes"| n6' in text


def test_labels_with_quotes_and_brackets_are_escaped_everywhere(builder):
    b = builder('def w(x):\n    if x["<a>"] & 1: \n        f(x)\n', "x")
    program = b.program(b.branch('x["<a>"] & 1', "x", [b.call("f(x)", "x")], labels=("yes", "no")))
    graph = graph_of(program)
    assert "x[#quot;&lt;a&gt;#quot;] &amp; 1" in graph.to_mermaid()
    assert r'label="x[\"<a>\"] & 1"' in graph.to_dot()
    assert any(
        text.text == 'x["<a>"] & 1' for text in ElementTree.fromstring(graph.to_svg()).iter(f"{SVG}text")
    )


def test_dot_has_a_cluster_for_each_group(delays):
    graph = graph_of(delays)
    text = graph.to_dot()
    assert text.count("subgraph ") == len(graph.groups)
    assert text.count("{") == text.count("}")


def _boxes(svg: str) -> list[tuple[float, float, float, float]]:
    found = []
    for group in ElementTree.fromstring(svg).iter(f"{SVG}g"):
        shape = group.find(f"{SVG}rect")
        if group.get("data-node") and shape is not None:
            found.append(tuple(float(shape.get(key, "0")) for key in ("x", "y", "width", "height")))
    return found


def wide(builder):
    names = [f"step_number_{i}" for i in range(12)]
    b = builder("def w(x):\n" + "".join(f"    a = {name}(x)\n" for name in names), "x")
    return b.program(*(b.call(f"{name}(x)", "x", "a") for name in names))


@pytest.mark.parametrize("shape", ["delays", "wide"])
def test_svg_boxes_stand_apart_and_inside_the_picture(delays, builder, shape):
    program = delays if shape == "delays" else wide(builder)
    svg = graph_of(program).to_svg()
    root = ElementTree.fromstring(svg)
    width, height = float(root.get("width", "0")), float(root.get("height", "0"))
    boxes = _boxes(svg)
    assert len(boxes) >= 12
    for x, y, w, h in boxes:
        assert x >= 0
        assert y >= 0
        assert x + w <= width
        assert y + h <= height
    for (ax, ay, aw, ah), (bx, by, bw, bh) in combinations(boxes, 2):
        assert ax + aw <= bx or bx + bw <= ax or ay + ah <= by or by + bh <= ay


def test_svg_draws_every_arrow_but_parameters_that_are_implied(delays):
    graph = graph_of(delays)
    drawn = graph.to_svg().count('class="arrow')
    implied = [
        e
        for e in graph.edges
        if e.source == "start" and e.target in {f.target for f in graph.edges if f.source != "start"}
    ]
    assert drawn == len(graph.edges) - len(implied)
    assert implied


def test_svg_needs_nothing_from_outside_and_follows_the_theme(delays):
    svg = graph_of(delays)._repr_html_()
    assert "prefers-color-scheme:dark" in svg
    assert '[data-jp-theme-light="false"] .weft-graph' in svg  # a notebook's own theme counts more
    assert not re.search(r"<script|@import|href=", svg)
    assert svg.count("http") == 1  # the name space


def test_a_graph_of_a_thousand_steps_is_drawn(builder):
    text = "def w(x):\n" + "".join(f"    a{i} = f{i}(x)\n" for i in range(1000))
    b = builder(text, "x")
    steps = [b.call(f"f{i}(x)", f"a{i - 7} x" if i > 7 else "x", f"a{i}") for i in range(1000)]
    graph = graph_of(b.program(*steps))
    assert len(_boxes(graph.to_svg())) == 1002
