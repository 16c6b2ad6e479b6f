"""What an expression stands for at compile time: names, attributes of modules, ``step.options(...)``."""

from __future__ import annotations

import ast
import builtins
from types import FunctionType, ModuleType
from typing import Any, Final

from weft.lang.draft import Scope
from weft.lang.names import names_of
from weft.lang.steps import Step
from weft.lang.workflows import Workflow

NOTHING: Final = object()
Marked = (Step, Workflow)


def free_values(function: FunctionType) -> dict[str, Any]:
    """Return what a function's captured variables hold now; a cell that is still empty is left out."""
    values = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            values[name] = cell.cell_contents
        except ValueError:
            continue
    return values


def look_up(name: str, scope: Scope) -> object:
    """Return what a name stands for at compile time, or NOTHING where that is decided at run time."""
    constant = scope.constant(name)
    if constant is not None:
        return constant
    function = scope.frame.function
    if scope.env(name) is not None:
        captured = free_values(function)
        return captured.get(name, NOTHING) if scope.env(name) == name + scope.frame.suffix else NOTHING
    if name in function.__globals__:
        return function.__globals__[name]
    return getattr(builtins, name, NOTHING)


def resolve(expression: ast.expr, scope: Scope) -> object:
    """Return what ``expression`` stands for: a name, an attribute of a module or class, ``step.options(...)``."""
    match expression:
        case ast.Name():
            return look_up(expression.id, scope)
        case ast.Attribute():
            owner = resolve(expression.value, scope)
            if isinstance(owner, (ModuleType, type)):
                return getattr(owner, expression.attr, NOTHING)
            return NOTHING
        case ast.Call(func=ast.Attribute(attr="options", value=value)):
            owner = resolve(value, scope)
            if isinstance(owner, Marked):
                return owner.options(**constant_keywords(expression, scope))
    return NOTHING


def constant_keywords(call: ast.Call, scope: Scope) -> dict[str, Any]:
    """Return the keyword arguments of ``call``, evaluated over the module's names.

    Raises:
        DynamicOptions: an argument reads a name of the workflow, or is not a keyword.
    """
    values = {}
    for keyword in call.keywords:
        names = names_of([keyword.value]).loads
        if keyword.arg is None or any(scope.env(name) is not None for name in names):
            raise DynamicOptions(call)
        code = compile(ast.Expression(keyword.value), scope.frame.function.__code__.co_filename, "eval")
        values[keyword.arg] = eval(code, scope.frame.function.__globals__)
    if call.args:
        raise DynamicOptions(call)
    return values


class DynamicOptions(Exception):
    """Carries the call whose options are no constants to the place that makes the refusal."""

    def __init__(self, call: ast.Call) -> None:
        super().__init__()
        self.call = call
