"""Exceptions as values: rebuilt without calling their own ``__init__``, with cause, context, notes and fields.

The traceback goes along as text, under the attribute ``__weft_traceback__``; frames stay where they are.
``__weft_raised__`` says which task it came out of first, so that its copies can be told to be one exception.
"""

from __future__ import annotations

import contextlib
import copyreg
import types
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from weft.seams import deferred

if TYPE_CHECKING:
    import traceback
else:
    traceback = deferred("traceback")

TRACEBACK: Final = "__weft_traceback__"
RAISED: Final = "__weft_raised__"
_TRACEBACK_CHARACTERS_MAX: Final = 65_536
_CHAIN_MAX: Final = 50
_REPR_CHARACTERS_MAX: Final = 1_000
_DESCRIPTORS: Final = (types.MemberDescriptorType, types.GetSetDescriptorType)
_OWN: Final = (
    "__reduce__",
    "__reduce_ex__",
    "__getstate__",
    "__setstate__",
    "__getnewargs__",
    "__getnewargs_ex__",
)


class RemoteError(Exception):
    """Stands in for an exception whose class could not be stored.

    Attributes:
        type_name: module and name of the exception's class.
        message: what ``str`` made of it.
        traceback_text: its traceback, as Python would have printed it.
    """

    def __init__(self, type_name: str, message: str, traceback_text: str) -> None:
        super().__init__(f"{type_name}: {message}")
        self.type_name = type_name
        self.message = message
        self.traceback_text = traceback_text


def keep_all(item: object) -> bool:
    return True


class Manner(NamedTuple):
    """How exceptions are taken apart.

    Attributes:
        own: trust what a class says of its own pickling.
        keep: says whether something can be stored; what cannot is left out, or given as text in ``args``.
        chain: the exceptions whose cause and context are kept, by ``id``; None: all.
    """

    own: bool = True
    keep: Callable[[object], bool] = keep_all
    chain: frozenset[int] | None = None


FAITHFUL: Final = Manner()


def reduce_exception(error: BaseException, manner: Manner = FAITHFUL) -> Any:
    """Return what pickle needs to store ``error``, as ``__reduce_ex__`` would."""
    kind = type(error)
    if not manner.keep(kind):
        return reduce_exception(stand_in_for(error), manner)
    bonds = _bonds(error, manner)
    if manner.own and has_own_reduce(kind):
        return _reduce_its_way(error, bonds)
    members = (error.message, error.exceptions) if isinstance(error, BaseExceptionGroup) else ()
    return rebuild_exception, (kind, members), _state(error, bonds, manner), None, None, restore_exception


def has_own_reduce(kind: type) -> bool:
    if kind in copyreg.dispatch_table:
        return True
    own = [vars(base) for base in kind.__mro__ if base.__module__ != "builtins"]
    return any(name in names for names in own for name in _OWN)


def _reduce_its_way(error: BaseException, bonds: dict[str, Any]) -> Any:
    reduce = copyreg.dispatch_table.get(type(error))
    reduced = reduce(error) if reduce else error.__reduce_ex__(5)
    if isinstance(reduced, str):
        return reduced
    maker, arguments = reduced[:2]
    state, items, pairs, setter = (list(reduced[2:]) + [None] * 4)[:4]
    return maker, arguments, {**bonds, "own": state, "setter": setter}, items, pairs, restore_exception


def _state(error: BaseException, bonds: dict[str, Any], manner: Manner) -> dict[str, Any]:
    attributes = {
        name: item
        for name, item in error.__dict__.items()
        if name not in (TRACEBACK, RAISED) and manner.keep(item)
    }
    fields = {name: item for name, item in _fields(error) if manner.keep(item)}
    arguments = tuple(item if manner.keep(item) else _text(item) for item in error.args)
    return {**bonds, "args": arguments, "fields": fields, "attributes": attributes}


def _bonds(error: BaseException, manner: Manner) -> dict[str, Any]:
    bonds: dict[str, Any] = {"traceback": traceback_text(error), "suppress": error.__suppress_context__}
    if "__notes__" in error.__dict__:
        bonds["notes"] = error.__notes__
    if RAISED in error.__dict__:
        bonds["raised"] = error.__dict__[RAISED]
    if manner.chain is None or id(error) in manner.chain:
        bonds |= {"cause": error.__cause__, "context": error.__context__}
    return bonds


def _fields(error: BaseException) -> Iterator[tuple[str, Any]]:
    """Yield what the error keeps outside of ``__dict__``: ``errno``, ``code``, ``value``, slots."""
    for base in type(error).__mro__:
        for name, descriptor in vars(base).items():
            if isinstance(descriptor, _DESCRIPTORS) and not name.startswith("__") and name != "args":
                # A field that reads as None may be one that is not set; setting it would show in `str`.
                with contextlib.suppress(AttributeError, TypeError):
                    if (item := getattr(error, name)) is not None:
                        yield name, item


def rebuild_exception(kind: type[BaseException], members: tuple[Any, ...]) -> BaseException:
    """Return a bare exception of this class. Named in pickles: never rename."""
    for base in kind.__mro__:
        if base.__module__ == "builtins":
            # The first of the built-in bases need not be the one that lays out the object.
            with contextlib.suppress(TypeError):
                bare: BaseException = base.__new__(kind, *members)
                return bare
    raise TypeError(f"no built-in class can make a bare {kind.__qualname__}")


def restore_exception(error: BaseException, state: dict[str, Any]) -> None:
    """Give a bare exception what it had. Named in pickles: never rename."""
    if state.get("own") is not None:
        setter = state["setter"] or type(error).__setstate__
        setter(error, state["own"])
    if "args" in state:
        error.args = state["args"]
        error.__dict__.update(state["attributes"])
    for name, item in state.get("fields", {}).items():
        # Some fields are derived and cannot be set, as those of an exception group.
        with contextlib.suppress(AttributeError, TypeError):
            setattr(error, name, item)
    _restore_bonds(error, state)


def _restore_bonds(error: BaseException, state: dict[str, Any]) -> None:
    error.__cause__ = state.get("cause")
    error.__context__ = state.get("context")
    error.__suppress_context__ = state["suppress"]
    if "notes" in state:
        error.__notes__ = state["notes"]
    if state["traceback"]:
        error.__dict__[TRACEBACK] = state["traceback"]
    if "raised" in state:
        error.__dict__[RAISED] = state["raised"]


def traceback_text(error: BaseException) -> str:
    """Return the traceback of ``error`` alone, where it was before first, at most 64 Ki characters."""
    earlier = str(error.__dict__.get(TRACEBACK, ""))
    if error.__traceback__ is None:
        return earlier
    try:
        text = earlier + "".join(traceback.format_exception(error, chain=False))
    except Exception as problem:  # noqa: BLE001  formatting calls the user's code, such as `__str__`
        text = f"{earlier}(the traceback could not be formatted: {type(problem).__name__})\n"
    half = _TRACEBACK_CHARACTERS_MAX // 2
    return text if len(text) <= 2 * half else f"{text[:half]}\n[...]\n{text[-half:]}"


def stand_in_for(error: BaseException) -> RemoteError:
    kind = type(error)
    return RemoteError(f"{kind.__module__}.{kind.__qualname__}", _text(error, str), traceback_text(error))


def first_of_chain(error: BaseException) -> frozenset[int]:
    """Return the ids of the first exceptions that cause and context lead to, ``error`` included."""
    found: dict[int, BaseException] = {}
    waiting = [error]
    while waiting and len(found) < _CHAIN_MAX:
        link = waiting.pop(0)
        if id(link) not in found:
            found[id(link)] = link
            waiting += [other for other in (link.__cause__, link.__context__) if other is not None]
    return frozenset(found)


def _text(item: object, convert: Callable[[object], str] = repr) -> str:
    try:
        return convert(item)[:_REPR_CHARACTERS_MAX]
    except Exception as problem:  # noqa: BLE001  `__repr__` and `__str__` are the user's code
        return f"<{type(item).__qualname__}, whose text raised {type(problem).__name__}>"
