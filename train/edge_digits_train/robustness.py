"""The robustness card: how much models read of damaged tiles, by kind and severity, without the help of the reader."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

import numpy as np

from edge_digits.classifier import Classifier
from edge_digits_train.corruptions import CORRUPTIONS, KINDS, WORST, corrupt
from edge_digits_train.data import DataSet, Split, split_data

MIDDLE = 3
"""The severity that a model's mean is taken at."""

SEVERITIES = range(WORST + 1)


@dataclass(frozen=True)
class Choice:
    """Which rows of the data are damaged."""

    number: int = 2000
    """At most so many, drawn."""
    held_out: bool = False
    """Only of those that a training holds out where it is not told otherwise."""
    seed: int = 0
    """Of the draw, and of what chance does to each tile."""


@dataclass(frozen=True)
class Card:
    """What one model reads."""

    model: str
    n: int
    """Tiles of each kind and severity."""
    correct: dict[str, tuple[int, ...]]
    """For each of KINDS, at each of SEVERITIES: 0 is the tiles as they are."""
    learned: bool
    """Whether the model says that it was trained on this data."""

    def accuracy(self, kind: str, severity: int) -> float:
        """0 to 1."""
        return self.correct[kind][severity] / self.n

    @property
    def clean(self) -> float:
        """The accuracy on the tiles as they are, 0 to 1."""
        return self.accuracy(KINDS[0], 0)

    def mean(self, severity: int = MIDDLE) -> float:
        """The mean of the accuracies of all kinds, 0 to 1."""
        return float(np.mean([self.accuracy(kind, severity) for kind in KINDS]))


@dataclass(frozen=True)
class Robustness:
    """The cards of several models on the same tiles."""

    data: str
    """The data's name."""
    choice: Choice
    cards: tuple[Card, ...]

    def text(self) -> str:
        """The middle severity as a table for people, without a newline at its end."""
        rows = [[f"at severity {MIDDLE}", *(card.model for card in self.cards)]]
        rows += [[kind, *(_percent(card.accuracy(kind, MIDDLE)) for card in self.cards)] for kind in KINDS]
        rows += [["mean", *(_percent(card.mean()) for card in self.cards)]]
        rows += [["undamaged", *(_percent(card.clean) for card in self.cards)]]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        table = [
            "  ".join([row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))])
            for row in rows
        ]
        return "\n".join([*table, "", f"{self.describe_rows()}."])

    def describe_rows(self) -> str:
        """`2,000 rows of train.csv, of those held out from training, seed 0`."""
        held_out = ", of those held out from training" if self.choice.held_out else ""
        return f"{self.cards[0].n:,} rows of {self.data}{held_out}, seed {self.choice.seed}"

    def as_dict(self) -> dict[str, Any]:
        """As plain data for JSON."""
        return {
            "data": self.data,
            "n": self.cards[0].n,
            "held_out": self.choice.held_out,
            "seed": self.choice.seed,
            "severity": MIDDLE,
            "models": [
                {
                    "model": card.model,
                    "mean": card.mean(),
                    "undamaged": card.clean,
                    "trained_on_this_data": card.learned,
                    "accuracy": {kind: [card.accuracy(kind, severity) for severity in SEVERITIES] for kind in KINDS},
                }
                for card in self.cards
            ],
        }

    def write_csv(self, out: TextIO) -> None:
        """A line for each model, kind and severity: what it stands for, and how many of how many are right."""
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["model", "kind", "severity", "amount", "unit", "correct", "n", "accuracy"])
        for card in self.cards:
            for kind in KINDS:
                for severity in SEVERITIES:
                    amount, unit = CORRUPTIONS[kind].amounts[severity], CORRUPTIONS[kind].unit
                    right, share = card.correct[kind][severity], f"{card.accuracy(kind, severity):.6f}"
                    writer.writerow([card.model, kind, severity, amount, unit, right, card.n, share])


def measure(
    data: DataSet,
    models: Sequence[Classifier],
    choice: Choice,
    progress: Callable[[int, int | None], None] | None = None,
) -> Robustness:
    """Every kind and severity on the same tiles for all models, which are told apart by their names.

    `progress` is told how many tiles are classified, and of how many. Raises UsageError where a tenth of the data
    cannot be held out.
    """
    rows = choose_rows(data, choice)
    models = list({model.name: model for model in models}.values())
    right: dict[str, dict[str, list[int]]] = {model.name: {} for model in models}
    total, sha256 = len(KINDS) * len(SEVERITIES) * len(rows), data.sha256
    done = 0
    for number, kind in enumerate(KINDS):
        for model in models:
            right[model.name][kind] = []
        for severity in SEVERITIES:
            # The same draws at every severity: what lies between two figures is the severity alone.
            damaged = corrupt(rows.tiles, kind, severity, np.random.default_rng([choice.seed, number]))
            for model in models:
                digits = model.classify(damaged).digits
                right[model.name][kind].append(int((digits == rows.labels).sum()))
            done += len(rows)
            if progress is not None:
                progress(done, total)
    cards = [
        Card(
            model.name, len(rows), {kind: tuple(counts) for kind, counts in right[model.name].items()},
            sha256 in model.metadata.get("edge_digits.trained_on", ""),
        )
        for model in models
    ]  # fmt: skip
    return Robustness(data.name, choice, tuple(cards))


def choose_rows(data: DataSet, choice: Choice) -> DataSet:
    """The rows to damage, drawn; all of them where there are no more."""
    rows = split_data(data, Split())[1] if choice.held_out else data
    drawn = np.random.default_rng(choice.seed).permutation(len(rows))[: choice.number]
    return rows[np.sort(drawn)]


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
