"""What is linear is folded into the layer beside it: batch normalisations, scalings, the temperature."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from edge_digits_export.graph import (
    RESHAPES,
    add_constant,
    attribute,
    constants,
    makers,
    only_user,
    prune,
    replace_input,
    shapes,
)

Vector = NDArray[np.float64]
Affine = tuple[str, Vector, Vector]
"""The tensor that is scaled, the factors and the offsets: (features,) each, or one for all."""


def fold_norms(model: onnx.ModelProto) -> None:
    """Folds each scaling by constants into the layer before it, else into the layer behind it, where that is exact."""
    graph = model.graph
    folded = True
    while folded:
        held, known, folded = constants(graph), shapes(model), False
        for node in graph.node:
            affine = _affine(node, held, known)
            if affine and (_fold_back(graph, node, affine, held, known) or _fold_on(graph, node, affine, held, known)):
                folded = True
                prune(graph)
                break


def fold_temperature(model: onnx.ModelProto, temperature: float) -> bool:
    """Divides what goes into the softmax by `temperature`, in the last layer's weights where there is one to divide.

    False, and nothing done, where `probabilities` is not what a softmax makes.
    """
    graph = model.graph
    softmax = find_softmax(graph)
    if softmax is None:
        return False
    logits: str = softmax.input[0]
    layer, held = makers(graph)[logits], constants(graph)
    while layer.op_type in RESHAPES:
        layer = makers(graph)[layer.input[0]]
    chained = only_user(graph, layer.output[0]) is not None
    if chained and layer.op_type in {"Conv", "Gemm", "MatMul"} and all(name in held for name in layer.input[1:]):
        for i, name in enumerate(list(layer.input[1:]), start=1):
            divided = (held[name] / np.float64(temperature)).astype(np.float32)
            layer.input[i] = add_constant(graph, f"{name}_tempered", divided)
    else:
        factor = add_constant(graph, "temperature", np.array(1 / temperature, np.float32))
        graph.node.insert(list(graph.node).index(softmax), helper.make_node("Mul", [logits, factor], ["tempered"]))
        softmax.input[0] = "tempered"
    return True


def find_softmax(graph: onnx.GraphProto) -> onnx.NodeProto | None:
    """The Softmax over the ten digits that makes `probabilities`."""
    node = makers(graph).get("probabilities")
    return node if node is not None and node.op_type == "Softmax" and attribute(node, "axis", -1) in {-1, 1} else None


def _affine(
    node: onnx.NodeProto, held: dict[str, NDArray[Any]], known: dict[str, tuple[int | None, ...]]
) -> Affine | None:
    """What a node computes, where that is tensor × factors + offsets by feature."""
    if node.op_type == "BatchNormalization":
        scale, shift, mean, variance = (held[name].astype(np.float64) for name in node.input[1:5])
        factors = scale / np.sqrt(variance + attribute(node, "epsilon", 1e-5))
        return node.input[0], factors, shift - mean * factors
    if node.op_type not in {"Mul", "Div", "Add", "Sub"}:
        return None
    fixed = [name in held for name in node.input]
    if sum(fixed) != 1 or (node.op_type == "Div" and fixed[0]):
        return None
    name, other = (node.input[0], node.input[1]) if fixed[1] else (node.input[1], node.input[0])
    value = _by_feature(held[other], known.get(name, ()))
    if value is None:
        return None
    one, zero = np.ones(1), np.zeros(1)
    if node.op_type in {"Mul", "Div"}:
        return name, value if node.op_type == "Mul" else 1 / value, zero
    if node.op_type == "Add":
        return name, one, value
    return (name, -one, value) if fixed[0] else (name, one, -value)


def _by_feature(value: NDArray[Any], shape: tuple[int | None, ...]) -> Vector | None:
    """A constant that is broadcast over a tensor of `shape`, as one number a feature (axis 1) or for all; else None."""
    if value.size == 1:
        return value.astype(np.float64).reshape(1)
    if len(shape) < 2 or value.ndim > len(shape):
        return None
    sizes = (1,) * (len(shape) - value.ndim) + value.shape
    by_feature = sizes[1] == shape[1] and all(size == 1 for i, size in enumerate(sizes) if i != 1)
    return value.astype(np.float64).ravel() if by_feature else None


def _fold_back(
    graph: onnx.GraphProto,
    node: onnx.NodeProto,
    affine: Affine,
    held: dict[str, NDArray[Any]],
    known: dict[str, tuple[int | None, ...]],
) -> bool:
    name, factors, offsets = affine
    made_by, features = makers(graph), known.get(name, ())[1:2]
    layer, reshape = made_by.get(name), None
    while layer is not None and layer.op_type in RESHAPES and known.get(layer.input[0], ())[1:2] == features:
        reshape = reshape or layer
        layer = made_by.get(layer.input[0])
    if layer is None or not _has_weight(layer, held) or not _leads_only(graph, layer.output[0], node):
        return False
    if layer.op_type != "Conv" and len(known.get(layer.input[0], ())) != 2:
        return False
    weight = held[layer.input[1]].astype(np.float64)
    outputs = weight.shape[0 if layer.op_type == "Conv" else 1]
    factors, offsets = np.broadcast_to(factors, outputs), np.broadcast_to(offsets, outputs)
    weight = weight * factors.reshape([-1, *[1] * (weight.ndim - 1)] if layer.op_type == "Conv" else [1, -1])
    _put(graph, layer, weight, _bias(layer, held, outputs) * factors + offsets, layer.output[0])
    (reshape or layer).output[0] = node.output[0]
    graph.node.remove(node)
    return True


def _leads_only(graph: onnx.GraphProto, name: str, end: onnx.NodeProto) -> bool:
    """Whether a tensor goes to `end` and nowhere else, through reshapes at most."""
    while (user := only_user(graph, name)) is not None:
        if user is end:
            return True
        if user.op_type not in RESHAPES:
            return False
        name = user.output[0]
    return False


def _fold_on(
    graph: onnx.GraphProto,
    node: onnx.NodeProto,
    affine: Affine,
    held: dict[str, NDArray[Any]],
    known: dict[str, tuple[int | None, ...]],
) -> bool:
    name, factors, offsets = affine
    end, layer = node.output[0], only_user(graph, node.output[0])
    while layer is not None and (layer.op_type in RESHAPES or (layer.op_type == "MaxPool" and (factors > 0).all())):
        end = layer.output[0]
        layer = only_user(graph, end)
    if layer is None or not _has_weight(layer, held) or layer.input[0] != end:
        return False
    at_node, at_layer = known.get(node.output[0], ()), known.get(end, ())
    if len(at_node) < 2 or len(at_layer) < 2:
        return False
    weight, same_for_all = held[layer.input[1]].astype(np.float64), factors.size == offsets.size == 1
    if layer.op_type == "Conv":
        # At the edges a padded layer sees zeros, which the offsets would not have been added to.
        if (at_node[1] != at_layer[1] and not same_for_all) or (offsets.any() and any(attribute(layer, "pads", ()))):
            return False
        if attribute(layer, "auto_pad", b"NOTSET") != b"NOTSET" or attribute(layer, "group", 1) != 1:
            return False
        factors, offsets = (np.broadcast_to(v, weight.shape[1]) for v in (factors, offsets))
        shift = weight.reshape(*weight.shape[:2], -1).sum(axis=2) @ offsets
        weight = weight * factors.reshape([1, -1, *[1] * (weight.ndim - 2)])
    else:
        features = 1 if same_for_all else at_node[1]
        if len(at_layer) != 2 or not features or len(weight) % features:
            return False
        # A feature of the node is so many rows of the weight, as NCHW is flattened.
        rows = len(weight) // features
        factors, offsets = (np.repeat(np.broadcast_to(v, features), rows) for v in (factors, offsets))
        shift = offsets @ weight
        weight = weight * factors[:, None]
    _put(graph, layer, weight, _bias(layer, held, len(shift)) + shift, layer.output[0])
    replace_input(graph, node.output[0], name)
    graph.node.remove(node)
    return True


def _has_weight(layer: onnx.NodeProto, held: dict[str, NDArray[Any]]) -> bool:
    """Whether it is a convolution or a dense layer of constants, in the form that folding knows."""
    if layer.op_type not in {"Conv", "Gemm", "MatMul"} or not all(name in held for name in layer.input[1:]):
        return False
    return layer.op_type == "Conv" or held[layer.input[1]].ndim == 2


def _bias(layer: onnx.NodeProto, held: dict[str, NDArray[Any]], outputs: int) -> Vector:
    return held[layer.input[2]].astype(np.float64).ravel() if len(layer.input) > 2 else np.zeros(outputs)


def _put(graph: onnx.GraphProto, layer: onnx.NodeProto, weight: Vector, bias: Vector, output: str) -> None:
    """Gives a layer new weights, and a bias where it needs one; a MatMul with one becomes a Gemm."""
    names = [layer.input[0], add_constant(graph, f"{output}_weight", weight.astype(np.float32))]
    if bias.any() or len(layer.input) > 2:
        names.append(add_constant(graph, f"{output}_bias", bias.astype(np.float32)))
    op = "Gemm" if layer.op_type == "MatMul" and len(names) > 2 else layer.op_type
    new = helper.make_node(op, names, [output])
    new.attribute.extend(layer.attribute)
    layer.CopyFrom(new)
