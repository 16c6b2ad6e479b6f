"""NumPy arrays of one value that look at the same memory still do so when they come back.

Pickle copies each array by itself, so that a change through ``b = a[:10]`` would no longer be seen in ``a``. Arrays
that stand in lists, tuples and dicts, however nested, are looked at; those inside other objects are left to these,
since pandas, for one, must not find memory shared behind its back.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Iterator
from typing import Any, Final

_CONTAINERS: Final = frozenset({list, tuple, dict})


def find_views(value: Any) -> dict[int, Any]:
    """Return, by ``id``, the arrays inside ``value`` that overlap another, each with the array it is a view of."""
    if type(value) not in _CONTAINERS or "numpy" not in sys.modules:
        return {}
    by_root: dict[int, list[Any]] = {}
    for array in _arrays_in(value):
        by_root.setdefault(id(_root_of(array)), []).append(array)
    found: dict[int, Any] = {}
    for arrays in by_root.values():
        root = _root_of(arrays[0])
        if len(arrays) > 1 and _can_be_looked_at(root) and _overlap(arrays):
            found |= {id(array): root for array in arrays if array is not root}
    return found


def reduce_view(array: Any, root: Any) -> Any:
    """Return what pickle needs to make ``array`` a view of ``root`` again."""
    offset = _address(array) - _address(root)
    return view_of, (root, array.dtype, array.shape, array.strides, offset, array.flags.writeable)


def view_of(
    root: Any, dtype: Any, shape: tuple[int, ...], strides: tuple[int, ...], offset: int, writeable: bool
) -> Any:
    """Return an array over the memory of ``root``. Named in pickles: never rename."""
    import numpy as np

    flat = (root if root.flags.c_contiguous else root.T).reshape(-1).view(np.uint8)
    array: Any = np.ndarray(shape, dtype, buffer=flat, offset=offset, strides=strides)
    if not writeable:
        array.flags.writeable = False
    return array


def _arrays_in(value: Any) -> Iterator[Any]:
    import numpy as np

    seen: set[int] = set()
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if type(item) is np.ndarray:
            yield item
        else:
            waiting += _of_interest(item, np.ndarray)


def _of_interest(container: Any, array: type) -> Iterable[Any]:
    items = container.values() if type(container) is dict else container
    # Most containers hold neither; this is the fast way to see it.
    kinds = set(map(type, items))
    if kinds.isdisjoint(_CONTAINERS) and array not in kinds:
        return ()
    return [item for item in items if type(item) is array or type(item) in _CONTAINERS]


def _root_of(array: Any) -> Any:
    kind = type(array)
    while type(array.base) is kind:
        array = array.base
    return array


def _can_be_looked_at(root: Any) -> bool:
    return (
        bool(root.nbytes)
        and not root.dtype.hasobject
        and (root.flags.c_contiguous or root.flags.f_contiguous)
    )


def _overlap(arrays: list[Any]) -> bool:
    bounds = sorted(_bounds(array) for array in arrays if array.size)
    return any(following[0] < before[1] for before, following in itertools.pairwise(bounds))


def _bounds(array: Any) -> tuple[int, int]:
    low = _address(array)
    high = low + array.itemsize
    for length, stride in zip(array.shape, array.strides, strict=True):
        reach = (length - 1) * stride
        low, high = low + min(reach, 0), high + max(reach, 0)
    return low, high


def _address(array: Any) -> int:
    address: int = array.__array_interface__["data"][0]
    return address
