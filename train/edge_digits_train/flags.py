"""Flags and bases drawn on plain 1s.

Most people outside North America write 1 with a flag, many with a base; MNIST has few of either, and a network that
learned from it alone reads such 1s as 7, 4 or 9.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_digits.opencv import cv2
from edge_digits.tiles import frame, stroke_width

_ENLARGED = 4  # strokes are drawn on a tile this many times larger, then scaled down for their grey edges
_PLAIN = 0.22  # spread across over spread along: above this a 1 has a flag or a base already


def draw_flag(tile: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A plain 1, (28, 28) uint8, with a flag, a base or both, framed anew; another comes back as it is."""
    y, x = np.nonzero(tile >= 96)
    if len(x) < 8:
        return tile
    points = np.stack([x, y], axis=1).astype(np.float64)
    middle = points.mean(axis=0)
    spread, axes = np.linalg.eigh(np.cov((points - middle).T))
    if spread[0] > _PLAIN**2 * spread[1]:
        return tile
    up = axes[:, 1] * (-1 if axes[1, 1] > 0 else 1)
    along = (points - middle) @ up
    top, foot, height = middle + up * along.max(), middle + up * along.min(), float(np.ptp(along))
    width = stroke_width(tile)
    strokes = []
    with_flag = rng.random() < 0.85
    if with_flag and (flag := _flag(top - up * width / 2, up, height, rng)) is not None:
        strokes.append(flag)
    if not with_flag or rng.random() < 0.25:
        strokes.append(_base(foot + up * width / 2, height, rng))
    if not strokes:
        return tile
    canvas = np.zeros((28 * _ENLARGED * 2,) * 2, np.uint8)  # room around the tile for what reaches out of it
    for stroke in strokes:
        at = np.round((stroke + 14.5) * _ENLARGED).astype(np.int32)
        cv2.polylines(canvas, [at], False, int(tile.max()), max(1, round(width * rng.uniform(0.8, 1.1) * _ENLARGED)))
    drawn = cv2.resize(canvas, (56, 56), interpolation=cv2.INTER_AREA)
    whole = np.maximum(drawn, np.pad(tile, 14))
    y, x = np.nonzero(whole >= 16)
    return frame(np.ascontiguousarray(whole[y.min() : y.max() + 1, x.min() : x.max() + 1]))


def _flag(
    start: NDArray[np.float64], up: NDArray[np.float64], height: float, rng: np.random.Generator
) -> NDArray[np.float64] | None:
    """From the top down to the left, a fifth to nine tenths of the stem's height, slightly bent.

    At least 20 degrees off the stem, and falling by at least 28: flatter, it would be the bar of a 7. None where the
    stem slants too far for both.
    """
    slant = np.arctan2(up[0], -up[1])  # of the stem, to the right
    steepest, flattest = slant + np.deg2rad(20), np.deg2rad(62)
    if steepest > flattest:
        return None
    angle = rng.uniform(steepest, flattest)  # from straight down, to the left
    longest = 0.9 if angle < np.deg2rad(48) else 0.55
    return _bent(start, start + np.array([-np.sin(angle), np.cos(angle)]) * height * rng.uniform(0.2, longest), rng)


def _base(middle: NDArray[np.float64], height: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Level within 12 degrees, a quarter to three quarters of the height, its middle near the foot."""
    angle = np.deg2rad(rng.uniform(-12, 12))
    half = np.array([np.cos(angle), np.sin(angle)]) * height * rng.uniform(0.12, 0.38)
    middle = middle + half * rng.uniform(-0.3, 0.3)
    return _bent(middle - half, middle + half, rng)


def _bent(start: NDArray[np.float64], end: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """(9, 2): points of a shallow arc."""
    t = np.linspace(0, 1, 9)[:, np.newaxis]
    across = np.array([-(end - start)[1], (end - start)[0]]) * rng.normal(0, 0.06)
    return start + (end - start) * t + across * 4 * t * (1 - t)
