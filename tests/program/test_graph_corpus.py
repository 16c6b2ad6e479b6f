"""What holds for the graph of every workflow of the corpus, as the compiler makes it."""

from __future__ import annotations

from itertools import combinations
from xml.etree import ElementTree

import pytest

from weft.lang.compiler import compile_workflow
from weft.program.graph import Graph, graph_of
from weft.program.nodes import Call, Program
from weft.program.tree import walk

from ..corpus.test_corpus import CORPUS

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def drawn() -> list[tuple[str, Program, Graph]]:
    programs = [(entry.id, compile_workflow(entry.function).program) for entry in CORPUS]
    return [(name, program, graph_of(program)) for name, program in programs]


def test_the_corpus_is_there(drawn):
    assert len(drawn) > 100


def test_every_call_is_a_box(drawn):
    for name, program, graph in drawn:
        calls = [node.id for node in walk(program.body) if isinstance(node, Call)]
        boxes = [node.node for node in graph.nodes if node.kind == "step"]
        assert boxes == calls, name


def test_every_box_is_reached_from_the_start(drawn):
    for name, _, graph in drawn:
        reached = {"start"}
        for node in graph.nodes:  # in program order, and arrows go forward
            if any(edge.target == node.id and edge.source in reached for edge in graph.edges):
                reached.add(node.id)
        assert reached == {node.id for node in graph.nodes}, name


def test_only_loop_arrows_go_back(drawn):
    for name, _, graph in drawn:
        ranks = {node.id: node.rank for node in graph.nodes}
        assert all(ranks[e.source] < ranks[e.target] for e in graph.edges if e.kind != "loop"), name


def test_every_reader_has_an_arrow_from_what_it_reads(drawn):
    for name, program, graph in drawn:
        made = {node.out: node.id for node in walk(program.body) if isinstance(node, Call) and node.out}
        outs = [node.out for node in walk(program.body) if isinstance(node, Call)]
        arrows = {(edge.source, edge.target) for edge in graph.edges}
        for node in walk(program.body):
            if isinstance(node, Call):
                for read in node.code.reads.values():
                    # A compiler's own name that one call makes and another reads: an arrow for sure.
                    if read.startswith("@") and outs.count(read) == 1 and made[read] < node.id:
                        assert (f"n{made[read]}", f"n{node.id}") in arrows, (name, read)


def test_boxes_stand_apart_in_every_picture(drawn):
    for name, _, graph in drawn:
        boxes = []
        for group in ElementTree.fromstring(graph.to_svg()).iter(f"{SVG}g"):
            shape = group.find(f"{SVG}rect")
            if group.get("data-node") and shape is not None:
                boxes.append([float(shape.get(key, "0")) for key in ("x", "y", "width", "height")])
        for (ax, ay, aw, ah), (bx, by, bw, bh) in combinations(boxes, 2):
            assert ax + aw <= bx or bx + bw <= ax or ay + ah <= by or by + bh <= ay, name


def test_every_other_form_is_drawn_too(drawn):
    for name, program, graph in drawn:
        assert graph.to_text().startswith(graph.name), name
        assert graph.to_dot().count("subgraph") == len(graph.groups), name
        assert graph.to_mermaid().count("subgraph") == len(graph.groups), name
        assert len(graph_of(program, glue=True).nodes) >= len(graph.nodes), name
