"""Where code comes from: the project, an installed package, Python itself, or Weft.

State kept: ``_origins``, the answer for each module seen.
"""

from __future__ import annotations

import os
import re
import sys
from functools import lru_cache
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import resolve_name
from types import FunctionType, ModuleType
from typing import Any, Final, Literal, NamedTuple

from weft.distributions import find_distribution

Kind = Literal["project", "package", "python", "weft"]

_SITE: Final = re.compile(r".*[/\\](?:site|dist)-packages(?=[/\\])")
_STDLIB: Final = os.path.dirname(os.__file__)
_WEFT: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PYTHON_VERSION: Final = "{}.{}".format(*sys.version_info[:2])


class Origin(NamedTuple):
    """Where a module comes from. ``name`` and ``version`` are those of its distribution."""

    kind: Kind
    name: str = ""
    version: str = ""


_origins: dict[tuple[str, str | None], Origin] = {}


def origin_of(module: str, file: str | None) -> Origin:
    """Return where a module with this name and this file comes from."""
    key = (module, file)
    if key not in _origins:
        _origins[key] = _decide(module, file)
    return _origins[key]


def _decide(module: str, file: str | None) -> Origin:
    top = module.partition(".")[0]
    if module == "__main__":
        return Origin("project")
    if file is None or file.startswith("<frozen"):
        return Origin("python") if top in sys.stdlib_module_names or top == "builtins" else Origin("project")
    if file.startswith(_WEFT + os.sep):
        return Origin("weft")
    site = _SITE.match(file)
    if site is not None:
        return _package(module, site.group(), file[site.end() + 1 :])
    return Origin("python") if file.startswith(_STDLIB + os.sep) else Origin("project")


def _package(module: str, site: str, inside: str) -> Origin:
    found = find_distribution(site, inside.replace(os.sep, "/"))
    if found is not None:
        return Origin("package", found.name, found.version)
    top = module.partition(".")[0]
    return Origin("package", top, str(getattr(sys.modules.get(top), "__version__", "")))


def origin_of_module(module: ModuleType) -> Origin:
    """Return where a loaded module comes from."""
    return origin_of(module.__name__, file_of_module(module))


def file_of_module(module: ModuleType) -> str | None:
    """Return the file of a module, or the folder of a namespace package."""
    file = getattr(module, "__file__", None)
    if isinstance(file, str):
        return file
    return next((os.path.join(str(path), "") for path in getattr(module, "__path__", ())), None)


def origin_of_name(module: str) -> Origin:
    """Return where the module of this name comes from, by what is loaded."""
    loaded = sys.modules.get(module)
    return origin_of_module(loaded) if isinstance(loaded, ModuleType) else origin_of(module, None)


def origin_of_function(function: FunctionType) -> Origin:
    """Return where a function was written, whatever ``functools.wraps`` made of its name."""
    file: str | None = function.__code__.co_filename
    module_globals: dict[str, Any] = function.__globals__
    if file and file.startswith("<") and not file.startswith("<frozen"):
        file = module_globals.get("__file__")  # made by exec, for the module in whose globals it runs
    elif file and not os.path.isabs(file) and not file.startswith("<"):
        file = os.path.abspath(file)
    return origin_of(str(module_globals.get("__name__")), file)


class Found(NamedTuple):
    """A module that an import would load: ``package`` is what its relative imports start from."""

    name: str
    file: str | None
    package: str
    origin: Origin


def find_module(name: str) -> Found | None:
    """Return where ``import name`` would find its module, without importing anything; None: nowhere."""
    if name.partition(".")[0] in sys.stdlib_module_names:
        return Found(name, None, "", Origin("python"))
    path: list[str] | None = None
    spec: ModuleSpec | None = None
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        spec = _find_spec(".".join(parts[:end]), tuple(path) if path is not None else None)
        if spec is None:
            return None
        path = list(spec.submodule_search_locations or ())
    assert spec is not None
    is_package = spec.submodule_search_locations is not None
    file = spec.origin or next((os.path.join(folder, "") for folder in path or ()), None)
    return Found(name, file, name if is_package else name.rpartition(".")[0], origin_of(name, file))


def _find_spec(name: str, path: tuple[str, ...] | None) -> ModuleSpec | None:
    spec = _find_installed(name, path, tuple(sys.path))
    # What lies in the project may appear and go; only an installed module is remembered.
    return spec or PathFinder.find_spec(name, path)


@lru_cache(maxsize=1000)
def _find_installed(name: str, path: tuple[str, ...] | None, _sys_path: tuple[str, ...]) -> ModuleSpec | None:
    spec = PathFinder.find_spec(name, path)
    return spec if spec is not None and spec.origin and _SITE.match(spec.origin) else None


def absolute_name(module: str, level: int, package: str) -> str | None:
    """Return the full name of what ``from ..module import`` names inside ``package``; None: it is outside."""
    if level == 0:
        return module
    try:
        return resolve_name("." * level + module, package)
    except ImportError:
        return None
