"""What classes a workflow's values may be of: those that the modules of its functions name.

A method is known by its name alone. Where a class of the project defines one of that name, that one counts too.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from types import FunctionType, ModuleType
from typing import Any

from weft.lang.origins import origin_of_module, origin_of_name


class Surroundings:
    """The project's modules that can be reached from some functions.

    State: ``methods`` (name → what classes of the project define under it and can be called);
    ``has_missing``: there may be a dict that gets an item by being read.
    """

    def __init__(self, functions: Iterable[Any]) -> None:
        self.methods: defaultdict[str, list[object]] = defaultdict(list)
        self.has_missing = False
        self._seen: set[int] = set()
        todo = [getattr(function, "__globals__", {}) for function in functions]
        while todo:
            names = todo.pop()
            if id(names) in self._seen:
                continue
            self._seen.add(id(names))
            for value in list(names.values()):
                todo += self._namespaces(value)

    def _namespaces(self, value: object) -> list[dict[str, Any]]:
        if isinstance(value, ModuleType):
            if value.__name__ == "collections":
                self.has_missing = True
            return [vars(value)] if origin_of_module(value).kind == "project" else []
        if isinstance(value, type):
            self._class(value)
        module = sys.modules.get(getattr(value, "__module__", None) or "")
        if module is None or not isinstance(value, (type, FunctionType)):
            return []
        return [vars(module)] if origin_of_module(module).kind == "project" else []

    def _class(self, cls: type) -> None:
        if hasattr(cls, "__missing__") and cls is not Counter:
            self.has_missing = True
        if id(cls) in self._seen or origin_of_name(cls.__module__).kind != "project":
            return
        self._seen.add(id(cls))
        for base in cls.__mro__[1:]:
            self._class(base)
        for name, value in vars(cls).items():
            if not name.startswith("__") and (
                callable(value) or isinstance(value, (staticmethod, classmethod))
            ):
                self.methods[name].append(value)
