"""How much slower than plain Keras a training is: `python benchmarks/training.py [RECIPE…] --data train.csv`.

For each recipe, without its teachers and pictures, passes of ours (tiles shuffled and augmented afresh, one pass ahead
in a thread) and of Keras' own `network.fit` on the same rows as they are take turns, and the medians of their images a
second are compared. Saving and measuring between the passes counts for neither.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras

from edge_digits_train.data import DataSet, Split, load_data, split_data
from edge_digits_train.fit import Training, fit, new_network
from edge_digits_train.networks import count_multiply_adds
from edge_digits_train.recipe import Recipe, find_recipe, load_recipe, recipe_names
from edge_digits_train.runs import PassResult, Run

LIMIT = 1.10
"""Above 5 M multiply-adds augmentation may cost a tenth."""


class Silent:
    """A progress that tells nothing."""

    def read(self, done: int, total: int | None) -> None:
        """Nothing."""

    def start(self, run: Path, passes: int, steps: int, batch: int, done: int) -> None:
        """Nothing."""

    def step(self, loss: float, accuracy: float) -> None:
        """Nothing."""

    def end_pass(self, result: PassResult) -> None:
        """Nothing."""


def ours(recipe: Recipe, data: DataSet, passes: int) -> list[float]:
    """Images a second of each pass but the first, which compiles, and the last, with no data to make ahead."""
    with tempfile.TemporaryDirectory() as folder:
        training = Training(
            run=Run(Path(folder)), recipe=recipe, seed=0, passes=passes, last_pass=passes, deskew=False,
            training=data, validation=data[[]], learning_rates=[0.001] * passes if recipe.plateau else (),
        )  # fmt: skip
        history = fit(training, Silent())
        return [training.steps * recipe.batch / result.seconds for result in history[1:-1]]


def plain(recipe: Recipe, data: DataSet, passes: int) -> list[float]:
    """The same of Keras on the rows as they are."""
    network = new_network(recipe, 0, False)
    network.compile(
        recipe.optimizer(10_000), "sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=False
    )
    size = max(1, len(data) // recipe.batch) * recipe.batch
    rates = []
    for _ in range(passes):
        started = time.monotonic()
        network.fit(data.tiles[:size], data.labels[:size], batch_size=recipe.batch, epochs=1, verbose=0)
        rates.append(size / (time.monotonic() - started))
    return rates[1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", default=recipe_names(), help="all, where none is named")
    parser.add_argument("--data", required=True, help="labelled rows, as edge-digits train takes them")
    parser.add_argument("--rows", type=int, default=9_600, help="rows in a pass")
    parser.add_argument("--rounds", type=int, default=3, help="times that the two take turns")
    parser.add_argument("--gate", action="store_true", help=f"exit with 5 where ours is over {LIMIT} times as slow")
    asked = parser.parse_args()
    rows = load_data(asked.data).rows
    data, _ = split_data(rows, Split(validation=0, sample=min(1, asked.rows / len(rows))))
    print("recipe             multiply-adds  plain images/s  ours images/s  time against plain (each round)")
    slow = False
    for name in asked.recipes:
        recipe = replace(load_recipe(find_recipe(name)), teaching=None, pictures=None)
        network = new_network(recipe, 0, False)
        ratios, rates = [], ([], [])
        for _ in range(asked.rounds):
            for found, measure in zip(rates, (plain, ours), strict=True):
                found.append(statistics.median(measure(recipe, data, 4)))
                keras.utils.clear_session()
            ratios.append(rates[0][-1] / rates[1][-1])
        cost = count_multiply_adds(network)
        ratio = statistics.median(ratios)
        slow |= cost >= 5_000_000 and ratio > LIMIT
        each = " ".join(f"{value:.2f}" for value in ratios)
        print(
            f"{name:<18} {cost:>13,}  {statistics.median(rates[0]):>14,.0f}  {statistics.median(rates[1]):>13,.0f}"
            f"  {ratio:.2f} ({each})",
            flush=True,
        )
    if asked.gate and slow:
        sys.exit(5)


if __name__ == "__main__":
    main()
