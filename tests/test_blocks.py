"""The first convolution in blocks: onnxruntime gives the answers of the plain form, to the last bit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="export is not installed: pip install 'edge-digits[train]'")
pytest.importorskip("tf2onnx", reason="export is not installed: pip install 'edge-digits[train]'")

import keras
import odd_networks
import onnx
import onnxruntime as ort
from keras import layers

from edge_digits import Classifier
from edge_digits_export.choice import QuantizationChoice
from edge_digits_export.convert import convert
from edge_digits_export.graph import constants, write_bytes
from edge_digits_export.quantize import quantizable, quantize
from edge_digits_export.ranges import measure_ranges

PLAIN_CHOICES = [
    QuantizationChoice(),
    QuantizationChoice(per_channel=False),
    QuantizationChoice(weight="uint8", weight_bits=8),
    QuantizationChoice(activation="int8"),
]


def begins_with(*first: keras.Layer) -> onnx.ModelProto:
    """A network of these layers, one more convolution and a softmax."""

    def build() -> keras.Model:
        body = [layers.Conv2D(6, 3, activation="relu"), layers.MaxPooling2D(2), layers.Flatten()]
        return keras.Sequential([keras.Input((28, 28, 1)), *first, *body, layers.Dense(10, activation="softmax")])

    return convert(odd_networks.make(build))


def make_int8(model: onnx.ModelProto, choice: QuantizationChoice, tiles: np.ndarray) -> onnx.ModelProto:
    return quantize(model, choice, measure_ranges(model, quantizable(model), tiles, "minmax"))


def ask(model: onnx.ModelProto, tiles: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["probabilities"], {"tiles": tiles})[0]


def without_blocks(model: onnx.ModelProto, choice: QuantizationChoice, tiles: np.ndarray) -> onnx.ModelProto:
    return make_int8(model, replace(choice, blocks=False), tiles)


@pytest.mark.parametrize("choice", PLAIN_CHOICES, ids=QuantizationChoice.text)
@pytest.mark.parametrize("kernel", [3, 5, (5, 3)])
@pytest.mark.parametrize("bias", [True, False])
def test_blocks_change_no_bit_of_an_answer(kernel, bias, choice, tiles):
    few = tiles[::50]
    model = begins_with(layers.Conv2D(5, kernel, activation="relu", use_bias=bias))
    blocks, plain = make_int8(model, choice, few), without_blocks(model, choice, few)
    onnx.checker.check_model(blocks, full_check=True)
    shape, plain_shape = (constants(each.graph)["conv1_weight_q"].shape for each in (blocks, plain))
    if choice.activation == "int8":  # the tiles are quantized once more, so the convolution is not the first
        assert shape == plain_shape
    else:
        assert (shape[:2], plain_shape[:2]) == ((20, 4), (5, 1))
        assert [2 * side - 1 for side in shape[2:]] == list(plain_shape[2:])
    np.testing.assert_array_equal(ask(blocks, few), ask(plain, few))


@pytest.mark.parametrize(
    "first",
    [
        [layers.Conv2D(4, 3, padding="same")],
        [layers.Conv2D(4, 3, strides=2)],
        [layers.Conv2D(4, 3, dilation_rate=2)],
        [layers.Conv2D(4, 4)],
        [layers.Cropping2D(((1, 0), (1, 0))), layers.Conv2D(4, 2)],
        [layers.MaxPooling2D(2), layers.Conv2D(4, 3)],
    ],
    ids=["padded", "steps of 2", "gaps", "odd sides", "cropped", "pooled"],
)
def test_a_network_that_begins_otherwise_is_left_as_it_is(first, tiles):
    few = tiles[::100]
    model = begins_with(*first)
    asked = (model, QuantizationChoice(), few)
    assert make_int8(*asked).SerializeToString(deterministic=True) == without_blocks(*asked).SerializeToString(
        deterministic=True
    )


def test_a_first_layer_left_in_float_is_left_as_it_is(tiles):
    model = begins_with(layers.Conv2D(4, 3, activation="relu"))
    asked = (model, QuantizationChoice(float_layers=("conv1",)), tiles[::100])
    assert make_int8(*asked).SerializeToString(deterministic=True) == without_blocks(*asked).SerializeToString(
        deterministic=True
    )


def test_the_numpy_engine_knows_blocks(tiles, tmp_path):
    """It reckons in floats, so where a value lies between two steps it may be rounded to the other one."""
    few = tiles[::100]
    model = begins_with(layers.Conv2D(5, 3, activation="relu"))
    answers = []
    for name, made in (("blocks", make_int8), ("plain", without_blocks)):
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(write_bytes(made(model, QuantizationChoice(), few), {"contract": "1"}))
        answers.append(Classifier(path, engine="numpy").classify(few).probabilities)
    np.testing.assert_allclose(*answers, atol=1e-3)


@pytest.mark.parametrize("behind", [[layers.MaxPooling2D(2)], [layers.Permute((2, 1, 3))]], ids=["pooled", "turned"])
def test_what_stands_behind_makes_no_odds(behind, tiles):
    """A pooling takes the whole numbers, not the floats that a layer takes."""
    few = tiles[::50]
    model = begins_with(layers.Conv2D(5, 3, activation="relu"), *behind)
    blocks, plain = (make(model, QuantizationChoice(), few) for make in (make_int8, without_blocks))
    assert constants(blocks.graph)["conv1_weight_q"].shape[:2] == (20, 4)
    np.testing.assert_array_equal(ask(blocks, few), ask(plain, few))


def test_a_later_reshape_keeps_a_shape_that_it_shares_with_the_first(tiles):
    few = tiles[::50]

    def build() -> keras.Model:
        pixels = keras.Input((28, 28, 1))
        x = layers.Flatten()(layers.Conv2D(4, 3, strides=2)(layers.Conv2D(4, 3)(pixels)))
        x = keras.ops.reshape(layers.Dense(784)(x), (-1, 1, 28, 28))
        x = layers.Flatten()(layers.Conv2D(4, 3, strides=2, data_format="channels_first")(x))
        return keras.Model(pixels, layers.Dense(10, activation="softmax")(x))

    model = convert(odd_networks.make(build))
    shapes = [list(value) for name, value in constants(model.graph).items() if name.endswith("_shape")]
    assert [-1, 1, 28, 28] in shapes
    blocks, plain = (make(model, QuantizationChoice(), few) for make in (make_int8, without_blocks))
    assert constants(blocks.graph)["conv1_weight_q"].shape[:2] == (16, 4)
    np.testing.assert_array_equal(ask(blocks, few), ask(plain, few))


QUANTIZE = """
import hashlib, json, sys
import onnx
from edge_digits_export.choice import QuantizationChoice
from edge_digits_export.quantize import quantize

model, ranges = onnx.load(sys.argv[1]), json.loads(sys.argv[2])
small = quantize(model, QuantizationChoice(), ranges)
print(hashlib.sha256(small.SerializeToString(deterministic=True)).hexdigest())
"""


def test_the_bytes_do_not_depend_on_the_hash_seed(tiles, tmp_path):
    model = begins_with(layers.Conv2D(5, 3, activation="relu"))
    onnx.save(model, tmp_path / "fp32.onnx")
    ranges = json.dumps(measure_ranges(model, quantizable(model), tiles[::100], "minmax"))
    found = {
        subprocess.run(
            [sys.executable, "-c", QUANTIZE, str(tmp_path / "fp32.onnx"), ranges],
            env=os.environ | {"PYTHONHASHSEED": seed}, check=True, capture_output=True, text=True,
        ).stdout
        for seed in "1234"
    }  # fmt: skip
    assert len(found) == 1


def test_onnxruntime_moves_the_outputs_of_blocks_once(tiles, tmp_path):
    """Of the five transpositions there two are left: one of the pixels, one of the rows of outputs."""
    model = make_int8(begins_with(layers.Conv2D(5, 3, activation="relu")), QuantizationChoice(), tiles[::100])
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 4
    ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    operators = [node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node]
    moves = ["Reshape", "Transpose", "Reshape"]
    assert operators[:8] == [*moves, "QLinearConv", *moves, "QLinearConv"]
    assert not {"QuantizeLinear", "DequantizeLinear", "Conv"} & set(operators)
