"""What tiles look like as a whole: how much ink they have, how wide its strokes are, where it lies."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_digits.tiles import stroke_width

Tiles = NDArray[np.uint8]
STATISTICS = ("ink", "stroke", "x", "y", "side", "grey")


def statistics(tiles: Tiles) -> dict[str, NDArray[np.float64]]:
    """Of tiles, (n, 28, 28): `ink`, the mean of all pixels, 0 to 255; `stroke`, its strokes' width in pixels; `x` and
    `y`, its centre of mass, from the middle, in pixels; `side`, the longer side of its box; `grey`, the share of its
    pixels that are neither dark nor bright.
    """
    rows = []
    for tile in tiles:
        moments = cv2.moments(tile)
        inked = tile > 0
        across, along = np.flatnonzero(inked.any(axis=0)), np.flatnonzero(inked.any(axis=1))
        rows.append((
            tile.mean(), stroke_width(tile), moments["m10"] / moments["m00"] - 14, moments["m01"] / moments["m00"] - 14,
            max(np.ptp(across), np.ptp(along)) + 1, np.mean((tile > 50) & (tile < 205)) / inked.mean(),
        ))  # fmt: skip
    return dict(zip(STATISTICS, np.array(rows, np.float64).T, strict=True))


def distance(some: NDArray[np.float64], others: NDArray[np.float64]) -> float:
    """How far two distributions lie apart, 0 to 1: the largest difference of their shares up to any value
    (Kolmogorov and Smirnov).
    """
    values = np.sort(np.concatenate([some, others]))
    shares = (np.searchsorted(np.sort(each), values, side="right") / len(each) for each in (some, others))
    first, second = shares
    return float(np.abs(first - second).max())
