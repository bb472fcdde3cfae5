"""Where a model's digit_score parts digits from what is none, and how well: measured on rows and tiles held out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_digits.classifier import Classifier
from edge_digits_export.gates import Gate, Limits
from edge_digits_export.sources import Source
from edge_digits_export.temperature import LOWEST, Temperature, fit_temperature
from edge_digits_train.data import DataSet
from edge_digits_train.digit_score import Scored, measure_score
from edge_digits_train.picture_tiles import NO_DIGIT

Scores = NDArray[np.float32]

MOST_APART = 0.01
"""Share of the tiles that int8 may take for a digit where fp32 does not, or the other way round."""
_LEAST = 1e-12
"""Probability below which it makes no odds how much less."""


@dataclass(frozen=True)
class Scoring:
    """Both models at their thresholds."""

    rows: int
    digits: int
    """Tiles of pictures that show one."""
    others: int
    """Those that show none."""
    models: Mapping[str, Scored]
    apart: float
    """Share of all tiles that only one of the two takes for a digit."""
    difference: float
    """The largest between Keras and fp32, on the compared rows."""
    picture_temperature: Temperature
    """Fitted on what fp32 says of the digits on tiles of pictures that it takes for digits."""

    @property
    def thresholds(self) -> dict[str, float]:
        """Of each precision."""
        return {precision: scored.threshold for precision, scored in self.models.items()}

    def gates(self, limits: Limits) -> list[Gate]:
        """Whether fp32 says what Keras says, and int8 takes the same for digits."""
        exact = (
            f"fp32 differs from Keras by {self.difference:.2g} in a digit score; the limit is "
            f"{limits.fp32_difference:g}"
        )
        reason = (
            f"int8 and fp32 disagree on {100 * self.apart:.2f} % of the tiles whether they show a digit at all; "
            f"the limit is {100 * MOST_APART:g} %"
        )
        limit = limits.fp32_difference
        return [
            Gate("fp32 digit score", self.difference, limit, self.difference <= limit, exact),
            Gate("int8 digit score", self.apart, MOST_APART, self.apart <= MOST_APART, reason),
        ]

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    def text(self) -> str:
        """A line for people."""
        kept = f"digit score: {100 * self.models['int8'].kept_rows:.2f} % of {self.rows:,} rows are taken for digits"
        scored = self.models["int8"]
        if scored.kept_digits is None or scored.rejected_others is None:
            return kept
        return (
            f"{kept}, {100 * scored.kept_digits:.2f} % of {self.digits:,} digits on tiles of pictures, and "
            f"{100 * (1 - scored.rejected_others):.2f} % of {self.others:,} other things there"
        )


def measure_scores(keras: Scores | None, models: Mapping[str, Classifier], source: Source) -> Scoring | None:
    """What fp32 and int8 say of the compared rows and of the run's tiles of pictures; None where they do not say.

    `keras`: what Keras says of the compared rows, (n,). Where the network has learnt from all rows, the threshold is
    that of the training before.
    """
    tiles = source.picture_tiles or DataSet("none", np.zeros((0, 28, 28), np.uint8), np.zeros(0, np.uint8))
    difference, picture_temperature = math.nan, Temperature()
    scored: dict[str, Scored] = {}
    taken = []
    for precision, classifier in models.items():
        of_rows, of_tiles = (classifier.classify(each.tiles) for each in (source.compared, tiles))
        on_rows, on_tiles = of_rows.digit_scores, of_tiles.digit_scores
        if keras is None or on_rows is None or on_tiles is None:
            return None
        found = measure_score(source.compared, of_rows, tiles, of_tiles, source.threshold)
        if precision == "fp32":
            difference = float(np.abs(on_rows - keras).max())
            shown = (tiles.labels != NO_DIGIT) & (on_tiles >= found.threshold)
            if shown.any():
                logits = np.log(np.maximum(of_tiles.probabilities[shown], _LEAST))
                lowest = LOWEST if source.threshold is None else 1.0  # rows that were learnt make it too sure
                picture_temperature = fit_temperature(logits, tiles.labels[shown], lowest)
        scored[precision] = found
        taken.append(np.concatenate([on_rows, on_tiles]) >= found.threshold)
    apart = float((taken[0] != taken[1]).mean())
    digits = int((tiles.labels != NO_DIGIT).sum())
    return Scoring(len(source.compared), digits, len(tiles) - digits, scored, apart, difference, picture_temperature)
