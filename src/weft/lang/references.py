"""What a piece of code refers to, read from its source and byte code without running it.

State kept: none. Names are exact for functions (byte code says which names are global); chains such as
``features.clean`` come from the tree.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from types import CodeType
from typing import Final

import msgspec

from weft.digest import digest_parts
from weft.lang.bytecode import Chain, code_digest, global_chains
from weft.lang.normal_form import normal_form
from weft.lang.source import FunctionSource
from weft.lang.source_text import SourceText, first_line_of

_DYNAMIC: Final = frozenset({"eval", "exec", "__import__", "globals"})


class Import(msgspec.Struct, frozen=True):
    """An import inside a function: ``from module import name``, or ``import module`` (name is "")."""

    module: str
    name: str = ""
    level: int = 0


class References(msgspec.Struct, frozen=True):
    """What the text of one definition says.

    Attributes:
        digest: of its normal form.
        chains: names that it takes from around it, each with the attributes that follow.
        imports: imports in its body.
        notes: what it does that cannot be followed.
    """

    digest: str
    chains: tuple[Chain, ...]
    imports: tuple[Import, ...] = ()
    notes: tuple[str, ...] = ()


def of_function(source: FunctionSource, code: CodeType) -> References:
    """Return what a function refers to."""
    roots = {chain[0] for chain in global_chains(code)} | set(code.co_freevars)
    annotations = list(_annotations(source.tree))
    chains = set(chains_in(source.tree.body, roots)) | set(chains_in(annotations, None))
    return _references(source.tree, chains, source.file)


def of_class(text: SourceText, node: ast.ClassDef) -> References:
    """Return what a class refers to: in its body, its methods, its decorators and keywords."""
    place = next(place for places in text.places.values() for place in places if place.node is node)
    lines = range(first_line_of(node), (node.end_lineno or node.lineno) + 1)
    codes = [code for code in next(text.compilations(place, 0)) if code.co_firstlineno in lines]
    roots = {chain[0] for code in codes for chain in global_chains(code, nested=False)}
    free = {name for code in codes for name in code.co_freevars}
    outside: list[ast.AST] = [*node.decorator_list, *(keyword.value for keyword in node.keywords)]
    for child in ast.walk(node):
        outside.extend(_annotations(child))
    chains = set(chains_in(node.body, roots | free)) | set(chains_in(outside, None))
    return _references(node, chains, text.file, decorators=True)


def of_module(text: SourceText) -> References:
    """Return what a whole module says. Its names are its own, so there are imports only."""
    return _references(text.tree, set(), text.file)


def of_code(code: CodeType) -> References:
    """Return what a function without source refers to (a lambda, a function made by ``exec``)."""
    return References(code_digest(code), tuple(sorted(set(global_chains(code)))))


def _references(node: ast.AST, chains: set[Chain], file: str, *, decorators: bool = False) -> References:
    digest = digest_parts("source", [normal_form(node, decorators=decorators)])
    imports: list[Import] = []
    notes: list[str] = []
    for child in ast.walk(node):
        if isinstance(child, ast.Import):
            imports.extend(Import(alias.name) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            imports.extend(Import(child.module or "", alias.name, child.level) for alias in child.names)
        elif isinstance(child, ast.Call):
            found = _computed_import(child)
            imports.extend([Import(found)] if found else [])
            notes.extend([f"{file}:{child.lineno}: {note}"] if (note := _dynamic(child)) else [])
    return References(digest, tuple(sorted(chains)), tuple(dict.fromkeys(imports)), tuple(notes))


def chains_in(nodes: Iterable[ast.AST], roots: set[str] | None) -> Iterator[Chain]:
    """Yield the names in ``nodes`` that are among ``roots`` (None: all), with their attributes."""
    stack = list(nodes)
    while stack:
        node = stack.pop()
        chain = _chain(node)
        if chain is None:
            stack.extend(ast.iter_child_nodes(node))
        elif roots is None or chain[0] in roots:
            yield chain


def _chain(node: ast.AST) -> Chain | None:
    attributes = []
    while isinstance(node, ast.Attribute):
        attributes.append(node.attr)
        node = node.value
    return (node.id, *reversed(attributes)) if isinstance(node, ast.Name) else None


def _annotations(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the annotations of a definition or a field, those in quotes parsed."""
    found: list[ast.expr | None] = []
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        arguments = node.args
        every = [
            *arguments.posonlyargs,
            *arguments.args,
            *arguments.kwonlyargs,
            arguments.vararg,
            arguments.kwarg,
        ]
        found = [node.returns, *(argument.annotation for argument in every if argument)]
    elif isinstance(node, ast.AnnAssign):
        found = [node.annotation]
    for annotation in found:
        if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
            yield from _parsed(annotation.value)
        elif annotation is not None:
            yield annotation


def _parsed(text: str) -> list[ast.AST]:
    try:
        return [ast.parse(text, mode="eval")]
    except SyntaxError:
        return []


def _computed_import(call: ast.Call) -> str | None:
    """Return the module that ``import_module("name")`` imports."""
    chain = _chain(call.func)
    match call.args:
        case [ast.Constant(value=str(name)), *_] if chain and chain[-1] == "import_module":
            return name
    return None


def _dynamic(call: ast.Call) -> str | None:
    """Return what a call does that cannot be followed, or None."""
    chain = _chain(call.func)
    if chain is None:
        return None
    if len(chain) == 1 and chain[0] in _DYNAMIC:
        return f"{chain[0]}(...) reaches names that cannot be seen"
    if chain == ("getattr",) and len(call.args) > 1 and not isinstance(call.args[1], ast.Constant):
        return f"getattr({ast.unparse(call.args[0])}, ...) with a computed name"
    if chain[-1] == "import_module" and _computed_import(call) is None:
        return "import_module(...) with a computed name"
    return None
