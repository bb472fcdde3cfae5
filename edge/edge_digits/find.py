"""Image → ink regions, each one digit as far as its shape tells, in reading order."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from edge_digits.cut import find_seams
from edge_digits.ink import INK_LEVEL, find_ink, shrink
from edge_digits.opencv import cv2
from edge_digits.pieces import (
    MAX_PIECES,
    Labels,
    Piece,
    Slopes,
    beside_sheet,
    connect,
    drop_texture,
    is_texture,
    is_writing,
    set_apart,
    typical_stroke,
)
from edge_digits.reading import Box, Rejected

WORKING_SIDE = 1600
"""Pixels: a larger picture is scaled down to this before it is searched."""
GROUND_WINDOW = 1 / 3
"""Share of the picture's longer side: what is wider is ground, not stroke."""
SHEET_WINDOW = 1 / 10
"""The same, where what was found is no writing, but a sheet of paper, or the desk it lies on."""
MIN_HEIGHT = 7
"""Pixels: what is smaller cannot be read."""
FAINTER = 0.9
"""The writing is looked for again where its usual strength is less than this share of the ink's."""
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
BREAK = 0.7
"""Strokes that may lie between the halves of a digit that is broken across."""
PIECE_GAP = 0.25
"""Share of the digit's height that may lie between it and a broken-off piece, above or below it."""


@dataclass(frozen=True)
class Region:
    """Where one digit's ink is."""

    box: Box
    """In pixels of the image."""
    ink: NDArray[np.uint8] = field(repr=False)
    """(h, w) uint8, bright on black, cropped; scaled down where the picture was."""
    line: int = 0
    """Index of its line, from 0."""
    touching: bool = False
    """It was cut out of ink that is several digits."""


@dataclass(frozen=True)
class Found:
    """What is in an image."""

    regions: tuple[Region, ...]
    """Line by line, each from left to right."""
    rejected: tuple[Rejected, ...]
    ink: NDArray[np.uint8] | None = field(default=None, repr=False)
    """The picture's ink, bright on black, light flattened; scaled down where the picture was. None where none rises
    above the noise."""

    def cut_off(self, most: int) -> Found:
        """The first `most` regions; the others are rejected."""
        rest = tuple(Rejected(region.box, f"past the first {most:,} digits") for region in self.regions[most:])
        return replace(self, regions=self.regions[:most], rejected=self.rejected + rest) if rest else self


def find(image: NDArray[np.uint8]) -> Found:
    """Finds the digits in an image, (H, W) or (H, W, 3) uint8, dark on light or light on dark."""
    gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) if image.ndim == 3 else image
    scale = min(1.0, WORKING_SIDE / max(gray.shape))
    gray = shrink(np.asarray(gray, np.uint8), WORKING_SIDE)
    inked = find_ink(gray, GROUND_WINDOW)
    if inked is None:
        return Found((), ())
    labels, pieces = connect(inked.values, inked.level)
    if not is_writing(labels, pieces):
        beside = beside_sheet(labels, pieces, dark_ink=not inked.is_light)
        inked = find_ink(gray, SHEET_WINDOW)
        if inked is None:
            return Found((), ())
        inked = inked.without(beside) or inked
        labels, pieces = connect(inked.values, inked.level)
    ink, level = inked.values, inked.level
    stroke = typical_stroke(labels, pieces)
    slopes = Slopes.of(ink, inked.noise)
    pieces, rejected = set_apart(labels, pieces, stroke, slopes)
    usual = slopes.usual_strength(labels, pieces)
    if usual is not None and usual < FAINTER * level:
        # Blobs, hands and shadows are often blacker than pen strokes: what is ink is measured again on the strokes.
        level = usual
        labels, pieces = connect(ink, level)
        pieces, rejected = set_apart(labels, pieces, stroke, slopes)
    if is_texture(labels):
        return Found((), (Rejected(_whole(image), "a texture"),), ink)
    pieces, faint = drop_texture(labels, pieces, slopes, level)
    rejected += faint
    labels, pieces = _unstack(labels, _join_pieces(pieces, stroke))
    digits, others = _sort_out(pieces)
    rejected += others
    regions = [
        Region(_scaled_box(piece, 1 / scale), _cut(ink, labels, piece, level), line)
        for line, row in enumerate(_lines(digits))
        for piece in row
    ]
    if len(pieces) + len(rejected) >= MAX_PIECES:
        everything = Piece([], 0, 0, gray.shape[1], gray.shape[0], 0)
        rejected.append((everything, f"the smaller ones of over {MAX_PIECES:,} pieces of ink"))
    worth_telling = [(piece, reason) for piece, reason in rejected if max(piece.w, piece.h) >= MIN_HEIGHT]
    return Found(
        tuple(regions), tuple(Rejected(_scaled_box(piece, 1 / scale), reason) for piece, reason in worth_telling), ink
    )


def _join_pieces(pieces: list[Piece], stroke: float) -> list[Piece]:
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
    # Broken across: halves as high as each other, but nearer than lines of writing come.
    broken = (across >= 0.5 * np.minimum(piece.w, w)) & (-along <= max(1.5, BREAK * stroke)) & (along <= 0)
    # The flag of a 5, a stroke that skipped: beside the digit, but nearer than another digit would stand.
    beside = (piece.h < 0.6 * h) & (along > 0.5 * piece.h) & (-across <= max(2.0, 1.5 * stroke))
    wide = np.maximum(piece.right, x + w) - np.minimum(piece.x, x)
    high = np.maximum(piece.bottom, y + h) - np.minimum(piece.y, y)
    return np.asarray((crossing | broken | (fitting & (stacked | beside))) & ((wide <= WIDEST * high) | (wide == w)))


def _unstack(labels: Labels, pieces: list[Piece]) -> tuple[Labels, list[Piece]]:
    """Pieces that are two digits, the one above the other, which touch: cut where they cross least ink.

    What else stands beside them says how high a digit is; the network would read any two as one.
    """
    usual = _usual_height(pieces)
    if len(pieces) < MANY:
        return labels, pieces
    labels, found = labels.copy(), list[Piece]()
    for piece in pieces:
        window = np.s_[piece.y : piece.bottom, piece.x : piece.right]
        mine = np.isin(labels[window], piece.labels)
        seams = []
        if STACKED * usual < piece.h < 3 * usual and piece.w < STACKED * usual:
            seams = find_seams(np.ascontiguousarray(np.where(mine, np.uint8(255), np.uint8(0)).T))
        fitting = [s for s in seams if abs(float(s.columns.mean()) / piece.h - 0.5) < OFF_MIDDLE and s.crossed < 1.5]
        if not fitting:
            found.append(piece)
            continue
        seam = min(fitting, key=lambda seam: seam.crossed)
        below = mine & (np.arange(piece.h)[:, None] >= seam.columns)
        number = int(labels.max()) + 1
        labels[window][below] = number
        found += [_piece(labels, piece, piece.labels), _piece(labels, piece, [number])]
    return labels, found


def _piece(labels: Labels, within: Piece, numbers: list[int]) -> Piece:
    """The ink of these labels within a piece's box."""
    mine = np.isin(labels[within.y : within.bottom, within.x : within.right], numbers)
    rows, columns = np.flatnonzero(mine.any(axis=1)), np.flatnonzero(mine.any(axis=0))
    w, h = int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1
    return Piece(numbers, within.x + int(columns[0]), within.y + int(rows[0]), w, h, int(mine.sum()))


def _usual_height(pieces: list[Piece]) -> float:
    """How high most digits are: three quarters of the way up, as specks may outnumber them."""
    return float(np.percentile([piece.h for piece in pieces if piece.h >= MIN_HEIGHT] or [0], 75))


def _sort_out(pieces: list[Piece]) -> tuple[list[Piece], list[tuple[Piece, str]]]:
    """(digits, what is none with the reason)."""
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
        else:
            digits.append(piece)
    return digits, rejected


def _lines(pieces: list[Piece]) -> list[list[Piece]]:
    """Pieces that stand beside each other, from left to right; the lines from top to bottom."""
    lines: list[list[Piece]] = []
    for piece in sorted(pieces, key=lambda p: p.x):
        best, shared = None, 0.0
        for line in lines:
            last = line[-1]
            share = last.overlap_y(piece) / min(last.h, piece.h)
            if share > max(shared, 0.4):
                best, shared = line, share
        if best is None:
            lines.append([piece])
        else:
            best.append(piece)
    return sorted(lines, key=lambda line: sum(p.y + p.h / 2 for p in line) / len(line))


def _cut(ink: NDArray[np.uint8], labels: Labels, piece: Piece, level: float) -> NDArray[np.uint8]:
    """The piece's own ink, its grey edges kept, its strongest made white."""
    margin = 1
    top, left = max(0, piece.y - margin), max(0, piece.x - margin)
    window = np.s_[top : piece.bottom + margin, left : piece.right + margin]
    mine = np.isin(labels[window], piece.labels).astype(np.uint8)
    reach = cv2.dilate(mine, np.ones((3, 3), np.uint8))
    others = (labels[window] > 0) & (mine == 0)
    own = np.where((reach > 0) & ~others, ink[window], 0).astype(np.float32)
    strength = max(float(np.percentile(own[mine > 0], 90)), level * INK_LEVEL)
    cut = np.clip(own * 255 / strength, 0, 255).astype(np.uint8)
    faint = cut < 32  # the far end of a blurred edge is no ink: it would widen the box
    cut[faint] = 0
    rows, columns = np.flatnonzero(cut.any(axis=1)), np.flatnonzero(cut.any(axis=0))
    return np.ascontiguousarray(cut[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])


def _whole(image: NDArray[np.uint8]) -> Box:
    return 0, 0, image.shape[1], image.shape[0]


def _scaled_box(piece: Piece, scale: float) -> Box:
    return round(piece.x * scale), round(piece.y * scale), round(piece.w * scale), round(piece.h * scale)
