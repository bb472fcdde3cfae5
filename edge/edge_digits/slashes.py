"""A slash between digits, which the network takes for a 1."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from edge_digits.find import Region
from edge_digits.opencv import cv2
from edge_digits.pieces import quantile
from edge_digits.reading import Rejected
from edge_digits.ways import Part

TALLER = 1.15
"""Times the height of the digits about it that a slash is high at least …"""
BEYOND = 0.05
"""… and the share of it by which it begins above the digits to both sides, and ends below them."""
LEAN = 0.33
"""By how much of its height a slash leans to the right at least: 18° …"""
MORE = 0.1
"""… and by how much of it more than the digits about it do."""
THIN = 0.2
"""How far its ink lies off its middle line, as a share of how far along it, at most: a 1 with a flag lies off more."""


def set_slashes_apart(parts: Sequence[Part]) -> tuple[list[Part], list[Rejected]]:
    """(the parts, in reading order, without slashes; the slashes).

    A slash is a straight stroke that stands between digits of its line, taller than they are, and leans more.
    """
    kept: list[Part] = []
    slashes: list[Rejected] = []
    for _, group in groupby(parts, key=lambda part: part.region.line):
        line = list(group)
        places = _slashes_of(line)
        kept += [part for i, part in enumerate(line) if i not in places]
        slashes += [Rejected(line[i].region.box, "a slash") for i in places]
    return kept, slashes


def _slashes_of(line: Sequence[Part]) -> list[int]:
    """Which parts of a line are slashes."""
    digits = [i for i, part in enumerate(line) if part.probabilities.argmax() != 1]
    bars = [i for i in range(digits[0], digits[-1]) if line[i].probabilities.argmax() == 1] if digits else []
    if not bars:
        return []
    height = quantile([line[i].region.box[3] for i in digits], 0.5)
    lean = max(LEAN, MORE + quantile([_lean(line[i].region)[0] for i in digits], 0.5))
    return [
        i for i in bars if _stands_out([part.region for part in line[i - 1 : i + 2]], height) and _leans(line[i], lean)
    ]


def _stands_out(regions: Sequence[Region], height: float) -> bool:
    """Whether the second of three is taller than digits of this height, and higher and lower than the other two."""
    (_, left, _, left_high), (_, top, _, high), (_, right, _, right_high) = (region.box for region in regions)
    above, below = min(left, right) - top, top + high - max(left + left_high, right + right_high)
    return not regions[1].touching and high >= TALLER * height and min(above, below) >= BEYOND * height


def _leans(part: Part, least: float) -> bool:
    """Whether it is a straight stroke that leans to the right by so much of its height."""
    lean, off = _lean(part.region)
    return lean >= least and off <= THIN


def _lean(region: Region) -> tuple[float, float]:
    """How far ink leans to the right, as a share of its height, and how far it lies off its middle line."""
    moments = cv2.moments((region.ink > 127).astype(np.uint8), binaryImage=True)
    if moments["mu02"] <= 0:
        return 0.0, float("inf")
    lean = -moments["mu11"] / moments["mu02"]
    beside = max(0.0, moments["mu20"] - moments["mu11"] ** 2 / moments["mu02"])
    return lean, float(np.sqrt(beside / moments["mu02"]) / (1 + lean**2))
