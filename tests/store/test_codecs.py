"""Each value comes back exactly: same types all the way down, same sharing inside."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import math
import pathlib
import subprocess
import sys
import types
import uuid
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tests.store.sameness import assert_same

from weft.errors import UserError
from weft.model.values import Artifact
from weft.store.artifacts import ArtifactStore
from weft.store.blobs import MemoryBlobStore
from weft.store.codecs import BadCodec, Codec, Encoded, fingerprint_value
from weft.store.codecs.registry import Registry
from weft.store.faults import MissingClass, UnknownCodec, UnreadableArtifact


class Text(str):
    pass


class Colour(enum.IntEnum):
    RED = 1


class Point(NamedTuple):
    x: int
    y: int


class Table(dict[str, int]):
    pass


@dataclasses.dataclass
class Node:
    name: str
    children: list[Any] = dataclasses.field(default_factory=list)


class Slotted:
    __slots__ = ("a",)

    def __init__(self, a: int) -> None:
        self.a = a

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Slotted) and self.a == other.a

    __hash__ = None  # type: ignore[assignment]


def make_list() -> list[int]:
    return [1]


def round_trip(value: Any, store: ArtifactStore | None = None) -> tuple[Any, Artifact]:
    store = store or ArtifactStore(MemoryBlobStore())
    artifact = store.put(value)
    store.verify(artifact)
    return store.get(artifact), artifact


LARGE = 1 << 18  # of 8 bytes: more than a part's 1 MiB
PAYLOAD_NAN = np.frombuffer(b"\x01\x00\x00\x00\x00\x00\xf8\x7f", "f8")[0].item()

PLAIN = [
    None,
    True,
    False,
    0,
    -1,
    2**64 - 1,
    -(2**63),
    1.5,
    -0.0,
    math.inf,
    math.nan,
    PAYLOAD_NAN,
    "",
    "é\0☃",
    b"",
    b"\xff",
    [],
    (),
    {},
    [1, [2, (3, [4])], {"a": (5,)}],
    (1, (2, ()), [()]),
    [(1, "a"), (2, "b")],
    [()],
    [(1, [2])],
    ((1, 2), (3, 4)),
    {1: "a", None: "b", "c": 2.5, b"d": [()], 1.5: {}},
    {"b": 1, "a": 2},
    [True, 1, 1.0],
    [{"id": i, "at": (i, -i)} for i in range(50)],
    "x" * 10_000,
    list(range(10_000)),
]


@pytest.mark.parametrize("value", PLAIN, ids=lambda value: repr(value).partition(" at 0x")[0][:30])
def test_plain_data_comes_back_as_plain_data(value: Any) -> None:
    found, artifact = round_trip(value)
    assert artifact.codec == "plain"
    assert_same(found, value)


ordered = collections.OrderedDict(b=1, a=2)
PICKLED = [
    2**64,
    -(2**70),
    "\ud800",
    ["\udfff"],
    Text("a"),
    [Text("a")],
    Colour.RED,
    {"c": Colour.RED},
    Point(1, 2),
    [Point(1, 2)],
    Table(a=1),
    ordered,
    collections.Counter("aab"),
    collections.deque([1, 2], maxlen=3),
    {1, 2},
    frozenset({"a"}),
    {(1, 2): 3},
    bytearray(b"abc"),
    1 + 2j,
    np.float64(0.1),
    [np.float64(0.1), np.int8(3)],
    {"auc": np.float32(0.5)},
    datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.UTC),
    datetime.date(2024, 2, 29),
    datetime.timedelta(days=-1),
    decimal.Decimal("1.10"),
    fractions.Fraction(1, 3),
    uuid.UUID(int=7),
    pathlib.PurePosixPath("a/b"),
    range(1, 9, 2),
    Node("a", [Node("b")]),
    Slotted(3),
    Node,
    make_list,
    len,
    int,
    ...,
    NotImplemented,
    types.SimpleNamespace(a=1),
]


@pytest.mark.parametrize("value", PICKLED, ids=lambda value: repr(value).partition(" at 0x")[0][:30])
def test_what_is_not_plain_is_pickled_and_exact(value: Any) -> None:
    found, artifact = round_trip(value)
    assert artifact.codec == "pickle"
    assert_same(found, value)


def test_defaultdict_keeps_its_factory() -> None:
    found, _ = round_trip(collections.defaultdict(list, a=[1]))
    assert type(found) is collections.defaultdict
    assert found["new"] == []


def test_modules_go_by_name() -> None:
    assert round_trip({"m": math})[0]["m"] is math


def test_functions_without_a_name_go_by_value() -> None:
    offset = 3
    found, artifact = round_trip([lambda x: x + offset])
    assert found[0](1) == 4
    assert artifact.codec == "pickle"


def test_standard_streams_go_by_name() -> None:
    assert round_trip({"to": sys.stderr})[0]["to"] is sys.stderr


def test_one_list_in_two_places_stays_one() -> None:
    item = [1]
    for value in ([item, item], {"a": item, "b": (item,)}, (item, [item])):
        assert_same(round_trip(value)[0], value)
        assert round_trip(value)[1].codec == "pickle"


def test_a_list_that_holds_itself_comes_back() -> None:
    value: list[Any] = [1]
    value.append(value)
    found, _ = round_trip(value)
    assert found[1] is found


def test_equal_lists_stay_two() -> None:
    found, artifact = round_trip([[1], [1]])
    assert found[0] is not found[1]
    assert artifact.codec == "plain"


def test_objects_share_what_they_shared() -> None:
    child = Node("c")
    value = {"left": Node("l", [child]), "right": Node("r", [child])}
    assert_same(round_trip(value)[0], value)


def test_equal_plain_values_have_one_digest_whatever_they_are_made_of() -> None:
    store = ArtifactStore(MemoryBlobStore())
    word = "".join(["wo", "rd"])
    assert store.put([word, word]).digest == store.put(["word", "".join(["wo", "rd"])]).digest


def test_the_digest_covers_the_codec() -> None:
    store = ArtifactStore(MemoryBlobStore())
    digests = {store.put(value).digest for value in (1, True, 1.0, "1", b"1", [1], (1,), {1: 1}, np.int64(1))}
    assert len(digests) == 9


ARRAYS = [
    np.arange(5),
    np.array(3.5),
    np.array([]),
    np.zeros((0, 3)),
    np.zeros((2, 0), order="F"),
    np.arange(6.0).reshape(2, 3),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.arange(6, dtype=">i4"),
    np.array([True, False]),
    np.array(["a", "bcd"]),
    np.array([b"a", b"\0b"]),
    np.array(["2024-02-29", "NaT"], dtype="M8[D]"),
    np.array([1, 2], dtype="m8[ns]"),
    np.array([1 + 2j]),
    np.array([1.5], dtype=np.float16),
    np.array([1.5], dtype=np.longdouble),
    np.array([(1, 2.5)], dtype=[("a", "i4"), ("b", "<f8")]),
    np.zeros(2, dtype=[("a", "i1"), ("b", "f8", (2, 2))]),
    np.array([PAYLOAD_NAN, -0.0]),
    np.arange(LARGE),
]


@pytest.mark.parametrize("value", ARRAYS, ids=lambda value: f"{value.dtype}-{value.shape}")
def test_arrays_are_npy_files(value: np.ndarray) -> None:
    found, artifact = round_trip(value)
    assert artifact.codec == "npy"
    assert_same(found, value)


class Tagged(np.ndarray):
    pass


read_only = np.arange(9)
read_only.flags.writeable = False
ODD_ARRAYS = [
    np.array([1, "a", None], dtype=object),
    np.arange(4).view(Tagged),
    np.ma.masked_array([1, 2], [True, False]),
    np.rec.fromrecords([(1, "a")], names="x,y"),
    np.zeros(2, dtype=np.dtype([("a", "i1"), ("b", "f8")], align=True)),
    read_only,
    np.zeros(2, dtype=np.dtype("f8", metadata={"unit": "m"})),
]


@pytest.mark.filterwarnings("ignore:metadata on a dtype")
@pytest.mark.parametrize("value", ODD_ARRAYS, ids=lambda value: f"{type(value).__name__}-{value.dtype}")
def test_arrays_with_more_to_them_are_pickled(value: np.ndarray) -> None:
    found, artifact = round_trip(value)
    assert artifact.codec == "pickle"
    assert_same(found, value)
    assert (found.dtype.metadata or {}) == (value.dtype.metadata or {})


def test_a_stored_array_is_an_ordinary_npy_file(tmp_path: pathlib.Path) -> None:
    blobs = MemoryBlobStore()
    artifact = ArtifactStore(blobs).put(np.arange(LARGE))
    (tmp_path / "a.npy").write_bytes(blobs.contents[artifact.digest])
    assert (np.load(tmp_path / "a.npy", mmap_mode="r") == np.arange(LARGE)).all()


@pytest.mark.parametrize("size", [10, 2000, LARGE])
@pytest.mark.parametrize("wrap", [lambda array: array, lambda array: {"a": [array]}], ids=["bare", "inside"])
def test_a_step_may_write_into_what_it_gets(size: int, wrap: Any) -> None:
    store = ArtifactStore(MemoryBlobStore())
    artifact = store.put(wrap(np.zeros(size)))
    for _ in range(2):
        found = store.get(artifact)
        array = found if isinstance(found, np.ndarray) else found["a"][0]
        assert array[0] == 0
        array += 1


def frames() -> Iterator[tuple[str, Any]]:
    floats = pd.DataFrame({"a": [1.5, np.nan], "b": [1, 2]}, index=pd.Index([3, 1], name="key"))
    floats.attrs = {"source": "test"}
    yield "floats", floats
    yield "strings", pd.DataFrame({"s": ["x", None], "c": pd.Categorical(["u", "v"], ordered=True)})
    yield "objects", pd.DataFrame({"o": [(1, 2), None]}, dtype=object)
    yield "mixed columns", pd.DataFrame([[1, 2]], columns=pd.Index(["a", 3], name="n"))
    yield "levels", pd.DataFrame({"v": [1.0, 2.0]}, index=pd.MultiIndex.from_tuples([("a", 1), ("b", 2)]))
    yield "times", pd.DataFrame({"t": pd.date_range("2024-01-01", periods=3, tz="Europe/Paris", freq="D")})
    yield "frequency", pd.Series(range(3), index=pd.date_range("2024-01-01", periods=3, freq="h"), name="s")
    yield "nullable", pd.DataFrame({"i": pd.array([1, None], dtype="Int64"), "b": pd.array([True, None])})
    yield "empty", pd.DataFrame(columns=["a"])
    yield "index", pd.Index(["a", "b"], name="i")
    yield "intervals", pd.Series(pd.cut([1, 2, 3], 2))
    yield "large", pd.DataFrame({"a": np.arange(float(LARGE)), "s": ["é"] * LARGE})


@pytest.mark.parametrize("value", [pytest.param(frame, id=name) for name, frame in frames()])
def test_pandas_frames_are_exact(value: Any) -> None:
    assert_same(round_trip(value)[0], value)


def test_a_large_frame_may_be_written_into() -> None:
    found, _ = round_trip(pd.DataFrame({"a": np.zeros(LARGE)}))
    found.loc[0, "a"] = 7.0
    found["a"] += 1
    assert found["a"].iloc[0] == 8.0


POLARS = {
    "plain": pl.DataFrame({"a": [1, None], "s": ["x", None], "f": [math.nan, -0.0]}),
    "empty": pl.DataFrame(schema={"a": pl.Int8}),
    "nothing": pl.DataFrame(),
    "category": pl.DataFrame({"c": ["u", "v", "u"]}, schema={"c": pl.Categorical}),
    "enum": pl.DataFrame({"e": ["u", "v"]}, schema={"e": pl.Enum(["v", "u"])}),
    "times": pl.DataFrame({"t": [datetime.datetime(2024, 1, 1)], "d": [datetime.timedelta(1)]}),
    "zone": pl.DataFrame({"t": [None]}, schema={"t": pl.Datetime("ms", "UTC")}),
    "nested": pl.DataFrame({"l": [[1, 2], []], "s": [{"x": 1}, {"x": None}]}),
    "array": pl.DataFrame({"a": [[1, 2]]}, schema={"a": pl.Array(pl.Int16, 2)}),
    "decimal": pl.DataFrame({"d": [decimal.Decimal("1.10")]}),
    "binary": pl.DataFrame({"b": [b"\xff", None]}),
    "large": pl.DataFrame({"a": range(LARGE)}),
}


@pytest.mark.parametrize("name", POLARS)
def test_polars_frames_are_arrow_streams(name: str) -> None:
    found, artifact = round_trip(POLARS[name])
    assert artifact.codec == "polars"
    assert_same(found, POLARS[name])


TABLES = {
    "plain": pa.table({"a": [1, None], "s": ["x", "y"]}),
    "metadata": pa.table({"a": [1]}).replace_schema_metadata({"k": "v"}),
    "chunks": pa.concat_tables([pa.table({"a": [1]}), pa.table({"a": [2, 3]})]),
    "dictionary": pa.table({"d": pa.array(["u", "v"]).dictionary_encode()}),
    "nested": pa.table({"l": [[1], None], "s": [{"x": 1}, {"x": 2}]}),
    "empty": pa.table({"a": pa.array([], pa.int8())}),
    "large": pa.table({"a": range(LARGE)}),
}


@pytest.mark.parametrize("name", TABLES)
def test_arrow_tables_are_arrow_streams(name: str) -> None:
    found, artifact = round_trip(TABLES[name])
    assert artifact.codec == "arrow"
    assert_same(found, TABLES[name])


def test_a_part_is_shared_by_all_that_hold_it() -> None:
    blobs = MemoryBlobStore()
    store = ArtifactStore(blobs)
    arrays = [np.full(LARGE, number) for number in range(4)]
    for array in arrays:
        store.put(array)
    before = blobs.puts
    artifact = store.put({"all": arrays, "table": pa.table({"x": [1]})})
    assert blobs.puts == before + 1
    assert len(blobs.contents[artifact.digest]) < 10_000
    assert sorted(store.parts(artifact)) == sorted(store.put(array).digest for array in arrays)
    assert artifact.size_bytes > 4 * 8 * LARGE


def test_frames_share_the_buffers_that_did_not_change() -> None:
    blobs = MemoryBlobStore()
    store = ArtifactStore(blobs)
    frame = pd.DataFrame({"a": np.arange(float(LARGE)), "b": np.arange(LARGE)})
    store.put(frame)
    before = blobs.puts
    store.put({"train": frame, "note": "x"})
    assert blobs.puts == before + 1


def test_one_large_array_in_two_places_stays_one() -> None:
    array = np.arange(LARGE)
    found, _ = round_trip([array, array, array.copy()])
    assert found[0] is found[1]
    assert found[0] is not found[2]


VIEWS = [
    lambda a: a[2:5],
    lambda a: a[::-2],
    lambda a: a.reshape(2, -1).T,
    lambda a: a.view("i4")[3:],
    lambda a: a[4:5].reshape(()),
]


@pytest.mark.parametrize("size", [8, 2000, LARGE])
@pytest.mark.parametrize("look", VIEWS)
def test_a_view_still_looks_at_its_array(size: int, look: Any) -> None:
    array = np.arange(size)
    value = {"a": array, "b": [look(array)]}
    found, _ = round_trip(value)
    assert_same(found, value)
    found["b"][0][...] = 77
    look(array)[...] = 77
    assert_same(found, value)


def test_two_views_of_an_array_that_is_not_there_share_it() -> None:
    array = np.asfortranarray(np.zeros((3, 4)))
    found, _ = round_trip((array[:2], array[1:], array[1:].T))
    found[0][1, 0] = 7
    assert found[1][0, 0] == found[2][0, 0] == 7


def test_a_view_that_may_not_be_written_stays_so() -> None:
    array = np.zeros(5)
    view = array[1:]
    view.flags.writeable = False
    assert_same(round_trip([array, view])[0], [array, view])


def test_views_that_do_not_meet_are_stored_without_the_rest() -> None:
    array = np.zeros(10 * LARGE)
    _, artifact = round_trip([array[:10], array[20:30]])
    assert artifact.size_bytes < 10_000


def test_frames_do_not_share_memory_behind_the_back_of_pandas() -> None:
    frame = pd.DataFrame({"a": np.zeros(LARGE)})
    found, _ = round_trip({"frame": frame, "column": frame["a"], "values": frame["a"].to_numpy()})
    found["column"].iloc[0] = 7.0
    assert found["frame"]["a"].iloc[0] == 0.0


def test_a_value_with_parts_is_never_inline() -> None:
    store = ArtifactStore(MemoryBlobStore())
    assert store.put([np.arange(LARGE)]).inline is None
    assert store.parts(store.put([1])) == []


plain_keys = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(), st.binary(), st.floats(allow_nan=False)
)
atoms = st.one_of(
    plain_keys,
    st.floats(),
    st.text(st.characters()),
    st.complex_numbers(),
    st.decimals(allow_nan=False),
    st.dates(),
    st.sampled_from([Colour.RED, Text("t"), np.float64(1.5), np.int16(3), ..., int, len]),
    hnp.arrays(hnp.scalar_dtypes(), hnp.array_shapes(min_dims=0, min_side=0, max_side=3)),
)
values = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.lists(inner),
        st.lists(inner).map(tuple),
        st.dictionaries(plain_keys, inner),
        st.dictionaries(st.tuples(plain_keys), inner),
        st.sets(plain_keys),
        st.builds(Node, st.text(), st.lists(inner)),
        st.builds(lambda item: [item, (item, item)], inner),
        st.builds(collections.OrderedDict, st.dictionaries(st.text(), inner)),
    ),
    max_leaves=20,
)


@given(values)
@settings(max_examples=50)
def test_any_value_comes_back_exactly(value: Any) -> None:
    assert_same(round_trip(value)[0], value)


@pytest.mark.slow
@given(values)
@settings(max_examples=400)
def test_any_of_many_values_comes_back_exactly(value: Any) -> None:
    assert_same(round_trip(value)[0], value)


@given(st.data())
@settings(max_examples=60)
def test_any_frame_comes_back_exactly(data: st.DataObject) -> None:
    columns = data.draw(
        st.dictionaries(
            st.text(max_size=3),
            st.sampled_from(
                [[1, 2, 3], [1.5, math.nan, -0.0], ["a", "b", None], [True, False, True], [b"x", b"", b"z"]]
            ),
            max_size=4,
        )
    )
    for frame in (pd.DataFrame(columns), pl.DataFrame(columns), pa.table(columns)):
        assert_same(round_trip(frame)[0], frame)


class Celsius:
    def __init__(self, degrees: float) -> None:
        self.degrees = degrees

    def __getstate__(self) -> Any:
        raise TypeError("only by its codec")


class CelsiusCodec(Codec):
    name = "celsius"

    def accepts(self, value: Any) -> bool:
        return type(value) is Celsius

    def encode(self, value: Any) -> Encoded:
        return Encoded((repr(value.degrees).encode(),))

    def decode(self, content: memoryview, read_part: Any) -> Celsius:
        return Celsius(float(bytes(content)))


class OtherCodec(CelsiusCodec):
    pass


def test_a_users_codec_takes_its_values_bare_and_inside() -> None:
    registry = Registry()
    registry.add(CelsiusCodec())
    store = ArtifactStore(MemoryBlobStore(), registry)
    bare = store.put(Celsius(21.5))
    assert bare.codec == "celsius"
    assert store.get(bare).degrees == 21.5
    item = Celsius(1.0)
    inside = store.get(store.put({"a": [item], "b": item}))
    assert inside["a"][0].degrees == 1.0
    assert inside["b"] is inside["a"][0]


def test_a_codec_that_is_not_registered_is_named() -> None:
    registry = Registry()
    registry.add(CelsiusCodec())
    artifact = ArtifactStore(MemoryBlobStore(), registry).put(Celsius(1.0))
    with pytest.raises(UnknownCodec, match="celsius"):
        ArtifactStore(MemoryBlobStore()).get(artifact)


def test_a_name_belongs_to_one_codec() -> None:
    registry = Registry()
    registry.add(CelsiusCodec())
    registry.add(CelsiusCodec())
    with pytest.raises(BadCodec, match="CelsiusCodec"):
        registry.add(OtherCodec())
    taken = OtherCodec()
    for name in ("plain", "raw", "exception", "", "a b", "x" * 41):
        taken.name = name  # type: ignore[misc]
        with pytest.raises(UserError):
            registry.add(taken)


def test_a_class_that_is_gone_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    store = ArtifactStore(MemoryBlobStore())
    module = types.ModuleType("gone_module")
    exec("class Gone:\n    pass", module.__dict__)
    monkeypatch.setitem(sys.modules, "gone_module", module)
    artifact = store.put({"model": module.Gone()})
    store.get(artifact)
    del module.Gone
    with pytest.raises(MissingClass, match=r"gone_module\.Gone"):
        store.get(artifact)
    monkeypatch.delitem(sys.modules, "gone_module")
    with pytest.raises(MissingClass, match=r"gone_module\.Gone"):
        store.get(artifact)


@pytest.mark.parametrize("codec", ["plain", "pickle", "npy", "arrow", "polars", "safetensors", "exception"])
@pytest.mark.parametrize(
    "content", [b"", b"\xc1", b"WPK1", b"WPK1\xff\xff\0\0abc", b"\x93NUMPY\x02\0\xff\xff\xff\xff"]
)
def test_bytes_that_no_codec_wrote_are_a_fault_of_the_store(codec: str, content: bytes) -> None:
    store = ArtifactStore(MemoryBlobStore())
    with pytest.raises(UnreadableArtifact, match=codec):
        store.get(Artifact("b3:00", codec, len(content), content))


MAIN_PROGRAM = """
import sys
from weft.store.artifacts import ArtifactStore
from weft.store.blobs import MemoryBlobStore

class Model:
    def __init__(self): self.size = 3

class Bad(Exception):
    pass

def score(model): return model.size

store = ArtifactStore(MemoryBlobStore())
stored = [store.put(value) for value in ({"m": Model(), "f": score}, Model, [Bad(1)], [lambda m: score(m)])]
mixed = store.put([lambda: 0, Model(), Bad])
before = Model, Bad, score

class Model:
    size = 4
class Bad(Exception):
    pass

first, second, third, fourth = [store.get(artifact) for artifact in stored]
assert type(first["m"]) is Model and first["f"] is score and second is Model, "by reference to what is there now"
assert type(third[0]) is Bad
assert [type(store.get(mixed)[1]), store.get(mixed)[2]] == [Model, Bad], "also where cloudpickle is needed"
assert fourth[0](first["m"]) == 3
# An object of a class that its name no longer means goes by value, not to the wrong class.
old = store.get(store.put(before[0]()))
assert type(old) is not Model and old.size == 3
assert "__mp_main__" not in repr([artifact.inline for artifact in stored])
# Under multiprocessing a class may believe that its module is __mp_main__.
Model.__module__ = "__mp_main__"
for artifact in (store.put([Model]), store.put([lambda: 0, Model])):
    assert b"__mp_main__" not in artifact.inline
    assert store.get(artifact)[-1] is Model
print("fine")
"""


def test_what_the_users_file_defines_goes_by_its_name_in_main() -> None:
    done = subprocess.run(
        [sys.executable, "-c", MAIN_PROGRAM], check=False, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "fine\n", done.stderr


def test_importing_codecs_loads_no_library_of_an_extra() -> None:
    code = "import sys, weft.store.artifacts as a; print(sorted({n.partition('.')[0] for n in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    for name in ("numpy", "pandas", "pyarrow", "polars", "torch", "cloudpickle", "safetensors"):
        assert repr(name) not in done.stdout


class Lazy:
    def __init__(self, size: int) -> None:
        self.size = size
        self.names = ["a" * size, "a" * size]

    @functools.cached_property
    def total(self) -> int:
        return self.size + 1


def test_a_fingerprint_forgets_cached_properties_and_equal_strings() -> None:
    value = {"lazy": Lazy(5)}
    before = fingerprint_value(value)
    assert value["lazy"].total == 6
    value["lazy"].names[1] = value["lazy"].names[0]
    assert fingerprint_value(value) == before
    value["lazy"].size = 6
    assert fingerprint_value(value) != before


@pytest.mark.parametrize(
    ("value", "change"),
    [
        ([1, 2], lambda value: value.append(3)),
        ({"a": {1}}, lambda value: value["a"].add(2)),
        (np.zeros(10), lambda value: value.__setitem__(0, 1)),
        ([np.zeros(LARGE)], lambda value: value[0].__setitem__(-1, 1)),
        (pd.DataFrame({"a": [1, 2]}), lambda value: value.__setitem__("b", 3)),
        (Node("a", [Node("b")]), lambda value: value.children[0].children.append(1)),
        ([ValueError("a")], lambda value: value[0].add_note("n")),
    ],
    ids=["list", "set", "array", "large array", "frame", "object", "exception"],
)
def test_a_fingerprint_sees_a_change_and_only_that(value: Any, change: Any) -> None:
    before = fingerprint_value(value)
    assert before is not None
    assert fingerprint_value(value) == before
    assert fingerprint_value(round_trip(value)[0]) == before
    change(value)
    assert fingerprint_value(value) != before


def test_reading_a_frame_does_not_change_its_fingerprint() -> None:
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]})
    before = fingerprint_value(frame)
    frame["a"].mean()
    frame.groupby("b").sum()
    assert frame.index.is_unique
    assert frame.loc[1, "a"] == 2.0
    assert fingerprint_value(frame) == before


def test_a_fingerprint_of_a_cycle_is_found() -> None:
    value: list[Any] = [1]
    value.append(value)
    before = fingerprint_value(value)
    assert before is not None
    assert fingerprint_value(value) == before
    value[0] = 2
    assert fingerprint_value(value) != before


def test_what_cannot_be_stored_has_no_fingerprint() -> None:
    assert fingerprint_value({"it": iter([1])}) is None
