"""A decimal point or a comma that was joined to the digit before it, as a broken-off piece would be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge_digits.find import Region
from edge_digits.group import MIN_HEIGHT
from edge_digits.opencv import cv2
from edge_digits.reading import Rejected
from edge_digits.ways import Ask, Part, cropped

EVEN = 0.5
"""A digit score below which ink is rather none."""


def part_points(wholes: Sequence[Part], ask: Ask) -> tuple[list[Part], list[Rejected]]:
    """(the parts, without a point where that makes a digit of what is none with it; the points).

    As they are where the network does not say what is no digit.
    """
    parts, points = list(wholes), []
    unlikely = [i for i, whole in enumerate(wholes) if whole.score is not None and whole.score < EVEN]
    pairs = {i: pair for i in unlikely if (pair := _digit_and_point(wholes[i].region)) is not None}
    for (i, (_, point)), alone in zip(pairs.items(), ask([digit for digit, _ in pairs.values()]), strict=True):
        if alone.score is not None and alone.score > EVEN:
            parts[i] = alone
            if max(point.box[2:]) >= MIN_HEIGHT:
                points.append(Rejected(point.box, "a point"))
    return parts, points


def _digit_and_point(region: Region) -> tuple[Region, Region] | None:
    """The largest piece of a region, and what stands low on its right; None where there is no such, or more."""
    count, labels, stats, centres = cv2.connectedComponentsWithStats((region.ink > 0).astype(np.uint8))
    if count < 3:
        return None
    digit = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    x, y, width, height = stats[digit, :4]
    others = np.delete(centres, [0, digit], axis=0)
    if not ((others[:, 0] > x + width / 2) & (others[:, 1] > y + height / 2)).all():
        return None
    mine = labels == digit
    alone, point = (cropped(region, np.where(which, region.ink, np.uint8(0))) for which in (mine, ~mine))
    return alone, point
