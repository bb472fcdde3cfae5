"""The numbers inside an .onnx: what each operator is given besides the tiles, dequantized where it is 8 bits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from edge_digits.errors import ModelError
from edge_digits.onnx_file import nodes, plain
from edge_digits.protobuf import Message
from edge_digits.tensors import read_constants

Weights = dict[str, NDArray[np.float64]]
"""`conv1 weight` → its values."""

_ROLES = {
    "Conv": ("", "weight", "bias"), "Gemm": ("", "weight", "bias"), "MatMul": ("weight", "weight"),
    "Reshape": ("", "shape"), "BatchNormalization": ("", "scale", "bias", "mean", "variance"),
    "DequantizeLinear": ("", "scale", "zero point"), "QuantizeLinear": ("", "scale", "zero point"),
}  # fmt: skip
"""What an operator's inputs are called; others go by their number."""
_SCALING = {"QuantizeLinear", "DequantizeLinear"}
_MOVING = {"Gather", "Pad", "Reshape", "Tile", "Transpose"}
"""What weights may go through before they are used, as those of int8's first convolutions: told is what is stored."""


def read_weights(name: str, model: Message) -> Weights:
    """What each operator of `model` is given that does not depend on the tiles, by the operator's name and role.

    Weights that go through a DequantizeLinear are dequantized and told as those of the operator behind it, and weights
    that are moved before they are used as they were: so the fp32 and the int8 file of a network can be compared. Raises
    ModelError, naming the file `name`, for a tensor that cannot be read.
    """
    values = _constants(name, model)
    for node in nodes(model):
        if node.text("op_type") == "DequantizeLinear" and all(given in values for given in node.texts("input")):
            values[node.text("output")] = _dequantized(name, node, values)
    return _given(
        model, values, lambda node: node.text("op_type") not in _SCALING and node.text("output") not in values
    )


def read_scales(name: str, model: Message) -> Weights:
    """The scales and zero points between operators, by the name of the one that applies them. Raises as above."""
    values = _constants(name, model)
    return _given(
        model,
        values,
        lambda node: node.text("op_type") in _SCALING and not set(node.texts("input")[:1]) & values.keys(),
    )


def _given(model: Message, values: Weights, wanted: Callable[[Message], bool]) -> Weights:
    """Of each wanted operator the inputs whose values are known."""
    found: Weights = {}
    for node, label in zip(nodes(model), node_names(model), strict=True):
        roles = _ROLES.get(node.text("op_type"), ())
        for i, given in enumerate(node.texts("input") if wanted(node) else []):
            if given in values:
                found[f"{label} {roles[i] if i < len(roles) and roles[i] else f'input {i}'}"] = values[given]
    return found


def node_names(model: Message) -> list[str]:
    """A name for each operator, in their order, safe to print: its own, or that of what it gives."""
    return [plain(node.text("name") or node.text("output")) for node in nodes(model)]


def _constants(name: str, model: Message) -> Weights:
    """The constants, and what moves them, as what they were before."""
    values = {given: values.astype(np.float64) for given, values in read_constants(name, model).items()}
    for node in nodes(model):
        given = node.texts("input")
        if node.text("op_type") in _MOVING and given and all(each in values for each in given):
            values[node.text("output")] = values[given[0]]
    return values


def _dequantized(name: str, node: Message, values: Weights) -> NDArray[np.float64]:
    """(quantized - zero point) × scale, along the node's axis where there is a scale for each channel."""
    axes = [a.integer("i") for a in node.messages("attribute") if a.text("name") == "axis"]
    try:
        quantized, scale, *zero = (values[given] for given in node.texts("input"))
        shape = [1] * quantized.ndim
        if scale.size > 1:
            shape[axes[0] if axes else 1] = scale.size
            return np.asarray((quantized - (zero[0].reshape(shape) if zero else 0.0)) * scale.reshape(shape))
        return np.asarray((quantized - (zero[0].reshape(()) if zero else 0.0)) * scale.reshape(()))
    except (ValueError, IndexError) as error:
        reason = f"its operator {node.text('name')!r} cannot be followed ({error})"
        raise ModelError(f"{name}: {plain(reason)}") from error
