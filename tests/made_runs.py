"""Run folders of finished trainings, made without training: real digits, a real network, figures that are its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from edge_digits.metrics import Evaluation
from edge_digits_train.data import DataSet, Split, split_data
from edge_digits_train.runs import PassResult, Run


def small_network(seed: int, tiles: NDArray[np.uint8], labels: NDArray[np.integer], passes: int = 2) -> keras.Model:
    """One dense layer on the pixels, trained for a second: right nine times in ten."""
    keras.utils.set_random_seed(seed)
    pixels = keras.Input((28, 28), name="tiles", dtype="uint8")
    x = layers.Flatten()(layers.Rescaling(1 / 255)(pixels))
    network = keras.Model(pixels, layers.Dense(10, activation="softmax")(x))
    network.compile(keras.optimizers.Adam(0.005), loss="sparse_categorical_crossentropy")
    network.fit(tiles, labels, batch_size=50, epochs=passes, verbose=0)
    return network


def history(passes: int, best: int, accuracy: float = 0.9, rates: Sequence[float] = (0.01,)) -> list[PassResult]:
    """Passes that rise to `accuracy` in pass `best`, and fall a little behind it after."""
    found = []
    for number in range(1, passes + 1):
        held_out = accuracy * (0.6 + 0.4 * number / best) if number <= best else accuracy - 0.01
        rate = rates[min(number, len(rates)) - 1]
        found.append(PassResult(number, 2.1 / number, held_out * 0.99, 2 / number, held_out, rate, 3.0))
    return found


@dataclass(frozen=True)
class Making:
    """What a run folder is to hold."""

    data: DataSet
    network: keras.Model
    split: Split = field(default_factory=lambda: Split(validation=0.2))
    passes: int = 5
    best: int = 3
    done: int = 5
    rates: Sequence[float] = (0.01,)
    seed: int = 7
    recipe: str = "tiny"
    settings: dict[str, Any] = field(default_factory=dict)
    overlap: int = 0
    test: DataSet | None = None
    refit: bool = False
    refit_follows: bool = False

    @property
    def ended(self) -> bool:
        """By its passes, or by early stopping."""
        return self.done == self.passes or self.settings.get("early_stopping") is not None

    @property
    def parts(self) -> tuple[DataSet, DataSet]:
        """(training, validation)."""
        return split_data(self.data, replace(self.split, validation=0.0) if self.refit else self.split)

    def write(self, folder: Path, *, network: bool = True) -> Run:
        """Makes the folder, with all that a training leaves but for its report; without `network` none is in it."""
        training, validation = self.parts
        run = Run.create(folder, self._settings(len(training), len(validation)), "RECIPE = None\n")
        if network:
            self.network.save(run.best)
        found = evaluate(self.network, validation) if len(validation) else None
        passes = history(self.done, self.best, found.accuracy if found else 0.9, self.rates)
        if found is None:
            passes = [replace(r, validation_loss=float("nan"), validation_accuracy=float("nan")) for r in passes]
        run.write_history(passes)
        run.write_metrics(
            {
                "network": "best.keras",
                "pass": self.done if self.refit else self.best,
                "validation": found.as_dict() if found else None,
                "test": evaluate(self.network, self.test).as_dict() if self.test else None,
                **({"seconds": 3.0 * self.done} if self.ended else {}),
            }
        )
        return run

    def _settings(self, training: int, validation: int) -> dict[str, Any]:
        data = self.data
        return {
            "recipe": self.recipe, "seed": self.seed, "passes": self.passes, "deskew": False,
            "split": asdict(replace(self.split, validation=0.0) if self.refit else self.split),
            "settings": {
                "name": self.recipe, "summary": "for tests", "batch": 50, "passes": self.passes,
                "augmentation": {"rotation": 10}, "post": "", "notes": [], **self.settings,
            },
            "network": {"parameters": 7850, "multiply_adds": 7840},
            "data": {
                "path": "/somewhere/private/train.csv", "name": data.name, "sha256": data.sha256, "rows": len(data),
                "training_rows": training, "validation_rows": validation,
                "test_rows": len(self.test) if self.test else 0,
            },
            "overlap": {"validation": self.overlap, "test": 0},
            "refit": {"of": "/somewhere/private/run", "passes": self.done} if self.refit else None,
            "refit_follows": self.refit_follows,
            "backend": "tensorflow",
            "versions": {"python": "3.11.7", "keras": "3.15.1"},
        }  # fmt: skip


_predicted: dict[tuple[int, str], NDArray[np.float32]] = {}


def predict(network: keras.Model, data: DataSet) -> NDArray[np.float32]:
    """(n, 10), once for the same network and data."""
    key = id(network), data.sha256
    if key not in _predicted:
        _predicted[key] = np.asarray(network.predict(data.tiles, batch_size=512, verbose=0))
    return _predicted[key]


def evaluate(network: keras.Model, data: DataSet) -> Evaluation:
    return Evaluation.from_probabilities(predict(network, data), data.labels)
