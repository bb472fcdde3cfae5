"""A Keras network → a clean fp32 ONNX graph of the model contract."""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import tensorflow as tf
import tf2onnx
from numpy.typing import NDArray

import edge_digits_train.deskew  # noqa: F401 – Keras then knows the layer
from edge_digits.errors import InputError, UsageError
from edge_digits_export.fold import fold_norms, fold_temperature
from edge_digits_export.graph import OPSET, SCALE, finish, prune, rename, sort_nodes
from edge_digits_export.simplify import (
    ConversionError,
    drop_transposes_before_dense,
    fix_shapes,
    scale_by_dequantize,
    spell_out_erfc,
    use_constant_nodes,
)

ANSWERS = ("probabilities", "digit_score")


def load_network(path: Path) -> keras.Model:
    """The network of a .keras file. Raises InputError where it is none, or does not map tiles to ten probabilities."""
    if keras.backend.backend() != "tensorflow":
        raise UsageError("export needs Keras on TensorFlow: set KERAS_BACKEND=tensorflow before Keras is imported")
    try:
        network = keras.models.load_model(path, compile=False)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(str(path), f"is no Keras network: {str(error).splitlines()[0]}") from error
    given, answer = network.input_shape, _by_name(network, network.output_shape).get("probabilities")
    if given not in [(None, 28, 28), (None, 28, 28, 1)] or answer != (None, 10):
        shapes = f"{given} to {answer or network.output_shape}"
        raise InputError(str(path), f"maps {shapes}; a digit network maps (None, 28, 28) to (None, 10)")
    return network


def hash_weights(network: keras.Model) -> str:
    """SHA-256 over the shape and values of all weights, in their order: the same wherever the network is saved."""
    digest = hashlib.sha256()
    for weight in network.get_weights():
        digest.update(str((weight.shape, weight.dtype.str)).encode() + np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()


def predict(network: keras.Model, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Probabilities (n, 10) from tiles (n, 28, 28), as Keras computes them: what the graph is compared with."""
    parts = [_apply(network, tf.constant(tiles[i : i + 512]))["probabilities"] for i in range(0, len(tiles), 512)]
    return np.concatenate([part.numpy() for part in parts])


def convert(network: keras.Model) -> onnx.ModelProto:
    """The fp32 graph: uint8 `tiles` [N, 28, 28] through one DequantizeLinear to float32 `probabilities` [N, 10].

    A network with a second output called digit_score keeps it. Raises ConversionError, with the reason, where the
    network has no form in the contract.
    """
    try:
        with _quiet():
            model = _convert(network)
    except Exception as error:  # tf2onnx has no error of its own
        raise ConversionError(f"tf2onnx cannot convert it: {_first_line(error)}") from error
    spell_out_erfc(model.graph)
    _refuse_unknown(model)
    use_constant_nodes(model.graph)
    scale_by_dequantize(model.graph)
    prune(model.graph)
    fix_shapes(model)
    drop_transposes_before_dense(model)
    fold_norms(model)
    return tidy(model)


def _convert(network: keras.Model) -> onnx.ModelProto:
    """What tf2onnx makes of a network, its input and answers named as they shall be."""

    @tf.function(input_signature=[tf.TensorSpec((None, 28, 28), tf.uint8, name="tiles")])  # type: ignore[untyped-decorator]
    def answer(tiles: tf.Tensor) -> list[tf.Tensor]:
        return [tf.identity(value, name=name) for name, value in _apply(network, tiles).items()]

    function = answer.get_concrete_function()
    nodes = {operation.name for operation in function.graph.get_operations()}
    names = [f"{name}:0" for name in ("tiles", *ANSWERS) if name in nodes]
    # Not tf2onnx.convert.from_function: it takes constants that a layer holds for inputs, and loses them.
    frozen = tf2onnx.tf_loader.from_function(function, names[:1], names[1:])
    model: onnx.ModelProto
    model, _ = tf2onnx.convert.from_graph_def(frozen, input_names=names[:1], output_names=names[1:], opset=OPSET)
    for value in (*model.graph.input, *model.graph.output):
        value.name = value.name.removesuffix(":0")
    for node in model.graph.node:
        for given in (node.input, node.output):
            given[:] = [name.removesuffix(":0") if name in names else name for name in given]
    return model


def tidy(model: onnx.ModelProto) -> onnx.ModelProto:
    """Canonical order and names: equal graphs become equal bytes. Raises ConversionError where the checker objects."""
    graph = model.graph
    answers = {output.name: output for output in graph.output}
    outputs = [answers[name] for name in ANSWERS if name in answers]
    del graph.output[:]
    graph.output.extend(outputs)
    prune(graph)
    sort_nodes(graph)
    rename(graph)
    try:
        return finish(graph)
    except onnx.checker.ValidationError as error:
        raise ConversionError(f"it becomes no valid ONNX: {_first_line(error)}") from error


def set_temperature(model: onnx.ModelProto, temperature: float) -> onnx.ModelProto:
    """The model with its logits divided by `temperature`: in the last layer's weights where there is one to divide."""
    if temperature == 1:
        return model
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    if not fold_temperature(copy, temperature):
        raise ConversionError("its probabilities are not made by a softmax, so there is no temperature to set")
    return tidy(copy)


def convert_or_refuse(network: keras.Model, path: Path) -> onnx.ModelProto:
    """As `convert`. Raises InputError, with the name of the network's file, where it has no form in the contract."""
    try:
        return convert(network)
    except ConversionError as error:
        raise InputError(str(path), f"has no form in the model contract: {error}") from error


def takes_raw(network: keras.Model) -> bool:
    """Whether the network wants values of 0 to 255: its input is uint8, or the first thing it does is to scale them."""
    return bool(network.inputs[0].dtype == "uint8" or _scales(network))


def _scales(network: keras.Model) -> bool:
    """Whether what comes first, but for layers that only change the shape, divides by a hundred or so."""
    for layer in getattr(network, "operations", network.layers):  # a Sequential has layers alone
        if isinstance(layer, keras.Model):
            return _scales(layer)
        if isinstance(layer, keras.layers.Rescaling):
            return float(np.max(np.abs(layer.scale))) < 0.1
        if isinstance(layer, keras.layers.Normalization):
            return float(np.max(np.sqrt(layer.variance))) > 10
        if type(layer).__name__ in {"TrueDivide", "Multiply"} and not isinstance(layer, keras.layers.Layer):
            numbers = [float(v) for v in _constants_of(layer) if np.ndim(v) == 0]
            return any(n >= 10 if type(layer).__name__ == "TrueDivide" else n < 0.1 for n in numbers)
        if getattr(layer, "weights", None):
            return False
    return False


def _constants_of(operation: Any) -> list[Any]:
    """The plain numbers that an operation of a functional network was called with."""
    arguments = operation._inbound_nodes[0].arguments
    given = [*arguments.args, *arguments.kwargs.values()]
    return [value for value in given if isinstance(value, int | float | np.ndarray | np.generic)]


def _apply(network: keras.Model, tiles: tf.Tensor) -> dict[str, tf.Tensor]:
    """The network's answers by name, from tiles (n, 28, 28) uint8."""
    values = tiles
    if network.inputs[0].dtype != "uint8":
        values = tf.cast(tiles, tf.float32)
        values = values if takes_raw(network) else values * SCALE
    if len(network.input_shape) == 4:
        values = tf.reshape(values, (-1, 28, 28, 1))
    answers = _by_name(network, network(values, training=False))
    if "digit_score" in answers:
        answers["digit_score"] = tf.reshape(answers["digit_score"], (-1,))
    return {name: answers[name] for name in ANSWERS if name in answers}


def _by_name(network: keras.Model, answers: Any) -> dict[str, Any]:
    """The outputs of a network, or their shapes, as probabilities and digit_score."""
    if isinstance(answers, dict):
        return dict(answers)
    if not isinstance(answers, list):
        return {"probabilities": answers}
    named = dict(zip(network.output_names, answers, strict=True))
    score = named.pop("digit_score", None)
    if len(named) != 1 or score is None:
        return {}
    return {"probabilities": next(iter(named.values())), "digit_score": score}


def _refuse_unknown(model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        if node.domain not in {"", "ai.onnx"} or not onnx.defs.has(node.op_type):
            layer = "/".join(node.name.split("/")[1:-1]) or node.name
            raise ConversionError(f"{layer} needs the operator {node.op_type}, which ONNX's opset {OPSET} has not")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("tf2onnx", "tensorflow")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _first_line(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
