"""Bundled models made anew from their networks."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import proofs
import pytest
from numpy.typing import NDArray

pytest.importorskip("tensorflow", reason="export is not installed: pip install 'edge-digits[train]'")
pytest.importorskip("tf2onnx", reason="export is not installed: pip install 'edge-digits[train]'")

import onnx
from onnx import numpy_helper

from edge_digits import cli
from edge_digits.classifier import Classifier, Predictions
from edge_digits.errors import EdgeDigitsError, GateError, InputError, ModelError, UsageError
from edge_digits_export import QuantizationChoice, quantize, renew, renewal
from edge_digits_export.graph import read_metadata, write_bytes
from edge_digits_export.proof import tool_versions
from edge_digits_export.rebuild import rebuild_fp32

NAME = "digits-nano"
INT8 = f"{NAME}-int8.onnx"


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """The models package of a checkout that holds nano alone."""
    folder = tmp_path / "models" / "edge_digits_models"
    networks = folder.parent / "networks"
    folder.mkdir(parents=True)
    networks.mkdir()
    for path in proofs.BUNDLED.glob(f"{NAME}*"):
        shutil.copy(path, folder)
    for path in (proofs.BUNDLED.parent / "networks").glob(f"{NAME}.*"):
        shutil.copy(path, networks)
    bundled = json.loads((proofs.BUNDLED / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({"default": NAME, "models": {NAME: bundled["models"][NAME]}}))
    return folder


@pytest.fixture
def older(models: Path) -> Path:
    """Those of an export that took no 2 × 2 pixels at once, by older tools."""
    networks = models.parent / "networks"
    facts = json.loads((networks / f"{NAME}.json").read_text())
    for says in facts["metadata"].values():
        says["tools"] = "keras 3.0.0"
    fp32 = rebuild_fp32(networks / f"{NAME}.keras", facts["temperature"], facts["metadata"]["fp32"])
    ranges = {name: (low, high) for name, (low, high) in facts["ranges"].items()}
    choice = replace(QuantizationChoice.from_dict(facts["choice"]), blocks=False)
    int8 = quantize(onnx.load_from_string(fp32), choice, ranges)
    write(models, INT8, write_bytes(int8, facts["metadata"]["int8"]))
    (networks / f"{NAME}.json").write_text(json.dumps(facts))
    return models


@pytest.fixture
def rows(tmp_path: Path, tiles: NDArray[np.uint8], labels: NDArray[np.int64]) -> str:
    path = tmp_path / "rows.csv"
    columns = ",".join(["label", *(f"pixel{i}" for i in range(784))])
    table = np.column_stack([labels[::10], tiles[::10].reshape(-1, 784)])
    np.savetxt(path, table, "%d", ",", header=columns, comments="")
    return str(path)


def write(models: Path, file: str, data: bytes) -> None:
    """A model, and what the manifest says of it."""
    (models / file).write_bytes(data)
    manifest = json.loads((models / "manifest.json").read_text())
    precision = file.removesuffix(".onnx").rpartition("-")[2]
    found = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    manifest["models"][NAME]["files"][precision] |= found
    (models / "manifest.json").write_text(json.dumps(manifest))


def contents(models: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in models.parent.rglob("*") if path.is_file()}


def quiet(_: str) -> None: ...


def test_files_that_are_what_the_network_makes_stay(models: Path, rows: str) -> None:
    before = contents(models)
    (renewed,) = renew(models, rows, [], quiet)
    assert renewed.text() == "digits-nano: its files are what its network makes now"
    assert contents(models) == before


def test_older_files_become_what_the_network_makes_now(older: Path, rows: str) -> None:
    entry = json.loads((older / "manifest.json").read_text())["models"][NAME]
    before = (older / INT8).stat().st_size
    (renewed,) = renew(older, rows, [NAME], quiet)
    assert renewed.sizes["int8"] == (before, (older / INT8).stat().st_size)
    assert (renewed.answers["int8"].rows, renewed.answers["int8"].other_digits) == (500, 0)
    made, bundled = (onnx.load(folder / INT8).graph for folder in (older, proofs.BUNDLED))
    assert [node.op_type for node in made.node] == [node.op_type for node in bundled.node]

    new = json.loads((older / "manifest.json").read_text())["models"][NAME]
    facts = json.loads((older.parent / "networks" / f"{NAME}.json").read_text())
    for precision, file in new["files"].items():
        data = (older / file["file"]).read_bytes()
        assert (file["bytes"], file["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
        assert facts["sha256"][precision] == file["sha256"]
        said = read_metadata(data)["tools"]
        assert said == ", ".join(f"{name} {number}" for name, number in tool_versions().items())
        assert file["accuracy"] == entry["files"][precision]["accuracy"]
    for key in ("source", "measured", "temperature", "reader", "parameters"):
        assert new[key] == entry[key]
    assert new["latency"]["ratio_fp32_to_int8"] == pytest.approx(
        new["latency"]["fp32_us"] / new["latency"]["int8_us"], abs=0.006
    )
    assert new["tools"] == tool_versions()


def test_the_card_tells_the_new_files_and_keeps_what_was_measured(older: Path, rows: str) -> None:
    renew(older, rows, [], quiet)
    entry = json.loads((older / "manifest.json").read_text())["models"][NAME]
    card, bundled = ((folder / f"{NAME}.md").read_text() for folder in (older, proofs.BUNDLED))
    assert f"| `{INT8}` | {entry['files']['int8']['bytes']:,} |" in card
    assert f"the ratio {entry['latency']['ratio_fp32_to_int8']:.2f} of" in " ".join(card.split())
    facts = bundled[bundled.index("- **Trained**") :]
    assert card.endswith(facts)


def test_renewing_twice_changes_nothing_more(older: Path, rows: str) -> None:
    renew(older, rows, [], quiet)
    before = contents(older)
    renew(older, rows, [], quiet)
    assert contents(older) == before


def test_a_renewal_that_was_cut_short_is_done_again(older: Path, rows: str) -> None:
    """The files were written, the manifest was not."""
    manifest = (older / "manifest.json").read_text()
    renew(older, rows, [], quiet)
    whole = json.loads((older / "manifest.json").read_text())["models"][NAME]
    (older / "manifest.json").write_text(manifest)
    renew(older, rows, [], quiet)
    again = json.loads((older / "manifest.json").read_text())["models"][NAME]
    assert again["files"] == whole["files"]
    assert again["check"] == whole["check"]


def other_digits(models: Path) -> None:
    """int8 as it was takes everything for a 0."""
    model = onnx.load(models / INT8)
    bias = next(one for one in model.graph.initializer if one.name == "dense1_bias_q")
    values = numpy_helper.to_array(bias).copy()
    values[0] += 100_000_000
    bias.CopyFrom(numpy_helper.from_array(values, bias.name))
    write(models, INT8, model.SerializeToString())


def other_network(models: Path) -> None:
    shutil.copy(models.parents[0] / "networks" / f"{NAME}.keras", models.parent / "kept")
    shutil.copy(proofs.BUNDLED.parent / "networks" / "digits.keras", models.parent / "networks" / f"{NAME}.keras")


def no_network(models: Path) -> None:
    (models.parent / "networks" / f"{NAME}.keras").unlink()


def no_facts(models: Path) -> None:
    (models.parent / "networks" / f"{NAME}.json").unlink()


def no_file(models: Path) -> None:
    (models / INT8).unlink()


def other_answers(models: Path) -> None:
    """What is stored of the check tiles is not what the files say."""
    manifest = json.loads((models / "manifest.json").read_text())
    expected = manifest["models"][NAME]["check"]["expected"]
    expected["int8"] = [row[::-1] for row in expected["int8"]]
    (models / "manifest.json").write_text(json.dumps(manifest))


def no_manifest(models: Path) -> None:
    (models / "manifest.json").write_text("[]")


@pytest.mark.parametrize(
    ("spoil", "kind", "says"),
    [
        (other_digits, GateError, "made anew it gives another digit on"),
        (other_network, InputError, "is not the network that the manifest's digits-nano was made of"),
        (no_network, InputError, "digits-nano.keras: there is no such file"),
        (no_facts, InputError, "digits-nano.json: cannot be read"),
        (no_file, InputError, "digits-nano-int8.onnx: there is no such file"),
        (other_answers, ModelError, "answers otherwise than when it was published"),
        (no_manifest, InputError, "manifest.json: is no JSON object"),
    ],
)
def test_renew_refuses_and_writes_nothing(
    older: Path, rows: str, spoil: Any, kind: type[EdgeDigitsError], says: str
) -> None:
    spoil(older)
    before = contents(older)
    with pytest.raises(kind, match=says):
        renew(older, rows, [], quiet)
    assert contents(older) == before


def test_a_digit_score_that_moved_is_refused(older: Path, rows: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a hundredth more than int8 may be off, with probabilities that are the same."""
    asked = []

    def classify(self: Classifier, tiles: NDArray[np.uint8]) -> Predictions:
        asked.append(self.name)
        moved = np.float32(0.011 * (len(asked) % 2))
        n = 1 if tiles.ndim == 2 else len(tiles)
        return Predictions(np.eye(10, dtype=np.float32)[np.zeros(n, int)], np.full(n, moved, np.float32))

    monkeypatch.setattr(Classifier, "classify", classify)
    monkeypatch.setattr(renewal, "check_answers", lambda *_: 0.0)
    before = contents(older)
    with pytest.raises(GateError, match=r"made anew it gives a digit score that is 0\.011 off"):
        renew(older, rows, [], quiet)
    assert contents(older) == before


def test_another_name_is_told_which_there_are(models: Path, rows: str) -> None:
    with pytest.raises(UsageError, match="it has no model 'digits'; it has digits-nano"):
        renew(models, rows, ["digits"], quiet)


def test_rows_that_cannot_be_read_are_told_first(models: Path) -> None:
    with pytest.raises(InputError, match=r"none\.csv"):
        renew(models, "none.csv", [], quiet)


def test_the_command_prints_what_became_of_each(
    older: Path, rows: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    asked = ["models", "renew", "--data", rows, "-o"]
    assert cli.app([*asked, str(older)], standalone_mode=False) in (0, None)
    out = capsys.readouterr().out
    assert out.startswith("digits-nano-fp32: 30,418 bytes, now 30,")
    assert "answers to 500 rows: another digit on 0; probabilities differ by" in out
    assert cli.app([*asked, str(older / "none")], standalone_mode=False) == 2
    other_digits(older)
    (older.parent / "networks" / f"{NAME}.keras").unlink()
    assert cli.app([*asked, str(older)], standalone_mode=False) == 1
