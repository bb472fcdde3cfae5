"""A picture of a turned sheet → the sheet upright, and places on it → places in the picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_digits.desk import SEARCHED_SIDE, corners_of
from edge_digits.ink import shrink
from edge_digits.opencv import cv2
from edge_digits.reading import Box

LEAST = 10.0
"""Degrees: digits that lean less are read as they are."""
AT_BORDER = 2
"""Pixels from the picture's border within which an edge is no sheet's."""
FARTHEST = 32_766
"""Pixels of a side: OpenCV 4 counts those that it turns in 16 bits."""


@dataclass(frozen=True, eq=False)
class Turn:
    """How a picture is turned to be upright."""

    matrix: NDArray[np.float64]
    """(2, 3): x and y in the picture → x and y in the upright one."""
    shape: tuple[int, int]
    """Height and width of the picture …"""
    upright: tuple[int, int]
    """… and of the upright one."""

    @classmethod
    def by(cls, degrees: float, shape: tuple[int, int]) -> Turn:
        """Turns a picture of this height and width clockwise, none of it cut off."""
        height, width = shape
        matrix = np.asarray(cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), -degrees, 1), np.float64)
        cos, sin = np.abs(matrix[0, :2])
        upright = round(height * cos + width * sin), round(height * sin + width * cos)
        matrix[:, 2] += (upright[1] - width) / 2, (upright[0] - height) / 2
        return cls(matrix, shape, upright)

    def make(self, gray: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The upright picture, (H, W) uint8."""
        turned = cv2.warpAffine(gray, self.matrix, self.upright[::-1], borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(turned, np.uint8)

    def undo(self, ink: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The ink, (h, w) uint8, of an upright picture that may have been scaled down, as it lies in the picture."""
        scale = ink.shape[0] / self.upright[0]
        size = max(1, round(self.shape[1] * scale)), max(1, round(self.shape[0] * scale))
        matrix = self.matrix * (1, 1, scale)
        return np.asarray(cv2.warpAffine(ink, matrix, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP), np.uint8)

    def box(self, box: Box, ink: NDArray[np.uint8] | None = None) -> Box:
        """The box in the picture of what has this one in the upright picture, or of its ink, (h, w) uint8, alone."""
        x, y, width, height = box
        ink = np.ones((1, 1), np.uint8) if ink is None else ink
        rows, columns = np.nonzero(ink)
        corners = [
            (x + (columns + right) * width / ink.shape[1], y + (rows + down) * height / ink.shape[0])
            for right in (0, 1)
            for down in (0, 1)
        ]
        inverse = cv2.invertAffineTransform(self.matrix)
        places = np.concatenate([np.stack(corner) for corner in corners], axis=1)
        far = np.array(self.shape[::-1])[:, None]
        found = np.clip(inverse[:, :2] @ places + inverse[:, 2:], 0, far)
        (left, top), (right, bottom) = np.rint(found.min(axis=1)).tolist(), np.rint(found.max(axis=1)).tolist()
        left, top = min(int(left), self.shape[1] - 1), min(int(top), self.shape[0] - 1)
        return left, top, max(1, int(right) - left), max(1, int(bottom) - top)


def turn_of(sheets: NDArray[np.uint8] | None, shape: tuple[int, int]) -> Turn | None:
    """What makes sheets in a picture upright, where they are clearly turned; by less than 45°, as nobody knows more.

    None where they are not, and for a picture that is or would become too large to be turned.
    `sheets`, (H, W), is 1 on them in the picture, which has this height and width, or in the same scaled down.
    """
    if sheets is None:
        return None
    small = shrink(sheets, SEARCHED_SIDE)
    outlines, _ = cv2.findContours(small, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    corners = corners_of(np.asarray(cv2.convexHull(max(outlines, key=cv2.contourArea))[:, 0], np.int32))
    far = np.array(small.shape[::-1]) - 1
    following = np.roll(corners, -1, axis=0)
    at_border = [
        ((one <= AT_BORDER) & (other <= AT_BORDER) | (one >= far - AT_BORDER) & (other >= far - AT_BORDER)).any()
        for one, other in zip(corners, following, strict=True)
    ]
    x, y = (following - corners)[~np.array(at_border)].T
    # Its edges are at right angles: of four times their directions, all are the same.
    direction = np.sum(np.hypot(x, y) * np.exp(4j * np.arctan2(y, x)))
    degrees = float(np.degrees(np.angle(direction))) / 4
    if abs(degrees) < LEAST:
        return None
    turn = Turn.by(-degrees, shape)
    return turn if max(*shape, *turn.upright) <= FARTHEST else None
