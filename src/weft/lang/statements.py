"""What can be read off the text of a statement or of a call: how it may leave, what its locals hold."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any, Final

from weft.lang.names import parameters_of
from weft.lang.purity import MUTATORS
from weft.lang.syntax import nodes_of

Function = ast.FunctionDef | ast.AsyncFunctionDef
_KINDS: Final[dict[type, type]] = {
    ast.List: list,
    ast.ListComp: list,
    ast.Dict: dict,
    ast.DictComp: dict,
    ast.Set: set,
    ast.SetComp: set,
}


def kinds_of(tree: Function, names: set[str]) -> dict[str, type]:
    """Return the locals that only ever hold a list, dict or set made by a display."""
    kinds: dict[str, type | None] = {}
    simple: set[int] = set()
    nodes = nodes_of(tree)
    for node in nodes:
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            kind = _KINDS.get(type(node.value))
            for target in targets:
                if isinstance(target, ast.Name):
                    simple.add(id(target))
                    same = kinds.get(target.id, kind) is kind
                    kinds[target.id] = kind if same else None
    for node in nodes:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and id(node) not in simple:
            kinds[node.id] = None
        elif (isinstance(node, ast.ExceptHandler) and node.name) or (
            isinstance(node, (ast.MatchAs, ast.MatchStar)) and node.name
        ):
            kinds[node.name] = None
        elif isinstance(node, ast.MatchMapping) and node.rest:
            kinds[node.rest] = None
    return {name: kind for name, kind in kinds.items() if kind is not None and name in names}


def exits_of(node: ast.AST) -> set[str]:
    """Return how a statement may leave on purpose: raise, return, and the loops' break and continue."""
    exits: set[str] = set()
    _collect_exits(node, 0, exits)
    return exits


def _collect_exits(node: ast.AST, depth: int, exits: set[str]) -> None:
    match node:
        case ast.Return():
            exits.add("return")
        case ast.Raise() | ast.Assert():
            exits.add("raise")
        case ast.Break() if depth == 0:
            exits.add("break")
        case ast.Continue() if depth == 0:
            exits.add("continue")
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda() | ast.ClassDef():
            return
        case ast.For() | ast.AsyncFor() | ast.While():
            for part in node.body:
                _collect_exits(part, depth + 1, exits)
            for part in node.orelse:
                _collect_exits(part, depth, exits)
        case _:
            for child in ast.iter_child_nodes(node):
                _collect_exits(child, depth, exits)


def has_effect(node: ast.AST) -> bool:
    """Return whether a statement holds a call that stands alone, made for what it does."""
    for inner in nodes_of(node):
        if isinstance(inner, ast.Expr) and isinstance(inner.value, (ast.Call, ast.Await)):
            func = inner.value.func if isinstance(inner.value, ast.Call) else None
            if not (isinstance(func, ast.Attribute) and func.attr in MUTATORS):
                return True
        if isinstance(inner, (ast.With, ast.AsyncWith)):
            return True
    return False


def surely_leaves(body: Sequence[ast.stmt]) -> bool:
    """Return whether the end of ``body`` cannot be reached."""
    if not body:
        return False
    last = body[-1]
    if isinstance(last, (ast.Return, ast.Raise, ast.Break, ast.Continue)):
        return True
    if isinstance(last, ast.If):
        return surely_leaves(last.body) and surely_leaves(last.orelse)
    if isinstance(last, ast.With):
        return surely_leaves(last.body)
    return False


def match_parameters(
    call: ast.Call, arguments: ast.arguments, bound: bool = False
) -> dict[str, int | None] | None:
    """Return parameter → place of its argument (None: its default), or None where Python must decide.

    Args:
        bound: the first parameter is no argument of the call but has the first place.
    """
    if (
        any(isinstance(argument, ast.Starred) for argument in call.args)
        or arguments.vararg
        or arguments.kwarg
    ):
        return None
    if any(keyword.arg is None for keyword in call.keywords):
        return None
    positional = [*arguments.posonlyargs, *arguments.args]
    places: dict[str, int | None] = {}
    count = len(call.args) + bound
    if count > len(positional):
        return None
    for place, parameter in enumerate(positional[:count]):
        places[parameter.arg] = place
    allowed = {parameter.arg for parameter in [*arguments.args, *arguments.kwonlyargs]}
    for place, keyword in enumerate(call.keywords):
        if keyword.arg not in allowed or keyword.arg in places:
            return None
        places[keyword.arg] = count + place
    with_default = {parameter.arg for parameter in positional[len(positional) - len(arguments.defaults) :]}
    with_default |= {
        parameter.arg
        for parameter, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        if default
    }
    for name in parameters_of(arguments):
        if name not in places:
            if name not in with_default:
                return None
            places[name] = None
    return places


def default_of(function: Any, name: str) -> object:
    code = function.__code__
    positional = code.co_varnames[: code.co_argcount]
    if name in positional:
        defaults = function.__defaults__ or ()
        return defaults[positional.index(name) - len(positional)]
    return (function.__kwdefaults__ or {})[name]
