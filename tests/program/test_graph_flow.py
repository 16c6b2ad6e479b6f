"""Which arrows the flat graph has: data, order, branches, loops, failures."""

from __future__ import annotations

import msgspec
import pytest

from weft.program.graph import Graph, graph_of
from weft.program.nodes import Block, Break, Move, Note


def arrows(graph: Graph, *kinds: str) -> set[tuple[str, str]]:
    labels = {node.id: node.label for node in graph.nodes}
    return {(labels[e.source], labels[e.target]) for e in graph.edges if not kinds or e.kind in kinds}


def group_of(graph: Graph, label: str):
    node = next(node for node in graph.nodes if node.label == label)
    return next(group for group in graph.groups if group.id == node.group)


def test_values_go_from_the_step_that_makes_them_to_the_steps_that_read_them(delays):
    found = arrows(graph_of(delays), "data")
    assert {("load", "concat"), ("concat", "check"), ("concat", "train"), ("train", "best_of")} <= found
    assert ("load", "check") not in found


def test_what_follows_an_early_return_waits_for_the_decision(delays):
    assert ("not report.ok", "train") in arrows(graph_of(delays), "branch")
    assert ("best.auc >= target", "notify.2") in arrows(graph_of(delays), "branch")


def test_a_branch_names_its_arms_and_owns_their_groups(delays):
    graph = graph_of(delays)
    arm = group_of(graph, "release")
    owner = next(node for node in graph.nodes if node.id == arm.owner)
    assert (arm.kind, arm.label, owner.label) == ("arm", "yes", "best.auc >= target")


def test_a_loop_is_a_group_that_says_what_it_runs_over(delays):
    loop = group_of(graph_of(delays), "load")
    assert (loop.kind, loop.over, loop.sequence) == ("loop", "months", False)


def test_nodes_carry_their_source_lines_and_what_is_special_about_a_step(delays):
    load = next(node for node in graph_of(delays).nodes if node.label == "load")
    assert (load.file, load.line, load.detail, load.path) == ("flights.py", 2, "retries 2", "load")


def test_glue_is_passed_through_and_shown_when_asked_for(builder):
    b = builder("def w(x):\n    a = f(x)\n    y = a + 1\n    g(y)\n", "x")
    program = b.program(b.call("f(x)", "x", "a"), b.glue("y = a + 1", "a", "y"), b.call("g(y)", "y", None))
    assert ("f", "g") in arrows(graph_of(program), "data")
    shown = arrows(graph_of(program, glue=True), "data")
    assert {("f", "y = a + 1"), ("y = a + 1", "g")} <= shown
    assert ("f", "g") not in shown


def test_an_effect_waits_for_all_above_and_holds_all_below(builder):
    b = builder("def w(x):\n    a = f(x)\n    save(x)\n    c = g(x)\n", "x")
    program = b.program(
        b.call("f(x)", "x", "a"), b.call("save(x)", "x", None, ordered=True), b.call("g(x)", "x", "c")
    )
    assert {("f", "save"), ("save", "g"), ("g", "end")} <= arrows(graph_of(program), "order")


def test_order_that_data_implies_is_not_drawn(builder):
    b = builder("def w(x):\n    a = f(x)\n    c = g(a)\n    save(c)\n", "x")
    program = b.program(
        b.call("f(x)", "x", "a"), b.call("g(a)", "a", "c"), b.call("save(c)", "c", None, ordered=True)
    )
    assert arrows(graph_of(program), "order") == {("save", "end")}


def test_names_of_two_arms_meet_after_the_branch(builder):
    b = builder("def w(x):\n    if x:\n        a = f(x)\n    else:\n        a = g(x)\n    h(a)\n", "x")
    program = b.program(
        b.branch("x:", "x", [b.call("f(x)", "x", "a")], [b.call("g(x)", "x", "a")], labels=("yes", "else")),
        b.call("h(a)", "a", None),
    )
    assert {("f", "h"), ("g", "h")} <= arrows(graph_of(program), "data")


def test_an_arm_that_may_be_missing_shows_the_way_around_it(builder):
    b = builder("def w(x):\n    a = f(x)\n    if a:\n        a = g(a)\n    h(a)\n", "x")
    program = b.program(
        b.call("f(x)", "x", "a"),
        b.branch("a:", "a", [b.call("g(a)", "a", "a")], labels=("yes", "else")),
        b.call("h(a)", "a", None),
    )
    graph = graph_of(program)
    assert {("f", "h"), ("g", "h")} <= arrows(graph, "data")
    assert ("a:", "h") in arrows(graph, "branch")


def epochs(builder):
    b = builder(
        "def w(m):\n    for e in range(9):\n        m = fit(m)\n        if done(m): break\n    save(m)\n", "m"
    )
    stop = Break(id=99, span=b.span("break"))
    return b.program(
        b.loop(
            "for e in range(9)",
            "",
            "e",
            b.call("fit(m)", "m", "m"),
            b.call("done(m)", "m", "@1"),
            b.branch("done(m)", "@1", [stop], labels=("yes", "no"), guard=True),
            over="range(9)",
            sequence=True,
            carried=("m",),
            reason="`m`",
        ),
        b.call("save(m)", "m", None),
    )


def test_a_carried_name_makes_an_arrow_back(builder):
    graph = graph_of(epochs(builder))
    assert arrows(graph, "loop") == {("fit", "fit")}
    assert next(edge.label for edge in graph.edges if edge.kind == "loop") == "m"
    assert ("fit", "save") in arrows(graph, "data")


def test_a_loop_whose_body_ignores_its_items_still_follows_what_it_runs_over(builder):
    b = builder("def w(n):\n    k = count(n)\n    m = init(n)\n    for _ in k:\n        m = fit(m)\n", "n")
    fit = b.call("fit(m)", "m", "m")
    loop = b.loop("for _ in k", "k", "", fit, over="k:", sequence=True, carried=("m",))
    graph = graph_of(b.program(b.call("count(n)", "n", "k"), b.call("init(n)", "n", "m"), loop))
    assert {("count", "fit"), ("init", "fit")} <= arrows(graph)
    # The start is before both, so an arrow from it would say nothing.
    assert ("w(n)", "fit") not in arrows(graph)


def test_only_loop_arrows_go_back(builder, delays):
    for program in (epochs(builder), delays):
        graph = graph_of(program)
        ranks = {node.id: node.rank for node in graph.nodes}
        assert all(ranks[e.source] < ranks[e.target] for e in graph.edges if e.kind != "loop")


def test_a_handler_hangs_on_the_failure_and_finally_on_all_ways(builder):
    b = builder(
        "def w(x):\n    try:\n        a = f(x)\n    except E:\n        a = g(x)\n    finally:\n        z(x)\n",
        "x",
    )
    program = b.program(
        b.attempt(
            "try:", [b.call("f(x)", "x", "a")], [("E", [b.call("g(x)", "x", "a")])], [b.call("z(x)", "x")]
        )
    )
    graph = graph_of(program)
    assert arrows(graph, "failure") == {("f", "g")}
    assert arrows(graph, "finally") == {("f", "z"), ("g", "z")}
    assert group_of(graph, "g").label == "except E"


def test_an_inlined_workflow_is_a_group_with_its_path(builder):
    b = builder("def w(x):\n    y = sub(x)\n    g(y)\n", "x")
    inner = b.call("sub(x)", "x", "r", path="train")
    program = b.program(b.group("sub(x)", "sub.2", "r", inner), b.call("g(y)", "r", None))
    graph = graph_of(program)
    assert next(node.path for node in graph.nodes if node.label == "train") == "sub.2/train"
    assert ("train", "g") in arrows(graph, "data")


def test_a_return_of_an_inlined_workflow_holds_back_nothing_outside_it(builder):
    b = builder("def w(x):\n    y = sub(x)\n    if bad: return\n    g(x)\n    h(y)\n", "x")
    leaves = b.glue("if bad: return", "a", guard=True)
    inside = [
        b.call("sub(x)", "x", "a", path="f"),
        leaves,
        b.call("sub(x)", "a", "r", path="f.2"),
        b.returns("return"),
    ]
    program = b.program(b.group("sub(x)", "sub", "r", *inside), b.call("g(x)", "x", "z"), b.call("h(y)", "r"))
    found = arrows(graph_of(program))
    assert ("if bad: return", "f.2") in found
    assert ("f.2", "h") in found
    assert not any(target == "g" and source != "w(x)" for source, target in found)


def test_an_effect_waits_for_what_stood_above_a_decision_too(builder):
    b = builder("def w(x):\n    a = f(x)\n    if x:\n        return\n    save(x)\n", "x")
    branch = b.branch("x:", "x", [b.returns("return")], labels=("yes", "no"), guard=True)
    program = b.program(b.call("f(x)", "x", "a"), branch, b.call("save(x)", "x", ordered=True))
    assert {("f", "save"), ("x:", "save")} <= arrows(graph_of(program))


def test_a_move_is_another_name(builder):
    b = builder("def w(x):\n    a = f(x)\n    c = a\n    g(c)\n", "x")
    move = Move(id=50, span=b.span("c = a"), out="c", value="a")
    program = b.program(b.call("f(x)", "x", "a"), move, b.call("g(c)", "c"))
    assert ("f", "g") in arrows(graph_of(program), "data")


def test_nodes_after_an_arm_that_always_leaves_are_reached_from_the_others_only(builder):
    b = builder("def w(x):\n    if x:\n        a = f(x)\n        return a\n    g(x)\n", "x")
    leaving = [b.call("f(x)", "x", "@return"), b.returns("return a")]
    program = b.program(b.branch("x:", "x", leaving, labels=("yes", "no"), guard=True), b.call("g(x)", "x"))
    found = arrows(graph_of(program))
    assert ("f", "return a") in found
    assert not {("f", "g"), ("return a", "g"), ("return a", "end")} & found


def test_a_graph_is_json_that_round_trips(delays):
    graph = graph_of(delays)
    assert msgspec.json.decode(graph.to_json(), type=Graph) == graph


def test_notes_of_the_program_come_along(builder):
    b = builder("def w(x):\n    f(x)\n", "x")
    program = b.program(b.call("f(x)", "x"), notes=(Note("hidden-step", b.span("f(x)"), "no task"),))
    note = graph_of(program).notes[0]
    assert (note.code, note.message, note.line) == ("hidden-step", "no task", 2)


def test_an_empty_workflow_is_a_start_and_an_end(builder):
    graph = graph_of(builder("def w():\n    pass\n").program())
    assert [(node.kind, node.id) for node in graph.nodes] == [("start", "start"), ("end", "end")]
    assert arrows(graph) == {("w()", "end")}


@pytest.mark.parametrize("glue", [False, True])
def test_every_node_is_reached_from_the_start(delays, glue):
    graph = graph_of(delays, glue=glue)
    reached = {"start"}
    for _ in graph.nodes:
        reached |= {edge.target for edge in graph.edges if edge.source in reached}
    assert reached == {node.id for node in graph.nodes}


def test_a_block_of_nothing_in_an_arm_makes_no_group(builder):
    b = builder("def w(x):\n    if x:\n        pass\n    g(x)\n", "x")
    program = b.program(b.branch("x:", "x", [], labels=("yes", "no")), b.call("g(x)", "x"))
    assert program.body.nodes[0].arms == (Block(),)
    assert graph_of(program).groups == ()
