"""Files that earlier versions wrote are read for ever; where keys depend on them, the bytes are the same too.

Run as a program, this writes the files that are missing. A file that is there is never changed: a new format gets
a new file, and the old one stays readable.
"""

from __future__ import annotations

import collections
import datetime
import decimal
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from tests.store.sameness import assert_same

from weft.store.codecs import decode_exception, encode_exception
from weft.store.codecs.pickles import PickleCodec
from weft.store.codecs.port import digest_content
from weft.store.codecs.registry import REGISTRY
from weft.store.codecs.tensors import read_header, write_header

FOLDER = Path(__file__).parent / "golden"

shared = [1, 2]

VALUES: dict[str, Any] = {
    "scalars.plain": [None, True, False, 0, -1, 2**64 - 1, -(2**63), 1.5, -0.0, "é☃", b"\xff\x00"],
    "containers.plain": {"list": [1, [2]], "tuple": (1, (2, ())), 3: {None: []}, 1.5: [(1, "a"), (2, "b")]},
    "matrix.npy": np.arange(6, dtype="<f4").reshape(2, 3),
    "fortran.npy": np.asfortranarray(np.arange(6, dtype=">i2").reshape(2, 3)),
    "scalar.npy": np.array(2.5),
    "empty.npy": np.zeros((0, 3)),
    "times.npy": np.array(["2024-02-29", "NaT"], dtype="M8[D]"),
    "text.npy": np.array(["a", "bcd"]),
    "records.npy": np.array([(1, 2.5)], dtype=[("a", "<i4"), ("b", "<f8")]),
    "table.arrow": pa.table({"a": [1, None], "s": ["x", "y"]}).replace_schema_metadata({"k": "v"}),
    "frame.polars": pl.DataFrame({"a": [1, None], "s": ["x", "é"], "t": [datetime.date(2024, 2, 29)] * 2}),
    "categories.polars": pl.DataFrame({"e": ["u", "v"]}, schema={"e": pl.Enum(["v", "u"])}),
    "standard.pickle": {
        "dates": [datetime.date(2024, 2, 29), datetime.timedelta(days=1)],
        "decimal": decimal.Decimal("1.10"),
        "ordered": collections.OrderedDict(b=1, a=2),
        "set": {1, 2},
        "big": 2**70,
        "surrogate": "\ud800",
        "shared": [shared, shared],
        "float64": np.float64(0.1),
        "module": json,
        "function": json.dumps,
    },
    "buffers.pickle": {"aside": np.arange(1000, dtype="<i8"), "inside": np.arange(3, dtype="<i8")},
    "nested.pickle": [np.array(["2024-02-29"], dtype=">M8[D]")],
    "frame.pickle": pd.DataFrame({"a": [1.5, np.nan], "s": ["x", None]}, index=pd.Index([3, 1], name="k")),
}


def codec_of(name: str) -> str:
    return name.rpartition(".")[2]


def no_parts(digest: str, codec: str) -> memoryview:
    raise AssertionError("a part was asked for")


def read(name: str) -> memoryview:
    return memoryview(bytearray((FOLDER / name).read_bytes()))


@pytest.mark.parametrize("name", VALUES)
def test_a_golden_file_is_read_as_it_was_written(name: str) -> None:
    assert_same(REGISTRY.get(codec_of(name)).decode(read(name), no_parts), VALUES[name])


@pytest.mark.parametrize("name", [name for name in VALUES if codec_of(name) in ("plain", "npy")])
def test_the_bytes_that_keys_depend_on_stay_the_same(name: str) -> None:
    codec, encoded = REGISTRY.encode(VALUES[name])
    assert codec == codec_of(name)
    assert b"".join(encoded.content) == bytes(read(name))


def test_digests_stay_the_same() -> None:
    digests = {name: digest_content(codec_of(name), [read(name)]) for name in VALUES}
    assert digests == json.loads((FOLDER / "digests.json").read_text())


def with_parts() -> tuple[Any, PickleCodec]:
    value = {"raw": np.arange(700.0), "times": np.arange(100).astype(">M8[s]")}
    return value, PickleCodec(REGISTRY, part_bytes_min=500)


def test_a_golden_pickle_finds_its_parts() -> None:
    value, pickles = with_parts()
    parts = {path.stem: path for path in (FOLDER / "parts").iterdir()}
    content = read("parts.pickle")
    assert sorted(digest.removeprefix("b3:") for digest, _ in pickles.parts_of(content)) == sorted(parts)

    def read_part(digest: str, codec: str) -> memoryview:
        path = parts[digest.removeprefix("b3:")]
        assert path.suffix == f".{codec}"
        return memoryview(bytearray(path.read_bytes()))

    assert_same(pickles.decode(content, read_part), value)


def errors() -> BaseException:
    error = FileNotFoundError(2, "no such file", "a.csv")
    error.add_note("seen")
    error.__cause__ = json.JSONDecodeError("bad", "{", 1)
    error.__context__ = ExceptionGroup("group", [ValueError("a", 1), KeyError("k")])
    return error


def test_a_golden_exception_is_read_as_it_was_written() -> None:
    found = decode_exception(bytes(read("error.exception")))
    expected = errors()
    assert type(found) is FileNotFoundError
    assert (found.args, found.filename, found.__notes__) == (expected.args, "a.csv", ["seen"])
    assert type(found.__cause__) is json.JSONDecodeError
    assert found.__cause__.pos == 1
    assert repr(found.__context__) == repr(expected.__context__)
    assert found.__suppress_context__
    assert found.__weft_traceback__ == "Traceback of long ago\n"


TENSORS = {"b": np.arange(6, dtype="<f4").reshape(2, 3), "a": np.array(7, dtype="<i8")}


def test_the_tensor_format_is_safetensors() -> None:
    safetensors = pytest.importorskip("safetensors.numpy")
    loaded = safetensors.load(bytes(read("tensors.safetensors")))
    assert {name: item.tolist() for name, item in loaded.items()} == {
        name: item.tolist() for name, item in TENSORS.items()
    }
    described, solo = read_header(read("tensors.safetensors"))
    assert list(described) == ["b", "a"]
    assert not solo


def test_tensors_come_back_exactly() -> None:
    torch = pytest.importorskip("torch")
    for value in (
        torch.arange(6.0).reshape(2, 3),
        {"a": torch.ones(2, dtype=torch.bfloat16), "b": torch.tensor(3)},
    ):
        codec, encoded = REGISTRY.encode(value)
        assert codec == "safetensors"
        found = REGISTRY.get(codec).decode(memoryview(bytearray(b"".join(encoded.content))), no_parts)
        for one, other in zip(
            *(item.values() if type(item) is dict else [item] for item in (found, value)), strict=True
        ):
            assert one.dtype == other.dtype
            assert torch.equal(one, other)


def tensor_file() -> bytes:
    kinds = {"b": "F32", "a": "I64"}
    described = {name: (kinds[name], item.shape) for name, item in TENSORS.items()}
    head = write_header(described, [item.nbytes for item in TENSORS.values()], solo=False)
    return head + b"".join(item.tobytes() for item in TENSORS.values())


def write_missing() -> None:
    (FOLDER / "parts").mkdir(parents=True, exist_ok=True)
    contents = {"tensors.safetensors": tensor_file()}
    for name, value in VALUES.items():
        contents[name] = b"".join(REGISTRY.get(codec_of(name)).encode(value).content)
    value, pickles = with_parts()
    encoded = pickles.encode(value)
    contents["parts.pickle"] = b"".join(encoded.content)
    for part in encoded.parts:
        contents[f"parts/{part.digest.removeprefix('b3:')}.{part.codec}"] = b"".join(part.content)
    error = errors()
    error.__dict__["__weft_traceback__"] = "Traceback of long ago\n"
    contents["error.exception"] = encode_exception(error)
    digests = {name: digest_content(codec_of(name), [contents[name]]) for name in VALUES}
    contents["digests.json"] = json.dumps(digests, indent=2).encode() + b"\n"
    for name, content in contents.items():
        if not (FOLDER / name).exists():
            (FOLDER / name).write_bytes(content)


if __name__ == "__main__":
    write_missing()
