from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import math
import os
import re
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="export is not installed: pip install 'edge-digits[train]'")
pytest.importorskip("tf2onnx", reason="export is not installed: pip install 'edge-digits[train]'")

import keras
import odd_networks
import onnx
import onnxruntime as ort
import tiny
from onnx import numpy_helper
from scipy import stats

import edge_digits
from edge_digits import cli
from edge_digits.classifier import Classifier, temper
from edge_digits.errors import GateError, InputError, OutputError, OutputExistsError, UsageError
from edge_digits.metrics import Evaluation
from edge_digits_export import Exported, ExportSettings, Limits, QuantizationChoice, bench, export
from edge_digits_export.convert import convert_or_refuse, hash_weights, load_network, predict
from edge_digits_export.graph import constants, round_weights, write_bytes
from edge_digits_export.proof import _check_tiles as check_tiles
from edge_digits_export.quantization import quantize
from edge_digits_export.rebuild import build_facts, rebuild_models
from edge_digits_export.search import search
from edge_digits_train import training
from edge_digits_train.data import DataSet, LoadedData, Split, load_data, split_data
from edge_digits_train.runs import Run
from edge_digits_train.training import Settings, train

FILES = {"tiny-fp32.onnx", "tiny-int8.onnx", "tiny.proof.json", "tiny.proof.html"}


@pytest.fixture(scope="module", autouse=True)
def quick():
    """Trainings without their pictures, which take as long again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "write_report", tiny.write_report)
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory, tiles, labels) -> Path:
    """2,500 real digits, of which 250 are held out."""
    return tiny.write_table(tmp_path_factory.mktemp("data") / "train.csv.gz", tiles[::2], labels[::2])


@pytest.fixture(scope="module")
def run(tmp_path_factory, data) -> Run:
    """A small training, and its refit on all rows."""
    folder = tmp_path_factory.mktemp("runs")
    settings = Settings(tiny.write_recipe(folder), data, passes=4, seed=1, refit=True)
    return train(settings, folder / "tiny", tiny.Told())


@pytest.fixture(scope="module")
def exported(tmp_path_factory, run) -> Exported:
    return export(ExportSettings(run.folder, tmp_path_factory.mktemp("exported") / "deep" / "er"))


@pytest.fixture(scope="module")
def proof(exported) -> dict:
    return json.loads(exported.proof.read_text())


@pytest.fixture(scope="module")
def rows(data) -> tuple[DataSet, DataSet]:
    """(training, held out)."""
    return split_data(load_data(data).rows, Split())


@pytest.fixture(scope="module")
def held_out(rows) -> DataSet:
    return rows[1]


@pytest.fixture(scope="module")
def dense(tmp_path_factory, rows) -> Path:
    """A .keras file of one's own: two dense layers, trained."""
    keras.utils.set_random_seed(0)
    network = odd_networks.dense_only()
    network.compile("adam", "sparse_categorical_crossentropy")
    network.fit(rows[0].tiles / np.float32(255), rows[0].labels, batch_size=50, epochs=4, verbose=0)
    return save(network, tmp_path_factory.mktemp("dense") / "dense.keras")


@pytest.fixture(params=["fp32", "int8"])
def path(request, exported) -> Path:
    return getattr(exported, request.param)


def save(network: keras.Model, path: Path) -> Path:
    network.save(path)
    return path


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# ---- What comes out ----


def test_export_writes_both_models_and_the_proof_and_nothing_else(exported):
    folder = exported.fp32.parent
    assert {path.name for path in folder.iterdir()} == FILES
    assert {exported.fp32.name, exported.int8.name, exported.proof.name, exported.page.name} == FILES


def test_metadata_say_what_the_model_is(path, exported, data):
    facts = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert all(key.startswith("edge_digits.") for key in facts)
    facts = {key.removeprefix("edge_digits."): value for key, value in facts.items()}
    assert facts.keys() == {
        "contract", "name", "version", "recipe", "precision", "trained_on", "accuracy", "reject_below",
        "picture_temperature", "tools",
    }  # fmt: skip
    precision = path.stem.rpartition("-")[2]
    assert (facts["contract"], facts["name"], facts["recipe"]) == ("1", "tiny", "tiny")
    assert (facts["precision"], facts["version"]) == (precision, edge_digits.__version__)
    assert facts["trained_on"] == f"train.csv, SHA-256 {load_data(data).rows.sha256}"
    accuracy = getattr(exported.parity, precision).accuracy
    assert facts["accuracy"] == f"{accuracy:.5f} on 250 rows of train.csv held out"
    assert Classifier(path).metadata == {f"edge_digits.{key}": value for key, value in facts.items()}


def test_files_know_neither_the_day_nor_the_place(path, run, data):
    content = path.read_bytes()
    for word in (str(run.folder), str(data), str(path.parent), "/tmp", "/root", "20"):
        found = content.count(word.encode())
        assert found == 0 or (word == "20" and b"/20" not in content)


@pytest.mark.parametrize("n", [1, 2, 250])
def test_fp32_answers_as_keras_does_at_its_temperature(exported, run, held_out, n):
    expected = temper(
        keras.models.load_model(run.best).predict(held_out.tiles[:n], verbose=0), exported.temperature.value
    )
    session = ort.InferenceSession(exported.fp32, providers=["CPUExecutionProvider"])
    (found,) = session.run(["probabilities"], {"tiles": held_out.tiles[:n]})
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(Classifier(exported.fp32).classify(held_out.tiles[:n]).probabilities, found, atol=1e-6)


def test_temperature_is_fitted_on_the_held_out_rows(exported, proof, run, held_out):
    plain = keras.models.load_model(run.best).predict(held_out.tiles, verbose=0)
    found = proof["temperature"]
    assert found["value"] == exported.temperature.value != 1
    assert found["rows"] == 250
    assert found["loss_before"] == pytest.approx(Evaluation.from_probabilities(plain, held_out.labels).loss, rel=1e-4)
    losses = {
        t: Evaluation.from_probabilities(temper(plain, t * found["value"]), held_out.labels).loss for t in (0.9, 1, 1.1)
    }
    assert min(losses, key=losses.__getitem__) == 1
    assert found["loss_after"] == pytest.approx(losses[1], rel=1e-4)
    assert found["loss_after"] == pytest.approx(exported.parity.fp32.loss, rel=1e-4)


def test_int8_is_smaller_and_as_good(exported, held_out):
    fp32, int8 = (Classifier(path).classify(held_out.tiles).probabilities for path in (exported.fp32, exported.int8))
    assert exported.int8.stat().st_size < exported.fp32.stat().st_size
    assert (int8 != fp32).any()
    assert np.abs(int8 - fp32).max() < 0.2
    assert (int8.argmax(axis=1) == fp32.argmax(axis=1)).mean() > 0.98
    assert len(np.unique(int8)) > 1000  # a quantized softmax would have 249


# ---- The proof ----


def test_proof_holds_the_figures_of_a_fresh_comparison(exported, proof, run, held_out):
    network = keras.models.load_model(run.best)
    answers = [
        temper(network.predict(held_out.tiles, verbose=0), exported.temperature.value),
        *(Classifier(path).classify(held_out.tiles).probabilities for path in (exported.fp32, exported.int8)),
    ]
    parity = proof["parity"]
    for name, given in zip(("keras", "fp32", "int8"), answers, strict=True):
        fresh = Evaluation.from_probabilities(given, held_out.labels)
        assert (parity[name]["accuracy"], parity[name]["n"]) == (fresh.accuracy, 250)
        assert parity[name]["interval"] == list(fresh.interval)
    assert proof["parameters"] == network.count_params()
    assert proof["multiply_adds"] == run.settings()["network"]["multiply_adds"]


def test_int8_is_compared_with_fp32_on_2000_rows_at_least(exported, proof, rows):
    training, held_out = rows
    parity = proof["parity"]
    assert (len(held_out), parity["int8"]["n"], parity["fp32_int8"]["rows"]) == (250, 250, 2000)
    more = training[np.linspace(0, len(training) - 1, 1750).astype(int)]
    tiles, labels = (np.concatenate(pair) for pair in ((held_out.tiles, more.tiles), (held_out.labels, more.labels)))
    answers = [Classifier(path).classify(tiles).probabilities for path in (exported.fp32, exported.int8)]
    difference = np.abs(answers[0] - answers[1])
    assert parity["fp32_int8"]["max_difference"] == pytest.approx(difference.max(), rel=1e-4)
    assert parity["fp32_int8"]["mean_difference"] == pytest.approx(difference.mean(), rel=1e-4)
    differs = answers[0].argmax(axis=1) != answers[1].argmax(axis=1)
    assert parity["fp32_int8"]["different_digits"] == differs.sum()
    right = [a.argmax(axis=1) == labels for a in answers]
    lost, won = (right[0] & ~right[1]).sum(), (right[1] & ~right[0]).sum()
    assert parity["mcnemar_p"] == pytest.approx(stats.binomtest(lost, lost + won).pvalue if lost + won else 1)
    assert parity["int8_drop"] == pytest.approx((lost - won) / 2000)
    assert "fp32 were set side by side on 1,750 training rows as well" in exported.text()


def test_proof_says_where_the_network_comes_from(exported, proof, run, data):
    assert (proof["name"], proof["recipe"], proof["version"]) == ("tiny", "tiny", edge_digits.__version__)
    source = proof["source"]
    assert (source["recipe"], source["seed"], source["pass"]) == ("tiny", 1, run.metrics()["pass"])
    assert source["network"] == str(run.best)
    assert source["network_sha256"] == hash_weights(load_network(run.best))
    assert source["data"] == {
        "name": "train.csv",
        "sha256": load_data(data).rows.sha256,
        "training_rows": 2250,
        "compared_rows": 250,
        "compared_rows_were": "held out",
    }
    assert proof["tools"]["onnx"] == onnx.__version__
    for precision in ("fp32", "int8"):
        path = getattr(exported, precision)
        content = path.read_bytes()
        assert proof["files"][precision] == {"file": path.name, "bytes": len(content), "sha256": sha256(content)}


def test_proof_says_how_int8_was_made(exported, proof):
    made = proof["quantization"]
    assert made["choice"] == QuantizationChoice().as_dict() == exported.choice.as_dict()
    assert (made["tiles"]["n"], made["tiles"]["augmented"]) == (1000, True)
    held = {t.name: numpy_helper.to_array(t) for t in onnx.load(exported.int8).graph.initializer}
    assert made["ranges"]
    for name, (low, high) in made["ranges"].items():
        assert held[f"{name}_scale"] == np.float32((max(high, 0) - min(low, 0)) / 255)
        assert low == float(f"{low:.3g}")
    assert proof["search"] is None
    assert [(gate["name"], gate["passed"]) for gate in proof["gates"]] == [
        (name, True)
        for name in (
            "recorded accuracy", "accuracy", "fp32 difference", "fp32 digits", "int8 accuracy", "int8 agreement",
        )
    ]  # fmt: skip
    latency = proof["latency"]
    assert latency["ratio_fp32_to_int8"] == pytest.approx(latency["fp32_us"] / latency["int8_us"], abs=0.01)


def test_proof_has_the_noise_of_each_layer(proof):
    layers = {layer["name"]: layer for layer in proof["layers"]}
    assert list(layers) == ["scale1", "reshape1", "conv1", "pool1", "reshape2", "dense1", "softmax1"]
    assert (layers["conv1"]["op"], layers["conv1"]["output"]) == ("Conv, Relu", [8, 12, 12])
    assert all(20 < layers[name]["snr_db"] < 80 for name in ("conv1", "dense1"))
    assert {name for name, layer in layers.items() if layer["snr_db"] is None} == set(layers) - {"conv1", "dense1"}


def test_proof_shows_the_tiles_on_which_the_two_differ_most(exported, proof, held_out):
    fp32, int8 = (Classifier(path).classify(held_out.tiles).probabilities for path in (exported.fp32, exported.int8))
    difference = np.abs(fp32 - int8).max(axis=1)
    shown = proof["disagreements"]
    assert len(shown) == 25
    np.testing.assert_allclose([found["difference"] for found in shown], np.sort(difference)[::-1][:25], atol=1e-6)
    for found in shown:
        row = found["row"]
        assert base64.b64decode(found["tile"]) == held_out.tiles[row].tobytes()
        assert found["label"] == held_out.labels[row]
        np.testing.assert_allclose(found["int8"], int8[row], atol=1e-6)


def test_check_tiles_are_one_of_each_digit_that_a_change_would_move(exported, proof, held_out):
    sure = np.minimum(
        *(Classifier(p).classify(held_out.tiles).probabilities.max(axis=1) for p in (exported.fp32, exported.int8))
    )
    least = [sure[(held_out.labels == digit) & (sure >= 0.9)].min() for digit in range(10)]
    expected = np.array([proof["check"]["expected"][precision] for precision in ("fp32", "int8")])
    assert (expected.max(axis=2).min(axis=0) <= np.array(least) + 0.02).all()  # a misread row may be less sure


def test_check_tiles_are_the_surest_where_no_row_is_sure(held_out):
    rng = np.random.default_rng(0)
    fp32, int8 = (rng.dirichlet(np.full(10, 0.5), len(held_out)).astype(np.float32) for _ in range(2))
    fp32, int8 = fp32 * np.float32(0.5) + np.float32(0.05), int8 * np.float32(0.5) + np.float32(0.05)
    expected = check_tiles(held_out, fp32, int8)["expected"]
    sure = np.minimum(fp32.max(axis=1), int8.max(axis=1))
    assert sure.max() < 0.9
    found = [min(max(one), max(two)) for one, two in zip(expected["fp32"], expected["int8"], strict=True)]
    np.testing.assert_allclose(found, [sure[held_out.labels == digit].max() for digit in range(10)], rtol=1e-5)
    some = held_out[held_out.labels < 3]
    assert len(check_tiles(some, fp32[: len(some)], int8[: len(some)])["expected"]["int8"]) == 3


def test_check_tiles_come_with_the_answers_of_both(exported, proof):
    packed = base64.b64decode(proof["check"]["tiles"])
    check = np.frombuffer(packed, np.uint8).reshape(-1, 28, 28)
    for precision in ("fp32", "int8"):
        expected = np.array(proof["check"]["expected"][precision])
        assert expected.argmax(axis=1).tolist() == list(range(10))
        found = Classifier(getattr(exported, precision)).classify(check).probabilities
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_page_is_one_file_that_fetches_nothing(exported):
    page = exported.page.read_text()
    assert page.startswith("<!doctype html>")
    assert "http://" not in page
    assert "<script" not in page
    assert "tiny" in page


# ---- What is learnt from which rows ----


def test_export_learns_nothing_from_the_held_out_rows(run, rows, tmp_path, monkeypatch):
    seen = []

    def watch(given: DataSet, *rest: object) -> object:
        seen.append(given)
        return draw(given, *rest)

    draw = export.__globals__["draw_calibration"]
    monkeypatch.setitem(export.__globals__, "draw_calibration", watch)
    export(ExportSettings(run.folder, tmp_path))
    assert [given.sha256 for given in seen] == [rows[0].sha256]


def test_a_refit_is_tempered_as_the_training_before_it_and_compared_on_its_own_rows(run, exported, tmp_path):
    done = export(ExportSettings(run.refit.folder, tmp_path, name="again"))
    assert done.temperature == exported.temperature
    facts = json.loads(done.proof.read_text())
    assert facts["source"]["data"]["compared_rows_were"] == "that it was trained on"
    assert facts["source"]["data"]["training_rows"] == facts["source"]["data"]["compared_rows"] == 2500
    assert facts["source"]["refit"] is True
    assert done.text().startswith("on 2,500 rows that it was trained on")
    assert "on 2500 rows of train.csv that it was trained on" in Classifier(done.int8).metadata["edge_digits.accuracy"]


def test_a_refit_is_compared_on_the_test_part_where_the_source_has_one(run, data, tmp_path, monkeypatch, held_out):
    known = load_data(data).rows
    sources = sys.modules["edge_digits_export.sources"]
    monkeypatch.setattr(sources, "load_data", lambda _: LoadedData(known, held_out))
    metrics = run.refit.metrics()
    done = export(ExportSettings(run.refit.folder, tmp_path))
    assert done.compared_were == "of the test part"
    assert done.parity.fp32.n == 250
    assert metrics["test"] is None  # what was not measured is no gate


def test_keras_file_of_ones_own_is_exported_with_its_name(tmp_path, data, dense):
    done = export(ExportSettings(dense, tmp_path / "out", data=data))
    assert done.fp32 == tmp_path / "out" / "dense-fp32.onnx"
    named = export(ExportSettings(dense, tmp_path / "out", data=str(data), name="yours"))
    assert named.int8 == tmp_path / "out" / "yours-int8.onnx"
    assert "which it may have seen" in Classifier(named.int8).metadata["edge_digits.accuracy"]
    assert named.temperature.value >= 1  # on rows that it may have learnt nothing says that it is not sure enough


def test_temperature_can_be_set(run, tmp_path, held_out):
    done = export(ExportSettings(run.folder, tmp_path, temperature=2.0))
    plain = predict(load_network(run.best), held_out.tiles).probabilities
    found = Classifier(done.fp32).classify(held_out.tiles).probabilities
    np.testing.assert_allclose(found, temper(plain, 2.0), atol=1e-5)
    assert json.loads(done.proof.read_text())["temperature"]["rows"] == 0
    with pytest.raises(UsageError, match="--temperature 0: it must be"):
        export(ExportSettings(run.folder, tmp_path / "other", temperature=0.0))


def test_a_weak_network_is_exported_all_the_same(tmp_path, data, tmp_path_factory):
    recipe = tiny.write_recipe(tmp_path)
    weak = train(Settings(recipe, data, passes=1), tmp_path / "weak", tiny.Told())
    done = export(ExportSettings(weak.folder, tmp_path / "out"))
    assert 0.5 < done.parity.fp32.accuracy < 0.95


# ---- Networks trained on other values of the pixels ----

PIXELS = {
    "bytes": lambda tiles: tiles.astype(np.float32),
    "signed": lambda tiles: tiles / np.float32(127.5) - 1,
    "33.3,78.6": lambda tiles: ((tiles - 33.3) / 78.6).astype(np.float32),
}


@pytest.fixture(scope="module", params=list(PIXELS))
def trained_on(request, tmp_path_factory, rows) -> tuple[str, Path]:
    """(what its pixels are, a network that was trained on them and does not scale by itself)."""
    keras.utils.set_random_seed(2)
    body = [keras.layers.Conv2D(n, size, strides=2, activation="relu") for n, size in ((8, 5), (16, 3))]
    network = keras.Sequential([keras.Input((28, 28, 1)), *body, keras.layers.Flatten(), odd_networks.softmax()])
    network.compile("adam", "sparse_categorical_crossentropy")
    values = PIXELS[request.param](rows[0].tiles)
    network.fit(values[..., None], rows[0].labels, batch_size=50, epochs=6, verbose=0)
    return request.param, save(network, tmp_path_factory.mktemp("pixels") / "mine.keras")


def test_a_network_that_reads_other_pixels_better_is_refused_with_what_to_say(trained_on, data, tmp_path, capsys):
    name, source = trained_on
    assert run_command(source, "--data", data, "-o", tmp_path / "out") == 5
    said = capsys.readouterr().err.splitlines()[-1]
    assert "points more of 2,000 rows right (± " in said
    assert f"when it is given --pixels {name} than with unit" in said
    assert not (tmp_path / "out").exists()


def test_pixels_as_trained_are_folded_into_the_graph_and_can_be_rebuilt(trained_on, data, tmp_path, held_out):
    name, source = trained_on
    assert run_command(source, "--data", data, "-o", tmp_path, "--pixels", name, "--max-drop", "0.02") == 0
    network = keras.models.load_model(source)
    proof = json.loads((tmp_path / "mine.proof.json").read_text())
    plain = network.predict(PIXELS[name](held_out.tiles)[..., None], verbose=0)
    expected = temper(plain, proof["temperature"]["value"])
    found = Classifier(tmp_path / "mine-fp32.onnx").classify(held_out.tiles).probabilities
    np.testing.assert_allclose(found, expected, atol=1e-5)
    operators = [node.op_type for node in onnx.load(tmp_path / "mine-fp32.onnx").graph.node]
    assert operators == ["DequantizeLinear", "Reshape", *["Conv", "Relu"] * 2, "Reshape", "Gemm", "Softmax"]
    assert proof["pixels"] == name
    assert not [gate for gate in proof["gates"] if gate["name"] == "pixels"]  # what was said is not asked
    models = {precision: (tmp_path / f"mine-{precision}.onnx").read_bytes() for precision in ("fp32", "int8")}
    assert rebuild_models(source, json.loads(json.dumps(build_facts(proof, models)))) == models


def test_a_network_of_0_to_1_passes_the_gate_of_the_pixels(tmp_path, data, dense):
    proof = json.loads(export(ExportSettings(dense, tmp_path, data=data)).proof.read_text())
    (gate,) = (gate for gate in proof["gates"] if gate["name"] == "pixels")
    assert gate["passed"]
    assert gate["figure"] <= gate["limit"]
    assert proof["pixels"] == "unit"


def test_a_network_of_bytes_takes_no_other_pixels(run, tmp_path):
    with pytest.raises(UsageError, match=r"--pixels signed: .* takes whole numbers"):
        export(ExportSettings(run.folder, tmp_path, pixels="signed"))
    with pytest.raises(UsageError, match="--pixels half: it must be"):
        export(ExportSettings(run.folder, tmp_path, pixels="half"))


# ---- What is told besides ----


def test_a_slower_int8_is_told(run, tmp_path, monkeypatch):
    said: list[str] = []
    monkeypatch.setitem(export.__globals__, "measure_latency", lambda *_: {"fp32": 50.0, "int8": 85.0})
    done = export(ExportSettings(run.folder, tmp_path), said.append)
    assert "int8 is 1.7 times slower than fp32 here: it saves space alone" in said
    assert "so int8 is 1.7 times slower here: it saves space alone" in done.page.read_text()
    monkeypatch.setitem(export.__globals__, "measure_latency", lambda *_: {"fp32": 50.0, "int8": 52.0})
    said.clear()
    export(ExportSettings(run.folder, tmp_path, force=True), said.append)
    assert not [line for line in said if "slower" in line]


def test_few_rows_in_all_are_told_and_hinder_nothing(tmp_path, dense, tiles, labels):
    said: list[str] = []
    few = tiny.write_table(tmp_path / "few.csv", tiles[::8], labels[::8])
    limits = Limits(int8_agreement=0.98)
    done = export(ExportSettings(dense, tmp_path / "out", data=few, limits=limits), said.append)
    assert any("compared on 625 rows alone: fewer than 2,000 say little" in line for line in said)
    assert "There are 625 rows in all: fewer than 2,000 say little" in done.page.read_text()


def test_a_network_of_one_layer_is_searched(tmp_path, data, rows):
    keras.utils.set_random_seed(0)
    network = odd_networks.divided_float()
    network.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    network.fit(rows[0].tiles.astype(np.float32), rows[0].labels, batch_size=50, epochs=3, verbose=0)
    source = save(network, tmp_path / "one.keras")
    limits = Limits(int8_drop=0.01, int8_agreement=0.98)
    settings = ExportSettings(source, tmp_path / "out", data, search=True, limits=limits)
    assert len(json.loads(export(settings).proof.read_text())["search"]) == 18


# ---- The same bytes ----

EXPORT = """
import sys
from edge_digits.cli import main
main()
"""


def test_exporting_twice_in_two_processes_writes_the_same_bytes(tmp_path, data, rows):
    """With other hash seeds, from other folders; a network of sums, norms and two poolings, so that much can vary."""
    source = save(odd_networks.make(odd_networks.residual), tmp_path / "net.keras")
    children = []
    for seed in ("1", "2"):
        (tmp_path / seed).mkdir()
        shutil.copy(source, tmp_path / seed / "net.keras")
        options = ["net.keras", "--data", str(data), "--min-accuracy", "0", "--max-drop", "1", "--min-agreement", "0"]
        children.append(
            subprocess.Popen(
                [sys.executable, "-c", EXPORT, "export", *options],
                cwd=tmp_path / seed,
                env=os.environ | {"PYTHONHASHSEED": seed},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    for child in children:
        _, said = child.communicate(timeout=180)
        assert child.returncode == 0, said
    for name in ("net-fp32.onnx", "net-int8.onnx"):
        one, two = ((tmp_path / seed / name).read_bytes() for seed in ("1", "2"))
        assert one == two


def test_weights_are_rounded_beside_a_constant_of_no_size():
    model = onnx.ModelProto()
    for name, values in (("none", np.zeros(0)), ("few", np.full(3, 1 / 3)), ("many", np.full(48, 1 / 3))):
        model.graph.initializer.append(onnx.numpy_helper.from_array(values.astype(np.float32), name))
    found = constants(round_weights(model, 12).graph)
    assert {name: value.size for name, value in found.items()} == {"none": 0, "few": 3, "many": 48}
    assert [int(found[name].view(np.uint32)[0] & 0xFFF) for name in ("few", "many")] == [0xC00, 0]
    assert not constants(round_weights(onnx.ModelProto(), 12).graph)


def test_both_files_are_rebuilt_byte_for_byte_from_the_network_and_what_is_kept(exported, proof, run, tmp_path):
    models = {precision: getattr(exported, precision).read_bytes() for precision in ("fp32", "int8")}
    facts = json.loads(json.dumps(build_facts(proof, models)))
    kept = tmp_path / "other" / "name.keras"
    kept.parent.mkdir()
    load_network(run.best).save(kept)  # without its optimizer, as it is published
    again = rebuild_models(kept, facts)
    assert {precision: sha256(data) for precision, data in again.items()} == facts["sha256"]
    assert again == models
    with pytest.raises(InputError, match="what is kept to rebuild its models is damaged"):
        rebuild_models(kept, {**facts, "ranges": [1, 2]})


def test_weights_of_fewer_bits_pack_smaller_are_rebuilt_and_are_gated(run, exported, tmp_path, held_out):
    settings = ExportSettings(run.folder, tmp_path / "few", significant_bits=14, limits=Limits(1e-2))
    few = export(settings)
    proof = json.loads(few.proof.read_text())
    assert proof["significant_bits"] == 14
    assert "weights of 14 significant bits in the largest layer" in few.page.read_text()
    models = {precision: getattr(few, precision).read_bytes() for precision in ("fp32", "int8")}
    assert models["int8"] == exported.int8.read_bytes()
    assert len(models["fp32"]) == exported.fp32.stat().st_size
    assert len(zlib.compress(models["fp32"])) < 0.9 * len(zlib.compress(exported.fp32.read_bytes()))
    assert rebuild_models(run.best, json.loads(json.dumps(build_facts(proof, models)))) == models
    rounded, whole = (constants(onnx.load(path).graph) for path in (few.fp32, exported.fp32))
    sizes = {name: value.size for name, value in whole.items() if value.dtype == np.float32 and value.ndim}
    assert len(set(sizes.values())) > 2
    for name, value in rounded.items():
        if name in sizes:
            bits = 14 + round(np.log2(max(sizes.values()) / sizes[name]) / 2)
            assert not (value.view(np.uint32) & (2 ** (24 - bits) - 1)).any()
            np.testing.assert_allclose(value, whole[name], rtol=2.0**-bits)
            assert (np.abs(value - whole[name]) > 2.0 ** -(bits + 2) * np.abs(value)).any()
        else:
            np.testing.assert_array_equal(value, whole[name])
    assert bits > 14
    one, other = (Classifier(path).classify(held_out.tiles).probabilities for path in (few.fp32, exported.fp32))
    assert 1e-7 < np.abs(one - other).max() < 1e-2
    with pytest.raises(GateError, match="fp32 differs from Keras by"):
        export(dataclasses.replace(settings, force=True, limits=Limits(1e-7)))
    with pytest.raises(UsageError, match="--bits 11: it must be 12 to 24"):
        export(dataclasses.replace(settings, output=tmp_path / "none", significant_bits=11))


# ---- The choice, and the search for one ----


def test_a_choice_is_followed_and_can_be_given_again(run, tmp_path):
    choice = QuantizationChoice(200, "percentile", per_channel=False, float_layers=("dense1",))
    done = export(ExportSettings(run.folder, tmp_path, choice=choice))
    held = {t.name: numpy_helper.to_array(t) for t in onnx.load(done.int8).graph.initializer}
    assert held["conv1_weight_scale"].shape == ()
    assert "dense1_weight_q" not in held
    assert json.loads(done.proof.read_text())["quantization"]["tiles"]["n"] == 200
    assert run_command(run.folder, "-o", tmp_path / "again", "--choice", done.proof) == 0
    assert (tmp_path / "again" / "tiny-int8.onnx").read_bytes() == done.int8.read_bytes()


def test_a_choice_for_another_network_is_refused(run, tmp_path):
    choice = QuantizationChoice(float_layers=("conv7",))
    with pytest.raises(UsageError, match="the quantization choice does not fit: there is no layer conv7"):
        export(ExportSettings(run.folder, tmp_path / "out", choice=choice))
    assert not (tmp_path / "out").exists()


def test_search_keeps_one_of_the_fastest_that_pass_and_writes_its_table(run, tmp_path):
    said: list[str] = []
    done = export(ExportSettings(run.folder, tmp_path, search=True, choice=QuantizationChoice(300)), said.append)
    facts = json.loads(done.proof.read_text())
    table = facts["search"]
    assert len(table) == 19  # 18 of the grid, and one of the two layers left in float
    assert all(line["choice"]["calibration"] == 300 for line in table)
    assert len({json.dumps(line["choice"]) for line in table}) == 19
    passing = [line for line in table if line["passed"]]
    assert all((line["why"] is None) == line["passed"] for line in table)
    (kept,) = (line for line in table if line["choice"] == facts["quantization"]["choice"])
    assert kept in passing
    assert kept["microseconds"] <= 1.05 * min(line["microseconds"] for line in passing)
    assert kept["drop"] == facts["parity"]["int8_drop"]
    assert "1 of 19: uint8 × int8 of 7 bits, per channel, minmax" in "\n".join(said)
    assert sum(line.startswith("kept: ") for line in said) == 1


def spoil(dense: Path, path: Path, weight: float) -> Path:
    """The same network with huge weights at a corner where no digit has ink: in float they do nothing."""
    network = keras.models.load_model(dense)
    weights = network.get_weights()
    weights[0][0] = weight
    network.set_weights(weights)
    return save(network, path)


def test_search_leaves_the_spoilt_layer_in_float_and_says_so(tmp_path, data, dense):
    source = spoil(dense, tmp_path / "spoilt.keras", 1e4)
    said: list[str] = []
    limits = Limits(int8_drop=0.005, int8_agreement=0.99)  # a network of 16 units is coarse in int8
    settings = ExportSettings(
        source, tmp_path / "out", data, limits=limits, search=True, choice=QuantizationChoice(100)
    )
    done = export(settings, said.append)
    assert done.choice.float_layers == ("dense1",)
    assert "left in float: dense1; with every layer in int8 no choice passes" in said
    table = json.loads(done.proof.read_text())["search"]
    assert not any(line["passed"] for line in table if not line["choice"]["float_layers"])
    assert "int8" in table[0]["why"]


def test_search_that_finds_nothing_is_a_failed_gate(run, tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "quantize", broken_quantize)
    monkeypatch.setitem(search.__globals__, "_METHODS", ("minmax",))
    with pytest.raises(GateError, match=r"int8 .*the limit is"):
        export(ExportSettings(run.folder, tmp_path / "out", search=True))
    assert not (tmp_path / "out").exists()


# ---- What is refused ----


def test_keras_file_needs_labelled_rows(tmp_path, dense):
    with pytest.raises(UsageError, match="name labelled rows with --data"):
        export(ExportSettings(dense, tmp_path / "out"))


def test_other_data_than_the_runs_are_refused(run, tmp_path, tiles, labels):
    other = tiny.write_table(tmp_path / "other.csv", tiles[1::20], labels[1::20])
    with pytest.raises(InputError, match=r"other\.csv: is not the data that .* was trained on"):
        export(ExportSettings(run.folder, tmp_path / "out", data=other))
    assert not (tmp_path / "out").exists()


def test_the_runs_data_may_be_elsewhere_and_called_otherwise_without_changing_a_byte(
    run, exported, tmp_path, tiles, labels
):
    moved = tiny.write_table(tmp_path / "moved.csv", tiles[::2], labels[::2])
    done = export(ExportSettings(run.folder, tmp_path / "out", data=moved))
    assert done.fp32.read_bytes() == exported.fp32.read_bytes()
    assert done.int8.read_bytes() == exported.int8.read_bytes()


@pytest.mark.parametrize("text", ["[]", '"a"', '{"validation": {"accuracy": "x"}}', '{"test": 3}'])
def test_damaged_metrics_are_told(run, tmp_path, text):
    copy = Path(shutil.copytree(run.folder, tmp_path / "run"))
    (copy / "metrics.json").write_text(text)
    with pytest.raises(InputError, match=r"metrics\.json: is damaged"):
        export(ExportSettings(copy, tmp_path / "out"))


@pytest.mark.parametrize("name", sorted(FILES))
def test_existing_output_is_refused_and_left_as_it_is(run, tmp_path, name, monkeypatch):
    monkeypatch.setitem(export.__globals__, "load_network", lambda _: pytest.fail("work was done for it"))
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


@pytest.mark.parametrize("folder", ["file/out", "file/deep/out", "new/" + "x" * 300])
def test_folder_that_cannot_be_made_is_found_before_any_work(run, tmp_path, folder, monkeypatch):
    monkeypatch.setitem(export.__globals__, "open_source", lambda *_: pytest.fail("work was done for it"))
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"cannot be made: (Not a directory|File name too long)"):
        export(ExportSettings(run.folder, tmp_path / folder))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_file_whose_name_no_model_can_have_needs_another(tmp_path, data, dense):
    source = shutil.copy(dense, tmp_path / "my net.keras")
    with pytest.raises(UsageError, match="--name 'my net': a model's name begins with"):
        export(ExportSettings(source, tmp_path / "out", data))


@pytest.mark.parametrize("name", ["a/b", "../a", "", ".a", "a b", "a-fp32", "a-int8", "ä", "a" * 101, "a\n"])
def test_name_that_publish_would_refuse_is_refused_before_any_work(run, tmp_path, name, monkeypatch):
    monkeypatch.setitem(export.__globals__, "open_source", lambda *_: pytest.fail("work was done for it"))
    with pytest.raises(UsageError, match="a model's name begins with a letter or digit"):
        export(ExportSettings(run.folder, tmp_path / "out", name=name))


@pytest.mark.parametrize("what", ["missing", "empty folder", "text file"])
def test_source_that_is_no_run_is_refused(tmp_path, what):
    source = tmp_path / "run"
    if what == "empty folder":
        source.mkdir()
    elif what == "text file":
        source.write_text("a run")
    reason = r"run: there is no such run or file|run\.json: cannot be read|run: is neither a run's folder nor a \.keras"
    with pytest.raises(InputError, match=reason):
        export(ExportSettings(source, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


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


def broken_quantize(*given: object) -> onnx.ModelProto:
    quantized = quantize(*given)
    for kind in (onnx.TensorProto.INT8, onnx.TensorProto.UINT8):
        without_weights(quantized.graph, kind)
    return quantized


def slightly_off(*given: object) -> onnx.ModelProto:
    model = convert_or_refuse(*given)
    for tensor in model.graph.initializer:
        if tensor.name == "conv1_weight":
            values = numpy_helper.to_array(tensor) * np.float32(1.001)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return model


def wrong_activation(*given: object) -> onnx.ModelProto:
    model = convert_or_refuse(*given)
    (relu,) = (node for node in model.graph.node if node.op_type == "Relu")
    relu.op_type = "Tanh"
    return model


@pytest.mark.parametrize(
    ("module", "step", "broken", "reason"),
    [
        (
            bench,
            "quantize",
            broken_quantize,
            r"less accurate than fp32.*; the limit is 0\.05; \w+ has the worst signal",
        ),
        (None, "convert_or_refuse", slightly_off, "fp32 differs from Keras by"),
        (None, "convert_or_refuse", wrong_activation, "fp32 differs from Keras by"),
    ],
    ids=["quantization", "conversion", "activation"],
)
def test_broken_step_is_stopped_by_its_gate_and_nothing_is_written(
    run, tmp_path, monkeypatch, capsys, module, step, broken, reason
):
    monkeypatch.setitem(vars(module) if module else export.__globals__, step, broken)
    assert run_command(run.folder, "-o", tmp_path / "out") == 5
    said = capsys.readouterr()
    assert said.out == ""
    assert re.search(reason, said.err.splitlines()[-1])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("weight", [1e3, 1e5])
def test_a_huge_outlier_weight_is_stopped_and_its_layer_named(tmp_path, data, dense, capsys, weight):
    assert run_command(dense, "--data", data, "-o", tmp_path / "clean") == 0
    source = spoil(dense, tmp_path / "spoilt.keras", weight)
    capsys.readouterr()
    assert run_command(source, "--data", data, "-o", tmp_path / "out") == 5
    last = capsys.readouterr().err.splitlines()[-1]
    assert "int8" in last
    assert "the limit is" in last
    assert "; dense1 has the worst signal-to-noise, " in last
    assert not (tmp_path / "out").exists()


def test_network_of_nans_is_stopped_by_its_gate(tmp_path, data, dense, capsys):
    source = spoil(dense, tmp_path / "mine.keras", math.nan)
    assert run_command(source, "--data", data, "-o", tmp_path / "out") == 5
    assert "Keras gives NaN on 250 of 250 rows" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def with_activation(dense: Path, layer: int, activation: str, path: Path) -> Path:
    network = keras.models.load_model(dense)
    network.layers[layer].activation = keras.activations.get(activation)
    return save(network, path)


def test_a_network_with_another_activation_than_it_was_trained_with_is_stopped(run, tmp_path, capsys):
    """The run's folder holds another network than its training measured."""
    copy = tmp_path / "run"
    shutil.copytree(run.folder, copy)
    network = keras.models.load_model(run.best)
    inverted = keras.models.clone_model(network, clone_function=lambda layer: swap(layer))
    inverted.set_weights(network.get_weights())
    inverted.save(copy / "best.keras")
    assert run_command(copy, "-o", tmp_path / "out") == 5
    last = capsys.readouterr().err.splitlines()[-1]
    assert "best.keras is right on" in last
    assert "its training wrote down" in last
    assert not (tmp_path / "out").exists()


def swap(layer: keras.Layer) -> keras.Layer:
    if isinstance(layer, keras.layers.ReLU):
        return keras.layers.Activation("hard_sigmoid")
    return layer.__class__.from_config(layer.get_config())


@pytest.mark.parametrize("activation", ["linear", "sigmoid", "log_softmax"])
def test_network_without_probabilities_is_refused(tmp_path, data, dense, capsys, activation):
    source = with_activation(dense, -1, activation, tmp_path / "mine.keras")
    assert run_command(source, "--data", data, "-o", tmp_path / "out") == 1
    said = capsys.readouterr().err
    assert "mine.keras: gives values from" in said
    assert "no ten probabilities for each tile: end it with a softmax" in said
    assert not (tmp_path / "out").exists()


def test_limits_are_options(tmp_path, data, dense, capsys):
    source = spoil(dense, tmp_path / "spoilt.keras", 1e4)
    given = (source, "--data", data, "-o", tmp_path / "out")
    assert run_command(*given, "--max-drop", "1", "--min-agreement", "0") == 0
    assert run_command(*given, "--force", "--max-drop", "1", "--min-agreement", "0", "--max-difference", "1e-12") == 5
    assert "the limit is 1e-12" in capsys.readouterr().err
    assert run_command(*given, "--force", "--min-accuracy", "0.999") == 5
    assert "the limit is 99.9 %" in capsys.readouterr().err
    assert run_command(*given, "--force", "--method", "best") == 2
    assert Limits() == Limits(1e-5, 0.0005, 0.999, 0.5)


def test_command_prints_the_comparison_and_the_files(run, tmp_path, capsys):
    assert run_command(run.folder, "-o", tmp_path, "--name", "mine") == 0
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines[0].startswith("on 250 held-out rows")
    assert [line.split()[0] for line in lines[1:4]] == ["Keras", "fp32", "int8"]
    for line, precision in zip(lines[5:], ("fp32", "int8"), strict=True):
        path = tmp_path / f"mine-{precision}.onnx"
        assert line == f"{path}  {path.stat().st_size:,} bytes"
    assert "converting" in said.err
    assert "comparing on 250 held-out rows" in said.err


def test_a_model_past_64_mb_is_refused(run, tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["edge_digits.model_files"], "MAX_BYTES", 1000)
    with pytest.raises(InputError, match="exports to a model that does not run: is larger than"):
        export(ExportSettings(run.folder, tmp_path / "out"))


def test_metadata_are_written_in_their_order():
    model = onnx.helper.make_model(onnx.helper.make_graph([], "g", [], []))
    written = onnx.load_from_string(write_bytes(model, {"b": "1", "a": "2"}))
    assert [entry.key for entry in written.metadata_props] == ["edge_digits.b", "edge_digits.a"]
