"""Small pieces of syntax that the lowering puts together, each at the place of the user's text it comes from."""

from __future__ import annotations

import ast
from typing import Any, Final

from weft.lang.syntax import Tree

RUNTIME: Final = "_weft"
ATOM: Final = "_weft_atom"


def name_of(identifier: str, at: ast.AST, store: bool = False) -> ast.Name:
    """Return a name at the place of ``at``."""
    return ast.copy_location(ast.Name(identifier, ast.Store() if store else ast.Load()), at)


def assign(identifier: str, value: ast.expr) -> ast.stmt:
    """Return ``identifier = value`` at the place of ``value``."""
    return ast.copy_location(ast.Assign([name_of(identifier, value, store=True)], value), value)


def runtime_call(function: str, arguments: list[ast.expr], at: ast.AST) -> ast.Call:
    """Return ``_weft.function(...)``: a call of what the worker lends to glue."""
    callee = ast.copy_location(ast.Attribute(name_of(RUNTIME, at), function, ast.Load()), at)
    return ast.copy_location(ast.Call(callee, arguments, []), at)


def constant(value: object, at: ast.AST) -> ast.Constant:
    """Return a constant at the place of ``at``."""
    return ast.copy_location(ast.Constant(value), at)  # type: ignore[arg-type]


def rebuild(node: Tree, **parts: Any) -> Tree:
    """Return ``node`` with some of its parts replaced; syntax is never changed, only built anew."""
    fields: dict[str, Any] = {name: getattr(node, name) for name in node._fields}
    return ast.copy_location(type(node)(**{**fields, **parts}), node)


def consumed_here(node: ast.expr, whole: bool = False) -> None:
    """Note that a generator, if ``node`` is one, is consumed by the expression it stands in; ``whole``: to its end."""
    inner = node.value if isinstance(node, ast.Starred) else node
    if isinstance(inner, ast.GeneratorExp):
        setattr(inner, ATOM, "whole" if whole or isinstance(node, ast.Starred) else True)
