from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="export is not installed: pip install 'edge-digits[train]'")
pytest.importorskip("tf2onnx", reason="export is not installed: pip install 'edge-digits[train]'")

import keras
import odd_networks
import onnx
import onnxruntime as ort
from keras import layers
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from edge_digits.errors import InputError, UsageError
from edge_digits_export.calibration import MILD, draw_calibration
from edge_digits_export.choice import QuantizationChoice, choose, read_choice
from edge_digits_export.convert import convert
from edge_digits_export.graph import constants, run_tensors, write_bytes
from edge_digits_export.layers import describe_layers, measure_noise, worst_layers
from edge_digits_export.plan import layer_output
from edge_digits_export.quantization import needed_ranges, quantizable, quantize
from edge_digits_export.ranges import choose_by_entropy, choose_by_percentile, measure_ranges
from edge_digits_export.rebuild import rebuild_int8
from edge_digits_train.augment import Augmentation
from edge_digits_train.data import DataSet
from edge_digits_train.networks import count_multiply_adds

CHOICE = QuantizationChoice()


@pytest.fixture(scope="module")
def few(tiles) -> np.ndarray:
    """100 tiles, ten of each digit."""
    return tiles[::50]


@pytest.fixture(scope="module")
def fp32() -> onnx.ModelProto:
    """Two convolutions, a sum, two poolings side by side, a dense layer."""
    return convert(odd_networks.make(odd_networks.residual))


@pytest.fixture(scope="module")
def ranges(fp32, few) -> dict[str, tuple[float, float]]:
    return measure_ranges(fp32, quantizable(fp32), few, "minmax")


def ask(model: onnx.ModelProto, tiles: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["probabilities"], {"tiles": tiles})[0]


def stored(graph: onnx.GraphProto, name: str) -> np.ndarray:
    """A constant as the file has it, whatever it goes through before it is used."""
    held, made_by = constants(graph), {node.output[0]: node for node in graph.node}
    while name not in held:
        name = made_by[name].input[0]
    return held[name]


def operators(model: onnx.ModelProto, folder: Path) -> list[str]:
    """The operators that onnxruntime really runs, in their order."""
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    options.log_severity_level = 4
    ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return [node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node]


@pytest.mark.parametrize("method", ["minmax", "entropy", "percentile"])
def test_a_network_of_one_layer_has_no_ranges_to_measure_and_becomes_int8(method, few):
    model = convert(odd_networks.make(odd_networks.divided_float))
    ranges = measure_ranges(model, quantizable(model), few, method)
    assert ranges == {}
    small = quantize(model, QuantizationChoice(method=method), ranges)
    assert np.abs(ask(small, few) - ask(model, few)).max() < 0.05


# ---- The int8 graph ----


@pytest.mark.parametrize(
    "function",
    [
        odd_networks.other_scaling,
        odd_networks.residual,
        odd_networks.depthwise,
        odd_networks.norms_behind,
        odd_networks.activations,
        odd_networks.convolutional_head,
        odd_networks.squeezed,
        odd_networks.upright,
    ],
)
def test_any_network_becomes_int8_and_stays_near_fp32(function, few):
    model = convert(odd_networks.make(function))
    small = quantize(model, CHOICE, measure_ranges(model, quantizable(model), few, "minmax"))
    onnx.checker.check_model(small, full_check=True)
    exact, given = ask(model, few), ask(small, few)
    assert (given != exact).any()
    assert np.abs(given - exact).max() < 0.05
    np.testing.assert_allclose(given.sum(axis=1), 1, atol=1e-5)
    held, made_by = constants(small.graph), {node.output[0]: node for node in small.graph.node}
    layers = [node for node in small.graph.node if node.op_type in {"Conv", "Gemm"}]
    assert layers
    for node in layers:
        whole, scale = (stored(small.graph, name) for name in made_by[node.input[1]].input[:2])
        assert whole.dtype == np.int8
        assert scale.ndim == 1  # one for each channel
    softmax = made_by["probabilities"]
    assert softmax.op_type == "Softmax"
    assert made_by[softmax.input[0]].op_type != "DequantizeLinear"  # 8 bits of logit would coarsen every confidence
    names = [node.name for node in small.graph.node if node.name]
    assert len(set(names)) == len(names)
    assert all(name.isidentifier() for name in (*names, *held))


def test_the_runtime_runs_integer_operators(fp32, ranges, tmp_path):
    found = Counter(operators(quantize(fp32, CHOICE, ranges), tmp_path))
    assert (found["QLinearConv"], found["QLinearAdd"], found["QLinearConcat"]) == (2, 1, 1)
    assert not found.keys() & {"Conv", "MatMul", "Add", "QuantizeLinear", "DequantizeLinear"}


def test_an_answer_that_is_only_moved_keeps_its_name(few):
    """Probabilities that are flattened out of a convolution, of which the digit score is made."""

    def build() -> keras.Model:
        pixels = keras.Input((28, 28, 1))
        x = layers.Conv2D(10, 8, strides=8, activation="relu")(pixels)
        x = layers.AveragePooling2D(3)(layers.Conv2D(10, 1, activation="sigmoid")(x))
        probabilities = layers.Flatten(name="probabilities")(x)
        score = layers.Dense(1, activation="sigmoid", name="digit_score")(probabilities)
        return keras.Model(pixels, {"probabilities": probabilities, "digit_score": score})

    model = convert(odd_networks.make(build))
    small = quantize(model, CHOICE, measure_ranges(model, quantizable(model), few, "minmax"))
    assert np.abs(ask(small, few) - ask(model, few)).max() < 0.05


def test_nothing_is_written_that_holds_anyway(fp32, ranges):
    """Zero points of 0 and steps of 1, of convolutions; onnxruntime makes no QGemm of a layer without zero points."""
    graph = quantize(fp32, CHOICE, ranges).graph
    convs = [node for node in graph.node if node.op_type == "Conv"]
    assert [node.name for node in convs] == ["conv1", "conv2"]
    for conv in convs:
        assert {"dilations", "group"}.isdisjoint(a.name for a in conv.attribute)
        assert all(set(a.ints) != {1} for a in conv.attribute if a.name == "strides")
    held = constants(graph)
    assert not {f"{conv.name}_{role}_zero" for conv in convs for role in ("weight", "bias")} & held.keys()
    assert "dense1_weight_zero" in held
    assert "conv1_weight_zero" in constants(quantize(fp32, replace(CHOICE, weight="uint8"), ranges).graph)


@pytest.mark.parametrize("activation", ["uint8", "int8"])
@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("weight_bits", [7, 8])
def test_int8_is_what_onnxruntimes_own_quantizer_makes(few, tmp_path, activation, per_channel, weight_bits):
    """The same weights and, on the same tiles, the same answers to within a few steps of the activations."""

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self._batches = iter([{"tiles": few}])

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self._batches, None)

    model = convert(odd_networks.make(odd_networks.depthwise))
    onnx.save(model, tmp_path / "fp32.onnx")
    quantize_static(
        tmp_path / "fp32.onnx",
        tmp_path / "theirs.onnx",
        Reader(),
        quant_format=QuantFormat.QDQ,
        activation_type={"uint8": QuantType.QUInt8, "int8": QuantType.QInt8}[activation],
        weight_type=QuantType.QInt8,
        per_channel=per_channel,
        reduce_range=weight_bits == 7,
        op_types_to_quantize=["Conv", "Relu", "Clip", "Gemm", "Squeeze", "Reshape"],
    )
    theirs = onnx.load(tmp_path / "theirs.onnx")
    choice = QuantizationChoice(activation=activation, weight_bits=weight_bits, per_channel=per_channel)
    ours = quantize(model, choice, measure_ranges(model, quantizable(model), few, "minmax"))
    held, held_theirs = constants(ours.graph), constants(theirs.graph)
    for layer in ("conv1", "conv2", "conv3", "conv4", "dense1"):
        whole, whole_theirs = held[f"{layer}_weight_q"], held_theirs[f"{layer}_weight_quantized"]
        if weight_bits == 8:  # theirs reduces to 64 steps and not to 63
            np.testing.assert_allclose(held[f"{layer}_weight_scale"], held_theirs[f"{layer}_weight_scale"], rtol=1e-5)
            assert (whole == whole_theirs).mean() > 0.99
        assert np.abs(whole.astype(int) - whole_theirs).max() <= 1  # a value halfway may fall to either side
    for tensor in ("relu1", "clip1", "relu2"):
        assert held[f"{tensor}_scale"] == pytest.approx(held_theirs[f"{tensor}_scale"], rel=0.01)
        assert held.get(f"{tensor}_zero", 0) == held_theirs[f"{tensor}_zero_point"]
    np.testing.assert_allclose(ask(ours, few), ask(theirs, few), atol={7: 0.02, 8: 0.01}[weight_bits])


@pytest.mark.parametrize("bits", [7, 8])
@pytest.mark.parametrize("kind", ["int8", "uint8"])
def test_weights_have_the_bits_that_were_chosen(fp32, ranges, kind, bits):
    """Of 7 bits, two products with a byte fit 16 bits with their sign, so no processor overflows; of 8 they do not."""
    held = constants(quantize(fp32, replace(CHOICE, weight=kind, weight_bits=bits), ranges).graph)
    for layer in ("conv1", "conv2", "dense1"):
        whole = held[f"{layer}_weight_q"].astype(int) - (128 if kind == "uint8" else 0)
        assert np.abs(whole).max() == {7: 63, 8: 127}[bits]
        assert (2 * 255 * np.abs(whole).max() < 2**15) == (bits == 7)


def test_a_layer_left_in_float_has_its_own_weights_and_the_others_have_int8(fp32, ranges, few):
    small = quantize(fp32, replace(CHOICE, float_layers=("conv2",)), ranges)
    held, exact = constants(small.graph), constants(fp32.graph)
    np.testing.assert_array_equal(held["conv2_weight"], exact["conv2_weight"])
    assert held["conv1_weight_q"].dtype == held["dense1_weight_q"].dtype == np.int8
    np.testing.assert_allclose(ask(small, few), ask(fp32, few), atol=0.05)
    everything = tuple(name for name in ("conv1", "conv2", "dense1"))
    np.testing.assert_array_equal(
        ask(quantize(fp32, replace(CHOICE, float_layers=everything), ranges), few), ask(fp32, few)
    )


@pytest.mark.parametrize("activation", ["uint8", "int8"])
@pytest.mark.parametrize("layer", ["conv1", "conv2", "conv3", "conv4"])
def test_the_runtime_leaves_a_float_layer_in_float(layer, activation, few, tmp_path):
    """onnxruntime would make its weights int8 by itself: then a huge weight would drown all others."""
    model = convert(odd_networks.make(odd_networks.depthwise))
    values = next(tensor for tensor in model.graph.initializer if tensor.name == f"{layer}_weight")
    weight = onnx.numpy_helper.to_array(values).copy()
    weight.flat[0] = 1e4
    values.CopyFrom(onnx.numpy_helper.from_array(weight, values.name))
    ranges = measure_ranges(model, quantizable(model), few, "minmax")
    small = quantize(model, replace(CHOICE, activation=activation, float_layers=(layer,)), ranges)
    found = Counter(operators(small, tmp_path))
    assert (found["Conv"] + found["FusedConv"], found["QLinearConv"]) == (1, 3)
    name = layer_output(model.graph, layer)
    if layer == "conv1":  # the tiles are exact, so all that is lost is the rounding of what it gives
        ((given,),), ((exact,),) = run_tensors(small, [f"{name}_dq"], few), run_tensors(model, [name], few)
        np.testing.assert_allclose(given, exact, atol=0.51 * float(constants(small.graph)[f"{name}_scale"]))


def test_what_moves_the_pixels_stays_in_float(few):
    """A slant in 8 bits would be a coarse one: the sums and the product of `upright` are those of fp32, to the bit."""
    model = convert(odd_networks.make(odd_networks.upright))
    small = quantize(model, CHOICE, measure_ranges(model, quantizable(model), few, "minmax"))
    warp = [node.name for node in model.graph.node if node.op_type == "MatMul"]
    assert warp == ["product1"]
    before = [node.name for node in model.graph.node][: [node.name for node in model.graph.node].index("product1") + 1]
    kept = [node.name for node in small.graph.node if node.name in before]
    assert kept == before
    first = [node.op_type for node in small.graph.node][: len(before)]
    assert not {"QuantizeLinear"} & set(first)
    assert first.count("DequantizeLinear") == 1
    tensor = next(node.output[0] for node in model.graph.node if node.name == "product1")
    exact, given = (next(run_tensors(m, [tensor], few))[0] for m in (model, small))
    np.testing.assert_array_equal(exact, given)


def test_a_choice_with_a_layer_that_there_is_not_is_refused(fp32, ranges):
    with pytest.raises(ValueError, match="there is no layer conv9; there are conv1, conv2, dense1"):
        quantize(fp32, replace(CHOICE, float_layers=("conv9",)), ranges)


def test_a_range_that_is_missing_is_named(fp32, ranges):
    with pytest.raises(ValueError, match="there is no range for relu1"):
        quantize(fp32, CHOICE, {name: ends for name, ends in ranges.items() if name != "relu1"})


def test_a_dead_channel_and_a_large_bias_do_no_harm(few):
    """A channel without weights has no scale, and a bias past what an int32 holds at the weights' own scale."""
    network = odd_networks.make(odd_networks.dense_only)
    weights = network.get_weights()
    weights[0][:, 3] = 0
    weights[0][:, 5] *= 1e-9
    weights[1][5] = 5.0
    network.set_weights(weights)
    model = convert(network)
    small = quantize(model, CHOICE, measure_ranges(model, quantizable(model), few, "minmax"))
    assert np.isfinite(constants(small.graph)["dense1_weight_scale"]).all()
    np.testing.assert_allclose(ask(small, few), ask(model, few), atol=0.02)


# ---- The ranges ----


def test_ranges_are_the_least_and_greatest_values_to_three_digits(fp32, few):
    names = quantizable(fp32)
    found = measure_ranges(fp32, names, few, "minmax")
    for name, (values,) in ((name, next(run_tensors(fp32, [name], few))) for name in names):
        assert found[name] == (float(f"{values.min():.3g}"), float(f"{values.max():.3g}"))


def test_percentile_cuts_half_a_hundred_thousandth_at_either_end():
    rng = np.random.default_rng(0)
    values = rng.laplace(size=2_000_000)
    counts, edges = np.histogram(values, 2048)
    low, high = choose_by_percentile(counts, edges[0], edges[-1])
    for outside, quantile in ((values < low, 0.5e-5), (values > high, 1 - 0.5e-5)):
        assert 5 <= outside.sum() <= 10  # ten of two million, to within the bin that the tenth is in
        assert min(abs(low), abs(high)) > abs(np.quantile(values, 0.5 + 0.9 * (quantile - 0.5)))
    assert edges[0] < low < high < edges[-1]


def test_entropy_keeps_a_flat_distribution_and_cuts_a_lone_outlier():
    rng = np.random.default_rng(0)
    flat, _ = np.histogram(rng.uniform(0, 4, 1_000_000), 2048, (0, 4))
    assert choose_by_entropy(flat, 0.0, 4.0) == (0.0, 4.0)
    values = np.append(np.abs(rng.normal(size=1_000_000)), [40.0])
    outlier, _ = np.histogram(values, 2048, (0, 40))
    low, high = choose_by_entropy(outlier, 0.0, 40.0)
    assert low == 0
    assert 3 < high < 10
    both, _ = np.histogram(np.append(rng.normal(size=1_000_000), [40.0]), 2048, (-6, 40))
    low, high = choose_by_entropy(both, -6.0, 40.0)
    assert -6 <= low < -0.5
    assert high < 10


@pytest.mark.parametrize("method", ["entropy", "percentile"])
def test_methods_that_cut_stay_within_what_was_seen(fp32, ranges, few, method):
    found = measure_ranges(fp32, quantizable(fp32), few, method)
    for name, (low, high) in found.items():
        assert ranges[name][0] * 1.01 - 1e-6 <= low <= 0 or low >= 0
        assert 0 < high <= ranges[name][1] * 1.01
    assert (ask(quantize(fp32, CHOICE, found), few).argmax(axis=1) == ask(fp32, few).argmax(axis=1)).mean() > 0.8


# ---- Calibration tiles ----


@pytest.fixture(scope="module")
def rows(tiles, labels) -> DataSet:
    return DataSet("rows", tiles, labels.astype(np.uint8))


def test_calibration_tiles_are_the_same_number_of_each_digit(rows):
    lopsided = rows[np.concatenate([np.arange(4700), np.arange(4990, 5000)])]  # ten 9s
    drawn = draw_calibration(lopsided, 1003, Augmentation())
    known = {tile.tobytes(): label for tile, label in zip(rows.tiles, rows.labels, strict=True)}
    counts = np.bincount([known[tile.tobytes()] for tile in drawn.tiles])
    assert counts.tolist() == [101] * 3 + [100] * 7
    assert drawn.as_dict()["augmented"] is False


def test_calibration_tiles_are_varied_and_the_same_each_time(rows):
    one, again = (draw_calibration(rows, 200, MILD) for _ in range(2))
    assert one.as_dict() == again.as_dict()
    assert one.as_dict()["n"] == 200
    assert one.as_dict()["augmented"] is True
    assert not {tile.tobytes() for tile in one.tiles} & {tile.tobytes() for tile in rows.tiles}
    assert draw_calibration(rows, 200, MILD, seed=1).as_dict()["sha256"] != one.as_dict()["sha256"]


# ---- The same bytes without the data ----

REBUILD = """
import json, sys
from pathlib import Path
from edge_digits_export import QuantizationChoice, rebuild_int8
folder = Path(sys.argv[1])
facts = json.loads((folder / "facts.json").read_text())
data = rebuild_int8(
    (folder / "fp32.onnx").read_bytes(), QuantizationChoice.from_dict(facts["choice"]), facts["ranges"], {"name": "x"}
)
(folder / "again.onnx").write_bytes(data)
print("tensorflow" in sys.modules or "keras" in sys.modules or "cv2" in sys.modules)
"""


def test_int8_is_rebuilt_byte_for_byte_from_fp32_and_the_ranges_without_tensorflow(fp32, ranges, tmp_path):
    used = {name: ranges[name] for name in needed_ranges(fp32, CHOICE)}
    first = write_bytes(quantize(fp32, CHOICE, ranges), {"name": "x"})
    assert rebuild_int8(write_bytes(fp32, {"a": "b"}), CHOICE, used, {"name": "x"}) == first
    (tmp_path / "fp32.onnx").write_bytes(write_bytes(fp32, {}))
    (tmp_path / "facts.json").write_text(json.dumps({"choice": CHOICE.as_dict(), "ranges": used}))
    done = subprocess.run([sys.executable, "-c", REBUILD, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    assert (tmp_path / "again.onnx").read_bytes() == first


# ---- Layer by layer ----


def test_the_noisiest_layer_is_the_one_that_was_spoilt(fp32, few):
    spoilt = onnx.ModelProto()
    spoilt.CopyFrom(fp32)
    for tensor in spoilt.graph.initializer:
        if tensor.name == "conv2_weight":
            values = onnx.numpy_helper.to_array(tensor).copy()
            values[:, 0, 0, 0] = 40.0  # all others fall between two of the 255 steps
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    clean, noisy = (
        measure_noise(m, CHOICE, measure_ranges(m, quantizable(m), few, "minmax"), few) for m in (fp32, spoilt)
    )
    assert list(clean) == ["conv1", "conv2", "dense1"]
    assert min(clean.values()) > 30
    assert noisy["conv1"] == clean["conv1"]
    left = measure_noise(
        spoilt,
        replace(CHOICE, float_layers=("conv2",)),
        measure_ranges(spoilt, quantizable(spoilt), few, "minmax"),
        few,
    )
    assert "conv2" not in left
    assert worst_layers({"a": 30.0, "b": 10.0, "c": 20.0}) == ["b", "c", "a"]


def test_signal_to_noise_is_that_of_the_values(few):
    """One dense layer: what int8 gives is compared with what numpy makes of the weights."""
    network = odd_networks.make(odd_networks.dense_only)
    model = convert(network)
    found = measure_ranges(model, quantizable(model), few, "minmax")
    small = quantize(model, replace(CHOICE, float_layers=("dense2",)), found)
    held = constants(small.graph)
    weight = held["dense1_weight_q"] * held["dense1_weight_scale"].astype(np.float64)
    bias = held["dense1_bias_q"] * held["dense1_bias_scale"].astype(np.float64)
    exact_weight, exact_bias = (w.astype(np.float64) for w in network.get_weights()[:2])
    flat = few.reshape(len(few), -1) / 255
    exact, given = np.maximum(flat @ exact_weight + exact_bias, 0), np.maximum(flat @ weight + bias, 0)
    expected = 10 * np.log10((exact**2).sum() / ((exact - given) ** 2).sum())
    assert measure_noise(model, CHOICE, found, few)["dense1"] == pytest.approx(expected, abs=0.1)


def test_table_of_layers_adds_up(fp32, ranges, few):
    network = odd_networks.make(odd_networks.residual)
    small = quantize(fp32, CHOICE, ranges)
    table = describe_layers(fp32, small, measure_noise(fp32, CHOICE, ranges, few))
    by_name = {layer.name: layer for layer in table}
    assert (by_name["conv1"].op, by_name["conv1"].output) == ("Conv, Relu", [4, 14, 14])
    assert (by_name["conv1"].parameters, by_name["conv1"].multiply_adds) == (40, 14 * 14 * 36)
    assert (by_name["dense1"].op, by_name["dense1"].parameters) == ("MatMul", 3920)
    assert sum(layer.multiply_adds for layer in table) == count_multiply_adds(network)
    held, held_small = constants(fp32.graph), constants(small.graph)
    assert sum(layer.bytes_fp32 for layer in table) == sum(value.nbytes for value in held.values())
    assert sum(layer.bytes_int8 for layer in table) == sum(value.nbytes for value in held_small.values())
    assert [layer.name for layer in table if layer.snr_db is not None] == ["conv1", "conv2", "dense1"]
    assert "relu1" not in by_name


# ---- The choice ----


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"method": "distribution"}, "method is 'distribution', not one of minmax, entropy, percentile"),
        ({"activation": "int16"}, "activation is 'int16', not one of uint8, int8"),
        ({"activation": "int8", "weight": "uint8"}, "no runtime multiplies int8"),
        ({"calibration": 3}, "calibration is 3"),
        ({"weight_bits": 4}, "weight_bits is 4, not one of 7, 8"),
    ],
)
def test_a_choice_that_cannot_be_is_refused(wrong, reason):
    with pytest.raises(ValueError, match=reason):
        QuantizationChoice(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [{"speed": 3}, {"calibration": "many"}, {"float_layers": "conv1"}, {"per_channel": 1}, {"method": ["minmax"]}],
)
def test_a_written_choice_of_other_values_is_refused(wrong):
    with pytest.raises(ValueError, match=r"is no quantization choice|is \['minmax'\]"):
        QuantizationChoice.from_dict(wrong)


def test_a_choice_is_read_back_as_it_was_written(tmp_path):
    choice = QuantizationChoice(500, "entropy", "int8", "int8", 8, False, ("conv1", "dense2"))
    path = tmp_path / "x.proof.json"
    path.write_text(json.dumps({"quantization": {"choice": choice.as_dict()}}))
    assert read_choice(path) == choice
    assert choose(path, None, None, False) == choice
    path.write_text("{}")
    with pytest.raises(InputError, match=r"x\.proof\.json: is no export's proof"):
        read_choice(path)
    with pytest.raises(InputError, match=r"y\.json: cannot be read: No such file"):
        read_choice(tmp_path / "y.json")


def test_options_that_do_not_go_together_are_refused(tmp_path):
    assert choose(None, 200, "percentile", False) == QuantizationChoice(200, "percentile")
    assert choose(None, 200, None, True) == QuantizationChoice(200)
    for wrong in ((tmp_path, 200, None, False), (tmp_path, None, "minmax", False), (tmp_path, None, None, True)):
        with pytest.raises(UsageError, match="--choice gives a choice whole"):
            choose(*wrong)
    with pytest.raises(UsageError, match="--search tries every method"):
        choose(None, None, "minmax", True)
    with pytest.raises(UsageError, match="--method is 'best', not one of minmax"):
        choose(None, None, "best", False)
