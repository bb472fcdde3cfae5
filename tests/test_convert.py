from __future__ import annotations

import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="export is not installed: pip install 'edge-digits[train]'")
pytest.importorskip("tf2onnx", reason="export is not installed: pip install 'edge-digits[train]'")

import keras
import odd_networks
import onnx
import onnxruntime as ort
import tensorflow as tf
from keras import layers
from onnx import numpy_helper

from edge_digits.classifier import Classifier, temper
from edge_digits.errors import InputError, UsageError
from edge_digits_export.convert import (
    convert,
    convert_or_refuse,
    hash_weights,
    load_network,
    pixels_of,
    predict,
    set_temperature,
)
from edge_digits_export.graph import constants, write_bytes
from edge_digits_export.pixels import BYTES, SIGNED, UNIT, Pixels
from edge_digits_train.networks import build_network
from edge_digits_train.recipe import find_recipe, load_recipe, recipe_names

LARGE = {"cnn-augmented", "dense-deep"}
"""Recipes of millions of parameters: what they are made of, the others are made of, too."""


def answers_of(network: keras.Model, tiles: np.ndarray, divisor: int = 255) -> np.ndarray:
    """What Keras says when it is fed by hand: bytes where it takes them, else floats, `divisor` times less."""
    values = tiles if "int" in network.inputs[0].dtype else tiles.astype(np.float32) / divisor
    return answers_to(network, values)


def answers_to(network: keras.Model, values: np.ndarray) -> np.ndarray:
    found = network.predict(values.reshape(-1, *network.input_shape[1:]), verbose=0)
    return found.get("probabilities", next(iter(found.values()))) if isinstance(found, dict) else found


def run(model: onnx.ModelProto, tiles: np.ndarray) -> dict[str, np.ndarray]:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"tiles": tiles}), strict=True))


def check_clean(model: onnx.ModelProto) -> None:
    """What the contract asks of a graph, and what a person who reads it would."""
    onnx.checker.check_model(model, full_check=True)
    graph = model.graph
    assert (model.ir_version, [(o.domain, o.version) for o in model.opset_import]) == (8, [("", 17)])
    assert {node.domain for node in graph.node} == {""}
    assert not {"Shape", "Gather", "Cast", "BatchNormalization", "Identity", "Constant"} & {
        n.op_type for n in graph.node
    }
    first, held = graph.node[0], constants(graph)
    assert (first.op_type, list(first.input[:1])) == ("DequantizeLinear", ["tiles"])
    assert (held[first.input[1]], held[first.input[2]]) == (np.float32(1 / 255), 0)
    assert [n.op_type for n in graph.node if "tiles" in n.input] == ["DequantizeLinear"]
    shapes = {v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in graph.input}
    assert shapes == {"tiles": ["N", 28, 28]}
    names = [node.name for node in graph.node]
    assert len(set(names)) == len(names)
    for name in (*names, *held, *(out for node in graph.node for out in node.output)):
        assert name.isidentifier(), name
        assert len(name) < 30
    used = {name for node in graph.node for name in node.input} | {output.name for output in graph.output}
    assert set(held) <= used
    assert all(used & set(node.output) for node in graph.node)
    assert not graph.value_info
    assert not any(node.doc_string for node in graph.node)


# ---- Any digit network ----


@pytest.mark.parametrize("function", odd_networks.ALL, ids=lambda function: function.__name__)
def test_any_digit_network_converts_clean_and_answers_as_keras_does(function, tiles):
    network = odd_networks.make(function)
    expected = answers_of(network, tiles[::100], 1 if function in odd_networks.SCALING_FLOATS else 255)
    atol = 2e-5 if function is odd_networks.no_scaling else 2e-6  # its values are 255 times as large
    np.testing.assert_allclose(predict(network, tiles[::100]).probabilities, expected, atol=atol)
    model = convert(network)
    check_clean(model)
    assert expected.std(axis=0).max() > 1e-4  # it does tell one tile from another
    for n in (1, 2, 50):
        np.testing.assert_allclose(run(model, tiles[::100][:n])["probabilities"], expected[:n], atol=atol)


@pytest.mark.parametrize("name", sorted({*recipe_names()} - LARGE))
def test_every_recipe_becomes_layers_and_nothing_else(name, tiles):
    recipe = load_recipe(find_recipe(name))
    network = odd_networks.make(lambda: build_network(recipe.name, recipe.network()))
    model = convert(network)
    check_clean(model)
    operators = [node.op_type for node in model.graph.node]
    assert set(operators) <= {"DequantizeLinear", "Reshape", "Conv", "Relu", "MaxPool", "Gemm", "Softmax"}
    kinds = [type(layer).__name__ for layer in network.layers]
    assert (operators.count("Conv"), operators.count("Gemm")) == (kinds.count("Conv2D"), kinds.count("Dense"))
    np.testing.assert_allclose(run(model, tiles[::200])["probabilities"], answers_of(network, tiles[::200]), atol=2e-6)


@pytest.mark.parametrize("function", [odd_networks.norms_behind, odd_networks.depthwise, odd_networks.residual])
def test_batch_normalisations_are_folded_into_the_layers(function):
    operators = {node.op_type for node in convert(odd_networks.make(function)).graph.node}
    assert not operators & {"Mul", "Sub", "Div", "BatchNormalization"}


def test_the_digit_score_of_a_network_that_has_one_is_kept(tiles, tmp_path):
    network = odd_networks.make(odd_networks.scored)
    model = convert(network)
    assert [output.name for output in model.graph.output] == ["probabilities", "digit_score"]
    expected = network.predict(tiles[:40], verbose=0)
    path = tmp_path / "scored.onnx"
    path.write_bytes(write_bytes(model, {"contract": "1"}))
    found = Classifier(path).classify(tiles[:40])
    np.testing.assert_allclose(found.digit_scores, expected["digit_score"][:, 0], atol=1e-6)
    np.testing.assert_allclose(found.probabilities, expected["probabilities"], atol=1e-6)


@pytest.mark.parametrize(
    ("function", "raw"),
    [
        (odd_networks.float_input, False),
        (odd_networks.dense_only, False),
        (odd_networks.rescaled_float, True),
        (odd_networks.divided_float, True),
        (odd_networks.normalised, True),
        (odd_networks.other_scaling, True),
        (odd_networks.nested, True),
        (lambda: keras.Sequential([keras.Input((28, 28, 1)), odd_networks.rescaled_float()]), True),
        (
            lambda: keras.Sequential(
                [keras.Input((28, 28)), layers.Rescaling(2.0, offset=-1), layers.Flatten(), odd_networks.softmax()]
            ),
            False,
        ),
    ],
)
def test_a_network_that_scales_by_itself_is_fed_raw_values(function, raw):
    assert (pixels_of(function()) is BYTES) is raw


def behind_a_convolution() -> keras.Model:
    tiles = keras.Input((28, 28, 1))
    return keras.Model(tiles, odd_networks.softmax()(layers.Flatten()(layers.Conv2D(4, 3)(tiles) / 255.0)))


@pytest.mark.parametrize(
    ("function", "pixels"),
    [
        (odd_networks.divided_by_an_operation, BYTES),
        (odd_networks.scaled_in_two_steps, BYTES),
        (odd_networks.bytes_with_a_channel, BYTES),
        (odd_networks.whole_numbers, BYTES),
        (behind_a_convolution, UNIT),
    ],
)
def test_what_is_done_before_the_first_weights_says_what_the_pixels_are(function, pixels):
    assert pixels_of(function()) is pixels


# ---- Pixels of another kind ----


@pytest.mark.parametrize("function", [odd_networks.float_input, odd_networks.dense_only])
@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("unit", lambda tiles: tiles / np.float32(255)),
        ("bytes", lambda tiles: tiles.astype(np.float32)),
        ("signed", lambda tiles: tiles / np.float32(127.5) - 1),
        ("33.3,78.6", lambda tiles: ((tiles - 33.3) / 78.6).astype(np.float32)),
    ],
)
def test_pixels_of_any_kind_are_folded_into_the_first_layer(function, text, values, tiles):
    network, pixels = odd_networks.make(function), Pixels.parse(text)
    expected = answers_to(network, values(tiles[::100]))
    atol = 1e-4 if text == "bytes" else 5e-6  # values 255 times as large
    np.testing.assert_allclose(predict(network, tiles[::100], pixels).probabilities, expected, atol=atol)
    model = convert(network, pixels)
    check_clean(model)
    assert not {"Mul", "Add"} & {node.op_type for node in model.graph.node}
    np.testing.assert_allclose(run(model, tiles[::100])["probabilities"], expected, atol=atol)


def test_an_offset_before_a_padded_layer_stays_an_operator(tiles):
    """At the edges the layer sees zeros, which the offset is not added to."""
    body = [layers.Conv2D(4, 3, padding="same", activation="relu"), layers.Flatten(), odd_networks.softmax()]
    network = odd_networks.make(lambda: keras.Sequential([keras.Input((28, 28, 1)), *body]))
    expected = answers_to(network, tiles[::100] / np.float32(127.5) - 1)
    found = run(convert(network, SIGNED), tiles[::100])["probabilities"]
    np.testing.assert_allclose(found, expected, atol=5e-6)


@pytest.mark.parametrize("text", ["", "half", "1", "1,2,3", "0,0", "0,-1", "nan,1", "0,inf", "a,b"])
def test_pixels_that_are_none_are_refused(text):
    with pytest.raises(UsageError, match=r"--pixels .*: it must be unit, bytes, signed, or MEAN,STD"):
        Pixels.parse(text)


def test_a_negative_factor_is_not_moved_past_a_maximum(tiles):
    """The largest of negated values is the least one."""
    body = [
        layers.Conv2D(4, 3, activation="relu"), layers.BatchNormalization(), layers.MaxPooling2D(2),
        layers.Conv2D(4, 3, activation="relu"), layers.Flatten(), odd_networks.softmax(),
    ]  # fmt: skip
    network = odd_networks.make(lambda: keras.Sequential([keras.Input((28, 28, 1)), *body]))
    network.layers[1].gamma.assign([-1.0, 1.0, -0.5, 2.0])
    expected = answers_of(network, tiles[::100])
    np.testing.assert_allclose(run(convert(network), tiles[::100])["probabilities"], expected, atol=2e-6)


# ---- Names ----


def test_names_do_not_depend_on_what_was_built_before(tiles):
    first = convert(odd_networks.make(odd_networks.residual))
    keras.layers.Conv2D(3, 3)  # moves Keras' counters on
    assert convert(odd_networks.make(odd_networks.residual)) == first
    names = [node.name for node in first.graph.node]
    assert names[:4] == ["scale1", "reshape1", "conv1", "relu1"]
    assert {"conv1_weight", "conv2_bias", "dense1_weight"} <= set(constants(first.graph))


# ---- The temperature ----


@pytest.mark.parametrize("function", [odd_networks.dense_only, odd_networks.convolutional_head, odd_networks.residual])
def test_a_temperature_in_the_weights_tempers_the_answers(function, tiles):
    network = odd_networks.make(function)
    plain, tempered = convert(network), set_temperature(convert(network), 1.7)
    expected = temper(predict(network, tiles[::100]).probabilities, 1.7)
    assert np.abs(expected - predict(network, tiles[::100]).probabilities).max() > 1e-3
    np.testing.assert_allclose(run(tempered, tiles[::100])["probabilities"], expected, atol=2e-6)
    assert [node.op_type for node in plain.graph.node] == [node.op_type for node in tempered.graph.node]
    assert set_temperature(plain, 1.0) == plain


def test_a_temperature_before_a_mean_is_an_operator_of_its_own(tiles):
    network = odd_networks.make(odd_networks.squeezed)
    model = set_temperature(convert(network), 0.5)
    expected = temper(predict(network, tiles[::100]).probabilities, 0.5)
    np.testing.assert_allclose(run(model, tiles[::100])["probabilities"], expected, atol=2e-6)
    check_clean(model)


# ---- What is refused ----


def save(network: keras.Model, path: Path) -> Path:
    network.save(path)
    return path


@pytest.mark.parametrize(
    ("shape", "classes", "reason"),
    [
        ((32, 32, 1), 10, r"maps \(None, 32, 32, 1\) to \(None, 10\); a digit network maps"),
        ((28, 28, 3), 10, r"maps \(None, 28, 28, 3\) to"),
        ((784,), 10, r"maps \(None, 784\) to"),
        ((28, 28), 26, r"maps \(None, 28, 28\) to \(None, 26\)"),
    ],
)
def test_network_of_another_shape_is_refused_with_the_reason(tmp_path, shape, classes, reason):
    body = [keras.Input(shape), layers.Flatten(), layers.Dense(classes, activation="softmax")]
    with pytest.raises(InputError, match=reason):
        load_network(save(keras.Sequential(body), tmp_path / "mine.keras"))


def two_inputs() -> keras.Model:
    one, two = keras.Input((28, 28)), keras.Input((28, 28))
    return keras.Model([one, two], layers.Dense(10)(layers.Flatten()(layers.Add()([one, two]))))


def two_answers() -> keras.Model:
    tiles = keras.Input((28, 28))
    x = layers.Flatten()(tiles)
    return keras.Model(tiles, [layers.Dense(10)(x), layers.Dense(10)(x)])


@pytest.mark.parametrize("function", [two_inputs, two_answers])
def test_network_of_two_inputs_or_answers_is_refused(tmp_path, function):
    with pytest.raises(InputError, match=r"mine\.keras: maps .* a digit network maps"):
        load_network(save(function(), tmp_path / "mine.keras"))


@pytest.mark.filterwarnings("ignore:You are saving a model that has not yet been built")
def test_a_network_that_does_not_say_what_it_takes_is_refused(tmp_path):
    network = keras.Sequential([layers.Flatten(), odd_networks.softmax()])
    with pytest.raises(InputError, match=r"mine\.keras: does not say what it takes: begin it with keras\.Input"):
        load_network(save(network, tmp_path / "mine.keras"))


def other_answers() -> keras.Model:
    tiles = keras.Input((28, 28))
    x = layers.Flatten()(tiles)
    return keras.Model(tiles, {"one": layers.Dense(10)(x), "two": layers.Dense(10)(x)})


def test_a_network_of_two_named_answers_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"mine\.keras: maps .* a digit network maps"):
        load_network(save(other_answers(), tmp_path / "mine.keras"))


@pytest.mark.parametrize("content", [b"", b"nothing", b"PK\3\4 half an archive", "cut", "flipped", "without a network"])
def test_file_that_is_no_network_is_refused_with_its_name(tmp_path, content):
    source = tmp_path / "mine.keras"
    if content == "cut":
        save(odd_networks.dense_only(), source)
        source.write_bytes(source.read_bytes()[:-500])
    elif content == "flipped":
        data = bytearray(save(odd_networks.dense_only(), source).read_bytes())
        data[len(data) // 2] ^= 255
        source.write_bytes(data)
    elif content == "without a network":
        with zipfile.ZipFile(source, "w") as archive:
            archive.writestr("config.json", "{}")
    else:
        source.write_bytes(content)
    with pytest.raises(InputError, match=r"mine\.keras: is no Keras network") as caught:
        load_network(source)
    assert "\n" not in str(caught.value)


def test_code_in_a_network_is_not_run(tmp_path):
    tiles = keras.Input((28, 28))
    x = layers.Lambda(lambda x: x * 2, output_shape=(28, 28))(tiles)
    source = save(keras.Model(tiles, odd_networks.softmax()(layers.Flatten()(x))), tmp_path / "mine.keras")
    with pytest.raises(InputError, match=r"mine\.keras: is no Keras network"):
        load_network(source)


def test_what_has_no_form_in_the_contract_is_refused_with_the_reason(tmp_path):
    tiles = keras.Input((28, 28), dtype="uint8")
    x = layers.Flatten()(layers.Embedding(256, 2)(tiles))  # the byte as a word, and no brightness
    network = keras.Model(tiles, odd_networks.softmax()(x))
    with pytest.raises(InputError, match=r"mine\.keras: has no form in the model contract: its bytes go into"):
        convert_or_refuse(network, tmp_path / "mine.keras")


def recurrent(layer: keras.Layer) -> keras.Model:
    return keras.Sequential([keras.Input((28, 28)), layer, odd_networks.softmax()])


def in_groups() -> keras.Model:
    body = [
        layers.Conv2D(4, 3),
        layers.Conv2D(4, 3, groups=2, name="grouped"),
        layers.Flatten(),
        odd_networks.softmax(),
    ]
    return keras.Sequential([keras.Input((28, 28, 1)), *body])


def of_type(policy: str) -> keras.Model:
    dense = layers.Dense(8, dtype=policy, name="narrow")
    return keras.Sequential([keras.Input((28, 28)), layers.Flatten(), dense, layers.Dense(10, "softmax")])


def of_input(kind: str) -> keras.Model:
    return keras.Sequential([keras.Input((28, 28), dtype=kind), layers.Flatten(), odd_networks.softmax()])


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda: recurrent(layers.GRU(4)), "it becomes no ONNX that runs: .*gru"),
        (lambda: recurrent(layers.Bidirectional(layers.SimpleRNN(4))), "it becomes no ONNX that runs"),
        (in_groups, r"\S*grouped\S* is compiled by Keras, as convolutions in groups are"),
        (lambda: of_type("mixed_float16"), "its layer narrow computes in float16"),
        (lambda: of_type("mixed_bfloat16"), "its layer narrow computes in bfloat16"),
        (lambda: of_type("float64"), "its layer narrow computes in float64"),
        (lambda: of_input("float16"), "its input is float16"),
    ],
)
def test_what_becomes_no_graph_that_runs_is_refused_with_the_layer_or_the_reason(function, reason, tmp_path):
    with pytest.raises(InputError, match=rf"mine\.keras: has no form in the model contract: {reason}") as caught:
        convert_or_refuse(function(), tmp_path / "mine.keras")
    assert "\n" not in str(caught.value)


# ---- The hash of the weights ----


def test_hash_of_the_weights_survives_saving_and_tells_any_change(tmp_path):
    network = odd_networks.make(odd_networks.residual)
    found = hash_weights(network)
    assert hash_weights(load_network(save(network, tmp_path / "a.keras"))) == found
    weights = network.get_weights()
    weights[0].flat[0] = np.nextafter(weights[0].flat[0], np.float32(1))
    network.set_weights(weights)
    assert hash_weights(network) != found


def test_weights_are_those_of_keras():
    network = odd_networks.make(odd_networks.dense_only)
    held = {t.name: numpy_helper.to_array(t) for t in convert(network).graph.initializer}
    for name, weight in zip(
        ("dense1_weight", "dense1_bias", "dense2_weight", "dense2_bias"), network.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(held[name], weight)


def test_normalisation_is_folded_by_a_root_and_a_division():
    """Both are the same to the last bit on any processor, which TensorFlow's own reciprocal root is not."""
    rng = np.random.default_rng(3)

    def build() -> keras.Model:
        body = [layers.Conv2D(64, 3, use_bias=False), layers.BatchNormalization(), layers.ReLU(), layers.Flatten()]
        return keras.Sequential([keras.Input((28, 28, 1)), *body, layers.Dense(10, activation="softmax")])

    network = odd_networks.make(build)
    norm = next(layer for layer in network.layers if isinstance(layer, layers.BatchNormalization))
    values = [rng.uniform(low, high, 64).astype(np.float32) for low, high in ((0.5, 2), (-1, 1), (-1, 1), (0.01, 9))]
    norm.set_weights(values)
    gamma, _, _, variance = values
    factors = gamma * (np.float32(1) / np.sqrt(variance + np.float32(norm.epsilon)))
    kernel = network.layers[0].get_weights()[0].transpose(3, 2, 0, 1)
    folded = (kernel.astype(np.float64) * factors.astype(np.float64).reshape(-1, 1, 1, 1)).astype(np.float32)
    np.testing.assert_array_equal(constants(convert(network).graph)["conv1_weight"], folded)


def test_normalisation_is_tensorflows_own_again_when_several_threads_have_converted():
    own = tf.nn.batch_normalization

    def build() -> keras.Model:
        body = [layers.Conv2D(2, 3), layers.BatchNormalization(), layers.Flatten()]
        return keras.Sequential([keras.Input((28, 28, 1)), *body, layers.Dense(10, activation="softmax")])

    networks = [odd_networks.make(build) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        sizes = [model.ByteSize() for model in pool.map(convert, networks)]
    assert len(set(sizes)) == 1
    assert tf.nn.batch_normalization is own
