"""The first convolutions of an int8 graph made to take 2 × 2 pixels at once: the same answers, in less time.

A convolution of few channels copies few bytes together at a time and multiplies few. With the pixels of a block as
channels of a coarser picture (space to depth, as TensorFlow's tpu-space-to-depth-pass does for steps of 2), a kernel
that reaches a pixel further gives the outputs of a whole block as channels, which the next convolution takes as they
are. A pooling takes the highest of them; in front of anything else they are put side by side again.

The file keeps the weights as they were, with operators that widen them: of constants alone, so onnxruntime applies
them once, when it loads the model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from edge_digits_export.graph import add_constant, attribute, constants, makers, only_user, prune, users

MOST_CHANNELS = 16
"""What takes more gains nothing: a 3 × 3 kernel multiplies 16/9 times as often in blocks."""
# onnxruntime computes int8 with the channels last, so these two move nothing there.
_CHANNELS_LAST, _CHANNELS_FIRST = [0, 2, 3, 1], [0, 3, 1, 2]
_MIDDLE_SWAPPED = [0, 1, 3, 2, 4]
_TO_BLOCKS = [2, 5, 0, 4, 7, 1, 3, 6]
"""Of weights (outputs, channels, 2, height, 2, 2, width, 2), rows and columns each by output, block and pixel in it."""


@dataclass(frozen=True)
class _Layer:
    """A convolution of whole numbers, and what stands around it."""

    conv: onnx.NodeProto
    parameters: list[onnx.NodeProto]
    """What dequantizes its weights, and its bias where it has one."""
    weight: NDArray[Any]
    """(outputs, channels, *kernel), whole numbers."""
    quantize: onnx.NodeProto
    """Of what it gives."""
    given: list[int]
    """The sides of what it gives."""


def take_blocks(graph: onnx.GraphProto) -> None:
    """Rewrites the convolutions that the graph begins with: of few channels, int8, with steps of 1 and even sides.

    A graph that begins otherwise is left as it is.
    """
    prune(graph)  # what nothing uses would count as a user
    reshape = only_user(graph, graph.node[0].output[0])
    if reshape is None or reshape.op_type != "Reshape":
        return
    shape = constants(graph)[reshape.input[1]].tolist()
    layer = _layer_behind(graph, reshape.output[0], shape[2:]) if len(shape) == 4 and shape[1] == 1 else None
    if layer is None or any(side % 2 for side in shape[2:]):
        return
    _into_blocks(graph, reshape, layer.conv, [side // 2 for side in shape[2:]])
    last = layer
    while layer is not None:
        _widen(graph, layer)
        last, layer = layer, None
        dequantize = only_user(graph, last.quantize.output[0])
        if dequantize is not None and dequantize.op_type == "DequantizeLinear":
            layer = _layer_behind(graph, dequantize.output[0], last.given)
    _out_of_blocks(graph, last)


def _layer_behind(graph: onnx.GraphProto, name: str, taken: list[int]) -> _Layer | None:
    """The convolution that a tensor with these sides goes to, and nowhere else, where it can take and give blocks."""
    held, made_by = constants(graph), makers(graph)
    conv = only_user(graph, name)
    quantize = only_user(graph, conv.output[0]) if conv is not None and conv.op_type == "Conv" else None
    if conv is None or quantize is None or quantize.op_type != "QuantizeLinear" or not _is_plain(conv):
        return None
    parameters = [made_by[name] for name in conv.input[1:] if name in made_by]
    if not parameters:
        return None
    weight = held[parameters[0].input[0]]
    given = [side - size + 1 for side, size in zip(taken, weight.shape[2:], strict=True)]
    if weight.shape[1] > MOST_CHANNELS or any(side % 2 for side in given):
        return None
    return _Layer(conv, parameters, weight, quantize, given)


def _is_plain(conv: onnx.NodeProto) -> bool:
    """Whether a convolution has no padding, no gaps, no groups and steps of 1."""
    ones = {*attribute(conv, "strides", [1]), *attribute(conv, "dilations", [1]), attribute(conv, "group", 1)}
    return ones == {1} and not any(attribute(conv, "pads", [])) and attribute(conv, "auto_pad", b"NOTSET") == b"NOTSET"


def _into_blocks(graph: onnx.GraphProto, reshape: onnx.NodeProto, conv: onnx.NodeProto, sides: list[int]) -> None:
    """The pixels of each block as four channels of a picture of these sides."""
    h, w = sides
    if only_user(graph, reshape.input[1]) is None:  # a later Reshape has the same
        reshape.input[1] = f"{conv.name}_in_shape"
    add_constant(graph, reshape.input[1], np.array([-1, h, 2, w, 2]))
    chain = _Chain(graph, reshape.output[0], f"{conv.name}_in", behind=reshape)
    chain.add("Transpose", perm=_MIDDLE_SWAPPED)
    chain.reshape([-1, h, w, 4])
    conv.input[0] = chain.add("Transpose", perm=_CHANNELS_FIRST)


def _widen(graph: onnx.GraphProto, layer: _Layer) -> None:
    """(outputs, channels, h, w) → (4 × outputs, 4 × channels, (h + 1) / 2, (w + 1) / 2).

    The outputs of each pixel of a block in turn: a kernel each, in its place among zeros.
    """
    held, of_weight = constants(graph), layer.parameters[0]
    outputs, channels, *kernel = layer.weight.shape
    h, w = ((side + 1) // 2 for side in kernel)
    zero = of_weight.input[2:]
    chain = _Chain(graph, of_weight.input[0], f"{layer.conv.name}_w", before=of_weight)
    pads = [add_constant(graph, "pads", np.array([0, 0, 1, 1, 0, 0, 1, 1]))]
    if zero:
        pads.append(add_constant(graph, "pad", held[zero[0]].max()))
    chain.add("Pad", pads)
    for axis, side in ((2, kernel[0]), (3, kernel[1])):
        # Of the side with a zero at each end: from the first of the kernel on, then from the zero before it on.
        places = np.array([*range(1, side + 2), *range(side + 1)], np.int32)
        chain.add("Gather", [add_constant(graph, f"places_{side}", places)], axis=axis)
    apart = add_constant(graph, f"apart_{h}_{w}", np.array([0, 0, 2, h, 2, 2, w, 2]))  # 0: the side that is there
    chain.add("Reshape", [apart])
    chain.add("Transpose", perm=_TO_BLOCKS)
    of_weight.input[0] = chain.reshape([4 * outputs, 4 * channels, h, w])
    for dequantize in layer.parameters:
        for i, name in enumerate(dequantize.input):
            if name in held and held[name].ndim == 1:
                chain = _Chain(graph, name, f"{name}_x", before=dequantize)
                dequantize.input[i] = chain.add("Tile", [add_constant(graph, "block", np.array([4]))])
    del layer.conv.attribute[:]
    layer.conv.attribute.append(helper.make_attribute("kernel_shape", [h, w]))


def _out_of_blocks(graph: onnx.GraphProto, last: _Layer) -> None:
    """The pixels of each block side by side again; where they are pooled, the highest of them instead."""
    h, w = (side // 2 for side in last.given)
    outputs = len(last.weight)
    takers = users(graph, last.quantize.output[0])
    chain = _Chain(graph, last.quantize.output[0], f"{last.conv.name}_out", behind=last.quantize)
    chain.add("Transpose", perm=_CHANNELS_LAST)
    if len(takers) == 1 and _halves(takers[0]):
        chain.reshape([-1, h, 4 * w, outputs])
        del takers[0].attribute[:]
        takers[0].attribute.extend(helper.make_attribute(name, [1, 4]) for name in ("kernel_shape", "strides"))
    else:
        chain.reshape([-1, h, w, 2, 2 * outputs])
        chain.add("Transpose", perm=_MIDDLE_SWAPPED)
        chain.reshape([-1, *last.given, outputs])
    spread = chain.add("Transpose", perm=_CHANNELS_FIRST)
    for node in takers:
        node.input[0] = spread


def _halves(node: onnx.NodeProto) -> bool:
    """Whether a node gives the highest value of each block."""
    sides = {*attribute(node, "kernel_shape", []), *attribute(node, "strides", [1])}
    gaps = any(attribute(node, "pads", [])) or {*attribute(node, "dilations", [1])} != {1}
    return node.op_type == "MaxPool" and sides == {2} and not gaps


class _Chain:
    """Operators one behind the other, behind a node of a graph or before one: each gives `name` and its number."""

    def __init__(
        self, graph: onnx.GraphProto, last: str, name: str,
        behind: onnx.NodeProto | None = None, before: onnx.NodeProto | None = None,
    ) -> None:  # fmt: skip
        nodes = list(graph.node)
        self._graph, self._last, self._name, self._count = graph, last, name, 0
        self._at = nodes.index(behind) + 1 if behind is not None else nodes.index(before)

    def reshape(self, shape: list[int]) -> str:
        constant = add_constant(self._graph, f"{self._name}{self._count + 1}_shape", np.array(shape))
        return self.add("Reshape", [constant])

    def add(self, op: str, more: list[str] | None = None, **attributes: Any) -> str:
        """An operator on what the last one gives, and on `more`; returns what it gives."""
        self._count += 1
        name = f"{self._name}{self._count}"
        self._graph.node.insert(self._at, helper.make_node(op, [self._last, *(more or [])], [name], **attributes))
        self._at, self._last = self._at + 1, name
        return name
