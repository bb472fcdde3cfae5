"""Ink → pieces: connected ink, and whether it may be the stroke of a digit.

Every length is relative: to the picture's side, to the stroke, or to the piece itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_digits.ink import EDGE_WIDTH, INK_LEVEL, MIN_SCENE, Ink, above, against_room
from edge_digits.levels import count_levels, percentile
from edge_digits.opencv import cv2
from edge_digits.reading import Box
from edge_digits.tiles import stroke_width

MAX_PIECES = 1000
"""No more pieces of ink, the largest, are looked at: a picture with more is a texture."""
MAX_STROKE = 0.45
"""Share of its longer side that a digit's stroke may be wide; what is fatter is a blob."""
MAX_FILL = 0.8
"""Share of its box that a digit's ink may fill, unless it is as narrow as a 1."""
MAX_BORDER_INK = 0.3
"""Share of the picture's border that ink may cover; more, and it is what surrounds the paper."""
SHEET = 0.15
"""Share of the picture that the box of a blob covers at least if it may be paper with writing on it."""
EDGE_OF_SHEET = 1 / 100
"""Share of the picture's longer side that a sheet's edge, with its shadow, is wide."""
BLOB, NOISE = "a blob", "noise"
MIN_EDGE = 0.7
"""Share of a stroke's strength that it rises by within that width on half of its edge …"""
MIN_SOFT_EDGE = 0.5
"""… and on three quarters of it; light that falls off rises by less, if only on one side."""
GRAIN_WIDTH = 1 / 60
"""Share of the picture's longer side over which noise is smoothed away."""
MIN_SMOOTH_EDGE = 0.3
"""Share of a stroke's strength that it still rises by then: clumps of noise lose more, and so do hairlines …"""
SPECK = 0.1
"""Share of the tallest piece's height, or of the largest one's area, up to which a piece is a speck."""
NOISE_REACH = 14
"""… but hairlines stand out from the noise: by more than this many of its standard deviations."""
MAX_INK = 0.4
"""Share of a picture that its ink may cover; more, and it is a texture."""
MAX_BOLD = 3
"""Pieces that a bold digit may be in."""
TEXTURED = 0.2
"""Where the ground rises to more than this share of the ink's strength in one place of a hundred, it is textured …"""
CLEAR_OF_TEXTURE = 0.35
"""… and only what is stronger than this share of the strongest ink there can be may be writing."""
LITTER = 20
"""More pieces of ink than this which are weaker …"""
LITTERED = 0.5
"""… than this share of the strongest: creases, grass, the grain of wood …"""
CLEAR_OF_LITTER = 0.5
"""… and only what is stronger than this share of the strongest ink there can be may be writing."""
MAX_HOLES = 4
"""An 8 has two; the rest is for loops that cross themselves."""
MAX_BAYS = 10
"""An 8 that touches all four sides of the picture has eight, its loops counted in."""
MIN_HOLE = 0.001
"""Share of its box that a hole covers at least to count."""
SLIVER = 2
"""Pixels: ink at the picture's border that is no wider tells nothing."""
RULE_THICKNESS = 0.75
"""Share of the stroke's width that a rule is thick at most."""
RULE_LENGTH = 0.6
"""Share of the picture's side that a rule is long at least."""
RULE_COVERAGE = 0.6
"""Share of its length on which a rule is seen at least."""
RULE_GAP = 0.25
"""Share of the picture's side over which writing may hide it."""
RULE_ASPECT = 12
"""A rule is at least this many times longer than a stroke is wide, and so is a piece that is one longer than high."""

Labels = NDArray[np.int32]
"""(H, W): the number of the connected ink that a pixel belongs to; 0 for none."""


@dataclass
class Piece:
    """Connected ink: its labels in the label image and the box around them, in working pixels."""

    labels: list[int]
    x: int
    y: int
    w: int
    h: int
    area: int
    stroke: float | None = None
    """The width of its strokes in pixels, once it was asked for."""
    strength: float | None = None
    """How strong its ink is, 0 to 255, once it was asked for."""

    @property
    def box(self) -> Box:
        """x, y, width, height."""
        return self.x, self.y, self.w, self.h

    @property
    def right(self) -> int:
        """The first column beside it."""
        return self.x + self.w

    @property
    def bottom(self) -> int:
        """The first row below it."""
        return self.y + self.h

    def mask(self, labels: Labels) -> NDArray[np.uint8]:
        """(h, w): 255 on its ink, 0 beside it."""
        return mask_of(labels[self.y : self.bottom, self.x : self.right], self.labels)

    def join(self, other: Piece) -> Piece:
        """Both as one."""
        x, y = min(self.x, other.x), min(self.y, other.y)
        w, h = max(self.right, other.right) - x, max(self.bottom, other.bottom) - y
        return Piece(self.labels + other.labels, x, y, w, h, self.area + other.area)


def _box_about(pieces: Sequence[Piece], margin: int, shape: tuple[int, ...]) -> Box:
    """The part of a picture of this shape that is about pieces, with so many pixels beside; one pixel without any."""
    if not pieces:
        return 0, 0, 1, 1
    left, top = (max(0, min(ends) - margin) for ends in ((p.x for p in pieces), (p.y for p in pieces)))
    right = min(shape[1], max(p.right for p in pieces) + margin)
    return left, top, right - left, min(shape[0], max(p.bottom for p in pieces) + margin) - top


def mask_of(labels: Labels, numbers: list[int]) -> NDArray[np.uint8]:
    """255 where a label image has one of these numbers, else 0."""
    mine = labels == numbers[0] if len(numbers) == 1 else np.isin(labels, numbers)
    return mine.view(np.uint8) * np.uint8(255)


def set_apart(
    labels: Labels, pieces: list[Piece], stroke: float, slopes: Slopes
) -> tuple[list[Piece], list[tuple[Piece, str]]]:
    """(what may be a digit or a piece of one, what is none with the reason)."""
    kept: list[Piece] = []
    rejected: list[tuple[Piece, str]] = []
    for piece in pieces:
        if _is_rule(piece, stroke) or _is_cut_off(labels, piece):
            rejected.append((piece, "a rule or an edge"))
        elif max(labels.shape) >= MIN_SCENE and max(piece.w, piece.h) > 3 * stroke and is_blob(labels, piece):
            rejected.append((piece, BLOB))
        elif piece.w * piece.h > SHEET * labels.size and _is_grid(labels, piece):
            rejected.append((piece, "a grid"))
        elif reason := slopes.fault(labels, piece):
            rejected.append((piece, reason))
        else:
            kept.append(piece)
    if sum(reason == NOISE for _, reason in rejected) > 3 * len(kept):
        # Among so many clumps of noise, the one that looks like a stroke is a clump, too.
        rejected += [(piece, NOISE) for piece in kept if slopes.is_weak(labels, piece)]
        kept = [piece for piece in kept if not slopes.is_weak(labels, piece)]
    return kept, rejected


def is_texture(labels: Labels) -> bool:
    """Whether there is too much ink for writing, but for one bold digit that fills the picture."""
    many = int(labels.max()) > MAX_BOLD
    return many and max(labels.shape) >= MIN_SCENE and float(np.mean(labels > 0)) > MAX_INK


def drop_texture(
    labels: Labels, pieces: list[Piece], everything: list[Piece], slopes: Slopes, level: float
) -> tuple[list[Piece], list[tuple[Piece, str]]]:
    """(what stands out from a textured or littered ground, what does not with the reason).

    `everything` is all ink, be it of strokes or not.
    """
    strengths = [slopes.strength(labels, piece) for piece in pieces]
    least = 0.0
    if _ground_texture(labels, slopes.inked.values) > TEXTURED * level:
        least = CLEAR_OF_TEXTURE
    if len(everything) > LITTER:
        strong = LITTERED * max(strengths, default=0)
        if sum(slopes.strength(labels, piece) < strong for piece in everything) > LITTER:
            least = CLEAR_OF_LITTER
    faint = [strength < least * 255 for strength in strengths]
    kept = [piece for piece, is_faint in zip(pieces, faint, strict=True) if not is_faint]
    return kept, [(piece, "texture") for piece, is_faint in zip(pieces, faint, strict=True) if is_faint]


def _ground_texture(labels: Labels, ink: NDArray[np.uint8]) -> float:
    """What the ground rises to in one place of a hundred, 0 to 255, away from all ink."""
    step = max(1, max(ink.shape) // 400)
    near = cv2.dilate((labels[::step, ::step] > 0).astype(np.uint8), np.ones((5, 5), np.uint8))
    ground = count_levels(np.ascontiguousarray(ink[::step, ::step]), np.asarray(1 - near, np.uint8))
    return percentile(ground, 99) if ground.sum() >= MIN_SCENE else 0.0


def _is_rule(piece: Piece, stroke: float) -> bool:
    long, short = max(piece.w, piece.h), max(1, min(piece.w, piece.h))
    return piece.w > piece.h and long > RULE_ASPECT * short and short < 3 * stroke


def _is_cut_off(labels: Labels, piece: Piece) -> bool:
    """Whether it is a sliver along the picture's border: what is left of something beyond it."""
    height, width = labels.shape
    at_side = piece.w <= SLIVER and (piece.x == 0 or piece.right == width)
    at_end = piece.h <= SLIVER and (piece.y == 0 or piece.bottom == height)
    return max(labels.shape) >= MIN_SCENE and (at_side or at_end)


def connect(ink: NDArray[np.uint8], level: float) -> tuple[Labels, list[Piece]]:
    """The label image and its pieces; ruled lines that cross the writing are taken out."""
    mask = above(ink, level * INK_LEVEL)
    labels, pieces = _label(mask)
    rules = _rules(mask, typical_stroke(labels, pieces))
    return _label(mask & ~rules) if rules.any() else (labels, pieces)


def count_pieces(ink: NDArray[np.uint8], level: float) -> int:
    """How many pieces there are, ruled lines among them; MAX_PIECES at most."""
    return len(_label(above(ink, level * INK_LEVEL))[1])


def _rules(mask: NDArray[np.uint8], stroke: float) -> NDArray[np.uint8]:
    """1 on the lines of ruled and squared paper: long, near level or upright, thinner than the strokes they cross.

    Where a stroke crosses a rule it stays whole, being thicker there than the rule.
    """
    rules = np.zeros_like(mask)
    thickest = round(stroke * RULE_THICKNESS)
    if max(mask.shape) < MIN_SCENE or thickest < 2:  # a line of one pixel may be any stroke's edge
        return rules
    for upright in (False, True):
        turned = np.ascontiguousarray(mask.T) if upright else mask
        width = turned.shape[1]
        thick = cv2.morphologyEx(turned, cv2.MORPH_OPEN, np.ones((thickest + 1, 1), np.uint8))
        run = np.ones((1, max(3, round(stroke))), np.uint8)
        thin = cv2.morphologyEx(cv2.subtract(turned, thick), cv2.MORPH_OPEN, run)
        if np.count_nonzero(thin) < RULE_COVERAGE * RULE_LENGTH * width:
            continue
        # A rule that slants is many short runs, end to end, and has a gap where a stroke crosses it.
        reach = np.ones((3, round(RULE_GAP * width) | 1), np.uint8)
        labels, stats = _components(np.asarray(cv2.morphologyEx(thin, cv2.MORPH_CLOSE, reach), np.uint8))
        long = stats[:, cv2.CC_STAT_WIDTH] >= max(RULE_LENGTH * width, RULE_ASPECT * stroke)  # a 1 may be as high
        long[0] = False
        for i in np.flatnonzero(long):  # the bars of a row of 7s stand in one line, too, but far apart
            x, y, w, h = stats[i, :4]
            own = (labels[y : y + h, x : x + w] == i) & (thin[y : y + h, x : x + w] > 0)
            long[i] = np.mean(own.any(axis=0)) >= RULE_COVERAGE
        line = (thin & long[labels]).astype(np.uint8)
        rules |= line.T if upright else line
    return rules


def _label(mask: NDArray[np.uint8]) -> tuple[Labels, list[Piece]]:
    labels, stats = _components(mask)
    areas = stats[1:, cv2.CC_STAT_AREA]
    largest = 1 + np.argsort(-areas, kind="stable")[:MAX_PIECES]
    pieces = [Piece([i], *stats[i].tolist()) for i in sorted(largest.tolist()) if stats[i, cv2.CC_STAT_AREA] > 1]
    return labels, pieces


def _components(mask: NDArray[np.uint8]) -> tuple[Labels, NDArray[np.int32]]:
    """Labels and stats of connected ink, over corners too; by an algorithm three times as fast as the default.

    Only where there is ink: what costs is to count the ground. An even corner keeps the order of the labels, which are
    given in blocks of 2 × 2 pixels.
    """
    x, y, width, height = cv2.boundingRect(mask)
    left, top = x // 2 * 2, y // 2 * 2
    window = np.s_[top : max(y + height, top + 1), left : max(x + width, left + 1)]
    inked = np.ascontiguousarray(mask[window])
    _, found, stats, _ = cv2.connectedComponentsWithStatsWithAlgorithm(inked, 8, cv2.CV_32S, cv2.CCL_GRANA)
    labels = np.zeros(mask.shape, np.int32)
    labels[window] = found
    stats[:, :2] += np.array([left, top], np.int32)
    return labels, np.asarray(stats, np.int32)


def reaches_border(labels: Labels) -> bool:
    """Whether ink is cut off by the border of a picture, or is no ink but the corner of a shadow."""
    return any(side.any() for side in (labels[0], labels[-1], labels[:, 0], labels[:, -1]))


def is_writing(labels: Labels, pieces: list[Piece]) -> bool:
    """Whether the ink is strokes: no blob, and nothing that surrounds the picture."""
    border = np.concatenate([labels[0], labels[-1], labels[1:-1, 0], labels[1:-1, -1]])
    if max(labels.shape) < MIN_SCENE:
        return True
    if np.mean(border > 0) > MAX_BORDER_INK:
        return False
    large = [piece for piece in pieces if piece.w * piece.h > SHEET * labels.size]
    return not any(is_blob(labels, piece) for piece in large)


def beside_sheet(labels: Labels, pieces: list[Piece], dark_ink: bool) -> NDArray[np.uint8]:
    """1 where a picture of a sheet is no sheet, (H, W), told from ink that is no writing; its edge is counted in.

    Where the ink is dark, it is the desk; where it is light, it is the sheet.
    """
    height, width = labels.shape
    solid = [
        p for p in pieces
        if p.w * p.h > SHEET * labels.size
        and (not (p.x > 0 and p.y > 0 and p.right < width and p.bottom < height) or is_blob(labels, p))
    ]  # fmt: skip
    mask = np.minimum(mask_of(labels, [label for piece in solid for label in piece.labels]), 1)
    edge = np.ones((round(max(height, width) * EDGE_OF_SHEET) * 2 + 1,) * 2, np.uint8)
    if dark_ink:
        return np.asarray(cv2.dilate(mask, edge), np.uint8)
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    sheet = cv2.drawContours(np.zeros_like(mask), outlines, -1, 1, cv2.FILLED)
    return np.asarray(1 - cv2.erode(sheet, edge), np.uint8)


def is_blob(labels: Labels, piece: Piece) -> bool:
    """Whether the piece is too solid for a stroke: a sheet, a hand, a coin."""
    long, short = max(piece.w, piece.h), min(piece.w, piece.h)
    fills_box = piece.area > MAX_FILL * piece.w * piece.h and short > MAX_STROKE * long
    return fills_box or _stroke(labels, piece) > MAX_STROKE * long


def _is_grid(labels: Labels, piece: Piece) -> bool:
    """Whether the piece has more holes than any digit, specks apart: squared paper, a net, a printed pattern.

    Or, where it fills the picture, more bays between itself and the border: ruled paper with a margin.
    """
    mask = piece.mask(labels)
    if _holes(mask) > MAX_HOLES:
        return True
    return mask.shape == labels.shape and _holes(np.pad(mask, 1, constant_values=255)) > MAX_BAYS


def _holes(mask: NDArray[np.uint8]) -> int:
    """How many holes a mask, (h, w), has, specks apart."""
    contours, hierarchy = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    holes = [c for c, (_, _, _, parent) in zip(contours, hierarchy[0], strict=True) if parent >= 0]
    return sum(cv2.contourArea(hole) > MIN_HOLE * mask.size for hole in holes)


@dataclass(frozen=True)
class Slopes:
    """What tells strokes from shading and noise: how steeply the ink rises."""

    inked: Ink
    box: Box
    """The part of the picture for which it is known."""
    sharp: NDArray[np.uint8]
    """How much it rises within an edge's width of each pixel; 0 beside the box, as is the next."""
    smooth: NDArray[np.uint8]
    """How much it rises within a grain's width once it is smoothed over that width."""

    @classmethod
    def of(cls, inked: Ink, pieces: Sequence[Piece]) -> Slopes:
        """Those of a picture's ink, about its pieces."""
        ink = inked.values
        box = _box_about(pieces, 1, ink.shape)  # as far as `fault` looks
        wide, narrow = (max(7, round(max(ink.shape) * share) | 1) for share in (EDGE_WIDTH, GRAIN_WIDTH))
        x, y, width, height = _box_about(pieces, 1 + max(wide, narrow), ink.shape)
        near = np.s_[y : y + height, x : x + width]
        around = np.ones((wide, wide), np.uint8)
        # Where a picture's ground falls off, ink ends where the light does not.
        rise = against_room(cv2.morphologyEx(inked.light[near], cv2.MORPH_GRADIENT, around), inked.ground[near])
        sharp, smooth = np.zeros_like(ink), np.zeros_like(ink)
        sharp[near] = cv2.min(rise, cv2.morphologyEx(ink[near], cv2.MORPH_GRADIENT, around))
        blurred = cv2.blur(ink[near], (narrow, narrow))
        smooth[near] = cv2.morphologyEx(blurred, cv2.MORPH_GRADIENT, np.ones((narrow, narrow), np.uint8))
        return cls(inked, box, sharp, smooth)

    def about(self, pieces: Sequence[Piece]) -> Slopes:
        """The same where it is known about these pieces, too; else anew."""
        x, y, width, height = _box_about(pieces, 1, self.sharp.shape)
        left, top, across, along = self.box
        known = left <= x and top <= y and x + width <= left + across and y + height <= top + along
        return self if known else Slopes.of(self.inked, pieces)

    def fault(self, labels: Labels, piece: Piece) -> str | None:
        """Why the piece is no stroke; None where it may be one."""
        window = np.s_[max(0, piece.y - 1) : piece.bottom + 1, max(0, piece.x - 1) : piece.right + 1]
        mine = mask_of(labels[window], piece.labels)
        # Where the picture ends, ink has no edge.
        edge = np.asarray(cv2.subtract(mine, cv2.erode(mine, np.ones((3, 3), np.uint8))), np.uint8)
        if not edge.any():
            return "shading"
        strength = self.strength(labels, piece)
        rises = count_levels(self.sharp[window], edge)
        if percentile(rises, 50) < MIN_EDGE * strength or percentile(rises, 25) < MIN_SOFT_EDGE * strength:
            return "shading"
        blurred_away = percentile(count_levels(self.smooth[window], edge), 50) < MIN_SMOOTH_EDGE * strength
        return NOISE if blurred_away and self.is_weak(labels, piece) else None

    def is_weak(self, labels: Labels, piece: Piece) -> bool:
        """Whether the piece is within reach of the noise."""
        return self.strength(labels, piece) < NOISE_REACH * self.inked.noise

    def usual_strength(self, labels: Labels, pieces: list[Piece]) -> float | None:
        """The median strength of the pieces that are no specks; None where there are too few to tell."""
        tallest = max((piece.h for piece in pieces), default=0)
        strengths = [self.strength(labels, piece) for piece in pieces if piece.h > SPECK * tallest]
        return quantile(strengths, 0.5) if len(strengths) > 2 else None

    def strength(self, labels: Labels, piece: Piece) -> float:
        """How strong the piece's ink is, 0 to 255."""
        if piece.strength is None:
            window = np.s_[piece.y : piece.bottom, piece.x : piece.right]
            piece.strength = percentile(count_levels(self.inked.values[window], piece.mask(labels)), 75)
        return piece.strength


def typical_stroke(labels: Labels, pieces: list[Piece]) -> float:
    """The median stroke width of the pieces that are no specks, rules or blobs, in pixels."""
    strokes = [p for p in pieces if p.w <= RULE_ASPECT * p.h and not is_blob(labels, p)]
    largest = max((piece.area for piece in strokes), default=0)
    widths = [_stroke(labels, piece) for piece in strokes if piece.area >= SPECK * largest]
    return quantile(widths, 0.5) if widths else 1.0


def quantile(values: Sequence[float], share: float) -> float:
    """The value that so much of the others, 0 to 1, lies below; between two of them in proportion.

    As np.quantile, which loads numpy.ma first, for 10 ms at each start.
    """
    ordered = sorted(values)
    place = share * (len(values) - 1)
    low = int(place)
    high = min(low + 1, len(values) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def _stroke(labels: Labels, piece: Piece) -> float:
    if piece.stroke is None:
        piece.stroke = stroke_width(piece.mask(labels))
    return piece.stroke
