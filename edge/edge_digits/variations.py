"""Tiles shifted and turned a little: the mean answer to several is steadier than one (test-time augmentation)."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

STEPS: tuple[tuple[float, float, float], ...] = (
    (0, 0, 0), (0, 0, 6), (0, 0, -6), (1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0.5, 0.5, 3), (-0.5, -0.5, -3),
    (0.5, -0.5, -3), (-0.5, 0.5, 3),
)  # fmt: skip
"""Pixels to the right, pixels down, degrees clockwise; the tile itself first, then to either side alike."""
UNSURE = 0.8
"""What a network is less sure of is asked again: of such rows, of those held out, a third are misread."""
AGAIN = 9
"""Variations of what is asked again, the tile itself among them."""
_AT_ONCE = 32
"""Tiles that are varied in a go, so that noise without end takes no more memory than digits."""
_SIDE = 28
_OUTSIDE = _SIDE * _SIDE
"""The place of a black pixel behind those of the tile."""


def vary(tiles: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
    """Variation `number` of tiles, (n, 28, 28) uint8, as is what returns; 0 is the tiles themselves.

    What enters at the edges is black. Raises IndexError where there is no such variation.
    """
    return tiles if number == 0 else _mix(tiles, *_sources(number))


def ask_again(
    tiles: NDArray[np.uint8],
    probabilities: NDArray[np.float32],
    classify: Callable[[NDArray[np.uint8]], NDArray[np.float32]],
) -> NDArray[np.float32]:
    """The probabilities (n, 10) of tiles (n, 28, 28), those that are unsure replaced by the mean over variations.

    `classify` gives those of other tiles.
    """
    unsure = np.flatnonzero(probabilities.max(axis=1) < UNSURE)
    if not len(unsure):
        return probabilities
    steadier = probabilities.copy()
    for start in range(0, len(unsure), _AT_ONCE):
        some = unsure[start : start + _AT_ONCE]
        varied = classify(_mix(tiles[some], *_all_sources())).reshape(len(some), AGAIN - 1, 10)
        steadier[some] = (steadier[some] + varied.sum(axis=1)) / AGAIN
    return steadier


def _mix(tiles: NDArray[np.uint8], places: NDArray[np.intp], shares: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(n × variations, 28, 28): all variations of the first tile, of the next.

    `places`, `shares`: (4, variations × 784), as `_sources` gives them.
    """
    flat = np.zeros((len(tiles), _OUTSIDE + 1), np.uint8)
    flat[:, :_OUTSIDE] = tiles.reshape(len(tiles), _OUTSIDE)
    mixed = np.full((len(tiles), places.shape[1]), 0.5, np.float32)  # to be rounded
    for place, share in zip(places, shares, strict=True):
        if share.any():
            mixed += flat[:, place] * share
    return mixed.astype(np.uint8).reshape(-1, _SIDE, _SIDE)


@cache
def _all_sources() -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Those of the variations that are asked again, side by side."""
    places, shares = zip(*(_sources(number) for number in range(1, AGAIN)), strict=True)
    return np.concatenate(places, axis=1), np.concatenate(shares, axis=1)


@cache
def _sources(number: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """The four pixels that each one of a variation is mixed of, and their shares: (4, 784) each."""
    right, down, degrees = STEPS[number]
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
