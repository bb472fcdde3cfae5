"""Which frames are worth reading: a scene that stands still says what it said."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_digits.opencv import cv2
from edge_digits.video import Frame, Image

BLOCK = 8
"""Pixels: frames are compared by the means of squares of this side, in which a camera's noise is an eighth."""
CHANGE = 4.0
"""Brightness, of 255, by which a square must differ at least; the smallest digit that can be read, 7 pixels high, in
faint pencil changes one by 7 …"""
NOISE = 5.0
"""… and so many times the usual difference between two frames, which is noise."""
LOUDEST = 2
"""Brightness: what a square differs by more is no noise."""
SHORTEST = 0.09
"""Seconds between two frames that are read, where much is going on: ten of 30 a second, and all of a camera's that
gives ten, more or less evenly. That is four answers within the time that a reading must hold; 30 a second would cost
three times as much and say the same."""
LONGEST = 1.5
"""Seconds after which a scene that seems to stand still is read again."""


class Gate:
    """Chooses the frames to read, by their pixels and times alone."""

    def __init__(self, *, every: bool = False) -> None:
        self._every = every
        self._read: NDArray[np.uint8] | None = None
        """The last frame that was read, in squares."""
        self._last: NDArray[np.uint8] | None = None
        self._time = 0.0
        self._noise = 0.0

    def opens(self, frame: Frame, *, settled: bool) -> bool:
        """Whether this frame is to be read. `settled`: what is known would not change if all frames were like it."""
        if self._every:
            return True
        squares = _squares(frame.image)
        opens = self._read is None or self._read.shape != squares.shape or self._is_due(squares, frame.time, settled)
        self._last = squares
        if opens:
            self._read, self._time = squares, frame.time
        return opens

    def _is_due(self, squares: NDArray[np.uint8], time: float, settled: bool) -> bool:
        assert self._read is not None
        assert self._last is not None
        # Capped, as neither what moves nor a light that changes is noise.
        usual = float(np.minimum(cv2.absdiff(squares, self._last), np.uint8(LOUDEST)).mean())
        self._noise += 0.2 * (usual - self._noise)
        since = time - self._time
        if since >= LONGEST:
            return True
        if since < SHORTEST - 1e-6:
            return False
        largest = float(cv2.minMaxLoc(cv2.absdiff(squares, self._read))[1])
        return not settled or largest > CHANGE + NOISE * self._noise


def _squares(image: Image) -> NDArray[np.uint8]:
    """The mean brightness of each square of BLOCK pixels."""
    size = max(1, image.shape[1] // BLOCK), max(1, image.shape[0] // BLOCK)
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY) if small.ndim == 3 else small, np.uint8)
