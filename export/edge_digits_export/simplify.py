"""What tf2onnx writes → the graph a person would have drawn: one scaling, no shape arithmetic, dense layers as such."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from edge_digits.errors import EdgeDigitsError
from edge_digits_export.graph import (
    RESHAPES,
    SCALE,
    add_constant,
    attribute,
    constants,
    makers,
    only_user,
    prune,
    replace_input,
    run_tensors,
    shapes,
    users,
)

# Operator → its inputs that say a shape, which chains of Shape, Gather and Cast compute.
_SHAPE_INPUTS = {
    "Squeeze": [1], "Unsqueeze": [1], "Expand": [1], "Tile": [1], "Slice": [1, 2, 3, 4], "Pad": [1], "Range": [0, 1, 2],
    "ConstantOfShape": [0], "Gather": [1], "Split": [1],
}  # fmt: skip


_WIDER = {
    onnx.TensorProto.UINT8, onnx.TensorProto.INT16, onnx.TensorProto.UINT16, onnx.TensorProto.INT32,
    onnx.TensorProto.UINT32, onnx.TensorProto.INT64, onnx.TensorProto.UINT64,
}  # fmt: skip
"""Types that hold every byte as it is."""


class ConversionError(EdgeDigitsError):
    """A network that has no form in the model contract; the text is the reason alone."""


def use_constant_nodes(graph: onnx.GraphProto) -> None:
    """Constant nodes and Identities → initializers and nothing."""
    for node in list(graph.node):
        if node.op_type == "Constant" and (value := attribute(node, "value")) is not None:
            add_constant(graph, node.output[0], onnx.numpy_helper.to_array(value))
            graph.node.remove(node)
        elif node.op_type == "Identity" and not any(node.output[0] == output.name for output in graph.output):
            replace_input(graph, node.output[0], node.input[0])
            graph.node.remove(node)


def spell_out_erfc(graph: onnx.GraphProto) -> None:
    """Erfc, which is half of a gelu and no ONNX operator, → 1 - Erf."""
    for node in [node for node in graph.node if node.op_type == "Erfc"]:
        one = add_constant(graph, "one", np.array(1, np.float32))
        at, inner = list(graph.node).index(node), f"{node.output[0]}_erf"
        graph.node.insert(at, helper.make_node("Erf", list(node.input), [inner]))
        node.CopyFrom(helper.make_node("Sub", [one, inner], list(node.output)))


def scale_by_dequantize(graph: onnx.GraphProto) -> None:
    """Casts of the bytes, and their scaling, → one DequantizeLinear by 1/255: raw bytes in, no float in int8.

    A network that scales otherwise gets what is left to do as one Mul and one Add.
    """
    first = _cast_first(graph)
    factor, offset = _take_affine(graph, first.output[0])
    add_constant(graph, "scale", np.array(SCALE))
    add_constant(graph, "zero", np.array(0, np.uint8))
    raw, scaled = first.output[0], "scaled"
    first.CopyFrom(helper.make_node("DequantizeLinear", ["tiles", "scale", "zero"], [scaled]))
    at = list(graph.node).index(first) + 1
    for op, number, neutral in (("Mul", factor * 255, 1.0), ("Add", offset, 0.0)):
        if abs(number - neutral) > 1e-6:  # less is rounding
            value = add_constant(graph, f"scaled_{op}_value", np.array(number, np.float32))
            graph.node.insert(at, helper.make_node(op, [scaled, value], [f"scaled_{op}"]))
            scaled, at = f"scaled_{op}", at + 1
    replace_input(graph, raw, scaled)


def _cast_first(graph: onnx.GraphProto) -> onnx.NodeProto:
    """Makes one Cast to float32 the first thing that is done to the bytes, before any reshape; returns it."""
    bytewise, casts = ["tiles"], []
    for name in bytewise:  # it grows
        for node in users(graph, name):
            to = attribute(node, "to") if node.op_type == "Cast" else None
            if to == onnx.TensorProto.FLOAT:
                casts.append(node)
            elif to in _WIDER or (node.op_type in RESHAPES and node.input[0] == name):
                bytewise.append(node.output[0])
                casts += [node] if to in _WIDER else []
            elif node.op_type != "Shape":
                raise ConversionError(f"its bytes go into {node.op_type}, where they must become float32 first")
    if not casts:
        raise ConversionError("its bytes go into no operator, where they must become float32 first")
    for cast in casts:
        replace_input(graph, cast.output[0], cast.input[0])
        graph.node.remove(cast)
    replace_input(graph, "tiles", "values")
    graph.node.insert(0, helper.make_node("Cast", ["tiles"], ["values"], to=onnx.TensorProto.FLOAT))
    first: onnx.NodeProto = graph.node[0]
    return first


def _take_affine(graph: onnx.GraphProto, name: str) -> tuple[float, float]:
    """Takes Mul, Div, Add and Sub by one number out of the graph as far as they follow `name`, reshapes between them.

    Returns the factor and the offset that they come to.
    """
    factor, offset = 1.0, 0.0
    held = constants(graph)
    while (node := only_user(graph, name)) is not None:
        step = _affine_step(node, name, held)
        if step is not None:
            factor, offset = factor * step[0], offset * step[0] + step[1]
            replace_input(graph, node.output[0], name)
            graph.node.remove(node)
        elif node.op_type in RESHAPES:
            name = node.output[0]
        else:
            break
    return factor, offset


def _affine_step(node: onnx.NodeProto, given: str, held: dict[str, NDArray[np.float32]]) -> tuple[float, float] | None:
    """(factor, offset) of a node that computes factor × given + offset by one number; None for any other."""
    if node.op_type not in {"Mul", "Div", "Add", "Sub"}:
        return None
    first = node.input[0] == given
    value = held.get(node.input[1] if first else node.input[0])
    if value is None or value.size != 1 or (node.op_type == "Div" and not first):
        return None
    number = float(value.item())
    if node.op_type == "Sub":
        return (1.0, -number) if first else (-1.0, number)
    steps = {"Mul": (number, 0.0), "Div": (1 / number if number else math.inf, 0.0), "Add": (1.0, number)}
    return steps[node.op_type]


def fix_shapes(model: onnx.ModelProto) -> None:
    """Shapes computed by chains of Shape, Gather and Cast → constants, as seen in runs on two and on three tiles."""
    graph = model.graph
    held = constants(graph)
    reshapes = [node for node in graph.node if node.op_type == "Reshape" and node.input[1] not in held]
    others = [
        (node, i)
        for node in graph.node
        for i in _SHAPE_INPUTS.get(node.op_type, [])
        if i < len(node.input) and node.input[i] and node.input[i] not in held
    ]
    names = list(dict.fromkeys([*(n.output[0] for n in reshapes), *(n.input[i] for n, i in others)]))
    two, three = (_values(model, names, n) for n in (2, 3))
    for node in reshapes:
        shape, other = two[node.output[0]].shape, three[node.output[0]].shape
        free = [i for i, (a, b) in enumerate(zip(shape, other, strict=True)) if a != b]
        if len(free) == 1:
            sizes = np.array([-1 if i in free else size for i, size in enumerate(shape)], np.int64)
            node.input[1] = add_constant(graph, f"{node.output[0]}_shape", sizes)
    for node, i in others:
        if two[node.input[i]].dtype.kind == "i" and np.array_equal(two[node.input[i]], three[node.input[i]]):
            node.input[i] = add_constant(graph, f"{node.input[i]}_fixed", two[node.input[i]])
    for node in [node for node in graph.node if node.op_type == "Reshape"]:
        after = only_user(graph, node.output[0])
        if after is not None and after.op_type == "Reshape" and 0 not in constants(graph).get(after.input[1], [0]):
            after.input[0] = node.input[0]
    prune(graph)


def _values(model: onnx.ModelProto, names: list[str], n: int) -> dict[str, NDArray[Any]]:
    found = next(run_tensors(model, names, np.zeros((n, 28, 28), np.uint8))) if names else []
    return dict(zip(names, found, strict=True))


def drop_transposes_before_dense(model: onnx.ModelProto) -> None:
    """NHWC's Transpose → Reshape → MatMul: the rows of the weight are put in NCHW's order instead."""
    graph = model.graph
    held, made_by, known = constants(graph), makers(graph), shapes(model)
    for dense in [node for node in graph.node if node.op_type == "MatMul" and node.input[1] in held]:
        reshape = made_by.get(dense.input[0])
        if reshape is None or reshape.op_type != "Reshape" or only_user(graph, reshape.output[0]) is None:
            continue
        transpose, weight = made_by.get(reshape.input[0]), held[dense.input[1]]
        if transpose is None or transpose.op_type != "Transpose" or list(attribute(transpose, "perm")) != [0, 2, 3, 1]:
            continue
        _, channels, *area = known.get(transpose.input[0], (None, None))
        if weight.ndim != 2 or not channels or None in area or channels * math.prod(filter(None, area)) != len(weight):
            continue
        rows = weight.reshape(-1, channels, weight.shape[1]).transpose(1, 0, 2).reshape(weight.shape)
        dense.input[1] = add_constant(graph, f"{dense.input[1]}_nchw", rows)
        reshape.input[0] = transpose.input[0]
    prune(graph)
