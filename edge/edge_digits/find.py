"""Image → ink regions, each one digit as far as its shape tells, in reading order.

Every length is relative: to the picture's side, to the stroke, or to the digit's height.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edge_digits.opencv import cv2
from edge_digits.reading import Box, Rejected
from edge_digits.tiles import SIDE, stroke_width

WORKING_SIDE = 1600
"""Pixels: a larger picture is scaled down to this before it is searched."""
POLARITY_SIDE = 480
"""Pixels: enough to see whether ink is light or dark."""
GROUND_WINDOWS = (1 / 3, 1 / 10)
"""Shares of the picture's longer side: what is wider is ground, not stroke. The narrower one is for when the wider
finds no writing, but a sheet of paper, or the desk it lies on."""
MAX_STROKE = 0.45
"""Share of its longer side that a digit's stroke may be wide; what is fatter is a blob."""
MAX_FILL = 0.8
"""Share of its box that a digit's ink may fill, unless it is as narrow as a 1."""
MAX_BORDER_INK = 0.3
"""Share of the picture's border that ink may cover; more, and it is what surrounds the paper."""
SHEET = 0.15
"""Share of the picture that the box of a blob covers at least if it may be paper with writing on it."""
MIN_SCENE = 100
"""Pixels of the longer side: a smaller picture holds no sheet with writing on it."""
MIN_ROOM = 96
"""Ink is measured against the room that its ground leaves it, but at least this of 255: deep shadow is mere noise."""
MIN_CONTRAST = 0.06
"""Ink must differ from its ground by this share of the range; paper texture and shading differ by less."""
INK_LEVEL = 0.4
"""Share of the darkest ink's strength from which a pixel is ink: about half way up the stroke's edge."""
CLEARLY_LESS_INK = 1.5
"""Light on dark or dark on light: the one with less ink, where it is less by this factor."""
MAX_PIECES = 1000
"""No more pieces of ink, the largest, are looked at: a picture with more is a texture."""
MIN_HEIGHT = 7
"""Pixels: what is smaller cannot be read."""
OUTSIZE = 4
"""Among five and more, one this many times taller than usual is no digit, but an edge, an arm, a crease."""
CROSSING = 0.4
"""Two boxes that share this much of the smaller one, across and along, are one digit."""
MIN_PIECE = 6
"""A piece is at least one in so many parts of the digit's height: smaller, it adds nothing, or the digit is none."""
PIECE_GAP = 0.25
"""Share of the digit's height that may lie between it and a broken-off piece, above or below it."""
BLOB, NOISE = "a blob", "noise"
EDGE_WIDTH = 1 / 24
"""Share of the picture's longer side within which a stroke's edge rises, even in a tile enlarged to a picture."""
MIN_EDGE = 0.7
"""Share of a stroke's strength that it rises by within that width; light that falls off rises by less."""
GRAIN_WIDTH = 1 / 60
"""Share of the picture's longer side over which noise is smoothed away."""
MIN_SMOOTH_EDGE = 0.3
"""Share of a stroke's strength that it still rises by then: clumps of noise lose more, and so do hairlines …"""
MAX_HOLES = 4
"""An 8 has two; the rest is for loops that cross themselves."""
MIN_HOLE = 0.001
"""Share of its box that a hole covers at least to count."""
NOISE_REACH = 20
"""… but hairlines stand out from the noise: by more than this many of its standard deviations."""
RULE_THICKNESS = 0.5
"""Share of the stroke's width that a rule is thick at most."""
RULE_LENGTH = 0.6
"""Share of the picture's side that a rule is long at least."""
RULE_GAP = 0.25
"""Share of the picture's side over which writing may hide it."""
RULE_ASPECT = 12
"""A straight stroke this many times longer than high, and no taller than a stroke, is a rule."""


@dataclass(frozen=True)
class Region:
    """Where one digit's ink is."""

    box: Box
    """In pixels of the image."""
    ink: NDArray[np.uint8] = field(repr=False)
    """(h, w) uint8, bright on black, cropped; scaled down where the picture was."""
    line: int = 0
    """Index of its line, from 0."""


@dataclass(frozen=True)
class Found:
    """What is in an image."""

    regions: tuple[Region, ...]
    """Line by line, each from left to right."""
    rejected: tuple[Rejected, ...]


@dataclass
class _Piece:
    """Connected ink: its labels in the label image and the box around them, in working pixels."""

    labels: list[int]
    x: int
    y: int
    w: int
    h: int
    area: int

    @property
    def right(self) -> int:
        return self.x + self.w

    @property
    def bottom(self) -> int:
        return self.y + self.h

    def overlap_y(self, other: _Piece) -> int:
        """Shared height in pixels; negative: the gap between."""
        return min(self.bottom, other.bottom) - max(self.y, other.y)

    def join(self, other: _Piece) -> _Piece:
        x, y = min(self.x, other.x), min(self.y, other.y)
        w, h = max(self.right, other.right) - x, max(self.bottom, other.bottom) - y
        return _Piece(self.labels + other.labels, x, y, w, h, self.area + other.area)


def find(image: NDArray[np.uint8]) -> Found:
    """Finds the digits in an image, (H, W) or (H, W, 3) uint8, dark on light or light on dark."""
    gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) if image.ndim == 3 else image
    scale = min(1.0, WORKING_SIDE / max(gray.shape))
    gray = _shrink(np.asarray(gray, np.uint8), WORKING_SIDE)
    for window in GROUND_WINDOWS:
        inked = _ink(gray, window)
        if inked is None:
            return Found((), ())
        ink, level = inked
        labels, pieces = _connected(ink, level)
        if _is_writing(labels, pieces):
            break
    stroke = _typical_stroke(labels, pieces)
    slopes = _Slopes.of(ink, noise(gray))
    pieces, rejected = _set_apart(labels, pieces, stroke, slopes)
    if any(reason == BLOB for _, reason in rejected) and pieces:
        # Blobs are often blacker than pen strokes: what is ink is measured again on the strokes alone.
        strokes = np.isin(labels, [label for piece in pieces for label in piece.labels])
        level = min(level, float(np.percentile(ink[strokes], 75)))
        labels, pieces = _connected(ink, level)
        pieces, rejected = _set_apart(labels, pieces, stroke, slopes)
    digits, others = _sort_out(_join_pieces(pieces, stroke))
    rejected += others
    regions = [
        Region(_scaled_box(piece, 1 / scale), _cut(ink, labels, piece, level), line)
        for line, row in enumerate(_lines(digits))
        for piece in row
    ]
    worth_telling = [(piece, reason) for piece, reason in rejected if max(piece.w, piece.h) >= MIN_HEIGHT]
    return Found(
        tuple(regions), tuple(Rejected(_scaled_box(piece, 1 / scale), reason) for piece, reason in worth_telling)
    )


def _ink(gray: NDArray[np.uint8], window: float) -> tuple[NDArray[np.uint8], float] | None:
    """The ink of a picture, 0 to 255, and its level; None where there is none.

    Looked for both as light and as dark: the wrong way round, the paper about the strokes is the ink, and that is more
    than the strokes are. Where the two are much the same, and in a small picture, which bold strokes may fill, the
    border decides.
    """
    small = _shrink(gray, POLARITY_SIDE)
    shares = [_ink_share(light, window) for light in (small, np.asarray(255 - small, np.uint8))]
    less, more = sorted(shares)
    if less < float("inf") and (max(gray.shape) < MIN_SCENE or more < CLEARLY_LESS_INK * less):
        is_light = is_light_on_dark(gray)
    else:
        is_light = shares[0] < shares[1]
    light = gray if is_light else np.asarray(255 - gray, np.uint8)
    ink = flatten(light, window, sharp=True)
    level = ink_level(ink, noise(light))
    return None if level is None else (ink, level)


def _ink_share(light: NDArray[np.uint8], window: float) -> float:
    """The share of a picture that is ink, if ink is light; infinite where there is none."""
    ink = flatten(light, window)
    level = ink_level(ink, noise(light))
    return float("inf") if level is None else float(np.mean(ink > level * INK_LEVEL))


def _shrink(gray: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The picture, no longer than `side` pixels."""
    scale = side / max(gray.shape)
    if scale >= 1:
        return gray
    size = max(1, round(gray.shape[1] * scale)), max(1, round(gray.shape[0] * scale))
    return np.asarray(cv2.resize(gray, size, interpolation=cv2.INTER_AREA), np.uint8)


def is_light_on_dark(gray: NDArray[np.uint8]) -> bool:
    """Whether the ground is dark: the side of Otsu's threshold on which most of the border lies."""
    threshold, _ = cv2.threshold(gray, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    border = np.concatenate([gray[0], gray[-1], gray[1:-1, 0], gray[1:-1, -1]])
    return bool(np.mean(border <= threshold) > 0.5)


def flatten(
    gray: NDArray[np.uint8], window: float = GROUND_WINDOWS[0], *, sharp: bool = False
) -> NDArray[np.uint8]:
    """Light ink on dark, uneven light taken out: 0 for ground, up to 255 for the strongest ink there can be.

    The ground is what an opening wider than any stroke leaves, smoothed; ink is how far a pixel rises above it.
    `window` is the width of the opening, as a share of the longer side.
    """
    side = max(gray.shape)
    shrink = max(1.0, side * window / 32)  # the opening is 32 pixels wide at most: it costs the same for any picture
    size = max(1, round(gray.shape[1] / shrink)), max(1, round(gray.shape[0] / shrink))
    small = cv2.resize(gray, size, interpolation=cv2.INTER_AREA)
    width = max(3, round(side / shrink * window) | 1)
    ground = cv2.morphologyEx(small, cv2.MORPH_OPEN, np.ones((width, width), np.uint8), borderType=cv2.BORDER_REPLICATE)
    smooth = cv2.blur(ground, (width // 4 * 2 + 1,) * 2, borderType=cv2.BORDER_REPLICATE)
    # Smoothed only where that takes ink away, not where it would add some: beside an edge of the ground itself.
    ground = cv2.max(ground, smooth) if sharp else smooth
    ground = cv2.resize(ground, gray.shape[::-1], interpolation=cv2.INTER_LINEAR)
    room = np.maximum(255 - ground, np.uint8(MIN_ROOM))
    return np.asarray(cv2.divide(cv2.subtract(gray, ground), room, scale=255), np.uint8)


def noise(gray: NDArray[np.uint8]) -> float:
    """The standard deviation of a picture's noise, from how far the typical pixel lies off its neighbours' mean.

    At the coarseness where it is worst: the grain of a JPEG or of rough paper hardly shows from pixel to pixel.
    """
    worst = 0.0
    if max(gray.shape) < SIDE:  # so small a picture is all strokes, with no plain ground to measure on
        return worst
    while True:
        worst = max(worst, 1.4826 * float(np.median(cv2.absdiff(gray, cv2.blur(gray, (3, 3))))))
        if min(gray.shape) < 2 * MIN_SCENE:
            return worst
        gray = _shrink(gray, max(gray.shape) // 2)


def ink_level(ink: NDArray[np.uint8], noise: float) -> float | None:
    """How strong the ink of a picture is, 0 to 255; None where there is none above the noise."""
    floor = max(MIN_CONTRAST * 255, 4 * noise)
    strong = ink[ink > floor]
    if strong.size < 4:
        return None
    # Otsu's threshold within what rises above the floor parts the ink from its own blurred edges and from shading.
    threshold, _ = cv2.threshold(strong.reshape(1, -1), 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    level = float(np.percentile(strong[strong >= threshold], 75))
    return level if level * INK_LEVEL > MIN_CONTRAST * 255 else None


def _connected(ink: NDArray[np.uint8], level: float) -> tuple[NDArray[np.int32], list[_Piece]]:
    """The label image and its pieces; ruled lines that cross the writing are taken out."""
    mask = (ink > level * INK_LEVEL).astype(np.uint8)
    labels, pieces = _label(mask)
    rules = _rules(mask, _typical_stroke(labels, pieces))
    return _label(mask & ~rules) if rules.any() else (labels, pieces)


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
        # A rule that slants is many short runs, end to end, and has a gap where a stroke crosses it.
        reach = np.ones((3, round(RULE_GAP * width) | 1), np.uint8)
        _, labels, stats, _ = cv2.connectedComponentsWithStats(cv2.morphologyEx(thin, cv2.MORPH_CLOSE, reach))
        long = stats[:, cv2.CC_STAT_WIDTH] >= RULE_LENGTH * width
        long[0] = False
        line = (thin & long[labels]).astype(np.uint8)
        rules |= line.T if upright else line
    return rules


def _label(mask: NDArray[np.uint8]) -> tuple[NDArray[np.int32], list[_Piece]]:
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA]
    largest = 1 + np.argsort(-areas, kind="stable")[:MAX_PIECES]
    pieces = [_Piece([i], *stats[i].tolist()) for i in sorted(largest.tolist()) if stats[i, cv2.CC_STAT_AREA] > 1]
    return np.asarray(labels, np.int32), pieces


def _is_writing(labels: NDArray[np.int32], pieces: list[_Piece]) -> bool:
    """Whether the ink is strokes: no blob, and nothing that surrounds the picture."""
    border = np.concatenate([labels[0], labels[-1], labels[1:-1, 0], labels[1:-1, -1]])
    if max(labels.shape) < MIN_SCENE:
        return True
    if np.mean(border > 0) > MAX_BORDER_INK:
        return False
    large = [piece for piece in pieces if piece.w * piece.h > SHEET * labels.size]
    return not any(_is_blob(labels, piece) for piece in large)


def _is_blob(labels: NDArray[np.int32], piece: _Piece) -> bool:
    """Whether the piece is too solid for a stroke: a sheet, a hand, a coin."""
    long, short = max(piece.w, piece.h), min(piece.w, piece.h)
    fills_box = piece.area > MAX_FILL * piece.w * piece.h and short > MAX_STROKE * long
    return fills_box or _stroke(labels, piece) > MAX_STROKE * long


def _is_grid(labels: NDArray[np.int32], piece: _Piece) -> bool:
    """Whether the piece has more holes than any digit, specks apart: squared paper, a net, a printed pattern."""
    part = labels[piece.y : piece.bottom, piece.x : piece.right]
    mask = np.isin(part, piece.labels).astype(np.uint8)
    contours, hierarchy = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    least = MIN_HOLE * piece.w * piece.h
    holes = [c for c, (_, _, _, parent) in zip(contours, hierarchy[0], strict=True) if parent >= 0]
    return sum(cv2.contourArea(hole) > least for hole in holes) > MAX_HOLES


@dataclass(frozen=True)
class _Slopes:
    """What tells strokes from shading and noise: how steeply the ink rises."""

    ink: NDArray[np.uint8]
    sharp: NDArray[np.uint8]
    """How much it rises within an edge's width of each pixel."""
    smooth: NDArray[np.uint8]
    """How much it rises within a grain's width once it is smoothed over that width."""
    noise: float

    @classmethod
    def of(cls, ink: NDArray[np.uint8], noise: float) -> _Slopes:
        wide, narrow = (max(7, round(max(ink.shape) * share) | 1) for share in (EDGE_WIDTH, GRAIN_WIDTH))
        sharp = cv2.morphologyEx(ink, cv2.MORPH_GRADIENT, np.ones((wide, wide), np.uint8))
        smooth = cv2.blur(ink, (narrow, narrow))
        smooth = cv2.morphologyEx(smooth, cv2.MORPH_GRADIENT, np.ones((narrow, narrow), np.uint8))
        return cls(ink, np.asarray(sharp, np.uint8), np.asarray(smooth, np.uint8), noise)

    def fault(self, labels: NDArray[np.int32], piece: _Piece) -> str | None:
        """Why the piece is no stroke; None where it may be one."""
        window = np.s_[max(0, piece.y - 1) : piece.bottom + 1, max(0, piece.x - 1) : piece.right + 1]
        mine = np.isin(labels[window], piece.labels).astype(np.uint8)
        edge = mine != cv2.erode(mine, np.ones((3, 3), np.uint8))  # where the picture ends, ink has no edge
        if not edge.any():
            return "shading"
        strength = self._strength(labels, piece)
        if np.median(self.sharp[window][edge]) < MIN_EDGE * strength:
            return "shading"
        blurred_away = np.median(self.smooth[window][edge]) < MIN_SMOOTH_EDGE * strength
        return NOISE if blurred_away and self.is_weak(labels, piece) else None

    def is_weak(self, labels: NDArray[np.int32], piece: _Piece) -> bool:
        """Whether the piece is within reach of the noise."""
        return self._strength(labels, piece) < NOISE_REACH * self.noise

    def _strength(self, labels: NDArray[np.int32], piece: _Piece) -> float:
        window = np.s_[piece.y : piece.bottom, piece.x : piece.right]
        return float(np.percentile(self.ink[window][np.isin(labels[window], piece.labels)], 75))


def _typical_stroke(labels: NDArray[np.int32], pieces: list[_Piece]) -> float:
    """The stroke width of the largest piece that is no blob, in pixels."""
    if not pieces:
        return 1.0
    by_size = sorted(pieces, key=lambda p: -p.area)
    return _stroke(labels, next((piece for piece in by_size if not _is_blob(labels, piece)), by_size[0]))


def _stroke(labels: NDArray[np.int32], piece: _Piece) -> float:
    part = labels[piece.y : piece.bottom, piece.x : piece.right]
    return stroke_width(np.where(np.isin(part, piece.labels), np.uint8(255), np.uint8(0)))


def _join_pieces(pieces: list[_Piece], stroke: float) -> list[_Piece]:
    """Broken-off pieces joined to the digit they belong to: the first, from the largest, that they stand by."""
    pieces = [piece for piece in pieces if piece.area >= max(2, (stroke / 2) ** 2)]  # specks
    pieces.sort(key=lambda p: -p.w * p.h)
    whole: list[_Piece] = []
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


def _belongs(piece: _Piece, digits: NDArray[np.int64], stroke: float) -> NDArray[np.bool_]:
    """Which of the digits, (n, 4) boxes, the piece may be a part of."""
    x, y, w, h = digits.T
    # Shared width and height in pixels; negative: the gap between.
    across = np.minimum(piece.right, x + w) - np.maximum(piece.x, x)
    along = np.minimum(piece.bottom, y + h) - np.maximum(piece.y, y)
    # Strokes of one digit that just fail to touch: the halves of a 4.
    crossing = (across > CROSSING * np.minimum(piece.w, w)) & (along > CROSSING * np.minimum(piece.h, h))
    fitting = (along >= -PIECE_GAP * h) & (piece.w <= 1.5 * w) & (h <= MIN_PIECE * max(piece.w, piece.h))
    stacked = (across >= 0.5 * piece.w) & (piece.h < 0.8 * h)
    # The flag of a 5, a stroke that skipped: beside the digit, but nearer than another digit would stand.
    beside = (piece.h < 0.6 * h) & (along > 0.5 * piece.h) & (-across <= max(2.0, 1.5 * stroke))
    return np.asarray(crossing | (fitting & (stacked | beside)))


def _sort_out(pieces: list[_Piece]) -> tuple[list[_Piece], list[tuple[_Piece, str]]]:
    """(digits, what is none with the reason)."""
    digits, rejected = [], []
    usual = float(np.median([piece.h for piece in pieces if piece.h >= MIN_HEIGHT] or [0]))
    most = OUTSIZE * usual if len(pieces) >= 5 else float("inf")
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


def _set_apart(
    labels: NDArray[np.int32], pieces: list[_Piece], stroke: float, slopes: _Slopes
) -> tuple[list[_Piece], list[tuple[_Piece, str]]]:
    """(what may be a digit or a piece of one, what is none with the reason)."""
    kept: list[_Piece] = []
    rejected: list[tuple[_Piece, str]] = []
    for piece in pieces:
        if _is_rule(piece, stroke):
            rejected.append((piece, "a rule or an edge"))
        elif max(labels.shape) >= MIN_SCENE and max(piece.w, piece.h) > 3 * stroke and _is_blob(labels, piece):
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


def _is_rule(piece: _Piece, stroke: float) -> bool:
    long, short = max(piece.w, piece.h), max(1, min(piece.w, piece.h))
    return piece.w > piece.h and long > RULE_ASPECT * short and short < 3 * stroke


def _lines(pieces: list[_Piece]) -> list[list[_Piece]]:
    """Pieces that stand beside each other, from left to right; the lines from top to bottom."""
    lines: list[list[_Piece]] = []
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


def _cut(ink: NDArray[np.uint8], labels: NDArray[np.int32], piece: _Piece, level: float) -> NDArray[np.uint8]:
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


def _scaled_box(piece: _Piece, scale: float) -> Box:
    return round(piece.x * scale), round(piece.y * scale), round(piece.w * scale), round(piece.h * scale)
