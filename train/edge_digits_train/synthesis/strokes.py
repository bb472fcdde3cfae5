"""A digit's tile → the middle line of its strokes, varied as people's digits vary."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from edge_digits.opencv import cv2
from edge_digits_train.flags import draw_flag

HEIGHT = 80
"""Pixels: how high a digit's box is while its line is looked for and changed."""
MARGIN = 24
"""Pixels around the line, for what is added and for the width of pens."""

Line = NDArray[np.bool_]
"""(h, w): true on a digit's middle line, a pixel wide."""

_BITS = np.array([[128, 1, 2], [64, 0, 4], [32, 16, 8]], np.uint8).astype(np.float32)
"""The bit of each neighbour of a pixel, clockwise from the one above it."""


def middle_line(tile: NDArray[np.uint8], digit: int, rng: np.random.Generator) -> Line:
    """The line of a tile, (28, 28), whose digit is 0 to 9: some 1s get flags and bases, 7s bars, 4s closed tops."""
    if digit == 1 and rng.random() < 0.5:
        tile = draw_flag(tile, rng)
    line = thin(np.pad(_enlarge(tile) > 0.5, MARGIN))
    if digit == 7 and rng.random() < 0.35:
        _draw_bar(line, rng)
    elif digit == 4 and rng.random() < 0.3:
        _close_top(line)
    elif digit == 0 and rng.random() < 0.03:
        _draw_slash(line, rng)
    return line


def thin(mask: NDArray[np.bool_]) -> Line:
    """The middle line, a pixel wide, of a mask whose border is empty (Zhang and Suen, CACM 27, 1984)."""
    line = mask.astype(np.uint8)
    left = 0
    while left != (left := cv2.countNonZero(line)):
        for removable in _REMOVABLE:
            around = cv2.filter2D(line, -1, _BITS, borderType=cv2.BORDER_CONSTANT)
            line[cv2.LUT(around, removable) > 0] = 0
    return line > 0


def _removable() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """(256,) for either half of a round: 1 where a pixel with these neighbours goes."""
    around = [(np.arange(256) >> bit & 1).astype(bool) for bit in range(8)]
    count = np.sum(around, axis=0)
    starts = np.sum([~a & b for a, b in zip(around, around[1:] + around[:1], strict=True)], axis=0)
    up, right, down, left = around[::2]
    edge = (count >= 2) & (count <= 6) & (starts == 1)
    first, second = ~(up & right & down) & ~(right & down & left), ~(up & right & left) & ~(up & down & left)
    return (edge & first).astype(np.uint8), (edge & second).astype(np.uint8)


_REMOVABLE = _removable()


def _enlarge(tile: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A tile's ink, cropped, its height HEIGHT pixels, or its width where that is larger; 0 to 1."""
    y, x = np.nonzero(tile >= 16)
    ink = tile[y.min() : y.max() + 1, x.min() : x.max() + 1].astype(np.float32) / 255
    scale = HEIGHT / max(ink.shape)
    size = max(1, round(ink.shape[1] * scale)), max(1, round(ink.shape[0] * scale))
    return np.asarray(cv2.resize(ink, size, interpolation=cv2.INTER_CUBIC), np.float32)


def _draw_bar(line: Line, rng: np.random.Generator) -> None:
    """Through the stem of a 7, near its middle: level within 15 degrees."""
    rows = np.flatnonzero(line.any(axis=1))
    y = round(rows[0] + (rows[-1] - rows[0]) * rng.uniform(0.4, 0.62))
    stem = np.flatnonzero(line[y])
    if not len(stem):  # a 7 in two pieces
        return
    half, angle = HEIGHT * rng.uniform(0.14, 0.26), np.deg2rad(rng.uniform(-15, 15))
    middle = float(stem[-1]) + half * rng.uniform(-0.35, 0.35)
    _draw(line, (middle - half, y + half * np.sin(angle)), (middle + half, y - half * np.sin(angle)))


def _close_top(line: Line) -> None:
    """Joins the two upper ends of an open 4; leaves one that has not two."""
    neighbours = cv2.filter2D(line.astype(np.uint8), -1, np.ones((3, 3), np.uint8))
    y, x = np.nonzero(line & (neighbours == 2))
    top = np.flatnonzero(line.any(axis=1))[0]
    upper = [(float(a), float(b)) for a, b in zip(x, y, strict=True) if b < top + 0.4 * HEIGHT]
    if len(upper) == 2 and math.dist(*upper) < 0.7 * HEIGHT:
        _draw(line, *upper)


def _draw_slash(line: Line, rng: np.random.Generator) -> None:
    """Through a 0, from its lower left to its upper right."""
    y, x = np.nonzero(line)
    (left, right), (top, foot) = np.quantile(x, [0.1, 0.9]), np.quantile(y, [0.12, 0.88])
    over = rng.uniform(-0.05, 0.12, 2) * HEIGHT
    _draw(line, (left - over[0], foot + over[0]), (right + over[1], top - over[1]))


def _draw(line: Line, start: tuple[float, float], end: tuple[float, float]) -> None:
    canvas = line.astype(np.uint8)
    ends = np.rint([start, end]).astype(int).tolist()
    cv2.line(canvas, ends[0], ends[1], 1, 1)
    line |= canvas > 0
