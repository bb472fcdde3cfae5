"""A Keras network → a clean fp32 ONNX graph of the model contract."""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import onnxruntime as ort
import tensorflow as tf
import tf2onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from edge_digits.errors import InputError

OPSET, IR = 17, 8
SCALE = np.float32(1 / 255)
_NAMES = {
    "Conv": "conv", "Relu": "relu", "MaxPool": "pool", "AveragePool": "pool", "Gemm": "dense", "MatMul": "dense",
    "Reshape": "reshape", "Softmax": "softmax", "DequantizeLinear": "scale",
}  # fmt: skip


def load_network(path: Path) -> keras.Model:
    """The network of a .keras file. Raises InputError where it is none, or does not map tiles to ten probabilities."""
    try:
        network = keras.models.load_model(path, compile=False)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(str(path), f"is no Keras network: {str(error).splitlines()[0]}") from error
    shape = tuple(network.input_shape)
    if shape not in {(None, 28, 28), (None, 28, 28, 1)} or tuple(network.output_shape) != (None, 10):
        raise InputError(
            str(path), f"maps {shape} to {network.output_shape}; a digit network maps (None, 28, 28) to (None, 10)"
        )
    return network


def predict(network: keras.Model, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Probabilities (n, 10) from tiles (n, 28, 28), as the exported graph computes them: the two are compared."""
    outputs = [_apply(network, tf.constant(tiles[i : i + 512])).numpy() for i in range(0, len(tiles), 512)]
    return np.concatenate(outputs)


def convert(network: keras.Model) -> onnx.ModelProto:
    """The fp32 graph: uint8 `tiles` [N, 28, 28] through one DequantizeLinear to float32 `probabilities` [N, 10].

    A network whose input is uint8 does its own scaling; one with a float input gets values of 0 to 1.
    """
    function = tf.function(lambda tiles: {"probabilities": _apply(network, tiles)})
    signature = [tf.TensorSpec((None, 28, 28), tf.uint8, name="tiles")]
    with _quiet():
        model, _ = tf2onnx.convert.from_function(function, input_signature=signature, opset=OPSET)
    graph = model.graph
    _scale_by_dequantize(graph)
    prune(graph)
    _fix_reshapes(model)
    _drop_transposes_before_dense(graph)
    _merge_dense(graph)
    prune(graph)
    _rename(graph)
    clean = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
    onnx.checker.check_model(clean, full_check=True)
    return clean


def _apply(network: keras.Model, tiles: tf.Tensor) -> tf.Tensor:
    if network.inputs[0].dtype != "uint8":
        tiles = tf.cast(tiles, tf.float32) * SCALE
    if len(network.input_shape) == 4:
        tiles = tf.reshape(tiles, (-1, 28, 28, 1))
    return network(tiles, training=False)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    logger = logging.getLogger("tf2onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _constants(graph: onnx.GraphProto) -> dict[str, NDArray[Any]]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}


def _users(graph: onnx.GraphProto, name: str) -> list[onnx.NodeProto]:
    return [node for node in graph.node if name in node.input]


def _replace_input(graph: onnx.GraphProto, old: str, new: str) -> None:
    for node in graph.node:
        for i, name in enumerate(node.input):
            if name == old:
                node.input[i] = new


def _scale_by_dequantize(graph: onnx.GraphProto) -> None:
    """Cast, Mul by 1/255, Add 0 → one DequantizeLinear: raw bytes in, and in the int8 graph no float at all."""
    (cast,) = _users(graph, graph.input[0].name)
    if cast.op_type != "Cast":
        raise ValueError(f"the graph begins with {cast.op_type} where a Cast was expected")
    constants = _constants(graph)
    scaled, end = False, cast.output[0]
    while len(users := _users(graph, end)) == 1 and users[0].op_type in {"Mul", "Add"}:
        (value,) = (constants.get(name) for name in users[0].input if name != end)
        if users[0].op_type == "Mul" and value is not None and value.size == 1 and not scaled and value == SCALE:
            scaled = True
        elif not (users[0].op_type == "Add" and value is not None and not value.any()):
            break
        end = users[0].output[0]
    for value, name in ((np.array(SCALE), "scale"), (np.array(0, np.uint8), "zero")):
        graph.initializer.append(numpy_helper.from_array(value, name))
    cast.CopyFrom(helper.make_node("DequantizeLinear", ["tiles", "scale", "zero"], ["scaled"]))
    if scaled:
        _replace_input(graph, end, "scaled")
        return
    # Another scaling than ours: undo 1/255 and leave the rest as it is.
    graph.initializer.append(numpy_helper.from_array(np.array(255, np.float32), "unscale"))
    undo = helper.make_node("Mul", ["scaled", "unscale"], ["raw"])
    _replace_input(graph, cast.output[0] if end == cast.output[0] else end, "raw")
    graph.node.insert(1, undo)


def _fix_reshapes(model: onnx.ModelProto) -> None:
    """Shapes computed by chains of Shape, Gather and Cast → constants, as seen in a run on two tiles."""
    graph = model.graph
    constants = _constants(graph)
    computed = [node for node in graph.node if node.op_type == "Reshape" and node.input[1] not in constants]
    if not computed:
        return
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    probe.graph.output.extend(onnx.ValueInfoProto(name=node.output[0]) for node in computed)
    session = ort.InferenceSession(probe.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [node.output[0] for node in computed]
    shapes = [value.shape for value in session.run(names, {"tiles": np.zeros((2, 28, 28), np.uint8)})]
    for node, shape in zip(computed, shapes, strict=True):
        if shape[0] != 2:
            raise ValueError(f"{node.name} mixes tiles with each other: its shape is {shape} for two tiles")
        name = f"{node.output[0]}_shape"
        graph.initializer.append(numpy_helper.from_array(np.array([-1, *shape[1:]], np.int64), name))
        node.input[1] = name


def _drop_transposes_before_dense(graph: onnx.GraphProto) -> None:
    """NHWC's Transpose → Reshape → MatMul: the rows of the weight are put in NCHW's order instead."""
    constants = _constants(graph)
    made_by = {node.output[0]: node for node in graph.node}
    for dense in [node for node in graph.node if node.op_type == "MatMul"]:
        reshape = made_by.get(dense.input[0])
        transpose = made_by.get(reshape.input[0]) if reshape is not None and reshape.op_type == "Reshape" else None
        weight = constants.get(dense.input[1])
        if transpose is None or transpose.op_type != "Transpose" or weight is None or reshape is None:
            continue
        shape = _shape_before(graph, transpose, made_by, constants)
        if shape is None or len(_users(graph, reshape.output[0])) != 1:
            continue
        channels, area = shape
        rows = weight.reshape(area, channels, -1).transpose(1, 0, 2).reshape(weight.shape)
        name = f"{dense.input[1]}_nchw"
        graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(rows), name))
        dense.input[1] = name
        reshape.input[0] = transpose.input[0]


def _shape_before(
    graph: onnx.GraphProto,
    transpose: onnx.NodeProto,
    made_by: dict[str, onnx.NodeProto],
    constants: dict[str, NDArray[Any]],
) -> tuple[int, int] | None:
    """(channels, height × width) of what a Transpose to NHWC gets; None where it cannot be told."""
    if [list(a.ints) for a in transpose.attribute if a.name == "perm"] != [[0, 2, 3, 1]]:
        return None
    node = made_by.get(transpose.input[0])
    while node is not None and node.op_type != "Conv":
        node = made_by.get(node.input[0])
    if node is None:
        return None
    channels = constants[node.input[1]].shape[0]
    (reshape,) = _users(graph, transpose.output[0])
    features = int(constants[reshape.input[1]][-1]) if reshape.input[1] in constants else 0
    return (channels, features // channels) if features and features % channels == 0 else None


def _merge_dense(graph: onnx.GraphProto) -> None:
    """MatMul and Add of a constant → Gemm."""
    constants = _constants(graph)
    for dense in [node for node in graph.node if node.op_type == "MatMul" and node.input[1] in constants]:
        users = _users(graph, dense.output[0])
        if len(users) != 1 or users[0].op_type != "Add":
            continue
        add = users[0]
        (bias,) = (name for name in add.input if name != dense.output[0])
        if bias in constants and constants[bias].ndim == 1:
            gemm = helper.make_node("Gemm", [*dense.input, bias], list(add.output))
            dense.CopyFrom(gemm)
            graph.node.remove(add)


def prune(graph: onnx.GraphProto) -> None:
    """Removes nodes and constants that nothing uses any more."""
    while True:
        used = {name for node in graph.node for name in node.input} | {output.name for output in graph.output}
        dead = [node for node in graph.node if not used & set(node.output)]
        if not dead:
            break
        for node in dead:
            graph.node.remove(node)
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in used]:
        graph.initializer.remove(tensor)


def _rename(graph: onnx.GraphProto) -> None:
    """Readable names that do not depend on the run: conv1, conv1_weight, …; batch N; constants in order of use."""
    del graph.value_info[:]
    graph.name, graph.doc_string = "digits", ""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    ordered, counts, names = [], Counter[str](), {"tiles": "tiles", "probabilities": "probabilities"}
    for node in graph.node:
        kind = _NAMES.get(node.op_type, node.op_type.lower())
        counts[kind] += 1
        node.name, node.doc_string = f"{kind}{counts[kind]}", ""
        roles = ["weight", "bias"] if node.op_type in {"Conv", "Gemm", "MatMul"} else ["value", "zero", "value3"]
        for i, name in enumerate(node.input):
            if name in constants and name not in names:
                names[name] = f"{node.name}_{'shape' if node.op_type == 'Reshape' else roles[i - 1]}"
                ordered.append(constants[name])
            node.input[i] = names[name]
        for i, name in enumerate(node.output):
            names.setdefault(name, node.name if i == 0 else f"{node.name}_{i}")
            node.output[i] = names[name]
    tensors = [numpy_helper.from_array(numpy_helper.to_array(tensor), names[tensor.name]) for tensor in ordered]
    del graph.initializer[:]
    graph.initializer.extend(tensors)
    graph.input[0].CopyFrom(helper.make_tensor_value_info("tiles", onnx.TensorProto.UINT8, ["N", 28, 28]))
    graph.output[0].CopyFrom(helper.make_tensor_value_info("probabilities", onnx.TensorProto.FLOAT, ["N", 10]))
