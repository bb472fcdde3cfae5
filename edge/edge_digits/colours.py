"""A colour picture → grey, in which its ink stands out.

What is grey or black on any paper differs from it in red, in green and in blue alike, and so in brightness. Ink that is
as bright as its paper differs in one of the three at least.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_digits.levels import count_levels, percentile
from edge_digits.opencv import cv2

LOOKED_AT = 256
"""Pixels of the longer side that are looked at; they are not means, in which thin strokes would fade."""
NEARBY = 1 / 8
"""Share of the longer side about a pixel whose mean it is compared with."""
INKED = 99.95
"""Percent of the pixels that differ less from what is nearby than ink does."""
CLEARLY_MORE = 2.0
"""Times by which ink must differ more in a primary than in brightness: in brightness there is less noise."""

LEAST = 12.0
"""Of 255: what differs by less in brightness may be noise, which JPEG makes larger in a primary."""


def to_gray(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """How bright a picture is, (H, W) or (H, W, 3) BGR uint8 → (H, W).

    How blue, green or red it is instead, where ink differs from its ground in that by much more.
    """
    if image.ndim == 2:
        return image
    step = max(1, max(image.shape) // LOOKED_AT)
    small = np.ascontiguousarray(image[::step, ::step])
    gray, primaries = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), cv2.split(small)
    brightness = _contrast(gray)
    clear = CLEARLY_MORE * max(brightness, LEAST)
    rounded = 1.0
    if brightness + max(_spread(primary, gray) for primary in primaries) + rounded >= clear:  # else none can be
        contrasts = [_contrast(primary) for primary in primaries]
        strongest = int(np.argmax(contrasts))
        if contrasts[strongest] >= clear:
            return np.asarray(cv2.extractChannel(image, strongest), np.uint8)
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)


def _contrast(gray: cv2.typing.MatLike) -> float:
    """By how much ink differs from what is nearby, 0 to 255."""
    width = max(3, round(max(gray.shape) * NEARBY) | 1)
    differs = cv2.absdiff(gray, cv2.blur(gray, (width, width)))
    return percentile(count_levels(np.asarray(differs, np.uint8)), INKED)


def _spread(primary: cv2.typing.MatLike, gray: cv2.typing.MatLike) -> float:
    """By how much more ink may differ from what is nearby in a primary than in brightness, at most."""
    low, high, _, _ = cv2.minMaxLoc(cv2.subtract(primary, gray, dtype=cv2.CV_16S))
    return high - low
