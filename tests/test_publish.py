from __future__ import annotations

import copy
import hashlib
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import proofs
import pytest
from numpy.typing import NDArray

pytest.importorskip("tensorflow", reason="export is not installed: pip install 'edge-digits[train]'")
pytest.importorskip("tf2onnx", reason="export is not installed: pip install 'edge-digits[train]'")

import keras
import onnx
from keras import layers

from edge_digits import cli
from edge_digits.classifier import Classifier
from edge_digits.errors import EdgeDigitsError, GateError, InputError, ModelError, OutputError
from edge_digits.model_check import CheckTiles, check_answers
from edge_digits_export import ExportSettings, export, publish, rebuild_models, sources
from edge_digits_export.card import card
from edge_digits_export.convert import hash_weights, load_network, predict

NETWORK = Path(__file__).parents[1] / "models" / "networks" / "digits.keras"
Proof = dict[str, Any]


@pytest.fixture(scope="module")
def made(tiles: NDArray[np.uint8], labels: NDArray[np.int64]) -> Proof:
    """The proof of the bundled model, whose network is at hand."""
    proof = proofs.proof(tiles[::2], labels[::2])
    proof["source"].update(network=str(NETWORK), network_sha256=hash_weights(load_network(NETWORK)))
    return proof


@pytest.fixture
def exported(made: Proof, tmp_path: Path) -> Path:
    """The proof with its files beside it, as an export leaves them; may be changed."""
    folder = tmp_path / "exported"
    folder.mkdir()
    for precision in ("fp32", "int8"):
        shutil.copy(proofs.BUNDLED / f"digits-{precision}.onnx", folder)
    path = folder / "digits.proof.json"
    path.write_text(json.dumps(made))
    return path


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models" / "edge_digits_models"
    folder.mkdir(parents=True)
    return folder


def change(path: Path, **parts: Any) -> None:
    """Changes a proof: `parity__int8_drop=1`."""
    proof = json.loads(path.read_text())
    for name, value in parts.items():
        *outer, last = name.split("__")
        place = proof
        for key in outer:
            place = place[key]
        place[last] = value
    path.write_text(json.dumps(proof))


# ---- what is written


def test_publish_writes_models_manifest_card_network_and_what_rebuilds_them(
    exported: Path, models: Path, made: Proof, tiles: NDArray[np.uint8]
) -> None:
    assert publish(exported, models) == models / "digits.md"
    names = {"digits-fp32.onnx", "digits-int8.onnx", "manifest.json", "digits.md"}
    assert {path.name for path in models.iterdir()} == names
    networks = models.parent / "networks"
    assert {path.name for path in networks.iterdir()} == {"digits.keras", "digits.json"}
    for precision in ("fp32", "int8"):
        name = f"digits-{precision}.onnx"
        assert (models / name).read_bytes() == (proofs.BUNDLED / name).read_bytes()
    kept = load_network(networks / "digits.keras")
    assert hash_weights(kept) == made["source"]["network_sha256"]
    said = [predict(network, tiles[:20]).probabilities for network in (kept, load_network(NETWORK))]
    np.testing.assert_array_equal(*said)


def test_the_manifest_says_what_the_proof_found(exported: Path, models: Path, made: Proof) -> None:
    publish(exported, models)
    manifest = json.loads((models / "manifest.json").read_text())
    assert manifest["default"] == "digits"
    entry = manifest["models"]["digits"]
    for key in ("version", "parameters", "multiply_adds", "temperature", "latency", "check", "tools"):
        assert entry[key] == made[key]
    assert entry["prefers"] == "int8"
    for precision in ("fp32", "int8"):
        told = Classifier(f"digits-{precision}")
        own = {"reject_below": told.reject_below, "picture_temperature": told.picture_temperature}
        assert entry["reader"][precision] == own
        data = (models / f"digits-{precision}.onnx").read_bytes()
        figures = {key: made["parity"][precision][key] for key in ("accuracy", "n", "interval")}
        assert entry["files"][precision] == {
            "file": f"digits-{precision}.onnx", "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(),
            "accuracy": figures,
        }  # fmt: skip
    assert "network" not in entry["source"]  # a path of the machine that it was made on
    assert str(NETWORK.parent) not in (models / "manifest.json").read_text()
    assert str(NETWORK.parent) not in (models / "digits.md").read_text()
    assert entry["source"]["network_sha256"] == made["source"]["network_sha256"]


def test_numbers_of_a_row_stand_on_one_line(exported: Path, models: Path) -> None:
    publish(exported, models)
    lines = (models / "manifest.json").read_text().splitlines()
    assert sum(line.count(",") >= 9 for line in lines) == 20  # ten answers each of fp32 and int8
    assert len(lines) < 120


def test_publish_keeps_the_other_models_and_the_default(exported: Path, models: Path) -> None:
    other = {"default": "first", "models": {"first": {"prefers": "int8", "files": {}, "said": "[ 1 ,  2 ]"}}}
    (models / "manifest.json").write_text(json.dumps(other))
    publish(exported, models)
    found = json.loads((models / "manifest.json").read_text())
    assert found["default"] == "first"
    assert list(found["models"]) == ["first", "digits"]
    assert found["models"]["first"] == other["models"]["first"]


def test_publishing_again_replaces_the_model(exported: Path, models: Path) -> None:
    publish(exported, models)
    change(exported, version="9.9.9")
    publish(exported, models)
    manifest = json.loads((models / "manifest.json").read_text())
    assert list(manifest["models"]) == ["digits"]
    assert manifest["models"]["digits"]["version"] == "9.9.9"
    assert (models / "digits.md").read_text().startswith("# digits 9.9.9\n")


def test_what_was_published_is_what_verify_passes(exported: Path, models: Path) -> None:
    publish(exported, models)
    entry = json.loads((models / "manifest.json").read_text())["models"]["digits"]
    check = CheckTiles.from_dict("manifest.json", entry["check"])
    for precision in ("fp32", "int8"):
        check_answers(Classifier(models / f"digits-{precision}.onnx"), check, precision)


# ---- the card


def test_the_card_says_what_a_person_wants_to_know(exported: Path, models: Path, made: Proof) -> None:
    text = " ".join(publish(exported, models).read_text().split())
    for precision in ("fp32", "int8"):
        found = made["parity"][precision]
        low, high = (100 * end for end in found["interval"])
        assert f"{100 * found['accuracy']:.2f} % ({low:.2f} to {high:.2f}, n = {found['n']:,})" in text
        assert f"| {made['files'][precision]['bytes']:,} |" in text
    parts = [
        "# digits 0.1.0", "82,786 parameters", "5,665,632 multiply-adds", "the ratio 2.32 of fp32 to int8",
        "recipe `base`, seed 0, 80 passes, on 37,800 rows of train.csv", "1" * 64, "**Licence**: MIT", "CC BY-SA 3.0",
        f"the temperature {made['temperature']['value']:.4g}", "2,500 rows of train.csv, held out",
        "a little kind", "keras 3.15.1",
        "`digits` alone means `digits-int8`",
    ]  # fmt: skip
    for part in parts:
        assert part in text


def entry_of(proof: Proof) -> Proof:
    files = {p: {**file, "accuracy": proof["parity"][p]} for p, file in proof["files"].items()}
    return {"prefers": "int8", "files": files, **{key: proof[key] for key in (
        "version", "parameters", "multiply_adds", "temperature", "latency", "source", "tools")}}  # fmt: skip


def test_the_card_names_the_most_frequent_mistakes(made: Proof) -> None:
    proof = copy.deepcopy(made)
    confusion = np.diag([100] * 10)
    confusion[4, 9], confusion[7, 1], confusion[3, 5], confusion[8, 2] = 9, 5, 7, 1
    proof["parity"]["int8"].update(confusion=confusion.tolist(), n=1022, correct=1000)
    text = " ".join(card("digits", entry_of(proof), proof["parity"]).split())
    worst = "a 4 read as 9 (9 of 109), a 3 read as 5 (7 of 107), a 7 read as 1 (5 of 105)."
    assert f"22 of these 1,022 rows, most often {worst}" in text
    proof["parity"]["int8"].update(confusion=np.diag([100] * 10).tolist(), n=1000, correct=1000)
    assert "it made no mistake on these 1,000 rows, which says little" in card(
        "digits", entry_of(proof), proof["parity"]
    )


def test_the_card_of_other_sources_claims_nothing_of_them(made: Proof) -> None:
    proof = copy.deepcopy(made)
    data = {**proof["source"]["data"], "name": "my-digits", "compared_rows_were": "which it may have seen"}
    proof["source"] = {"data": data}
    proof["temperature"] = {"value": 1.0, "rows": 0, "loss_before": None, "loss_after": None}
    text = " ".join(card("digits", entry_of(proof), proof["parity"]).split())
    assert "a network that was trained elsewhere, on 37,800 rows of my-digits" in text
    assert "The rows of my-digits have terms of their own." in text
    assert "as trained, not calibrated" in text
    assert "which it may have seen" in text
    assert not {"MNIST's (", "CC BY", "a little kind", "recipe"} & {
        part for part in ("CC BY", "recipe") if part in text
    }


def test_the_card_of_a_refit_holds_nothing_out(made: Proof) -> None:
    proof = copy.deepcopy(made)
    proof["source"].update({"refit": True, "pass": None})
    text = card("digits", entry_of(proof), proof["parity"])
    assert "Nothing was held out" in text
    assert "None" not in text


def test_the_card_names_the_teachers(made: Proof) -> None:
    proof = copy.deepcopy(made)
    assert "Taught" not in card("digits", entry_of(proof), proof["parity"])
    proof["source"]["teaching"] = {"recipe": "large", "networks": 2}
    text = " ".join(card("digits", entry_of(proof), proof["parity"]).split())
    assert "Taught on the same rows by recipe `large` (2 of its networks)." in text
    proof["source"]["teacher_file"] = "mine.keras"
    text = " ".join(card("digits", entry_of(proof), proof["parity"]).split())
    assert "Taught by `mine.keras`." in text
    assert "large" not in text


@pytest.mark.parametrize(
    ("named", "recipe", "told"),
    [
        (None, "", None),
        (None, "teacher", "the network of recipe `teacher`"),
        ("/runs/x/best.keras", "", "the network in `best.keras`"),
        ("/runs/x/best.keras", "teacher", "the network in `best.keras`"),
    ],
)
def test_the_card_names_what_the_network_began_as(
    made: Proof, named: str | None, recipe: str, told: str | None
) -> None:
    """A file that was named goes before the recipe that is trained first where none is."""
    proof = copy.deepcopy(made)
    proof["source"].update(sources._began({"start": named, "settings": {"start": recipe}}))
    text = " ".join(card("digits", entry_of(proof), proof["parity"]).split())
    assert f"It began as {told}." in text if told else "It began as" not in text
    assert text.count("It began as") <= 1


# ---- a refit


@pytest.fixture
def refit(exported: Path, made: Proof) -> tuple[Path, Path]:
    """The proofs of a refit and of the training before it."""
    before = exported.parent / "before.proof.json"
    before.write_text(json.dumps(made))
    change(exported, source__refit=True, source__data__compared_rows_were="that it was trained on",
           source__data__training_rows=42000, parity__int8__accuracy=0.99999, parity__fp32__accuracy=1.0)  # fmt: skip
    return exported, before


def test_a_refit_is_published_with_the_figures_of_the_training_before_it(
    refit: tuple[Path, Path], models: Path, made: Proof
) -> None:
    publish(refit[0], models, refit[1])
    entry = json.loads((models / "manifest.json").read_text())["models"]["digits"]
    for precision in ("fp32", "int8"):
        assert entry["files"][precision]["accuracy"]["accuracy"] == made["parity"][precision]["accuracy"] < 0.9999
    assert entry["source"]["data"]["training_rows"] == 42000
    assert entry["measured"] == made["source"]["data"]
    text = " ".join((models / "digits.md").read_text().split())
    rows = f"{made['source']['data']['training_rows']:,}"
    assert f"held out from the same training on the other {rows}, which came before this one on all." in text
    assert "recipe `base`, seed 0, 80 passes, on 42,000 rows" in text
    assert "Nothing was held out" in text


def test_a_refit_without_those_figures_is_refused(refit: tuple[Path, Path], models: Path) -> None:
    with pytest.raises(GateError, match="digits: a refit: name the proof of the training before it with --measured"):
        publish(refit[0], models)
    assert not list(models.iterdir())


@pytest.mark.parametrize(
    "parts",
    [
        {"source__seed": 1}, {"source__recipe": "micro"}, {"source__data__sha256": "0" * 64},
        {"temperature__value": 2.0}, {"source__data__compared_rows_were": "that it was trained on"},
    ],
)  # fmt: skip
def test_figures_of_another_training_are_refused(refit: tuple[Path, Path], models: Path, parts: dict[str, Any]) -> None:
    change(refit[1], **parts)
    with pytest.raises(InputError, match=r"before\.proof\.json: is not the proof of the training that digits\.proof"):
        publish(refit[0], models, refit[1])
    assert not list(models.iterdir())


def test_figures_of_the_training_before_are_gated_too(refit: tuple[Path, Path], models: Path) -> None:
    change(refit[1], parity__int8_drop=0.01)
    with pytest.raises(GateError, match=r"1\.00 points less accurate"):
        publish(refit[0], models, refit[1])


def test_what_is_no_refit_has_figures_of_its_own(exported: Path, models: Path) -> None:
    with pytest.raises(InputError, match="is not the proof of the training"):
        publish(exported, models, exported)


# ---- what is refused

REFUSALS: dict[str, tuple[dict[str, Any], type[EdgeDigitsError], str]] = {
    "drop": ({"parity__int8_drop": 0.0006}, GateError, r"int8 is 0\.06 points less.*; the limit is 0\.05"),
    "drop within chance": (
        {"parity__int8_drop": 0.0006, "parity__int8_drop_interval": 0.01}, GateError, "the limit is 0.05"
    ),
    "NaN drop": ({"parity__int8_drop": math.nan}, GateError, "int8 is nan points less"),
    "few rows": ({"parity__int8__n": 1999}, GateError, "measured on 1,999 rows; the least is 2,000"),
    "agreement": (
        {"parity__fp32_int8__different_clear_digits": 3, "parity__fp32_int8__clear_rows": 2500},
        GateError, r"another digit than fp32 on 3 of 2,500 clear rows; the limit is 0\.10%",
    ),
    "difference": ({"parity__keras_fp32__max_difference": 2e-5}, GateError, "fp32 differs from Keras by 2e-05"),
    "NaN difference": ({"parity__keras_fp32__max_difference": math.nan}, GateError, "fp32 differs from Keras by nan"),
    "digit": ({"parity__keras_fp32__different_digits": 1}, GateError, "fp32 gives another digit than Keras on 1 row"),
    "gate": (
        {"gates": [{"name": "something", "figure": 3, "limit": 2, "passed": False}]},
        GateError, "the gate 'something' was not passed",
    ),
    "no figures": ({"parity": {}}, InputError, r"does not say parity\.fp32\.n; export anew"),
    "no check tiles": ({"check": {}}, InputError, r"does not say check\.tiles; export anew"),
    "no latency": ({"latency": None}, InputError, r"does not say latency\.fp32_us"),
    "name": ({"name": "../digits"}, InputError, "is no name for a model"),
    "name of a file": ({"name": "digits-int8"}, InputError, "is no name for a model"),
    "no network": ({"source__network": "gone.keras"}, InputError, r"gone\.keras"),
    "other network": ({"source__network_sha256": "0" * 64}, InputError, "is not the network that"),
    "other file": ({"files__int8__sha256": "0" * 64}, InputError, "digits-int8.onnx: is not the file that"),
    "no tiles": ({"check": {"tiles": "", "expected": {"fp32": [], "int8": []}}}, ModelError, "it has no check tiles"),
    "text for a drop": ({"parity__int8_drop": "x"}, InputError, r"is damaged: its parity\.int8_drop is str"),
    "text for gates": ({"gates": "x"}, InputError, "is damaged: its gates is str"),
    "empty gate": ({"gates": [{}]}, InputError, "is damaged: its gates are none"),
    "no number of rows": ({"parity__int8__n": None}, InputError, r"its parity\.int8\.n is NoneType"),
    "yes rows": ({"parity__int8__n": True}, InputError, r"its parity\.int8\.n is bool"),
    "number for a name": ({"name": 5}, InputError, "is damaged: its name is int"),
    "text for ranges": ({"quantization__ranges": "x"}, InputError, r"its quantization\.ranges is str"),
    "ranges of nothing": ({"quantization__ranges": {"relu1": 3}}, InputError, "is damaged"),
    "missing range": ({"quantization__ranges": {}}, InputError, "does not fit: there is no range for relu1"),
    "no choice": ({"quantization__choice": {"method": 3}}, InputError, "is damaged"),
    "text for confusion": ({"parity__int8__confusion": "x"}, InputError, r"its parity\.int8\.confusion is str"),
    "odd confusion": ({"parity__int8__confusion": [3]}, InputError, "is damaged"),
    "odd interval": ({"parity__fp32__interval": ["a"]}, InputError, "is damaged"),
    "number for a network": ({"source__network": 3}, InputError, r"its source\.network is int"),
    "text for tools": ({"tools": "x"}, InputError, "its tools is str"),
    "text for rows": ({"source__data__compared_rows": "x"}, InputError, "is str"),
    "tiles that are none": ({"check__tiles": "!!"}, ModelError, "its check tiles cannot be read"),
    "odd pixels": ({"pixels": "half"}, InputError, "is damaged"),
    "odd temperature": ({"temperature": {"value": 1.0, "rows": "x"}}, InputError, "is damaged|not what its network"),
    "other ranges": (
        {"quantization__ranges": {f"relu{i}": [0.0, 3.0] for i in range(1, 6)}},
        InputError, "its files are not what its network makes with these tools: export anew",
    ),
    "other temperature": ({"temperature__value": 1.0}, InputError, "are not what its network makes"),
    "other answers": ({"check__expected__fp32": [[0.1] * 10] * 10}, ModelError, "answers otherwise than"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSALS)
def test_publish_refuses_and_writes_nothing(exported: Path, models: Path, kind: str) -> None:
    changes, error, reason = REFUSALS[kind]
    change(exported, **changes)
    with pytest.raises(error, match=reason) as caught:
        publish(exported, models)
    assert "\n" not in str(caught.value)
    assert list(models.parent.rglob("*")) == [models]


def test_figures_at_their_limits_pass(exported: Path, models: Path) -> None:
    change(
        exported, parity__int8_drop=0.0005, parity__fp32_int8__rows=2000, parity__fp32_int8__clear_rows=2000,
        parity__fp32_int8__different_clear_digits=2, parity__keras_fp32__max_difference=1e-5,
    )  # fmt: skip
    publish(exported, models)


@pytest.mark.parametrize("name", ["digits-fp32.onnx", "digits-int8.onnx", "digits.proof.json"])
def test_publish_of_half_an_export_names_what_is_missing(exported: Path, models: Path, name: str) -> None:
    (exported.parent / name).unlink()
    with pytest.raises(InputError, match=f"{name}: cannot be read: No such file"):
        publish(exported, models)
    assert list(models.parent.rglob("*")) == [models]


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"a proof"', "\x00"])
def test_what_is_no_proof_is_refused(exported: Path, models: Path, text: str) -> None:
    exported.write_text(text)
    with pytest.raises(InputError, match="is no export's proof"):
        publish(exported, models)


def other_opset(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 16


def other_domain(model: onnx.ModelProto) -> None:
    model.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))


def other_ir(model: onnx.ModelProto) -> None:
    model.ir_version = 7


def called_int8(model: onnx.ModelProto) -> None:
    next(entry for entry in model.metadata_props if entry.key == "edge_digits.precision").value = "int8"


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (other_opset, "its opset is 16, not 17"),
        (other_domain, "the operator domain 'com.microsoft'"),
        (other_ir, "its IR version is 7, not 8"),
        (called_int8, "says of itself that it is int8"),
    ],
)
def test_a_file_past_the_contract_is_refused_though_its_proof_knows_it(
    exported: Path, models: Path, edit: Callable[[onnx.ModelProto], None], reason: str
) -> None:
    path = exported.parent / "digits-fp32.onnx"
    model = onnx.load(path)
    edit(model)
    path.write_bytes(model.SerializeToString())
    change(exported, files__fp32__sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    with pytest.raises(ModelError, match=reason):
        publish(exported, models)
    assert list(models.parent.rglob("*")) == [models]


def test_a_folder_for_networks_that_cannot_be_made_is_told(exported: Path, models: Path) -> None:
    (models.parent / "networks").write_text("a file")
    with pytest.raises(OutputError, match="networks: cannot be made"):
        publish(exported, models)
    assert list(models.iterdir()) == []


@pytest.mark.parametrize(("int8_us", "prefers"), [(60.0, "int8"), (105.0, "int8"), (106.0, "fp32")])
def test_the_faster_file_is_preferred(exported: Path, models: Path, int8_us: float, prefers: str) -> None:
    change(exported, latency__fp32_us=100.0, latency__int8_us=int8_us)
    publish(exported, models)
    assert json.loads((models / "manifest.json").read_text())["models"]["digits"]["prefers"] == prefers
    assert f"`digits` alone means `digits-{prefers}`" in " ".join((models / "digits.md").read_text().split())


def test_a_damaged_manifest_is_kept(exported: Path, models: Path) -> None:
    (models / "manifest.json").write_text("{")
    with pytest.raises(InputError, match=r"manifest\.json: is no manifest"):
        publish(exported, models)
    assert (models / "manifest.json").read_text() == "{"
    assert list(models.parent.rglob("*")) == [models, models / "manifest.json"]


# ---- from a network of one's own to a published model, and back


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, tiles: NDArray[np.uint8], labels: NDArray[np.int64]) -> Path:
    """The proof of a small network, trained here, exported, and compared on 2,500 rows of a test part."""
    folder = tmp_path_factory.mktemp("small")
    keras.utils.set_random_seed(3)
    given = keras.Input((28, 28), dtype="uint8")
    x = layers.Conv2D(6, 5, strides=2, activation="relu")(layers.Reshape((28, 28, 1))(layers.Rescaling(1 / 255)(given)))
    network = keras.Model(given, layers.Dense(10, activation="softmax")(layers.Flatten()(x)))
    network.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    network.fit(tiles[::2], labels[::2], batch_size=50, epochs=4, verbose=0)
    network.save(folder / "small.keras")
    np.savez(
        folder / "rows.npz", x_train=tiles[::2], y_train=labels[::2].astype(np.uint8),
        x_test=tiles[1::2], y_test=labels[1::2].astype(np.uint8),
    )  # fmt: skip
    done = export(ExportSettings(folder / "small.keras", folder / "out", data=folder / "rows.npz"))
    return done.proof


def test_an_export_is_published_and_rebuilt_byte_for_byte(small: Path, models: Path) -> None:
    facts = json.loads(small.read_text())
    facts["parity"]["int8_drop"] = min(facts["parity"]["int8_drop"], 0.0005)  # a weak network's may be more, by chance
    facts["parity"]["fp32_int8"]["different_clear_digits"] = 0
    small.write_text(json.dumps(facts))
    text = publish(small, models).read_text()
    assert "2,500 rows of rows.npz, of the test part" in text
    networks = models.parent / "networks"
    again = rebuild_models(networks / "small.keras", json.loads((networks / "small.json").read_text()))
    for precision in ("fp32", "int8"):
        assert again[precision] == (models / f"small-{precision}.onnx").read_bytes()


def test_the_command_prints_the_card_that_it_wrote(
    exported: Path, models: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    assert cli.app(["models", "publish", str(exported), "-o", str(models)], standalone_mode=False) in (0, None)
    assert capsys.readouterr().out == f"published: {models / 'digits.md'}\n"
    assert cli.app(["models", "publish", str(exported), "-o", str(models / "none")], standalone_mode=False) == 2
    change(exported, parity__int8_drop=0.5)
    assert cli.app(["models", "publish", str(exported), "-o", str(models)], standalone_mode=False) == 5
