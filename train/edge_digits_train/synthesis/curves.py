"""Strokes as points → the line that a pen follows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge_digits.opencv import cv2
from edge_digits_train.synthesis.strokes import HEIGHT, MARGIN, Line

Stroke = NDArray[np.float64]
"""(n, 2): points x, y, y downwards."""
_STEPS = np.linspace(0, 1, 12)[:, np.newaxis]
"""From one point of a curve to the next."""


def smooth(stops: Stroke) -> Stroke:
    """(n, 2): a curve through points, (m, 2), as Catmull and Rom draw it (1974)."""
    p = np.vstack([stops[:1], stops, stops[-1:]])
    a, b, c, d = (p[i : len(p) - 3 + i, np.newaxis] for i in range(4))
    t = _STEPS
    curve = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    return np.asarray(curve.reshape(-1, 2))


def fit(strokes: Sequence[Stroke], widest: float = 1.0) -> Line:
    """Strokes of any size, as high as a digit's line is; or `widest` times as wide, where that makes them smaller."""
    points = np.concatenate(strokes)
    low = points.min(axis=0)
    width, height = points.max(axis=0) - low
    scale = HEIGHT / max(height, width / widest, 1e-6)
    canvas = np.zeros([round(side * scale) + 2 * MARGIN + 1 for side in (height, width)], np.uint8)
    paths = [np.rint((stroke - low) * scale + MARGIN).astype(np.int32) for stroke in strokes]
    cv2.polylines(canvas, paths, False, 1, 1)
    return canvas > 0
