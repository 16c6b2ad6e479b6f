"""The source of functions and classes: from files, packages, ``__main__``, notebooks and IPython cells.

A function's text is believed only if compiling it gives the function's own byte code; so a file that was
edited since it was imported is found out.

State kept: ``_verified``, which definition a function or class was found to be compiled from.
"""

from __future__ import annotations
import __future__

import ast
import linecache
import os
import sys
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from types import CodeType, FunctionType
from typing import Any, Final
from zipimport import zipimporter

import msgspec

from weft.errors import UserError
from weft.lang.bytecode import same_code
from weft.lang.source_text import Place, SourceText, first_line_of, read_text

VERIFIED_MAX: Final = 10_000
# Without `nested_scopes`, whose flag says of a code object that it is nested.
_FUTURE_FLAGS: Final[int] = sum(
    {
        getattr(__future__, name).compiler_flag
        for name in __future__.all_feature_names
        if name != "nested_scopes"
    }
)
_TEXT_SUFFIXES: Final = (".py", ".pyw")
_PLAIN_LOADERS: Final = (SourceFileLoader, zipimporter)


class NoSource(UserError):
    """The source of a function is found nowhere."""

    code = "no-source"

    def __init__(self, what: str, reason: str, hint: str) -> None:
        super().__init__(f"{what}: {reason}", hint=hint)


class SourceChanged(UserError):
    """The file of a function was edited after the function was imported."""

    code = "source-changed"

    def __init__(self, name: str, file: str) -> None:
        super().__init__(
            f"{file}: `{name}` is not what was imported: the file was edited since",
            hint="Start Python again (in a notebook: restart the kernel, or reload the module and its users).",
        )


class FunctionSource(msgspec.Struct, frozen=True):
    """A function as it stands in its file.

    Attributes:
        text: the lines from the first decorator to the end, not dedented.
        first_line: the line of the first decorator, or of ``def``; from 1.
        file: a path, or the name of a cell.
        tree: the definition with the positions of its file. Shared: do not change it.
        module: the name of the module in whose globals it runs.
        future_flags: the compiler flags of the ``__future__`` imports that it was compiled with.
    """

    text: str
    first_line: int
    file: str
    tree: ast.FunctionDef | ast.AsyncFunctionDef
    module: str
    future_flags: int = 0


def function_source(function: object) -> FunctionSource:
    """Return the source of a function; a second call costs a ``stat`` and a look-up.

    Raises:
        NoSource: it is no Python function with a ``def``, or its text is found nowhere.
        SourceChanged: its file was edited after it was imported.
    """
    code = getattr(function, "__code__", None)
    if not isinstance(function, FunctionType) or not isinstance(code, CodeType):
        raise NoSource(repr(function), "it is no Python function", "Write a Python function that calls it.")
    if code.co_name == "<lambda>":
        raise NoSource(
            f"{_where(code)}: a lambda", "it has no body to read", "Write it as a function with `def`."
        )
    file = file_of(function)
    text = _parsed(function, file)
    node = _find(function, text)
    first = first_line_of(node)
    return FunctionSource(
        text="\n".join(text.lines[first - 1 : node.end_lineno]),
        first_line=first,
        file=file,
        tree=node,
        module=function.__module__ or "",
        future_flags=code.co_flags & _FUTURE_FLAGS,
    )


def file_of(function: FunctionType) -> str:
    """Return the file or cell that a function was compiled from."""
    file = function.__code__.co_filename
    if os.path.isabs(file) or file.startswith("<"):
        return file
    # A script started by a relative path keeps it in its code, also after the directory has changed.
    named = function.__globals__.get("__file__")
    return named if isinstance(named, str) and os.path.basename(named) == os.path.basename(file) else file


def _where(code: CodeType) -> str:
    return f"{code.co_filename}:{code.co_firstlineno}"


def _parsed(function: FunctionType, file: str) -> SourceText:
    name = function.__qualname__
    try:
        text = read_text(file, function.__globals__)
    except SyntaxError as error:
        raise SourceChanged(name, file) from error
    if text is None:
        raise NoSource(
            f"{_where(function.__code__)}: `{name}`",
            "its source text is not on this machine (made by exec, or typed at a prompt that keeps none)",
            "Put it in a .py file, a notebook or an IPython cell.",
        )
    return text


def _find(function: FunctionType, text: SourceText) -> ast.FunctionDef | ast.AsyncFunctionDef:
    """Return the definition in ``text`` that compiles to this very function."""
    code = function.__code__
    places = text.places.get(code.co_qualname, [])
    # The one at the old line first: the same name may be defined twice, in `if` and `else`.
    for place in sorted(places, key=lambda place: place.first_line != code.co_firstlineno):
        if isinstance(place.node, ast.ClassDef):
            continue
        if _matches(code, place, text, function.__globals__):
            return place.node
    raise SourceChanged(code.co_qualname, text.file)


_verified: dict[int, tuple[object, Place]] = {}


def _is_verified(key: object, place: Place) -> bool:
    known = _verified.get(id(key))
    return known is not None and known[0] is key and known[1] is place


def _remember(key: object, place: Place) -> None:
    if len(_verified) >= VERIFIED_MAX:
        _verified.clear()
    _verified[id(key)] = key, place


def _matches(code: CodeType, place: Place, text: SourceText, module_globals: dict[str, Any]) -> bool:
    if not _is_verified(code, place):
        if compiles_plainly(module_globals) and not _compiles_to(code, place, text):
            return False
        _remember(code, place)
    return True


def _compiles_to(code: CodeType, place: Place, text: SourceText) -> bool:
    return any(
        compiled.co_firstlineno == place.first_line and same_code(compiled, code)
        for codes in text.compilations(place, code.co_flags & _FUTURE_FLAGS)
        for compiled in codes
        if compiled.co_name == code.co_name
    )


def compiles_plainly(module_globals: dict[str, Any]) -> bool:
    """Return whether the module was compiled from its text as it stands.

    A loader of another type (pytest's, which rewrites ``assert``; a type checker's import hook) compiles
    something else, so byte code says nothing about the text.
    """
    loader = module_globals.get("__loader__")
    return loader is None or type(loader) in _PLAIN_LOADERS or not hasattr(loader, "exec_module")


def class_source(cls: type) -> tuple[SourceText, ast.ClassDef] | None:
    """Return the text that a class stands in and its definition, or None where it has none.

    Raises:
        SourceChanged: the file was edited after the class was imported.
    """
    for file, module_globals in _files_of_class(cls):
        try:
            text = read_text(file, module_globals)
        except SyntaxError as error:
            raise SourceChanged(cls.__qualname__, file) from error
        if text is None:
            continue
        classes = [
            each for each in text.places.get(cls.__qualname__, ()) if isinstance(each.node, ast.ClassDef)
        ]
        for place in reversed(classes):
            if isinstance(place.node, ast.ClassDef) and _methods_match(cls, place, text, module_globals):
                return text, place.node
        if classes:
            raise SourceChanged(cls.__qualname__, file)
    return None


def methods_of(cls: type) -> Iterator[FunctionType]:
    """Yield the functions that stand in the body of a class, properties and the like included."""
    for value in vars(cls).values():
        parts = (
            value,
            *(getattr(value, name, None) for name in ("__func__", "fget", "fset", "fdel", "func")),
        )
        for part in parts:
            if isinstance(part, FunctionType) and part.__code__.co_qualname.startswith(
                f"{cls.__qualname__}."
            ):
                yield part


def _files_of_class(cls: type) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield where a class may stand: where its methods do; its module; else the cells, newest first."""
    seen = set()
    for method in methods_of(cls):
        file = file_of(method)
        if file not in seen and file != "<string>":
            seen.add(file)
            yield file, method.__globals__
    if seen:
        return
    module_globals = vars(sys.modules[cls.__module__]) if cls.__module__ in sys.modules else {}
    named = module_globals.get("__file__")
    if isinstance(named, str) and named.endswith(_TEXT_SUFFIXES):
        yield named, module_globals
    if cls.__module__ == "__main__":
        for name, entry in reversed(list(linecache.cache.items())):
            if len(entry) == 4 and entry[1] is None and f"class {cls.__name__}" in "".join(entry[2]):
                yield name, module_globals


def _methods_match(cls: type, place: Place, text: SourceText, module_globals: dict[str, Any]) -> bool:
    """Return whether this definition compiles to the methods that the class has."""
    if _is_verified(cls, place):
        return True
    methods = [method for method in methods_of(cls) if file_of(method) == text.file]
    if compiles_plainly(module_globals) and not _compile_to_all(methods, place, text):
        return False
    _remember(cls, place)
    return True


def _compile_to_all(methods: list[FunctionType], place: Place, text: SourceText) -> bool:
    if not methods:
        return True
    inside = range(place.first_line, (place.node.end_lineno or place.first_line) + 1)
    return any(
        all(
            _is_among(method.__code__, [code for code in codes if code.co_firstlineno in inside])
            for method in methods
        )
        for codes in text.compilations(place, methods[0].__code__.co_flags & _FUTURE_FLAGS)
    )


def _is_among(code: CodeType, compiled: list[CodeType]) -> bool:
    return any(each.co_name == code.co_name and same_code(each, code) for each in compiled)
