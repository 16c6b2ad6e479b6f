"""From a workflow and its arguments to what a run starts from: program, first artifacts, code for workers."""

from __future__ import annotations

import ast
import io
import re
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

import msgspec

from weft.lang.binding import bind
from weft.lang.compiler import Compiled, compile_workflow
from weft.lang.names import names_of
from weft.lang.steps import Step
from weft.lang.workflows import Workflow
from weft.model.jobs import Output
from weft.program.nodes import Program
from weft.seams import deferred
from weft.store.artifacts import ArtifactStore
from weft.store.codecs import fingerprint_value
from weft.worker.modules import own_main

if TYPE_CHECKING:
    import cloudpickle
else:
    cloudpickle = deferred("cloudpickle")


class Prepared(msgspec.Struct, frozen=True):
    """What a run starts from.

    Attributes:
        given: artifacts of parameters, captured variables and defaults, with their environment names.
        code: what the evaluator reads from ``RunContext.code``.
        main_file: the script that is ``__main__``, if the workflow or a step lives in one.
        preload: modules that what is read of ``__main__`` comes from; imported once, before workers are forked.
    """

    program: Program
    given: list[Output]
    code: dict[str, Any] = {}
    main_file: str | None = None
    preload: tuple[str, ...] = ()


def prepare(workflow: Workflow[..., Any], store: ArtifactStore, args: Any, kwargs: Any) -> Prepared:
    """Compile, store the arguments and gather what workers need.

    Raises:
        CompileErrors: see ``compile_workflow``.
        TypeError: the arguments do not fit, as the plain call says it.
        Unstorable: an argument cannot be stored.
    """
    arguments = bind(workflow.function, args, kwargs)
    shared = sharing_groups(arguments)
    compiled = compile_workflow(workflow, shared, fingerprint_value)
    given = _store(store, arguments, shared)
    given += [Output(store.put(value, f"`{name}`"), (name,)) for name, value in compiled.captured.items()]
    program = compiled.program
    code: dict[str, Any] = {
        "steps": {
            str(number): cloudpickle.dumps(step.function)
            for number, (spec, step) in enumerate(zip(program.steps, compiled.steps, strict=True))
            if spec.value
        },
        "no_retry": {
            str(number): cloudpickle.dumps(step.step_options.no_retry)
            for number, step in enumerate(compiled.steps)
            if step.step_options.no_retry
        },
        "cache_keys": {
            str(number): cloudpickle.dumps(step.step_options.cache_key)
            for number, step in enumerate(compiled.steps)
            if step.step_options.cache_key is not None
        },
    }
    modules = {unit.module for unit in program.units} | {spec.module for spec in program.steps}
    main_file: str | None = None
    preload: tuple[str, ...] = ()
    if "__main__" in modules:
        main_file = getattr(sys.modules["__main__"], "__file__", None)
        code["main_values"] = main_values(compiled, main_file)
        own_main(main_file, code["main_values"])
        preload = _modules_read(compiled)
    return Prepared(program, given, code, main_file, preload)


def _store(store: ArtifactStore, arguments: dict[str, Any], shared: list[frozenset[str]]) -> list[Output]:
    outputs = []
    for group in shared:
        names = tuple(sorted(group))
        together = {name: arguments[name] for name in names}
        outputs.append(Output(store.put(together, "the parameters"), names, solo=False))
    alone = set(arguments).difference(*shared)
    outputs += [
        Output(store.put(arguments[name], f"parameter {name}"), (name,))
        for name in arguments
        if name in alone
    ]
    return outputs


def sharing_groups(arguments: dict[str, Any]) -> list[frozenset[str]]:
    """Return groups of parameters that hold one and the same list, dict, set or object.

    Looks at no more than ``_LOOKED_AT_MAX`` objects of each argument; past that it counts as sharing with none.
    """
    groups: list[tuple[set[str], set[int]]] = []
    for name, value in arguments.items():
        found = _changeable(value)
        near = [group for group in groups if not group[1].isdisjoint(found)]
        groups = [group for group in groups if group not in near]
        groups.append(({name}.union(*(n for n, _ in near)), found.union(*(f for _, f in near))))
    return [frozenset(names) for names, _ in groups if len(names) > 1]


_LOOKED_AT_MAX = 10_000
_ATOMS = (int, float, complex, str, bytes, bool, type(None), type, type(sys))


def _changeable(value: Any) -> set[int]:
    seen: set[int] = set()
    todo, found = [value], set[int]()
    while todo and len(seen) < _LOOKED_AT_MAX:
        item = todo.pop()
        if isinstance(item, _ATOMS) or callable(item) or id(item) in seen:
            continue
        seen.add(id(item))
        if not isinstance(item, (tuple, frozenset)):
            found.add(id(item))
        if isinstance(item, dict):
            todo += [*item.keys(), *item.values()]
        elif isinstance(item, (list, tuple, set, frozenset)):
            todo += item
        todo += getattr(item, "__dict__", {}).values()
    return found


def main_values(compiled: Compiled, file: str | None) -> bytes | None:
    """Return the globals of ``__main__`` that glue and steps read, as they are now.

    Of a script, functions, classes and modules come from its file, but for those that are made under its
    guard; of a notebook (no ``file``) everything travels.
    """
    main = sys.modules["__main__"].__dict__
    in_file = set() if file is None else _bound_outside_guard(file)
    wanted = {}
    for name in sorted(_names_read(compiled, main)):
        value = main[name]
        if name.startswith("__") or (name in in_file and isinstance(value, _FROM_FILE)):
            continue
        if _can_pickle(value):
            wanted[name] = value
    return _pickle(wanted) if wanted else None


_FROM_FILE = (FunctionType, BuiltinFunctionType, type, ModuleType, Step, Workflow)


def _modules_read(compiled: Compiled) -> tuple[str, ...]:
    main = sys.modules["__main__"].__dict__
    values = [main[name] for name in sorted(_names_read(compiled, main))]
    names = [value.__name__ if isinstance(value, ModuleType) else _module_of(value) for value in values]
    ours = ("__main__", "builtins", "weft")
    return tuple(dict.fromkeys(n for n in names if n in sys.modules and n.partition(".")[0] not in ours))


def _module_of(value: object) -> str:
    module = getattr(value, "__module__", None) or type(value).__module__
    return module if isinstance(module, str) else ""


def _bound_outside_guard(file: str) -> set[str]:
    """Return the names that a script binds also where it is imported: not under ``if __name__ == "__main__":``."""
    statements = ast.parse(Path(file).read_bytes(), file).body
    guards = [
        each for each in statements if isinstance(each, ast.If) and "__name__" in ast.unparse(each.test)
    ]
    return names_of(each for each in statements if each not in guards).binds


def _names_read(compiled: Compiled, main: dict[str, Any]) -> set[str]:
    """Return the names of ``main`` in the workflow's text, in its steps, and in the functions that those call."""
    texts = [unit.source for unit in compiled.program.units if unit.module == "__main__"]
    names = {word for text in texts for word in re.findall(r"\w+", text)} & main.keys()
    keys = [key for step in compiled.steps if (key := step.step_options.cache_key) is not None]
    functions = [*(step.function for step in compiled.steps), *keys, *(main[name] for name in names)]
    seen: set[int] = set()
    while functions:
        function = functions.pop()
        code = getattr(getattr(function, "function", function), "__code__", None)
        if code is None or id(code) in seen or getattr(function, "__module__", "") != "__main__":
            continue
        seen.add(id(code))
        used = _names_in(code) & main.keys()
        names |= used
        functions += [main[name] for name in used]
    return names


def _names_in(code: Any) -> set[str]:
    names = set(code.co_names)
    for constant in code.co_consts:
        if hasattr(constant, "co_names"):
            names |= _names_in(constant)
    return names


@cache
def _pickler() -> Callable[..., Any]:
    """Return the class of picklers, made at the first use, so that cloudpickle is loaded then."""

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        """Takes the steps of ``__main__`` whole: in a worker, that module is only being made of them."""

        def reducer_override(self, value: Any) -> Any:
            if isinstance(value, Step) and getattr(value, "__module__", "") == "__main__":
                return Step, (value.function, value.step_options)
            return super().reducer_override(value)

    return Pickler


def _pickle(value: object) -> bytes:
    stream = io.BytesIO()
    _pickler()(stream, protocol=5).dump(value)
    return stream.getvalue()


def _can_pickle(value: object) -> bool:
    try:
        _pickle(value)
    except Exception:  # noqa: BLE001 - whatever a user's class raises: the value stays behind, as it must
        return False
    return True
