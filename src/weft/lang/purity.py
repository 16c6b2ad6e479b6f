"""What the compiler knows about calls: builtins and methods that change nothing, or change their receiver."""

from __future__ import annotations

import ast
import builtins
from enum import EnumType
from types import FunctionType, MethodType
from typing import Final

from weft.lang.draft import TEMP, Scope
from weft.lang.resolve import look_up, resolve
from weft.lang.syntax import nodes_of


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Their result is a new object that shares nothing with the arguments.
FRESH: Final = _words(
    """
    len sum str repr int float bool abs round hash ord chr hex oct bin bytes format range isinstance
    issubclass callable ascii divmod pow complex any all id type print
    """
)
# Their result is a new container that holds the contents of the arguments.
CONTENTS: Final = _words(
    """
    list tuple set frozenset dict sorted enumerate zip reversed min max slice hasattr getattr vars
    """
)
# These call a function that they are given.
CALLERS: Final = frozenset(["map", "filter"])
# Functions of these packages leave their arguments as they are, but for those of the names below.
HARMLESS: Final = _words(
    """
    base64 builtins collections copy dataclasses datetime decimal fractions functools glob hashlib html
    io itertools json math ntpath numpy operator os pandas pathlib polars posixpath pyarrow random re
    sklearn statistics string textwrap time unicodedata uuid zlib
    """
)
HARMFUL: Final = _words(
    """
    put place putmask copyto fill_diagonal put_along_axis shuffle setattr delattr next iter exec eval
    setitem delitem methodcaller reduce partial readv seterr
    """
)
# A call with one of these keywords may change what it is given.
IN_PLACE: Final = frozenset(["inplace", "out", "copy", "overwrite_input"])
# These read an iterable to its end.
CONSUMERS: Final = frozenset(["list", "tuple", "set", "frozenset", "dict", "sorted", "sum", "min", "max"])
READERS: Final = _words(
    """
    get items keys values copy index count format join split rsplit splitlines strip lstrip rstrip lower
    upper title capitalize startswith endswith replace encode decode isdigit isalpha union intersection
    difference symmetric_difference issubset issuperset isdisjoint mean std median head tail to_dict
    tolist with_traceback
    """
)
# Methods of arrays and frames that leave their receiver as it is, unless a keyword asks for it.
FRAME_READERS: Final = _words(
    """
    agg all any argmax argmin argsort assign astype between clip corr cumsum describe diff dot
    drop_duplicates dropna duplicated explode fillna flatten groupby idxmax idxmin isin isna isnull item
    max melt merge min mode nlargest notna notnull nsmallest nunique pivot_table quantile ravel rename
    reset_index reshape rolling round sample select_dtypes set_index shift sort_index sort_values
    squeeze sum swapaxes to_list to_numpy transpose unique value_counts var
    """
)
# Their result may look at the memory of the receiver.
VIEWERS: Final = _words(
    """
    astype groupby head ravel rename reset_index reshape rolling select_dtypes set_index squeeze
    swapaxes tail to_numpy transpose
    """
)
# They change their receiver; what they are given becomes part of it.
MUTATORS: Final = _words(
    """
    append appendleft extend extendleft insert add add_note update setdefault pop popleft popitem remove discard
    clear sort reverse rotate intersection_update difference_update symmetric_difference_update
    """
)
# Of these, those that let items come and go, which no view of an array has.
RESIZERS: Final = MUTATORS - {"update", "sort", "intersection_update", "add_note"}
# Of these, those that take the parts of what they are given.
EXTENDERS: Final = frozenset(
    [
        "extend",
        "extendleft",
        "update",
        "intersection_update",
        "difference_update",
        "symmetric_difference_update",
    ]
)
BUILTINS: Final = {getattr(builtins, name): name for name in FRESH | CONTENTS | CALLERS}


def changed_in_place(node: ast.AST) -> set[tuple[str, bool]]:
    """Return the names whose object a text changes: ``xs.append(v)``, ``d[k] = v``, ``box.n += 1``.

    With each stands whether it is a part of that object instead: ``d["k"].append(v)``.
    """
    owners: list[ast.expr] = []
    for part in ast.walk(node):
        match part:
            case ast.Call(func=ast.Attribute(value=owner, attr=attribute)) if attribute in MUTATORS:
                owners.append(owner)
            case ast.Subscript(value=owner, ctx=ast.Store() | ast.Del()):
                owners.append(owner)
            case ast.Attribute(value=owner, ctx=ast.Store() | ast.Del()):
                owners.append(owner)
    roots = [(owner, _root(owner)) for owner in owners]
    return {(root.id, owner is not root) for owner, root in roots if isinstance(root, ast.Name)}


def _root(node: ast.expr) -> ast.expr:
    while isinstance(node, (ast.Subscript, ast.Attribute)):
        node = node.value
    return node


def known_builtin(func: ast.expr, scope: Scope) -> str | None:
    """Return the name of the builtin that ``func`` stands for, if the compiler knows what it does."""
    if not isinstance(func, ast.Name):
        return None
    found = look_up(func.id, scope)
    try:
        return BUILTINS.get(found)
    except TypeError:
        return None


def steps_through(node: ast.expr, scope: Scope) -> list[ast.expr]:
    """Return the parts of an iterable that it only steps through: those of ``enumerate(xs)`` and ``d.items()``."""
    match node:
        case ast.Call(func=ast.Attribute(value=owner, attr="items" | "keys" | "values")):
            return [owner]
        case ast.Call(func=ast.Name(), args=arguments):
            name = known_builtin(node.func, scope)
            if name in CALLERS:
                arguments = arguments[1:]
            if name in ("enumerate", "zip", "reversed", "map", "filter"):
                return [part for part in arguments if not isinstance(part, ast.Starred)]
    return []


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


def is_harmless(found: object) -> bool:
    """Return whether a call of a function or class leaves its arguments as they are, by where it comes from."""
    name = getattr(found, "__name__", "")
    if not isinstance(name, str):
        return False  # An object that makes up an answer for each attribute, such as `polars.col`.
    if name in HARMFUL or (name.startswith("i") and getattr(found, "__module__", "") == "_operator"):
        return False
    if isinstance(found, type):
        return _is_plain_class(found)
    if isinstance(found, FunctionType) and "." in found.__qualname__:
        return False  # A method that is called through its class takes the object that it changes.
    return _is_of_harmless_module(found)


def _is_of_harmless_module(found: object) -> bool:
    module = getattr(found, "__module__", "")
    return isinstance(module, str) and module.partition(".")[0].lstrip("_") in HARMLESS


def _is_plain_class(cls: type) -> bool:
    """Return whether making an instance keeps what is given, and no more."""
    if issubclass(cls, BaseException) or _is_of_harmless_module(cls):
        return True
    makers = [cls.__init__, cls.__new__, getattr(cls, "__post_init__", None)]
    return type(cls) in (type, EnumType) and all(map(_is_generated, makers))


def _is_generated(maker: object) -> bool:
    """Return whether no user wrote this method: it is ``object``'s, or made by ``dataclass`` or ``NamedTuple``."""
    if isinstance(maker, FunctionType):
        return maker.__code__.co_filename == "<string>"
    return not isinstance(maker, MethodType)
