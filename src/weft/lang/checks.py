"""Refusals that need the analyses: changes and captures that a durable run cannot follow."""

from __future__ import annotations

import ast
from typing import Final

from weft.lang.alias import Aliases
from weft.lang.calls import CallFinder
from weft.lang.draft import AnyDraft, DCall, DCapture, DGlue, DLoop, DMove, glue_of, walk
from weft.lang.heap import NONE, each, union
from weft.lang.iterating import Iterated
from weft.lang.liveness import Liveness
from weft.lang.lowering import Lowering
from weft.lang.refusals import CompileError
from weft.lang.syntax import nodes_of
from weft.lang.usage import binds_of, writes_of
from weft.program.nodes import Span

_CHANGERS: Final = frozenset(
    ["append", "extend", "insert", "add", "update", "setdefault", "pop", "remove", "clear"]
)


def check_draft(
    block: list[AnyDraft],
    given: set[str],
    aliases: Aliases,
    live: Liveness,
    finder: CallFinder,
    lowering: Lowering,
) -> None:
    """Note every refusal that only the analyses can find."""
    order = {node: place for place, node in enumerate(walk(block))}
    iterated = Iterated(list(order), given, aliases)
    for node in order:
        if isinstance(node, DLoop) and node.source is not None:
            _check_iterated(node, iterated, finder, lowering)
        if isinstance(node, DCapture) and not node.whole:
            _check_generator(node, aliases, finder, lowering)
        if isinstance(node, (DLoop, DGlue)):
            _check_turns(node, finder, lowering)
        for glue in glue_of(node):
            _check_globals(glue, finder, lowering)
    _check_captures(order, aliases, live, finder, lowering)


def _refuse(finder: CallFinder, lowering: Lowering, code: str, span: Span, about: str) -> None:
    finder.errors.append(
        CompileError(code, about, lowering.inliner.units[span.unit].file, span.line, span.column + 1)
    )


def _check_iterated(loop: DLoop, iterated: Iterated, finder: CallFinder, lowering: Lowering) -> None:
    """Refuse a body that adds to, or takes from, what its loop runs over."""
    assert loop.iterable is not None
    for glue in iterated.changed_surely(loop):
        _refuse(finder, lowering, "changes-what-it-iterates", glue.span, ast.unparse(loop.iterable))


def _check_turns(node: DLoop | DGlue, finder: CallFinder, lowering: Lowering) -> None:
    """Refuse a generator that reads what the body of the loop over it writes: they would take turns."""
    if node.generator is None:
        return
    first = next((inner for inner in walk(node.generator.body) if isinstance(inner, DLoop)), None)
    reads: set[str] = set()
    for inner in walk(node.generator.body):
        reads |= inner.reads if isinstance(inner, DCall) else set()
        reads |= {inner.value} if isinstance(inner, DMove) else set()
        for glue in glue_of(inner):
            reads |= set() if first is not None and glue is first.source else glue.reads - glue.extra
    blocks: list[list[AnyDraft]] = [[node]] if isinstance(node, DGlue) else node.bodies
    written = {name for block in blocks for inner in walk(block) for name in writes_of(inner)}
    if both := sorted(name for name in reads & written if not name.startswith("@")):
        _refuse(finder, lowering, "generator-takes-turns", node.span, both[0].partition("@")[0])


def _check_generator(capture: DCapture, aliases: Aliases, finder: CallFinder, lowering: Lowering) -> None:
    """Refuse a change of what was made outside a generator that may be read in part only."""
    inside = {node for node in walk(capture.body) if isinstance(node, DLoop)}
    points = aliases.facts.points
    for node in walk(capture.body):
        for glue in glue_of(node):
            own = points[capture.items] | union(map(aliases.heap.inside, inside))
            for number in each(aliases.facts.written.get(glue, NONE) & ~own):
                site = 1 << number
                near = {name for name, sites in points.items() if site & sites}
                names = sorted(name for name in near or aliases.reaching(site) if not name.startswith("@"))
                if names:
                    about = names[0].partition("@")[0]
                    _refuse(finder, lowering, "change-in-generator", glue.span, about)
                    return


def _check_globals(glue: DGlue, finder: CallFinder, lowering: Lowering) -> None:
    for statement in glue.stmts:
        for node in nodes_of(statement):
            target = _changed_name(node)
            if target is None or glue.scope.env(target) is not None:
                continue
            value = glue.scope.frame.function.__globals__.get(target)
            if isinstance(value, (list, dict, set)) or (
                value is not None and isinstance(node, (ast.Assign, ast.AugAssign, ast.Delete))
            ):
                _refuse(finder, lowering, "store-to-global", _span_of(node, glue), target)


def _span_of(node: ast.AST, glue: DGlue) -> Span:
    line, column = getattr(node, "lineno", glue.span.line), getattr(node, "col_offset", glue.span.column)
    return Span(glue.span.unit, line, column, line, column)


def _changed_name(node: ast.AST) -> str | None:
    """Return the name whose object a statement changes: ``name[k] = v``, ``name.a = v``, ``name.append(v)``."""
    if isinstance(node, (ast.Assign, ast.AugAssign, ast.Delete)):
        targets = [node.target] if isinstance(node, ast.AugAssign) else node.targets
        for target in targets:
            if isinstance(target, (ast.Subscript, ast.Attribute)) and isinstance(target.value, ast.Name):
                return target.value.id
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=attribute)) if attribute in _CHANGERS:
            return name
    return None


def _check_captures(
    order: dict[AnyDraft, int], aliases: Aliases, live: Liveness, finder: CallFinder, lowering: Lowering
) -> None:
    """Refuse a function that is still held where a name that it captures is bound again."""
    owner = {glue: node for node in order for glue in glue_of(node)}
    for site, (glue, names) in aliases.facts.closures.items():
        if glue not in owner:
            continue
        holders = aliases.reaching(site)
        at = order[owner[glue]]
        for node, place in order.items():
            again = binds_of(node, glue) & names
            if not again:
                continue
            looped = glue.in_loop is not None and _is_inside(node, glue.in_loop)
            if (place > at or looped) and holders & _still_read(node, live):
                name = sorted(again)[0].partition("@")[0]
                _refuse(finder, lowering, "captured-name-rebound", glue.span, name)
                break


def _still_read(node: AnyDraft, live: Liveness) -> set[str]:
    """Return the names that may be read after what ``node`` itself binds is bound."""
    found = set(live.after.get(node, ()))
    found |= live.inside.get(node, set())
    if any(not _binds_last(statement) for glue in glue_of(node) for statement in glue.stmts):
        found |= set().union(*(glue.reads for glue in glue_of(node)))
    return found


def _binds_last(statement: ast.stmt) -> bool:
    """Return whether a statement reads all that it reads before it binds a name."""
    if not isinstance(statement, (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Expr)):
        return False
    return not any(isinstance(inner, ast.NamedExpr) for inner in nodes_of(statement))


def _is_inside(node: AnyDraft, loop: DLoop) -> bool:
    return node is loop or any(node is child for body in loop.bodies for child in walk(body))
