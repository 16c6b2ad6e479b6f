from __future__ import annotations

import datetime
import enum
import fractions
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, NewType, TypedDict
from uuid import UUID

import msgspec
import pytest

from weft.lang.binding import bind
from weft.lang.parameters import (
    DuplicateParameter,
    MissingParameters,
    NoNameGiven,
    ParameterErrors,
    UnknownParameter,
    WrongParameter,
    arguments_of,
    describe_parameters,
    parse_json_parameters,
    parse_parameters,
)
from weft.lang.workflows import workflow


class Kind(enum.Enum):
    LINEAR = "lin"
    FOREST = "for"


class Size(enum.IntEnum):
    SMALL = 1
    LARGE = 2


@dataclass
class Config:
    lr: float
    path: Path
    layers: list[int]
    kind: Kind = Kind.LINEAR


class Options(msgspec.Struct):
    lr: float = 0.1
    path: Path = Path()


class Extra(TypedDict):
    a: int


class Point(NamedTuple):
    x: int
    y: float = 0.0


UserId = NewType("UserId", int)


def value(annotation: Any, text: str) -> Any:
    def flow(v): ...

    flow.__annotations__["v"] = annotation
    return parse_parameters(flow, [f"v={text}"])["v"]


@pytest.mark.parametrize(
    ("annotation", "text", "expected"),
    [
        (int, "3", 3),
        (int, "-1_000", -1000),
        (float, "0.5", 0.5),
        (float, "3", 3.0),
        (float, "1e-3", 0.001),
        (bool, "true", True),
        (bool, "No", False),
        (bool, "1", True),
        (bool, "0", False),
        (str, "1,2", "1,2"),
        (str, "a=b", "a=b"),
        (str, "", ""),
        (bytes, "ab", b"ab"),
        (None, "none", None),
        (int | None, "null", None),
        (int | None, "4", 4),
        (int | str, "4", 4),
        (int | str, "x", "x"),
        (str | None, "x", "x"),
        (float | int, "4", 4),
        (float | int, "4.5", 4.5),
        (bool | int, "1", 1),
        (bool | str, "yes", True),
        (list[int] | None, "1,2", [1, 2]),
        (int | list[int], "1,2", [1, 2]),
        (Literal["a", "b"], "b", "b"),
        (Literal[1, "1"], "1", "1"),
        (Literal[1, 2, None], "2", 2),
        (Literal[Kind.LINEAR], "LINEAR", Kind.LINEAR),
        (Kind, "FOREST", Kind.FOREST),
        (Kind, "lin", Kind.LINEAR),
        (Size, "2", Size.LARGE),
        (datetime.date, "2013-01-31", datetime.date(2013, 1, 31)),
        (datetime.datetime, "2013-01-31T10:00Z", datetime.datetime(2013, 1, 31, 10, tzinfo=datetime.UTC)),
        (datetime.time, "10:30", datetime.time(10, 30)),
        (datetime.timedelta, "1h30m", datetime.timedelta(minutes=90)),
        (datetime.timedelta, "01:30:00", datetime.timedelta(minutes=90)),
        (datetime.timedelta, "1.5s", datetime.timedelta(seconds=1.5)),
        (Path, "data/x.csv", Path("data/x.csv")),
        (Decimal, "1.10", Decimal("1.10")),
        (fractions.Fraction, "1/3", fractions.Fraction(1, 3)),
        (UUID, "12345678123456781234567812345678", UUID("12345678123456781234567812345678")),
        (list[int], "1,2", [1, 2]),
        (list[int], "[1,2]", [1, 2]),
        (list[int], "1", [1]),
        (list[int], "", []),
        (list[str], "a, b", ["a", "b"]),
        (list[str], '["1"]', ["1"]),
        (list, "1,x,2.5", [1, "x", 2.5]),
        (list, '["1", 2]', ["1", 2]),
        (list[Any], '["1"]', ["1"]),
        (list[Kind], "LINEAR,for", [Kind.LINEAR, Kind.FOREST]),
        (list[Path], '["a"]', [Path("a")]),
        (list[list[int]], "[[1],[2,3]]", [[1], [2, 3]]),
        (Sequence[float], "1,2", [1.0, 2.0]),
        (tuple[int, ...], "1,2", (1, 2)),
        (tuple[int, str], "1,a", (1, "a")),
        (set[int], "1,1,2", {1, 2}),
        (frozenset[str], "a", frozenset({"a"})),
        (dict[str, int], '{"a": 1}', {"a": 1}),
        (dict[str, int], "a:1,b:2", {"a": 1, "b": 2}),
        (dict[int, float], '{"1": 2}', {1: 2.0}),
        (dict, '{"a": [1]}', {"a": [1]}),
        (Config, '{"lr": 1, "path": "p", "layers": [1]}', Config(1.0, Path("p"), [1])),
        (Options, '{"path": "p"}', Options(0.1, Path("p"))),
        (Extra, '{"a": 1}', {"a": 1}),
        (Point, '{"x": 1}', Point(1, 0.0)),
        (list[Config], '[{"lr": 1, "path": "p", "layers": []}]', [Config(1.0, Path("p"), [])]),
        (Any, "1", 1),
        (Any, "[1, 2]", [1, 2]),
        (Any, "text", "text"),
        (object, "1", 1),
        (Annotated[int, "months"], "1", 1),
        (UserId, "7", 7),
    ],
)
def test_text_is_read_by_its_annotation(annotation: Any, text: str, expected: Any) -> None:
    found = value(annotation, text)
    assert found == expected
    assert type(found) is type(expected)
    if isinstance(expected, list | tuple):
        assert [type(each) for each in found] == [type(each) for each in expected]


@pytest.mark.parametrize(
    ("annotation", "text", "message"),
    [
        (float, "abc", "parameter 'v' takes a float; 'abc' is not one"),
        (int, "1.5", "parameter 'v' takes an int; '1.5' is not one"),
        (int, "", "parameter 'v' takes an int; '' is not one"),
        (bool, "maybe", "parameter 'v' takes a bool; 'maybe' is not one"),
        (int | None, "x", "parameter 'v' takes an int | None; 'x' is not one"),
        (Literal["a", "b"], "c", "parameter 'v' takes one of 'a' | 'b'; 'c' is none of them"),
        (Kind, "x", "parameter 'v' takes one of LINEAR | FOREST; 'x' is none of them"),
        (datetime.date, "31.1.", "parameter 'v' takes a date; '31.1.' is not one"),
        (datetime.timedelta, "90", "parameter 'v' takes a timedelta; '90' is not one"),
        (list[int], "1,x", "parameter 'v' takes a list[int]; 'x' is not an int"),
        (list[int], "[1,", "parameter 'v' takes a list[int]; '[1,' is no JSON"),
        (list[int], "[true]", "parameter 'v' takes a list[int]; True is not an int"),
        (list[float], "[true]", "parameter 'v' takes a list[float]; True is not a float"),
        (list[str], "[1]", "parameter 'v' takes a list[str]; 1 is not a str"),
        (tuple[int, int], "1,2,3", "parameter 'v' takes a tuple[int, int]; 3 values are given"),
        (dict[str, int], "a", "parameter 'v' takes a dict[str, int]; 'a' is no key:value"),
        (
            Config,
            '{"lr": "x", "path": "p", "layers": []}',
            "parameter 'v' takes a Config; Expected `float`, got `str`",
        ),
        (
            Config,
            '{"lr": 1, "path": "p", "layer": []}',
            "parameter 'v' takes a Config; 'layer': no such field",
        ),
        (Config, "x", "parameter 'v' takes a Config; 'x' is no JSON object"),
        (set[list[int]], "[[1]]", "unhashable"),
        (inspect.Signature, "x", "parameter 'v' takes a Signature; which cannot be written as text"),
    ],
)
def test_a_wrong_value_names_parameter_type_and_value(annotation: Any, text: str, message: str) -> None:
    with pytest.raises(WrongParameter) as caught:
        value(annotation, text)
    assert message in caught.value.message


@pytest.mark.parametrize("annotation", [list[int], list, Any, int, tuple[int, ...]])
def test_a_range_is_refused_with_the_form_to_write(annotation: Any) -> None:
    with pytest.raises(WrongParameter) as caught:
        value(annotation, "1..3")
    assert "'1..3' is not a list" in caught.value.message
    assert caught.value.hint == "Write v=1,2,3"


def test_a_range_is_a_fine_string() -> None:
    assert value(str, "1..3") == "1..3"


def flow(months: list[int], target: float = 0.75, *, kind: Literal["a", "b"] = "a") -> None: ...


def test_string_annotations_are_resolved() -> None:
    assert isinstance(flow.__annotations__["months"], str)
    assert parse_parameters(flow, ["months=1,2", "kind=b"]) == {"months": [1, 2], "kind": "b"}


def test_a_workflow_object_is_read_as_its_function() -> None:
    assert parse_parameters(workflow(flow), ["months=1,2"]) == {"months": [1, 2]}


def test_annotations_see_the_names_that_a_nested_function_captured() -> None:
    class Local(enum.Enum):
        A = 1

    def nested(kind: Local) -> Any:
        return Local, kind

    assert parse_parameters(nested, ["kind=A"]) == {"kind": Local.A}


def test_an_annotation_that_does_not_exist_takes_anything() -> None:
    def nested(a: Missing, b: int) -> None: ...  # noqa: F821

    assert parse_parameters(nested, ["a=[1]", "b=2"]) == {"a": [1], "b": 2}


def test_an_unknown_parameter_gets_the_list_and_the_nearest() -> None:
    with pytest.raises(UnknownParameter) as caught:
        parse_parameters(flow, ["months=1", "tarqet=1"])
    assert caught.value.message == "unknown parameter 'tarqet'"
    assert caught.value.hint == "flow takes months, target, kind. Did you mean 'target'?"


def test_all_missing_parameters_are_named_at_once() -> None:
    def two(a: int, b: list[str], c: int = 1) -> None: ...

    with pytest.raises(MissingParameters) as caught:
        parse_parameters(two, [])
    assert caught.value.message == "two needs the parameters 'a', 'b'"
    assert "a=… b=…" in caught.value.hint


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(ParameterErrors) as caught:
        parse_parameters(flow, ["target=x", "other=1", "target=2", "plain"])
    assert [type(problem) for problem in caught.value.problems] == [
        DuplicateParameter, NoNameGiven, WrongParameter, UnknownParameter, MissingParameters,
    ]  # fmt: skip
    assert all(problem.message in str(caught.value) for problem in caught.value.problems)


def test_further_names_go_to_var_keyword() -> None:
    def loose(a: int, *rest: int, **options: float) -> None: ...

    values = parse_parameters(loose, ["a=1", "rest=2,3", "lr=0.5", "options=1"])
    assert values == {"a": 1, "rest": (2, 3), "lr": 0.5, "options": 1.0}
    args, kwargs = arguments_of(loose, values)
    assert bind(loose, args, kwargs) == {"a": 1, "rest": (2, 3), "options": {"lr": 0.5, "options": 1.0}}


def test_positional_only_parameters_are_given_by_name() -> None:
    def placed(a: int, b: int = 2, /, c: int = 3) -> None: ...

    assert arguments_of(placed, parse_parameters(placed, ["a=1", "c=4"])) == ((1,), {"c": 4})
    assert arguments_of(placed, parse_parameters(placed, ["a=1", "b=5"])) == ((1, 5), {})


def test_json_parameters_take_json_values_and_form_texts() -> None:
    assert parse_json_parameters(flow, {"months": [1, 2], "target": "0.5"}) == {
        "months": [1, 2],
        "target": 0.5,
    }
    with pytest.raises(WrongParameter):
        parse_json_parameters(flow, {"months": 1})


def test_help_tells_type_and_default() -> None:
    found = [(each.name, each.type, each.default, each.is_required) for each in describe_parameters(flow)]
    assert found == [
        ("months", "list[int]", None, True),
        ("target", "float", "0.75", False),
        ("kind", "'a' | 'b'", "'a'", False),
    ]


def test_a_pydantic_like_model_validates_itself() -> None:
    class Model:
        def __init__(self, data: Any) -> None:
            self.data = data

        @classmethod
        def model_validate(cls, data: Any) -> Model:
            if "a" not in data:
                raise ValueError("a: field required")
            return cls(data)

    assert value(Model, '{"a": 1}').data == {"a": 1}
    with pytest.raises(WrongParameter, match="field required"):
        value(Model, "{}")


def positional(a: Any, b: Any = 2, /, c: Any = 3, *rest: Any, d: Any, e: Any = 5, **more: Any) -> None: ...
def none_at_all() -> None: ...


def plain(function: Any, args: Any, kwargs: Any) -> dict[str, Any]:
    function(*args, **kwargs)
    expected = inspect.signature(function).bind(*args, **kwargs)
    expected.apply_defaults()
    return dict(expected.arguments)


def outcome(how: Any, *given: Any) -> Any:
    try:
        return how(*given)
    except TypeError as error:
        return str(error)


CALLS = [
    ((), {}),
    ((1,), {}),
    ((1,), {"d": 4}),
    ((1, 2, 3, 4, 5), {"d": 6, "x": 7}),
    ((1,), {"a": 2, "d": 3}),
    ((1, 2, 3), {"c": 4, "d": 1}),
    ((1, 2, 3, 4), {"kind": "a"}),
    ((), {"months": 1, "moths": 2}),
    ((1,), {"months": 2}),
    ((1, 2), {"kind": "b"}),
]


@pytest.mark.parametrize(("args", "kwargs"), CALLS)
@pytest.mark.parametrize("function", [positional, flow, none_at_all])
def test_bind_gives_what_the_plain_call_binds_or_its_very_error(
    function: Any, args: Any, kwargs: Any
) -> None:
    assert outcome(bind, function, args, kwargs) == outcome(plain, function, args, kwargs)


def test_bind_passes_the_very_objects() -> None:
    default: list[int] = []

    def keeps(a: Any, b: Any = default) -> None: ...

    given = object()
    bound = bind(keeps, (given,), {})
    assert bound["a"] is given
    assert bound["b"] is default
