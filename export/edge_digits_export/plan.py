"""Which tensors of a graph are to be int8: those that a layer takes or gives, and what only hands them on."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import onnx

from edge_digits_export.graph import RESHAPES, constants, makers, only_user, users

SAME_SCALE = {"MaxPool", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Transpose"}
"""Operators that only move values: what they give has the scale of what they take."""
_CARRIERS = SAME_SCALE | {"Add", "Concat", "AveragePool", "GlobalAveragePool", "LeakyRelu", "Sigmoid"}
"""Operators between layers that onnxruntime knows in int8. Softmax is not among them: it would have 249 values."""
_LAYERS = {"Conv", "Gemm", "MatMul"}
_PRODUCTS = {"MatMul", "Mul"}


@dataclass(frozen=True)
class Plan:
    """What is to be int8. All names are those of the fp32 graph."""

    layers: list[str]
    """The layers whose weights become int8."""
    quantized: set[str]
    """Tensors that get a pair of QuantizeLinear and DequantizeLinear."""
    ranged: list[str]
    """Those of them that need a range of their own, in the order of the graph."""
    tiles: set[str]
    """The scaled tiles, and what is only reshaped from them."""
    merged: set[str]
    """Relus that go, as what stands before them is quantized to 0 and above."""
    outputs: dict[str, str]
    """Node → the tensor that it gives, where that is what its Relu gave."""

    @classmethod
    def of(cls, graph: onnx.GraphProto, float_layers: Collection[str] = ()) -> Plan:
        """Raises ValueError where one of `float_layers` is none of the graph's."""
        known = layer_names(graph)
        unknown = sorted(set(float_layers) - set(known))
        if unknown:
            raise ValueError(f"there is no layer {', '.join(unknown)}; there are {', '.join(known)}")
        layers = [name for name in known if name not in float_layers]
        held = {tensor.name for tensor in graph.initializer}
        tiles, nodes = tile_tensors(graph), {node.name: node for node in graph.node}
        taken = {nodes[name].input[0] for name in layers}  # what a layer takes
        wanted = _wanted(graph, taken, held)
        quantized, merged, outputs = {name for name in taken if name in tiles}, set[str](), dict[str, str]()
        inherited = set[str]()
        for node in graph.node:
            name = node.output[0]
            if name in tiles or node.name in merged:
                continue
            data = [given for given in node.input if given and given not in held]
            carried = node.op_type in _CARRIERS and bool(data) and all(g in quantized or g in tiles for g in data)
            if node.name in layers or (carried and node.op_type not in SAME_SCALE):
                relu = _relu_behind(graph, name)
                end = relu.output[0] if relu is not None else name
                gives = end in wanted or (node.op_type == "Conv" and node.name in layers and not _answers(graph, end))
                if gives and relu is not None:
                    merged.add(relu.name)
                    outputs[node.name] = end
                if gives:
                    quantized.add(end)
            elif carried and name in wanted:
                quantized.add(name)
                inherited.add(name)
            elif name in taken:
                quantized.add(name)
        order = [name for node in graph.node for name in node.output if name in quantized]
        ranged = [name for name in order if name not in inherited and name not in tiles]
        return cls(layers, quantized, ranged, tiles, merged, outputs)


def layer_names(graph: onnx.GraphProto) -> list[str]:
    """The layers that can be int8: those with constant weights, but for what only moves the pixels of a tile."""
    held, warps = constants(graph), _warps(graph)
    return [
        node.name
        for node in graph.node
        if node.op_type in _LAYERS and node.name not in warps and all(name in held for name in node.input[1:])
        and (node.op_type == "Conv" or held[node.input[1]].ndim == 2)
    ]  # fmt: skip


def layer_output(graph: onnx.GraphProto, layer: str) -> str:
    """The tensor that a layer gives, after its Relu where it has one."""
    name: str = next(node.output[0] for node in graph.node if node.name == layer)
    relu = _relu_behind(graph, name)
    return str(relu.output[0]) if relu is not None else name


def tile_tensors(graph: onnx.GraphProto) -> set[str]:
    """The scaled tiles and what is only reshaped from them."""
    found = {graph.node[0].output[0]}
    for node in graph.node:
        if node.op_type in SAME_SCALE - {"MaxPool"} and node.input[0] in found:
            found.add(node.output[0])
    return found


def _warps(graph: onnx.GraphProto) -> set[str]:
    """The nodes that find out how to move the pixels: a shear or a shift in 8 bits would be a coarse one.

    They are all that stands before a product of the tiles with something computed from the tiles.
    """
    held, made_by, tiles = {tensor.name for tensor in graph.initializer}, makers(graph), tile_tensors(graph)
    pending = [
        given
        for node in graph.node
        if node.op_type in _PRODUCTS and tiles & set(node.input) and not held & set(node.input)
        for given in node.input
    ]
    found: set[str] = set()
    while pending:
        node = made_by.get(pending.pop())
        if node is not None and node.name not in found:
            found.add(node.name)
            pending += node.input
    return found


def _wanted(graph: onnx.GraphProto, taken: Iterable[str], held: set[str]) -> set[str]:
    """What layers take, and what they take through operators that hand values on."""
    made_by, pending, wanted = makers(graph), list(taken), set[str]()
    while pending:
        name = pending.pop()
        if name in wanted:
            continue
        wanted.add(name)
        node = made_by.get(name)
        if node is not None and node.op_type in {"Relu", "Clip"}:
            node = made_by.get(node.input[0])
        if node is not None and node.op_type in _CARRIERS:
            pending += [given for given in node.input if given and given not in held]
    return wanted


def _relu_behind(graph: onnx.GraphProto, name: str) -> onnx.NodeProto | None:
    """The Relu, or the Clip from 0 up, that is all that takes a tensor."""
    user = only_user(graph, name)
    if user is None or user.op_type not in {"Relu", "Clip"}:
        return None
    if user.op_type == "Clip":  # its upper end is in the range that was measured behind it
        low = constants(graph).get(user.input[1]) if len(user.input) > 1 else None
        return user if low is not None and low == 0 else None
    return user


def _answers(graph: onnx.GraphProto, name: str) -> bool:
    """Whether a tensor goes into an answer's own softmax, as it is: 8 bits of logit would coarsen every confidence."""
    answers = {output.name for output in graph.output}
    found = users(graph, name)
    if not found:
        return True
    return all(
        _answers(graph, node.output[0])
        if node.op_type in RESHAPES
        else node.op_type in {"Softmax", "Sigmoid"} and _answers_name(graph, node.output[0], answers)
        for node in found
    )


def _answers_name(graph: onnx.GraphProto, name: str, answers: set[str]) -> bool:
    return name in answers or all(
        node.op_type in RESHAPES and _answers_name(graph, node.output[0], answers) for node in users(graph, name)
    )
