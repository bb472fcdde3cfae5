"""Halves of a digit that is broken across, which stand one above the other as digits of two close lines do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations

import numpy as np

from edge_digits.find import Region
from edge_digits.group import ABOVE, WIDEST, lines_of
from edge_digits.pieces import Piece
from edge_digits.reading import Box
from edge_digits.ways import Ask, Part

GAP = 0.2
"""Share of the whole's height that may lie between its halves."""
HALVES = 3.0
"""One half is no more than so many times as high as the other."""
SLIM = 0.3
"""Share of its height that the whole is wide at least: blades of grass stand one above the other, too."""
MOST = 100
"""Of more regions none is joined."""
SHAPE = 4.0
"""Nats that speak for one digit for each height that the two are wider, in the mean …"""
BROAD = 1.0
"""… than this share of their height: digits are narrower, halves broader."""


def join_halves(parts: Sequence[Part], ask: Ask) -> list[Part]:
    """The parts, in reading order; two of them as one where the network rather takes that for a digit than each."""
    if len(parts) > MOST:
        return list(parts)
    pairs = [pair for pair in permutations(parts, 2) if _may_be_halves(*(part.region.box for part in pair))]
    if not pairs:
        return list(parts)
    joined = ask([_join(upper.region, lower.region) for upper, lower in pairs])
    gains = [_gain(whole, *pair) for whole, pair in zip(joined, pairs, strict=True)]
    left = list(parts)
    for i in np.argsort(gains)[::-1]:
        if gains[i] > 0 and all(half in left for half in pairs[i]):
            left = [part for part in left if part not in pairs[i]] + [joined[i]]
    return _in_order(left) if len(left) < len(parts) else left


def _may_be_halves(upper: Box, lower: Box) -> bool:
    (left, top, width, height), (x, y, w, h) = upper, lower
    across = min(left + width, x + w) - max(left, x)
    wide, high = max(left + width, x + w) - min(left, x), y + h - top
    return (
        top + height <= y <= top + height + GAP * high
        and across >= ABOVE * min(width, w)
        and SLIM * high <= wide <= WIDEST * high
        and max(height, h) <= HALVES * min(height, h)
    )


def _gain(whole: Part, upper: Part, lower: Part) -> float:
    """In nats, by how much it is likelier one digit than two."""
    broad = sum(half.region.box[2] / half.region.box[3] for half in (upper, lower)) / 2
    return _belief(whole) - _belief(upper) - _belief(lower) + SHAPE * (broad - BROAD)


def _belief(part: Part) -> float:
    """In nats, that it is a digit, and which."""
    return part.log_score + part.log_likelihood


def _join(upper: Region, lower: Region) -> Region:
    """Both as one, moved together until they touch: a digit with a gap is like none that the network has seen."""
    everything = Piece([], *upper.box, 0).join(Piece([], *lower.box, 0))
    scale = upper.ink.shape[0] / upper.box[3]
    left, right = (round((each.box[0] - everything.x) * scale) for each in (upper, lower))
    (height, width), (h, w) = upper.ink.shape, lower.ink.shape
    ink = np.zeros((height + h, max(left + width, right + w)), np.uint8)
    ink[:height, left : left + width] = upper.ink
    ink[height:, right : right + w] = lower.ink
    return Region(everything.box, ink, upper.line)


def _in_order(parts: Sequence[Part]) -> list[Part]:
    """Parts in reading order, put into lines anew."""
    lines = lines_of([Piece([number], *part.region.box, 0) for number, part in enumerate(parts)])
    return [
        replace(parts[number], region=replace(parts[number].region, line=line))
        for line, pieces in enumerate(lines)
        for piece in pieces
        for number in piece.labels
    ]
