"""Tiles shifted and turned a little: the mean answer to several is steadier than one (test-time augmentation)."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

STEPS: tuple[tuple[float, float, float], ...] = (
    (0, 0, 0), (0, 0, 6), (0, 0, -6), (1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0.5, 0.5, 3), (-0.5, -0.5, -3),
    (0.5, -0.5, -3), (-0.5, 0.5, 3),
)  # fmt: skip
"""Pixels to the right, pixels down, degrees clockwise; the tile itself first, then to either side alike."""
_SIDE = 28
_OUTSIDE = _SIDE * _SIDE
"""The place of a black pixel behind those of the tile."""


def vary(tiles: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
    """Variation `number` of tiles, (n, 28, 28) uint8, as is what returns; 0 is the tiles themselves.

    What enters at the edges is black. Raises IndexError where there is no such variation.
    """
    if number == 0:
        return tiles
    places, shares = _sources(*STEPS[number])
    flat = np.zeros((len(tiles), _OUTSIDE + 1), np.uint8)
    flat[:, :_OUTSIDE] = tiles.reshape(len(tiles), _OUTSIDE)
    varied = np.full((len(tiles), _OUTSIDE), 0.5, np.float32)  # to be rounded
    for place, share in zip(places, shares, strict=True):
        if share.any():
            varied += flat[:, place] * share
    return varied.astype(np.uint8).reshape(tiles.shape)


@cache
def _sources(right: float, down: float, degrees: float) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """The four pixels that each new one is mixed of, and their shares: (4, 784) each."""
    turn = np.deg2rad(degrees)
    middle = (_SIDE - 1) / 2
    y, x = (grid.ravel() - middle for grid in np.mgrid[0:_SIDE, 0:_SIDE])
    x, y = x - right, y - down
    from_x = np.cos(turn) * x + np.sin(turn) * y + middle
    from_y = -np.sin(turn) * x + np.cos(turn) * y + middle
    left, top = np.floor(from_x + 1e-9).astype(np.intp), np.floor(from_y + 1e-9).astype(np.intp)
    across, along = from_x - left, from_y - top
    places, shares = [], []
    for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
        column, row = left + dx, top + dy
        inside = (column >= 0) & (column < _SIDE) & (row >= 0) & (row < _SIDE)
        places.append(np.where(inside, row * _SIDE + column, _OUTSIDE))
        shares.append((across if dx else 1 - across) * (along if dy else 1 - along))
    return np.array(places), np.array(shares, np.float32).round(6)
