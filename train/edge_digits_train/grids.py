"""The pictures of trainings that show tiles: as augmented, as answered, and the worst mistakes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from edge_digits_train.augment import Augmentation, augment
from edge_digits_train.data import DataSet
from edge_digits_train.plots import QUIET, VALIDATION, WRONG, draw_sentence, figure_of, new_sheet, sureness

_VARIATIONS = 8
"""Of each sampled training image."""

_ANSWERS = 8, 5
"""Columns and rows of predictions.png."""

_MISTAKES = 6, 4
"""Columns and rows of mistakes.png, whose tiles have more to say."""


@dataclass(frozen=True)
class Answers:
    """What a network says of labelled tiles."""

    data: DataSet
    probabilities: NDArray[np.float32]
    """(n, 10)."""

    @property
    def said(self) -> NDArray[np.intp]:
        """(n,): the likeliest digit."""
        return np.asarray(self.probabilities.argmax(axis=1))

    @property
    def confidence(self) -> NDArray[np.float32]:
        """(n,): the probability of what is said."""
        return np.asarray(self.probabilities.max(axis=1))

    @property
    def of_truth(self) -> NDArray[np.float32]:
        """(n,): the probability of the label."""
        return self.probabilities[np.arange(len(self.data)), self.data.labels]

    def mistakes(self) -> NDArray[np.intp]:
        """The rows that are read wrong, the worst first: those whose truth was held least likely."""
        wrong = np.flatnonzero(self.said != self.data.labels)
        return wrong[np.argsort(self.of_truth[wrong], kind="stable")]


def draw_augmented(training: DataSet, augmentation: Augmentation) -> tuple[Figure, bool]:
    """augmented.png: of each digit a training image, and beside it variations of it as the network is shown them.

    Where the augmentation changes nothing: more training images, and False with them.
    """
    rng = np.random.default_rng(0)
    drawn = [rng.permutation(np.flatnonzero(training.labels == digit))[: _VARIATIONS + 1] for digit in range(10)]
    rows = [row for row in drawn if len(row)]
    first = np.repeat([row[0] for row in rows], _VARIATIONS)
    varied = augment(training.tiles[first], training.labels[first], augmentation, rng)
    unchanged = np.array_equal(varied, training.tiles[first])
    axes = new_sheet(
        _VARIATIONS + 1.3, len(rows) + (0.05 if unchanged else 0.3),
        "Training images, which the network is shown as they are" if unchanged else "Training images",
    )  # fmt: skip
    top = 0.0 if unchanged else 0.3
    for i, row in enumerate(rows):
        others = training.tiles[row[1:]] if unchanged else varied[i * _VARIATIONS : (i + 1) * _VARIATIONS]
        _put(axes, training.tiles[row[0]], 0, top + i, None if unchanged else VALIDATION)
        for x, tile in enumerate(others, start=1):
            _put(axes, tile, x + (0.15 if unchanged else 0.3), top + i)
    if not unchanged:
        axes.text(0.5, 0.2, "as written", ha="center", size=10, color=VALIDATION)
        axes.text(1.3 + _VARIATIONS / 2, 0.2, "as varied: drawn anew in each pass, none is seen twice", ha="center")
    return figure_of(axes), not unchanged


def draw_predictions(answers: Answers, rows: str) -> Figure:
    """predictions.png: rows drawn at random, each with the answer and how sure it is. `rows` names what they are."""
    columns, lines = _ANSWERS
    shown = np.sort(np.random.default_rng(0).permutation(len(answers.data))[: columns * lines])
    wrong = int((answers.said[shown] != answers.data.labels[shown]).sum())
    title = f"{len(shown)} of {len(answers.data):,} {rows}, drawn at random: {wrong or 'none'} read wrong"
    axes = new_sheet(columns, -(-len(shown) // columns) * 1.5, title)
    for place, row in enumerate(shown):
        x, y = place % columns, place // columns * 1.5
        said, label, sure = answers.said[row], answers.data.labels[row], sureness(answers.confidence[row])
        colour = "black" if said == label else WRONG
        _put(axes, answers.data.tiles[row], x, y, None if said == label else WRONG)
        text = str(said) if said == label else f"{said}, not {label}"
        axes.text(x + 0.5, y + 1.02, text, ha="center", va="top", weight="bold", color=colour)
        axes.text(x + 0.5, y + 1.25, sure, ha="center", va="top", size=9, color=QUIET)
    return figure_of(axes)


def draw_mistakes(answers: Answers, rows: str) -> Figure:
    """mistakes.png: the worst first, each with its label, what was said instead, and how likely both were held."""
    columns, lines = _MISTAKES
    wrong = answers.mistakes()
    shown = wrong[: columns * lines]
    plural = "" if len(wrong) == 1 else "s"
    if not len(wrong):
        return draw_sentence(f"No mistakes on {len(answers.data):,} {rows}")
    which = f"The {len(shown)} worst of {len(wrong):,}" if len(wrong) > len(shown) else str(len(wrong))
    title = f"{which} mistake{plural} on {len(answers.data):,} {rows}, the worst first"
    axes = new_sheet(columns, -(-len(shown) // columns) * 1.47, title)
    for place, row in enumerate(shown):
        x, y = place % columns, place // columns * 1.47
        said, label = answers.said[row], answers.data.labels[row]
        _put(axes, answers.data.tiles[row], x, y)
        lines_below = [
            (f"is {label}, read as {said}", WRONG, 10.5),
            (f"{said}: {sureness(answers.confidence[row])}", "black", 9),
            (f"{label}: {sureness(answers.of_truth[row])}", "black", 9),
        ]
        for i, (text, colour, size) in enumerate(lines_below):
            axes.text(x + 0.5, y + 1.02 + 0.14 * i, text, ha="center", va="top", color=colour, size=size)
    return figure_of(axes)


def _put(axes: Axes, tile: NDArray[np.uint8], x: float, y: float, frame: str | None = None) -> None:
    """A tile at a place, (28, 28) uint8, with a coloured frame where one is named."""
    left, right, top, bottom = x + 0.04, x + 0.96, y + 0.04, y + 0.96
    axes.imshow(tile, cmap="gray", vmin=0, vmax=255, extent=(left, right, bottom, top), aspect="equal")
    if frame:
        axes.plot([left, right, right, left, left], [top, top, bottom, bottom, top], color=frame, lw=2.5)
