"""Torch tensors, and dicts of them, in the safetensors format: eight bytes of length, a JSON header, the data.

Only exact CPU tensors that are contiguous, need no gradient and share no memory with one another; the rest is
pickled. The file is readable by any safetensors library; the order of a dict is kept by the header's order.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from weft.seams import deferred
from weft.store.codecs.port import Codec, Declined, Encoded, ReadPart

if TYPE_CHECKING:
    import json
else:
    json = deferred("json")

NAME: Final = "safetensors"
_SOLO: Final = "value"
_FORM: Final = "weft"
_ALIGNMENT: Final = 64

_NAMES: Final = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint8": "U8",
    "bool": "BOOL",
}
_TYPES: Final = {short: name for name, short in _NAMES.items()}


class TensorCodec(Codec):
    name = NAME

    def accepts(self, value: Any) -> bool:
        if "torch" not in sys.modules:
            return False
        if type(value) is dict:
            return bool(value) and all(type(key) is str and _is_tensor(item) for key, item in value.items())
        return _is_tensor(value)

    def nests(self, value: Any) -> bool:
        # Tensors inside a value may share memory, which torch's own pickling keeps.
        return False

    def encode(self, value: Any) -> Encoded:
        solo = type(value) is not dict
        tensors = {_SOLO: value} if solo else value
        if (
            "__metadata__" in tensors
            or not all(map(_is_simple, tensors.values()))
            or _overlap(tensors.values())
        ):
            raise Declined("a tensor has more to it than its numbers")
        described = {name: (_name_of(item), tuple(item.shape)) for name, item in tensors.items()}
        data = [_bytes_of(item) for item in tensors.values()]
        return Encoded((write_header(described, [len(item) for item in data], solo), *data))

    def decode(self, content: memoryview, read_part: ReadPart) -> Any:
        import torch

        described, solo = read_header(content)
        tensors = {}
        for name, (kind, shape, start, end) in described.items():
            dtype = getattr(torch, _TYPES[kind])
            if start == end:
                tensors[name] = torch.empty(shape, dtype=dtype)
            else:
                flat = torch.frombuffer(content[start:end], dtype=torch.uint8).view(dtype)
                tensors[name] = flat.reshape(shape)
        return tensors[_SOLO] if solo else tensors


def write_header(described: dict[str, tuple[str, tuple[int, ...]]], sizes: list[int], solo: bool) -> bytes:
    """Return the head of a safetensors file whose data lie one after the other, in the dict's order."""
    header: dict[str, Any] = {"__metadata__": {_FORM: "solo" if solo else "dict"}}
    end = 0
    for (name, (kind, shape)), size in zip(described.items(), sizes, strict=True):
        header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + 8) % _ALIGNMENT)
    return len(text).to_bytes(8, "little") + text


def read_header(content: memoryview) -> tuple[dict[str, tuple[str, tuple[int, ...], int, int]], bool]:
    """Return type, shape, start and end of each tensor, and whether the value is the one tensor itself."""
    data = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(bytes(content[8:data]))
    solo = header.pop("__metadata__")[_FORM] == "solo"
    return {
        name: (
            item["dtype"],
            tuple(item["shape"]),
            data + item["data_offsets"][0],
            data + item["data_offsets"][1],
        )
        for name, item in header.items()
    }, solo


def _is_tensor(value: Any) -> bool:
    kind = type(value)
    return kind.__name__ == "Tensor" and kind.__module__ == "torch"


def _name_of(tensor: Any) -> str:
    return _NAMES[str(tensor.dtype).removeprefix("torch.")]


def _is_simple(tensor: Any) -> bool:
    return (
        str(tensor.dtype).removeprefix("torch.") in _NAMES
        and str(tensor.layout) == "torch.strided"
        and tensor.device.type == "cpu"
        and tensor.is_contiguous()
        and not tensor.requires_grad
        and not tensor.is_conj()
        and not tensor.is_neg()
        and not getattr(tensor, "__dict__", None)
    )


def _overlap(tensors: Any) -> bool:
    places = [item.untyped_storage().data_ptr() for item in tensors if item.numel()]
    return len(set(places)) < len(places)


def _bytes_of(tensor: Any) -> memoryview:
    import torch

    # Through uint8, because NumPy has no bfloat16.
    flat = tensor.detach().reshape(-1)
    return memoryview(flat.view(torch.uint8).numpy()) if flat.numel() else memoryview(b"")
