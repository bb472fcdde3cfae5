"""The digit score of an export: its threshold, how well it parts digits from other things, and its gates."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="export is not installed: pip install 'edge-digits[train]'")
pytest.importorskip("tf2onnx", reason="export is not installed: pip install 'edge-digits[train]'")

import tiny

from edge_digits.classifier import Classifier, Predictions, temper
from edge_digits.errors import GateError
from edge_digits_export import Exported, ExportSettings, Limits, export
from edge_digits_export.card import _rejection
from edge_digits_export.gates import check_gates
from edge_digits_export.scoring import MOST_APART, Scoring, measure_scores
from edge_digits_export.sources import open_source
from edge_digits_train import training
from edge_digits_train.data import DataSet
from edge_digits_train.picture_tiles import NO_DIGIT, read_tiles
from edge_digits_train.runs import Run
from edge_digits_train.training import Settings, train

BEFORE = "from edge_digits_train.picture_tiles import Pictures"
PICTURES = "pictures=Pictures(drawn=0.1, digits=0.3, others=0.3)"
LOOSE = Limits(int8_drop=0.2, int8_agreement=0.8)
"""For a network that has seen its rows three times."""


@pytest.fixture(scope="module", autouse=True)
def quick():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "write_report", tiny.write_report)
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory, tiles, labels) -> Path:
    return tiny.write_rows(tmp_path_factory.mktemp("data") / "d.npz", tiles[::4], labels[::4])


@pytest.fixture(scope="module")
def run(tmp_path_factory, data) -> Run:
    folder = tmp_path_factory.mktemp("runs")
    recipe = tiny.write_recipe(folder, more=PICTURES, before=BEFORE)
    return train(Settings(recipe, data, passes=3, seed=1, refit=True), folder / "run", tiny.Told())


@pytest.fixture(scope="module")
def exported(tmp_path_factory, run) -> Exported:
    return export(ExportSettings(run.folder, tmp_path_factory.mktemp("exported"), limits=LOOSE))


@pytest.fixture(scope="module")
def told(exported) -> dict:
    return json.loads(exported.proof.read_text())["digit_score"]


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_what_the_proof_says_is_what_the_file_does(precision, exported: Exported, run: Run, told: dict):
    classifier = Classifier(getattr(exported, precision))
    tiles, rows = read_tiles(run.held_out_picture_tiles).scored, open_source(run.folder, None, "tiny").compared
    is_digit = tiles.labels != NO_DIGIT
    of_tiles, of_rows = (classifier.classify(each.tiles).digit_scores for each in (tiles, rows))
    assert of_tiles is not None
    assert of_rows is not None
    said = told["models"][precision]
    assert said["threshold"] == classifier.reject_below > 0
    assert said["kept_rows"] == (of_rows >= classifier.reject_below).mean()
    assert said["kept_digits"] == (of_tiles[is_digit] >= classifier.reject_below).mean()
    assert said["rejected_others"] == (of_tiles[~is_digit] < classifier.reject_below).mean()
    assert (told["rows"], told["digits"], told["others"]) == (len(rows), is_digit.sum(), (~is_digit).sum())


def test_thresholds_are_as_high_as_they_may_be(exported: Exported, run: Run):
    """They keep 99.8 % of the rows, and 98 % of the digits on pictures, that are read right; a little higher, fewer."""
    classifier = Classifier(exported.fp32)
    tiles, rows = read_tiles(run.held_out_picture_tiles).scored, open_source(run.folder, None, "tiny").compared
    reached = []
    for data, kept in ((rows, 0.998), (tiles, 0.98)):
        said = classifier.classify(data.tiles)
        assert said.digit_scores is not None
        right = said.digit_scores[said.digits == data.labels]
        assert (right >= classifier.reject_below).mean() >= kept
        reached.append((right > classifier.reject_below + 1e-4).mean() < kept)
    assert any(reached)


def test_answers_to_pictures_are_as_sure_as_they_are_right(exported: Exported, run: Run, told: dict):
    """At the temperature that the files name, the digits that are shown on tiles of pictures are likeliest."""
    classifier, tiles = Classifier(exported.fp32), read_tiles(run.held_out_picture_tiles).scored
    found = told["picture_temperature"]
    for path in (exported.fp32, exported.int8):
        assert Classifier(path).picture_temperature == found["value"]
    said = classifier.classify(tiles.tiles)
    assert said.digit_scores is not None
    shown = (tiles.labels != NO_DIGIT) & (said.digit_scores >= classifier.reject_below)
    assert found["rows"] == shown.sum() > 20
    losses = [
        -np.log(
            temper(said.probabilities[shown], found["value"] * off)[np.arange(shown.sum()), tiles.labels[shown]]
        ).mean()
        for off in (0.8, 1, 1.25)
    ]
    assert losses[1] == min(losses) == pytest.approx(found["loss_after"], abs=1e-4)


def test_a_refit_takes_the_threshold_of_the_training_before(run: Run, tmp_path: Path):
    limits = dataclasses.replace(LOOSE, accuracy=0.1)
    again = export(ExportSettings(run.refit.folder, tmp_path, limits=limits))
    before = run.metrics()["pictures"]["threshold"]
    for path in (again.fp32, again.int8):
        assert Classifier(path).reject_below == pytest.approx(before, abs=1e-4)
        assert Classifier(path).reject_below <= before


def test_a_network_without_scores_rejects_nothing(data: Path, tmp_path: Path):
    run = train(Settings(tiny.write_recipe(tmp_path), data, passes=2), tmp_path / "run", tiny.Told())
    made = export(ExportSettings(run.folder, tmp_path / "out", limits=LOOSE))
    assert json.loads(made.proof.read_text())["digit_score"] is None
    assert Classifier(made.int8).metadata["edge_digits.reject_below"] == "0"
    assert Classifier(made.int8).reject_below == 0
    assert Classifier(made.int8).picture_temperature == 1


class Said:
    """A model that gives the scores that it is told to."""

    def __init__(self, *scores: np.ndarray) -> None:
        self._scores = {len(each): each.astype(np.float32) for each in scores}

    def classify(self, tiles: np.ndarray) -> Predictions:
        probabilities = np.tile(np.eye(10, dtype=np.float32)[1], (len(tiles), 1))  # of 1s and others it is right
        return Predictions(probabilities, self._scores[len(tiles)])


def measured(run: Run, fp32: np.ndarray, int8: np.ndarray, keras: np.ndarray) -> Scoring:
    source = open_source(run.folder, None, "tiny")
    tiles = DataSet("t", np.zeros((40, 28, 28), np.uint8), np.array([1] * 20 + [NO_DIGIT] * 20, np.uint8))
    source = dataclasses.replace(source, picture_tiles=tiles)
    n = len(source.compared)
    models = {name: Said(np.full(n, 0.9), scores) for name, scores in (("fp32", fp32), ("int8", int8))}
    found = measure_scores(np.full(n, keras, np.float32), models, source)  # type: ignore[arg-type]
    assert found is not None
    return found


APART = np.repeat([0.8, 0.1], 20)


def test_shares_are_those_of_digits_and_of_others(run: Run):
    found = measured(run, APART, np.where(np.arange(40) < 25, 0.8, 0.1), np.float32(0.9))
    assert (found.models["fp32"].kept_digits, found.models["fp32"].rejected_others) == (1, 1)
    assert (found.models["int8"].kept_digits, found.models["int8"].rejected_others) == (1, 0.75)
    assert found.thresholds["fp32"] == pytest.approx(0.8, abs=1e-4)
    n = found.rows + 40
    assert found.apart == pytest.approx(5 / n)


def test_int8_that_takes_other_things_for_digits_is_refused(run: Run):
    found = measured(run, APART, np.full(40, 0.85), np.float32(0.9))
    assert found.apart > MOST_APART
    with pytest.raises(GateError, match=r"int8 and fp32 disagree on \d+\.\d+ % of the tiles whether they show a digit"):
        check_gates(found.gates(Limits()))


def test_fp32_that_scores_otherwise_than_keras_is_refused(run: Run):
    check_gates(measured(run, APART, APART, np.float32(0.9)).gates(Limits()))
    with pytest.raises(GateError, match=r"fp32 differs from Keras by 0\.01 in a digit score"):
        check_gates(measured(run, APART, APART, np.float32(0.89)).gates(Limits()))


def test_the_card_says_what_is_rejected(told: dict):
    scored = told["models"]["int8"]
    own = {"int8": {"reject_below": scored["threshold"]}}
    text = _rejection({"digit_score": told, "prefers": "int8", "reader": own})
    assert f"Below {scored['threshold']:g} the reader takes it for none: " in text
    assert f"{100 * scored['rejected_others']:.1f} % of {told['others']:,} other things" in text
    refit = _rejection({"digit_score": told, "prefers": "int8", "reader": {"int8": {"reject_below": 0.125}}})
    was = f"none; of the training that was measured, below {scored['threshold']:g}: "
    assert f"Below 0.125 the reader takes it for {was}" in refit
    assert "has no `digit_score`" in _rejection({"digit_score": None, "prefers": "int8"})
