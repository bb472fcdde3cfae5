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
from edge_digits_train import teaching, training
from edge_digits_train.data import load_data, split_data
from edge_digits_train.facts import RunFacts
from edge_digits_train.networks import build_network
from edge_digits_train.page import render_page
from edge_digits_train.runs import Run
from edge_digits_train.series import resume, train_folds, train_seeds
from edge_digits_train.teaching import Teachers, TeachingLoss, label_accuracy, label_loss
from edge_digits_train.training import Settings, train

DENSE = "layers.Flatten(), layers.Dropout(0.2), layers.Dense(10, activation='softmax')"
"""A network that is traced in no time."""


def softmax(logits: np.ndarray) -> np.ndarray:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(training, "write_report", tiny.write_report)


@pytest.fixture(scope="module")
def data(tmp_path_factory, tiles, labels) -> Path:
    return tiny.write_rows(tmp_path_factory.mktemp("data") / "d.npz", tiles[::20], labels[::20])


def taught(folder: Path, more: str = "", **teaching: object) -> str:
    """A recipe, taught by two networks of a recipe of another kind."""
    (folder / "teacher").mkdir()
    teacher = tiny.write_recipe(folder / "teacher", layers=DENSE, augmentation="", more="keep='last'")
    asked = {"recipe": teacher, "networks": 2, "temperature": 2.0, "share": 0.8, "variations": 2, **teaching}
    return tiny.write_recipe(
        folder,
        layers="layers.Flatten(), layers.Dense(10, activation='softmax')",
        before="from edge_digits_train.teaching import Teaching",
        augmentation="rotation=5",
        more=f"keep='last', teaching=Teaching(**{asked!r}), {more}",
    )


@pytest.fixture
def recipe(tmp_path) -> str:
    return taught(tmp_path)


# ---- The loss ----


@pytest.fixture
def answers() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(labels, the teachers' logarithms, probabilities) of 50 tiles."""
    rng = np.random.default_rng(3)
    said = np.log(softmax(rng.normal(0, 4, (50, 10)))).astype(np.float32)
    return rng.integers(0, 10, 50), said, softmax(rng.normal(0, 2, (50, 10))).astype(np.float32)


@pytest.mark.parametrize(("temperature", "share"), [(1.0, 1.0), (3.0, 1.0), (3.0, 0.9), (2.0, 0.0)])
def test_loss_is_that_of_the_paper(answers, temperature, share):
    labels, said, probabilities = answers
    soft = softmax(said / temperature)
    own = np.log(softmax(np.log(probabilities) / temperature))
    hard = -np.log(probabilities[np.arange(50), labels])
    expected = share * temperature**2 * -(soft * own).sum(axis=1) + (1 - share) * hard
    loss = TeachingLoss(temperature, share, reduction=None)(np.column_stack([labels, said]), probabilities)
    np.testing.assert_allclose(loss, expected, rtol=1e-4)


def test_loss_and_accuracy_on_the_labels_are_those_of_keras(answers):
    labels, said, probabilities = answers
    targets = np.column_stack([labels, said]).astype(np.float32)
    expected = keras.losses.sparse_categorical_crossentropy(labels, probabilities)
    np.testing.assert_allclose(label_loss(targets, probabilities), expected, rtol=1e-4)
    assert (
        np.asarray(label_accuracy(targets, probabilities)).tolist() == (probabilities.argmax(axis=1) == labels).tolist()
    )


def test_loss_is_a_number_where_answers_are_certain(answers):
    labels, said, _ = answers
    certain = np.eye(10, dtype=np.float32)[(labels + 1) % 10]
    sure = np.log(np.maximum(np.eye(10, dtype=np.float32)[labels], 1e-30))
    for answered in (said, sure):
        loss = TeachingLoss(3.0, 0.9)(np.column_stack([labels, answered]).astype(np.float32), certain)
        assert np.isfinite(float(loss))


# ---- What teachers answer ----


@pytest.fixture(scope="module")
def networks(tmp_path_factory) -> list[Path]:
    """Two networks that nobody trained."""
    folder = tmp_path_factory.mktemp("networks")
    for seed in range(2):
        keras.utils.set_random_seed(seed)
        body = [keras.layers.Flatten(), keras.layers.Dropout(0.5), keras.layers.Dense(10, activation="softmax")]
        build_network("teacher", body).save(folder / f"{seed}.keras")
    return sorted(folder.glob("*.keras"))


def test_answers_are_the_mean_logarithms_of_the_networks(networks, tmp_path, tiles):
    told = []
    found = Teachers(networks, tmp_path / "kept").answer(tiles[:1500], lambda done, total: told.append((done, total)))
    said = [keras.models.load_model(path).predict(tiles[:1500], verbose=0) for path in networks]
    np.testing.assert_allclose(found, np.log(said).mean(axis=0), atol=0.02)
    assert np.abs(np.log(said[0]) - np.log(said[1])).max() > 0.1
    assert told == [(1024, 1500), (1500, 1500)]


def test_nobody_is_asked_twice_and_other_tiles_or_networks_are_asked(networks, tmp_path, tiles, monkeypatch):
    loaded = []
    load = teaching.load_network
    monkeypatch.setattr(teaching, "load_network", lambda path, **how: loaded.append(path.name) or load(path, **how))
    first = Teachers(networks, tmp_path / "kept").answer(tiles[:50], lambda *_: None)
    assert loaded == ["0.keras", "1.keras"]
    again = Teachers(networks, tmp_path / "kept").answer(tiles[:50], lambda *_: None)
    assert loaded == ["0.keras", "1.keras"]
    np.testing.assert_array_equal(first, again)
    Teachers(networks, tmp_path / "kept").answer(tiles[1:51], lambda *_: None)
    Teachers(networks[1:], tmp_path / "kept").answer(tiles[:50], lambda *_: None)
    assert loaded == ["0.keras", "1.keras"] * 2 + ["1.keras"]
    assert len(list((tmp_path / "kept").iterdir())) == 3


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY rubbish", None])
def test_damaged_answers_are_refused(networks, tmp_path, tiles, damage):
    Teachers(networks, tmp_path / "kept").answer(tiles[:50], lambda *_: None)
    (path,) = (tmp_path / "kept").iterdir()
    if damage is None:
        np.save(path, np.zeros((49, 10), np.float16))
    else:
        path.write_bytes(damage)
    with pytest.raises(InputError, match="delete it, and it is made again"):
        Teachers(networks, tmp_path / "kept").answer(tiles[:50], lambda *_: None)


# ---- A training with teachers ----


def weights(run: Run) -> list[np.ndarray]:
    return [np.asarray(value) for value in keras.models.load_model(run.last).get_weights()]


def test_training_trains_its_teachers_on_the_same_rows_and_learns_from_them(recipe, tmp_path, data, monkeypatch):
    shown = []
    fit = keras.Model.fit

    def watch(self: keras.Model, x: np.ndarray, y: np.ndarray, **named: object) -> object:
        shown.append((x, y))
        return fit(self, x, y, **named)

    monkeypatch.setattr(keras.Model, "fit", watch)
    run = train(Settings(recipe, data, passes=3, seed=4), tmp_path / "run", tiny.Told())
    teachers = [Run(run.folder / "teachers" / f"seed-{seed}") for seed in range(2)]
    for teacher in teachers:
        assert teacher.is_finished
        assert teacher.settings()["split"] == run.settings()["split"]
        assert teacher.settings()["data"]["sha256"] == run.settings()["data"]["sha256"]
    assert len(shown) == 2 * 3 + 3
    taught_in = shown[-3:]
    assert len(list((run.folder / "teachers" / "answers").iterdir())) == 2  # as many as there are variations
    for tiles, targets in taught_in:
        said = [keras.models.load_model(teacher.best).predict(tiles, verbose=0) for teacher in teachers]
        np.testing.assert_allclose(targets[:, 1:], np.log(said).mean(axis=0), atol=0.02)
    training_rows, _ = split_data(load_data(data).rows, run_split(run))
    first, second, third = (sorted(tile.tobytes() for tile in tiles) for tiles, _ in taught_in)
    assert len(set(first) & set(third)) > 0.8 * len(first)  # but for the rows that no step had room for
    assert len(set(first) & set(second)) < 0.1 * len(first)
    assert (taught_in[0][0] != taught_in[2][0]).any()
    assert np.bincount(taught_in[0][1][:, 0].astype(int)).sum() == len(training_rows) // 50 * 50


def run_split(run: Run) -> training.Split:
    return training.Split(**run.settings()["split"])


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_share_says_whom_a_network_believes(tmp_path, tiles, labels, share):
    """The labels say of each digit that it is the next one; the teachers have learnt from true labels."""
    recipe = taught(tmp_path, share=share, networks=1, temperature=1.0)
    np.savez(tmp_path / "true.npz", x=tiles[::5], y=labels[::5])
    np.savez(tmp_path / "false.npz", x=tiles[::5], y=(labels[::5] + 1) % 10)
    run = Run(tmp_path / "run")
    asked = Settings(recipe, tmp_path / "true.npz", passes=3)
    train(asked, tmp_path / "honest", tiny.Told())
    wrong = training.create_run(
        dataclasses.replace(asked, data=tmp_path / "false.npz"), run.folder, load_data(tmp_path / "false.npz")
    )
    teacher = tmp_path / "honest" / "teachers" / "seed-0"
    about = json.loads((teacher / "run.json").read_text())
    about["data"]["sha256"] = wrong.settings()["data"]["sha256"]
    (teacher / "run.json").write_text(json.dumps(about))
    (run.folder / "teachers").symlink_to(tmp_path / "honest" / "teachers")
    resume(run.folder, tiny.Told())
    said = keras.models.load_model(run.best).predict(tiles[1::5], verbose=0).argmax(axis=1)
    truth = labels[1::5] if share else (labels[1::5] + 1) % 10
    assert np.mean(said == truth) > 0.7


@pytest.mark.parametrize("moment", ["teacher", "pupil"])
def test_interrupted_training_with_teachers_ends_as_one_never_interrupted(recipe, tmp_path, data, moment):
    settings = Settings(recipe, data, passes=3, seed=4)
    whole = train(settings, tmp_path / "whole", tiny.Told())

    class Stop(tiny.Told):
        def start(self, run: Path, *about: int) -> None:
            super().start(run, *about)
            self._stop_in_pass = 2 if run.name == {"teacher": "seed-1", "pupil": "halved"}[moment] else None
            self.losses.clear()

    with pytest.raises(KeyboardInterrupt):
        train(settings, tmp_path / "halved", Stop())
    (halved,) = resume(tmp_path / "halved", tiny.Told())
    for one, other in zip(weights(halved), weights(whole), strict=True):
        np.testing.assert_array_equal(one, other)


def test_seeds_share_teachers_and_folds_have_their_own(recipe, tmp_path, data):
    seeds = train_seeds(Settings(recipe, data, passes=1), tmp_path / "seeds", 2, tiny.Told())
    assert sorted(path.name for path in (tmp_path / "seeds").iterdir()) == [
        "seed-0",
        "seed-1",
        "seeds.json",
        "teachers",
    ]
    assert not any((run.folder / "teachers").exists() for run in seeds)
    folds = train_folds(Settings(recipe, data, passes=1), tmp_path / "folds", 2, tiny.Told())
    page = render_page(RunFacts.read(folds[1].folder), [])
    assert "2 networks of recipe tiny, temperature 2; 80 % of the loss" in page
    assert "seed 27, part 2 of 2" in page
    assert all(Run(run.folder / "teachers" / "seed-1").is_finished for run in folds)
    assert [Run(run.folder / "teachers" / "seed-0").settings()["split"]["fold"] for run in folds] == [0, 1]


def test_teachers_of_another_run_are_used(recipe, tmp_path, data):
    first = train(Settings(recipe, data, passes=1), tmp_path / "first", tiny.Told())
    told = tiny.Told()
    settings = Settings(recipe, data, passes=1, seed=8, teachers=tmp_path / "first")
    second = train(settings, tmp_path / "deep" / "second", told)
    assert [name for name, *_ in told.started] == ["second"]
    assert not (second.folder / "teachers").exists()
    third = train_seeds(dataclasses.replace(settings, teachers=second.folder), tmp_path / "third", 2, tiny.Told())
    assert not (tmp_path / "third" / "teachers").exists()
    np.testing.assert_array_equal(weights(third[0])[0], weights(second)[0])
    assert (weights(first)[0] != weights(second)[0]).any()


def test_teachers_that_have_seen_the_held_out_rows_are_refused(recipe, tmp_path, data):
    train(Settings(recipe, data, passes=1), tmp_path / "first", tiny.Told())
    with pytest.raises(InputError, match="seed-0: is a teacher that held out other rows"):
        train(Settings(recipe, data, passes=1, split_seed=1, teachers=tmp_path / "first"), tmp_path / "r", tiny.Told())


def test_teachers_are_refused_where_there_are_none(recipe, tmp_path, data):
    plain = tiny.write_recipe(tmp_path / "teacher", layers=DENSE)
    with pytest.raises(UsageError, match="recipe tiny has no teaching: leave --teachers away"):
        train(Settings(plain, data, teachers=tmp_path), tmp_path / "run", tiny.Told())
    train(Settings(plain, data, passes=1), tmp_path / "alone", tiny.Told())
    with pytest.raises(UsageError, match="alone: has none"):
        train(Settings(recipe, data, teachers=tmp_path / "alone"), tmp_path / "run", tiny.Told())
    assert not (tmp_path / "run").exists()


def test_a_network_that_is_there_may_be_the_teacher(tmp_path, data):
    recipe = taught(tmp_path, networks=1)
    first = train(Settings(recipe, data, passes=1), tmp_path / "first", tiny.Told())
    teacher = Run(first.folder / "teachers" / "seed-0")
    told = tiny.Told()
    settings = Settings(recipe, data, passes=1, refit=True, teachers=teacher.best)
    second = train(settings, tmp_path / "second", told)
    assert [name for name, *_ in told.started] == ["second", "refit"]
    np.testing.assert_array_equal(weights(second)[0], weights(first)[0])
    assert (second.folder / "teachers" / "given.keras").read_bytes() == teacher.best.read_bytes()
    assert len(list((second.folder / "teachers" / "answers").iterdir())) == 2
    third = train_seeds(
        dataclasses.replace(settings, refit=False, teachers=second.folder), tmp_path / "third", 2, tiny.Told()
    )
    np.testing.assert_array_equal(weights(third[0])[0], weights(first)[0])
    several = train_seeds(dataclasses.replace(settings, refit=False), tmp_path / "several", 2, tiny.Told())
    assert (tmp_path / "several" / "teachers" / "given.keras").exists()
    np.testing.assert_array_equal(weights(several[1])[0], weights(third[1])[0])
    fourth = train(dataclasses.replace(settings, teachers=tmp_path / "several"), tmp_path / "fourth", tiny.Told())
    for run in (second, second.refit, *third, *several, fourth, fourth.refit):
        assert run.settings()["teacher"] == str(teacher.best)
    assert first.settings()["teacher"] is None


def test_a_teacher_that_is_gone_before_its_run_has_kept_it_is_missed_by_name(tmp_path, data):
    recipe = taught(tmp_path, networks=1)
    network = build_network("teacher", [keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")])
    network.save(tmp_path / "mine.keras")
    asked = Settings(recipe, data, passes=1, teachers=tmp_path / "mine.keras")
    run = training.create_run(asked, tmp_path / "run", load_data(data))
    (tmp_path / "mine.keras").unlink()
    with pytest.raises(
        InputError, match=r"mine\.keras: cannot be read: No such file .* the run was to be made with it"
    ):
        resume(run.folder, tiny.Told())


def test_a_teacher_that_cannot_teach_is_refused_before_anything_is_trained(recipe, tmp_path, data):
    network = build_network("logits", [keras.layers.Flatten(), keras.layers.Dense(10)])
    network.save(tmp_path / "logits.keras")
    (tmp_path / "torn.keras").write_bytes((tmp_path / "logits.keras").read_bytes()[:500])
    with pytest.raises(UsageError, match="recipe tiny has 2 of them, not one"):
        train(Settings(recipe, data, teachers=tmp_path / "logits.keras"), tmp_path / "run", tiny.Told())
    with pytest.raises(UsageError, match=r"logits\.keras: .* would have seen what they hold out"):
        train_folds(Settings(recipe, data, teachers=tmp_path / "logits.keras"), tmp_path / "run", 2, tiny.Told())
    (tmp_path / "one").mkdir()
    one = taught(tmp_path / "one", networks=1)
    for name, said in (("logits", "gives no probabilities"), ("torn", "torn"), ("none", "none")):
        with pytest.raises(InputError, match=said):
            train(Settings(one, data, teachers=tmp_path / f"{name}.keras"), tmp_path / "run", tiny.Told())
    assert not (tmp_path / "run").exists()


def test_refit_is_taught_by_the_same_teachers(recipe, tmp_path, data):
    told = tiny.Told()
    run = train(Settings(recipe, data, passes=2, refit=True), tmp_path / "run", told)
    assert [name for name, *_ in told.started] == ["seed-0", "seed-1", "run", "refit"]
    assert run.refit.settings()["data"]["validation_rows"] == 0
    assert len(run.refit.history()) == 2
    assert len(list((run.folder / "teachers" / "answers").iterdir())) == 2 * 2


def test_fast_training_has_fast_teachers(recipe, tmp_path, data):
    run = train(Settings(recipe, data, fast=True), tmp_path / "run", tiny.Told())
    assert [len(Run(run.folder / "teachers" / f"seed-{seed}").history()) for seed in range(2)] == [1, 1]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"networks": 0}, "teaching: networks=0: it must be 1 or more"),
        ({"variations": 0}, "teaching: variations=0"),
        ({"temperature": 0}, "teaching: temperature=0: it must be more than 0"),
        ({"share": 1.1}, "teaching: share=1.1: it must be 0 to 1"),
        ({"recipe": "logstic"}, "no recipe is called 'logstic': did you mean logistic?"),
    ],
)
def test_teaching_that_makes_no_sense_is_refused(tmp_path, data, wrong, said):
    with pytest.raises(InputError, match=said.replace("?", r"\?")):
        train(Settings(taught(tmp_path, **wrong), data), tmp_path / "run", tiny.Told())


# ---- Folds, and the pass that is kept ----


def test_folds_hold_out_each_row_once(recipe, tmp_path, data):
    plain = tiny.write_recipe(tmp_path / "teacher", layers=DENSE)
    runs = train_folds(Settings(plain, data, passes=1), tmp_path / "folds", 3, tiny.Told())
    rows = load_data(data).rows
    held_out = [split_data(rows, run_split(run))[1] for run in runs]
    found = sorted(tile.tobytes() for part in held_out for tile in part.tiles)
    assert found == sorted(tile.tobytes() for tile in rows.tiles)
    for part in held_out:
        assert np.abs(np.bincount(part.labels) - np.bincount(rows.labels) / 3).max() < 1
    summary = json.loads((tmp_path / "folds" / "folds.json").read_text())
    right = sum(run.metrics()["validation"]["correct"] for run in runs)
    assert (summary["together"]["n"], summary["together"]["correct"]) == (len(rows), right)
    assert summary["folds"] == [0, 1, 2]
    again = resume(tmp_path / "folds", tiny.Told())
    assert [run.folder.name for run in again] == ["fold-0", "fold-1", "fold-2"]


BURSTS = "keras.optimizers.SGD(keras.optimizers.schedules.PiecewiseConstantDecay([steps - 2], [0.1, -1.0]))"
"""Unlearns in its last steps."""


def test_last_pass_is_kept_where_the_recipe_says_so(tmp_path, data):
    recipe = tiny.write_recipe(tmp_path, layers=DENSE, optimizer=BURSTS, more="keep='last'")
    run = train(Settings(recipe, data, passes=4), tmp_path / "run", tiny.Told())
    history = run.history()
    assert max(history, key=lambda result: result.rank).number < 4
    assert run.metrics()["pass"] == 4
    assert run.metrics()["validation"]["accuracy"] == history[-1].validation_accuracy
