"""A Keras network → a clean fp32 ONNX graph of the model contract."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import threading
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import tensorflow as tf
import tf2onnx
from numpy.typing import NDArray

import edge_digits_train.deskew  # noqa: F401 – Keras then knows the layer
from edge_digits.classifier import Predictions
from edge_digits.errors import EdgeDigitsError, InputError, UsageError
from edge_digits_export.fold import fold_norms, fold_temperature
from edge_digits_export.graph import OPSET, finish, prune, rename, sort_nodes
from edge_digits_export.pixels import BYTES, UNIT, Pixels
from edge_digits_export.simplify import (
    ConversionError,
    drop_transposes_before_dense,
    fix_shapes,
    scale_by_dequantize,
    spell_out_erfc,
    use_constant_nodes,
)

ANSWERS = ("probabilities", "digit_score")
_SCALES = 0.1
"""A network that multiplies its values by less than this takes bytes: what is 0 to 1 already nobody divides so."""
_LEAST = 1e-9
"""For what is divided by."""
_ONE_AT_A_TIME = threading.Lock()
"""What is converted: TensorFlow has one normalisation for all threads."""


def load_network(path: Path) -> keras.Model:
    """The network of a .keras file. Raises InputError where it is none, or does not map tiles to ten probabilities."""
    if keras.backend.backend() != "tensorflow":
        raise UsageError("export needs Keras on TensorFlow: set KERAS_BACKEND=tensorflow before Keras is imported")
    try:
        network = keras.models.load_model(path, compile=False)
    except Exception as error:  # Keras, zipfile and h5py have no error in common
        raise InputError(str(path), f"is no Keras network: {_first_line(error)}") from error
    try:
        given, answer = network.input_shape, network.output_shape
    except AttributeError as error:
        raise InputError(str(path), "does not say what it takes: begin it with keras.Input((28, 28, 1))") from error
    if given not in [(None, 28, 28), (None, 28, 28, 1)] or not _gives_ten(network, path):
        raise InputError(str(path), f"maps {given} to {answer}; a digit network maps (None, 28, 28) to (None, 10)")
    return network


def _gives_ten(network: keras.Model, path: Path) -> bool:
    """Whether two empty tiles become two times ten numbers. Raises InputError where the network cannot be called."""
    try:
        answers = _apply(network, tf.zeros((2, 28, 28), tf.uint8))
    except Exception as error:  # whatever a layer raises
        raise InputError(str(path), f"cannot be run on a tile: {_first_line(error)}") from error
    return "probabilities" in answers and tuple(answers["probabilities"].shape) == (2, 10)


def hash_weights(network: keras.Model) -> str:
    """SHA-256 over the shape and values of all weights, in their order: the same wherever the network is saved."""
    digest = hashlib.sha256()
    for weight in network.get_weights():
        digest.update(str((weight.shape, weight.dtype.str)).encode() + np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()


def predict(network: keras.Model, tiles: NDArray[np.uint8], pixels: Pixels | None = None) -> Predictions:
    """What Keras computes from tiles (n, 28, 28): what the graph is compared with.

    `pixels`: what the network takes; None: as `pixels_of` has it.
    """
    batches = (tf.constant(tiles[i : i + 512]) for i in range(0, len(tiles), 512))
    said = [_apply(network, batch, pixels) for batch in batches]
    by_name = {name: np.concatenate([each[name].numpy() for each in said]) for name in said[0]}
    return Predictions(by_name["probabilities"], by_name.get("digit_score"))


def convert(network: keras.Model, pixels: Pixels | None = None) -> onnx.ModelProto:
    """The fp32 graph: uint8 `tiles` [N, 28, 28] through one DequantizeLinear to float32 `probabilities` [N, 10].

    `pixels` as for `predict`. A network with a second output called digit_score keeps it. Raises ConversionError, with
    the reason, where the network has no form in the contract.
    """
    _refuse_other_floats(network)
    try:
        with _quiet(), _same_on_any_processor():
            model = _convert(network, pixels)
    except Exception as error:  # tf2onnx has no error of its own
        raise ConversionError(f"tf2onnx cannot convert it: {_first_line(error)}") from error
    try:
        return _simplify(model)
    except EdgeDigitsError:
        raise
    except Exception as error:  # onnx's and onnxruntime's errors have no root in common
        raise ConversionError(f"it becomes no ONNX that runs: {_first_line(error)}") from error


def _simplify(model: onnx.ModelProto) -> onnx.ModelProto:
    """What tf2onnx made, as the contract wants it."""
    spell_out_erfc(model.graph)
    _refuse_unknown(model)
    use_constant_nodes(model.graph)
    scale_by_dequantize(model.graph)
    prune(model.graph)
    fix_shapes(model)
    drop_transposes_before_dense(model)
    fold_norms(model)
    return tidy(model)


def _convert(network: keras.Model, pixels: Pixels | None) -> onnx.ModelProto:
    """What tf2onnx makes of a network, its input and answers named as they shall be."""

    @tf.function(input_signature=[tf.TensorSpec((None, 28, 28), tf.uint8, name="tiles")])  # type: ignore[untyped-decorator]
    def answer(tiles: tf.Tensor) -> list[tf.Tensor]:
        return [tf.identity(value, name=name) for name, value in _apply(network, tiles, pixels).items()]

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


def convert_or_refuse(network: keras.Model, path: Path, pixels: Pixels | None = None) -> onnx.ModelProto:
    """As `convert`. Raises InputError, with the name of the network's file, where it has no form in the contract."""
    try:
        return convert(network, pixels)
    except ConversionError as error:
        raise InputError(str(path), f"has no form in the model contract: {error}") from error


def takes_whole_numbers(network: keras.Model) -> bool:
    """Whether the network's input is of whole numbers, which can be nothing but the bytes."""
    return str(network.inputs[0].dtype).startswith(("uint", "int"))


def pixels_of(network: keras.Model) -> Pixels:
    """What the network takes, as far as it shows: the bytes where they are its input or it scales them, else 0 to 1."""
    return BYTES if takes_whole_numbers(network) or _own_scale(network) < _SCALES else UNIT


def _own_scale(network: keras.Model) -> float:
    """What a network multiplies its values by before its first layer of weights."""
    factor = 1.0
    for layer in _flat(network):
        if isinstance(layer, keras.layers.Rescaling):
            factor *= float(np.max(np.abs(layer.scale)))
        elif isinstance(layer, keras.layers.Normalization):
            factor /= max(float(np.max(np.sqrt(layer.variance))), _LEAST)
        elif isinstance(layer, keras.layers.Layer):
            if layer.weights:
                break
        elif type(layer).__name__ in {"TrueDivide", "Divide", "Multiply"}:
            number = prod(abs(float(v)) for v in _constants_of(layer) if np.ndim(v) == 0)
            factor *= number if type(layer).__name__ == "Multiply" else 1 / max(number, _LEAST)
    return factor


def _flat(network: keras.Model) -> Iterator[Any]:
    """Layers and operations in their order, those of networks in the network among them."""
    for layer in getattr(network, "operations", network.layers):  # a Sequential has layers alone
        if isinstance(layer, keras.Model):
            yield from _flat(layer)
        else:
            yield layer


def _constants_of(operation: Any) -> list[Any]:
    """The plain numbers that an operation of a functional network was called with."""
    arguments = operation._inbound_nodes[0].arguments
    given = [*arguments.args, *arguments.kwargs.values()]
    return [value for value in given if isinstance(value, int | float | np.ndarray | np.generic)]


def _apply(network: keras.Model, tiles: tf.Tensor, pixels: Pixels | None = None) -> dict[str, tf.Tensor]:
    """The network's answers by name, from tiles (n, 28, 28) uint8."""
    pixels = pixels or pixels_of(network)
    if takes_whole_numbers(network):
        values = tf.cast(tiles, network.inputs[0].dtype)
    else:
        values = tf.cast(tiles, tf.float32)
        values = values if pixels.factor == 1 else values * np.float32(pixels.factor)
        values = values if pixels.offset == 0 else values + np.float32(pixels.offset)
    if len(network.input_shape) == 4:
        values = tf.reshape(values, (-1, 28, 28, 1))
    answers = _by_name(network, network(values, training=False))
    if "digit_score" in answers:
        answers["digit_score"] = tf.reshape(answers["digit_score"], (-1,))
    return {name: answers[name] for name in ANSWERS if name in answers}


def _by_name(network: keras.Model, answers: Any) -> dict[str, Any]:
    """The outputs of a network as probabilities and digit_score; nothing where there is no telling which is which."""
    if not isinstance(answers, dict | list | tuple):
        return {"probabilities": answers}
    named = dict(answers if isinstance(answers, dict) else zip(network.output_names, answers, strict=True))
    if "probabilities" in named:
        return named
    score = {"digit_score": named.pop("digit_score")} if "digit_score" in named else {}
    return {"probabilities": next(iter(named.values())), **score} if len(named) == 1 else {}


def _refuse_other_floats(network: keras.Model) -> None:
    others, given = {"float16", "bfloat16", "float64"}, str(network.inputs[0].dtype)
    if given in others:
        raise ConversionError(f"its input is {given}: give it one of float32")
    for layer in _flat(network):
        computes = getattr(layer, "compute_dtype", None)  # an operation has none
        if computes in others:
            raise ConversionError(
                f"its layer {layer.name} computes in {computes}: save it with the dtype policy float32"
            )


def _refuse_unknown(model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        if node.domain not in {"", "ai.onnx"} or not onnx.defs.has(node.op_type):
            layer = "/".join(node.name.split("/")[1:-1]) or node.name
            if node.op_type == "StatefulPartitionedCall":
                raise ConversionError(
                    f"{layer} is compiled by Keras, as convolutions in groups are, and has no operators"
                )
            raise ConversionError(f"{layer} needs the operator {node.op_type}, which ONNX's opset {OPSET} has not")


@contextlib.contextmanager
def _same_on_any_processor() -> Iterator[None]:
    """Lets TensorFlow compute what batch normalisation multiplies by with a root and a division, which IEEE 754 fixes.

    Its own reciprocal root is an approximation, whose last bit is another one on another make of processor.
    """
    with _ONE_AT_A_TIME:
        own = tf.nn.batch_normalization
        tf.nn.batch_normalization = _normalize
        try:
            yield
        finally:
            tf.nn.batch_normalization = own


def _normalize(
    x: tf.Tensor, mean: tf.Tensor, variance: tf.Tensor, offset: tf.Tensor | None, scale: tf.Tensor | None,
    variance_epsilon: float, name: str | None = None,
) -> tf.Tensor:  # fmt: skip
    factor = 1 / tf.sqrt(variance + variance_epsilon)
    factor = factor if scale is None else factor * scale
    shift = -mean * factor
    return x * factor + (shift if offset is None else shift + offset)


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
