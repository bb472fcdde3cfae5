from __future__ import annotations

import contextlib
import csv
import dataclasses
import errno
import functools
import importlib.util
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("keras", reason="training is not installed: pip install 'edge-digits[train]'")
pytest.importorskip("tensorflow", reason="training is not installed: pip install 'edge-digits[train]'")

import keras
import tiny

from edge_digits import cli
from edge_digits.errors import InputError, OutputError, OutputExistsError, TableError, UsageError
from edge_digits.metrics import Evaluation
from edge_digits.outputs import open_output
from edge_digits_train import series
from edge_digits_train import training as module
from edge_digits_train.data import Split, load_data, split_data
from edge_digits_train.fit import TrainingError
from edge_digits_train.progress import TrainingProgress
from edge_digits_train.runs import Run, part_runs
from edge_digits_train.series import resume, summarize, train_seeds
from edge_digits_train.training import Settings, default_folder, train

PICTURES = {
    "curves.png", "confusion.png", "augmented.png", "predictions.png", "mistakes.png", "mistakes.csv", "report.html",
}  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory, tiles, labels) -> Path:
    """1,250 real digits."""
    return tiny.write_table(tmp_path_factory.mktemp("data") / "train.csv.gz", tiles[::4], labels[::4])


@pytest.fixture(scope="module")
def recipe(tmp_path_factory) -> str:
    return tiny.write_recipe(tmp_path_factory.mktemp("recipe"))


@pytest.fixture(autouse=True)
def quick(monkeypatch, request):
    """Without the pictures, which take as long as the training; tests/test_report.py is about them."""
    if "with_report" not in request.fixturenames:
        monkeypatch.setattr(module, "write_report", quick_report)


def quick_report(run: Run, *_: object) -> None:
    with open_output(str(run.report), force=True) as page:
        page.write(f"refit: {run.refit.is_finished}")


@pytest.fixture
def with_report() -> None:
    """Asks for the pictures."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory, data, recipe) -> tuple[Run, tiny.Told]:
    """A run of three passes, and what it told."""
    told = tiny.Told()
    run = train(Settings(recipe, data, passes=3, seed=5), tmp_path_factory.mktemp("runs") / "deep" / "run", told)
    return run, told


@functools.cache
def weights(path: Path) -> list[np.ndarray]:
    """All that a finished run's network holds, its optimizer's state included."""
    network = keras.models.load_model(path)
    held = [*network.weights, *network.optimizer.variables]
    return [np.asarray(keras.ops.convert_to_numpy(variable)) for variable in held]


def assert_same_run(one: Run, other: Run) -> None:
    """The same networks, history and metrics, but for the time that it took."""
    assert_equal(one.last, other.last)
    assert_equal(one.best, other.best)
    assert {**one.metrics(), "seconds": 0} == {**other.metrics(), "seconds": 0}
    first, second = ([dataclasses.replace(result, seconds=0) for result in run.history()] for run in (one, other))
    assert repr(first) == repr(second)  # NaN is not equal to itself


def assert_equal(one: Path, other: Path) -> None:
    first, second = weights(one), weights(other)
    assert len(first) == len(second)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


# ---- The run folder ----


def test_run_folder_holds_its_files_and_nothing_else(trained):
    names = {path.name for path in trained[0].folder.iterdir()}
    assert names == {"run.json", "recipe.py", "history.csv", "metrics.json", "best.keras", "last.keras"} | PICTURES


def test_run_keeps_its_recipe_as_it_was(trained, recipe):
    assert trained[0].recipe.read_text() == Path(recipe).read_text()


def test_run_json_says_what_was_asked_and_of_what_data(trained, data):
    found = json.loads((trained[0].folder / "run.json").read_text())
    assert (found["recipe"], found["passes"], found["seed"], found["backend"]) == ("tiny", 3, 5, "tensorflow")
    assert found["data"] == {
        "path": str(data),
        "name": "train.csv",
        "rows": 1250,
        "sha256": load_data(data).rows.sha256,
        "training_rows": 1125,
        "validation_rows": 125,
        "test_rows": 0,
        "test_sha256": None,
    }
    assert found["split"] == {
        "validation": 0.1,
        "seed": 27,
        "how": "stratified",
        "sample": 1.0,
        "sample_seed": 5,
        "fold": None,
    }
    assert (found["deskew"], found["refit"], found["refit_follows"]) == (False, None, False)
    network = keras.models.load_model(trained[0].best)
    conv, dense = (8 * 5 * 5) * 12 * 12, 6 * 6 * 8 * 10
    assert found["network"] == {"parameters": network.count_params(), "multiply_adds": conv + dense}
    assert found["overlap"] == {"validation": 0, "test": 0}
    assert Path(found["data"]["path"]).is_absolute()
    settings = found["settings"]
    assert settings["batch"] == 50
    assert settings["augmentation"]["rotation"] == 5
    assert (settings["network"], settings["optimizer"]) == ("network", "optimizer")
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
    assert told.started == [("run", 3, 1125 // 50, 50, 0)]
    assert len(told.losses) == 3 * 22
    for result, loss in zip(told.results, told.losses[21::22], strict=True):
        assert loss == pytest.approx(result.loss, rel=1e-4)
    assert told.accuracies[21::22] == pytest.approx([result.accuracy for result in told.results], rel=1e-4)
    assert told.results[2].loss < told.results[0].loss / 2


def test_metrics_are_those_of_a_fresh_evaluation_of_the_best_network(trained, data):
    run, told = trained
    _, held_out = split_data(load_data(data).rows, Split())
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
    _, held_out = split_data(load_data(data).rows, Split())
    found = Evaluation.from_probabilities(network.predict(held_out.tiles, verbose=0), held_out.labels)
    assert found.accuracy == told.results[-1].validation_accuracy


def test_training_does_not_see_the_held_out_rows(tmp_path, data, monkeypatch):
    """The network is fitted to variations of the training rows alone, each once a pass."""
    recipe = tiny.write_recipe(tmp_path, augmentation="")
    seen = []
    fit = keras.Model.fit

    def watch(self: keras.Model, x: np.ndarray, *arguments: object, **named: object) -> object:
        seen.append(x)
        return fit(self, x, *arguments, **named)

    monkeypatch.setattr(keras.Model, "fit", watch)
    train(Settings(recipe, data, passes=2), tmp_path / "run", tiny.Told())
    training, held_out = split_data(load_data(data).rows, Split())
    known = {tile.tobytes() for tile in training.tiles}
    for rows in seen:
        assert len(rows) == 22 * 50
        assert {tile.tobytes() for tile in rows} <= known
    assert not {tile.tobytes() for tile in np.concatenate(seen)} & ({t.tobytes() for t in held_out.tiles} - known)
    assert (seen[0] != seen[1]).any()


def test_each_pass_has_dropouts_and_variations_of_its_own(recipe, tmp_path, data, monkeypatch):
    seen = []
    fit = keras.Model.fit

    def watch(self: keras.Model, x: np.ndarray, *arguments: object, **named: object) -> object:
        states = [np.asarray(v.value).tolist() for v in self.variables if v.name == "seed_generator_state"]
        seen.append((states, x.tobytes()))
        return fit(self, x, *arguments, **named)

    monkeypatch.setattr(keras.Model, "fit", watch)
    train(Settings(recipe, data, passes=2), tmp_path / "run", tiny.Told())
    (first, some), (second, others) = seen
    assert len(first) == len(second) == 1
    assert first != second
    assert some != others


def test_default_folder_is_named_after_recipe_and_time():
    assert re.fullmatch(r"runs/base-\d{8}-\d{6}", default_folder("base").as_posix())
    assert re.fullmatch(r"runs/mine-\d{8}-\d{6}", default_folder("deep/mine.py").as_posix())


# ---- Seeds and resuming ----


@pytest.mark.parametrize("seed", [5, 6])
def test_the_same_seed_gives_the_same_weights_and_another_gives_others(trained, recipe, tmp_path, data, seed):
    run = train(Settings(recipe, data, passes=3, seed=seed), tmp_path / "run", tiny.Told())
    if seed == 5:
        assert_same_run(run, trained[0])
    else:
        assert any((a != b).any() for a, b in zip(weights(run.last), weights(trained[0].last), strict=True))


ALWAYS_FALLING = """
class AlwaysFalling(Plateau):
    def learning_rate(self, start, losses, passes):
        return super().learning_rate(start, [1.0] * (len(losses) + 1), passes)
"""
"""Takes each pass for one that did no better."""


@pytest.mark.parametrize(
    ("parts", "rates"),
    [
        ({}, 1),
        ({"optimizer": tiny.AVERAGED}, 3),
        (
            {
                "optimizer": tiny.ADADELTA,
                "before": ALWAYS_FALLING,
                "more": "plateau=AlwaysFalling(factor=0.5, patience=0.3, floor=0.01)",
            },
            3,
        ),
    ],
    ids=["dropout", "averaged weights", "plateau"],
)
def test_interrupted_and_resumed_training_ends_as_one_never_interrupted(tmp_path, data, parts, rates):
    settings = Settings(tiny.write_recipe(tmp_path, **parts), data, passes=3, seed=5)
    whole = train(settings, tmp_path / "whole", tiny.Told())
    with pytest.raises(KeyboardInterrupt):
        train(settings, tmp_path / "halved", tiny.Told(stop_in_pass=2))
    halved = Run(tmp_path / "halved")
    assert [result.number for result in halved.history()] == [1]
    assert halved.report.exists()
    told = tiny.Told()
    (resumed,) = resume(halved.folder, told)
    assert resumed.folder == halved.folder
    assert told.started == [("halved", 3, 22, 50, 1)]
    assert [result.number for result in told.results] == [2, 3]
    assert_same_run(halved, whole)
    assert len({result.learning_rate for result in whole.history()}) == rates


def test_batch_normalisation_has_the_statistics_of_the_averaged_network(tmp_path, data, monkeypatch):
    shown = []
    fit = keras.Model.fit

    def watch(self, x, y, **named):
        shown.append(x)
        return fit(self, x, y, **named)

    monkeypatch.setattr(keras.Model, "fit", watch)
    recipe = tiny.write_recipe(tmp_path, optimizer=tiny.AVERAGED, more="keep='last'")
    network = keras.models.load_model(train(Settings(recipe, data, passes=3), tmp_path / "run", tiny.Told()).best)
    (norm,) = (layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization))
    before = keras.Model(network.inputs, norm.input).predict(shown[-1], verbose=0)
    np.testing.assert_allclose(norm.moving_mean, before.mean(axis=(0, 1, 2)), atol=1e-4)
    np.testing.assert_allclose(norm.moving_variance, before.var(axis=(0, 1, 2)), rtol=0.02)
    (dropout,) = (layer for layer in network.layers if isinstance(layer, keras.layers.Dropout))
    assert (norm.momentum, dropout.rate) == (0.8, 0.2)


def test_training_interrupted_in_its_first_pass_is_resumed_from_the_start(trained, recipe, tmp_path, data):
    with pytest.raises(KeyboardInterrupt):
        train(Settings(recipe, data, passes=3, seed=5), tmp_path / "run", tiny.Told(stop_in_pass=1))
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"run.json", "recipe.py"}
    (run,) = resume(tmp_path / "run", tiny.Told())
    assert_same_run(run, trained[0])


def test_resuming_follows_the_recipe_of_the_run_whatever_became_of_the_file(trained, tmp_path, data):
    recipe = tiny.write_recipe(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        train(Settings(recipe, data, passes=3, seed=5), tmp_path / "run", tiny.Told(stop_in_pass=3))
    Path(recipe).write_text("something else")
    resume(tmp_path / "run", tiny.Told())
    assert_same_run(Run(tmp_path / "run"), trained[0])


DENSE = "layers.Flatten(), layers.Dropout(0.2), layers.Dense(10, activation='softmax')"
"""A network that is traced in no time."""
PASS = ["best.keras", "metrics.json", "history.csv", "last.keras"]
END = ["metrics.json", "report.html"]
MOMENTS = [
    *("new/recipe.py", "new/run.json", "run"),
    *(f"run/{name}" for name in (*PASS, *PASS, *END)),
    *("run/new/recipe.py", "run/new/run.json", "run/refit"),
    *(f"run/refit/{name}" for name in ("history.csv", "last.keras", *PASS, *END)),
    "run/report.html",
]
"""All that a training of two passes with its refit writes, in order."""


@contextlib.contextmanager
def kept_moments(folder: Path, kept: Path) -> Iterator[list[str]]:
    """Before a file or folder in `folder` comes into being, `folder` as a kill would leave it goes to kept/NUMBER."""
    moments: list[str] = []

    def keep(move: Callable[..., None]) -> Callable[..., None]:
        def moved(source: Path, target: Path) -> None:
            if Path(target).is_relative_to(folder):
                moments.append(re.sub(r"\.edge-digits-\w+", "new", Path(target).relative_to(folder).as_posix()))
                shutil.copytree(folder, kept / str(len(moments) - 1))
            move(source, target)

        return moved

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", keep(os.replace))
        patch.setattr(os, "rename", keep(os.rename))
        patch.setattr(module, "write_report", quick_report)
        yield moments


@pytest.fixture(scope="module")
def killed(tmp_path_factory, tiles, labels) -> tuple[Settings, Run, list[str], Path]:
    """A training, its run, what it wrote, and the folder of what a kill before each of these would have left."""
    recipe = tiny.write_recipe(tmp_path_factory.mktemp("recipe"), layers=DENSE, augmentation="")
    np.savez(Path(recipe).with_name("d.npz"), x=tiles[::20], y=labels[::20])
    settings = Settings(recipe, Path(recipe).with_name("d.npz"), passes=2, refit=True)
    folder, kept = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("kept")
    with kept_moments(folder, kept) as moments:
        run = train(settings, folder / "run", tiny.Told())
    return settings, run, moments, kept


def test_every_write_of_a_training_is_known(killed):
    assert killed[2] == MOMENTS


@pytest.mark.parametrize("moment", range(2, len(MOMENTS)), ids=MOMENTS[2:])  # before, there is no folder either
def test_kill_before_and_after_any_write_loses_nothing(killed, tmp_path, moment):
    """Right before one, the others are written whole; a kill right after one is as a kill before the next."""
    settings, whole, _, kept = killed
    run = Run(shutil.copytree(kept / str(moment), tmp_path / "killed") / "run")
    assert any((tmp_path / "killed").rglob(".edge-digits-*"))
    if run.folder.exists():
        resume(run.folder, tiny.Told())
    else:  # it has not begun, and nothing is in its way
        train(settings, run.folder, tiny.Told())
    for one, other in ((run, whole), (run.refit, whole.refit)):
        assert_same_run(one, other)
        assert {path.name for path in one.folder.iterdir()} == {path.name for path in other.folder.iterdir()}
    assert run.report.read_text() == "refit: True"


def test_kill_while_the_folders_of_seeds_are_made_loses_no_seed(killed, tmp_path):
    with kept_moments(tmp_path, tmp_path.parent / f"{tmp_path.name}-kept") as moments:
        train_seeds(dataclasses.replace(killed[0], passes=1, refit=False), tmp_path / "runs", 3, tiny.Told())
    begun = moments.index("runs")
    assert begun == 3 * 3  # recipe.py, run.json and the folder of each
    for number in range(len(moments)):
        left = tmp_path.parent / f"{tmp_path.name}-kept" / str(number) / "runs"
        assert [run.folder.name for run in part_runs(left)] == (
            ["seed-0", "seed-1", "seed-2"] if number > begun else []
        )
        assert left.exists() == (number > begun)
    assert moments[-1] == "runs/seeds.json"
    resume(left, tiny.Told())
    assert (left / "seeds.json").read_text() == (tmp_path / "runs" / "seeds.json").read_text()


class Killed(BaseException):
    """The end of a process, as nothing in it would notice."""


def test_kill_in_the_last_report_leaves_none_that_is_out_of_date(killed, tmp_path, monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        train(dataclasses.replace(killed[0], refit=False), tmp_path / "run", tiny.Told(stop_in_pass=2))
    assert Run(tmp_path / "run").report.exists()

    def die(*_: object) -> None:
        raise Killed

    monkeypatch.setattr(module, "write_report", die)
    with pytest.raises(Killed):
        resume(tmp_path / "run", tiny.Told())
    monkeypatch.setattr(module, "write_report", lambda run, *_: run.report.write_text("the last"))
    resume(tmp_path / "run", tiny.Told())
    assert Run(tmp_path / "run").report.read_text() == "the last"


def test_kill_minus_9_at_any_moment_loses_nothing(trained, recipe, tmp_path, data):
    """The process is killed at a moment of no choosing."""
    arguments = ["--recipe", recipe, "--data", data, "--passes", "3", "--seed", "5", "-o", tmp_path / "run"]
    started = [sys.executable, "-m", "edge_digits", "train", *map(str, arguments)]
    with subprocess.Popen(started, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("pass 1/"):
                process.kill()
    assert process.returncode == -9
    resume(tmp_path / "run", tiny.Told())
    assert_same_run(Run(tmp_path / "run"), trained[0])


def test_resuming_a_finished_run_changes_nothing(trained):
    before = {path.name: path.read_bytes() for path in trained[0].folder.iterdir()}
    told = tiny.Told()
    resume(trained[0].folder, told)
    assert (told.started, told.results) == ([], [])
    assert {path.name: path.read_bytes() for path in trained[0].folder.iterdir()} == before


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda folder: (folder / "run.json").unlink(), r"run\.json: cannot be read: No such file"),
        (lambda folder: (folder / "run.json").write_text("{"), r"run\.json: is damaged"),
        (lambda folder: (folder / "last.keras").write_bytes(b"PK"), r"last\.keras: is damaged: delete it to begin"),
        (lambda folder: (folder / "recipe.py").unlink(), r"recipe\.py: cannot be read"),
        (lambda folder: (folder / "history.csv").unlink(), r"history\.csv: has 0 passes, and last\.keras 3"),
        (lambda folder: (folder / "history.csv").write_text("number\nx\n"), r"history\.csv: is damaged"),
    ],
    ids=["no run", "damaged run", "damaged network", "no recipe", "no history", "damaged history"],
)
def test_run_that_cannot_be_resumed_is_refused_with_the_reason(trained, tmp_path, damage, reason):
    folder = tmp_path / "run"
    shutil.copytree(trained[0].folder, folder)
    damage(folder)
    with pytest.raises(InputError, match=reason):
        resume(folder, tiny.Told())


def test_run_whose_data_has_changed_is_not_resumed(killed, tmp_path, tiles, labels):
    table = tiny.write_table(tmp_path / "train.csv", tiles[::20], labels[::20])
    train(Settings(killed[0].recipe, table, passes=1), tmp_path / "run", tiny.Told())
    tiny.write_table(table, tiles[1::20], labels[1::20])
    with pytest.raises(InputError, match=r"train\.csv: is not the data that .*run was trained on"):
        resume(tmp_path / "run", tiny.Told())


def test_run_whose_test_rows_have_changed_is_not_resumed_but_one_that_does_not_know_them_is(
    killed, tmp_path, tiles, labels
):
    def write(test: slice) -> None:
        part = {"x_train": tiles[::20], "y_train": labels[::20], "x_test": tiles[test], "y_test": labels[test]}
        np.savez(tmp_path / "d.npz", **part)

    write(slice(1, None, 100))
    run = train(dataclasses.replace(killed[0], data=tmp_path / "d.npz", refit=False), tmp_path / "run", tiny.Told())
    assert run.settings()["data"]["test_sha256"] == load_data(tmp_path / "d.npz").test.sha256
    write(slice(2, None, 100))
    with pytest.raises(InputError, match=r"d\.npz: its test rows are not those that .*run began with"):
        resume(run.folder, tiny.Told())
    settings = run.settings()
    del settings["data"]["test_sha256"]  # as an earlier version wrote it
    (run.folder / "run.json").write_text(json.dumps(settings))
    resume(run.folder, tiny.Told())


def test_network_that_is_whole_but_cannot_be_loaded_is_not_said_to_be_damaged(trained, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise TypeError("no layer is called Odd\nand more")

    monkeypatch.setattr(keras.models, "load_model", refuse)
    with pytest.raises(InputError, match=r"last\.keras: cannot be loaded: no layer is called Odd$"):
        resume(trained[0].folder, tiny.Told())


# ---- What is refused, and what stops a training ----


def test_existing_folder_is_refused_and_left_as_it_is(recipe, tmp_path, data):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes").write_text("mine")
    with pytest.raises(OutputExistsError, match="is there already; name another with -o") as caught:
        train(Settings(recipe, data), tmp_path / "run", tiny.Told())
    assert caught.value.exit_code == 2
    assert [(path.name, path.read_text()) for path in (tmp_path / "run").iterdir()] == [("notes", "mine")]


def test_folder_that_cannot_be_made_is_refused(recipe, tmp_path, data):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be made: Not a directory"):
        train(Settings(recipe, data), tmp_path / "file" / "run", tiny.Told())


@pytest.mark.parametrize(
    ("changes", "error", "reason"),
    [
        ({"recipe": "bass"}, UsageError, r"no recipe is called 'bass': did you mean base\?"),
        ({"recipe": "missing.py"}, UsageError, r"missing\.py: there is no such recipe file"),
        ({"validation": 0.0}, UsageError, "--validation 0: it must be more than 0 and less than 1"),
        ({"validation": 1.0}, UsageError, "--validation 1"),
        ({"sample": 0.0}, UsageError, "--sample 0: it must be more than 0 and at most 1"),
        ({"sample": 1.5}, UsageError, "--sample 1.5"),
        ({"passes": 0}, UsageError, "--passes 0: there must be one at least"),
        ({"passes": -3}, UsageError, "--passes -3"),
        ({"seed": -1}, UsageError, "--seed -1"),
        ({"seed": 2**32}, UsageError, "--seed 4294967296: it must be 0 to 4294967295"),
        ({"data": Path("missing.csv")}, TableError, r"missing\.csv: no such file"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_bad_settings_are_refused_before_the_folder_is_made(recipe, tmp_path, data, changes, error, reason):
    settings = dataclasses.replace(Settings(recipe, data), **changes)
    with pytest.raises(error, match=reason):
        train(settings, tmp_path / "run", tiny.Told())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda tiles, labels: (255 - tiles, labels), r"few\.csv: its images are dark on a bright ground: invert them"),
        (lambda tiles, labels: (tiles * 0, labels), r"few\.csv: all its 250 images are the same"),
        (lambda tiles, labels: (tiles, labels * 0 + 3), r"few\.csv: all its 250 rows are labelled 3"),
    ],
    ids=["inverted", "empty", "one label"],
)
def test_rows_that_nothing_can_be_learned_from_are_refused(recipe, tmp_path, tiles, labels, change, reason):
    table = tiny.write_table(tmp_path / "few.csv", *change(tiles[::20], labels[::20]))
    with pytest.raises(InputError, match=reason):
        train(Settings(recipe, table), tmp_path / "run", tiny.Told())
    assert not (tmp_path / "run").exists()


ODD = """
class Odd(layers.Layer):
    def call(self, inputs):
        return inputs
"""
"""A layer that Keras does not know when it loads a network."""


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (
            "Odd(), layers.Flatten(), layers.Dense(10, activation='softmax')",
            r"cannot be saved and loaded again \(Could not locate class 'Odd'\): write layers of your own as classes",
        ),
        (
            "layers.Lambda(lambda x: x), layers.Flatten(), layers.Dense(10, activation='softmax')",
            r"loaded again \(.*ambda",
        ),
        ("layers.Flatten(), layers.Dense(10)", "its last layer gives no probabilities.*: it must end in a softmax"),
        ("layers.Flatten(), layers.Dense(10, activation='sigmoid')", "its last layer gives no probabilities"),
    ],
    ids=["unregistered", "lambda", "no activation", "sigmoid"],
)
def test_network_that_would_be_of_no_use_is_refused_before_it_is_trained(tmp_path, data, body, reason):
    recipe = tiny.write_recipe(tmp_path, layers=body, before=ODD)
    with pytest.raises(UsageError, match=f"recipe tiny: .*{reason}"):
        train(Settings(recipe, data), tmp_path / "run", tiny.Told())
    assert not (tmp_path / "run").exists()


def test_too_few_rows_are_refused_before_the_folder_is_made(recipe, tmp_path, tiles, labels):
    table = tiny.write_table(tmp_path / "few.csv", tiles[::500], labels[::500])
    with pytest.raises(UsageError, match=r"few\.csv: too few rows \(10\)"):
        train(Settings(recipe, table), tmp_path / "run", tiny.Told())
    assert not (tmp_path / "run").exists()


def test_fewer_rows_than_a_batch_make_one_step_a_pass(tmp_path, tiles, labels):
    recipe = tiny.write_recipe(tmp_path, layers=DENSE, batch=4096)
    table = tiny.write_table(tmp_path / "few.csv", tiles[::50], labels[::50])
    told = tiny.Told()
    train(Settings(recipe, table, passes=2), tmp_path / "run", told)
    assert told.started == [("run", 2, 1, 4096, 0)]
    assert int(keras.models.load_model(tmp_path / "run" / "last.keras").optimizer.iterations) == 2


EXPLODING = """
@keras.saving.register_keras_serializable("tests")
class Exploding(layers.Layer):
    def __init__(self, steps, **named):
        super().__init__(**named)
        self._limit = steps
        self._steps = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, inputs, training=False):
        passed_on = keras.ops.where(self._steps > self._limit, float("nan"), inputs)
        if training:
            self._steps.assign_add(1)
        return passed_on

    def get_config(self):
        return {**super().get_config(), "steps": self._limit}
"""
"""A layer that passes on what it gets, and NaN once it has been trained for so many steps."""


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        (22 + 10, "the loss became nan in pass 2: stopped"),
        (22 * 2 - 0.5, "the network gives NaN for train.csv after pass 2: stopped"),
    ],
    ids=["in the middle of a pass", "with its last step"],
)
def test_nan_stops_the_training_with_the_reason_and_keeps_the_last_good_network(tmp_path, data, steps, reason):
    body = f"layers.Flatten(), Exploding({steps}), layers.Dense(10, activation='softmax')"
    recipe = tiny.write_recipe(tmp_path, layers=body, before=EXPLODING)
    with pytest.raises(TrainingError, match=reason) as caught:
        train(Settings(recipe, data, passes=4), tmp_path / "run", tiny.Told())
    assert str(caught.value).startswith(f"{tmp_path / 'run'}: ")
    assert caught.value.exit_code == 1
    run = Run(tmp_path / "run")
    assert [result.number for result in run.history()] == [1]
    assert run.metrics()["pass"] == 1
    for path in (run.best, run.last):
        kept = keras.models.load_model(path)
        assert all(np.isfinite(weight).all() for weight in kept.get_weights())


def test_rate_so_high_that_the_loss_explodes_stops_the_training(tmp_path, data):
    recipe = tiny.write_recipe(tmp_path, optimizer="keras.optimizers.SGD(1e38)")
    with pytest.raises(TrainingError, match=r"(the loss became nan in|the network gives NaN .* after) pass 1: stopped"):
        train(Settings(recipe, data, passes=2), tmp_path / "run", tiny.Told())


def test_folder_that_goes_away_ends_the_training_with_a_clear_error(recipe, tmp_path, data):
    class Remove(tiny.Told):
        def step(self, loss: float, accuracy: float) -> None:
            super().step(loss, accuracy)
            if len(self.losses) == 30:
                shutil.rmtree(tmp_path / "run")

    with pytest.raises(OutputError, match=r"run/(best|last)\.keras|history\.csv.*: the folder .*run does not exist"):
        train(Settings(recipe, data, passes=3), tmp_path / "run", Remove())


def test_full_disk_ends_the_training_with_a_clear_error_and_keeps_the_last_checkpoint(killed, tmp_path, monkeypatch):
    save = keras.Model.save

    def full(self: keras.Model, path: Path) -> None:
        if self.optimizer.iterations > 225 // 50:
            Path(path).write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        save(self, path)

    with monkeypatch.context() as patch:
        patch.setattr(keras.Model, "save", full)
        with pytest.raises(OutputError, match=r"run/(best|last)\.keras: cannot be written \(no space left on device\)"):
            train(dataclasses.replace(killed[0], refit=False), tmp_path / "run", tiny.Told())
    assert not [path.name for path in (tmp_path / "run").iterdir() if path.name.startswith(".")]
    resume(tmp_path / "run", tiny.Told())
    assert_same_run(Run(tmp_path / "run"), killed[1])


# ---- Splits, samples, early stopping, refit, seeds ----


def test_asked_split_replaces_the_recipes_and_the_sample_is_drawn_first(recipe, tmp_path, data):
    asked = Settings(recipe, data, 1, validation=0.2, split_seed=3, sample=0.4, sample_seed=7)
    run = train(asked, tmp_path / "run", tiny.Told())
    split = Split(0.2, 3, "stratified", 0.4, 7)
    assert run.settings()["split"] == dataclasses.asdict(split)
    _, held_out = split_data(load_data(data).rows, split)
    found = run.settings()["data"]
    assert (found["training_rows"], found["validation_rows"]) == (400, 100)
    answers = keras.models.load_model(run.best).predict(held_out.tiles, verbose=0)
    confusion = Evaluation.from_probabilities(answers, held_out.labels).confusion.tolist()
    assert run.metrics()["validation"]["confusion"] == confusion


def test_fast_is_one_pass_over_two_thousand_rows_at_most(killed, tmp_path, data, tiles, labels):
    large = tiny.write_table(tmp_path / "large.csv", tiles, labels)
    for table, rows in ((data, 1250), (large, 2000)):
        told = tiny.Told()
        run = train(Settings(killed[0].recipe, table, fast=True), tmp_path / f"run{rows}", told)
        found = run.settings()["data"]
        assert found["training_rows"] + found["validation_rows"] == rows
        assert len(told.results) == 1


def test_deskewed_network_begins_with_the_layer_and_learns(recipe, tmp_path, data):
    run = train(Settings(recipe, data, passes=2, deskew=True), tmp_path / "run", tiny.Told())
    network = keras.models.load_model(run.best)
    assert [type(layer).__name__ for layer in network.layers[:4]] == ["InputLayer", "Rescaling", "Deskew", "Reshape"]
    assert run.metrics()["validation"]["accuracy"] > 0.5


def test_early_stopping_ends_the_run_and_resuming_finds_it_ended(tmp_path, data):
    recipe = tiny.write_recipe(
        tmp_path, optimizer="keras.optimizers.SGD(0.0)", augmentation="", more="early_stopping=EarlyStopping(0.2)"
    )
    told = tiny.Told()
    run = train(Settings(recipe, data, passes=10), tmp_path / "run", told)
    assert len(told.results) == len(run.history()) < 10
    losses = [result.validation_loss for result in run.history()]
    assert len(losses) - 1 - losses.index(min(losses)) == 2  # passes without a better one
    again = tiny.Told()
    resume(run.folder, again)
    assert again.results == []


def test_refit_trains_on_all_rows_for_as_long_as_was_best(tmp_path, data, monkeypatch):
    rows = {}
    fit = keras.Model.fit

    def watch(self: keras.Model, x: np.ndarray, *arguments: object, **named: object) -> object:
        rows.setdefault(id(self), []).append(len(x))
        return fit(self, x, *arguments, **named)

    monkeypatch.setattr(keras.Model, "fit", watch)
    recipe = tiny.write_recipe(
        tmp_path,
        optimizer=tiny.ADADELTA,
        before=ALWAYS_FALLING,
        more="plateau=AlwaysFalling(factor=0.5, patience=0.3, floor=0.01)",
    )
    run = train(Settings(recipe, data, passes=3, seed=5, sample=0.8, refit=True), tmp_path / "run", tiny.Told())
    best = run.metrics()["pass"]
    first, second = rows.values()
    assert first == [900] * 3
    assert second == [1000] * best
    refit = run.refit
    found = refit.settings()
    assert (found["data"]["training_rows"], found["data"]["validation_rows"]) == (1000, 0)
    assert found["refit"]["passes"] == best
    assert [r.learning_rate for r in refit.history()] == [r.learning_rate for r in run.history()[:best]]
    assert all(math.isnan(result.validation_loss) for result in refit.history())
    assert (refit.metrics()["validation"], refit.metrics()["pass"]) == (None, best)
    assert_equal(refit.best, refit.last)
    assert "trained on all 1,000 rows" in run.describe()


def test_refit_that_was_not_asked_for_can_follow(killed, tmp_path):
    settings, whole, *_ = killed
    train(dataclasses.replace(settings, refit=False), tmp_path / "later", tiny.Told())
    assert not (tmp_path / "later" / "refit").exists()
    resume(tmp_path / "later", tiny.Told(), refit=True)
    assert_same_run(Run(tmp_path / "later").refit, whole.refit)
    assert Run(tmp_path / "later").report.read_text() == "refit: True"


def test_several_seeds_give_several_networks_and_their_mean_and_spread(killed, tmp_path):
    settings, whole, *_ = killed
    runs = train_seeds(dataclasses.replace(settings, refit=False), tmp_path / "runs", 2, tiny.Told())
    assert [run.folder.name for run in runs] == ["seed-0", "seed-1"]
    assert_same_run(runs[0], whole)
    found = json.loads((tmp_path / "runs" / "seeds.json").read_text())
    accuracies = [run.metrics()["validation"]["accuracy"] for run in runs]
    assert found["seeds"] == [0, 1]
    assert found["validation"]["each"] == accuracies
    assert found["validation"]["mean"] == pytest.approx(sum(accuracies) / 2)
    assert found["validation"]["sd"] == pytest.approx(abs(accuracies[0] - accuracies[1]) / math.sqrt(2))
    assert summarize(runs) == found


def test_several_seeds_interrupted_in_the_first_are_all_trained_when_resumed(killed, tmp_path):
    settings = dataclasses.replace(killed[0], refit=False, seed=9)
    with pytest.raises(KeyboardInterrupt):
        train_seeds(settings, tmp_path / "runs", 2, tiny.Told(stop_in_pass=1))
    runs = resume(tmp_path / "runs", tiny.Told())
    assert [run.settings()["seed"] for run in runs] == [9, 10]
    assert [len(run.history()) for run in runs] == [2, 2]


def test_seeds_refuse_a_folder_that_is_there(recipe, tmp_path, data):
    (tmp_path / "runs").mkdir()
    with pytest.raises(OutputExistsError, match="is there already"):
        train_seeds(Settings(recipe, data), tmp_path / "runs", 2, tiny.Told())
    assert list((tmp_path / "runs").iterdir()) == []


def test_test_rows_are_measured_once_with_the_best_network_and_overlap_is_said(recipe, tmp_path, tiles, labels):
    test, seen = slice(1, None, 10), slice(0, 40, 4)  # ten of the test rows stand in the other part, too
    x_test, y_test = (np.concatenate([part[test], part[seen]]) for part in (tiles, labels))
    np.savez(tmp_path / "d.npz", x_train=tiles[::4], y_train=labels[::4], x_test=x_test, y_test=y_test)
    run = train(Settings(recipe, tmp_path / "d.npz", passes=2, refit=True), tmp_path / "run", tiny.Told())
    answers = keras.models.load_model(run.refit.best).predict(x_test, verbose=0)
    fresh = Evaluation.from_probabilities(answers, y_test)
    assert run.refit.metrics()["test"]["confusion"] == fresh.confusion.tolist()
    assert run.metrics()["test"] is None
    assert run.refit.settings()["overlap"]["test"] == 10
    assert "on 510 test rows, 10 of which it was trained on, too" in run.refit.describe()
    assert run.settings()["overlap"]["test"] <= 10


# ---- The command ----


def command(*arguments: str | Path, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "200", **environment}
    return subprocess.run(
        [sys.executable, "-m", "edge_digits", "train", *map(str, arguments)],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def test_command_trains_a_recipe_with_progress_on_stderr_and_the_result_on_stdout(tmp_path, tiles, labels):
    table = tiny.write_table(tmp_path / "train.csv", tiles[::5], labels[::5])
    done = command("--recipe", "teacher", "--data", table.name, "--passes", "1", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    assert re.fullmatch(r"teacher-\d{8}-\d{6}", folder.name)
    found = json.loads((folder / "metrics.json").read_text())
    accuracy = f"{100 * found['validation']['accuracy']:.2f} %"
    low, high = (100 * bound for bound in found["validation"]["interval"])
    figure = f"{accuracy} ({low:.2f} to {high:.2f}) on 100 held-out rows, after pass {found['pass']}"
    assert done.stdout == f"runs/{folder.name}: {figure}\n"
    line = r"pass 1/1  loss \d\.\d{4}  accuracy \d+\.\d\d %  validation \d+\.\d\d %  rate \S+  [\d,]+ images/s  \d+ s"
    told = done.stderr.splitlines()
    assert (
        [each for each in told if each.startswith("pass")] == [each for each in told if re.fullmatch(line, each)] != []
    )
    assert "WARNING" not in done.stderr
    assert json.loads((folder / "run.json").read_text())["data"]["path"] == str(table)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--recipe", "base"], "name a --recipe and --data"),
        (["--data", "train.csv"], "name a --recipe and --data"),
        (["--recipe", "bass", "--data", "train.csv"], "no recipe is called 'bass': did you mean base?"),
        (["--resume", "run", "--passes", "3"], "leave all other options away but --refit"),
        (["--recipe", "base", "--data", "train.csv", "--passes", "0"], "--passes"),
        (["--recipe", "base", "--data", "train.csv", "--folds", "5", "--start", "x.keras"], "no --start"),
    ],
    ids=["no data", "no recipe", "unknown recipe", "resume and passes", "no passes", "folds and a start"],
)
def test_command_explains_wrong_usage_and_exits_with_2(tmp_path, arguments, reason):
    done = command(*arguments, folder=tmp_path)
    assert done.returncode == 2
    assert reason in done.stderr
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_ends_with_130_keeps_the_run_and_says_how_to_go_on(trained, recipe, tmp_path, data):
    arguments = ["--recipe", recipe, "--data", str(data), "--passes", "3", "--seed", "5", "-o", "my run"]
    started = [sys.executable, "-m", "edge_digits", "train", *arguments]
    with subprocess.Popen(started, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        for line in process.stderr:
            if line.startswith("pass 1/3"):
                process.send_signal(signal.SIGINT)
                break
        told, result = process.stderr.read(), process.stdout.read()
    assert process.returncode == 130, told
    assert result == ""
    assert told.splitlines()[-1] == "edge-digits: interrupted; go on with: edge-digits train --resume 'my run'"
    assert "Traceback" not in told
    resume(tmp_path / "my run", tiny.Told())
    assert_same_run(Run(tmp_path / "my run"), trained[0])


class Interrupting:
    """Interrupts the program where Python swallows what is raised."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


@pytest.fixture
def handled() -> Iterator[None]:
    """Ctrl-C as the program handles it."""
    before = signal.signal(signal.SIGINT, cli._end)
    yield
    signal.signal(signal.SIGINT, before)


def interrupted_before_a_step(progress: TrainingProgress) -> None:
    Interrupting()
    progress.step(1.0, 0.5)


def interrupted_with_no_step_to_come(_: TrainingProgress) -> None:
    Interrupting()


def interrupted_again(_: TrainingProgress) -> None:
    Interrupting()
    signal.raise_signal(signal.SIGINT)
    pytest.fail("the second did nothing")


@pytest.mark.usefixtures("handled")
@pytest.mark.parametrize("happens", [interrupted_before_a_step, interrupted_with_no_step_to_come, interrupted_again])
def test_ctrl_c_is_not_lost_where_python_would_swallow_it(happens):
    def block() -> None:
        with TrainingProgress() as progress:
            happens(progress)

    with pytest.raises(SystemExit) as caught:
        block()
    assert caught.value.code == 130
    assert signal.getsignal(signal.SIGINT) is cli._end


def test_full_disk_is_told_with_its_reason_and_how_to_go_on(tmp_path, monkeypatch, capsys):
    def full(*_: object) -> None:
        raise OutputError("run/last.keras: cannot be written (no space left on device)")

    monkeypatch.setattr(series, "resume", full)
    with pytest.raises(SystemExit) as caught:
        cli.app(["train", "--resume", str(tmp_path)])
    assert caught.value.code == 1
    said = [line for line in capsys.readouterr().err.splitlines() if "loading" not in line]
    assert said == [
        "edge-digits: run/last.keras: cannot be written (no space left on device); with that set right, go on with: "
        f"edge-digits train --resume {tmp_path}"
    ]


# ---- Other backends ----


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_another_backend_trains_the_same_recipe(tmp_path, tiles, labels, backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    table = tiny.write_table(tmp_path / "train.csv", tiles[::5], labels[::5])
    arguments = ["--recipe", "teacher", "--data", table, "--passes", "2", "-o", tmp_path / "run"]
    done = command(*arguments, folder=tmp_path, KERAS_BACKEND=backend)
    assert done.returncode == 0, done.stderr
    run = Run(tmp_path / "run")
    assert run.settings()["backend"] == backend
    first, second = run.history()
    assert first.loss < 2.3  # less than one that says nothing
    assert second.number == 2
    # the file is the same for every backend
    _, held_out = split_data(load_data(table).rows, Split())
    answers = keras.models.load_model(run.best).predict(held_out.tiles, verbose=0)
    found = Evaluation.from_probabilities(answers, held_out.labels)
    assert found.loss == pytest.approx(run.metrics()["validation"]["loss"], rel=1e-3)
