"""Image → ink regions, each one digit as far as its shape tells, in reading order."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from edge_digits.colours import to_gray
from edge_digits.desk import desk_beside, find_sheets, on_one_paper, without_desk
from edge_digits.group import MIN_HEIGHT, join_pieces, lines_of, sort_out, unstack
from edge_digits.ink import INK_LEVEL, Ink, find_ink, has_light_ink, shrink
from edge_digits.levels import count_levels, percentile
from edge_digits.opencv import cv2
from edge_digits.pieces import (
    MAX_PIECES,
    Labels,
    Piece,
    Slopes,
    beside_sheet,
    connect,
    count_pieces,
    drop_texture,
    is_blob,
    is_texture,
    is_writing,
    mask_of,
    reaches_border,
    set_apart,
    typical_stroke,
)
from edge_digits.reading import Box, Rejected
from edge_digits.turn import Turn, turn_of

WORKING_SIDE = 1600
"""Pixels of the longer side: a larger picture is scaled down before it is searched."""
COARSEST_SIDE = 512
"""Pixels: it is halved until its longer side is no longer, and searched; then again at twice that …"""
LOW = 20
"""… and where a digit came out smaller than that of a tile, in pixels: specks may be digits then."""
THICK = 2.0
"""Pixels: thinner strokes lose something when a picture is halved that could be searched whole as well."""
MARGIN = 1 / 40
"""Share of the picture's longer side that is looked at again about its strokes."""
GROUND_WINDOW = 1 / 3
"""Share of the picture's longer side: what is wider is ground, not stroke."""
SHEET_WINDOW = 1 / 10
"""The same, where what was found is no writing, but a sheet of paper, or the desk it lies on."""
NARROW = 5
"""The same in strokes, where ink reaches the border of the picture and may be the corner of a shadow."""
FAINTER = 0.9
"""The writing is looked for again where its usual strength is less than this share of the ink's."""

MOST_FAINT = 100
"""More pieces of faint ink than this are the grain of paper or of a desk."""


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

    def placed(self, window: Box, shape: tuple[int, ...]) -> Found:
        """The same in pixels of an image that holds the one of this shape in a window."""
        regions = (replace(each, box=_scaled(each.box, window, shape)) for each in self.regions)
        rejected = (replace(each, box=_scaled(each.box, window, shape)) for each in self.rejected)
        return replace(self, regions=tuple(regions), rejected=tuple(rejected))

    def refined(self, window: Box, closer: Found) -> Found:
        """With what is in a window taken from a closer look at it."""
        elsewhere = tuple(each for each in self.rejected if not _meet(window, each.box))
        return Found(closer.regions, closer.rejected + elsewhere, self.ink)

    def turned_back(self, turn: Turn) -> Found:
        """The same in pixels of a picture that was made upright."""
        regions = (replace(each, box=turn.box(each.box, each.ink)) for each in self.regions)
        rejected = (replace(each, box=turn.box(each.box)) for each in self.rejected)
        return Found(tuple(regions), tuple(rejected), None if self.ink is None else turn.undo(self.ink))

    def cut_off(self, most: int) -> Found:
        """The first `most` regions; the others are rejected."""
        rest = tuple(Rejected(region.box, f"past the first {most:,} digits") for region in self.regions[most:])
        return replace(self, regions=self.regions[:most], rejected=self.rejected + rest) if rest else self


def find(image: NDArray[np.uint8]) -> Found:
    """Finds the digits in an image, (H, W) or (H, W, 3) uint8, dark on light or light on dark.

    It is searched coarsely first, which is enough for digits that come out high. A large picture is searched more
    finely only if that finds none, and where it finds some that are too low, about them alone.
    """
    pyramid = _halved(to_gray(image))
    sheets = find_sheets(pyramid[-1])
    turn = turn_of(sheets, pyramid[0].shape)
    if turn is None:
        return _find_upright(pyramid, sheets)
    upright = _halved(turn.make(pyramid[0]))
    return _find_upright(upright, find_sheets(upright[-1])).turned_back(turn)


def _halved(gray: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """A picture, (H, W) uint8, and the same at half its size, and so on, to COARSEST_SIDE at most."""
    pyramid = [gray]
    while max(pyramid[-1].shape) > COARSEST_SIDE:
        pyramid.append(shrink(pyramid[-1], max(pyramid[-1].shape) // 2))
    return pyramid


def _find_upright(pyramid: list[NDArray[np.uint8]], sheets: NDArray[np.uint8] | None) -> Found:
    """What is in a picture at all its sizes; `sheets`, (H, W), are those at the smallest, as `find_sheets` has them."""

    def search(gray: NDArray[np.uint8]) -> tuple[Found, list[Piece]]:
        return _search(gray, sheets if gray is pyramid[-1] else find_sheets(gray))

    gray = pyramid[0]
    whole = 0, 0, gray.shape[1], gray.shape[0]
    if COARSEST_SIDE < max(gray.shape) <= WORKING_SIDE:
        found, strokes = search(pyramid[-1])
        if _lowest(found) >= LOW and _thinnest(strokes) >= THICK:
            return found.placed(whole, pyramid[-1].shape)
    elif max(gray.shape) > WORKING_SIDE:
        for small, least in zip(reversed(pyramid), (LOW / 2, 1), strict=False):
            found, strokes = search(small)
            lowest = _lowest(found)
            coarse = found.placed(whole, small.shape)
            if lowest >= LOW:
                return coarse
            if lowest >= least:
                window = _about(strokes, small.shape, whole)
                return coarse.refined(window, _look_closer(gray, window, max(whole) / max(small.shape) * lowest))
    small = shrink(gray, WORKING_SIDE)
    return search(small)[0].placed(whole, small.shape)


def _lowest(found: Found) -> int:
    """The longer side of the smallest region, in pixels; 0 where there is none."""
    return min((max(region.box[2:]) for region in found.regions), default=0)


def _thinnest(strokes: list[Piece]) -> float:
    """The width of the thinnest stroke, in pixels; 0 where there is none."""
    return min((piece.stroke or 0.0 for piece in strokes), default=0.0)


def _look_closer(gray: NDArray[np.uint8], window: Box, lowest: float) -> Found:
    """What is in a part of a picture, at the size at which its lowest digit, of so many pixels, is high enough."""
    x, y, width, height = window
    enough = round(max(width, height) * LOW / lowest)
    part = shrink(gray[y : y + height, x : x + width], min(WORKING_SIDE, enough))
    return _search(part, find_sheets(part))[0].placed(window, part.shape)


def _search(gray: NDArray[np.uint8], sheets: NDArray[np.uint8] | None) -> tuple[Found, list[Piece]]:
    """What is in a picture, (H, W) uint8, all boxes in its own pixels; and the strokes that it was made of.

    Of sheets on a desk only what is on them, unless there is writing beside them, too, as beside fields of a form.
    """
    if sheets is None:
        return _search_all(gray)
    found, strokes = _search_all(without_desk(gray, sheets))
    if not found.regions:
        return found, strokes
    desk = desk_beside(sheets)
    beside, _ = _search_all(without_desk(gray, desk))
    heights = [region.box[3] for region in found.regions]
    if any(min(heights) <= 2 * region.box[3] <= 4 * max(heights) for region in beside.regions):
        return _search_all(on_one_paper(gray, sheets, desk))
    return found, strokes


def _search_all(gray: NDArray[np.uint8]) -> tuple[Found, list[Piece]]:
    writing = _find_writing(gray)
    if writing is None:
        return Found((), ()), []
    inked, labels, pieces = writing
    ink, level = inked.values, inked.level
    stroke = typical_stroke(labels, pieces)
    slopes = Slopes.of(inked, pieces)
    strokes, rejected = set_apart(labels, pieces, stroke, slopes)
    usual = slopes.usual_strength(labels, strokes)
    if usual is not None and usual < FAINTER * level:
        # Blobs, hands and shadows are often blacker than pen strokes: what is ink is measured again on the strokes.
        level = usual
        labels, pieces = connect(ink, level)
        slopes = slopes.about(pieces)
        strokes, rejected = set_apart(labels, pieces, stroke, slopes)
    everything = Piece([], 0, 0, gray.shape[1], gray.shape[0], 0)
    if is_texture(labels):
        return Found((), _told([(everything, "a texture")]), ink), []
    strokes, faint = drop_texture(labels, strokes, pieces, slopes, level)
    labels, wholes = unstack(labels, join_pieces(strokes, stroke))
    digits, others = sort_out(wholes, lambda piece: is_blob(labels, piece))
    rejected += faint + others
    if len(pieces) >= MAX_PIECES:
        rejected.append((everything, f"the smaller ones of over {MAX_PIECES:,} pieces of ink"))
    regions = [
        Region(piece.box, _cut(ink, labels, piece, level), line)
        for line, row in enumerate(lines_of(digits))
        for piece in row
    ]
    return Found(tuple(regions), _told(rejected), ink), strokes


def _find_writing(gray: NDArray[np.uint8]) -> tuple[Ink, Labels, list[Piece]] | None:
    """The ink of a picture, without a desk that was not told from its sheet; None where there is none above the noise.

    Where it is no writing, or reaches the border as a shadow may, the ground is taken anew, with a lesser window.
    """
    inked = find_ink(gray, GROUND_WINDOW, is_light=has_light_ink(gray, GROUND_WINDOW))
    if inked is None:
        return None
    if inked.is_faint and count_pieces(inked.values, inked.level) > MOST_FAINT:
        return None
    labels, pieces = connect(inked.values, inked.level)
    are_writing = is_writing(labels, pieces)
    if inked.is_faint and not (are_writing and len(pieces) <= MOST_FAINT):
        return None
    if not are_writing:
        beside = beside_sheet(labels, pieces, dark_ink=not inked.is_light)
        inked = find_ink(gray, SHEET_WINDOW, is_light=has_light_ink(gray, SHEET_WINDOW, shaded=True))
        inked = inked and (inked.without(beside) or inked)
    elif reaches_border(labels) and len(pieces) < MAX_PIECES:
        narrow = max(SHEET_WINDOW, NARROW * typical_stroke(labels, pieces) / max(gray.shape))
        if narrow < GROUND_WINDOW:
            inked = find_ink(gray, narrow, is_light=inked.is_light)
    else:
        return inked, labels, pieces
    return None if inked is None else (inked, *connect(inked.values, inked.level))


def _about(strokes: list[Piece], shape: tuple[int, ...], whole: Box) -> Box:
    """The part of the picture, `whole`, about strokes that were found when it had this shape."""
    everywhere = reduce(Piece.join, strokes)
    x, y, width, height = _scaled(everywhere.box, whole, shape)
    margin = round(MARGIN * max(whole))
    left, top = max(0, x - margin), max(0, y - margin)
    return left, top, min(whole[2], x + width + margin) - left, min(whole[3], y + height + margin) - top


def _meet(one: Box, other: Box) -> bool:
    """Whether two boxes share any place."""
    return all(one[i] < other[i] + other[i + 2] and other[i] < one[i] + one[i + 2] for i in (0, 1))


def _told(rejected: list[tuple[Piece, str]]) -> tuple[Rejected, ...]:
    """What is worth telling of: no specks."""
    return tuple(Rejected(p.box, reason) for p, reason in rejected if max(p.w, p.h) >= MIN_HEIGHT)


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


def _scaled(box: Box, window: Box, shape: tuple[int, ...]) -> Box:
    """A box in pixels of an image of this shape, which is what a window of another shows, in pixels of that one."""
    across, along = window[2] / shape[1], window[3] / shape[0]
    x, y, width, height = box
    return window[0] + round(x * across), window[1] + round(y * along), round(width * across), round(height * along)
