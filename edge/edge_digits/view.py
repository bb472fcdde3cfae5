"""The part and the way up of a frame that is read."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from edge_digits.errors import UsageError
from edge_digits.opencv import cv2
from edge_digits.reading import Box
from edge_digits.video import Image

_TURNS = {0: None, 90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


@dataclass(frozen=True, slots=True)
class View:
    """Turned, then mirrored, then cut out: boxes are told in pixels of what is left."""

    rotate: int = 0
    """Degrees clockwise: 0, 90, 180 or 270."""
    mirror: bool = False
    """Left and right exchanged."""
    roi: Box | None = None
    """x, y, width, height of the part to read, in pixels of the turned frame."""

    def __post_init__(self) -> None:
        if self.rotate not in _TURNS:
            raise UsageError(f"--rotate is 0, 90, 180 or 270, not {self.rotate}")

    def apply(self, image: Image) -> Image:
        """What is to be read of a frame. Raises UsageError where the frame does not reach into the part."""
        turn = _TURNS[self.rotate]
        if turn is not None:
            image = np.asarray(cv2.rotate(image, turn), np.uint8)
        if self.mirror:
            image = np.asarray(cv2.flip(image, 1), np.uint8)
        if self.roi is not None:
            x, y, width, height = self.roi
            part = image[y : y + height, x : x + width]
            if not part.size:
                size = f"{image.shape[1]}x{image.shape[0]}"
                raise UsageError(f"--roi {','.join(map(str, self.roi))}: lies outside the frame, which is {size}")
            image = np.ascontiguousarray(part)
        return image


def parse_size(text: str) -> tuple[int, int]:
    """`1280x720` → (1280, 720). Raises UsageError."""
    match = re.fullmatch(r"([1-9][0-9]{0,4})[xX×]([1-9][0-9]{0,4})", text)
    if not match:
        raise UsageError(f"--size {text}: is WIDTHxHEIGHT in pixels, such as 1280x720")
    return int(match[1]), int(match[2])


def parse_roi(text: str) -> Box:
    """`x,y,w,h` → (x, y, w, h). Raises UsageError."""
    match = re.fullmatch(r"([0-9]{1,5}),([0-9]{1,5}),([1-9][0-9]{0,4}),([1-9][0-9]{0,4})", text)
    if not match:
        raise UsageError(f"--roi {text}: is X,Y,WIDTH,HEIGHT in pixels, such as 100,50,320,240")
    x, y, width, height = (int(part) for part in match.groups())
    return x, y, width, height
