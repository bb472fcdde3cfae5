"""The passes of one training, from wherever it stands to its end."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np
from numpy.typing import NDArray

from edge_digits.errors import EdgeDigitsError, InputError, UsageError
from edge_digits.metrics import Evaluation
from edge_digits_train.augment import augment
from edge_digits_train.data import DataSet
from edge_digits_train.digit_score import measure_score
from edge_digits_train.networks import (
    PROBABILITIES,
    SCORE,
    first_sentence,
    gives_probabilities,
    load_network,
    predict,
    weight_shapes,
)
from edge_digits_train.picture_tiles import NO_DIGIT, PictureTiles
from edge_digits_train.recipe import Recipe
from edge_digits_train.runs import PassResult, Run
from edge_digits_train.teaching import Teachers, TeachingLoss, label_accuracy, label_loss

SCORE_WEIGHT = 1.0
"""Of the digit score's part in the loss, against that of the digits."""


SETTLED = 20_000
"""Tiles of a pass from which batch normalisation takes its mean and variance anew."""
_AT_ONCE = 500
"""Tiles in a go."""


class Progress(Protocol):
    """What a training tells while it runs."""

    def read(self, done: int, total: int | None) -> None:
        """While pictures are read, with their number."""

    def draw(self, done: int, total: int) -> None:
        """While pictures are drawn, with their number."""

    def ask(self, done: int, total: int) -> None:
        """While teachers answer, with the number of tiles."""

    def start(self, run: Path, passes: int, steps: int, batch: int, done: int) -> None:
        """Before the first pass: passes in all, steps in a pass, tiles in a step, passes done already."""

    def step(self, loss: float, accuracy: float) -> None:
        """After each step, with the means of this pass so far."""

    def end_pass(self, result: PassResult) -> None:
        """After each pass."""


class TrainingError(EdgeDigitsError):
    """A training that cannot go on."""


@dataclass(frozen=True)
class PassData:
    """Varied tiles (n, 28, 28) with their labels, and the order in which they are shown, (m,) row numbers."""

    tiles: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    """NO_DIGIT among them where the network is scored."""
    order: NDArray[np.int64]
    unscored: NDArray[np.bool_] | None = None
    """(n,): of a scored network, tiles that nobody can ask to be taken for a digit: spoiled ones, and coarse ones."""

    def targets(self, teachers: Teachers | None, progress: Progress) -> NDArray[Any]:
        """In the order of showing: the labels, (m,), 0 for no digit; (m, 11) with what the teachers answer."""
        labels = np.where(self.labels == NO_DIGIT, np.uint8(0), self.labels)
        if teachers is None:
            return labels[self.order]
        answers = teachers.answer(self.tiles, progress.ask)
        return np.column_stack([labels, answers])[self.order].astype(np.float32)

    def by_output(self, targets: NDArray[Any]) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[np.float32]]]:
        """The targets of a scored network's outputs, and the weight of each in the loss.

        A tile without a digit is none for the digits' loss, an unscored one none for the score's.
        """
        assert self.unscored is not None
        is_digit = (self.labels != NO_DIGIT)[self.order].astype(np.float32)
        weights = {PROBABILITIES: is_digit, SCORE: (~self.unscored)[self.order].astype(np.float32)}
        return {PROBABILITIES: targets, SCORE: is_digit}, weights


@dataclass(frozen=True)
class Training:
    """All that a training follows from."""

    run: Run
    recipe: Recipe
    seed: int
    passes: int
    """As planned: schedules are laid out over them."""
    last_pass: int
    """The training ends after it, at the latest."""
    deskew: bool
    training: DataSet
    validation: DataSet
    """Empty where all rows are trained on."""
    teachers: Teachers | None = None
    """Where the recipe has a teaching."""
    picture_tiles: PictureTiles | None = None
    """Where the recipe has pictures."""
    start: Path | None = None
    """The network that it begins with; None: one of chance."""
    learning_rates: Sequence[float] = ()
    """That of each pass, where the recipe would read it from the validation loss but there is none."""

    @property
    def steps(self) -> int:
        """In a pass."""
        rows = len(self.training)
        more = self.recipe.pictures.tiles_in_a_pass(rows) if self.recipe.pictures else 0
        return max(1, (rows + more) // self.recipe.batch)

    def learning_rate(self, history: Sequence[PassResult]) -> float | None:
        """Of the pass after `history`; None where the optimizer has a schedule of its own, or none."""
        if self.learning_rates:
            return self.learning_rates[len(history)]
        if self.recipe.plateau is None:
            return None
        start = float(self.recipe.optimizer(self.passes * self.steps).learning_rate)
        return self.recipe.plateau.learning_rate(start, [r.validation_loss for r in history], self.passes)

    def is_over(self, history: Sequence[PassResult]) -> bool:
        """Whether there is no pass to come."""
        stopping = None if self.learning_rates or not len(self.validation) else self.recipe.early_stopping
        early = stopping is not None and stopping.ends([r.validation_loss for r in history], self.passes)
        return early or len(history) >= self.last_pass

    def draw_pass(self, number: int) -> PassData:
        """The tiles of a pass, the same for the same seed and pass, whenever they are drawn.

        Where there are teachers, the variations do not depend on the seed, so that networks share their answers.
        """
        rng = np.random.default_rng([self.seed, number])
        drawn = (
            rng
            if self.recipe.teaching is None
            else np.random.default_rng((number - 1) % self.recipe.teaching.variations)
        )
        rows, variation = self.training, self.recipe.augmentation
        coarse = np.zeros(len(rows), bool)
        if self.picture_tiles is not None:
            rows, coarse = self.picture_tiles.join(rows, drawn)
        order = rng.permutation(len(rows))[: self.steps * self.recipe.batch]
        if self.recipe.teaching is None:
            rows, coarse, order = rows[order], coarse[order], np.arange(len(order))
        tiles = augment(rows.tiles, rows.labels, variation, drawn)
        if self.picture_tiles is None:
            return PassData(tiles, rows.labels, order)
        tiles, spoiled = self.picture_tiles.spoil(tiles, rows.labels, drawn)
        return PassData(tiles, rows.labels, order, spoiled | coarse)


def new_network(recipe: Recipe, seed: int, deskew: bool, start: Path | None = None) -> keras.Model:
    """The network before its first step: the same for the same seed, with the weights of `start` where one is named.

    Raises InputError where that cannot be loaded, or is another network.
    """
    keras.utils.set_random_seed(seed)
    network = recipe.build(deskew)
    if start is not None:
        begun = load_network(start, training=False)
        if weight_shapes(begun) != weight_shapes(network):
            raise InputError(str(start), f"is another network than recipe {recipe.name} has: none to begin with")
        network.set_weights(begun.get_weights())
    return network


def check_network(recipe: Recipe, network: keras.Model, tiles: NDArray[np.uint8]) -> None:
    """Refuses a network, before hours are spent on it, that cannot be loaded again or gives no probabilities.

    `tiles`: a few, (n, 28, 28). Raises UsageError.
    """
    _compile(network, recipe, 100)
    network.optimizer.build(network.trainable_variables)
    with tempfile.TemporaryDirectory(prefix="edge-digits-") as folder:
        path = Path(folder) / "network.keras"
        try:
            network.save(path)
            loaded = keras.models.load_model(path)
        except Exception as error:  # a person's own layers may raise anything
            raise UsageError(
                f"recipe {recipe.name}: its network cannot be saved and loaded again ({first_sentence(error)}): write "
                "layers of your own as classes with @keras.saving.register_keras_serializable() and a get_config"
            ) from error
    if not gives_probabilities(loaded, tiles):
        raise UsageError(
            f"recipe {recipe.name}: its last layer gives no probabilities, which are 0 or more and sum to 1: "
            "it must end in a softmax"
        )


def fit(training: Training, progress: Progress) -> list[PassResult]:
    """Trains on from the last pass that was finished, and returns the whole history.

    Raises TrainingError where the loss or the answers are no numbers, and OutputError where the run's folder takes no
    more: what was saved before stays.
    """
    run = training.run
    network, history = _newest(training)
    if training.is_over(history):
        return history
    progress.start(run.folder, training.last_pass, training.steps, training.recipe.batch, len(history))
    with ThreadPoolExecutor(1) as ahead:
        upcoming = ahead.submit(training.draw_pass, len(history) + 1)
        while not training.is_over(history):
            number, started = len(history) + 1, time.monotonic()
            data = upcoming.result()
            if number < training.last_pass:
                upcoming = ahead.submit(training.draw_pass, number + 1)
            rate = training.learning_rate(history)
            if rate is not None:
                network.optimizer.learning_rate = rate
            targets = data.targets(training.teachers, progress)
            _seed_dropout(network, training.seed, number)
            loss, accuracy = _fit_pass(network, data, targets, training.recipe.batch, progress)
            if not np.isfinite(loss):
                raise TrainingError(f"{run.folder}: the loss became {loss} in pass {number}: stopped")
            if network.optimizer.use_ema:
                settle_norms(network, data.tiles[data.order[:SETTLED]])
            found = evaluate_network(network, training.validation, run, number) if len(training.validation) else None
            result = PassResult(
                number,
                loss,
                accuracy,
                found.loss if found else float("nan"),
                found.accuracy if found else float("nan"),
                float(keras.ops.convert_to_numpy(network.optimizer.learning_rate)),
                round(time.monotonic() - started, 2),
            )
            history.append(result)
            if _is_best(history, training):
                run.save(network, run.best)
                run.write_metrics(
                    {"network": run.best.name, "pass": number, "validation": found.as_dict() if found else None}
                )
            run.write_history(history)
            run.save(network, run.last)
            progress.end_pass(result)
    return history


def evaluate_network(network: keras.Model, data: DataSet, run: Run, number: int) -> Evaluation:
    """The network of a run after pass `number`, measured. Raises TrainingError where it gives NaN."""
    probabilities = predict(network, data.tiles).probabilities
    if not np.isfinite(probabilities).all():
        raise TrainingError(f"{run.folder}: the network gives NaN for {data.name} after pass {number}: stopped")
    return Evaluation.from_probabilities(probabilities, data.labels)


def evaluate_score(network: keras.Model, rows: DataSet, picture_tiles: DataSet) -> dict[str, Any]:
    """A scored network on rows that it has not seen and tiles of pictures of them: digits read, other things told."""
    of_rows, of_tiles = predict(network, rows.tiles), predict(network, picture_tiles.tiles)
    scored = measure_score(rows, of_rows, picture_tiles, of_tiles)
    is_digit = picture_tiles.labels != NO_DIGIT
    digits = Evaluation.from_probabilities(of_tiles.probabilities[is_digit], picture_tiles.labels[is_digit])
    return {"digits": digits.as_dict(), "others": int((~is_digit).sum()), **asdict(scored)}


def _newest(training: Training) -> tuple[keras.Model, list[PassResult]]:
    """The network after its last finished pass, and the history up to there."""
    run = training.run
    if not run.last.exists():
        network = new_network(training.recipe, training.seed, training.deskew, training.start)
        _compile(network, training.recipe, training.passes * training.steps)
        return network, []
    keras.utils.set_random_seed(training.seed)
    network = load_network(run.last, training=True)
    # The optimizer's own count says which pass last.keras is from, the history all else: no third file to disagree.
    done = int(keras.ops.convert_to_numpy(network.optimizer.iterations)) // training.steps
    history = run.history()[:done]
    if len(history) < done:
        raise InputError(str(run.folder / "history.csv"), f"has {len(history)} passes, and last.keras {done}")
    return network, history


def _compile(network: keras.Model, recipe: Recipe, steps: int) -> None:
    loss: Any = "sparse_categorical_crossentropy"
    metrics = [
        keras.metrics.SparseCategoricalAccuracy(name="accuracy"),
        keras.metrics.SparseCategoricalCrossentropy(name="label_loss"),
    ]
    if recipe.teaching is not None:
        loss = TeachingLoss(recipe.teaching.temperature, recipe.teaching.share)
        metrics = [
            keras.metrics.MeanMetricWrapper(label_accuracy, name="accuracy"),
            keras.metrics.MeanMetricWrapper(label_loss, name="label_loss"),
        ]
    asked: dict[str, Any] = {"loss": loss, "metrics": metrics}
    if recipe.pictures is not None:
        asked = {
            "loss": {PROBABILITIES: loss, SCORE: "binary_crossentropy"},
            "loss_weights": {PROBABILITIES: 1.0, SCORE: SCORE_WEIGHT},
            "weighted_metrics": {PROBABILITIES: metrics, SCORE: []},
        }
    by_xla = keras.backend.backend() == "jax"  # on a CPU, convolutions take four times as long by it
    network.compile(recipe.optimizer(steps), **asked, jit_compile=by_xla)


def _is_best(history: Sequence[PassResult], training: Training) -> bool:
    """Whether the newest pass is the one to keep: the best on the validation rows, or the last."""
    if not len(training.validation) or training.recipe.keep == "last":
        return training.is_over(history)
    *earlier, newest = (result.rank for result in history)
    return newest > max(earlier, default=(-1.0, 0.0))


def settle_norms(network: keras.Model, tiles: NDArray[np.uint8]) -> None:
    """Gives batch normalisation the mean and the variance that `tiles`, (n, 28, 28), have in this network.

    Its own running ones are of the last few steps, and of weights that were not averaged (Izmailov and others, 2018,
    arXiv:1803.05407, section 3.2).
    """
    momenta = {layer: layer.momentum for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)}
    rates = {layer: layer.rate for layer in network.layers if isinstance(layer, keras.layers.Dropout)}
    if not momenta:
        return
    for dropout in rates:
        dropout.rate = 0.0
    for i, some in enumerate(np.array_split(tiles, max(1, len(tiles) // _AT_ONCE))):
        for norm in momenta:
            norm.momentum = i / (i + 1)  # the mean over all goes so far
        network(some, training=True)
    for norm, momentum in momenta.items():
        norm.momentum = momentum
    for dropout, rate in rates.items():
        dropout.rate = rate


def _seed_dropout(network: keras.Model, seed: int, number: int) -> None:
    """What dropouts draw in a pass depends on the seed and the pass alone: a .keras does not hold how far they are."""
    rng = np.random.default_rng([seed, number, 1])
    for variable in network.variables:
        if variable.name == "seed_generator_state":
            variable.assign(rng.integers(0, 2**31, variable.shape))


def _fit_pass(
    network: keras.Model, data: PassData, targets: NDArray[Any], batch: int, progress: Progress
) -> tuple[float, float]:
    """(loss on the labels, accuracy) of the pass.

    Where the optimizer keeps a running mean of the weights, Keras puts it in their place when `fit` returns: what is
    measured and saved is the mean, and the next pass goes on from it.
    """

    class Tell(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
            progress.step(*_figures(logs or {}))

    asked, weights = (targets, None) if data.unscored is None else data.by_output(targets)
    result = network.fit(
        data.tiles[data.order], asked, sample_weight=weights, batch_size=batch, epochs=1, shuffle=False, verbose=0,
        callbacks=[Tell()],
    )  # fmt: skip
    # Copied, as jax hands the mean's own memory to the network, and frees it with the next prediction.
    network.set_weights(network.get_weights())
    return _figures({name: values[0] for name, values in result.history.items()})


def _figures(logs: dict[str, Any]) -> tuple[float, float]:
    """(loss, accuracy) on the labels of digits alone, whatever else has a part in the loss."""
    named = {name.removeprefix(f"{PROBABILITIES}_"): value for name, value in logs.items()}
    return float(named.get("label_loss", logs["loss"])), float(named["accuracy"])
