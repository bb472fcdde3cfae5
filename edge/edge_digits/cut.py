"""Ink that may be several digits → where it could be cut.

A cut is a seam from top to bottom that crosses as little ink as it can: digits touch where strokes meet, and a seam
between them crosses one stroke, where one through a digit mostly crosses two. Which cuts are made, if any, is for the
network to say.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_digits.opencv import cv2
from edge_digits.tiles import stroke_width

SEAM_SIDE = 48
"""Pixels of the ink's longer side at which seams are sought: finer, they would be no other."""
SEAMS = 9
"""Seams that are sought, evenly over the ink's width."""
SLANT = 2
"""Columns that a seam may move in a row: digits lean."""
PULL = 0.5
"""What a seam that is as far from its place as the ink is high costs in each row, in rows of full ink."""


@dataclass(frozen=True)
class Seam:
    """A way to part ink in a left and a right."""

    columns: NDArray[np.int32]
    """(h,): in each row, the first column that is on the right."""
    crossed: float
    """The ink that it crosses, in stroke widths."""


def find_seams(ink: NDArray[np.uint8]) -> list[Seam]:
    """Seams through ink, (h, w) uint8, bright on black, from left to right; none that leaves a side empty."""
    height, width = ink.shape
    scale = min(1.0, SEAM_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = np.asarray(cv2.resize(ink, size, interpolation=cv2.INTER_AREA), np.float32) / np.float32(255)
    if small.shape[1] < 3:
        return []
    stroke = max(1.0, stroke_width(ink) * scale)
    paths = _cheapest_paths(small)
    rows = np.arange(small.shape[0])
    found: list[Seam] = []
    for path in map(np.array, sorted(set(map(tuple, paths.tolist())))):  # np.unique would load numpy.ma
        left = np.arange(small.shape[1]) < path[:, None]
        if small[left].sum() < stroke**2 or small[~left].sum() < stroke**2:
            continue
        on = np.minimum(path, small.shape[1] - 1)
        crossed = float(np.minimum(small[rows, on], small[rows, np.maximum(on - 1, 0)]).sum()) / stroke
        place = np.interp((np.arange(height) + 0.5) * small.shape[0] / height - 0.5, rows, path)
        found.append(Seam(np.rint(place / scale).astype(np.int32), crossed))
    return sorted(found, key=lambda seam: float(seam.columns.mean()))


def between(ink: NDArray[np.uint8], left: Seam | None, right: Seam | None) -> NDArray[np.uint8]:
    """The ink between two seams, (h, w) as before; None is the ink's own border."""
    columns = np.arange(ink.shape[1])
    keep = np.ones(ink.shape, bool)
    if left is not None:
        keep &= columns >= left.columns[:, None]
    if right is not None:
        keep &= columns < right.columns[:, None]
    return np.where(keep, ink, np.uint8(0))


def _cheapest_paths(small: NDArray[np.float32]) -> NDArray[np.int32]:
    """(SEAMS, h): of each place to part the ink, the path that crosses least ink near it."""
    height, width = small.shape
    places = np.linspace(0, width, SEAMS + 2)[1:-1, None]
    pull = PULL / height * np.abs(np.arange(width) - places)
    padded = np.full((SEAMS, width + 2 * SLANT), np.inf)
    cost = padded[:, SLANT:-SLANT]
    before = np.lib.stride_tricks.sliding_window_view(padded, 2 * SLANT + 1, axis=1)  # where a path may come from
    cost[:] = pull + small[0]
    came = np.zeros((height, SEAMS, width), np.int8)
    sideways = 0.02 * np.abs(np.arange(-SLANT, SLANT + 1))  # of two ways through white the straighter one
    for row in range(1, height):
        options = before + sideways
        came[row] = options.argmin(axis=2)
        cost[:] = options.min(axis=2) + pull + small[row]
    came -= SLANT
    path = np.empty((SEAMS, height), np.int32)
    path[:, -1] = cost.argmin(axis=1)
    for row in range(height - 1, 0, -1):
        path[:, row - 1] = path[:, row] + came[row, np.arange(SEAMS), path[:, row]]
    return path
