"""An fp32 graph of the contract → its int8 twin: static, QDQ, uint8 activations, int8 weights for each channel."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.calibrate import CalibrationDataReader

from edge_digits_export.convert import IR, OPSET, SCALE, prune

QUANTIZED_OPS = ["Conv", "Relu", "MaxPool", "Reshape", "Gemm", "MatMul", "Add", "AveragePool", "GlobalAveragePool"]
"""Softmax is not among them: quantized, it has 249 distinct values, and rows that do not sum to 1."""


class _Tiles(CalibrationDataReader):  # type: ignore[misc]
    """Calibration tiles, scaled, in batches of 64."""

    def __init__(self, tiles: NDArray[np.uint8]) -> None:
        self._batches = iter(np.array_split(tiles.astype(np.float32) * SCALE, -(-len(tiles) // 64)))

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        batch = next(self._batches, None)
        return None if batch is None else {"scaled": batch}


def quantize(model: onnx.ModelProto, tiles: NDArray[np.uint8]) -> onnx.ModelProto:
    """The int8 graph, calibrated (min–max) on `tiles`, (n, 28, 28) uint8."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        onnx.save(_float_input(model), source)
        level = logging.getLogger().level
        logging.getLogger().setLevel(logging.ERROR)  # it advises a preparation that the clean graph has had
        try:
            quantize_static(
                source,
                target,
                _Tiles(tiles),
                quant_format=QuantFormat.QDQ,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                per_channel=True,
                calibrate_method=CalibrationMethod.MinMax,
                op_types_to_quantize=QUANTIZED_OPS,
                extra_options={
                    # A tile's bytes are its quantized values: nothing is lost at the input.
                    "TensorQuantOverrides": {
                        name: [{"scale": np.array([SCALE]), "zero_point": np.array([0], np.uint8)}]
                        for name in _scaled_tiles(model.graph)
                    }
                },
            )
        finally:
            logging.getLogger().setLevel(level)
        quantized = onnx.load(target)
    graph = quantized.graph
    _take_bytes(graph)
    _keep_logits_float(graph)
    prune(graph)
    del graph.value_info[:]
    graph.name = "digits"
    clean = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
    onnx.checker.check_model(clean, full_check=True)
    return clean


def _float_input(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph without its DequantizeLinear, from scaled tiles on."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    first = copy.graph.node[0]
    for node in copy.graph.node:
        for i, name in enumerate(node.input):
            if name == first.output[0]:
                node.input[i] = "scaled"
    copy.graph.node.remove(first)
    for tensor in [tensor for tensor in copy.graph.initializer if tensor.name in first.input]:
        copy.graph.initializer.remove(tensor)
    copy.graph.input[0].CopyFrom(helper.make_tensor_value_info("scaled", onnx.TensorProto.FLOAT, ["N", 28, 28]))
    return copy


def _scaled_tiles(graph: onnx.GraphProto) -> list[str]:
    """The tensors that hold the scaled tiles: `scaled` itself and what is only reshaped from it."""
    names = ["scaled"]
    for node in graph.node:
        if node.op_type == "Reshape" and node.input[0] in {*names, graph.node[0].output[0]}:
            names.append(node.output[0])
    return names


def _take_bytes(graph: onnx.GraphProto) -> None:
    """Puts the DequantizeLinear back, and drops the pairs of Quantize and Dequantize that would follow it."""
    for name in _scaled_tiles(graph):
        for quantize in [node for node in graph.node if node.op_type == "QuantizeLinear" and node.input[0] == name]:
            for dequantize in [node for node in graph.node if node.input[0] == quantize.output[0]]:
                for node in graph.node:
                    for i, given in enumerate(node.input):
                        if given == dequantize.output[0]:
                            node.input[i] = name
                graph.node.remove(dequantize)
            graph.node.remove(quantize)
    for value, name in ((np.array(SCALE), "scale1_value"), (np.array(0, np.uint8), "scale1_zero")):
        graph.initializer.append(numpy_helper.from_array(value, name))
    scale = helper.make_node("DequantizeLinear", ["tiles", "scale1_value", "scale1_zero"], ["scaled"], name="scale1")
    graph.node.insert(0, scale)
    graph.input[0].CopyFrom(helper.make_tensor_value_info("tiles", onnx.TensorProto.UINT8, ["N", 28, 28]))


def _keep_logits_float(graph: onnx.GraphProto) -> None:
    """Drops the Quantize and Dequantize before the Softmax: 8 bits of logit would coarsen every confidence."""
    made_by = {node.output[0]: node for node in graph.node}
    for softmax in [node for node in graph.node if node.op_type == "Softmax"]:
        dequantize = made_by[softmax.input[0]]
        if dequantize.op_type == "DequantizeLinear" and dequantize.input[0] in made_by:
            softmax.input[0] = made_by[dequantize.input[0]].input[0]
