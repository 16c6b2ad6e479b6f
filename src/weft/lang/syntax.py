"""Walking syntax trees, in the order of ``ast.walk`` but several times faster: compiling is mostly walking."""

from __future__ import annotations

import ast
from typing import Any, TypeVar

Tree = TypeVar("Tree", bound=ast.AST)


def nodes_of(*trees: ast.AST) -> list[Any]:
    """Return every node of ``trees``: one tree's nodes in the order of ``ast.walk``."""
    found: list[Any] = list(trees)
    for node in found:
        values = node.__dict__
        for field in node._fields:
            value = values.get(field)
            if isinstance(value, ast.AST):
                found.append(value)
            elif type(value) is list:
                found += [part for part in value if isinstance(part, ast.AST)]
    return found


def placed(tree: Tree) -> Tree:
    """Give each node that has no place in the file that of the node around it, and return ``tree``."""
    todo: list[tuple[Any, tuple[int, int, int, int]]] = [(tree, (1, 0, 1, 0))]
    while todo:
        node, place = todo.pop()
        values = node.__dict__
        if "lineno" in node._attributes:
            if "lineno" not in values:
                node.lineno, node.col_offset = place[0], place[1]
            if values.get("end_lineno") is None:
                node.end_lineno, node.end_col_offset = place[2], place[3]
            place = (node.lineno, node.col_offset, node.end_lineno, node.end_col_offset)
        for field in node._fields:
            value = values.get(field)
            if isinstance(value, ast.AST):
                todo.append((value, place))
            elif type(value) is list:
                todo += [(part, place) for part in value if isinstance(part, ast.AST)]
    return tree


class FastVisitor(ast.NodeVisitor):
    """A visitor whose methods are found once for each class of node."""

    def visit(self, node: ast.AST) -> Any:
        cls = type(self)
        methods: dict[type, Any] = cls.__dict__.get("_methods") or {}
        if not methods:
            cls._methods = methods  # type: ignore[attr-defined]
        method = methods.get(type(node))
        if method is None:
            method = methods[type(node)] = getattr(cls, f"visit_{type(node).__name__}", cls.generic_visit)
        return method(self, node)

    def generic_visit(self, node: ast.AST) -> None:
        values = node.__dict__
        for field in node._fields:
            value = values.get(field)
            if isinstance(value, ast.AST):
                self.visit(value)
            elif type(value) is list:
                for part in value:
                    if isinstance(part, ast.AST):
                        self.visit(part)
