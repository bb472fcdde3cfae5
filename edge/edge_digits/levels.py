"""How often each grey level comes: percentiles and Otsu's threshold from counts, many times faster than from pixels."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from edge_digits.opencv import cv2

Counts = NDArray[np.float64]
"""(256,): of each grey level."""


def count_levels(gray: NDArray[np.uint8], mask: NDArray[np.uint8] | None = None) -> Counts:
    """The counts of an image, (H, W) uint8, where a mask of the same shape is not 0."""
    return np.asarray(cv2.calcHist([gray], [0], mask, [256], (0, 256)), np.float64).ravel()


def percentile(counts: Counts, percent: float) -> float:
    """As np.percentile of what was counted, which is at least one pixel."""
    running = counts.cumsum()
    place = percent / 100 * (float(running[-1]) - 1)
    floor = math.floor(place)
    low, high = running.searchsorted((floor, math.ceil(place)), side="right").tolist()
    return float(low + (high - low) * (place - floor))


def otsu_threshold(counts: Counts) -> int:
    """The level that best parts the counts into those up to it and those above it (Otsu, 1979)."""
    levels = np.arange(256)
    below = np.cumsum(counts)
    above = below[-1] - below
    total = np.cumsum(counts * levels)
    with np.errstate(invalid="ignore", divide="ignore"):
        apart = total / below - (total[-1] - total) / above
    return int(np.argmax(np.nan_to_num(below * above * apart**2)))
