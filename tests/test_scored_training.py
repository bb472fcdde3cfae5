"""Networks that learn from pictures beside their rows, and say whether a tile shows a digit at all."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("keras", reason="training is not installed: pip install 'edge-digits[train]'")
pytest.importorskip("tensorflow", reason="training is not installed: pip install 'edge-digits[train]'")

import keras
import tiny

from edge_digits.errors import InputError, UsageError
from edge_digits_train import training
from edge_digits_train.data import DataSet, load_data, split_data
from edge_digits_train.digit_score import KEPT_PICTURES, KEPT_ROWS, score_threshold
from edge_digits_train.fit import PassData, evaluate_score
from edge_digits_train.networks import PROBABILITIES, SCORE, build_network, load_network, predict
from edge_digits_train.picture_tiles import NO_DIGIT, read_tiles
from edge_digits_train.recipe import load_recipe
from edge_digits_train.runs import Run
from edge_digits_train.series import resume
from edge_digits_train.teaching import Teachers
from edge_digits_train.training import Settings, train

BEFORE = "from edge_digits_train.picture_tiles import Pictures"
PICTURES = "pictures=Pictures(drawn=0.15, digits=0.4, others=0.4, spoiled=0.2)"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(training, "write_report", tiny.write_report)


@pytest.fixture(scope="module")
def data(tmp_path_factory, tiles, labels) -> Path:
    return tiny.write_rows(tmp_path_factory.mktemp("data") / "d.npz", tiles[::12], labels[::12])


@pytest.fixture(scope="module")
def recipe(tmp_path_factory) -> str:
    return tiny.write_recipe(tmp_path_factory.mktemp("recipe"), more=PICTURES, before=BEFORE)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, data, recipe) -> Run:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "write_report", tiny.write_report)
        settings = Settings(recipe, data, passes=6, seed=2)
        return train(settings, tmp_path_factory.mktemp("runs") / "run", tiny.Told())


@pytest.fixture(scope="module")
def network(trained: Run) -> keras.Model:
    return load_network(trained.best, training=False)


# ---- What comes of it


def test_the_network_says_which_digit_and_whether_it_is_one(network: keras.Model, tiles):
    said = predict(network, tiles[:7])
    assert said.probabilities.shape == (7, 10)
    np.testing.assert_allclose(said.probabilities.sum(axis=1), 1, atol=1e-5)
    assert said.digit_scores is not None
    assert said.digit_scores.shape == (7,)
    assert ((said.digit_scores > 0) & (said.digit_scores < 1)).all()


def test_it_reads_digits_and_tells_other_things_from_them(trained: Run, network: keras.Model, data: Path):
    _, held_out = split_data(load_data(data).rows, training.Split(**trained.settings()["split"]))
    others = read_tiles(trained.held_out_picture_tiles).scored
    on_rows = predict(network, held_out.tiles)
    on_others = predict(network, others.tiles[others.labels == NO_DIGIT])
    assert (on_rows.probabilities.argmax(axis=1) == held_out.labels).mean() > 0.7
    assert on_rows.digit_scores is not None
    assert on_others.digit_scores is not None
    assert np.median(on_rows.digit_scores) > np.quantile(on_others.digit_scores, 0.8)


def test_the_run_says_how_well_it_tells_them(trained: Run, network: keras.Model, data: Path):
    found = trained.metrics()["pictures"]
    tiles = read_tiles(trained.held_out_picture_tiles).scored
    assert found["others"] == (tiles.labels == NO_DIGIT).sum() > 20
    assert found["digits"]["n"] == (tiles.labels != NO_DIGIT).sum() > 20
    assert found["kept_rows"] >= 0.9
    assert found["kept_digits"] >= 0.8
    scores = predict(network, tiles.tiles[tiles.labels == NO_DIGIT]).digit_scores
    assert scores is not None
    assert found["rejected_others"] == pytest.approx(float((scores < found["threshold"]).mean()))


def test_tiles_are_drawn_from_training_rows_and_from_those_held_out(trained: Run):
    ours, theirs = read_tiles(trained.picture_tiles).all, read_tiles(trained.held_out_picture_tiles).scored
    assert len(ours) > len(theirs) > 0
    shared = {tile.tobytes() for tile in ours.tiles} & {tile.tobytes() for tile in theirs.tiles if tile.any()}
    assert len(shared) < 0.02 * len(theirs)  # full and empty ones


def test_a_training_goes_on_as_if_it_had_not_been_interrupted(tmp_path: Path, data: Path, recipe: str, trained: Run):
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(Settings(recipe, data, passes=6, seed=2), folder, tiny.Told(stop_in_pass=3))
    assert Run(folder).picture_tiles.read_bytes() == trained.picture_tiles.read_bytes()
    (run,) = resume(folder, tiny.Told())
    assert {**run.metrics(), "seconds": 0} == {**trained.metrics(), "seconds": 0}
    first, second = (keras.models.load_model(each.last).get_weights() for each in (run, trained))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_refit_draws_from_all_rows(tmp_path: Path, data: Path, recipe: str):
    run = train(Settings(recipe, data, passes=1, refit=True), tmp_path / "run", tiny.Told())
    assert len(read_tiles(run.refit.picture_tiles).all) > len(read_tiles(run.picture_tiles).all)
    assert not run.refit.held_out_picture_tiles.exists()
    assert "pictures" not in run.refit.metrics()


def test_a_scored_network_may_have_teachers(tmp_path: Path, data: Path):
    teacher = tiny.write_recipe(tmp_path, augmentation="", more="keep='last'")
    (tmp_path / "pupil").mkdir()
    pupil = tiny.write_recipe(
        tmp_path / "pupil",
        before=f"{BEFORE}\nfrom edge_digits_train.teaching import Teaching",
        more=f"{PICTURES}, teaching=Teaching(recipe={teacher!r}, networks=1, temperature=2, share=.5, variations=2)",
    )
    run = train(Settings(pupil, data, passes=3), tmp_path / "run", tiny.Told())
    assert run.history()[-1].validation_accuracy > 0.4
    assert run.metrics()["pictures"]["rejected_others"] >= 0


def test_a_damaged_file_of_tiles_is_told(tmp_path: Path, data: Path, recipe: str):
    with pytest.raises(KeyboardInterrupt):
        train(Settings(recipe, data, passes=2), tmp_path / "run", tiny.Told(stop_in_pass=1))
    (tmp_path / "run" / "picture-tiles.npz").write_bytes(b"PK")
    with pytest.raises(InputError, match=r"picture-tiles\.npz.*delete it"):
        resume(tmp_path / "run", tiny.Told())


# ---- What it is made of


def test_what_is_no_digit_and_what_is_spoiled_has_its_own_weight_in_the_loss():
    tiles = np.zeros((4, 28, 28), np.uint8)
    spoiled = np.array([False, True, False, False])
    labels = np.array([3, 5, NO_DIGIT, 7], np.uint8)
    data = PassData(tiles, labels, np.array([2, 0, 1]), spoiled)
    targets = data.targets(None, tiny.Told())
    assert targets.tolist() == [0, 3, 5]
    asked, weights = data.by_output(targets)
    assert asked[SCORE].tolist() == [0, 1, 1]
    assert weights[PROBABILITIES].tolist() == [0, 1, 1]
    assert weights[SCORE].tolist() == [1, 1, 0]


def test_teachers_are_asked_of_all_tiles_and_heard_in_order(tmp_path: Path):
    class Known(Teachers):
        def answer(self, tiles, progress):  # type: ignore[no-untyped-def]
            return np.tile(tiles[:, :1, 0].astype(np.float16), (1, 10))

    tiles = np.zeros((3, 28, 28), np.uint8)
    tiles[:, 0, 0] = 5, 6, 7
    data = PassData(tiles, np.array([1, NO_DIGIT, 2], np.uint8), np.array([2, 1]))
    targets = data.targets(Known([], tmp_path), tiny.Told())
    assert targets[:, 0].tolist() == [2, 0]
    assert targets[:, 1].tolist() == [7, 6]


def test_the_threshold_keeps_its_share_of_rows_and_of_pictures():
    rng = np.random.default_rng(0)
    sure, unsure = rng.uniform(0.5, 1, 5000).astype(np.float32), rng.uniform(0.1, 1, 3000).astype(np.float32)
    assert KEPT_ROWS <= (sure >= score_threshold(sure, sure)).mean() < KEPT_ROWS + 0.001
    assert KEPT_PICTURES <= (unsure >= score_threshold(sure, unsure)).mean() < KEPT_PICTURES + 0.001
    assert score_threshold(unsure, sure) == score_threshold(unsure, unsure[:0]) < score_threshold(sure, unsure)
    assert score_threshold(unsure[:0], unsure[:0]) == 0


def test_scores_are_measured_on_what_they_are_said_to_be(network: keras.Model, tiles, labels):
    rows = DataSet("rows", tiles[::50], labels[::50].astype(np.uint8))
    black = DataSet("tiles", np.concatenate([rows.tiles, np.zeros((30, 28, 28), np.uint8)]),
                    np.concatenate([rows.labels, np.full(30, NO_DIGIT, np.uint8)]))  # fmt: skip
    found = evaluate_score(network, rows, black)
    assert (found["digits"]["n"], found["others"]) == (len(rows), 30)
    assert found["rejected_others"] in (0.0, 1.0)  # thirty times the same
    said = predict(network, rows.tiles)
    assert said.digit_scores is not None
    right = said.probabilities.argmax(axis=1) == rows.labels
    assert found["threshold"] == score_threshold(said.digit_scores[right], said.digit_scores[right])
    assert json.dumps(found)


def test_a_body_whose_last_layer_is_no_dense_one_cannot_be_scored():
    from keras import layers

    body = [layers.Conv2D(10, 28), layers.Flatten(), layers.Softmax()]
    assert set(build_network("a", body, scored=True).output) == {PROBABILITIES, SCORE}
    with pytest.raises(UsageError, match=r"what its last layer takes is \(None, 1, 1, 10\)"):
        build_network("a", [layers.Conv2D(10, 28, activation="softmax"), layers.Flatten()], scored=True)


@pytest.mark.parametrize("wrong", ["drawn=0", "digits=-1", "others=11", "spoiled=1.5", "drawn=float('nan')"])
def test_pictures_that_make_no_sense_are_refused(tmp_path: Path, wrong: str):
    asked = {"drawn": "0.1", "digits": "0.1", "others": "0.1"} | dict([wrong.split("=")])
    text = ", ".join(f"{name}={value}" for name, value in asked.items())
    path = tiny.write_recipe(tmp_path, more=f"pictures=Pictures({text})", before=BEFORE)
    with pytest.raises(InputError, match=f"pictures: {wrong.split('=')[0]}="):
        load_recipe(Path(path))


def test_run_json_says_what_it_learnt_from(trained: Run):
    asked = trained.settings()["settings"]["pictures"]
    assert asked == {"drawn": 0.15, "digits": 0.4, "others": 0.4, "spoiled": 0.2}
    assert dataclasses.asdict(load_recipe(trained.recipe).pictures) == asked
