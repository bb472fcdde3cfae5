"""Trainings that begin with a network that is there, or with one that a recipe makes first."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
import tiny

from edge_digits.errors import InputError, UsageError
from edge_digits_train import training
from edge_digits_train.fit import new_network
from edge_digits_train.recipe import load_recipe
from edge_digits_train.runs import Run
from edge_digits_train.series import resume, train_folds
from edge_digits_train.training import Settings, train

STILL = "keras.optimizers.SGD(0.0)"
"""Learns nothing, so that what it began with can be seen."""
DENSE = "layers.Flatten(), layers.Dense(10, activation='softmax')"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(training, "write_report", tiny.write_report)


@pytest.fixture(scope="module")
def data(tmp_path_factory, tiles, labels) -> Path:
    return tiny.write_rows(tmp_path_factory.mktemp("data") / "d.npz", tiles[::20], labels[::20])


@pytest.fixture
def still(tmp_path: Path) -> str:
    return tiny.write_recipe(tmp_path, optimizer=STILL, layers=DENSE, more="keep='last'")


@pytest.fixture
def network(tmp_path: Path, still: str) -> Path:
    """A network of the recipe's shape."""
    path = tmp_path / "before.keras"
    new_network(load_recipe(Path(still)), 77, deskew=False).save(path)
    return path


def weights(path: Path) -> list[np.ndarray]:
    return keras.models.load_model(path).get_weights()


def test_a_cross_validation_begins_with_no_network_that_is_there(still, network, data, tmp_path):
    """It may have seen what a fold holds out."""
    with pytest.raises(UsageError, match="may have seen it: no --start"):
        train_folds(Settings(still, data, passes=1, start=network), tmp_path / "run", 2, tiny.Told())
    assert not (tmp_path / "run").exists()


def test_training_begins_with_the_weights_of_a_network(still, network, data, tmp_path):
    run = train(Settings(still, data, passes=1, start=network), tmp_path / "run", tiny.Told())
    for began, ended in zip(weights(network), weights(run.best), strict=True):
        np.testing.assert_array_equal(began, ended)
    assert run.settings()["start"] == str(network)
    by_chance = train(Settings(still, data, passes=1), tmp_path / "chance", tiny.Told())
    assert any((a != b).any() for a, b in zip(weights(network), weights(by_chance.best), strict=True))


def test_a_run_keeps_what_it_began_with_and_so_does_its_refit(still, network, data, tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(Settings(still, data, passes=1, start=network, refit=True), folder, tiny.Told(stop_in_pass=1))
    began = weights(network)
    network.unlink()
    (run,) = resume(folder, tiny.Told())
    for part in (run.best, run.refit.best):
        for one, other in zip(began, weights(part), strict=True):
            np.testing.assert_array_equal(one, other)


def test_network_of_another_shape_is_refused_before_the_folder_is_made(still, data, tmp_path):
    (tmp_path / "other").mkdir()
    recipe = load_recipe(Path(tiny.write_recipe(tmp_path / "other")))
    other = tmp_path / "other.keras"
    new_network(recipe, 0, deskew=False).save(other)
    with pytest.raises(InputError, match=r"other\.keras.*is another network than recipe tiny has"):
        train(Settings(still, data, passes=1, start=other), tmp_path / "run", tiny.Told())
    with pytest.raises(InputError, match=r"none\.keras: cannot be read"):
        train(Settings(still, data, passes=1, start=tmp_path / "none.keras"), tmp_path / "run", tiny.Told())
    assert not (tmp_path / "run").exists()


def test_recipe_that_begins_with_another_trains_that_first_on_the_same_rows(data, tmp_path):
    (tmp_path / "first").mkdir()
    first = tiny.write_recipe(tmp_path / "first", layers=DENSE, augmentation="", more="keep='last'")
    recipe = tiny.write_recipe(tmp_path, optimizer=STILL, layers=DENSE, more=f"keep='last', start={first!r}")
    run = train(Settings(recipe, data, passes=1, seed=3), tmp_path / "run", tiny.Told())
    before = Run(run.folder / "start")
    assert before.is_finished
    assert before.settings()["split"] == run.settings()["split"]
    assert before.settings()["seed"] == 3
    for one, other in zip(weights(before.best), weights(run.best), strict=True):
        np.testing.assert_array_equal(one, other)


def test_interrupted_in_what_comes_first_it_goes_on_there(data, tmp_path):
    (tmp_path / "first").mkdir()
    first = tiny.write_recipe(tmp_path / "first", layers=DENSE, augmentation="", more="keep='last'")
    recipe = tiny.write_recipe(tmp_path, optimizer=STILL, layers=DENSE, more=f"keep='last', start={first!r}")
    with pytest.raises(KeyboardInterrupt):
        train(Settings(recipe, data, passes=1), tmp_path / "run", tiny.Told(stop_in_pass=2))
    (run,) = resume(tmp_path / "run", tiny.Told())
    whole = train(Settings(recipe, data, passes=1), tmp_path / "whole", tiny.Told())
    for one, other in zip(weights(whole.best), weights(run.best), strict=True):
        np.testing.assert_array_equal(one, other)


def test_recipe_that_begins_with_another_network_or_with_itself_is_refused_before_anything_is_trained(data, tmp_path):
    (tmp_path / "first").mkdir()
    other = tiny.write_recipe(tmp_path / "first")
    own = str(tmp_path / "tiny.py")
    for start, reason in ((other, "begins with recipe tiny, which is another network"), (own, "begins with itself")):
        (tmp_path / "tiny.py").touch()
        recipe = tiny.write_recipe(tmp_path, layers=DENSE, more=f"start={start!r}")
        with pytest.raises(InputError, match=reason):
            train(Settings(recipe, data, passes=1), tmp_path / "run", tiny.Told())
    around = tiny.write_recipe(tmp_path / "first", layers=DENSE, more=f"start={own!r}")
    recipe = tiny.write_recipe(tmp_path, layers=DENSE, more=f"start={around!r}")
    with pytest.raises(InputError, match="begins with itself"):
        train(Settings(recipe, data, passes=1), tmp_path / "run", tiny.Told())
    assert not (tmp_path / "run").exists()
