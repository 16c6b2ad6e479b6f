"""Exceptions come back with type, args, fields, cause, context and notes, and without calling their ``__init__``."""

from __future__ import annotations

import json
import pickle
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from weft.errors import Cancelled, DiskFull, OutOfMemory, StepTimeout, WorkerLost
from weft.model.values import INLINE_BYTES_MAX
from weft.store.artifacts import ArtifactStore
from weft.store.blobs import MemoryBlobStore
from weft.store.codecs import RemoteError, decode_exception, encode_exception
from weft.store.faults import DamagedArtifact, MissingClass


class TwoArguments(Exception):
    calls = 0

    def __init__(self, a: object, b: object) -> None:
        type(self).calls += 1
        super().__init__(f"{a}{b}")
        self.a = a


class OwnOsError(OSError):
    def __init__(self, what: str) -> None:
        super().__init__(2, what, "file")


class Slotted(Exception):
    __slots__ = ("detail",)


class OwnNew(Exception):
    def __new__(cls, *, code: int) -> OwnNew:
        return super().__new__(cls, code)

    def __init__(self, *, code: int) -> None:
        self.code = code


class BrokenReduce(Exception):
    def __reduce__(self) -> Any:
        raise TypeError("no")


class WrongReduce(Exception):
    def __init__(self, a: int, b: int) -> None:
        super().__init__(a, b)

    def __reduce__(self) -> Any:
        return WrongReduce, (1,)


class BrokenText(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


class OwnGroup(ExceptionGroup[Exception]):
    def __new__(cls, errors: list[Exception], tag: str) -> OwnGroup:
        made = super().__new__(cls, "own", errors)
        made.tag = tag
        return made

    def __init__(self, errors: list[Exception], tag: str) -> None:
        pass


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:  # noqa: BLE001  any exception may be the test's
        return caught


def back(error: BaseException) -> Any:
    found = decode_exception(encode_exception(error))
    assert type(found) is type(error)
    return found


def caught(action: Any, *args: Any) -> BaseException:
    try:
        action(*args)
    except BaseException as error:  # noqa: BLE001  any exception may be the test's
        return error
    raise AssertionError("nothing was raised")


def fields_of(error: BaseException) -> dict[str, Any]:
    names = [name for name in dir(type(error)) if not name.startswith("__") and name != "characters_written"]
    return {name: value for name in names if not callable(value := getattr(error, name, None))}


ERRORS = [
    ValueError(),
    ValueError("a", 1, None, (2,)),
    KeyError("k"),
    SystemExit(4),
    SystemExit(),
    KeyboardInterrupt(),
    GeneratorExit("x"),
    OSError(2, "no"),
    OSError(2, "no", "f"),
    OSError(2, "no", "f", None, "g"),
    OSError("only text"),
    FileNotFoundError(2, "no", Path("f")),
    BlockingIOError(11, "again"),
    StopIteration(3),
    StopAsyncIteration(),
    UnicodeDecodeError("utf8", b"abc", 0, 1, "r"),
    UnicodeEncodeError("ascii", "é", 0, 1, "r"),
    UnicodeTranslateError("é", 0, 1, "r"),
    ImportError("m", name="n", path="p"),
    NameError("m", name="n"),
    AttributeError("m", name="n", obj=[1]),
    caught(compile, "a b", "f", "exec"),
    caught(compile, "if 1:\nx", "f", "exec"),
    caught(json.loads, "{"),
    caught(lambda: 1 / 0),
    RecursionError("deep"),
    ExceptionGroup("g", [ValueError(1), TwoArguments(2, 3)]),
    BaseExceptionGroup("g", [KeyboardInterrupt()]),
    OwnGroup([ValueError(1)], "tag"),
    TwoArguments(1, 2),
    OwnOsError("x"),
    OwnNew(code=3),
    StepTimeout("late"),
    WorkerLost("gone"),
    OutOfMemory("big"),
    Cancelled("stop"),
    DiskFull("the disk", "why"),
    DamagedArtifact("b3:00", "file", "nothing"),
    RemoteError("m.E", "text", "trace"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: repr(error)[:40])
def test_an_exception_comes_back_with_all_it_had(error: BaseException) -> None:
    found = back(error)
    assert repr(found.args) == repr(error.args)
    assert str(found) == str(error)
    assert repr(fields_of(found)) == repr(fields_of(error))
    attributes = {name: value for name, value in vars(found).items() if name != "__weft_traceback__"}
    assert repr(attributes) == repr(vars(error))


def test_its_own_init_is_not_called_again() -> None:
    content = encode_exception(TwoArguments(1, 2))
    before = TwoArguments.calls
    assert decode_exception(content).args == ("12",)
    assert TwoArguments.calls == before
    with pytest.raises(TypeError):
        pickle.loads(pickle.dumps(TwoArguments(1, 2)))


def test_slots_are_kept() -> None:
    error = Slotted("x")
    error.detail = 5
    assert back(error).detail == 5


def test_cause_context_and_notes_are_kept() -> None:
    try:
        try:
            raise KeyError("first")
        except KeyError as first:
            raise TwoArguments(1, 2) from first
    except TwoArguments as error:
        error.add_note("seen")
        found = back(error)
    assert found.__cause__.args == ("first",)
    assert found.__context__ is found.__cause__
    assert found.__suppress_context__
    assert found.__notes__ == ["seen"]


def test_a_context_that_was_silenced_stays_silent() -> None:
    error = ValueError(1)
    error.__context__ = KeyError(2)
    error.__suppress_context__ = True
    found = back(error)
    assert found.__suppress_context__
    assert type(found.__context__) is KeyError
    assert found.__cause__ is None


def test_a_class_that_pickles_in_its_own_way_keeps_its_cause() -> None:
    error = caught(json.loads, "{")
    error.__cause__ = ValueError("because")
    error.add_note("note")
    found = back(error)
    assert found.pos == 1
    assert found.__cause__.args == ("because",)
    assert found.__notes__ == ["note"]


def test_a_circle_of_contexts_comes_back_as_a_circle() -> None:
    one, two = ValueError(1), KeyError(2)
    one.__context__, two.__context__ = two, one
    found = back(one)
    assert type(found.__context__) is KeyError
    assert found.__context__.__context__ is found


@pytest.mark.parametrize("length", [100, 20_000])
def test_a_long_chain_of_contexts_keeps_its_near_end(length: int) -> None:
    error: BaseException = ValueError(0)
    for number in range(1, length):
        link = ValueError(number)
        link.__context__ = error
        error = link
    found = back(error)
    assert found.args == (length - 1,)
    assert found.__context__.__context__.args == (length - 3,)


def test_a_group_may_be_the_context_of_its_member() -> None:
    member = ValueError(1)
    group = ExceptionGroup("g", [member])
    member.__context__ = group
    found = back(group)
    assert found.exceptions[0].args == (1,)


def test_the_traceback_comes_as_text_and_grows_with_each_raise() -> None:
    found = back(raised(ValueError("here")))
    assert "Traceback (most recent call last)" in found.__weft_traceback__
    assert "in raised" in found.__weft_traceback__
    assert "ValueError: here" in found.__weft_traceback__
    again = back(found)
    assert again.__weft_traceback__ == found.__weft_traceback__
    assert back(raised(again)).__weft_traceback__.count("ValueError: here") == 2


def test_an_exception_that_was_never_raised_has_no_traceback() -> None:
    assert not hasattr(back(ValueError(1)), "__weft_traceback__")


def test_a_huge_traceback_is_cut() -> None:
    assert len(back(raised(ValueError("x" * 1_000_000))).__weft_traceback__) < 70_000


def test_broken_pickling_of_its_own_is_gone_round() -> None:
    assert back(BrokenReduce(3)).args == (3,)
    assert back(WrongReduce(3, 4)).args == (3, 4)


def test_what_cannot_be_stored_is_replaced_or_left_out() -> None:
    connection = sqlite3.connect(":memory:")
    try:
        error = TwoArguments(1, 2)
        error.connection = connection
        error.cause = "kept"
        error.args = ("kept", connection)
        error.__cause__ = ValueError(connection)
        found = back(error)
        assert not hasattr(found, "connection")
        assert found.cause == "kept"
        assert found.args == ("kept", repr(connection))
        assert found.__cause__.args == (repr(connection),)
    finally:
        connection.close()


def test_the_object_of_an_attribute_error_is_left_out_if_it_cannot_be_stored() -> None:
    found = back(caught(lambda: iter([1]).nothing))
    assert found.name == "nothing"
    assert found.obj is None


def test_a_class_that_cannot_be_stored_leaves_a_stand_in() -> None:
    class Hidden(Exception):
        lock = threading.Lock()  # a local class goes by value, and this cannot

    found = decode_exception(encode_exception(raised(Hidden("text"))))
    assert type(found) is RemoteError
    assert found.type_name.endswith("Hidden")
    assert found.message == "text"
    assert "Hidden: text" in found.traceback_text


def test_a_stand_in_may_be_the_cause() -> None:
    class Hidden(Exception):
        lock = threading.Lock()

    error = ValueError(1)
    error.__cause__ = Hidden("text")
    found = back(error)
    assert type(found.__cause__) is RemoteError
    assert found.__cause__.message == "text"


def test_a_text_that_raises_does_no_harm() -> None:
    assert back(raised(BrokenText(1))).args == (1,)


def test_a_local_class_comes_back_as_itself() -> None:
    class Local(Exception):
        pass

    assert back(Local(3)).args == (3,)


def test_exceptions_inside_values_are_exact_too() -> None:
    store = ArtifactStore(MemoryBlobStore())
    error = TwoArguments(1, 2)
    error.__cause__ = KeyError("k")
    found = store.get(store.put({"errors": [error, error]}))["errors"]
    assert type(found[0]) is TwoArguments
    assert found[0] is found[1]
    assert type(found[0].__cause__) is KeyError


def test_a_stored_exception_is_an_artifact() -> None:
    store = ArtifactStore(MemoryBlobStore())
    for error in (ValueError(1), ValueError("x" * 2 * INLINE_BYTES_MAX)):
        artifact = store.put_exception(error)
        assert artifact.codec == "exception"
        store.verify(artifact)
        assert store.parts(artifact) == []
        assert store.get(artifact).args == error.args


def test_a_class_that_is_gone_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "Passing", type("Passing", (Exception,), {"__module__": __name__}))
    content = encode_exception(globals()["Passing"]("x"))
    monkeypatch.delitem(globals(), "Passing")
    with pytest.raises(MissingClass, match="Passing"):
        decode_exception(content)


MAIN_PROGRAM = """
from weft.store.codecs import decode_exception, encode_exception
class Bad(Exception):
    def __init__(self, a, b): super().__init__(a)
content = encode_exception(Bad(1, 2))
try:
    raise decode_exception(content)
except Bad as error:
    print("fine", error.args)
"""


def test_a_class_of_the_users_file_is_caught_by_its_name() -> None:
    done = subprocess.run(
        [sys.executable, "-c", MAIN_PROGRAM], check=False, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "fine (1,)\n", done.stderr
