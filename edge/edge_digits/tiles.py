"""Ink of one digit → tile: the normal form of MNIST."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_digits.opencv import cv2

SIDE = 28
BOX = 20
"""The longest side of the ink, in pixels of the tile (yann.lecun.com/exdb/mnist)."""
THINNEST = 1.6
"""Strokes thinner than this, in pixels of the tile, would fade when they are scaled down: they are drawn thicker.
MNIST's own strokes measure 2 to 4; the network has seen thinner ones in training."""


def frame(ink: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """One digit's ink, (h, w) uint8, bright on black and cropped to its box → tile, (28, 28) uint8.

    The longest side becomes 20 px, the aspect is kept, the centre of mass comes to the middle.
    """
    height, width = ink.shape
    scale = BOX / max(height, width)
    ink = thicken(ink, THINNEST / scale)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    scaled = cv2.resize(ink, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    peak = int(scaled.max())
    if 0 < peak < 250:  # MNIST's own brightest pixels are 250 to 255
        scaled = cv2.convertScaleAbs(scaled, alpha=255 / peak)
    return _centre(np.asarray(scaled, np.uint8))


def stroke_width(ink: NDArray[np.uint8]) -> float:
    """The mean width of the strokes, in pixels of `ink`, from how deep its pixels lie under its edge; at least 1."""
    mask = cv2.copyMakeBorder((ink >= 128).view(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    if not mask.any():
        return 1.0
    depth = cv2.distanceTransform(mask, cv2.DIST_L2, 5)
    # A bar of width w has depths 1, 2, … (w + 1) / 2 … 2, 1: their mean is near (w + 2.2) / 4.
    return max(1.0, 4 * cv2.mean(depth, mask)[0] - 2.2)


def thicken(ink: NDArray[np.uint8], width: float) -> NDArray[np.uint8]:
    """Ink whose strokes are at least `width` pixels wide, within the same box."""
    missing = width - stroke_width(ink)
    if missing < 0.5:
        return ink
    side = 1 + 2 * max(1, round(missing / 2))
    return np.asarray(cv2.dilate(ink, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))), np.uint8)


def _centre(ink: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Ink of at most 20 × 20 on a tile, its centre of mass nearest to the middle; what would fall off stays on."""
    height, width = ink.shape
    moments = cv2.moments(ink)
    mass = moments["m00"] or 1.0
    left = _place(SIDE / 2 - moments["m10"] / mass, width)
    top = _place(SIDE / 2 - moments["m01"] / mass, height)
    tile = np.zeros((SIDE, SIDE), np.uint8)
    tile[top : top + height, left : left + width] = ink
    return tile


def _place(start: float, length: int) -> int:
    return min(max(round(start), 0), SIDE - length)
