"""The text of files and of cells, parsed, with the definitions that stand in it.

State kept: ``_texts``, the parsed text of up to ``TEXTS_MAX`` files and cells, each good for as long as
its file keeps its size, time and inode (a cell: for as long as linecache holds the same lines).
"""

from __future__ import annotations

import ast
import linecache
import os
from collections.abc import Iterator
from importlib.util import decode_source
from types import CodeType
from typing import Any, Final

import msgspec

from weft.lang.bytecode import functions_in

TEXTS_MAX: Final = 1000
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_IMPORTS: Final = (ast.Import, ast.ImportFrom)
_DEFINITIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


class Place(msgspec.Struct, frozen=True):
    """A definition in a text, and the statement of the text's top level that it is in."""

    node: Definition
    top: ast.stmt
    first_line: int


class SourceText:
    """A file or a cell, parsed, with its definitions by qualified name."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.lines = text.split("\n")
        self.tree = ast.parse(text, file)
        self.places: dict[str, list[Place]] = {}
        self._imports = [node for node in _outside_definitions(self.tree) if isinstance(node, _IMPORTS)]
        for top in self.tree.body:
            self._index(top, top, "")

    def _index(self, node: ast.AST, top: ast.stmt, prefix: str) -> None:
        if isinstance(node, _DEFINITIONS):
            name = prefix + node.name
            self.places.setdefault(name, []).append(Place(node, top, first_line_of(node)))
            prefix = f"{name}." if isinstance(node, ast.ClassDef) else f"{name}.<locals>."
        for child in _statements(node):
            self._index(child, top, prefix)

    def compilations(self, place: Place, flags: int) -> Iterator[list[CodeType]]:
        """Compile what ``place`` stands in, and yield all functions in it, once for each way it may have been.

        CPython compiles a method call, or ``super()``, by what names the module's own scope has. With the
        imports it is nearly always right, and cheap. IPython compiles each statement of a cell by itself.
        """
        flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        for body in ([*self._imports, place.top], [place.top], self.tree.body):
            module = compile(ast.Module(body, []), self.file, "exec", flags=flags, dont_inherit=True)
            yield list(functions_in(module))


def first_line_of(node: Definition) -> int:
    """Return the line at which a definition starts, its decorators included."""
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the statements (and handlers, cases) directly in ``node``; no expression holds a definition."""
    for field in ("body", "handlers", "orelse", "finalbody", "cases"):
        children = getattr(node, field, ())
        if isinstance(children, list):
            yield from children


def _outside_definitions(node: ast.AST) -> Iterator[ast.stmt]:
    """Yield the statements that run in the module's own scope."""
    for child in _statements(node):
        if isinstance(child, ast.stmt):
            yield child
        if not isinstance(child, _DEFINITIONS):
            yield from _outside_definitions(child)


_texts: dict[str, tuple[object, SourceText]] = {}


def read_text(file: str, module_globals: dict[str, Any] | None = None) -> SourceText | None:
    """Return the parsed text of a file or a cell as it is now, or None where there is none.

    Raises:
        SyntaxError: the file was edited and is no Python any more.
    """
    stamp, lines = _stamp(file, module_globals)
    if stamp is None:
        return None
    known = _texts.get(file)
    if known is not None and known[0] == stamp:
        return known[1]
    text = "".join(lines) if lines is not None else _read(file)
    if len(_texts) >= TEXTS_MAX:
        _texts.clear()
    # The lines stay referenced beside their id, so that the id is not given to other lines.
    _texts[file] = stamp, SourceText(file, text)
    return _texts[file][1]


def _stamp(file: str, module_globals: dict[str, Any] | None) -> tuple[object, list[str] | None]:
    """Return what tells this version of the text from others, and the lines where it is no plain file."""
    try:
        status = os.stat(file)
    except (OSError, ValueError):
        lines = linecache.getlines(file, module_globals)
        return (tuple(lines), lines) if lines else (None, None)
    return (status.st_mtime_ns, status.st_size, status.st_ino), None


def _read(file: str) -> str:
    with open(file, "rb") as stream:
        raw = stream.read()
    try:
        return decode_source(raw)
    except UnicodeDecodeError as error:
        raise SyntaxError(f"{file}: {error}") from error
