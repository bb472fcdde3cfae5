"""Whether confidences can be believed: how often answers of each confidence are right, and which to look at again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 15
"""As usual in the literature (Guo and others, arXiv:1706.04599)."""
LEFT_OUT = (0.0, 0.005, 0.01, 0.02, 0.05)
"""Shares of the least sure answers that are left out in the coverage table."""


@dataclass
class Calibration:
    """Confidences and whether they were right, of as many tiles as are added."""

    _confidences: list[NDArray[np.float32]] = field(default_factory=list)
    _right: list[NDArray[np.bool_]] = field(default_factory=list)

    def add(self, _: NDArray[np.uint8], labels: NDArray[np.uint8], probabilities: NDArray[np.float32]) -> None:
        """Adds answers, (n, 10), and the truth, (n,), of tiles that do not matter."""
        self._confidences.append(probabilities.max(axis=1))
        self._right.append(probabilities.argmax(axis=1) == labels)

    @property
    def n(self) -> int:
        """Number of answers."""
        return sum(map(len, self._right))

    def error(self) -> float:
        """Expected calibration error, 0 to 1: the mean distance of confidence and accuracy in BINS bins of equal width.

        NaN where there are no answers.
        """
        if not self.n:
            return float("nan")
        confidences, right = self._all()
        bins = np.minimum((confidences * BINS).astype(int), BINS - 1)
        claimed = np.bincount(bins, confidences, BINS)
        found = np.bincount(bins, right, BINS)
        return float(np.abs(claimed - found).sum() / len(right))

    def coverage(self) -> list[tuple[float, float, int, int]]:
        """For each share that is left out: (share, least confidence of the rest, mistakes in the rest, the rest)."""
        confidences, right = self._all()
        order = np.argsort(confidences, kind="stable")
        rows = []
        for share in LEFT_OUT if self.n else ():
            rest = order[round(share * self.n) :]
            rows.append((share, float(confidences[rest[0]]), int((~right[rest]).sum()), len(rest)))
        return rows

    def as_dict(self) -> dict[str, Any]:
        """As plain data for JSON."""
        coverage = [
            {"left_out": share, "from_confidence": least, "mistakes": wrong, "n": rest}
            for share, least, wrong, rest in self.coverage()
        ]
        return {"calibration_error": self.error() if self.n else None, "bins": BINS, "coverage": coverage}

    def text(self) -> Iterator[str]:
        """Lines for people; none where there are no answers."""
        if not self.n:
            return
        yield f"calibration error {100 * self.error():.2f} % ({BINS} bins): how far confidence and accuracy lie apart"
        for share, least, wrong, rest in self.coverage()[1:]:
            yield (
                f"without the {100 * share:g} % least sure, {wrong:,} of {rest:,} are wrong "
                f"({100 * wrong / rest:.2f} %); the least sure of them has {100 * least:.2f} %"
            )

    def _all(self) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        confidences = np.concatenate([np.zeros(0, np.float32), *self._confidences]).astype(np.float64)
        return confidences, np.concatenate([np.zeros(0, np.bool_), *self._right])
