"""What lives only in its process is refused by type, with its place inside the value."""

from __future__ import annotations

import asyncio
import collections
import functools
import io
import itertools
import socket
import sqlite3
import threading
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from weft.store.artifacts import ArtifactStore
from weft.store.blobs import MemoryBlobStore
from weft.store.faults import Unstorable


class Holder:
    def __init__(self, conn: object) -> None:
        self.conn = conn

    def read(self) -> object:
        return self.conn


class SlottedHolder:
    __slots__ = ("conn",)

    def __init__(self, conn: object) -> None:
        self.conn = conn


class Careful:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.kept = 1

    def __getstate__(self) -> dict[str, int]:
        return {"kept": self.kept}


class OwnFile(io.RawIOBase):
    def __reduce__(self) -> Any:
        return OwnFile, ()


class Broken:
    def __reduce__(self) -> Any:
        raise RuntimeError("made to fail")


def generate() -> Iterator[int]:
    yield 1


async def work() -> None: ...


def put(value: object, where: str = "result") -> Any:
    store = ArtifactStore(MemoryBlobStore())
    return store.get(store.put(value, where))


ordered = collections.OrderedDict(a=1)
LIVE = [
    {}.keys(),
    {}.values(),
    {}.items(),
    ordered.keys(),
    ordered.items(),
    types.MappingProxyType({}),
    memoryview(b"a"),
    generate(),
    (x for x in [1]),
    iter([1]),
    iter((1,)),
    iter("a"),
    iter("é"),
    iter({}),
    iter({1}),
    iter(range(3)),
    iter(ordered),
    iter(int, 1),
    reversed([1]),
    map(str, [1]),
    filter(None, [1]),
    zip([1], [2], strict=True),
    enumerate([1]),
    itertools.count(),
    itertools.chain([1]),
    itertools.groupby([1]),
    threading.Lock(),
    threading.RLock(),
    threading.Thread(),
]


@pytest.mark.parametrize("value", LIVE, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("wrap", [lambda value: value, lambda value: [value]], ids=["bare", "inside"])
def test_what_is_live_is_refused(value: object, wrap: Any) -> None:
    with pytest.raises(Unstorable, match=type(value).__qualname__) as caught:
        put(wrap(value))
    assert caught.value.hint
    assert caught.value.type_name.endswith(type(value).__qualname__)


@pytest.mark.parametrize("mode", ["r", "rb", "w", "wb"])
def test_an_open_file_is_refused_not_copied(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "data.txt"
    path.write_text("secret")
    with path.open(mode) as file, pytest.raises(Unstorable, match=r"result\['f'\]"):
        put({"f": file})


def test_connections_are_refused() -> None:
    with socket.socket() as connection, pytest.raises(Unstorable, match=r"socket\.socket"):
        put(connection)
    database = sqlite3.connect(":memory:")
    with pytest.raises(Unstorable, match=r"sqlite3\.Connection"):
        put([database])
    database.close()


def test_a_coroutine_is_refused() -> None:
    coroutine = work()
    with pytest.raises(Unstorable, match="coroutine"):
        put(coroutine)
    coroutine.close()


def test_files_in_memory_are_values() -> None:
    file = io.BytesIO(b"abc")
    file.seek(1)
    assert put(file).read() == b"bc"


def test_a_class_that_leaves_its_lock_out_is_stored() -> None:
    assert put([Careful()])[0].kept == 1


def test_a_file_class_with_its_own_way_is_stored() -> None:
    assert type(put(OwnFile())) is OwnFile


def recursive() -> list[Any]:
    items: list[Any] = []
    items.append(items)
    items.append(Holder(threading.Lock()))
    return items


def closure() -> Any:
    guard = threading.Lock()
    return lambda: guard


PATHS = [
    (lambda it: it, "result"),
    (lambda it: {"rows": [1, 2, 3, Holder(it)]}, "result['rows'][3].conn"),
    (lambda it: [SlottedHolder((0, it))], "result[0].conn[1]"),
    (lambda it: {1: {None: it}}, "result[1][None]"),
    (lambda it: Holder(Holder(it)).read, "result.__self__.conn.conn"),
    (lambda it: functools.partial(print, it), "result.args[0]"),
    (lambda it: collections.deque([1, it]), "result[1]"),
    (lambda it: types.SimpleNamespace(a=it), "result.a"),
    (lambda it: [ValueError(it)], "result[0].args[0]"),
    (lambda it: lambda: it, "result (its variable 'it')"),
]


@pytest.mark.parametrize(("wrap", "path"), PATHS, ids=[path for _, path in PATHS])
@pytest.mark.parametrize(
    "make", [threading.Lock, lambda: sqlite3.connect(":memory:")], ids=["lock", "database"]
)
def test_the_place_inside_the_value_is_named(wrap: Any, path: str, make: Any) -> None:
    culprit = make()
    with pytest.raises(Unstorable) as caught:
        put(wrap(culprit))
    assert caught.value.path == path
    assert str(caught.value).startswith(f"{path}: a ")
    if hasattr(culprit, "close"):
        culprit.close()


def test_a_circle_on_the_way_does_no_harm() -> None:
    with pytest.raises(Unstorable) as caught:
        put(recursive())
    assert caught.value.path == "result[1].conn"


def test_a_class_that_fails_is_named_with_its_reason() -> None:
    with pytest.raises(Unstorable, match="made to fail") as caught:
        put({"a": [Broken()]})
    assert caught.value.path == "result['a'][0]"
    assert caught.value.type_name.endswith("Broken")


def test_what_is_nested_too_deeply_says_so() -> None:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(Unstorable, match="nested too deeply"):
        put(value)


def test_a_lock_of_asyncio_is_found_in_its_object() -> None:
    loop = asyncio.new_event_loop()
    with pytest.raises(Unstorable, match="result"):
        put(Holder(loop))
    loop.close()
