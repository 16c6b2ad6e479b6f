"""The user's modules in a worker: imported by name; ``__main__`` rebuilt from its file or from values."""

from __future__ import annotations

import importlib
import os
import pickle
import sys
from types import ModuleType
from typing import Any, Final

from weft.seams import importing_for_worker

STAND_IN: Final = "__mp_main__"
_PLAYED: Final = "__weft_played__"


def load_module(name: str, main_file: str | None, main_values: bytes | None) -> ModuleType:
    """Return the module that a unit or a step names, importing it if need be."""
    if name == "__main__":
        return load_main(main_file, main_values)
    loaded = sys.modules.get(name)
    if loaded is not None:
        return loaded
    with importing_for_worker(name):
        return importlib.import_module(name)


def load_main(file: str | None, values: bytes | None) -> ModuleType:
    """Return this worker's ``__main__``: the user's script run under another name, then the values on top.

    The script runs as ``__mp_main__``, so that its ``if __name__ == "__main__":`` part does not run; then
    what it defines is said to belong to ``__main__`` again, which is how stored values name it.
    """
    known = sys.modules.get("__main__")
    if known is not None and (file, values) in known.__dict__.get(_PLAYED, ()):
        return known
    module = play_main(file)
    module.__dict__[_PLAYED] = {(file, values)}
    sys.modules["__main__"] = module
    if values is not None:
        module.__dict__.update(pickle.loads(values))
    return module


def play_main(file: str | None) -> ModuleType:
    """Return a module in which a script ran, and whose classes and functions say that they are of ``__main__``."""
    module = ModuleType(STAND_IN)
    sys.modules[STAND_IN] = module
    if file is not None:
        module.__file__ = file
        module.__package__ = _package_of(file)
        with open(file, "rb") as source, importing_for_worker(file):
            exec(compile(source.read(), file, "exec", dont_inherit=True), module.__dict__)
        _rename(module)
    return module


def lend_to_main(file: str) -> None:
    """Give this process's ``__main__`` the names of a script that it lacks, so that stored values are found."""
    main = sys.modules["__main__"].__dict__
    for name, value in vars(play_main(file)).items():
        if getattr(value, "__module__", None) == "__main__":
            main.setdefault(name, value)


def _package_of(file: str) -> str:
    """Return the package that a file lies in, for a script that was started with ``python -m``."""
    folder, parts = os.path.dirname(os.path.abspath(file)), list[str]()
    while os.path.isfile(os.path.join(folder, "__init__.py")):
        folder, name = os.path.split(folder)
        parts.insert(0, name)
    return ".".join(parts)


def own_main(file: str | None, values: bytes | None) -> None:
    """Note that this process's ``__main__`` is itself what a run means by it: the run was started here.

    The inline executor then works in it, and a class of ``__main__`` stays the class that the user holds.
    """
    sys.modules["__main__"].__dict__.setdefault(_PLAYED, set()).add((file, values))


def _rename(module: ModuleType) -> None:
    for value in list(vars(module).values()):
        _rename_value(value)


def _rename_value(value: Any) -> None:
    if getattr(value, "__module__", None) != STAND_IN:
        return
    try:
        value.__module__ = "__main__"
    except (AttributeError, TypeError):
        return
    function = getattr(value, "function", None)
    if function is not None:
        _rename_value(function)
    if isinstance(value, type):
        for inner in list(vars(value).values()):
            _rename_value(inner)
