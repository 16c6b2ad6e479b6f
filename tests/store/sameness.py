"""Says whether a value came back as the law of codecs asks: the same types all the way down, the same sharing."""

from __future__ import annotations

import enum
import struct
import types
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa

ATOMS = (
    float,
    type(...),
    type(NotImplemented),
    types.ModuleType,
    type(None),
    bool,
    int,
    str,
    bytes,
    type,
    enum.Enum,
    range,
    type(len),
    type(lambda: None),
    np.generic,
)


def assert_same(found: Any, expected: Any) -> None:
    _Comparison().same(found, expected, "value")


class _Comparison:
    def __init__(self) -> None:
        self.partner: dict[int, Any] = {}
        self.taken: dict[int, Any] = {}

    def same(self, found: Any, expected: Any, where: str) -> None:
        assert type(found) is type(expected), f"{where}: {type(found)} for {type(expected)}"
        if isinstance(expected, float):
            assert struct.pack("d", found) == struct.pack("d", expected), f"{where}: {found!r}, {expected!r}"
        if isinstance(expected, complex) and not isinstance(expected, np.generic):
            self.same([found.real, found.imag], [expected.real, expected.imag], where)
        elif isinstance(expected, np.generic):
            assert found.dtype == expected.dtype, where
            assert found.tobytes() == expected.tobytes(), where
        elif isinstance(expected, ATOMS):
            assert found == expected or found != found, f"{where}: {found!r} for {expected!r}"
        elif self._is_new(found, expected, where):
            self._inside(found, expected, where)

    def _is_new(self, found: Any, expected: Any, where: str) -> bool:
        """Say whether the pair is met for the first time; check that what was one object still is one."""
        if isinstance(expected, tuple | frozenset | complex):
            return True
        if id(expected) in self.partner:
            assert self.partner[id(expected)][0] is found, f"{where}: one object became two"
            return False
        assert id(found) not in self.taken, f"{where}: two objects became one"
        self.partner[id(expected)] = found, expected
        self.taken[id(found)] = found
        return True

    def _inside(self, found: Any, expected: Any, where: str) -> None:
        if isinstance(expected, np.ndarray):
            self._array(found, expected, where)
        elif isinstance(expected, pd.DataFrame | pd.Series | pd.Index):
            _pandas(found, expected)
        elif isinstance(expected, pl.DataFrame):
            assert found.schema == expected.schema, where
            assert found.equals(expected, null_equal=True), where
        elif isinstance(expected, pa.Table):
            assert found.schema.equals(expected.schema, check_metadata=True), where
            # By text, because Arrow holds NaN unequal to itself.
            assert repr(found.to_pydict()) == repr(expected.to_pydict()), where
        else:
            self._container(found, expected, where)

    def _container(self, found: Any, expected: Any, where: str) -> None:
        if isinstance(expected, dict):
            assert len(found) == len(expected), where
            for (key, item), (other_key, other) in zip(found.items(), expected.items(), strict=True):
                self.same(key, other_key, f"{where} key")
                self.same(item, other, f"{where}[{other_key!r}]")
        elif isinstance(expected, list | tuple):
            assert len(found) == len(expected), where
            for place, (item, other) in enumerate(zip(found, expected, strict=True)):
                self.same(item, other, f"{where}[{place}]")
        elif not hasattr(expected, "__dict__") or isinstance(expected, set | frozenset):
            assert found == expected, f"{where}: {found!r} for {expected!r}"
        if hasattr(expected, "__dict__"):
            self.same(vars(found), vars(expected), f"{where}.__dict__")

    def _array(self, found: Any, expected: Any, where: str) -> None:
        assert found.shape == expected.shape, where
        assert found.dtype == expected.dtype, where
        assert repr(found.dtype) == repr(expected.dtype), where
        assert found.flags.writeable == expected.flags.writeable, where
        if expected.flags.contiguous or expected.flags.f_contiguous:
            assert found.flags.f_contiguous == expected.flags.f_contiguous, where
            assert found.flags.c_contiguous == expected.flags.c_contiguous, where
        if expected.dtype.hasobject:
            self.same(found.tolist(), expected.tolist(), f"{where}.tolist()")
        else:
            assert found.tobytes() == expected.tobytes(), where


def _pandas(found: Any, expected: Any) -> None:
    if isinstance(expected, pd.DataFrame):
        pd.testing.assert_frame_equal(
            found, expected, check_exact=True, check_index_type="exact", check_column_type="exact"
        )
        assert found.attrs == expected.attrs
        assert list(found.dtypes) == list(expected.dtypes)
    elif isinstance(expected, pd.Series):
        pd.testing.assert_series_equal(found, expected, check_exact=True, check_index_type="exact")
        assert found.attrs == expected.attrs
    else:
        pd.testing.assert_index_equal(found, expected, exact=True, check_exact=True)
        assert found.names == expected.names
