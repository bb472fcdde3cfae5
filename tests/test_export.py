from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="export is not installed: pip install 'edge-digits[train]'")
pytest.importorskip("tf2onnx", reason="export is not installed: pip install 'edge-digits[train]'")

import keras
import onnx
import onnxruntime as ort
import tiny
from keras import layers
from onnx import numpy_helper

import edge_digits
from edge_digits import cli
from edge_digits.classifier import Classifier
from edge_digits.errors import GateError, InputError, OutputError, OutputExistsError, UsageError
from edge_digits.metrics import Evaluation
from edge_digits_export import Exported, ExportSettings, Limits, Parity, export, publish
from edge_digits_export.convert import convert, load_network, predict
from edge_digits_export.quantize import quantize
from edge_digits_export.verify import Agreement
from edge_digits_train import recipes
from edge_digits_train.data import load_data, split_data
from edge_digits_train.fit import Settings, train
from edge_digits_train.runs import Run

MODELS = Path(__file__).parents[1] / "models" / "edge_digits_models"
NETWORKS = MODELS.parent / "networks"
CONTRACT_KEYS = {"contract", "name", "version", "recipe", "precision", "trained_on", "accuracy", "tools"}


@pytest.fixture(scope="module")
def data(tmp_path_factory, tiles, labels) -> Path:
    """2,500 real digits, of which 250 are held out."""
    return tiny.write_table(tmp_path_factory.mktemp("data") / "train.csv.gz", tiles[::2], labels[::2])


@pytest.fixture(scope="module")
def run(tmp_path_factory, data) -> Run:
    """A small training."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(recipes.RECIPES, "tiny", tiny.tiny())
        return train(Settings("tiny", data, passes=4, seed=1), tmp_path_factory.mktemp("runs") / "tiny", tiny.Told())


@pytest.fixture(scope="module")
def exported(tmp_path_factory, run) -> Exported:
    return export(ExportSettings(run.folder, tmp_path_factory.mktemp("exported") / "deep" / "er"))


@pytest.fixture(scope="module")
def held_out(data):
    return split_data(load_data(data), 0.1, 27)[1]


@pytest.fixture(params=["fp32", "int8"])
def path(request, exported) -> Path:
    return getattr(exported, request.param)


def save(network: keras.Model, path: Path) -> Path:
    network.save(path)
    return path


# ---- What comes out ----


def test_export_writes_both_models_and_the_proof_and_nothing_else(exported):
    folder = exported.fp32.parent
    assert {path.name for path in folder.iterdir()} == {"tiny-fp32.onnx", "tiny-int8.onnx", "tiny.proof.json"}
    assert {exported.fp32.name, exported.int8.name, exported.proof.name} == {path.name for path in folder.iterdir()}


def test_model_passes_the_checker_and_keeps_the_contract(path):
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert model.ir_version == 8
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 17)]
    assert {node.domain for node in model.graph.node} == {""}
    (given,), (answer,) = model.graph.input, model.graph.output
    shapes = [[d.dim_param or d.dim_value for d in one.type.tensor_type.shape.dim] for one in (given, answer)]
    assert (given.name, given.type.tensor_type.elem_type, shapes[0]) == ("tiles", onnx.TensorProto.UINT8, ["N", 28, 28])
    assert (answer.name, answer.type.tensor_type.elem_type) == ("probabilities", onnx.TensorProto.FLOAT)
    assert shapes[1] == ["N", 10]
    assert not any(tensor.data_location for tensor in model.graph.initializer)


def test_graph_begins_with_one_dequantize_of_the_bytes_and_has_no_shape_arithmetic(path):
    graph = onnx.load(path).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    first = graph.node[0]
    assert (first.op_type, first.input[0]) == ("DequantizeLinear", "tiles")
    assert constants[first.input[1]] == np.float32(1 / 255)
    assert constants[first.input[2]] == 0
    assert constants[first.input[2]].dtype == np.uint8
    assert [node.op_type for node in graph.node if "tiles" in node.input] == ["DequantizeLinear"]
    unwanted = {"Shape", "Gather", "Cast", "Transpose", "BatchNormalization", "Squeeze", "Concat", "Slice", "Mul"}
    assert not unwanted & {node.op_type for node in graph.node}
    assert [node.op_type for node in graph.node].count("Softmax") == 1


def test_names_are_short_unique_and_say_what_they_are(path):
    graph = onnx.load(path).graph
    names = [node.name for node in graph.node]
    assert len(set(names)) == len(names)
    assert all(names)
    tensors = {name for node in graph.node for name in (*node.input, *node.output)}
    for name in (*names, *tensors):
        assert not {"/", ":", ";"} & set(name), name
        assert len(name) < 60
    assert {"tiles", "conv1_weight", "probabilities"} <= {name.removesuffix("_quantized") for name in tensors}


def test_graph_holds_nothing_that_is_not_used(path):
    graph = onnx.load(path).graph
    used = {name for node in graph.node for name in node.input} | {"probabilities"}
    assert {tensor.name for tensor in graph.initializer} <= used
    assert all(used & set(node.output) for node in graph.node)
    assert not graph.value_info


def test_metadata_say_what_the_model_is(path, exported, data):
    facts = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert {key.removeprefix("edge_digits.") for key in facts} >= CONTRACT_KEYS
    assert all(key.startswith("edge_digits.") for key in facts)
    facts = {key.removeprefix("edge_digits."): value for key, value in facts.items()}
    precision = path.stem.rpartition("-")[2]
    assert (facts["contract"], facts["name"], facts["recipe"]) == ("1", "tiny", "tiny")
    assert (facts["precision"], facts["version"]) == (precision, edge_digits.__version__)
    assert facts["trained_on"] == f"train.csv, SHA-256 {load_data(data).sha256}"
    accuracy = getattr(exported.parity, precision).accuracy
    assert facts["accuracy"] == f"{accuracy:.5f} on 250 rows of train.csv held out"
    assert Classifier(path).metadata == {f"edge_digits.{key}": value for key, value in facts.items()}


@pytest.mark.parametrize("n", [1, 2, 250])
def test_fp32_answers_as_keras_does_in_a_plain_session_and_in_ours(exported, run, held_out, n):
    expected = keras.models.load_model(run.best).predict(held_out.tiles[:n], verbose=0)
    session = ort.InferenceSession(exported.fp32, providers=["CPUExecutionProvider"])
    (found,) = session.run(["probabilities"], {"tiles": held_out.tiles[:n]})
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(Classifier(exported.fp32).classify(held_out.tiles[:n]).probabilities, found, atol=1e-6)


def test_int8_is_integer_inside_smaller_and_as_good(exported, held_out, run):
    model = onnx.load(exported.int8)
    operators = [node.op_type for node in model.graph.node]
    assert operators.count("QuantizeLinear") >= 3
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    made_by = {node.output[0]: node for node in model.graph.node}
    layers_seen = 0
    for node in model.graph.node:
        if node.op_type in {"Conv", "Gemm", "MatMul"}:
            weight = made_by[node.input[1]]
            assert weight.op_type == "DequantizeLinear"
            assert constants[weight.input[0]].data_type == onnx.TensorProto.INT8
            assert numpy_helper.to_array(constants[weight.input[1]]).size > 1  # a scale for each channel
            layers_seen += 1
    assert layers_seen == 2
    assert made_by["probabilities"].op_type == "Softmax"
    floats = [t for t in model.graph.initializer if t.data_type == onnx.TensorProto.FLOAT]
    assert all("scale" in tensor.name for tensor in floats)
    fp32, int8 = (Classifier(path).classify(held_out.tiles).probabilities for path in (exported.fp32, exported.int8))
    assert (int8 != fp32).any()
    assert np.abs(int8 - fp32).max() < 0.2
    assert (int8.argmax(axis=1) == fp32.argmax(axis=1)).mean() > 0.98
    np.testing.assert_allclose(int8.sum(axis=1), 1, atol=1e-5)
    assert len(np.unique(int8)) > 1000  # a quantized softmax would have 249


def test_int8_of_the_bundled_network_is_smaller():
    fp32, int8 = (MODELS / f"digits-{precision}.onnx" for precision in ("fp32", "int8"))
    assert int8.stat().st_size < fp32.stat().st_size / 3


def test_proof_holds_the_figures_of_a_fresh_comparison(exported, run, held_out):
    proof = json.loads(exported.proof.read_text())
    answers = [
        keras.models.load_model(run.best).predict(held_out.tiles, verbose=0),
        *(Classifier(path).classify(held_out.tiles).probabilities for path in (exported.fp32, exported.int8)),
    ]
    for name, given in zip(("keras", "fp32", "int8"), answers, strict=True):
        fresh = Evaluation.from_probabilities(given, held_out.labels)
        assert (proof["parity"][name]["accuracy"], proof["parity"][name]["n"]) == (fresh.accuracy, 250)
    difference = np.abs(answers[1] - answers[2])
    assert proof["parity"]["fp32_int8"]["max_difference"] == pytest.approx(difference.max(), rel=1e-4)
    assert proof["parity"]["fp32_int8"]["mean_difference"] == pytest.approx(difference.mean(), rel=1e-4)
    differs = answers[1].argmax(axis=1) != answers[2].argmax(axis=1)
    assert proof["parity"]["fp32_int8"]["different_digits"] == differs.sum()
    assert proof["parameters"] == keras.models.load_model(run.best).count_params()
    assert proof["source"]["recipe"] == "tiny"
    assert proof["source"]["data"]["compared_rows"] == 250
    assert proof["latency_ratio_fp32_to_int8"] > 0


def test_export_learns_nothing_from_the_held_out_rows(run, data, tmp_path, monkeypatch):
    seen = []

    def watch(model: onnx.ModelProto, tiles: np.ndarray) -> onnx.ModelProto:
        seen.append(tiles)
        return quantize(model, tiles)

    monkeypatch.setitem(export.__globals__, "quantize", watch)
    export(ExportSettings(run.folder, tmp_path))
    training, _ = split_data(load_data(data), 0.1, 27)
    known = {tile.tobytes(): label for tile, label in zip(training.tiles, training.labels, strict=True)}
    found = [known[tile.tobytes()] for tile in seen[0]]
    assert np.bincount(found).tolist() == [100] * 10


def test_exporting_twice_gives_equal_graphs_and_weights(run, exported, tmp_path):
    again = export(ExportSettings(run.folder, tmp_path))
    for one, other in ((exported.fp32, again.fp32), (exported.int8, again.int8)):
        first, second = onnx.load(one).graph, onnx.load(other).graph
        assert [node.op_type for node in first.node] == [node.op_type for node in second.node]
        for a, b in zip(first.initializer, second.initializer, strict=True):
            assert a.name == b.name
            np.testing.assert_array_equal(numpy_helper.to_array(a), numpy_helper.to_array(b))


# ---- Networks of one's own ----


def float_input() -> keras.Model:
    """Values of 0 to 1 with a channel, as most tutorials have it."""
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )


def dense_only() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((28, 28)),
            layers.Flatten(),
            layers.Dense(16, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


def other_scaling() -> keras.Model:
    """Raw bytes in, scaled to -1 to 1."""
    tiles = keras.Input((28, 28), dtype="uint8")
    x = layers.Reshape((28, 28, 1))(layers.Rescaling(1 / 127.5, offset=-1)(tiles))
    x = layers.Flatten()(layers.Conv2D(4, 5, strides=2, activation="relu")(x))
    return keras.Model(tiles, layers.Dense(10, activation="softmax")(x))


def no_scaling() -> keras.Model:
    """Raw bytes as they are, through a layer that normalises."""
    tiles = keras.Input((28, 28), dtype="uint8")
    x = layers.Reshape((28, 28, 1))(layers.Rescaling(1.0)(tiles))
    x = layers.Conv2D(4, 5, strides=2, padding="same", activation="relu")(layers.BatchNormalization()(x))
    return keras.Model(tiles, layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling2D()(x)))


def two_branches() -> keras.Model:
    """A sum of two paths, and no bias at the end."""
    tiles = keras.Input((28, 28), dtype="uint8")
    x = layers.Reshape((28, 28, 1))(layers.Rescaling(1 / 255)(tiles))
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    x = layers.Add()([x, layers.Conv2D(4, 3, padding="same")(x)])
    x = layers.Flatten()(layers.AveragePooling2D(4)(x))
    return keras.Model(tiles, layers.Dense(10, use_bias=False, activation="softmax")(x))


def scale(network: keras.Model, tiles: np.ndarray) -> np.ndarray:
    """What the network is fed when Keras is called by hand."""
    if network.inputs[0].dtype == "uint8":
        return tiles
    return (tiles / 255).astype(np.float32).reshape(-1, *network.input_shape[1:])


@pytest.mark.parametrize("make", [float_input, dense_only, other_scaling, no_scaling, two_branches, tiny.network])
def test_any_digit_network_converts_and_answers_as_keras_does(make, tiles, tmp_path):
    keras.utils.set_random_seed(0)
    network = make()
    expected = network.predict(scale(network, tiles[::100]), verbose=0)
    np.testing.assert_allclose(predict(network, tiles[::100]), expected, atol=1e-6)
    model = convert(network)
    onnx.save(model, tmp_path / "fp32.onnx")
    found = Classifier(tmp_path / "fp32.onnx").classify(tiles[::100]).probabilities
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert model.graph.node[0].op_type == "DequantizeLinear"
    assert not {"Shape", "Gather", "Cast"} & {node.op_type for node in model.graph.node}
    onnx.save(quantize(model, tiles[::50]), tmp_path / "int8.onnx")
    small = Classifier(tmp_path / "int8.onnx").classify(tiles[::100]).probabilities
    assert np.abs(small - expected).max() < 0.1


def test_keras_file_of_ones_own_is_exported_with_its_name(tmp_path, data):
    source = save(float_input(), tmp_path / "mine.keras")
    done = export(ExportSettings(source, tmp_path / "out", data=data))
    assert done.fp32 == tmp_path / "out" / "mine-fp32.onnx"
    named = export(ExportSettings(source, tmp_path / "out", data=data, name="yours"))
    assert named.int8 == tmp_path / "out" / "yours-int8.onnx"
    assert "which it may have seen" in Classifier(named.int8).metadata["edge_digits.accuracy"]


def test_keras_file_needs_labelled_rows(tmp_path):
    source = save(dense_only(), tmp_path / "mine.keras")
    with pytest.raises(UsageError, match="name labelled rows with --data"):
        export(ExportSettings(source, tmp_path / "out"))


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
    source = save(keras.Sequential(body), tmp_path / "mine.keras")
    with pytest.raises(InputError, match=reason):
        load_network(source)


def two_inputs() -> keras.Model:
    one, two = keras.Input((28, 28)), keras.Input((28, 28))
    return keras.Model([one, two], layers.Dense(10)(layers.Flatten()(layers.Add()([one, two]))))


def test_network_of_two_inputs_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"mine\.keras"):
        load_network(save(two_inputs(), tmp_path / "mine.keras"))


@pytest.mark.parametrize("content", [b"", b"nothing", b"PK\3\4 half an archive", "cut", "without a network"])
def test_file_that_is_no_network_is_refused_with_its_name(tmp_path, content):
    source = tmp_path / "mine.keras"
    if content == "cut":
        save(dense_only(), source)
        source.write_bytes(source.read_bytes()[:-500])
    elif content == "without a network":
        with zipfile.ZipFile(source, "w") as archive:
            archive.writestr("config.json", "{}")
    else:
        source.write_bytes(content)
    with pytest.raises(InputError, match=r"mine\.keras: is no Keras network") as caught:
        load_network(source)
    assert "\n" not in str(caught.value)


# ---- What is refused ----


def test_other_data_than_the_runs_are_refused(run, tmp_path, tiles, labels):
    other = tiny.write_table(tmp_path / "other.csv", tiles[1::20], labels[1::20])
    with pytest.raises(InputError, match=r"other\.csv: is not the data that .* was trained on"):
        export(ExportSettings(run.folder, tmp_path / "out", data=other))
    assert not (tmp_path / "out").exists()


def test_the_runs_data_are_taken_from_where_they_now_are(run, tmp_path, tiles, labels):
    moved = tiny.write_table(tmp_path / "moved.csv", tiles[::2], labels[::2])
    assert export(ExportSettings(run.folder, tmp_path / "out", data=moved)).fp32.exists()


@pytest.mark.parametrize("name", ["tiny-fp32.onnx", "tiny-int8.onnx", "tiny.proof.json"])
def test_existing_output_is_refused_and_left_as_it_is(run, tmp_path, name, monkeypatch):
    monkeypatch.setitem(export.__globals__, "convert", lambda _: pytest.fail("work was done for it"))
    (tmp_path / name).write_text("mine")
    with pytest.raises(OutputExistsError, match=f"{name}: exists already; --force replaces it"):
        export(ExportSettings(run.folder, tmp_path))
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, "mine")]


def test_existing_output_is_replaced_when_forced(run, tmp_path):
    (tmp_path / "tiny-fp32.onnx").write_text("old")
    done = export(ExportSettings(run.folder, tmp_path, force=True))
    assert Classifier(done.fp32).metadata["edge_digits.precision"] == "fp32"


def test_output_that_is_no_folder_is_refused(run, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="is no folder"):
        export(ExportSettings(run.folder, tmp_path / "file"))


@pytest.mark.parametrize("name", ["a/b", "../a"])
def test_name_with_a_folder_in_it_is_refused(run, tmp_path, name):
    with pytest.raises(UsageError, match="a model's name is a file's name"):
        export(ExportSettings(run.folder, tmp_path / "out", name=name))


@pytest.mark.parametrize("what", ["missing", "empty folder"])
def test_source_that_is_no_run_is_refused(tmp_path, what):
    source = tmp_path / "run"
    if what == "empty folder":
        source.mkdir()
    with pytest.raises(InputError, match=r"run: there is no such run or file|run\.json: cannot be read"):
        export(ExportSettings(source, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


# ---- The gates ----


def answers(labels: np.ndarray, wrong: int = 0, first: int = 0) -> np.ndarray:
    """Sure and right answers, but for `wrong` rows from row `first` on."""
    given = labels.copy()
    given[first : first + wrong] = (given[first : first + wrong] + 1) % 10
    return (np.eye(10)[given] * 0.9 + 0.01).astype(np.float32)


LABELS = (np.arange(2000) % 10).astype(np.uint8)


def test_equal_answers_pass():
    right = answers(LABELS)
    Parity.of(right, right, right, LABELS).check(Limits())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"keras_fp32": {"max_difference": 2e-5}},
            r"differs from Keras by 2e-05 in a probability.*limit is 1e-05",
        ),
        ({"keras_fp32": {"max_difference": math.nan}}, "fp32 differs from Keras by nan"),
        ({"keras_fp32": {"different_digits": 1}}, "fp32 gives another digit than Keras on 1 of 2000 rows"),
        (
            {"drop": 0.0006, "drop_interval": 0.0005},
            r"int8 is 0\.06 points less accurate.*\(± 0\.05, n = 2000\)",
        ),
        ({"drop": math.nan}, "int8 is nan points less accurate"),
        ({"fp32_int8": {"different_clear_digits": 3}}, r"on 3 of 2000 clear rows; the limit is 0\.10%"),
    ],
    ids=["difference", "NaN", "digit", "drop", "NaN drop", "agreement"],
)
def test_figure_past_its_limit_is_named(changes, reason):
    right = answers(LABELS)
    parity = Parity.of(right, right, right, LABELS)
    for name, value in changes.items():
        changed = dataclasses.replace(getattr(parity, name), **value) if isinstance(value, dict) else value
        parity = dataclasses.replace(parity, **{name: changed})
    with pytest.raises(GateError, match=reason) as caught:
        parity.check(Limits())
    assert caught.value.exit_code == 5


def test_drop_past_chance_is_refused_and_one_within_it_passes():
    right = answers(LABELS)
    loose = Limits(int8_agreement=0)
    with pytest.raises(GateError, match=r"int8 is 1\.00 points less accurate than fp32"):
        Parity.of(right, right, answers(LABELS, wrong=20), LABELS).check(loose)
    # 24 rows lost and 20 won: a drop of .2 points, and ± .65 by chance
    parity = Parity.of(answers(LABELS, 20, 100), answers(LABELS, 20, 100), answers(LABELS, 24, 500), LABELS)
    assert parity.drop == pytest.approx(0.002)
    parity.check(loose)
    with pytest.raises(GateError, match="another digit than fp32 on 44 of 2000 clear rows"):
        parity.check(Limits())
    assert parity.drop > Limits().int8_drop


def test_drops_interval_is_that_of_the_paired_differences():
    rng = np.random.default_rng(0)
    one, two = (rng.dirichlet(np.ones(10), 500).astype(np.float32) for _ in range(2))
    labels = rng.integers(0, 10, 500).astype(np.uint8)
    parity = Parity.of(one, one, two, labels)
    paired = (one.argmax(axis=1) == labels).astype(float) - (two.argmax(axis=1) == labels)
    assert parity.drop == pytest.approx(paired.mean())
    assert parity.drop_interval == pytest.approx(1.96 * paired.std() / math.sqrt(500))


def test_agreement_counts_what_numpy_counts():
    rng = np.random.default_rng(1)
    one, two = (rng.dirichlet(np.full(10, 0.3), 400).astype(np.float32) for _ in range(2))
    found = Agreement.of(one, two)
    ranked = np.sort(one, axis=1)
    clear = ranked[:, 9] - ranked[:, 8] > 0.1
    differ = one.argmax(axis=1) != two.argmax(axis=1)
    assert dataclasses.astuple(found) == (
        400,
        pytest.approx(np.abs(one - two).max()),
        pytest.approx(np.abs(one - two).mean()),
        differ.sum(),
        clear.sum(),
        (clear & differ).sum(),
    )


@pytest.mark.parametrize("which", ["Keras", "fp32", "int8"])
def test_nan_in_an_answer_is_a_gate_that_names_whose_it_is(which):
    given = {name: answers(LABELS) for name in ("Keras", "fp32", "int8")}
    given[which][7, 3] = math.nan
    with pytest.raises(GateError, match=f"{which} gives NaN on 1 of 2000 rows"):
        Parity.of(*given.values(), LABELS)


# ---- Broken on purpose, end to end ----


def run_command(*arguments: str | Path) -> int:
    """The exit code of `edge-digits export …`, run in this process."""
    before = dict(os.environ)
    try:
        return int(cli.app(["export", *map(str, arguments)], standalone_mode=False) or 0)
    finally:
        os.environ.clear()
        os.environ.update(before)


def without_weights(graph: onnx.GraphProto, kind: int) -> None:
    for tensor in graph.initializer:
        if tensor.data_type == kind and len(tensor.dims) > 1:
            values = numpy_helper.to_array(tensor)
            tensor.CopyFrom(numpy_helper.from_array(np.zeros_like(values), tensor.name))


def broken_quantize(model: onnx.ModelProto, tiles: np.ndarray) -> onnx.ModelProto:
    quantized = quantize(model, tiles)
    without_weights(quantized.graph, onnx.TensorProto.INT8)
    return quantized


def broken_convert(network: keras.Model) -> onnx.ModelProto:
    model = convert(network)
    for tensor in model.graph.initializer:
        if tensor.name == "conv1_weight":
            values = numpy_helper.to_array(tensor) * np.float32(1.001)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return model


@pytest.mark.parametrize(
    ("step", "broken", "reason"),
    [
        ("quantize", broken_quantize, "less accurate than fp32"),
        ("convert", broken_convert, "fp32 differs from Keras by"),
    ],
    ids=["quantization", "conversion"],
)
def test_broken_step_is_stopped_by_its_gate_and_nothing_is_written(
    run, tmp_path, monkeypatch, capsys, step, broken: Callable[..., onnx.ModelProto], reason
):
    monkeypatch.setitem(export.__globals__, step, broken)
    assert run_command(run.folder, "-o", tmp_path / "out") == 5
    said = capsys.readouterr()
    assert said.out == ""
    assert reason in said.err.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_network_of_nans_is_stopped_by_its_gate(tmp_path, data, capsys):
    network = dense_only()
    network.set_weights([np.full_like(weight, math.nan) for weight in network.get_weights()])
    source = save(network, tmp_path / "mine.keras")
    assert run_command(source, "--data", data, "-o", tmp_path / "out") == 5
    assert "Keras gives NaN on 250 of 250 rows" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_network_without_probabilities_is_refused(tmp_path, data, capsys):
    source = save(
        keras.Sequential([keras.Input((28, 28)), layers.Flatten(), layers.Dense(10)]), tmp_path / "mine.keras"
    )
    assert run_command(source, "--data", data, "-o", tmp_path / "out") == 1
    assert "ten probabilities for each tile" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_command_prints_the_comparison_and_the_files(run, tmp_path, capsys):
    assert run_command(run.folder, "-o", tmp_path, "--name", "mine") == 0
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines[0].startswith("on 250 held-out rows")
    assert [line.split()[0] for line in lines[1:4]] == ["Keras", "fp32", "int8"]
    for line, precision in zip(lines[4:], ("fp32", "int8"), strict=True):
        path = tmp_path / f"mine-{precision}.onnx"
        assert line == f"{path}  {path.stat().st_size:,} bytes"
    assert "converting" in said.err


# ---- The bundled models ----


@pytest.fixture(scope="module")
def manifest() -> dict:
    return json.loads((MODELS / "manifest.json").read_text())


def test_manifest_has_the_bytes_and_hash_of_each_file(manifest):
    for entry in manifest["models"].values():
        for file in entry["files"].values():
            content = (MODELS / file["file"]).read_bytes()
            assert (len(content), hashlib.sha256(content).hexdigest()) == (file["bytes"], file["sha256"])
    listed = {file["file"] for entry in manifest["models"].values() for file in entry["files"].values()}
    assert listed == {path.name for path in MODELS.glob("*.onnx")}


def test_bundled_accuracies_are_what_was_asked_for(manifest):
    fp32, int8 = (manifest["models"]["digits"]["files"][p]["accuracy"] for p in ("fp32", "int8"))
    assert fp32["n"] == int8["n"] == 4200
    assert min(fp32["accuracy"], int8["accuracy"]) >= 0.995
    assert abs(fp32["accuracy"] - int8["accuracy"]) <= 0.0005


def test_bundled_fp32_is_its_keras_network(manifest, tiles):
    network = load_network(NETWORKS / "digits.keras")
    assert network.count_params() == manifest["models"]["digits"]["parameters"]
    found = Classifier("digits-fp32").classify(tiles).probabilities
    np.testing.assert_allclose(found, predict(network, tiles), atol=1e-5)
    converted, bundled = convert(network).graph, onnx.load(MODELS / "digits-fp32.onnx").graph
    assert [node.op_type for node in converted.node] == [node.op_type for node in bundled.node]
    for ours, theirs in zip(converted.initializer, bundled.initializer, strict=True):
        np.testing.assert_allclose(numpy_helper.to_array(ours), numpy_helper.to_array(theirs), atol=1e-6)


def test_bundled_models_read_real_digits_alike(tiles, labels):
    """Most of these rows were trained on: a check that nothing is broken, and no measure of accuracy."""
    fp32, int8 = (Classifier(f"digits-{precision}").classify(tiles) for precision in ("fp32", "int8"))
    assert (fp32.digits == labels).mean() > 0.995
    assert (int8.digits == fp32.digits).mean() > 0.999
    assert (Classifier().classify(tiles).probabilities == int8.probabilities).all()


# ---- Publishing ----


@pytest.fixture
def models(tmp_path) -> Path:
    folder = tmp_path / "models" / "edge_digits_models"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def proof(tmp_path, exported) -> Path:
    """A copy of the export whose proof may be changed."""
    folder = tmp_path / "exported"
    folder.mkdir()
    for path in (exported.fp32, exported.int8, exported.proof):
        (folder / path.name).write_bytes(path.read_bytes())
    path = folder / exported.proof.name
    facts = json.loads(path.read_text())
    facts["parity"]["int8_drop"] = 0.0
    path.write_text(json.dumps(facts))
    return path


def test_publish_writes_models_manifest_card_and_network(proof, models, exported, tiles, run):
    card = publish(proof, models)
    assert card == models / "tiny.md"
    names = {"tiny-fp32.onnx", "tiny-int8.onnx", "manifest.json", "tiny.md"}
    assert {path.name for path in models.iterdir()} == names
    found = json.loads((models / "manifest.json").read_text())
    assert found["default"] == "tiny"
    entry = found["models"]["tiny"]
    for precision, source in (("fp32", exported.fp32), ("int8", exported.int8)):
        content = (models / f"tiny-{precision}.onnx").read_bytes()
        assert content == source.read_bytes()
        file = entry["files"][precision]
        assert (file["bytes"], file["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
        assert file["accuracy"]["accuracy"] == getattr(exported.parity, precision).accuracy
    assert entry["prefers"] in entry["files"]
    assert "network" not in entry["source"]  # a path of the machine that it was made on
    text = card.read_text()
    for part in ("# tiny", "tiny-fp32.onnx", f"{entry['parameters']:,} parameters", entry["source"]["data"]["sha256"]):
        assert part in text
    kept = load_network(models.parent / "networks" / "tiny.keras")
    np.testing.assert_allclose(predict(kept, tiles[:50]), predict(load_network(run.best), tiles[:50]), atol=1e-6)
    assert (models.parent / "networks" / "tiny.keras").stat().st_size < run.best.stat().st_size  # no optimizer


def test_publish_keeps_the_other_models_and_the_default(proof, models):
    other = {"default": "digits", "models": {"digits": {"prefers": "int8", "files": {}}}}
    (models / "manifest.json").write_text(json.dumps(other))
    publish(proof, models)
    found = json.loads((models / "manifest.json").read_text())
    assert found["default"] == "digits"
    assert list(found["models"]) == ["digits", "tiny"]
    assert found["models"]["digits"] == other["models"]["digits"]


def drop(facts: dict, value: float) -> None:
    facts["parity"]["int8_drop"] = value


@pytest.mark.parametrize(
    ("change", "error", "reason"),
    [
        (
            lambda facts: drop(facts, 0.0006),
            GateError,
            r"int8 is 0\.06 points less.*; the limit is 0\.05",
        ),
        (lambda facts: drop(facts, math.nan), GateError, "int8 is nan points less"),
        (lambda facts: facts.pop("parity"), InputError, "is no export's proof"),
        (lambda facts: facts["source"].update(network="gone.keras"), InputError, r"gone\.keras"),
    ],
    ids=["drop", "NaN", "no figures", "no network"],
)
def test_publish_refuses_and_writes_nothing(proof, models, change, error, reason):
    facts = json.loads(proof.read_text())
    change(facts)
    proof.write_text(json.dumps(facts))
    with pytest.raises(error, match=reason):
        publish(proof, models)
    assert list(models.parent.rglob("*")) == [models]


@pytest.mark.parametrize("name", ["tiny-fp32.onnx", "tiny-int8.onnx", "tiny.proof.json"])
def test_publish_of_half_an_export_names_what_is_missing_and_writes_nothing(proof, models, name):
    (proof.parent / name).unlink()
    with pytest.raises(InputError, match=f"{name}: cannot be read: No such file"):
        publish(proof, models)
    assert list(models.parent.rglob("*")) == [models]
