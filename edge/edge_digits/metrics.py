"""How good the answers are: accuracy with its interval, loss, and which digits are taken for which."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_digits.parallel import map_ahead
from edge_digits.tables import Labels, Probabilities, TableReader, Tiles

# Probabilities are float32: below its resolution a 0 and a 1e-7 say the same, and log(0) would drown all other rows.
_LEAST_PROBABILITY = float(np.finfo(np.float32).eps)


def wilson_interval(correct: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """The Wilson score interval of a share, low and high in 0 to 1; (0, 1) where n is 0.

    `z` is in standard deviations: the default makes it a 95 % interval. ValueError unless 0 <= correct <= n.
    """
    if not 0 <= correct <= n:
        raise ValueError(f"{correct} of {n} is no share")
    if n == 0:
        return 0.0, 1.0
    share = correct / n
    centre = share + z * z / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    # The ends are exact where nothing or everything is correct; rounding would put them just beside 0 and 1.
    low = 0.0 if correct == 0 else (centre - half) / scale
    high = 1.0 if correct == n else (centre + half) / scale
    return low, high


def _no_confusion() -> npt.NDArray[np.int64]:
    return np.zeros((10, 10), np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """What a classifier got right of labelled tiles. Chunks are evaluated one by one and added up with `+`."""

    confusion: npt.NDArray[np.int64] = field(default_factory=_no_confusion)
    """(10, 10), counts: row = truth, column = answer."""
    loss_sum: float = 0.0
    """Negative log likelihood of the truths in nats, summed over the tiles."""

    @classmethod
    def from_probabilities(cls, probabilities: npt.NDArray[np.floating], labels: npt.NDArray[np.integer]) -> Evaluation:
        """From probabilities (n, 10), 0 to 1, and labels (n,), 0 to 9. ValueError where they do not fit."""
        labels = np.asarray(labels)
        if probabilities.ndim != 2 or probabilities.shape[1] != 10 or labels.shape != probabilities.shape[:1]:
            raise ValueError(f"probabilities {probabilities.shape} and labels {labels.shape} are not (n, 10) and (n,)")
        if not np.issubdtype(labels.dtype, np.integer) or ((labels < 0) | (labels > 9)).any():
            raise ValueError("labels are not all whole numbers from 0 to 9")
        if np.isnan(probabilities).any():
            raise ValueError("probabilities hold NaN")
        truths = labels.astype(np.intp)
        answers = probabilities.argmax(axis=1)
        confusion = np.bincount(truths * 10 + answers, minlength=100).reshape(10, 10).astype(np.int64)
        of_truth = probabilities[np.arange(len(truths)), truths].astype(np.float64)
        return cls(confusion, float(-np.log(of_truth.clip(_LEAST_PROBABILITY, 1.0)).sum()))

    def __add__(self, other: Evaluation) -> Evaluation:
        return Evaluation(self.confusion + other.confusion, self.loss_sum + other.loss_sum)

    @property
    def n(self) -> int:
        """Number of tiles."""
        return int(self.confusion.sum())

    @property
    def correct(self) -> int:
        """Number of tiles whose likeliest digit is the truth."""
        return int(self.confusion.trace())

    @property
    def accuracy(self) -> float:
        """correct / n, 0 to 1; NaN where n is 0."""
        return self.correct / self.n if self.n else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """95 % Wilson interval of the accuracy, low and high in 0 to 1."""
        return wilson_interval(self.correct, self.n)

    @property
    def loss(self) -> float:
        """Mean negative log likelihood in nats, each probability taken as 1.2e-7 at least; NaN where n is 0."""
        return self.loss_sum / self.n if self.n else math.nan

    @property
    def digit_accuracy(self) -> tuple[float, ...]:
        """Of each digit 0 to 9, the share that was read as it, 0 to 1; NaN for a digit that never occurs."""
        counts = self.confusion.sum(axis=1).tolist()
        hits = self.confusion.diagonal().tolist()
        return tuple(hit / count if count else math.nan for hit, count in zip(hits, counts, strict=True))

    def as_dict(self) -> dict[str, Any]:
        """As plain data for JSON; None stands for what is not known because nothing was counted."""
        return {
            "n": self.n,
            "correct": self.correct,
            "accuracy": _or_none(self.accuracy),
            "interval": list(self.interval),
            "loss": _or_none(self.loss),
            "digit_accuracy": [_or_none(share) for share in self.digit_accuracy],
            "confusion": self.confusion.tolist(),
        }

    def share(self) -> str:
        """The accuracy with its count and interval, for people."""
        low, high = self.interval
        count = f"{self.correct:,} of {self.n:,}"
        return f"{_percent(self.accuracy)} ({count}; 95 % interval {100 * low:.2f} to {100 * high:.2f} %)"

    def text(self, notes: Sequence[str] = ()) -> str:
        """As a table for people, without a newline at its end; `notes` are lines that belong to the figures."""
        loss = f"{self.loss:.4f}" if self.n else "–"
        return "\n".join([f"accuracy  {self.share()}", f"loss      {loss}", *notes, "", *self._table()])

    def _table(self) -> list[str]:
        """The confusion matrix, a row for each truth, with the accuracy of that digit at its end."""
        width = max(3, len(str(self.confusion.max())))
        head = "truth │" + "".join(f" {digit:>{width}}" for digit in range(10)) + " │ accuracy"
        rule = "─" * 6 + "┼" + "─" * (10 * (width + 1) + 1) + "┼" + "─" * 9
        rows = [
            f"{digit:>5} │" + "".join(f" {count:>{width}}" for count in counts) + f" │ {_percent(share):>8}"
            for digit, (counts, share) in enumerate(zip(self.confusion.tolist(), self.digit_accuracy, strict=True))
        ]
        return [head, rule, *rows]


def _percent(share: float) -> str:
    return "–" if math.isnan(share) else f"{100 * share:.2f} %"


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value


def evaluate(
    table: TableReader,
    classify: Callable[[Tiles], Probabilities],
    progress: Callable[[int, int | None], None] | None = None,
    watchers: Sequence[Callable[[Tiles, Labels, Probabilities], None]] = (),
) -> Evaluation:
    """Compares what `classify`, tiles (n, 28, 28) → probabilities (n, 10), says of a labelled table with its labels.

    `progress` is told the bytes that are read and their total, None where it is not known; `watchers` each chunk of
    rows with its probabilities. Raises TableError.
    """
    found = Evaluation()
    with closing(map_ahead(lambda rows: (*rows, classify(rows[0])), table.labelled_tiles())) as chunks:
        for tiles, labels, probabilities in chunks:
            found += Evaluation.from_probabilities(probabilities, labels)
            for watch in watchers:
                watch(tiles, labels, probabilities)
            if progress is not None:
                progress(table.position, table.size)
    return found
