"""Pictures of two digits that touch, composed of MNIST images."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]


def crop(tile: Image) -> Image:
    """A tile's ink, without what is black around it."""
    rows, columns = np.flatnonzero(tile.any(axis=1)), np.flatnonzero(tile.any(axis=0))
    return tile[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def touching_pair(left: Image, right: Image, scale: float = 3) -> Image | None:
    """Two tiles pushed together until their ink just touches, dark on white and enlarged; None where it never does."""
    left, right = crop(left), crop(right)
    height = max(left.shape[0], right.shape[0])
    for gap in range(4, -min(10, left.shape[1]), -1):
        start = left.shape[1] + gap
        both = np.zeros((height, max(left.shape[1], start + right.shape[1])), np.uint8)
        for ink, x in ((left, 0), (right, start)):
            top = (height - ink.shape[0]) // 2
            part = both[top : top + ink.shape[0], x : x + ink.shape[1]]
            np.maximum(part, ink, out=part)
        if cv2.connectedComponents((both > 100).astype(np.uint8))[0] == 2:  # the ground is one of them
            large = cv2.resize(both, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
            return np.asarray(255 - np.pad(large, 40), np.uint8)
    return None
