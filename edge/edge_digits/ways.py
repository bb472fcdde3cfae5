"""The ways to read a region: as one digit, or cut into two and more where digits touch.

What a way is worth is measured in nats against reading the region as one digit: that the network is unsure of it, takes
it for no digit, or that it is wide, speaks for a cut; that the network is unsure of the parts or takes them for none,
that the cut crosses ink, or that a part is low, speaks against it. The weights were fitted by logistic regression on
touching pairs and single digits drawn from MNIST (`benchmarks/cuts.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edge_digits.cut import Seam, between, find_seams
from edge_digits.find import Region

Ask = Callable[[Sequence[Region]], "list[Part]"]
"""Regions → what the network says of each."""


@dataclass(frozen=True)
class Weights:
    """What speaks for a cut."""

    whole: float
    """By nat that the whole is unlikely to be its digit …"""
    whole_score: float
    """… and that it is unlikely to be a digit at all."""
    parts: float
    """By nat that the parts are likely to be theirs …"""
    parts_score: float
    """… and digits at all."""
    crossed: float
    """By stroke that the cut crosses."""
    width: float
    """By the width in heights."""
    low: float
    """By what a part is lower than LOWEST, in heights."""
    base: float
    rare: float
    """Single digits are that much more frequent in pictures than touching ones, and cutting them does more harm."""
    even: float
    """What a cut is worth, in nats, that is as likely as not where somebody says that there are more digits."""


PLAIN = Weights(-7.7, 0.0, 8.9, 0.0, -2.3, 2.8, -11.6, -2.0, -1.5, -3.0)
"""Where the network says nothing of what is no digit."""
SCORED = Weights(-1.5, -2.9, 1.7, 1.4, -3.1, 1.8, 0.2, 0.8, -3.0, -1.5)
"""Where it does."""


@dataclass(frozen=True)
class PieceWeights:
    """What speaks for digits that touch where a region is no digit as a whole, against a letter in pieces."""

    width: float
    """By the region's width for each part, in heights."""
    ones: float
    """By the share of the parts that are 1s: so are the strokes of most letters."""
    low: float
    """By the height of the lowest part in the region's."""
    base: float
    rare: float
    """What is to be cut is surer than as likely as not by so much."""


PIECES = PieceWeights(9.3, -6.0, 8.5, -9.8, 2.7)
LOWEST = 0.7
NARROWEST = 0.5
"""Widths of a height that touching digits have on average, at least: 1s are narrower, but seldom touch."""
UNLIKELY = math.log(0.5)
"""Of what is less sure to be its digit, nobody knows whether it is several or none."""
LEAST_SCORE = math.log(1e-3)
"""Of what is less sure to be a digit at all, it makes no odds how much less."""


@dataclass(frozen=True, eq=False)
class Part:
    """A region, or what was cut out of one, with what the network says of it."""

    region: Region
    tile: NDArray[np.uint8] = field(repr=False)
    probabilities: NDArray[np.float32] = field(repr=False)
    score: float | None = None
    """How sure it is that it is a digit at all, 0 to 1; None where it does not say."""

    @property
    def log_likelihood(self) -> float:
        """Of its likeliest digit."""
        return math.log(float(self.probabilities.max()))

    @property
    def log_score(self) -> float:
        """Of its being a digit at all; 0 where the network does not say."""
        return 0.0 if self.score is None else math.log(max(self.score, math.exp(LEAST_SCORE)))

    @property
    def weights(self) -> Weights:
        """What speaks for a cut through it."""
        return PLAIN if self.score is None else SCORED


@dataclass(frozen=True, eq=False)
class Way:
    """One way to read a region."""

    parts: tuple[Part, ...]
    """From left to right."""
    worth: float
    """In nats, against reading it as one digit."""

    @property
    def belief(self) -> float:
        """How sure its cuts are, 0 to 1, where there are said to be more digits."""
        cuts = len(self.parts) - 1
        return 1 / (1 + math.exp(min(cuts * self.parts[0].weights.even - self.worth, 700))) if cuts else 1.0


def find_ways(whole: Part, ask: Ask, most: int | None = None) -> list[Way]:
    """The best way to read a region as one digit, as two, as three, …, up to `most`.

    Where that is None, as many as it is wide enough for, and only while a further cut may be worth it.
    """
    all_of_them = most is not None
    if most is None:
        height, width = whole.region.ink.shape
        most = max(2, round(width / height / NARROWEST))
    ways = [Way((whole,), 0.0)]
    cuts: dict[int, Way | None] = {}
    while len(ways) < most:
        last = ways[-1]
        options = []
        for i, part in enumerate(last.parts):
            if not all_of_them and last.worth + _hope(part) <= best_way(ways).worth:
                continue
            if id(part) not in cuts:
                cuts[id(part)] = _best_cut(part, ask)
            cut = cuts[id(part)]
            if cut is not None:
                options.append((cut.worth, i, cut))
        if not options:
            break
        gain, i, cut = max(options, key=lambda option: option[0])
        ways.append(Way((*last.parts[:i], *cut.parts, *last.parts[i + 1 :]), last.worth + gain))
    return ways


def best_way(ways: Sequence[Way]) -> Way:
    """The one that is worth most, of several the one with the fewest cuts."""
    return max(ways, key=lambda way: way.worth)


def describe_pieces(whole: Part, parts: Sequence[Part]) -> tuple[float, float, float]:
    """What speaks for digits that touch or for a letter in pieces, in the order of PieceWeights."""
    height, width = whole.region.ink.shape
    ones = sum(int(part.probabilities.argmax()) == 1 for part in parts)
    lowest = min(part.region.ink.shape[0] for part in parts)
    return width / height / len(parts), ones / len(parts), lowest / height


def are_digits(whole: Part, parts: Sequence[Part]) -> bool:
    """Whether the parts of what is no digit as a whole are digits that touch, and not a letter in pieces."""
    width, ones, low = describe_pieces(whole, parts)
    w = PIECES
    return w.width * width + w.ones * ones + w.low * low + w.base + w.rare > 0


def _hope(part: Part) -> float:
    """What the best of all cuts would be worth."""
    height, width = part.region.ink.shape
    w = part.weights
    whole = w.whole * max(UNLIKELY, part.log_likelihood) + w.whole_score * part.log_score
    return float(whole + w.width * width / height + w.base + w.rare)


def _best_cut(part: Part, ask: Ask) -> Way | None:
    """The best way to read it as two digits; None where there is no seam to cut it along."""
    seams = find_seams(part.region.ink)
    if not seams:
        return None
    regions = [region for seam in seams for region in cut_region(part.region, seam)]
    found = ask(regions)
    height, w = part.region.ink.shape[0], part.weights
    best: Way | None = None
    for seam, left, right in zip(seams, found[::2], found[1::2], strict=True):
        lower = min(left.region.ink.shape[0], right.region.ink.shape[0]) / height
        worth = (
            _hope(part)
            + w.parts * (left.log_likelihood + right.log_likelihood)
            + w.parts_score * (left.log_score + right.log_score)
            + w.crossed * seam.crossed
            + w.low * max(0.0, LOWEST - lower)
        )
        if best is None or worth > best.worth:
            best = Way((left, right), worth)
    return best


def cut_region(region: Region, seam: Seam) -> tuple[Region, Region]:
    """What lies on the left of a seam, and what on the right."""
    return (
        cropped(region, between(region.ink, None, seam)),
        cropped(region, between(region.ink, seam, None)),
    )


def cropped(region: Region, ink: NDArray[np.uint8]) -> Region:
    """A region of less ink, (h, w) as before, its box drawn close around it."""
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    x, y, width, height = region.box
    box_left, box_width = _span(left, right, width / ink.shape[1], width)
    box_top, box_height = _span(top, bottom, height / ink.shape[0], height)
    box = (x + box_left, y + box_top, box_width, box_height)
    return Region(box, np.ascontiguousarray(ink[top:bottom, left:right]), region.line, touching=True)


def _span(start: int, end: int, scale: float, length: int) -> tuple[int, int]:
    """(start, length) of a part, scaled to pixels of a box that is `length` long, a pixel long at least."""
    first = min(round(start * scale), length - 1)
    return first, max(1, round(end * scale) - first)
