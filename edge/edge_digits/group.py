"""Pieces of ink → digits, as far as their shape tells, in lines.

Every length is relative: to the digits, or to the stroke.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from edge_digits.cut import find_seams
from edge_digits.pieces import Labels, Piece, mask_of, quantile

MIN_HEIGHT = 7
"""Pixels: what is smaller cannot be read."""
OWN_GAP = 0.5
"""Share of the piece's own longer side that may lie between, too."""
WIDEST = 1.5
"""A digit is at most so many times wider than high, where joining is what makes it wider."""
MANY = 5
"""Pieces that tell how high a digit is."""
STACKED = 1.6
"""Times the usual height from which a piece may be two digits, the one above the other …"""
OFF_MIDDLE = 0.2
"""… that touch no farther than this share of its height from its middle."""
OUTSIZE = 2
"""Among many, one this many times taller than usual is no digit, but an edge, an arm, a crease."""
CROSSING = 0.4
"""Two boxes that share this much of the smaller one, across and along, are one digit …"""
HALVES = 2.5
"""… if the one is no more than so many times longer than the other."""
MIN_PIECE = 6
"""A piece is at least one in so many parts of the digit's height: smaller, it adds nothing, or the digit is none."""
BREAK = 0.45
"""Strokes that may lie between the halves of a digit that is broken across …"""
ABOVE = 0.35
"""… and the share of the narrower one's width by which the one stands above the other."""
SHORT = 0.6
"""Share of the digit's height that the flag of a 5, or what a stroke skipped, is high at most."""
PIECE_GAP = 0.25
"""Share of the digit's height that may lie between it and a broken-off piece, above or below it."""
SLOPES = -0.3, 0.3, -0.5, 0.5
"""Of lines on a sheet that is turned; what is less steep needs no telling."""
LOWER = 0.9
"""Heights of a digit by which the next one of such a line is lower or higher at most: a staircase is no line."""
MOST_SLOPED = 100
"""Digits: of more, lines are taken to be level."""
APART = 1.5
"""Heights of a digit that may lie between two of a line that slopes …"""
OFF_LINE = 0.25
"""… and the share of its way to the right by which the second may be off the line."""


def join_pieces(pieces: list[Piece], stroke: float) -> list[Piece]:
    """Broken-off pieces joined to the digit they belong to: the first, from the largest, that they stand by."""
    pieces = [piece for piece in pieces if piece.area >= max(2, (stroke / 2) ** 2)]  # specks
    pieces.sort(key=lambda p: -p.w * p.h)
    whole: list[Piece] = []
    boxes = np.zeros((len(pieces), 4), np.int64)
    for piece in pieces:
        near = np.flatnonzero(_belongs(piece, boxes[: len(whole)], stroke))
        if len(near):
            place = int(near[0])
            whole[place] = whole[place].join(piece)
        else:
            place = len(whole)
            whole.append(piece)
        boxes[place] = whole[place].x, whole[place].y, whole[place].w, whole[place].h
    return whole


def _belongs(piece: Piece, digits: NDArray[np.int64], stroke: float) -> NDArray[np.bool_]:
    """Which of the digits, (n, 4) boxes, the piece may be a part of."""
    x, y, w, h = digits.T
    # Shared width and height in pixels; negative: the gap between.
    across = np.minimum(piece.right, x + w) - np.maximum(piece.x, x)
    along = np.minimum(piece.bottom, y + h) - np.maximum(piece.y, y)
    # Strokes of one digit that just fail to touch: the halves of a 4.
    crossing = (across > CROSSING * np.minimum(piece.w, w)) & (along > CROSSING * np.minimum(piece.h, h))
    crossing &= np.maximum(w, h) <= HALVES * max(piece.w, piece.h)
    gap = np.minimum(PIECE_GAP * h, OWN_GAP * max(piece.w, piece.h))
    fitting = (along >= -gap) & (piece.w <= 1.5 * w) & (h <= MIN_PIECE * max(piece.w, piece.h))
    stacked = (across >= 0.5 * piece.w) & (piece.h < 0.8 * h)
    # Broken across: halves as high as each other, but nearer than lines of writing come; a flag may reach down beside.
    short = piece.h < SHORT * h
    broken = (across >= ABOVE * np.minimum(piece.w, w)) & (-along <= max(1.5, BREAK * stroke))
    broken &= along <= np.where(short, CROSSING * piece.h, 0)
    # The flag of a 5, a stroke that skipped: beside the digit, but nearer than another digit would stand.
    beside = short & (along > 0.5 * piece.h) & (-across <= max(2.0, 1.5 * stroke))
    wide = np.maximum(piece.right, x + w) - np.minimum(piece.x, x)
    high = np.maximum(piece.bottom, y + h) - np.minimum(piece.y, y)
    return np.asarray((crossing | broken | (fitting & (stacked | beside))) & ((wide <= WIDEST * high) | (wide == w)))


def unstack(labels: Labels, pieces: list[Piece]) -> tuple[Labels, list[Piece]]:
    """Pieces that are two digits, the one above the other, which touch: cut where they cross least ink.

    What else stands beside them says how high a digit is; the network would read any two as one.
    """
    usual = _usual_height(pieces)
    if len(pieces) < MANY:
        return labels, pieces
    uncut, found = labels, list[Piece]()
    for piece in pieces:
        seams = []
        if STACKED * usual < piece.h < 3 * usual and piece.w < STACKED * usual:
            seams = find_seams(np.ascontiguousarray(piece.mask(labels).T))
        fitting = [s for s in seams if abs(float(s.columns.mean()) / piece.h - 0.5) < OFF_MIDDLE and s.crossed < 1.5]
        if not fitting:
            found.append(piece)
            continue
        seam = min(fitting, key=lambda seam: seam.crossed)
        below = (piece.mask(labels) > 0) & (np.arange(piece.h)[:, None] >= seam.columns)
        labels = labels.copy() if labels is uncut else labels
        number = int(labels.max()) + 1
        labels[piece.y : piece.bottom, piece.x : piece.right][below] = number
        found += [_piece(labels, piece, piece.labels), _piece(labels, piece, [number])]
    return labels, found


def _piece(labels: Labels, within: Piece, numbers: list[int]) -> Piece:
    """The ink of these labels within a piece's box."""
    mine = mask_of(labels[within.y : within.bottom, within.x : within.right], numbers)
    rows, columns = np.flatnonzero(mine.any(axis=1)), np.flatnonzero(mine.any(axis=0))
    w, h = int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1
    return Piece(numbers, within.x + int(columns[0]), within.y + int(rows[0]), w, h, int(np.count_nonzero(mine)))


def _usual_height(pieces: list[Piece]) -> float:
    """How high most digits are: three quarters of the way up, as specks may outnumber them."""
    return quantile([piece.h for piece in pieces if piece.h >= MIN_HEIGHT] or [0], 0.75)


def sort_out(pieces: list[Piece], is_solid: Callable[[Piece], bool]) -> tuple[list[Piece], list[tuple[Piece, str]]]:
    """(digits, what is none with the reason). `is_solid`: whether a piece is too fat for a stroke."""
    digits, rejected = [], []
    most = OUTSIZE * _usual_height(pieces) if len(pieces) >= MANY else float("inf")
    tallest = max((piece.h for piece in pieces if piece.h <= most), default=0)
    for piece in pieces:
        if max(piece.w, piece.h) < MIN_HEIGHT:
            continue
        if piece.h > most:
            rejected.append((piece, "too large"))
        elif piece.h < 0.25 * tallest:
            rejected.append((piece, "too small"))
        elif piece.w > 3 * piece.h and piece.h < 0.5 * tallest:
            rejected.append((piece, "a dash"))
        elif piece.h < 0.5 * tallest and is_solid(piece):
            rejected.append((piece, "a dot"))
        else:
            digits.append(piece)
    return digits, rejected


def lines_of(pieces: list[Piece]) -> list[list[Piece]]:
    """Pieces that stand beside each other, from left to right; the lines from top to bottom.

    They are level or slope a little, unless there are fewer of them along one of the steeper SLOPES, and straight.
    """
    lines = _lines_along(0.0, pieces)
    if len(pieces) > MOST_SLOPED:
        return lines
    for slope in SLOPES:
        sloped = _lines_along(slope, pieces)
        if len(sloped) < len(lines) and _are_straight(sloped, slope):
            lines = sloped
    return lines


def _lines_along(slope: float, pieces: list[Piece]) -> list[list[Piece]]:
    """The lines, where each goes down by `slope` of its way to the right, about."""

    def fall(piece: Piece) -> float:
        return slope * (piece.x + piece.w / 2)

    lines: list[list[Piece]] = []
    for piece in sorted(pieces, key=lambda p: p.x):
        best, shared = None, 0.0
        for line in lines:
            last = line[-1]
            along = fall(piece) - fall(last)
            overlap = min(last.bottom + along, piece.bottom) - max(last.y + along, piece.y)
            share = overlap / min(last.h, piece.h)
            if share > max(shared, 0.4):
                best, shared = line, share
        if best is None:
            lines.append([piece])
        else:
            best.append(piece)
    return sorted(lines, key=lambda line: sum(p.y + p.h / 2 - fall(p) for p in line) / len(line))


def _are_straight(lines: list[list[Piece]], slope: float) -> bool:
    """Whether digits stand close in lines of this slope, in one of which there are three at least."""
    if max(map(len, lines)) < 3:
        return False
    for one, other in (pair for line in lines for pair in pairwise(line)):
        along = other.x + other.w / 2 - one.x - one.w / 2
        down = other.y + other.h / 2 - one.y - one.h / 2
        high = max(one.h, other.h)
        if (
            other.x - one.right > APART * high
            or abs(down) > LOWER * high
            or abs(down - slope * along) > OFF_LINE * along
        ):
            return False
    return True
