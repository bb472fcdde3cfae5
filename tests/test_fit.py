from __future__ import annotations

import csv
import dataclasses
import importlib.util
import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("keras", reason="training is not installed: pip install 'edge-digits[train]'")
pytest.importorskip("tensorflow", reason="training is not installed: pip install 'edge-digits[train]'")

import keras
import tiny
from keras import layers

from edge_digits.errors import InputError, OutputError, OutputExistsError, TableError, UsageError
from edge_digits.metrics import Evaluation
from edge_digits_train import recipes
from edge_digits_train.data import load_data, split_data
from edge_digits_train.fit import Settings, TrainingError, default_folder, resume, train
from edge_digits_train.recipes import Plateau, Recipe
from edge_digits_train.runs import Run


@pytest.fixture(scope="module")
def data(tmp_path_factory, tiles, labels) -> Path:
    """1,250 real digits."""
    return tiny.write_table(tmp_path_factory.mktemp("data") / "train.csv.gz", tiles[::4], labels[::4])


@pytest.fixture
def use(monkeypatch):
    """Makes a recipe the one that is called tiny."""

    def put(recipe: Recipe) -> Recipe:
        monkeypatch.setitem(recipes.RECIPES, "tiny", recipe)
        return recipe

    return put


@pytest.fixture(scope="module")
def trained(tmp_path_factory, data) -> tuple[Run, tiny.Told]:
    """A run of three passes, and what it told."""
    told = tiny.Told()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(recipes.RECIPES, "tiny", tiny.tiny())
        run = train(Settings("tiny", data, passes=3, seed=5), tmp_path_factory.mktemp("runs") / "deep" / "run", told)
    return run, told


def weights(path: Path) -> list[np.ndarray]:
    """All that a network holds, its optimizer's state included."""
    network = keras.models.load_model(path)
    held = [*network.weights, *network.optimizer.variables]
    return [np.asarray(keras.ops.convert_to_numpy(variable)) for variable in held]


def assert_same_run(one: Run, other: Run) -> None:
    """The same networks, history and metrics, but for the time that it took."""
    assert_equal(one.last, other.last)
    assert_equal(one.best, other.best)
    assert one.metrics() == other.metrics()
    first, second = ([dataclasses.replace(result, seconds=0) for result in run.history()] for run in (one, other))
    assert first == second


def assert_equal(one: Path, other: Path) -> None:
    first, second = weights(one), weights(other)
    assert len(first) == len(second)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


# ---- The run folder ----


def test_run_folder_holds_its_five_files_and_nothing_else(trained):
    names = {path.name for path in trained[0].folder.iterdir()}
    assert names == {"run.json", "history.csv", "metrics.json", "best.keras", "last.keras"}


def test_run_json_says_what_was_asked_and_of_what_data(trained, data, tiles, labels):
    found = json.loads((trained[0].folder / "run.json").read_text())
    assert (found["recipe"], found["passes"], found["seed"], found["backend"]) == ("tiny", 3, 5, "tensorflow")
    assert found["data"] == {
        "path": str(data),
        "name": "train.csv",
        "rows": 1250,
        "sha256": load_data(data).sha256,
        "training_rows": 1125,
        "validation_rows": 125,
    }
    assert Path(found["data"]["path"]).is_absolute()
    settings = found["settings"]
    assert (settings["batch"], settings["validation"], settings["split_seed"]) == (50, 0.1, 27)
    assert settings["augmentation"]["rotation"] == 5
    assert (settings["network"], settings["optimizer"]) == ("network", "adam")
    assert {"edge-digits", "keras", "tensorflow", "numpy", "python"} <= found["versions"].keys()
    assert found["versions"]["keras"] == keras.__version__


def test_history_has_a_line_for_each_pass(trained):
    run, told = trained
    with (run.folder / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["number"] for row in rows] == ["1", "2", "3"]
    assert list(rows[0]) == [field.name for field in dataclasses.fields(told.results[0])]
    assert run.history() == told.results
    assert [float(row["learning_rate"]) for row in rows] == pytest.approx([0.01] * 3)


def test_progress_is_told_each_step_and_each_pass(trained):
    _, told = trained
    assert told.started == (3, 1125 // 50, 0)
    assert len(told.losses) == 3 * 22
    for result, loss in zip(told.results, told.losses[21::22], strict=True):
        assert loss == pytest.approx(result.loss, rel=1e-4)
    assert told.results[2].loss < told.results[0].loss / 2


def test_metrics_are_those_of_a_fresh_evaluation_of_the_best_network(trained, data):
    run, told = trained
    _, held_out = split_data(load_data(data), 0.1, 27)
    answers = keras.models.load_model(run.best).predict(held_out.tiles, verbose=0)
    found = json.loads((run.folder / "metrics.json").read_text())
    fresh = Evaluation.from_probabilities(answers, held_out.labels).as_dict()
    assert found["validation"].pop("loss") == pytest.approx(fresh.pop("loss"), rel=1e-4)
    assert found["validation"] == fresh
    assert found["validation"]["n"] == 125
    assert found["validation"]["accuracy"] > 0.6
    best = max(told.results, key=lambda result: (result.validation_accuracy, -result.validation_loss))
    assert found["pass"] == best.number
    assert found["validation"]["accuracy"] == best.validation_accuracy


def test_last_network_is_the_one_after_the_last_pass(trained, data):
    run, told = trained
    network = keras.models.load_model(run.last)
    assert int(network.optimizer.iterations) == 3 * 22
    _, held_out = split_data(load_data(data), 0.1, 27)
    found = Evaluation.from_probabilities(network.predict(held_out.tiles, verbose=0), held_out.labels)
    assert found.accuracy == told.results[-1].validation_accuracy


def test_training_does_not_see_the_held_out_rows(trained, use, tmp_path, data, monkeypatch):
    """The network is fitted to variations of the training rows alone, each once a pass."""
    use(dataclasses.replace(tiny.tiny(), augmentation=recipes.Augmentation()))
    seen = []
    fit = keras.Model.fit

    def watch(self: keras.Model, x: np.ndarray, *arguments: object, **named: object) -> object:
        seen.append(x)
        return fit(self, x, *arguments, **named)

    monkeypatch.setattr(keras.Model, "fit", watch)
    train(Settings("tiny", data, passes=2), tmp_path / "run", tiny.Told())
    training, held_out = split_data(load_data(data), 0.1, 27)
    known = {tile.tobytes() for tile in training.tiles}
    for rows in seen:
        assert len(rows) == 22 * 50
        assert {tile.tobytes() for tile in rows} <= known
    assert not {tile.tobytes() for tile in np.concatenate(seen)} & ({t.tobytes() for t in held_out.tiles} - known)
    assert (seen[0] != seen[1]).any()


def test_each_pass_has_dropouts_and_variations_of_its_own(use, tmp_path, data, monkeypatch):
    use(tiny.tiny())
    seen = []
    fit = keras.Model.fit

    def watch(self: keras.Model, x: np.ndarray, *arguments: object, **named: object) -> object:
        states = [np.asarray(v.value).tolist() for v in self.variables if v.name == "seed_generator_state"]
        seen.append((states, x.tobytes()))
        return fit(self, x, *arguments, **named)

    monkeypatch.setattr(keras.Model, "fit", watch)
    train(Settings("tiny", data, passes=2), tmp_path / "run", tiny.Told())
    (first, some), (second, others) = seen
    assert len(first) == len(second) == 1
    assert first != second
    assert some != others


def test_default_folder_is_named_after_recipe_and_time():
    assert re.fullmatch(r"runs/base-\d{8}-\d{6}", default_folder("base").as_posix())


# ---- Seeds and resuming ----


@pytest.mark.parametrize("seed", [5, 6])
def test_the_same_seed_gives_the_same_weights_and_another_gives_others(trained, use, tmp_path, data, seed):
    use(tiny.tiny())
    run = train(Settings("tiny", data, passes=3, seed=seed), tmp_path / "run", tiny.Told())
    if seed == 5:
        assert_same_run(run, trained[0])
    else:
        assert any((a != b).any() for a, b in zip(weights(run.last), weights(trained[0].last), strict=True))


class AlwaysFalling(Plateau):
    """Takes each pass for one that did no better."""

    def learning_rate(self, start: float, losses: Sequence[float], passes: int) -> float:
        return super().learning_rate(start, [1.0] * (len(losses) + 1), passes)


@pytest.mark.parametrize(
    ("recipe", "rates"),
    [
        (tiny.tiny(), 1),
        (tiny.tiny(tiny.averaged), 3),
        (tiny.tiny(tiny.adadelta, AlwaysFalling(factor=0.5, patience=0.3, floor=0.01)), 3),
    ],
    ids=["dropout", "averaged weights", "plateau"],
)
def test_interrupted_and_resumed_training_ends_as_one_never_interrupted(trained, use, tmp_path, data, recipe, rates):
    use(recipe)
    settings = Settings("tiny", data, passes=3, seed=5)
    whole = trained[0] if recipe == tiny.tiny() else train(settings, tmp_path / "whole", tiny.Told())
    with pytest.raises(KeyboardInterrupt):
        train(settings, tmp_path / "halved", tiny.Told(stop_in_pass=2))
    halved = Run(tmp_path / "halved")
    assert [result.number for result in halved.history()] == [1]
    told = tiny.Told()
    assert resume(halved.folder, told).folder == halved.folder
    assert told.started == (3, 22, 1)
    assert [result.number for result in told.results] == [2, 3]
    assert_same_run(halved, whole)
    assert len({result.learning_rate for result in whole.history()}) == rates


def test_kill_between_the_history_and_the_network_repeats_the_pass(trained, use, tmp_path, data, monkeypatch):
    """The moment when history.csv and best.keras are a pass ahead of last.keras."""
    use(tiny.tiny())
    save = Run.save

    def die(self: Run, network: keras.Model, path: Path) -> None:
        if path == self.last and len(self.history()) == 2:
            raise KeyboardInterrupt
        save(self, network, path)

    settings = Settings("tiny", data, passes=3, seed=5)
    with monkeypatch.context() as patch:
        patch.setattr(Run, "save", die)
        with pytest.raises(KeyboardInterrupt):
            train(settings, tmp_path / "killed", tiny.Told())
    assert_same_run(resume(tmp_path / "killed", tiny.Told()), trained[0])


def test_resuming_a_finished_run_changes_nothing(trained, use):
    use(tiny.tiny())
    before = {path.name: path.read_bytes() for path in trained[0].folder.iterdir()}
    told = tiny.Told()
    resume(trained[0].folder, told)
    assert told.results == []
    assert {path.name: path.read_bytes() for path in trained[0].folder.iterdir()} == before


@pytest.mark.parametrize(
    ("damage", "error", "reason"),
    [
        (lambda folder: (folder / "run.json").unlink(), InputError, r"run\.json: cannot be read: No such file"),
        (lambda folder: (folder / "run.json").write_text("{"), InputError, r"run\.json: is damaged"),
        (lambda folder: (folder / "last.keras").unlink(), InputError, "no pass was finished, so train anew"),
        (lambda folder: (folder / "last.keras").write_bytes(b"PK"), InputError, r"last\.keras: is damaged"),
    ],
    ids=["no run.json", "damaged run.json", "no last.keras", "damaged last.keras"],
)
def test_run_that_cannot_be_resumed_is_refused_with_the_reason(trained, use, tmp_path, damage, error, reason):
    use(tiny.tiny())
    folder = tmp_path / "run"
    folder.mkdir()
    for path in trained[0].folder.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    damage(folder)
    with pytest.raises(error, match=reason):
        resume(folder, tiny.Told())


def test_run_whose_data_has_changed_is_not_resumed(use, tmp_path, tiles, labels):
    use(tiny.tiny())
    table = tiny.write_table(tmp_path / "train.csv", tiles[::20], labels[::20])
    train(Settings("tiny", table, passes=1), tmp_path / "run", tiny.Told())
    tiny.write_table(table, tiles[1::20], labels[1::20])
    with pytest.raises(InputError, match=r"train\.csv: is not the data that .*run was trained on"):
        resume(tmp_path / "run", tiny.Told())


# ---- What is refused, and what stops a training ----


def test_existing_folder_is_refused_and_left_as_it_is(use, tmp_path, data):
    use(tiny.tiny())
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes").write_text("mine")
    with pytest.raises(OutputExistsError, match="is there already; name another with -o") as caught:
        train(Settings("tiny", data), tmp_path / "run", tiny.Told())
    assert caught.value.exit_code == 2
    assert [(path.name, path.read_text()) for path in (tmp_path / "run").iterdir()] == [("notes", "mine")]


def test_folder_that_cannot_be_made_is_refused(use, tmp_path, data):
    use(tiny.tiny())
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be made: Not a directory"):
        train(Settings("tiny", data), tmp_path / "file" / "run", tiny.Told())


@pytest.mark.parametrize(
    ("changes", "error", "reason"),
    [
        ({"recipe": "tinny"}, UsageError, r"no recipe is called 'tinny': did you mean tiny\?"),
        ({"passes": 0}, UsageError, "--passes 0: there must be one at least"),
        ({"passes": -3}, UsageError, "--passes -3"),
        ({"seed": -1}, UsageError, "--seed -1"),
        ({"seed": 2**32}, UsageError, "--seed 4294967296: it must be 0 to 4294967295"),
        ({"data": Path("missing.csv")}, TableError, r"missing\.csv: no such file"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_bad_settings_are_refused_before_the_folder_is_made(use, tmp_path, data, changes, error, reason):
    use(tiny.tiny())
    settings = dataclasses.replace(Settings("tiny", data), **changes)
    with pytest.raises(error, match=reason):
        train(settings, tmp_path / "run", tiny.Told())
    assert list(tmp_path.iterdir()) == []


def test_too_few_rows_are_refused_before_the_folder_is_made(use, tmp_path, tiles, labels):
    use(tiny.tiny())
    table = tiny.write_table(tmp_path / "few.csv", tiles[::500], labels[::500])
    with pytest.raises(UsageError, match=r"few\.csv: too few rows \(10\)"):
        train(Settings("tiny", table), tmp_path / "run", tiny.Told())
    assert not (tmp_path / "run").exists()


def test_fewer_rows_than_a_batch_make_one_step_a_pass(use, tmp_path, tiles, labels):
    use(dataclasses.replace(tiny.tiny(), batch=4096))
    table = tiny.write_table(tmp_path / "few.csv", tiles[::50], labels[::50])
    told = tiny.Told()
    train(Settings("tiny", table, passes=2), tmp_path / "run", told)
    assert told.started == (2, 1, 0)
    assert int(keras.models.load_model(tmp_path / "run" / "last.keras").optimizer.iterations) == 2


class Exploding(layers.Layer):
    """Passes on what it gets, and NaN once it has been trained for so many steps."""

    def __init__(self, steps: float, **named: object) -> None:
        super().__init__(**named)
        self._limit = steps
        self._steps = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, inputs: object, training: bool = False) -> object:
        passed_on = keras.ops.where(self._steps > self._limit, math.nan, inputs)
        if training:
            self._steps.assign_add(1)
        return passed_on


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        (22 + 10, "the loss became nan in pass 2: stopped"),
        (22 * 2 - 0.5, "the network gives NaN after pass 2: stopped"),
    ],
    ids=["in the middle of a pass", "with its last step"],
)
def test_nan_stops_the_training_with_the_reason_and_keeps_the_last_good_network(use, tmp_path, data, steps, reason):
    def network() -> keras.Model:
        tiles = keras.Input((28, 28), dtype="uint8")
        x = Exploding(steps)(layers.Flatten()(layers.Rescaling(1 / 255)(tiles)))
        return keras.Model(tiles, layers.Dense(10, activation="softmax")(x))

    use(tiny.tiny(network=network))
    with pytest.raises(TrainingError, match=reason) as caught:
        train(Settings("tiny", data, passes=4), tmp_path / "run", tiny.Told())
    assert str(caught.value).startswith(f"{tmp_path / 'run'}: ")
    assert caught.value.exit_code == 1
    run = Run(tmp_path / "run")
    assert [result.number for result in run.history()] == [1]
    assert run.metrics()["pass"] == 1
    for path in (run.best, run.last):
        kept = keras.models.load_model(path, custom_objects={"Exploding": Exploding})
        assert all(np.isfinite(weight).all() for weight in kept.get_weights())


def test_rate_so_high_that_the_loss_explodes_stops_the_training(use, tmp_path, data):
    use(tiny.tiny(lambda _: keras.optimizers.SGD(1e38)))
    with pytest.raises(TrainingError, match=r"(the loss became nan in|the network gives NaN after) pass 1: stopped"):
        train(Settings("tiny", data, passes=2), tmp_path / "run", tiny.Told())


# ---- The command ----


def command(*arguments: str | Path, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "200", **environment}
    return subprocess.run(
        [sys.executable, "-m", "edge_digits", "train", *map(str, arguments)],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def test_command_trains_a_recipe_with_progress_on_stderr_and_the_result_on_stdout(tmp_path, tiles, labels):
    table = tiny.write_table(tmp_path / "train.csv", tiles[::5], labels[::5])
    done = command("--recipe", "base", "--data", table.name, "--passes", "1", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    assert re.fullmatch(r"base-\d{8}-\d{6}", folder.name)
    found = json.loads((folder / "metrics.json").read_text())
    accuracy = f"{100 * found['validation']['accuracy']:.2f} %"
    assert done.stdout == f"runs/{folder.name}: {accuracy} on 100 held-out rows, after pass {found['pass']}\n"
    assert re.fullmatch(r"pass 1/1  loss \d\.\d{4}  validation \d+\.\d\d %  \d+ s", done.stderr.splitlines()[-1])
    assert json.loads((folder / "run.json").read_text())["data"]["path"] == str(table)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--recipe", "base"], "name a --recipe and --data"),
        (["--data", "train.csv"], "name a --recipe and --data"),
        (["--recipe", "bass", "--data", "train.csv"], "no recipe is called 'bass': did you mean base?"),
        (["--resume", "run", "--passes", "3"], "leave --recipe, --data, -o and --passes away"),
        (["--recipe", "base", "--data", "train.csv", "--passes", "0"], "--passes"),
    ],
    ids=["no data", "no recipe", "unknown recipe", "resume and passes", "no passes"],
)
def test_command_explains_wrong_usage_and_exits_with_2(tmp_path, arguments, reason):
    done = command(*arguments, folder=tmp_path)
    assert done.returncode == 2
    assert reason in done.stderr
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


# ---- Other backends ----


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_another_backend_trains_the_same_recipe(tmp_path, tiles, labels, backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    table = tiny.write_table(tmp_path / "train.csv", tiles[::5], labels[::5])
    arguments = ["--recipe", "base", "--data", table, "--passes", "2", "-o", tmp_path / "run"]
    done = command(*arguments, folder=tmp_path, KERAS_BACKEND=backend)
    assert done.returncode == 0, done.stderr
    run = Run(tmp_path / "run")
    assert run.settings()["backend"] == backend
    first, second = run.history()
    assert first.loss < 2.3  # less than one that says nothing
    assert second.number == 2
    # the file is the same for every backend
    _, held_out = split_data(load_data(table), 0.1, 27)
    answers = keras.models.load_model(run.best).predict(held_out.tiles, verbose=0)
    found = Evaluation.from_probabilities(answers, held_out.labels)
    assert found.loss == pytest.approx(run.metrics()["validation"]["loss"], rel=1e-3)
