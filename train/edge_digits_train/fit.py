"""One training from its recipe to a finished run folder."""

from __future__ import annotations

import contextlib
import os
import platform
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np

from edge_digits.errors import EdgeDigitsError, InputError, UsageError
from edge_digits.metrics import Evaluation
from edge_digits_train.augment import augment
from edge_digits_train.data import DataSet, load_data, split_data
from edge_digits_train.recipes import Recipe, find_recipe
from edge_digits_train.runs import PassResult, Run, describe


class Progress(Protocol):
    """What a training tells while it runs."""

    def start(self, passes: int, steps: int, done: int) -> None:
        """Before the first pass: passes in all, steps in a pass, passes done already."""

    def step(self, loss: float) -> None:
        """After each step, with the mean loss of this pass so far."""

    def end_pass(self, result: PassResult) -> None:
        """After each pass."""


@dataclass(frozen=True)
class Settings:
    """What a training is asked for."""

    recipe: str
    data: Path
    passes: int | None = None
    """None: as many as the recipe says."""
    seed: int = 0


class TrainingError(EdgeDigitsError):
    """A training that cannot go on."""


def train(settings: Settings, folder: Path, progress: Progress) -> Run:
    """Trains a recipe into a new folder. Raises UsageError and InputError before the folder is made."""
    recipe = find_recipe(settings.recipe)
    passes = recipe.passes if settings.passes is None else settings.passes
    if passes < 1:
        raise UsageError(f"--passes {passes}: there must be one at least")
    if not 0 <= settings.seed < 2**32:
        raise UsageError(f"--seed {settings.seed}: it must be 0 to {2**32 - 1}")
    data = load_data(settings.data)
    training, validation = split_data(data, recipe.validation, recipe.split_seed)
    run = Run.create(folder)
    run.write_settings(
        {
            "recipe": recipe.name,
            "passes": passes,
            "seed": settings.seed,
            "settings": describe(recipe),
            "data": {
                "path": str(settings.data.absolute()),
                "name": data.name,
                "rows": len(data),
                "sha256": data.sha256,
                "training_rows": len(training),
                "validation_rows": len(validation),
            },
            "backend": keras.backend.backend(),
            "versions": _versions(),
        }
    )
    keras.utils.set_random_seed(settings.seed)
    network = recipe.network()
    # Compiled by XLA, convolutions on a CPU take four times as long.
    network.compile(
        recipe.optimizer(passes * _steps(recipe, training)),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=keras.backend.backend() == "jax",
    )
    return _fit(network, recipe, passes, settings.seed, training, validation, run, progress)


def default_folder(recipe: str) -> Path:
    """runs/RECIPE-DATE-TIME, in the current folder."""
    return Path("runs") / f"{recipe}-{time.strftime('%Y%m%d-%H%M%S')}"


def resume(folder: Path, progress: Progress) -> Run:
    """Goes on with an interrupted training, from its last finished pass.

    Raises InputError where the folder is no run, nothing was saved yet, or the data has changed.
    """
    run = Run(folder)
    settings = run.settings()
    recipe = find_recipe(settings["recipe"])
    data = load_data(settings["data"]["path"])
    if data.sha256 != settings["data"]["sha256"]:
        raise InputError(settings["data"]["path"], f"is not the data that {folder} was trained on")
    training, validation = split_data(data, recipe.validation, recipe.split_seed)
    if not run.last.exists():
        raise InputError(str(run.last), "is not there: no pass was finished, so train anew")
    keras.utils.set_random_seed(settings["seed"])
    try:
        network = keras.models.load_model(run.last)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(str(run.last), "is damaged, so train anew") from error
    return _fit(network, recipe, settings["passes"], settings["seed"], training, validation, run, progress)


def _fit(
    network: keras.Model,
    recipe: Recipe,
    passes: int,
    seed: int,
    training: DataSet,
    validation: DataSet,
    run: Run,
    progress: Progress,
) -> Run:
    steps = _steps(recipe, training)
    # The optimizer's own count says which pass last.keras is from, the history all else: no third file to disagree.
    done = int(keras.ops.convert_to_numpy(network.optimizer.iterations)) // steps
    history = run.history()[:done]
    start_rate = float(recipe.optimizer(passes * steps).learning_rate) if recipe.plateau else 0.0
    progress.start(passes, steps, done)
    with ThreadPoolExecutor(1) as ahead:
        upcoming = ahead.submit(_pass_data, training, recipe, seed, done + 1)
        for number in range(done + 1, passes + 1):
            started = time.monotonic()
            if recipe.plateau:
                losses = [result.validation_loss for result in history]
                network.optimizer.learning_rate = recipe.plateau.learning_rate(start_rate, losses, passes)
            data = upcoming.result()
            if number < passes:
                upcoming = ahead.submit(_pass_data, training, recipe, seed, number + 1)
            _seed_dropout(network, seed, number)
            loss, accuracy = _fit_pass(network, data, recipe.batch, progress)
            if not np.isfinite(loss):
                raise TrainingError(f"{run.folder}: the loss became {loss} in pass {number}: stopped")
            probabilities = network.predict(validation.tiles, batch_size=512, verbose=0)
            if not np.isfinite(probabilities).all():
                raise TrainingError(f"{run.folder}: the network gives NaN after pass {number}: stopped")
            found = Evaluation.from_probabilities(probabilities, validation.labels)
            rate = float(keras.ops.convert_to_numpy(network.optimizer.learning_rate))
            result = PassResult(
                number, loss, accuracy, found.loss, found.accuracy, rate, round(time.monotonic() - started, 2)
            )
            if result.rank > max((earlier.rank for earlier in history), default=(-1.0, 0.0)):
                run.save(network, run.best)
                run.write_metrics(_metrics(found, result))
            history.append(result)
            run.write_history(history)
            run.save(network, run.last)
            progress.end_pass(result)
    return run


def _steps(recipe: Recipe, training: DataSet) -> int:
    return max(1, len(training) // recipe.batch)


def _pass_data(training: DataSet, recipe: Recipe, seed: int, number: int) -> DataSet:
    """The rows of one pass, shuffled and augmented: the same for the same seed and pass, whenever it is drawn."""
    rng = np.random.default_rng([seed, number])
    size = min(len(training), _steps(recipe, training) * recipe.batch)
    rows = rng.permutation(len(training))[:size]
    tiles, labels = training.tiles[rows], training.labels[rows]
    return DataSet(training.name, augment(tiles, labels, recipe.augmentation, rng), labels)


def _seed_dropout(network: keras.Model, seed: int, number: int) -> None:
    """What dropouts draw in a pass depends on the seed and the pass alone: a .keras does not hold how far they are."""
    rng = np.random.default_rng([seed, number, 1])
    for variable in network.variables:
        if variable.name == "seed_generator_state":
            variable.assign(rng.integers(0, 2**31, variable.shape))


def _fit_pass(network: keras.Model, data: DataSet, batch: int, progress: Progress) -> tuple[float, float]:
    """(loss, accuracy) of the pass.

    Where the optimizer keeps a running mean of the weights, Keras puts it in their place when `fit` returns: what is
    measured and saved is the mean, and the next pass goes on from it.
    """

    class Tell(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
            progress.step(float((logs or {})["loss"]))

    result = network.fit(
        data.tiles, data.labels, batch_size=batch, epochs=1, shuffle=False, verbose=0, callbacks=[Tell()]
    )
    # Copied, as jax hands the mean's own memory to the network, and frees it with the next prediction.
    network.set_weights(network.get_weights())
    return float(result.history["loss"][0]), float(result.history["accuracy"][0])


def _metrics(found: Evaluation, result: PassResult) -> dict[str, Any]:
    return {"network": "best.keras", "pass": result.number, "validation": found.as_dict()}


def _versions() -> dict[str, str]:
    packages = ["edge-digits", "keras", "tensorflow", "numpy", "opencv-python", "pandas", "scikit-learn"]
    found = {"python": platform.python_version(), "machine": f"{platform.machine()}, {os.cpu_count()} cores"}
    for package in packages:
        with contextlib.suppress(ModuleNotFoundError):
            found[package] = version(package)
    return found
