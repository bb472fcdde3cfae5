"""A recipe that trains in seconds, and what training it needs."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_digits.outputs import open_output
from edge_digits_train.runs import PassResult, Run

ADAM = "keras.optimizers.Adam(0.01)"
ADADELTA = "keras.optimizers.Adadelta(1.0)"
AVERAGED = """keras.optimizers.AdamW(
        keras.optimizers.schedules.CosineDecay(0.01, steps), weight_decay=1e-2, use_ema=True, ema_momentum=0.9
    )"""
"""A schedule, weight decay and a running mean of the weights, as recipe `base` has."""
LAYERS = """
        layers.Conv2D(8, 5, strides=2, use_bias=False),
        layers.BatchNormalization(momentum=0.8),
        layers.ReLU(),
        layers.MaxPooling2D(2),
        layers.Flatten(),
        layers.Dropout(0.2),
        layers.Dense(10, activation="softmax"),
"""
"""One small convolution, batch-normalised, and a dropout: 2,050 parameters or so."""

_RECIPE = """
import keras
from keras import layers
from edge_digits_train.augment import Augmentation
from edge_digits_train.data import Split
from edge_digits_train.recipe import EarlyStopping, Plateau, Recipe

{before}
def network():
    return [{layers}]

def optimizer(steps):
    return {optimizer}

RECIPE = Recipe(
    name="tiny", summary="for tests", network=network, optimizer=optimizer, batch={batch}, passes=3,
    augmentation=Augmentation({augmentation}), {more}
)
"""


def write_recipe(
    folder: Path,
    optimizer: str = ADAM,
    more: str = "",
    layers: str = LAYERS,
    batch: int = 50,
    augmentation: str = "rotation=5, shift=0.03, elastic=0.3, stroke=0.1, flags=0.2",
    before: str = "",
) -> str:
    """The path of a recipe file, tiny.py in `folder`; its parts are Python, as they stand in the file."""
    path = folder / "tiny.py"
    path.write_text(
        _RECIPE.format(
            optimizer=optimizer, more=more, layers=layers, batch=batch, augmentation=augmentation, before=before
        )
    )
    return str(path)


def table(tiles: NDArray[np.uint8], labels: NDArray[np.integer]) -> bytes:
    """A table as Kaggle's train.csv."""
    header = ",".join(["label", *(f"pixel{i}" for i in range(784))])
    values = np.column_stack([labels, tiles.reshape(len(tiles), -1)]).tolist()
    return "\n".join([header, *(",".join(map(str, row)) for row in values), ""]).encode()


def write_table(path: Path, tiles: NDArray[np.uint8], labels: NDArray[np.integer]) -> Path:
    path.write_bytes(gzip.compress(table(tiles, labels), 1) if path.suffix == ".gz" else table(tiles, labels))
    return path


def write_rows(path: Path, tiles: NDArray[np.uint8], labels: NDArray[np.integer]) -> Path:
    """Rows as an .npz of Keras' layout."""
    np.savez(path, x=tiles, y=labels)
    return path


def write_report(run: Run, *_: object) -> None:
    """In the place of the report of a training, which takes as long as the training."""
    with open_output(str(run.report), force=True) as page:
        page.write("a report")


class Told:
    """A progress that keeps what it is told, and interrupts the training in the middle of a pass."""

    def __init__(self, stop_in_pass: int | None = None) -> None:
        self.started: list[tuple[str, int, int, int, int]] = []
        self.losses: list[float] = []
        self.accuracies: list[float] = []
        self.results: list[PassResult] = []
        self._stop_in_pass = stop_in_pass

    def read(self, done: int, total: int | None) -> None:
        self.read_last = (done, total)

    def draw(self, done: int, total: int) -> None:
        self.drawn = (done, total)

    def ask(self, done: int, total: int) -> None:
        self.asked = (done, total)

    def start(self, run: Path, passes: int, steps: int, batch: int, done: int) -> None:
        self.started.append((run.name, passes, steps, batch, done))

    def step(self, loss: float, accuracy: float) -> None:
        self.losses.append(loss)
        self.accuracies.append(accuracy)
        if self._stop_in_pass is not None:
            _, _, steps, _, done = self.started[-1]
            if len(self.losses) > (self._stop_in_pass - done - 1) * steps + steps // 2:
                raise KeyboardInterrupt

    def end_pass(self, result: PassResult) -> None:
        self.results.append(result)
