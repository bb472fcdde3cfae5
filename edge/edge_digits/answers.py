"""What two models say of the same tiles, counted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edge_digits.metrics import wilson_interval


@dataclass
class Answers:
    """What two models say of the same tiles."""

    rows: int = 0
    other_digits: int = 0
    largest: float = 0.0
    """Of the differences in a probability."""
    summed: float = 0.0
    labelled: int = 0
    right: list[int] = field(default_factory=lambda: [0, 0])
    """Of the labelled rows, how many each of the two reads as their label."""
    only: list[int] = field(default_factory=lambda: [0, 0])
    """How many that one alone reads right."""

    def add(
        self, first: NDArray[np.float32], second: NDArray[np.float32], labels: NDArray[np.uint8] | None = None
    ) -> None:
        """Counts probabilities (n, 10) of both, and the truth (n,) where it is known."""
        differences, digits = np.abs(first - second), [first.argmax(axis=1), second.argmax(axis=1)]
        self.rows += len(first)
        self.other_digits += int((digits[0] != digits[1]).sum())
        self.largest = max(self.largest, float(differences.max(initial=0)))
        self.summed += float(differences.sum(dtype=np.float64))
        if labels is not None:
            hits = [answer == labels for answer in digits]
            self.labelled += len(labels)
            for i in (0, 1):
                self.right[i] += int(hits[i].sum())
                self.only[i] += int((hits[i] & ~hits[1 - i]).sum())

    def text(self, what: str) -> Iterator[str]:
        """Lines for people; `what` says what the tiles are."""
        mean = self.summed / (10 * self.rows) if self.rows else 0.0
        yield (
            f"answers to {self.rows:,} {what}: another digit on {self.other_digits:,}; probabilities differ by "
            f"{self.largest:.2g} at most, {mean:.2g} on average"
        )
        for i, which in enumerate(("the first", "the second")) if self.labelled else ():
            low, high = wilson_interval(self.right[i], self.labelled)
            yield (
                f"  {which} reads {100 * self.right[i] / self.labelled:.2f} % of them right (95 % interval "
                f"{100 * low:.2f} to {100 * high:.2f} %), {self.only[i]:,} of them alone"
            )
