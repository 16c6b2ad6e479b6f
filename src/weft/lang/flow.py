"""Findings on the draft: what each node reads and writes, what lives on, what keeps its place, what waits.

Run in this order by ``analyse``: reads and binds; aliases (again where a loop may change what it runs over, and
where a loop's items share objects that change); liveness; writes with their groups; effects and guards; deferred glue; sequences.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence

from weft.lang.alias import Aliases
from weft.lang.deferring import defer_glue
from weft.lang.delivering import Deliveries
from weft.lang.dependence import mark_sequences
from weft.lang.draft import (
    TEMP,
    AnyDraft,
    DBreak,
    DCall,
    DContinue,
    DGlue,
    DGroup,
    DLoop,
    DReturn,
    blocks_of,
    glue_of,
    walk,
)
from weft.lang.facts import Judge
from weft.lang.heap import NONE
from weft.lang.iterating import watch_loops
from weft.lang.liveness import Jumps, Liveness
from weft.lang.syntax import placed
from weft.lang.usage import exits_node, items_expression, mark_names


def analyse(
    block: list[AnyDraft],
    given: set[str],
    result: str,
    judge: Judge,
    shared: Sequence[frozenset[str]] = (),
) -> tuple[Aliases, Liveness]:
    """Run every analysis on the draft of a whole workflow.

    Args:
        given: environment names that are bound before the first node.
        result: the name that is read after the last.
        judge: says what calls of the user's own functions may do.
        shared: groups of ``given`` names that hold parts of one object graph.
    """
    mark_names(block)
    aliases = Aliases(block, given, judge, shared)
    if watch_loops(block, given, aliases):
        mark_names(block)
        aliases = Aliases(block, given, judge, shared)
    grouped = [
        node for node in walk(block) if isinstance(node, DLoop) and _shares_what_changes(node, aliases)
    ]
    for loop in grouped:
        _keep_items_together(loop)
    if grouped:
        mark_names(block)
        aliases = Aliases(block, given, judge, shared)
    live = Liveness()
    live.block(block, {result}, Jumps(returns={result}))
    Deliveries(aliases, live, given).mark(block)
    mark_order(block, live)
    defer_glue(block)
    mark_sequences(block)
    return aliases, live


def _shares_what_changes(loop: DLoop, aliases: Aliases) -> bool:
    if loop.source is None:
        return False
    envs = [env for _, env in loop.targets]
    items = aliases.heap.content(aliases.kept_items(loop)) if envs else NONE
    return bool(aliases.heap.reach(items) & aliases.facts.changed)


def _keep_items_together(loop: DLoop) -> None:
    """Let the items stay in one artifact; glue in the body takes its item from there."""
    assert loop.target is not None
    loop.grouped = True
    item = ast.Subscript(ast.Name(loop.kept, ast.Load()), ast.Name(loop.index, ast.Load()), ast.Load())
    place = loop.target
    statement = placed(ast.copy_location(ast.Assign([loop.target], ast.copy_location(item, place)), place))
    (body,) = loop.bodies
    if loop.unpack is not None:
        body.remove(loop.unpack)
    loop.unpack = DGlue(
        loop.span, [statement], loop.scope, loop.source.handling if loop.source else None, in_loop=loop
    )
    body.insert(0, loop.unpack)
    loop.targets = [(loop.index, "@" + loop.index.removeprefix(TEMP))]
    assert loop.source is not None
    keep = ast.Assign([ast.Name(loop.kept, ast.Store())], _kept_call(items_expression(loop)))
    loop.source.stmts += [placed(ast.copy_location(keep, place))]
    loop.source.items = None


def _kept_call(generator: ast.expr) -> ast.expr:
    callee = ast.Attribute(ast.Name(TEMP[:-1], ast.Load()), "keep", ast.Load())
    return ast.Call(callee, [generator], [])


# -- order ------------------------------------------------------------------------------------------------


def mark_order(block: list[AnyDraft], live: Liveness) -> None:
    """Fill ``ordered`` and ``guard``: effects keep their place, deliberate exits hold what is below."""
    for node in block:
        for inner in blocks_of(node):
            mark_order(inner, live)
        children = [child for inner in blocks_of(node) for child in inner]
        match node:
            case DCall():
                node.ordered = node.out is None or node.out not in live.after.get(node, set())
            case DGlue():
                node.ordered = node.effect
                node.guard = bool(node.exits)
            case DReturn() | DBreak() | DContinue():
                node.guard = True
            case _:
                node.ordered = any(child.ordered for child in children) or any(
                    g.effect for g in glue_of(node)
                )
                node.guard = _leaves(node, children)


def _leaves(node: AnyDraft, children: list[AnyDraft]) -> bool:
    if isinstance(node, DGroup):
        return any(exits_node(child) - {"return"} for child in walk(node.body))
    if isinstance(node, DLoop):
        inside = [child for body in node.bodies for child in walk(body)]
        # A break of a loop inside never leaves that loop, so it never leaves this one.
        leaves = any(exits_node(child) - {"break", "continue"} for child in inside)
        return leaves or any(child.guard for child in node.orelse)
    return any(child.guard for child in children)
