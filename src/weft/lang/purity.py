"""What the compiler knows about calls: builtins and methods that change nothing, or change their receiver."""

from __future__ import annotations

import ast
import builtins
from typing import Final

from weft.lang.draft import TEMP, Scope
from weft.lang.resolve import look_up, resolve
from weft.lang.syntax import nodes_of

# Their result is a new object that shares nothing with the arguments.
FRESH: Final = frozenset(
    [
        "len",
        "sum",
        "str",
        "repr",
        "int",
        "float",
        "bool",
        "abs",
        "round",
        "hash",
        "ord",
        "chr",
        "hex",
        "oct",
        "bin",
        "bytes",
        "format",
        "range",
        "isinstance",
        "issubclass",
        "callable",
        "ascii",
        "divmod",
        "pow",
        "complex",
        "any",
        "all",
        "id",
        "type",
        "print",
    ]
)
# Their result is a new container that holds the contents of the arguments.
CONTENTS: Final = frozenset(
    [
        "list",
        "tuple",
        "set",
        "frozenset",
        "dict",
        "sorted",
        "enumerate",
        "zip",
        "reversed",
        "min",
        "max",
        "slice",
        "hasattr",
        "getattr",
        "vars",
    ]
)
# These call a function that they are given.
CALLERS: Final = frozenset(["map", "filter"])
# These read an iterable to its end.
CONSUMERS: Final = frozenset(["list", "tuple", "set", "frozenset", "dict", "sorted", "sum", "min", "max"])
READERS: Final = frozenset(
    [
        "get",
        "items",
        "keys",
        "values",
        "copy",
        "index",
        "count",
        "format",
        "join",
        "split",
        "rsplit",
        "splitlines",
        "strip",
        "lstrip",
        "rstrip",
        "lower",
        "upper",
        "title",
        "capitalize",
        "startswith",
        "endswith",
        "replace",
        "encode",
        "decode",
        "isdigit",
        "isalpha",
        "union",
        "intersection",
        "difference",
        "symmetric_difference",
        "issubset",
        "issuperset",
        "isdisjoint",
        "mean",
        "std",
        "median",
        "head",
        "tail",
        "to_dict",
        "tolist",
        "with_traceback",
    ]
)
# They change their receiver; what they are given becomes part of it.
MUTATORS: Final = frozenset(
    [
        "append",
        "appendleft",
        "extend",
        "extendleft",
        "insert",
        "add",
        "update",
        "setdefault",
        "pop",
        "popleft",
        "popitem",
        "remove",
        "discard",
        "clear",
        "sort",
        "reverse",
        "rotate",
        "intersection_update",
        "difference_update",
        "symmetric_difference_update",
    ]
)
BUILTINS: Final = {getattr(builtins, name): name for name in FRESH | CONTENTS | CALLERS}


def known_builtin(func: ast.expr, scope: Scope) -> str | None:
    """Return the name of the builtin that ``func`` stands for, if the compiler knows what it does."""
    if not isinstance(func, ast.Name):
        return None
    found = look_up(func.id, scope)
    try:
        return BUILTINS.get(found)
    except TypeError:
        return None


def is_exception_class(func: ast.expr, scope: Scope) -> bool:
    """Return whether ``func`` stands for an exception class."""
    found = resolve(func, scope)
    return isinstance(found, type) and issubclass(found, BaseException)


def is_pure(expression: ast.AST, scope: Scope) -> bool:
    """Return whether evaluating ``expression`` binds nothing and changes nothing that the compiler knows of."""
    for node in nodes_of(expression):
        if isinstance(node, (ast.NamedExpr, ast.Yield, ast.YieldFrom, ast.Await)):
            return False
        if isinstance(node, ast.Call) and not _is_pure_call(node, scope):
            return False
    return True


def _is_pure_call(node: ast.Call, scope: Scope) -> bool:
    if isinstance(node.func, ast.Attribute):
        owner = node.func.value
        if isinstance(owner, ast.Name) and owner.id == TEMP[:-1]:
            return True
        return node.func.attr in READERS
    name = known_builtin(node.func, scope)
    return name is not None and name != "print" and name not in CALLERS
