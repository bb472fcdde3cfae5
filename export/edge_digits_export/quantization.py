"""An fp32 model of the contract → its int8 twin, from a choice and the ranges of its tensors; no data is needed.

Static quantization in the QDQ form: where a tensor is to be int8, a pair of QuantizeLinear and DequantizeLinear stands,
and the runtime puts integer operators in the place of what lies between. What only moves values stands within the pair.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from edge_digits_export.blocks import take_blocks
from edge_digits_export.choice import QuantizationChoice
from edge_digits_export.graph import SCALE, add_constant, constants, finish, makers, users
from edge_digits_export.plan import SAME_SCALE, Plan

Ranges = Mapping[str, tuple[float, float]]
"""Tensor → the lowest and the highest value that it is to hold."""
_BIAS_LIMIT = 2**30  # an int32, with room for the products that are added to it


def quantize(model: onnx.ModelProto, choice: QuantizationChoice, ranges: Ranges) -> onnx.ModelProto:
    """The int8 twin of `model`: the same bytes for the same model, choice and ranges, on any machine.

    `ranges` must hold each tensor of `needed_ranges(model, choice)`. Raises ValueError where it does not, or where the
    choice leaves a layer in float that there is not.
    """
    plan = Plan.of(model.graph, choice.float_layers)
    missing = [name for name in plan.ranged if name not in ranges]
    if missing:
        raise ValueError(f"there is no range for {', '.join(missing)}")
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    _Writer(copy.graph, plan, choice, ranges).write()
    if choice.blocks:
        take_blocks(copy.graph)
    _drop_plain_zeros(copy.graph)
    return finish(copy.graph)


def needed_ranges(model: onnx.ModelProto, choice: QuantizationChoice) -> list[str]:
    """The tensors whose ranges `quantize` takes, in the order of the graph."""
    return Plan.of(model.graph, choice.float_layers).ranged


def quantizable(model: onnx.ModelProto) -> list[str]:
    """The tensors whose ranges some choice may take: measured once, they serve all choices."""
    plan = Plan.of(model.graph)
    return [name for node in model.graph.node for name in node.output if name in plan.quantized - plan.tiles]


def _drop_plain_zeros(graph: onnx.GraphProto) -> None:
    """A zero point is 0 unless said, of uint8 without another: it is left out between convolutions of whole numbers.

    Beside other operators onnxruntime needs it said to put integer ones in their place.
    """
    made_by = makers(graph)
    for name, value in constants(graph).items():
        scalings = [node for node in users(graph, name) if node.op_type in {"QuantizeLinear", "DequantizeLinear"}]
        if value.dtype != np.uint8 or value.ndim or value or graph.node[0] in scalings:
            continue
        give = [made_by[node.input[0]] for node in scalings if node.op_type == "QuantizeLinear"]
        take = [
            user for node in scalings if node.op_type == "DequantizeLinear" for user in users(graph, node.output[0])
        ]
        if all(node.op_type == "Conv" and node.input[1] in made_by for node in (*give, *take)):
            for node in scalings:
                del node.input[2:]


class _Writer:
    """Writes the pairs and the integer weights into a graph."""

    def __init__(self, graph: onnx.GraphProto, plan: Plan, choice: QuantizationChoice, ranges: Ranges) -> None:
        self._graph, self._plan, self._choice, self._ranges = graph, plan, choice, ranges
        self._held = constants(graph)
        self._most = 2 ** (choice.weight_bits - 1) - 1  # of a weight's steps from 0
        self._nodes: list[onnx.NodeProto] = []
        self._answers = {output.name for output in graph.output}
        first = graph.node[0]
        # Tensor → the names of its scale and zero point. The tiles' bytes are their quantized values already.
        self._scales = dict.fromkeys(plan.tiles, (first.input[1], first.input[2]))
        self._steps = dict.fromkeys(plan.tiles, float(SCALE))
        self._instead: dict[str, str] = {}  # tensor → what is taken in its place
        self._whole: dict[str, str] = {}  # tensor → its quantized values

    def write(self) -> None:
        for node in list(self._graph.node):
            if node.name in self._plan.merged:  # quantized, a value below 0 is 0 already
                continue
            given = list(node.input)
            moves = node.op_type in SAME_SCALE and node.output[0] in self._plan.quantized
            if moves and given[0] in self._whole and node.output[0] not in self._answers:
                self._write_whole(node)
                continue
            node.input[:] = [self._instead.get(name, name) for name in given]
            if node.name in self._plan.layers:
                self._write_weights(node, self._steps[given[0]])
            self._nodes.append(node)
            node.output[0] = self._plan.outputs.get(node.name, node.output[0])
            if node.output[0] in self._plan.quantized:
                self._write_pair(node.output[0], given[0], self._is_of_float_layer(node))
        del self._graph.node[:]
        self._graph.node.extend(self._nodes)

    def _is_of_float_layer(self, node: onnx.NodeProto) -> bool:
        """Whether a layer that is left in float gives what a node gives, through a Relu or a Clip at most."""
        if node.op_type in {"Relu", "Clip"}:
            made_by = next((n for n in self._nodes if n.output[0] == node.input[0]), None)
            return made_by is not None and self._is_of_float_layer(made_by)
        return node.op_type in {"Conv", "Gemm"} and node.name not in self._plan.layers

    def _write_pair(self, name: str, given: str, of_float_layer: bool) -> None:
        unsigned, tiles = self._choice.activation == "uint8", self._plan.tiles
        if name in self._plan.ranged:
            self._put_scale(name, *self._ranges[name])
        elif not unsigned and (name in tiles or given in tiles):
            self._put_scale(name, 0.0, 1.0)
        elif name in tiles:
            return
        else:  # it only hands on what it is given
            self._scales[name], self._steps[name] = self._scales[given], self._steps[given]
        source, whole = self._write_floor(name) if of_float_layer else name, f"{name}_q"
        self._nodes.append(helper.make_node("QuantizeLinear", [source, *self._scales[name]], [whole]))
        self._write_dequantize(name, whole)

    def _write_whole(self, node: onnx.NodeProto) -> None:
        """An operator that only moves values moves the quantized ones."""
        given, name = node.input[0], node.output[0]
        self._scales[name], self._steps[name] = self._scales[given], self._steps[given]
        node.input[0], node.output[0] = self._whole[given], f"{name}_q"
        self._nodes.append(node)
        self._write_dequantize(name, f"{name}_q")

    def _write_dequantize(self, name: str, whole: str) -> None:
        """For those that take floats; where nothing does, it is dropped with all that is not used."""
        self._whole[name], self._instead[name] = whole, f"{name}_dq"
        inputs = [whole, *self._scales[name]]
        self._nodes.append(helper.make_node("DequantizeLinear", inputs, [f"{name}_dq"]))

    def _write_floor(self, name: str) -> str:
        """A Max with the least value that the scale has, which changes nothing; returns what it gives.

        Where a float layer stands between a DequantizeLinear and a QuantizeLinear, onnxruntime (1.31 does, 1.17 does
        not) makes its weights int8, one scale for all (its WeightBiasQuantization). With the Max between it does not.
        """
        unsigned = self._choice.activation == "uint8"
        zero = int(constants(self._graph)[self._scales[name][1]]) + (0 if unsigned else 128)
        low = add_constant(self._graph, f"{name}_low", np.array(-zero * self._steps[name], np.float32))
        self._nodes.append(helper.make_node("Max", [name, low], [f"{name}_floored"]))
        return f"{name}_floored"

    def _put_scale(self, name: str, low: float, high: float) -> None:
        low, high = min(low, 0.0), max(high, 0.0)  # 0 must have a value of its own: padding is full of it
        scale = np.float32((high - low) / 255) or SCALE
        zero = min(max(round(-low / float(scale)), 0), 255)
        shift, kind = (0, np.uint8) if self._choice.activation == "uint8" else (-128, np.int8)
        self._steps[name] = float(scale)
        self._scales[name] = (
            add_constant(self._graph, f"{name}_scale", np.array(scale, np.float32)),
            add_constant(self._graph, f"{name}_zero", np.array(zero + shift, kind)),
        )

    def _write_weights(self, layer: onnx.NodeProto, step: float) -> None:
        """`step`: the scale of what the layer takes."""
        weight = self._held[layer.input[1]].astype(np.float64)
        bias = self._held[layer.input[2]].astype(np.float64) if len(layer.input) > 2 else None
        axis = 0 if layer.op_type == "Conv" else 1
        scale = self._weight_scale(weight, bias, axis, step)
        across = scale.reshape([-1 if i == axis else 1 for i in range(weight.ndim)])
        kind = np.dtype(self._choice.weight)
        zero = 0 if kind == np.int8 else 128
        whole = (np.clip(np.rint(weight / across), -self._most, self._most) + zero).astype(kind)
        self._write_constant(layer, 1, "weight", whole, scale, np.full(scale.shape, zero, kind), axis)
        if bias is not None:
            steps = (scale * step).astype(np.float32)
            whole = np.rint(bias / steps).astype(np.int32)
            self._write_constant(layer, 2, "bias", whole, steps, np.zeros(steps.shape, np.int32), 0)

    def _weight_scale(
        self, weight: NDArray[np.float64], bias: NDArray[np.float64] | None, axis: int, step: float
    ) -> NDArray[np.float32]:
        """(outputs,), or one for all as a shape of (); never so fine that the bias would not fit an int32."""
        others = tuple(i for i in range(weight.ndim) if i != axis)
        scale = np.abs(weight).max(axis=others) / self._most
        if bias is not None:
            scale = np.maximum(scale, np.abs(bias) / (step * _BIAS_LIMIT))
        if not self._choice.per_channel:
            scale = scale.max()
        return np.where(scale > 0, scale, 1.0).astype(np.float32)

    def _write_constant(
        self, layer: onnx.NodeProto, i: int, role: str, whole: NDArray[Any], scale: Any, zero: Any, axis: int
    ) -> None:
        name = f"{layer.name}_{role}"
        parts = {"q": whole, "scale": scale, "zero": zero}
        if layer.op_type == "Conv" and not np.any(zero):  # 0 unless said; said it must be for onnxruntime's QGemm
            del parts["zero"]
        inputs = [add_constant(self._graph, f"{name}_{part}", value) for part, value in parts.items()]
        dequantize = helper.make_node("DequantizeLinear", inputs, [f"{name}_dq"])
        if np.ndim(scale):
            dequantize.attribute.append(helper.make_attribute("axis", axis))
        self._nodes.append(dequantize)
        layer.input[i] = f"{name}_dq"
