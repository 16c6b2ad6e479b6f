"""Loops that are unrolled: over a literal, or a constant of the module, that holds steps."""

from __future__ import annotations

import ast

from weft.lang.draft import Scope
from weft.lang.resolve import NOTHING, Marked, resolve

Item = list[tuple[str, ast.expr, object]]


def unrolled_items(target: ast.expr, iterable: ast.expr, scope: Scope) -> list[Item] | None:
    """Return, for each item, (name, expression, what it stands for) if the loop runs over steps, else None."""
    elements = _elements(iterable, scope)
    names = [target] if isinstance(target, ast.Name) else getattr(target, "elts", [])
    if elements is None or not names or not all(isinstance(name, ast.Name) for name in names):
        return None
    items: list[Item] = []
    for expression, value in elements:
        parts: list[tuple[ast.expr, object]] | None = [(expression, value)]
        if not isinstance(target, ast.Name):
            parts = _parts(expression, value, len(names), scope)
        if parts is None:
            return None
        items.append([(name.id, part, found) for name, (part, found) in zip(names, parts, strict=True)])
    return items if any(isinstance(found, Marked) for item in items for _, _, found in item) else None


def unrolled_constants(target: ast.expr, iterable: ast.expr, scope: Scope) -> dict[str, object]:
    """Return the names of a loop's target that stand for steps, each with the first of them."""
    found: dict[str, object] = {}
    for item in unrolled_items(target, iterable, scope) or ():
        for name, _, value in item:
            if isinstance(value, Marked):
                found.setdefault(name, value)
    return found


def _elements(iterable: ast.expr, scope: Scope) -> list[tuple[ast.expr, object]] | None:
    """Return the items of a literal, or of a constant of the module, each with what it stands for."""
    if isinstance(iterable, (ast.Tuple, ast.List)):
        if any(isinstance(part, ast.Starred) for part in iterable.elts):
            return None
        return [(part, resolve(part, scope)) for part in iterable.elts]
    found: object = NOTHING
    if isinstance(iterable, (ast.Name, ast.Attribute)):
        found = resolve(iterable, scope)
        if isinstance(found, (tuple, list)):
            return [(_item(iterable, place), value) for place, value in enumerate(found)]
    if isinstance(iterable, ast.Call) and isinstance(iterable.func, ast.Attribute) and not iterable.args:
        found = resolve(iterable.func.value, scope)
        if isinstance(found, dict) and iterable.func.attr in ("items", "values"):
            values = list(found.items() if iterable.func.attr == "items" else found.values())
            listed = ast.copy_location(
                ast.Call(ast.copy_location(ast.Name("list", ast.Load()), iterable), [iterable], []), iterable
            )
            return [(_item(listed, place), value) for place, value in enumerate(values)]
    return None


def _item(whole: ast.expr, place: int) -> ast.expr:
    return ast.copy_location(
        ast.Subscript(whole, ast.copy_location(ast.Constant(place), whole), ast.Load()), whole
    )


def _parts(
    expression: ast.expr, value: object, count: int, scope: Scope
) -> list[tuple[ast.expr, object]] | None:
    if isinstance(expression, (ast.Tuple, ast.List)) and len(expression.elts) == count:
        return [(part, resolve(part, scope)) for part in expression.elts]
    if isinstance(value, (tuple, list)) and len(value) == count:
        return [(_item(expression, place), part) for place, part in enumerate(value)]
    return None
