"""Arrow tables and Polars frames as Arrow IPC streams, uncompressed, mapped.

pandas frames are not here but in pickle 5: its buffers are mapped too, and may be written to, while a frame made
of Arrow memory is read-only, takes NaN for null, and loses attributes and some kinds of index.
"""

from __future__ import annotations

import importlib.util
import io
from typing import Any, Final

from weft.store.codecs.pickles import PART_BYTES_MIN
from weft.store.codecs.port import Codec, Declined, Encoded, ReadPart

ARROW: Final = "arrow"
POLARS: Final = "polars"


class ArrowCodec(Codec):
    name = ARROW

    def accepts(self, value: Any) -> bool:
        kind = type(value)
        return kind.__name__ == "Table" and kind.__module__ == "pyarrow.lib"

    def nests(self, value: Any) -> bool:
        return bool(value.nbytes >= PART_BYTES_MIN)

    def encode(self, value: Any) -> Encoded:
        content = _write_stream(value)
        back = _read_stream(content)
        # Types of extensions that are not registered, and rows without columns, do not survive.
        if back.num_rows != value.num_rows or not back.schema.equals(value.schema, check_metadata=True):
            raise Declined(str(value.schema))
        return Encoded((content,))

    def decode(self, content: memoryview, read_part: ReadPart) -> Any:
        return _read_stream(content)


class PolarsCodec(Codec):
    name = POLARS

    def accepts(self, value: Any) -> bool:
        kind = type(value)
        return kind.__name__ == "DataFrame" and kind.__module__.partition(".")[0] == "polars"

    def nests(self, value: Any) -> bool:
        return bool(value.estimated_size() >= PART_BYTES_MIN)

    def encode(self, value: Any) -> Encoded:
        import polars as pl

        if type(value) is not pl.DataFrame or _has_objects(value) or (value.height and not value.width):
            raise Declined("a column holds Python objects")
        # The schema without the rows shows whether all types survive.
        if _read_polars(memoryview(_write_polars(value.clear()))).schema != value.schema:
            raise Declined(str(value.schema))
        return Encoded((_write_polars(value),))

    def decode(self, content: memoryview, read_part: ReadPart) -> Any:
        return _read_polars(content)


def _write_stream(table: Any) -> memoryview:
    import pyarrow as pa

    # Measured first, so that the buffer need not grow by copying.
    size = pa.MockOutputStream()
    _write(table, size)
    buffer = pa.allocate_buffer(size.size())
    _write(table, pa.FixedSizeBufferWriter(buffer))
    return memoryview(buffer).cast("B")


def _write(table: Any, sink: Any) -> None:
    import pyarrow as pa

    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)


def _read_stream(content: memoryview) -> Any:
    import pyarrow as pa

    with pa.ipc.open_stream(pa.py_buffer(content)) as reader:
        return reader.read_all()


def _has_objects(frame: Any) -> bool:
    return "Object" in str(frame.schema)


def _write_polars(frame: Any) -> memoryview:
    import polars as pl

    sink = io.BytesIO()
    frame.write_ipc_stream(sink, compression="uncompressed", compat_level=pl.CompatLevel.newest())
    return sink.getbuffer()


def _read_polars(content: memoryview) -> Any:
    import polars as pl

    if importlib.util.find_spec("pyarrow"):
        return pl.from_arrow(_read_stream(content), rechunk=False)
    return pl.read_ipc_stream(io.BytesIO(content))
