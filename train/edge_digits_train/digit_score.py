"""Where a digit score parts digits from what is none, and how well, on rows and on tiles of pictures held out."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_digits.classifier import Predictions
from edge_digits_train.data import DataSet
from edge_digits_train.picture_tiles import NO_DIGIT

KEPT_ROWS, KEPT_PICTURES = 0.998, 0.98
"""Shares of the digits that are read right which are to be taken for digits: of rows, and of tiles of synthetic
pictures, which are harder to read than people's: of real digits one in a thousand is lost."""
_PLACES = 4
"""Decimal places of a threshold, rounded down."""


@dataclass(frozen=True)
class Scored:
    """A network or a model at its threshold."""

    threshold: float
    kept_rows: float
    """Share of the rows that are taken for digits."""
    kept_digits: float | None
    """Share of the digits on tiles of pictures; None where there are no such tiles."""
    rejected_others: float | None
    """Share of what is no digit on such tiles."""


def score_threshold(rows: NDArray[np.float32], pictures: NDArray[np.float32]) -> float:
    """The digit score that enough of the digits reach: of those on rows and on tiles of pictures, (n,), read right.

    What is misread is no loss when it is taken for none. One of the two may be empty.
    """
    sets = [(scores, kept) for scores, kept in ((rows, KEPT_ROWS), (pictures, KEPT_PICTURES)) if len(scores)]
    lowest = min((float(np.quantile(scores, 1 - kept, method="lower")) for scores, kept in sets), default=0.0)
    return float(math.floor(lowest * 10**_PLACES) / 10**_PLACES)


def measure_score(
    rows: DataSet, of_rows: Predictions, tiles: DataSet, of_tiles: Predictions, threshold: float | None = None
) -> Scored:
    """The figures of what is said of rows and of tiles of pictures, 0 to 9 and NO_DIGIT among their labels.

    `threshold`: None: that of `score_threshold`. The predictions have digit scores.
    """
    on_rows, on_tiles = of_rows.digit_scores, of_tiles.digit_scores
    assert on_rows is not None
    assert on_tiles is not None
    if threshold is None:
        threshold = score_threshold(on_rows[of_rows.digits == rows.labels], on_tiles[of_tiles.digits == tiles.labels])
    is_digit = tiles.labels != NO_DIGIT
    return Scored(
        threshold,
        _share(on_rows >= threshold) or 0.0,
        _share(on_tiles[is_digit] >= threshold),
        _share(on_tiles[~is_digit] < threshold),
    )


def _share(which: NDArray[np.bool_]) -> float | None:
    return float(which.mean()) if len(which) else None
