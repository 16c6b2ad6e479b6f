"""The fingerprint of a step: it changes when, and as far as can be seen only when, its result may.

A function's normal form, and in turn all functions, classes, constants and modules of the project that it
uses, its defaults and captured values, and the versions of the packages. Where something stands, and how
it is spelled, does not count: what is reached is numbered in the order in which it is reached.

State kept: ``_read``, what the source of functions and classes refers to, good until their file changes.
"""

from __future__ import annotations

import ast
import builtins
import functools
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, Final

import msgspec

from weft.digest import digest_parts
from weft.lang import references
from weft.lang.bytecode import Chain
from weft.lang.constants import Encoder
from weft.lang.origins import (
    PYTHON_VERSION,
    Found,
    Origin,
    absolute_name,
    file_of_module,
    find_module,
    origin_of_function,
    origin_of_module,
    origin_of_name,
)
from weft.lang.references import Import, References, chains_in
from weft.lang.source import NoSource, class_source, function_source, methods_of
from weft.lang.source_text import SourceText, read_text

READ_MAX: Final = 10_000
_MISSING: Final = object()
_FOLLOWED: Final = (FunctionType, type, MethodType, functools.partial)


class Fingerprint(msgspec.Struct, frozen=True):
    """What a step is made of.

    Attributes:
        digest: equal for equal code; where the code stands does not count.
        parts: (name, digest) of each function and class of the project that it uses, the step itself first, and
            so ``constant NAME`` and ``module NAME``; (``package NAME``, version) and (``python``, version). To
            explain a change.
        unfollowed: what could change unseen, in words, with its place.
    """

    digest: str
    parts: tuple[tuple[str, str], ...]
    unfollowed: tuple[str, ...] = ()


DataDigest = Callable[[object], str | None]


def fingerprint(function: object, data_digest: DataDigest | None = None) -> Fingerprint:
    """Return the fingerprint of a step, or of the function under it, as the process holds it now.

    Nothing is imported. What a function without source (a lambda) does is taken from its byte code.

    Args:
        data_digest: gives the digest of a value of a library (a frame, a model) that the step finds in a global
            or its closure, or None where it has none. Without it such a value counts by its class alone.

    Raises:
        SourceChanged: a file that it uses was edited after it was imported.
    """
    walk = _Walk(data_digest)
    root = walk.encoder.encode(function, getattr(function, "__qualname__", repr(function)))
    walk.follow_all()
    records = ["\n".join(record) for record in walk.records]
    parts = dict(walk.parts)
    return Fingerprint(
        digest=digest_parts("fingerprint", [root, *records]),
        parts=tuple(parts.items()),
        unfollowed=tuple(dict.fromkeys(walk.notes)),
    )


def fingerprint_names(
    nodes: Sequence[ast.AST], names: set[str], module_globals: dict[str, Any], data_digest: DataDigest | None
) -> str:
    """Return the fingerprint of what expressions take from their module's globals under ``names``; "" for nothing."""
    walk = _Walk(data_digest)
    chains = [chain for chain in chains_in(nodes, names) if chain[0] in module_globals]
    if not chains:
        return ""
    found = [f"{'.'.join(chain)} {walk.resolve(chain, module_globals, {})}" for chain in sorted(set(chains))]
    walk.follow_all()
    records = ["\n".join(record) for record in walk.records]
    return digest_parts("fingerprint-names", [*found, *records])


class _Walk:
    """One walk over all that a function uses. ``records[n]`` says what the n-th thing is and refers to."""

    def __init__(self, data_digest: DataDigest | None = None) -> None:
        self.encoder = Encoder(self)
        self._data_digest = data_digest
        self.parts: list[tuple[str, str]] = []
        self.records: list[list[str]] = []
        self.notes: list[str] = []
        self._numbers: dict[object, int] = {}
        self._queue: list[tuple[object, object]] = []

    def follow_all(self) -> None:
        """Read what was numbered, and what that leads to, in order."""
        for key, thing in self._queue:  # grows while it is walked
            record: list[str] = []
            self.records.append(record)
            if isinstance(thing, FunctionType):
                record.extend(self._function(thing))
            elif isinstance(thing, type):
                record.extend(self._class(thing))
            elif isinstance(thing, Found):
                record.extend(self._module(thing))
            else:
                raise AssertionError(key)

    def _number(self, key: object, thing: object) -> str:
        if key not in self._numbers:
            self._numbers[key] = len(self._numbers)
            self._queue.append((key, thing))
        return f"#{self._numbers[key]}"

    # What the encoder asks for.

    def function_token(self, function: FunctionType) -> str:
        """Return the token of a function."""
        origin = origin_of_function(function)
        if origin.kind == "project":
            return self._number(id(function), function)
        token = f"function {function.__module__}:{function.__qualname__} {self.origin_token(origin)}"
        # A decorator of a package: what it wraps is the project's again.
        return " ".join([token, *self._wrapped_in(function)])

    def _wrapped_in(self, function: FunctionType) -> Iterator[str]:
        for cell in function.__closure__ or ():
            content = _content(cell)
            held = content.values() if isinstance(content, dict) else (content,)
            if any(isinstance(each, _FOLLOWED) for each in held):
                yield self.encoder.encode(content, function.__qualname__)

    def class_token(self, cls: type) -> str:
        """Return the token of a class."""
        if cls.__module__ == "builtins":
            return f"class {cls.__qualname__}"
        origin = origin_of_name(cls.__module__)
        if origin.kind == "project":
            return self._number(id(cls), cls)
        return f"class {cls.__module__}:{cls.__qualname__} {self.origin_token(origin)}"

    def module_token(self, module: ModuleType) -> str:
        """Return the token of a module used as a whole."""
        origin = origin_of_module(module)
        if origin.kind != "project":
            return f"module {module.__name__} {self.origin_token(origin)}"
        file = file_of_module(module)
        package = getattr(module, "__package__", None) or ""
        return self._found(Found(module.__name__, file, package, origin))

    def builtin_token(self, function: BuiltinFunctionType) -> str:
        """Return the token of a function written in C."""
        module = function.__module__ or "builtins"
        if module == "builtins":
            return f"builtin {function.__qualname__}"
        origin = origin_of_name(module)
        if origin.kind == "project":
            self.note(f"`{module}.{function.__qualname__}` is compiled: its code cannot be followed")
        return f"builtin {module}:{function.__qualname__} {self.origin_token(origin)}"

    def origin_token(self, origin: Origin) -> str:
        """Return the token of a package or of Python, and list it among the parts."""
        if origin.kind == "package":
            self.parts.append((f"package {origin.name}", origin.version))
            if not origin.version:
                self.note(f"the version of package {origin.name} is not known")
            return f"package {origin.name} {origin.version}"
        if origin.kind == "python":
            self.parts.append(("python", PYTHON_VERSION))
            return f"python {PYTHON_VERSION}"
        return origin.kind

    def data_digest(self, value: object) -> str | None:
        """Return the digest of a value of a library, or None."""
        return None if self._data_digest is None else self._data_digest(value)

    def note(self, note: str) -> None:
        """Say that something is not followed."""
        self.notes.append(note)

    # What the walk reads.

    def _function(self, function: FunctionType) -> Iterator[str]:
        name = f"{function.__module__}.{function.__qualname__}"
        found = _read_function(function)
        self.parts.append((name, found.digest))
        captured = _captured(function)
        yield found.digest
        yield from self._references(found, function.__globals__, captured)
        yield from self._defaults(function, name)

    def _defaults(self, function: FunctionType, name: str) -> Iterator[str]:
        for index, value in enumerate(function.__defaults__ or ()):
            yield f"default {index} {self._value(f'{name}(default {index})', value)}"
        for key, value in (function.__kwdefaults__ or {}).items():
            yield f"default {key} {self._value(f'{name}(default {key})', value)}"

    def _class(self, cls: type) -> Iterator[str]:
        name = f"{cls.__module__}.{cls.__qualname__}"
        for base in cls.__bases__:
            yield f"base {self.encoder.encode(base, name)}"
        found = _read_class(cls)
        if found is None:
            yield from self._class_without_source(cls, name)
            return
        self.parts.append((name, found.digest))
        methods = list(methods_of(cls))
        captured = {key: value for method in methods for key, value in _captured(method).items()}
        yield found.digest
        yield from self._references(found, _globals_of_class(cls, methods), captured)

    def _class_without_source(self, cls: type, name: str) -> Iterator[str]:
        fields = getattr(cls, "_fields", None)
        if issubclass(cls, tuple) and isinstance(fields, tuple):
            yield f"namedtuple {cls.__qualname__} {fields!r} {self._value(name, getattr(cls, '_field_defaults', {}))}"
            return
        self.note(f"class `{name}` has no source, so its code cannot be followed")
        yield f"class {cls.__qualname__}"

    def _module(self, found: Found) -> Iterator[str]:
        text = _read_module(found.file)
        if text is None:
            self.note(f"module `{found.name}` is no Python text, so its code cannot be followed")
            yield f"module {found.name}"
            return
        said = _once(text.tree, text.tree, lambda: references.of_module(text))
        self.parts.append((f"module {found.name}", said.digest))
        self.notes.extend(said.notes)
        yield said.digest
        yield from self._imports(said.imports, found.package)

    def _references(
        self, found: References, names: dict[str, Any], captured: dict[str, Any]
    ) -> Iterator[str]:
        self.notes.extend(found.notes)
        for chain in found.chains:
            yield f"{'.'.join(chain)} {self.resolve(chain, names, captured)}"
        yield from self._imports(found.imports, str(names.get("__package__") or ""))

    def resolve(self, chain: Chain, names: dict[str, Any], captured: dict[str, Any]) -> str:
        """Return the token of what a chain such as ``features.clean`` stands for."""
        value = captured.get(chain[0], names.get(chain[0], _MISSING))
        label = f"{names.get('__name__', '')}.{chain[0]}"
        if value is _MISSING:
            return f"builtin {chain[0]}" if hasattr(builtins, chain[0]) else "missing"
        for attribute in chain[1:]:
            if not isinstance(value, ModuleType) or not _is_walked(value):
                break
            label = f"{value.__name__}.{attribute}"
            value = vars(value).get(attribute, _MISSING)
            if value is _MISSING:
                return "missing"
        return self._value(label, value)

    def _value(self, label: str, value: object) -> str:
        """Return the token of a value; a constant is a part of its own."""
        token = self.encoder.encode(value, label)
        if self.encoder.is_constant(value):
            self.parts.append((f"constant {label}", digest_parts("constant", [token])))
        return token

    def _imports(self, imports: Iterable[Import], package: str) -> Iterator[str]:
        """Follow imports to files, whether loaded or not: what is loaded must not change the fingerprint."""
        for each in imports:
            name = absolute_name(each.module, each.level, package)
            if name is None:
                continue
            module = find_module(name) if name else None
            inner = find_module(f"{name}.{each.name}") if self._may_hold(module, each.name) else None
            wanted = [found for found in (module, inner) if found is not None]
            yield f"import {each.name} {' '.join(map(self._found, wanted)) or 'missing'}"

    def _may_hold(self, module: Found | None, name: str) -> bool:
        is_package = module is not None and module.package == module.name
        return (
            bool(name)
            and name != "*"
            and is_package
            and module is not None
            and module.origin.kind == "project"
        )

    def _found(self, found: Found) -> str:
        if found.origin.kind == "project":
            return self._number((found.name, found.file), found)
        return f"module {found.name} {self.origin_token(found.origin)}"


_read: dict[int, tuple[object, object, References]] = {}


def _once(key: object, tree: object, read: Any) -> References:
    """Return what ``read`` gives, remembered for as long as ``key`` and its tree are the same objects."""
    known = _read.get(id(key))
    if known is not None and known[0] is key and known[1] is tree:
        return known[2]
    if len(_read) >= READ_MAX:
        _read.clear()
    _read[id(key)] = key, tree, read()
    return _read[id(key)][2]


def _read_function(function: FunctionType) -> References:
    code = function.__code__
    try:
        source = function_source(function)
    except NoSource:
        return _once(code, None, lambda: references.of_code(code))
    return _once(code, source.tree, lambda: references.of_function(source, code))


def _read_class(cls: type) -> References | None:
    found = class_source(cls)
    if found is None:
        return None
    text, node = found
    return _once(cls, node, lambda: references.of_class(text, node))


def _is_walked(module: ModuleType) -> bool:
    """Return whether an attribute of a module is looked up: those of a namespace package are of many packages."""
    return getattr(module, "__file__", None) is None or origin_of_module(module).kind == "project"


def _read_module(file: str | None) -> SourceText | None:
    try:
        return read_text(file) if file is not None and file.endswith((".py", ".pyw")) else None
    except SyntaxError:
        return None


def _content(cell: Any) -> object:
    try:
        return cell.cell_contents
    except ValueError:
        return _MISSING


def _captured(function: FunctionType) -> dict[str, Any]:
    names = function.__code__.co_freevars
    return {name: _content(cell) for name, cell in zip(names, function.__closure__ or (), strict=True)}


def _globals_of_class(cls: type, methods: list[FunctionType]) -> dict[str, Any]:
    if methods:
        return methods[0].__globals__
    module = sys.modules.get(cls.__module__)
    return vars(module) if module is not None else {}
