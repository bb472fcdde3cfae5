"""The first convolution of an int8 graph made to take 2 × 2 pixels at once: the same answers, in less time.

A convolution of one channel copies single bytes together and multiplies few at a time. With the pixels of a block as
channels of a coarser picture (space to depth, as TensorFlow's tpu-space-to-depth-pass does for steps of 2), a kernel
that reaches a pixel further gives the outputs of a whole block as channels, which are then put side by side again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from edge_digits_export.graph import add_constant, attribute, constants, makers, only_user, users

# onnxruntime computes int8 with the channels last, so these two move nothing there.
_CHANNELS_LAST, _CHANNELS_FIRST = [0, 2, 3, 1], [0, 3, 1, 2]
_MIDDLE_SWAPPED = [0, 1, 3, 2, 4]


@dataclass(frozen=True)
class _First:
    """The convolution that takes the tiles, and what stands around it."""

    reshape: onnx.NodeProto
    """To (n, 1, *taken)."""
    conv: onnx.NodeProto
    parameters: list[onnx.NodeProto]
    """What dequantizes its weights, and its bias where it has one."""
    weight: NDArray[Any]
    """(outputs, 1, *kernel), whole numbers."""
    zero: int
    """The one that stands for 0."""
    quantize: onnx.NodeProto
    """Of what it gives."""
    taken: list[int]
    """The sides of what it takes."""
    given: list[int]
    """The sides of what it gives."""


def take_blocks(graph: onnx.GraphProto) -> None:
    """Rewrites the convolution that takes the tiles, where it is int8, without padding, with steps of 1 and even sides.

    A graph that begins otherwise is left as it is.
    """
    first = _find_first(graph)
    if first is None or any(side % 2 for side in (*first.taken, *first.given)):
        return
    _widen_weights(graph, first)
    (h, w), outputs = (side // 2 for side in first.taken), len(first.weight)
    if only_user(graph, first.reshape.input[1]) is None:  # a later Reshape has the same
        first.reshape.input[1] = f"{first.conv.name}_in_shape"
    add_constant(graph, first.reshape.input[1], np.array([-1, h, 2, w, 2]))
    chain = _Chain(graph, first.reshape, f"{first.conv.name}_in")
    chain.transpose(_MIDDLE_SWAPPED)
    chain.reshape([-1, h, w, 4])
    first.conv.input[0] = chain.transpose(_CHANNELS_FIRST)

    h, w = (side // 2 for side in first.given)
    takers = users(graph, first.quantize.output[0])
    chain = _Chain(graph, first.quantize, f"{first.conv.name}_out")
    chain.transpose(_CHANNELS_LAST)
    chain.reshape([-1, h, w, 2, 2 * outputs])
    chain.transpose(_MIDDLE_SWAPPED)
    chain.reshape([-1, *first.given, outputs])
    spread = chain.transpose(_CHANNELS_FIRST)
    for node in takers:
        node.input[0] = spread


def _find_first(graph: onnx.GraphProto) -> _First | None:
    held, made_by = constants(graph), makers(graph)
    reshape = only_user(graph, graph.node[0].output[0])
    conv = only_user(graph, reshape.output[0]) if reshape is not None and reshape.op_type == "Reshape" else None
    quantize = only_user(graph, conv.output[0]) if conv is not None and conv.op_type == "Conv" else None
    if reshape is None or conv is None or quantize is None:
        return None
    parameters = [made_by[name] for name in conv.input[1:] if name in made_by]
    if quantize.op_type != "QuantizeLinear" or not parameters or not _is_plain(conv):
        return None
    shape, weight = held[reshape.input[1]].tolist(), held[parameters[0].input[0]]
    if len(shape) != 4 or shape[1] != 1:
        return None
    zero = int(held[parameters[0].input[2]].max()) if len(parameters[0].input) > 2 else 0
    given = [side - size + 1 for side, size in zip(shape[2:], weight.shape[2:], strict=True)]
    return _First(reshape, conv, parameters, weight, zero, quantize, shape[2:], given)


def _is_plain(conv: onnx.NodeProto) -> bool:
    """Whether a convolution has no padding, no gaps and steps of 1."""
    ones = {*attribute(conv, "strides", [1]), *attribute(conv, "dilations", [1])}
    return ones == {1} and not any(attribute(conv, "pads", [])) and attribute(conv, "auto_pad", b"NOTSET") == b"NOTSET"


def _widen_weights(graph: onnx.GraphProto, first: _First) -> None:
    """(outputs, 1, h, w) → (4 × outputs, 4, (h + 1) / 2, (w + 1) / 2): the outputs of each place in a block in turn."""
    held, (outputs, _, h, w) = constants(graph), first.weight.shape
    wider = np.full((2, 2, outputs, h + 1, w + 1), first.zero, first.weight.dtype)
    for i, j in np.ndindex(2, 2):
        wider[i, j, :, i : i + h, j : j + w] = first.weight[:, 0]
    kernel = [(h + 1) // 2, (w + 1) // 2]
    blocks = wider.reshape(4 * outputs, kernel[0], 2, kernel[1], 2).transpose(0, 2, 4, 1, 3)
    for name in dict.fromkeys(name for node in first.parameters for name in node.input if held[name].ndim == 1):
        add_constant(graph, name, np.tile(held[name], 4))
    add_constant(graph, first.parameters[0].input[0], blocks.reshape(4 * outputs, 4, *kernel))
    del first.conv.attribute[:]
    first.conv.attribute.append(helper.make_attribute("kernel_shape", kernel))


class _Chain:
    """Operators one behind the other, put into a graph behind a node: called `name` and their number."""

    def __init__(self, graph: onnx.GraphProto, node: onnx.NodeProto, name: str) -> None:
        self._graph, self._at, self._last = graph, list(graph.node).index(node) + 1, str(node.output[0])
        self._name, self._count = name, 0

    def reshape(self, shape: list[int]) -> str:
        constant = add_constant(self._graph, f"{self._name}{self._count + 1}_shape", np.array(shape))
        return self._add("Reshape", [constant])

    def transpose(self, order: list[int]) -> str:
        return self._add("Transpose", [], perm=order)

    def _add(self, op: str, constant: list[str], **attributes: Any) -> str:
        self._count += 1
        name = f"{self._name}{self._count}"
        node = helper.make_node(op, [self._last, *constant], [name], name=name, **attributes)
        self._graph.node.insert(self._at, node)
        self._at, self._last = self._at + 1, name
        return name
