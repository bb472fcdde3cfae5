"""The first convolutions in blocks: onnxruntime gives the answers of the plain form, to the last bit."""

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
from keras import layers
from test_quantize import ask, operators

from edge_digits import Classifier
from edge_digits.onnx_file import read_onnx
from edge_digits.weights import read_scales
from edge_digits_export import quantization
from edge_digits_export.choice import QuantizationChoice
from edge_digits_export.convert import convert
from edge_digits_export.graph import constants, shapes, write_bytes
from edge_digits_export.quantization import quantizable, quantize
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


def in_blocks(model: onnx.ModelProto) -> list[str]:
    """The convolutions whose weights are widened."""
    sides = shapes(model)
    by_number = [node for node in model.graph.node if node.op_type == "Conv"]
    stored = constants(model.graph)
    return [node.name for node in by_number if sides[node.input[1]] != stored[f"{node.name}_weight_q"].shape]


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
    # int8: the tiles are quantized once more, so the convolution is not the first
    assert in_blocks(blocks) == ([] if choice.activation == "int8" else ["conv1", "conv2"])
    assert in_blocks(plain) == []
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
    assert in_blocks(blocks) == ["conv1"]
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
    assert in_blocks(blocks) == ["conv1"]
    np.testing.assert_array_equal(ask(blocks, few), ask(plain, few))


QUANTIZE = """
import hashlib, json, sys
import onnx
from edge_digits_export.choice import QuantizationChoice
from edge_digits_export.quantization import quantize

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


SECOND = {
    "of many channels": (17, layers.Conv2D(4, 3)),
    "padded": (4, layers.Conv2D(4, 3, padding="same")),
    "steps of 2": (4, layers.Conv2D(4, 3, strides=2)),
    "by channel": (4, layers.DepthwiseConv2D(3)),
    "odd sides": (4, layers.Conv2D(4, 2)),
}


@pytest.mark.parametrize(("channels", "second"), SECOND.values(), ids=SECOND)
def test_a_second_convolution_that_cannot_take_blocks_gets_its_pixels_back(channels, second, tiles):
    few = tiles[::100]
    model = begins_with(layers.Conv2D(channels, 3, activation="relu"), second)
    blocks, plain = (make(model, QuantizationChoice(), few) for make in (make_int8, without_blocks))
    assert in_blocks(blocks) == ["conv1"]
    np.testing.assert_array_equal(ask(blocks, few), ask(plain, few))


@pytest.mark.parametrize("others", [1, 2, 3])
def test_each_convolution_hands_its_blocks_to_the_next(others, tiles, tmp_path):
    """None of them moves an output before the next one takes it; the last gives them to the pooling as they are."""
    few = tiles[::50]
    model = begins_with(layers.Conv2D(4, 5), *(layers.Conv2D(5 + i, 3, activation="relu") for i in range(others - 1)))
    blocks, plain = (make(model, QuantizationChoice(), few) for make in (make_int8, without_blocks))
    convolutions = [f"conv{i + 1}" for i in range(others + 1)]
    assert in_blocks(blocks) == convolutions
    np.testing.assert_array_equal(ask(blocks, few), ask(plain, few))
    found = operators(blocks, tmp_path)
    assert found[: 6 + others] == [
        *("Reshape", "Transpose", "Reshape"), *["QLinearConv"] * len(convolutions), "Reshape", "NhwcMaxPool",
    ]  # fmt: skip
    assert not {"QuantizeLinear", "DequantizeLinear", "Conv", "Pad", "Gather", "Tile"} & set(found)


@pytest.mark.parametrize(
    "pooling",
    [layers.MaxPooling2D(3), layers.MaxPooling2D(2, 1), layers.MaxPooling2D((2, 1)), layers.AveragePooling2D(2)],
    ids=["3 × 3", "overlapping", "2 × 1", "mean"],
)
def test_another_pooling_gets_its_pixels_back(pooling, tiles):
    few = tiles[::50]
    model = begins_with(layers.Conv2D(5, 3, activation="relu"), pooling)
    blocks, plain = (make(model, QuantizationChoice(), few) for make in (make_int8, without_blocks))
    assert in_blocks(blocks) == ["conv1"]
    np.testing.assert_array_equal(ask(blocks, few), ask(plain, few))


def test_the_file_keeps_the_weights_as_they_were(tiles):
    """Blocks cost a file the operators that widen them, whatever the number of the weights."""
    few = tiles[::100]
    model = begins_with(layers.Conv2D(16, 5, activation="relu"))
    blocks, plain = (make(model, QuantizationChoice(), few) for make in (make_int8, without_blocks))
    stored = [constants(each.graph) for each in (blocks, plain)]
    assert {name: value.shape for name, value in stored[1].items() if value.dtype in (np.int8, np.int32)}.items() <= {
        name: value.shape for name, value in stored[0].items()
    }.items()


def test_the_scale_of_a_widened_weight_is_none_between_operators(tiles):
    choice = QuantizationChoice(per_channel=False)
    made = make_int8(begins_with(layers.Conv2D(5, 3, activation="relu")), choice, tiles[::100])
    labels = [label.split()[0] for label in read_scales("x", read_onnx("x", made.SerializeToString()))]
    assert {"relu1_q", "relu2_q"} <= set(labels)
    assert all(label.startswith(("scale", "relu", "pool", "reshape")) for label in labels)


@pytest.mark.parametrize("float_layers", [(), ("conv2",), ("dense1",)])
@pytest.mark.parametrize("behind", [[layers.Cropping2D(1)], [layers.UpSampling2D(2)]], ids=["cropped", "enlarged"])
def test_zero_points_that_are_left_out_cost_no_operator(behind, float_layers, tiles, tmp_path, monkeypatch):
    model = begins_with(layers.Conv2D(5, 3, activation="relu"), *behind)
    asked = (model, QuantizationChoice(float_layers=float_layers), tiles[::100])
    found = operators(make_int8(*asked), tmp_path)
    monkeypatch.setattr(quantization, "_drop_plain_zeros", lambda graph: None)
    assert found == operators(make_int8(*asked), tmp_path)


def test_onnxruntime_moves_the_outputs_of_blocks_once(tiles, tmp_path):
    """Where they are put side by side again, one transposition of the five is left: that of the rows of outputs."""
    model = make_int8(
        begins_with(layers.Conv2D(5, 3, activation="relu"), layers.Conv2D(4, 2)), QuantizationChoice(), tiles[::100]
    )
    found = operators(model, tmp_path)
    moves = ["Reshape", "Transpose", "Reshape"]
    assert found[:8] == [*moves, "QLinearConv", *moves, "QLinearConv"]
    assert not {"QuantizeLinear", "DequantizeLinear", "Conv"} & set(found)
