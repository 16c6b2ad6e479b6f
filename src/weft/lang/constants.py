"""Values as text, for fingerprints: equal text for equal values, the same in every process.

What is no plain value is followed through its class and its state where the project wrote it, and noted
as not followed where not.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterable
from enum import Enum
from types import BuiltinFunctionType, FunctionType, GenericAlias, MethodType, ModuleType, UnionType
from typing import Any, Final, Protocol

from weft.digest import digest_bytes, digest_parts
from weft.lang.origins import origin_of_name

ITEMS_MAX: Final = 100_000
DEPTH_MAX: Final = 50
ARRAY_BYTES_MAX: Final = 64 << 20
TOKEN_LENGTH_MAX: Final = 200

_SCALARS: Final = (
    int,
    float,
    complex,
    str,
    bytes,
    bool,
    type(None),
    type(...),
    type(NotImplemented),
    range,
    slice,
)
_BY_REPR: Final = {
    ("datetime", "date"), ("datetime", "datetime"), ("datetime", "time"), ("datetime", "timedelta"),
    ("datetime", "timezone"), ("decimal", "Decimal"), ("fractions", "Fraction"), ("uuid", "UUID"),
    ("zoneinfo", "ZoneInfo"), ("typing", "TypeVar"), ("typing", "ParamSpec"), ("typing", "_SpecialForm"),
    ("typing", "_AnyMeta"), ("pathlib", "PosixPath"), ("pathlib", "WindowsPath"), ("pathlib", "PurePosixPath"),
    ("pathlib._local", "PosixPath"), ("pathlib._local", "PurePosixPath"), ("builtins", "bytearray"),
}  # fmt: skip


class Follower(Protocol):
    """What follows code on behalf of the encoder."""

    def function_token(self, function: FunctionType) -> str: ...
    def class_token(self, cls: type) -> str: ...
    def module_token(self, module: ModuleType) -> str: ...
    def builtin_token(self, function: BuiltinFunctionType) -> str: ...
    def data_digest(self, value: object) -> str | None: ...
    def note(self, note: str) -> None: ...


class Encoder:
    """Turns values into tokens. ``follower`` gives those of functions, classes and modules."""

    def __init__(self, follower: Follower) -> None:
        self._follower = follower
        self._open: list[int] = []
        self._items_left = ITEMS_MAX

    def is_constant(self, value: object) -> bool:
        """Return whether a value is data, and not code that is followed as a part of its own."""
        code = (FunctionType, type, ModuleType, BuiltinFunctionType, MethodType)
        return not isinstance(value, code) and _wrapped(value) is None

    def encode(self, value: Any, label: str) -> str:
        """Return the token of ``value``; ``label`` names it in a note."""
        kind = type(value)
        if kind in _SCALARS:
            return _short(f"{kind.__name__} {value!r}")
        if id(value) in self._open:
            return f"again {len(self._open) - self._open.index(id(value))}"
        if len(self._open) >= DEPTH_MAX or self._items_left <= 0:
            self._follower.note(f"`{label}` is too large or too deep to be followed whole")
            return "more"
        self._open.append(id(value))
        try:
            return _short(self._encode_code(value, label) or self._encode_data(value, kind, label))
        finally:
            self._open.pop()

    def _encode_code(self, value: Any, label: str) -> str | None:
        if isinstance(value, FunctionType):
            return self._follower.function_token(value)
        if isinstance(value, GenericAlias | UnionType) or type(value).__module__ == "typing":
            return self._alias(value, label)
        if isinstance(value, type):
            return self._follower.class_token(value)
        if isinstance(value, ModuleType):
            return self._follower.module_token(value)
        if isinstance(value, BuiltinFunctionType):
            return self._builtin(value, label)
        if isinstance(value, MethodType):
            return f"method {self.encode(value.__func__, label)} of {self.encode(value.__self__, label)}"
        if isinstance(value, functools.partial):
            return f"partial {self._each([value.func, value.args, value.keywords], label)}"
        if isinstance(value, staticmethod | classmethod):
            return f"{type(value).__name__} {self.encode(value.__func__, label)}"
        wrapped = _wrapped(value)
        if wrapped is not None and type(value).__module__.startswith("weft."):
            return self.encode(wrapped, label)  # a step is its function; its options do not count
        if wrapped is not None:
            return f"{self._follower.class_token(type(value))} around {self.encode(wrapped, label)}"
        return None

    def _builtin(self, value: BuiltinFunctionType, label: str) -> str:
        owner = getattr(value, "__self__", None)
        token = self._follower.builtin_token(value)
        return (
            token
            if owner is None or isinstance(owner, ModuleType)
            else f"{token} of {self.encode(owner, label)}"
        )

    def _alias(self, value: Any, label: str) -> str:
        arguments = getattr(value, "__args__", None)
        if not isinstance(arguments, tuple):
            return f"typing {value!r}"
        return (
            f"alias {self.encode(getattr(value, '__origin__', None), label)} {self._each(arguments, label)}"
        )

    def _each(self, values: Iterable[Any], label: str) -> str:
        tokens = []
        for value in values:
            self._items_left -= 1
            tokens.append(self.encode(value, label))
            if self._items_left <= 0:
                self._follower.note(f"`{label}` is too large to be followed whole")
                break
        return digest_parts("items", tokens)

    def _encode_data(self, value: Any, kind: type, label: str) -> str:
        if isinstance(value, Enum):
            return f"{self._follower.class_token(kind)} {value.name}"
        if (kind.__module__, kind.__qualname__) in _BY_REPR:
            return f"{kind.__qualname__} {value!r}"
        contents = self._contents(value, label)
        if kind in (list, tuple, dict, set, frozenset):
            return f"{kind.__name__} {contents}"
        library = _library_value(value, kind)
        if library is not None:
            return library
        if origin_of_name(kind.__module__).kind == "project":
            state = self._each([*_state(value).items()], label)
            return f"{self._follower.class_token(kind)} {contents} {state}"
        if isinstance(value, list | tuple | dict | set | frozenset):
            return f"{self._follower.class_token(kind)} {contents}"
        digest = self._follower.data_digest(value)
        if digest is not None:
            return f"a {self._follower.class_token(kind)} {digest}"
        self._follower.note(f"`{label}` holds a {kind.__module__}.{kind.__qualname__}, which is not followed")
        return f"a {self._follower.class_token(kind)}"

    def _contents(self, value: object, label: str) -> str:
        if isinstance(value, dict):
            return self._each([part for item in value.items() for part in item], label)
        if isinstance(value, set | frozenset):
            return self._each(sorted(value, key=_set_order), label)
        if isinstance(value, list | tuple):
            return self._each(value, label)
        if isinstance(value, int | float | complex | str | bytes):
            return repr(value)
        return ""


def _wrapped(value: object) -> object | None:
    """Return what a decorator's object stands for, without running the object's own ``__getattr__``."""
    wrapped: object = getattr(value, "__dict__", {}).get("__wrapped__")
    return wrapped if callable(wrapped) else None


def _short(token: str) -> str:
    return token if len(token) <= TOKEN_LENGTH_MAX else digest_parts("token", [token])


def _set_order(item: Any) -> tuple[str, str]:
    """Return a key that orders the items of a set alike in every process."""
    name = getattr(item, "__qualname__", None)
    return (f"{item.__module__}:{name}", "") if isinstance(name, str) else ("", repr(item))


def _library_value(value: Any, kind: type) -> str | None:
    """Return the token of a value of a library that is as good as plain, or None."""
    module = kind.__module__.partition(".")[0]
    if module == "re" and hasattr(value, "pattern"):
        return f"pattern {value.pattern!r} {value.flags}"
    if module == "logging" and hasattr(value, "name"):
        return f"logger {value.name}"
    numpy = sys.modules.get("numpy") if module == "numpy" else None
    if numpy is not None and isinstance(value, numpy.ndarray | numpy.generic):
        is_plain = not value.dtype.hasobject and value.nbytes <= ARRAY_BYTES_MAX
        if is_plain:
            return f"{kind.__qualname__} {value.dtype!s} {value.shape} {digest_bytes(value.tobytes())}"
    return None


def _state(value: Any) -> dict[str, Any]:
    """Return the attributes that an object holds itself."""
    state = dict(getattr(value, "__dict__", {}))
    for cls in type(value).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            mangled = (
                f"_{cls.__name__.lstrip('_')}{name}"
                if name.startswith("__") and not name.endswith("__")
                else name
            )
            if hasattr(value, mangled):
                state[name] = getattr(value, mangled)
    state.pop("__dict__", None)
    state.pop("__weakref__", None)
    return state
