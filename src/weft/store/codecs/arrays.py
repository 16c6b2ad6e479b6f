"""NumPy arrays as ``.npy``: what lies on disk is mapped, and private to whoever writes into it.

Only exact ``ndarray``s, writable, without Python objects. An array that is not contiguous comes back contiguous,
as from pickle. NumPy is imported only for a value that shows that it is loaded, or to read one.
"""

from __future__ import annotations

import ast
import io
from typing import Any, Final, Literal

from weft.store.codecs.pickles import PART_BYTES_MIN
from weft.store.codecs.port import Codec, Declined, Encoded, ReadPart

NAME: Final = "npy"
_SIMPLE_KINDS: Final = frozenset("biufcSUmM")
_HEADER_BYTES_MAX: Final = 1 << 20


class ArrayCodec(Codec):
    name = NAME

    def accepts(self, value: Any) -> bool:
        kind = type(value)
        return kind.__name__ == "ndarray" and kind.__module__ == "numpy"

    def nests(self, value: Any) -> bool:
        # NumPy's own pickling forgets the byte order of times.
        return value.nbytes >= PART_BYTES_MIN or (value.dtype.kind in "mM" and not value.dtype.isnative)

    def encode(self, value: Any) -> Encoded:
        import numpy as np

        if type(value) is not np.ndarray or not value.flags.writeable or not _is_exact(value.dtype):
            raise Declined(str(value.dtype))
        header = io.BytesIO()
        np.lib.format.write_array_header_2_0(header, np.lib.format.header_data_from_array_1_0(value))
        return Encoded((header.getvalue(), _data(value)))

    def decode(self, content: memoryview, read_part: ReadPart) -> Any:
        import numpy as np

        start = 12 + int.from_bytes(content[8:12], "little")
        if bytes(content[:8]) != b"\x93NUMPY\x02\x00" or start > _HEADER_BYTES_MAX:
            raise ValueError("this is no .npy content")
        header = ast.literal_eval(str(content[12:start], "latin-1"))
        dtype = np.lib.format.descr_to_dtype(header["descr"])
        order: Literal["F", "C"] = "F" if header["fortran_order"] else "C"
        return np.ndarray(header["shape"], dtype, buffer=content, offset=start, order=order)


def _is_exact(dtype: Any) -> bool:
    """Say whether a ``.npy`` header describes the type completely."""
    import numpy as np

    if dtype.hasobject or dtype.metadata:
        return False
    if dtype.kind in _SIMPLE_KINDS:
        return True
    if dtype.kind != "V":
        return False
    back = np.lib.format.descr_to_dtype(np.lib.format.dtype_to_descr(dtype))
    return back == dtype and repr(back) == repr(dtype)


def _data(value: Any) -> memoryview | bytes:
    import numpy as np

    if not value.nbytes:
        return b""
    if value.flags.c_contiguous:
        flat = value.reshape(-1)
    elif value.flags.f_contiguous:
        flat = value.T.reshape(-1)
    else:
        flat = np.ascontiguousarray(value).reshape(-1)
    # As bytes: not every dtype, such as datetime64, can be seen as a buffer.
    return memoryview(flat.view(np.uint8))
