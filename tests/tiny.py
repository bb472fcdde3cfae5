"""A recipe that trains in seconds, and what training it needs."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from edge_digits_train.augment import Augmentation
from edge_digits_train.recipes import Plateau, Recipe
from edge_digits_train.runs import PassResult


def table(tiles: NDArray[np.uint8], labels: NDArray[np.integer]) -> bytes:
    """A table as Kaggle's train.csv."""
    header = ",".join(["label", *(f"pixel{i}" for i in range(784))])
    values = np.column_stack([labels, tiles.reshape(len(tiles), -1)]).tolist()
    return "\n".join([header, *(",".join(map(str, row)) for row in values), ""]).encode()


def write_table(path: Path, tiles: NDArray[np.uint8], labels: NDArray[np.integer]) -> Path:
    path.write_bytes(gzip.compress(table(tiles, labels), 1) if path.suffix == ".gz" else table(tiles, labels))
    return path


def network() -> keras.Model:
    """One small convolution, batch-normalised, and a dropout: 2,050 parameters or so."""
    tiles = keras.Input((28, 28), name="tiles", dtype="uint8")
    x = layers.Reshape((28, 28, 1))(layers.Rescaling(1 / 255)(tiles))
    x = layers.Conv2D(8, 5, strides=2, use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.8)(x))
    x = layers.MaxPooling2D(2)(x)
    x = layers.Dropout(0.2)(layers.Flatten()(x))
    return keras.Model(tiles, layers.Dense(10, activation="softmax")(x), name="tiny")


def adam(_: int) -> keras.optimizers.Optimizer:
    return keras.optimizers.Adam(0.01)


def adadelta(_: int) -> keras.optimizers.Optimizer:
    return keras.optimizers.Adadelta(1.0)


def averaged(steps: int) -> keras.optimizers.Optimizer:
    """A schedule, weight decay and a running mean of the weights, as recipe `base` has."""
    rate = keras.optimizers.schedules.CosineDecay(0.01, steps)
    return keras.optimizers.AdamW(rate, weight_decay=1e-2, use_ema=True, ema_momentum=0.9)


def tiny(
    optimizer: Callable[[int], keras.optimizers.Optimizer] = adam,
    plateau: Plateau | None = None,
    network: Callable[[], keras.Model] = network,
) -> Recipe:
    return Recipe(
        name="tiny",
        summary="for tests",
        network=network,
        optimizer=optimizer,
        batch=50,
        passes=3,
        augmentation=Augmentation(rotation=5, shift=0.03, elastic=0.3, stroke=0.1, flags=0.2),
        plateau=plateau,
    )


class Told:
    """A progress that keeps what it is told, and interrupts the training in the middle of a pass."""

    def __init__(self, stop_in_pass: int | None = None) -> None:
        self.started: tuple[int, int, int] | None = None
        self.losses: list[float] = []
        self.results: list[PassResult] = []
        self._stop_in_pass = stop_in_pass

    def start(self, passes: int, steps: int, done: int) -> None:
        self.started = (passes, steps, done)

    def step(self, loss: float) -> None:
        self.losses.append(loss)
        if self.started and self._stop_in_pass is not None:
            _, steps, done = self.started
            if len(self.losses) > (self._stop_in_pass - done - 1) * steps + steps // 2:
                raise KeyboardInterrupt

    def end_pass(self, result: PassResult) -> None:
        self.results.append(result)
