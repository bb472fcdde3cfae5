"""Models made byte by byte: the runtime must do without the onnx package, and so must what tests and fuzzes it."""

from __future__ import annotations

import struct

import numpy as np

FLOAT, UINT8, INT64 = 1, 2, 7
"""Of TensorProto.DataType."""


# ---- a writer of protobuf, after its specification


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def field(number: int, value: int | bytes | str) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def tensor(name: str, kind: int, shape: tuple[int, ...], raw: bytes, extra: bytes = b"") -> bytes:
    dims = b"".join(field(1, size) for size in shape)
    return dims + field(2, kind) + field(8, name) + field(9, raw) + extra


def node(operator: str, inputs: list[str], outputs: list[str], attributes: bytes = b"", domain: str = "") -> bytes:
    names = b"".join(field(1, name) for name in inputs) + b"".join(field(2, name) for name in outputs)
    return names + field(3, outputs[0]) + field(4, operator) + attributes + (field(7, domain) if domain else b"")


def value_info(name: str, kind: int, *shape: int | str) -> bytes:
    dims = b"".join(field(1, field(1, size) if isinstance(size, int) else field(2, size)) for size in shape)
    return field(1, name) + field(2, field(1, field(1, kind) + field(2, dims)))


WEIGHTS = np.random.default_rng(0).normal(0, 0.01, (784, 10)).astype("<f4")
SCALE = tensor("scale", FLOAT, (), struct.pack("<f", 1 / 255))
FLAT = tensor("flat", INT64, (2,), struct.pack("<qq", -1, 784))
WEIGHT = tensor("weight", FLOAT, (784, 10), WEIGHTS.tobytes())
NODES = (
    node("DequantizeLinear", ["tiles", "scale"], ["scaled"]),
    node("Reshape", ["scaled", "flat"], ["rows"]),
    node("MatMul", ["rows", "weight"], ["logits"]),
    node("Softmax", ["logits"], ["probabilities"]),
)
METADATA = {
    f"edge_digits.{key}": value
    for key, value in {
        "contract": "1", "name": "hand", "version": "1", "recipe": "none", "precision": "fp32", "trained_on": "nothing",
        "accuracy": "unknown", "reject_below": "0", "tools": "a test",
    }.items()
}  # fmt: skip


def graph(nodes: tuple[bytes, ...] = NODES, tensors: tuple[bytes, ...] = (SCALE, FLAT, WEIGHT)) -> bytes:
    return (
        b"".join(field(1, one) for one in nodes)
        + field(2, "hand-made")
        + b"".join(field(5, one) for one in tensors)
        + field(11, value_info("tiles", UINT8, "N", 28, 28))
        + field(12, value_info("probabilities", FLOAT, "N", 10))
    )


def model(
    body: bytes | None = None, *, ir: int = 8, opsets: tuple[tuple[str, int], ...] = (("", 17),), extra: bytes = b"",
    told: dict[str, str] = METADATA,
) -> bytes:  # fmt: skip
    imports = b"".join(field(8, (field(1, domain) if domain else b"") + field(2, number)) for domain, number in opsets)
    facts = b"".join(field(14, field(1, key) + field(2, value)) for key, value in told.items())
    return field(1, ir) + field(7, graph() if body is None else body) + imports + facts + extra


def whole_numbers(name: str, values: list[int]) -> bytes:
    """A list of whole numbers that a node has under this name."""
    return field(5, field(1, name) + b"".join(field(8, value) for value in values) + field(20, 7))


def small_model() -> bytes:
    """A model of the contract in 500 bytes: it has no weights, and answers by where the ink is."""
    pool = whole_numbers("kernel_shape", [14, 5]) + whole_numbers("strides", [14, 5])
    steps = (
        node("DequantizeLinear", ["tiles", "scale"], ["scaled"]),
        node("Reshape", ["scaled", "picture"], ["pictures"]),
        node("AveragePool", ["pictures"], ["means"], pool),
        node("Reshape", ["means", "row"], ["rows"]),
        node("Softmax", ["rows"], ["probabilities"]),
    )
    shapes = {"picture": (-1, 1, 28, 28), "row": (-1, 10)}
    whole = [
        tensor(name, INT64, (len(sides),), struct.pack(f"<{len(sides)}q", *sides)) for name, sides in shapes.items()
    ]
    return model(graph(steps, (SCALE, *whole)), told={})
