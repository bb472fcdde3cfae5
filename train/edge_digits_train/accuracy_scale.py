"""An axis for accuracies."""

from __future__ import annotations

import math
from collections.abc import Iterable

from matplotlib.ticker import MaxNLocator


class AccuracyScale:
    """Accuracies on an axis that is stretched towards 100 %, where good networks differ.

    From 90 to 99 % is as far as from 99 to 99.9 %. 100 % stands a step above the best that is less.
    """

    def __init__(self, accuracies: Iterable[float]) -> None:
        found = [accuracy for accuracy in accuracies if math.isfinite(accuracy)]
        errors = [1 - accuracy for accuracy in found if accuracy < 1]
        self._least = min(errors, default=0.02) / 2
        self._low, self._high = min(found, default=0.0), max(found, default=1.0)

    def place(self, accuracy: float) -> float:
        """Where an accuracy of 0 to 1 stands on the axis; NaN for NaN."""
        return -math.log10(max(1 - accuracy, self._least)) if math.isfinite(accuracy) else math.nan

    def places(self, accuracies: Iterable[float]) -> list[float]:
        """`place` of each."""
        return [self.place(accuracy) for accuracy in accuracies]

    @property
    def limits(self) -> tuple[float, float]:
        """The ends of the axis: what is shown, with some room."""
        low, high = self.place(self._low), self.place(self._high)
        room = max(0.06 * (high - low), 0.02)
        return low - room, high + 1.5 * room

    def ticks(self, apart: float = 0.05) -> tuple[list[float], list[str]]:
        """(places, labels) of round accuracies, no closer than this share of the axis."""
        low, high = self.limits
        steps = [1 - digit * 10.0**-power for power in range(6) for digit in (10, 5, 2, 1)]
        shown = sorted({step for step in steps if low <= self.place(step) <= high and 1 - step >= self._least})
        if len(shown) < 3:
            values = MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(1 - 10**-low, 1 - 10**-high)
            shown = [value for value in values if value < 1 and low <= self.place(value) <= high]
        kept = [1.0] if self._high == 1 else []
        for step in reversed(shown):
            if not kept or self.place(kept[-1]) - self.place(step) >= apart * (high - low):
                kept.append(step)
        return self.places(kept), [f"{100 * round(step, 8):.6g} %" for step in kept]
