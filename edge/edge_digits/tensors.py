"""Tensors inside an .onnx → arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_digits.errors import ModelError
from edge_digits.onnx_file import nodes, plain
from edge_digits.protobuf import Message

_TYPES = {
    1: "<f4", 2: "u1", 3: "i1", 4: "<u2", 5: "<i2", 6: "<i4", 7: "<i8", 9: "?", 10: "<f2", 11: "<f8", 12: "<u4",
    13: "<u8",
}  # fmt: skip
"""TensorProto.DataType → numpy's name of it."""


def read_constants(name: str, model: Message) -> dict[str, NDArray[Any]]:
    """The initializers and constants of the graph that `model` holds, by their names.

    Raises ModelError, naming the file `name`, for one that cannot be read.
    """
    tensors = [tensor for graph in model.messages("graph") for tensor in graph.messages("initializer")]
    values = {tensor.text("name"): _read(name, tensor) for tensor in tensors}
    for node in nodes(model):
        if node.text("op_type") == "Constant":
            for tensor in [t for attribute in node.messages("attribute") for t in attribute.messages("t")]:
                values[node.text("output")] = _read(name, tensor)
    return values


def _read(name: str, tensor: Message) -> NDArray[Any]:
    kind = _TYPES.get(tensor.integer("data_type"))
    raw = tensor.data("raw_data")
    try:
        if kind is None:
            raise ValueError(f"it is of type {tensor.integer('data_type')}")
        if raw or not any(tensor.data(field) for field in ("float_data", "int32_data", "int64_data")):
            flat = np.frombuffer(raw, kind)
        elif kind == "<f4":
            flat = np.frombuffer(tensor.data("float_data"), kind)
        elif kind == "<i8":
            flat = np.array(_varints(tensor.data("int64_data")), np.uint64).view(np.int64)
        else:
            flat = np.array(_varints(tensor.data("int32_data")), np.uint64).astype(np.uint32).view(np.int32)
            flat = flat.astype(np.uint16).view(np.float16) if kind == "<f2" else flat.astype(kind)
        return flat.reshape(tensor.integers("dims"))
    except ValueError as error:
        reason = f"its tensor {tensor.text('name')!r} cannot be read ({error})"
        raise ModelError(f"{name}: {plain(reason)}") from error


def _varints(data: memoryview) -> list[int]:
    """Packed numbers, as protobuf writes them: seven bits a byte, the lowest first."""
    numbers, value, shift = [], 0, 0
    for byte in data:
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            numbers.append(value & (1 << 64) - 1)
            value = shift = 0
        elif shift >= 70:
            raise ValueError("a number of it has no end")
    return numbers
