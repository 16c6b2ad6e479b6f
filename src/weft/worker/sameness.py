"""Which loaded exceptions are one object, as they were where they were raised.

Python tells by identity whether raising an exception again would close a circle of contexts, and breaks the
circle. Each exception that ends a job gets a mark that is stored with it; copies with one mark are joined again
before user code runs.
"""

from __future__ import annotations

from collections.abc import Iterable

from weft.store.codecs.exceptions import RAISED


def mark(error: BaseException, task: str) -> None:
    """Note which task an exception came out of first."""
    error.__dict__.setdefault(RAISED, task)


def join_copies(current: BaseException, named: Iterable[object]) -> BaseException:
    """Let what ``current`` came from be the very objects of ``named`` that stand for the same exceptions.

    Returns:
        The one of ``named`` that is ``current``, or ``current``.
    """
    by_mark = {
        error.__dict__[RAISED]: error
        for error in named
        if isinstance(error, BaseException) and RAISED in error.__dict__
    }
    first = by_mark.pop(current.__dict__.get(RAISED), current)
    # The youngest copy of each, met first, decides; an older one further down stays what it was.
    joined: dict[int, BaseException] = {id(current): first}
    todo = [first]
    while todo:
        link = todo.pop()
        for name in ("__cause__", "__context__"):
            bond: BaseException | None = getattr(link, name)
            if bond is None:
                continue
            if id(bond) not in joined:
                one = by_mark.pop(bond.__dict__.get(RAISED), bond)
                if one is not bond:
                    _take_bonds(one, bond)
                joined[id(bond)] = joined[id(one)] = one
                todo.append(one)
            _bind(link, name, joined[id(bond)])
    return first


def _take_bonds(error: BaseException, copy: BaseException) -> None:
    # The copy in the chain is the younger one: raising is what changes where exceptions came from.
    error.__cause__, error.__context__ = copy.__cause__, copy.__context__
    error.__suppress_context__ = copy.__suppress_context__


def _bind(link: BaseException, name: str, error: BaseException) -> None:
    suppress = link.__suppress_context__  # Setting a cause sets it, too.
    setattr(link, name, error)
    link.__suppress_context__ = suppress
