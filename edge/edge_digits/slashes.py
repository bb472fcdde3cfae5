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
"""Times the height of the digits about it that a slash is high at least."""
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
    slashes: list[Part] = []
    for _, line in groupby(parts, key=lambda part: part.region.line):
        slashes += _slashes_of(list(line))
    kept = [part for part in parts if not any(part is slash for slash in slashes)]
    return kept, [Rejected(slash.region.box, "a slash") for slash in slashes]


def _slashes_of(line: Sequence[Part]) -> list[Part]:
    places = [i for i, part in enumerate(line) if part.probabilities.argmax() != 1]
    between = line[places[0] : places[-1]] if places else []
    bars = [part for part in between if part.probabilities.argmax() == 1 and not part.region.touching]
    if not bars:
        return []
    height = TALLER * quantile([line[i].region.box[3] for i in places], 0.5)
    lean = max(LEAN, MORE + quantile([_lean(line[i].region)[0] for i in places], 0.5))
    return [part for part in bars if part.region.box[3] >= height and _is_straight(part.region, lean)]


def _is_straight(region: Region, least: float) -> bool:
    lean, off = _lean(region)
    return lean >= least and off <= THIN


def _lean(region: Region) -> tuple[float, float]:
    """How far ink leans to the right, as a share of its height, and how far it lies off its middle line."""
    moments = cv2.moments((region.ink > 127).astype(np.uint8), binaryImage=True)
    if moments["mu02"] <= 0:
        return 0.0, float("inf")
    lean = -moments["mu11"] / moments["mu02"]
    beside = max(0.0, moments["mu20"] - moments["mu11"] ** 2 / moments["mu02"])
    return lean, float(np.sqrt(beside / moments["mu02"]) / (1 + lean**2))
