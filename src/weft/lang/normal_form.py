"""The normal form of source: what of a text counts when it is asked whether code has changed.

Comments, formatting, positions, docstrings and the decorators of the definition itself do not count (a
decorator is followed as an object, where it changes what is called). Nor does the module that a local
import names: what it leads to is followed instead, so code may move inside a project.
The text is the same for all versions of Python that parse to the same tree.
"""

from __future__ import annotations

import ast

_WITH_DOCSTRING = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Module)


def normal_form(node: ast.AST, *, decorators: bool = False) -> str:
    """Return the normal form of a definition or module.

    Args:
        decorators: whether the decorators of ``node`` itself count.
    """
    out: list[str] = []
    _write(node, out, skip="" if decorators else "decorator_list")
    return "".join(out)


def _write(node: ast.AST, out: list[str], skip: str = "") -> None:
    kind = node.__class__
    if kind is ast.Constant:
        value = node.value  # type: ignore[attr-defined]
        out.append(f"{type(value).__name__} {value!r} ")
        return
    out.append(f"{kind.__name__}(")
    for field in kind._fields:
        value = getattr(node, field, None)
        if value is None or value == [] or field in ("ctx", "type_comment", skip):
            continue
        if field == "module" and kind is ast.ImportFrom:
            continue
        if field == "level":
            continue
        out.append(f"{field}=")
        if field == "body" and isinstance(node, _WITH_DOCSTRING):
            value = without_docstring(node)
        _write_value(value, out)
    out.append(")")


def _write_value(value: object, out: list[str]) -> None:
    if isinstance(value, ast.AST):
        _write(value, out)
    elif isinstance(value, list):
        out.append("[")
        for item in value:
            _write_value(item, out)
        out.append("]")
    else:
        out.append(f"{value!r} ")


def without_docstring(
    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module,
) -> list[ast.stmt]:
    """Return the body of a definition without its docstring."""
    match node.body:
        case [ast.Expr(value=ast.Constant(value=str())), *rest]:
            return rest
    return node.body
