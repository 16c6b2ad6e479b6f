"""What each node of the draft does with names: from its text alone, before any analysis."""

from __future__ import annotations

import ast

from weft.lang.draft import (
    AnyDraft,
    DBranch,
    DBreak,
    DCall,
    DCapture,
    DContinue,
    DGlue,
    DGroup,
    DLimit,
    DLoop,
    DMove,
    DReturn,
    DTry,
    glue_of,
    walk,
)
from weft.lang.names import Names, names_of, plain_names
from weft.lang.syntax import placed


def items_expression(loop: DLoop) -> ast.expr:
    """Return the generator that gives a loop's items: one value, or a tuple of values, for each item."""
    assert loop.target is not None
    assert loop.iterable is not None
    target: ast.expr = loop.target
    if (loop.unpack is not None or loop.grouped) and not loop.filters:
        target = ast.Name(loop.element, ast.Store())
        element: ast.expr = ast.Name(loop.element, ast.Load())
    elif loop.grouped:
        element = _as_load(loop.target)
    else:
        names = [ast.Name(name, ast.Load()) for name, _ in loop.targets]
        element = names[0] if len(names) == 1 else ast.Tuple(list(names), ast.Load())
    generator = ast.comprehension(target, loop.iterable, loop.filters, 0)
    return placed(ast.copy_location(ast.GeneratorExp(element, [generator]), loop.iterable))


def _as_load(target: ast.expr) -> ast.expr:
    text = ast.unparse(target)
    return ast.parse(f"({text})", mode="eval").body


def text_names(glue: DGlue) -> Names:
    """Return what the text of a piece of glue does with names."""
    parts: list[ast.AST] = list(glue.stmts)
    if glue.items is not None:
        parts.append(items_expression(glue.items))
    parts += glue.arm_body or []
    if glue.arm is not None:
        parts.append(glue.arm)
    return names_of(parts)


def envs_of(glue: DGlue, names: set[str]) -> set[str]:
    return {env for name in names if (env := glue.scope.env(name)) is not None}


def mark_names(block: list[AnyDraft]) -> None:
    """Fill ``reads`` and ``binds`` of glue and ``reads`` of calls, from the text alone."""
    for node in walk(block):
        for glue in glue_of(node):
            found = text_names(glue)
            glue.reads = envs_of(glue, found.exposed | found.deletes)
            glue.binds = envs_of(glue, found.binds | found.deletes)
            if "return" in glue.exits:
                glue.binds.add(glue.scope.frame.result)
            if glue.handling is not None:
                glue.reads.add(glue.handling)
        if isinstance(node, DCall):
            loads = names_of([*node.call.args, *(k.value for k in node.call.keywords)]).loads
            node.reads = {env for name in loads if (env := node.scope.env(name)) is not None}
            if node.handling is not None:
                node.reads.add(node.handling)
            if node.key:
                node.reads.add(node.key)


def sure_binds(node: DGlue) -> set[str]:
    """Return what glue surely binds if it ends well."""
    sure: set[str] = set()
    for statement in node.stmts:
        match statement:
            case ast.Assign():
                for target in statement.targets:
                    sure.update(plain_names(target))
            case ast.AnnAssign(target=ast.Name()) if statement.value is not None:
                sure.add(statement.target.id)  # type: ignore[union-attr]
            case ast.FunctionDef() | ast.ClassDef():
                sure.add(statement.name)
    return envs_of(node, sure)


def exits_node(node: AnyDraft) -> set[str]:
    """Return how a leaf may leave on purpose."""
    match node:
        case DGlue():
            return node.exits
        case DReturn():
            return {"return"}
        case DBreak():
            return {"break"}
        case DContinue():
            return {"continue"}
        case _:
            return set()


def binds_of(node: AnyDraft, but: DGlue | None = None) -> set[str]:
    """Return what a node itself binds, glue ``but`` aside; storing a value again is no binding."""
    found = set[str]().union(*(glue.binds for glue in glue_of(node) if glue is not but))
    match node:
        case DCall():
            found |= {node.out} if node.out else set()
        case DMove():
            found.add(node.out)
        case DLoop():
            found |= {env for _, env in node.targets}
        case DTry():
            found |= {handler.name for handler in node.handlers if handler.name}
    return found


def writes_of(node: AnyDraft) -> set[str]:
    """Return every environment name that a node itself may write."""
    found = binds_of(node).union(*(glue.writes for glue in glue_of(node)))
    match node:
        case DTry() | DCapture():
            found.add(node.error)
        case DGroup():
            found.add(node.result)
    return found


def surely_writes(node: AnyDraft) -> set[str]:
    match node:
        case DCall():
            return {node.out} if node.out else set()
        case DMove():
            return {node.out}
        case DGlue():
            return sure_binds(node)
        case DGroup():
            return {node.result}.union(*(surely_writes(child) for child in node.body))
        case DBranch():
            return set.intersection(
                *({w for child in arm for w in surely_writes(child)} for arm in node.arms)
            )
        case DLoop():
            return {env for glue in node.prelude for env in sure_binds(glue)}
        case DCapture() | DLimit():
            return set().union(*(surely_writes(child) for child in node.body))
        case _:
            return set()
