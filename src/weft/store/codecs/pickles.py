"""What no other codec takes: pickle protocol 5, its buffers outside, cloudpickle where plain pickle fails.

A content is ``WPK1``, the length of the layout (4 bytes, little-endian), the layout (MessagePack), the pickle,
and the buffers of 4 KiB or more, each at a multiple of 64 bytes, so that arrays are mapped, not copied. A buffer of
1 MiB or more, and a large value inside that has a codec of its own, is a part: a blob that other values share.

Classes and functions go by reference where they can be found again; those of ``__main__`` by their name in
whatever ``__main__`` is then, since a worker has the user's file under that name.
"""

from __future__ import annotations

import functools
import importlib
import io
import pickle
import sys
import types
from collections.abc import Callable
from typing import Any, ClassVar, Final, Protocol, TypeAlias

import msgspec

from weft.store.codecs.exceptions import reduce_exception
from weft.store.codecs.live import Refusal, find_refusal, find_stream_name
from weft.store.codecs.port import (
    Buffer,
    Codec,
    Declined,
    Encoded,
    Part,
    ReadPart,
    digest_content,
    size_of,
)
from weft.store.codecs.views import find_views, reduce_view
from weft.store.faults import MissingClass

NAME: Final = "pickle"
RAW: Final = "raw"
"""The codec name of parts that are nothing but a buffer."""

PART_BYTES_MIN: Final = 1 << 20
_ASIDE_BYTES_MIN: Final = 4096
_ALIGNMENT: Final = 64
_MAGIC: Final = b"WPK1"
ReduceException: TypeAlias = Callable[[BaseException], Any]
_MAINS: Final = ("__main__", "__mp_main__")


class Layout(msgspec.Struct, array_like=True, gc=False):
    """What lies in a content.

    Attributes:
        head_bytes: length of the pickle.
        buffers: in the pickle's order, the size of a buffer that follows it, or the place in ``parts`` of one
            that is a blob.
        parts: digest and codec of each blob; a value with a codec of its own names its place here in the pickle.
    """

    head_bytes: int
    buffers: list[int | tuple[int]] = []
    parts: list[tuple[str, str]] = []


_encode_layout: Final = msgspec.msgpack.Encoder().encode
_decode_layout: Final = msgspec.msgpack.Decoder(Layout).decode


class Codecs(Protocol):
    """What pickles need of the registry: the codecs for large values that stand inside others."""

    def find_nested(self, value: Any) -> Codec | None: ...

    def get(self, name: str) -> Codec: ...


class Refused(Exception):
    """Raised inside a pickler by an object that cannot be stored."""

    def __init__(self, culprit: object, refusal: Refusal) -> None:
        super().__init__(refusal.why)
        self.culprit = culprit
        self.refusal = refusal


def main_object(qualname: str) -> Any:
    """Return what this process's ``__main__`` holds under ``qualname``. Named in pickles: never rename."""
    found = find_in_main(qualname)
    if found is None:
        raise MissingClass("__main__", qualname, "the file that ran has no such name")
    return found


def find_in_main(qualname: str) -> Any:
    found: Any = sys.modules.get("__main__")
    for name in qualname.split("."):
        found = getattr(found, name, None)
    return found


def nested_value(codec: str, content: Any) -> Any:
    """Stands in pickles for ``_Unpickler.nested``, which knows the parts. Named in pickles: never rename."""
    raise pickle.UnpicklingError("a nested value outside of an artifact")


class _Rules:
    """What both picklers do with the objects that pickle asks about: all but those of the plainest types."""

    def __init__(self, codecs: Codecs, part_bytes_min: int, reduce_exception: ReduceException) -> None:
        self.codecs = codecs
        self.part_bytes_min = part_bytes_min
        self.reduce_exception = reduce_exception
        self.views: dict[int, Any] = {}
        self.head = self._open_head()
        self.buffers: list[memoryview | int] = []
        self.parts: list[Part] = []
        self.last: object = None
        super().__init__(self.head, 5, buffer_callback=self._take_buffer)  # type: ignore[call-arg]

    def _open_head(self) -> Any:
        return io.BytesIO()

    def reducer_override(self, value: Any) -> Any:
        # Where pickling fails, the object it asked about last is the one that cannot be stored.
        self.last = value
        kind: Any = type(value)
        return _treatment_of(kind)(self, value)

    def _ordinary(self, value: Any) -> Any:
        if id(value) in self.views:
            return reduce_view(value, self.views[id(value)])
        codec = self.codecs.find_nested(value)
        return self._rest(value) if codec is None else self._nest(codec, value)

    def _exception(self, value: BaseException) -> Any:
        return self.reduce_exception(value)

    def _rest(self, value: Any) -> Any:
        return NotImplemented

    def _refuse(self, value: Any) -> Any:
        name = find_stream_name(value)
        refusal = find_refusal(type(value))
        if name is None and refusal is not None:
            raise Refused(value, refusal)
        return getattr, (sys, name)

    def _named(self, value: Any) -> Any:
        if value.__module__ in _MAINS and find_in_main(value.__qualname__) is value:
            return main_object, (value.__qualname__,)
        return self._rest(value)

    def _module(self, value: types.ModuleType) -> Any:
        if sys.modules.get(value.__name__) is value:
            return importlib.import_module, (value.__name__,)
        return self._rest(value)

    def _nest(self, codec: Codec, value: Any) -> Any:
        try:
            content, parts = codec.encode(value)
        except Declined:
            return self._rest(value)
        self.parts.extend(parts)
        if size_of(content) < self.part_bytes_min:
            return nested_value, (codec.name, bytearray(b"".join(content)))
        return nested_value, (codec.name, self._add_part(codec.name, content))

    def _add_part(self, codec: str, content: list[Buffer] | Any) -> int:
        self.parts.append(Part(digest_content(codec, content), codec, content, size_of(content)))
        return len(self.parts) - 1

    def _take_buffer(self, buffer: pickle.PickleBuffer) -> bool:
        """Say whether pickle shall keep the buffer in its stream: small ones are not worth a place aside."""
        raw = buffer.raw()
        if raw.nbytes < _ASIDE_BYTES_MIN:
            return True
        self.buffers.append(raw if raw.nbytes < self.part_bytes_min else self._add_part(RAW, [raw]))
        return False

    def encoded(self) -> Encoded:
        head = self.head.getbuffer()
        sizes: list[int | tuple[int]] = [
            (item,) if isinstance(item, int) else item.nbytes for item in self.buffers
        ]
        layout = _encode_layout(
            Layout(head.nbytes, sizes, [(part.digest, part.codec) for part in self.parts])
        )
        content: list[Buffer] = [_MAGIC + len(layout).to_bytes(4, "little") + layout, head]
        end = size_of(content)
        for item in self.buffers:
            if isinstance(item, memoryview):
                content += [b"\0" * (-end % _ALIGNMENT), item]
                end += -end % _ALIGNMENT + item.nbytes
        return Encoded(content, self.parts)


class PlainPickler(_Rules, pickle.Pickler):
    pass


@functools.cache
def _cloud_pickler() -> type[_Rules]:
    from cloudpickle import Pickler

    class CloudPickler(_Rules, Pickler):  # type: ignore[misc]
        def _rest(self, value: Any) -> Any:
            return Pickler.reducer_override(self, value)

    return CloudPickler


@functools.lru_cache(maxsize=4096)
def _treatment_of(kind: type) -> Callable[[Any, Any], Any]:
    """Return what a pickler does with objects of this type."""
    if find_refusal(kind) is not None:
        return _Rules._refuse
    if issubclass(kind, (type, types.FunctionType)):
        return _Rules._named
    if issubclass(kind, types.ModuleType):
        return _Rules._module
    return _Rules._exception if issubclass(kind, BaseException) else _Rules._ordinary


class PickleCodec(Codec):
    name: ClassVar[str] = NAME

    def __init__(self, codecs: Codecs, part_bytes_min: int = PART_BYTES_MIN) -> None:
        self._codecs = codecs
        self._part_bytes_min = part_bytes_min

    def accepts(self, value: Any) -> bool:
        return True

    def encode(self, value: Any, reduce_exception: ReduceException = reduce_exception) -> Encoded:
        """Return ``value`` as bytes.

        Raises:
            Refused: names the object that cannot be stored.
        """
        views = find_views(value)
        pickler: Any = PlainPickler(self._codecs, self._part_bytes_min, reduce_exception)
        pickler.views = views
        try:
            pickler.dump(value)
        except (Refused, RecursionError, MemoryError):
            raise
        except Exception:  # noqa: BLE001  whatever a user's class raises here, cloudpickle may do better
            pickler = _cloud_pickler()(self._codecs, self._part_bytes_min, reduce_exception)
            pickler.views = views
            _dump_or_blame(pickler, value)
        encoded: Encoded = pickler.encoded()
        return encoded

    def decode(self, content: memoryview, read_part: ReadPart) -> Any:
        layout, start = _read_layout(content)
        end = start + layout.head_bytes
        buffers = _read_buffers(content, layout, end, read_part)
        head = io.BytesIO(content[start:end])
        return _Unpickler(head, buffers, layout, self._codecs, read_part).load()

    def parts_of(self, content: memoryview) -> list[tuple[str, str]]:
        return _read_layout(content)[0].parts


def _dump_or_blame(pickler: Any, value: Any) -> None:
    try:
        pickler.dump(value)
    except (Refused, RecursionError, MemoryError):
        raise
    except Exception as error:
        raise Refused(pickler.last, Refusal(f"{type(error).__name__}: {error}", _HINT)) from error


_HINT: Final = "Make it in the step that needs it, or give its class a __getstate__ that leaves it out."


def _read_layout(content: memoryview) -> tuple[Layout, int]:
    if bytes(content[:4]) != _MAGIC:
        raise pickle.UnpicklingError("the content does not begin as it must")
    start = 8 + int.from_bytes(content[4:8], "little")
    return _decode_layout(content[8:start]), start


def _read_buffers(content: memoryview, layout: Layout, end: int, read_part: ReadPart) -> list[memoryview]:
    buffers = []
    for item in layout.buffers:
        if isinstance(item, tuple):
            buffers.append(read_part(*layout.parts[item[0]]))
        else:
            end += -end % _ALIGNMENT
            buffers.append(content[end : end + item])
            end += item
    return buffers


class _Unpickler(pickle.Unpickler):
    def __init__(
        self, head: io.BytesIO, buffers: list[memoryview], layout: Layout, codecs: Codecs, read_part: ReadPart
    ) -> None:
        super().__init__(head, buffers=buffers)
        self._layout = layout
        self._codecs = codecs
        self._read_part = read_part

    def find_class(self, module: str, name: str) -> Any:
        if name == "nested_value" and module == __name__:
            return self._nested
        try:
            return super().find_class(module, name)
        except (ImportError, AttributeError) as error:
            raise MissingClass(module, name, str(error)) from error

    def _nested(self, codec: str, content: int | bytearray) -> Any:
        if isinstance(content, int):
            view = self._read_part(*self._layout.parts[content])
        else:
            view = memoryview(content)
        return self._codecs.get(codec).decode(view, self._read_part)
