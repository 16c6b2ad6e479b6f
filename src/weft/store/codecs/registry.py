"""Which codec takes which value.

State: ``REGISTRY`` holds this process's codecs, those of users first, and which types nest (a bounded cache).
"""

from __future__ import annotations

import re
from typing import Any, Final

from weft.errors import UserError
from weft.store.codecs import failures
from weft.store.codecs.arrays import ArrayCodec
from weft.store.codecs.culprits import explain, explain_depth
from weft.store.codecs.frames import ArrowCodec, PolarsCodec
from weft.store.codecs.pickles import RAW, PickleCodec, Refused
from weft.store.codecs.plain import SCALARS, PlainCodec
from weft.store.codecs.port import Codec, Declined, Encoded, ReadPart
from weft.store.codecs.tensors import TensorCodec
from weft.store.faults import UnknownCodec

_TYPES_MAX: Final = 4096
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,40}")


class BadCodec(UserError):
    """A codec cannot be registered as it is."""

    code = "bad-codec"


class _ExceptionCodec(Codec):
    """Reads what ``ArtifactStore.put_exception`` wrote; takes no value by itself."""

    name = failures.NAME

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def accepts(self, value: Any) -> bool:
        return False

    def encode(self, value: Any) -> Encoded:
        return Encoded((failures.encode_exception(value, self._registry),))

    def decode(self, content: memoryview, read_part: ReadPart) -> Any:
        return failures.decode_exception(content, self._registry)


class Registry:
    """Codecs in the order in which they are asked: the users', the latest first, then Weft's, pickle last."""

    def __init__(self) -> None:
        self.pickles = PickleCodec(self)
        self._users: list[Codec] = []
        self._nesting: list[Codec] = [ArrayCodec(), ArrowCodec(), PolarsCodec()]
        self._nesting_of: dict[type, Codec | None] = {}
        # Tensors before plain data: both take a dict, and plain would look into it in vain.
        self._own: list[Codec] = [TensorCodec(), PlainCodec(), *self._nesting]
        self._by_name = {codec.name: codec for codec in (*self._own, self.pickles, _ExceptionCodec(self))}

    def add(self, codec: Codec) -> None:
        """Ask ``codec`` before all that are there. The plainest types, such as int and str, never reach it.

        Raises:
            BadCodec: its name is malformed, or another codec has it.
        """
        name = codec.name
        if not _NAME.fullmatch(name) or name == RAW:
            raise BadCodec(
                f"codec name {name!r} is malformed", hint="Use up to 40 letters, digits, '-' and '_'."
            )
        there = self._by_name.get(name)
        if there is not None and not _same_class(there, codec):
            raise BadCodec(
                f"codec name {name!r} belongs to {type(there).__qualname__}", hint="Choose a name of its own."
            )
        # A module that is imported again, as in a notebook, registers its codec again.
        self._users = [codec, *(other for other in self._users if other.name != name)]
        self._by_name[name] = codec

    def get(self, name: str) -> Codec:
        """Return the codec of this name.

        Raises:
            UnknownCodec: there is none in this process.
        """
        try:
            return self._by_name[name]
        except KeyError:
            raise UnknownCodec(name) from None

    def find_nested(self, value: Any) -> Codec | None:
        """Return the codec that shall encode ``value`` where it stands inside a pickled one."""
        for user_codec in self._users:
            if user_codec.accepts(value) and user_codec.nests(value):
                return user_codec
        kind = type(value)
        if kind not in self._nesting_of:
            self._learn_nesting(value)
        codec = self._nesting_of[kind]
        return codec if codec is not None and codec.nests(value) else None

    def _learn_nesting(self, value: Any) -> None:
        if len(self._nesting_of) >= _TYPES_MAX:
            self._nesting_of.clear()
        found = next((codec for codec in self._nesting if codec.accepts(value)), None)
        self._nesting_of[type(value)] = found

    def encode(self, value: Any, where: str = "value") -> tuple[str, Encoded]:
        """Return the name of the codec that took ``value``, and what it made of it.

        Args:
            where: what people call the value; messages begin with it.

        Raises:
            Unstorable: names what inside the value cannot be stored, and where it stands.
        """
        found = self.find_exact(value)
        if found is not None:
            return found
        try:
            return self.pickles.name, self.pickles.encode(value)
        except Refused as refused:
            raise explain(refused.culprit, refused.refusal, value, where) from refused.__cause__
        except RecursionError as error:
            raise explain_depth(value, where) from error

    def find_exact(self, value: Any) -> tuple[str, Encoded] | None:
        """Return what the first codec but pickle made of ``value``, or None where none of them takes it."""
        for codec in self._own if type(value) in SCALARS else (*self._users, *self._own):
            if codec.accepts(value):
                try:
                    return codec.name, codec.encode(value)
                except Declined:
                    continue
        return None


def _same_class(one: Codec, other: Codec) -> bool:
    a, b = type(one), type(other)
    return (a.__module__, a.__qualname__) == (b.__module__, b.__qualname__)


REGISTRY: Final = Registry()
