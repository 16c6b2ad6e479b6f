"""The parameters of a workflow: bound as the plain call binds them, read from text by their annotations.

``.run()`` passes Python values unchanged. The doors that take text (command line, REST, forms) parse and
check by the annotations; all that is wrong is said at once.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from weft.errors import UserError
from weft.lang.scalars import ANY, BadText, describe_type
from weft.lang.texts import from_data, from_text, range_form
from weft.seams import deferred

if TYPE_CHECKING:
    import difflib
else:
    difflib = deferred("difflib")

_NAMED_KINDS: Final = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
    inspect.Parameter.KEYWORD_ONLY,
)


class ParameterError(UserError):
    """Something is wrong with the parameters that were given."""

    code = "bad-parameter"


class UnknownParameter(ParameterError):
    """A name that the workflow does not take."""

    code = "unknown-parameter"

    def __init__(self, name: str, known: Sequence[str], workflow: str) -> None:
        near = difflib.get_close_matches(name, known, n=1)
        meant = f" Did you mean {near[0]!r}?" if near else ""
        takes = f"{workflow} takes {', '.join(known)}." if known else f"{workflow} takes no parameters."
        super().__init__(f"unknown parameter {name!r}", hint=f"{takes}{meant}")


class MissingParameters(ParameterError):
    """Parameters without a default that were not given."""

    code = "missing-parameter"

    def __init__(self, missing: Sequence[ParameterHelp], workflow: str) -> None:
        names = ", ".join(repr(each.name) for each in missing)
        forms = " ".join(f"{each.name}=…" for each in missing)
        kinds = ", ".join(f"{each.name}: {each.type}" for each in missing)
        plural = "s" if len(missing) > 1 else ""
        super().__init__(f"{workflow} needs the parameter{plural} {names}", hint=f"Add {forms} ({kinds}).")


class WrongParameter(ParameterError):
    """A value that does not fit the annotation."""

    code = "wrong-parameter"

    def __init__(self, name: str, problem: str, hint: str = "") -> None:
        super().__init__(f"parameter {name!r} {problem}", hint=hint)


class DuplicateParameter(ParameterError):
    """One name, given twice."""

    code = "duplicate-parameter"

    def __init__(self, name: str, first: str, second: str) -> None:
        super().__init__(
            f"parameter {name!r} is given twice: {first!r} and {second!r}",
            hint=f"Several values go into one: {name}={first},{second}",
        )


class NoNameGiven(ParameterError):
    """An argument of the command line that is no ``name=value``."""

    code = "no-name-given"

    def __init__(self, text: str) -> None:
        super().__init__(f"{text!r} is no parameter", hint="Write parameters as name=value.")


class ParameterErrors(ParameterError):
    """Several things are wrong; ``problems`` has them one by one."""

    code = "bad-parameters"

    def __init__(self, problems: Sequence[ParameterError]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


class ParameterHelp(NamedTuple):
    """A parameter as help shows it. ``default`` is its text; None: it must be given."""

    name: str
    type: str
    default: str | None
    kind: str

    @property
    def is_required(self) -> bool:
        return self.default is None and not self.kind.startswith("var_")


def describe_parameters(function: Callable[..., Any]) -> list[ParameterHelp]:
    """Return the parameters of a workflow, in order, for help and forms."""
    types_of = _annotations(function)
    return [
        ParameterHelp(
            each.name,
            "" if types_of[each.name] is ANY else describe_type(types_of[each.name]),
            None if each.default is inspect.Parameter.empty else _default_text(each.default),
            each.kind.name.lower(),
        )
        for each in _signature(function).parameters.values()
    ]


def parse_parameters(
    function: Callable[..., Any], texts: Iterable[str], known: Collection[str] = ()
) -> dict[str, Any]:
    """Return the values that ``name=value`` texts give to a workflow's parameters, by name.

    Defaults are not filled in. ``*args`` takes a list under its name, ``**kwargs`` any further name.
    ``arguments_of`` makes a call of the result.

    Args:
        known: parameters that have their values from elsewhere.

    Raises:
        ParameterError: what is wrong; ``ParameterErrors`` if it is more than one thing.
    """
    problems: list[ParameterError] = []
    given: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not equals or not name:
            problems.append(NoNameGiven(text))
        elif name in given:
            problems.append(DuplicateParameter(name, given[name], value))
        else:
            given[name] = value
    return _read(function, given, problems, from_text, known)


def parse_json_parameters(function: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that a JSON object gives to a workflow's parameters; else as ``parse_parameters``.

    A string is read as on the command line where the annotation is no string, as forms send it.
    """
    return _read(function, given, [], from_data)


def arguments_of(
    function: Callable[..., Any], values: Mapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments of the call that gives ``values`` to the parameters of these names."""
    parameters = list(_signature(function).parameters.values())
    rest = next((each.name for each in parameters if each.kind is inspect.Parameter.VAR_POSITIONAL), "")
    by_place = [each for each in parameters if each.kind in _NAMED_KINDS[: 2 if values.get(rest) else 1]]
    while by_place and not values.get(rest) and by_place[-1].name not in values:
        by_place.pop()
    positional = [values.get(each.name, each.default) for each in by_place]
    placed = {rest, *(each.name for each in by_place)}
    return (*positional, *values.get(rest, ())), {
        key: value for key, value in values.items() if key not in placed
    }


def _read(
    function: Callable[..., Any],
    given: Mapping[str, Any],
    problems: list[ParameterError],
    read: Callable[[Any, Any], Any],
    known_already: Collection[str] = (),
) -> dict[str, Any]:
    parameters = _signature(function).parameters
    types_of = _annotations(function)
    workflow = getattr(function, "__name__", "the workflow")
    rest = next(
        (each.name for each in parameters.values() if each.kind is inspect.Parameter.VAR_KEYWORD), None
    )
    values: dict[str, Any] = {}
    for name, value in given.items():
        known = name if name in parameters and name != rest else rest
        if known is None:
            problems.append(UnknownParameter(name, [key for key in parameters if key != rest], workflow))
            continue
        annotation = types_of[known]
        if parameters[known].kind is inspect.Parameter.VAR_POSITIONAL:
            annotation = types.GenericAlias(tuple, (annotation, ...))
        try:
            values[name] = read(annotation, value)
        except BadText as problem:
            problems.append(_wrong(name, value, problem))
    have = {*given, *known_already}
    missing = [each for each in describe_parameters(function) if each.is_required and each.name not in have]
    if missing:
        problems.append(MissingParameters(missing, workflow))
    if problems:
        raise problems[0] if len(problems) == 1 else ParameterErrors(problems)
    return values


def _wrong(name: str, value: object, problem: BadText) -> WrongParameter:
    form = range_form(value)
    if form is not None:
        return WrongParameter(
            name, f"takes {problem.wanted}; {value!r} is not a list", f"Write {name}={form}"
        )
    return WrongParameter(
        name, f"takes {problem.wanted}; {problem.reason}", problem.hint.replace("NAME", name)
    )


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(inspect.unwrap(function))


def _annotations(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the type of each parameter; ANY where it has none, or one whose names do not exist."""
    function = inspect.unwrap(function)
    names = {**_captured(function), **_type_parameters(function)}
    space = getattr(function, "__globals__", {})
    try:
        hints = typing.get_type_hints(function, localns=names or None)
    except Exception:  # noqa: BLE001 - an annotation is the user's code, and may be a name for the checker only
        hints = {}
    found = {}
    for each in _signature(function).parameters.values():
        annotation = hints.get(each.name, each.annotation)
        if isinstance(annotation, str):
            annotation = _evaluated(annotation, space, names)
        found[each.name] = ANY if annotation in (inspect.Parameter.empty, Any, object) else annotation
    return found


def _evaluated(text: str, space: dict[str, Any], names: dict[str, Any]) -> Any:
    try:
        return eval(text, dict(space), names)
    except Exception:  # noqa: BLE001 - as above
        return ANY


def _captured(function: Callable[..., Any]) -> dict[str, Any]:
    names = function.__code__.co_freevars if isinstance(function, types.FunctionType) else ()
    values = {}
    for name, cell in zip(names, getattr(function, "__closure__", None) or (), strict=False):
        try:
            values[name] = cell.cell_contents
        except ValueError:
            continue
    return values


def _type_parameters(function: Callable[..., Any]) -> dict[str, Any]:
    return {each.__name__: each for each in getattr(function, "__type_params__", ())}


def _default_text(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"
