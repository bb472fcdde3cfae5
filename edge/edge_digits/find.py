"""Image → ink regions, each one digit as far as its shape tells, in reading order."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from edge_digits.group import MIN_HEIGHT, join_pieces, lines_of, sort_out, unstack
from edge_digits.ink import INK_LEVEL, find_ink, shrink
from edge_digits.levels import count_levels, percentile
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
    mask_of,
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
FAINTER = 0.9
"""The writing is looked for again where its usual strength is less than this share of the ink's."""


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
    labels, pieces = unstack(labels, join_pieces(pieces, stroke))
    digits, others = sort_out(pieces)
    rejected += others
    regions = [
        Region(_scaled_box(piece, 1 / scale), _cut(ink, labels, piece, level), line)
        for line, row in enumerate(lines_of(digits))
        for piece in row
    ]
    if len(pieces) + len(rejected) >= MAX_PIECES:
        everything = Piece([], 0, 0, gray.shape[1], gray.shape[0], 0)
        rejected.append((everything, f"the smaller ones of over {MAX_PIECES:,} pieces of ink"))
    worth_telling = [(piece, reason) for piece, reason in rejected if max(piece.w, piece.h) >= MIN_HEIGHT]
    return Found(
        tuple(regions), tuple(Rejected(_scaled_box(piece, 1 / scale), reason) for piece, reason in worth_telling), ink
    )


def _cut(ink: NDArray[np.uint8], labels: Labels, piece: Piece, level: float) -> NDArray[np.uint8]:
    """The piece's own ink, its grey edges kept, its strongest made white."""
    margin = 1
    top, left = max(0, piece.y - margin), max(0, piece.x - margin)
    window = np.s_[top : piece.bottom + margin, left : piece.right + margin]
    mine = mask_of(labels[window], piece.labels)
    reach = cv2.dilate(mine, np.ones((3, 3), np.uint8))
    others = (labels[window] > 0) & (mine == 0)
    own = np.where((reach > 0) & ~others, ink[window], np.uint8(0))
    strength = max(percentile(count_levels(ink[window], mine), 90), level * INK_LEVEL)
    stretched = np.minimum(np.arange(256) * (255 / strength), 255).astype(np.uint8)
    stretched[stretched < 32] = 0  # the far end of a blurred edge is no ink: it would widen the box
    cut = np.asarray(cv2.LUT(own, stretched), np.uint8)
    rows, columns = np.flatnonzero(cut.any(axis=1)), np.flatnonzero(cut.any(axis=0))
    return np.ascontiguousarray(cut[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])


def _whole(image: NDArray[np.uint8]) -> Box:
    return 0, 0, image.shape[1], image.shape[0]


def _scaled_box(piece: Piece, scale: float) -> Box:
    return round(piece.x * scale), round(piece.y * scale), round(piece.w * scale), round(piece.h * scale)
