"""Print, and ink that is no digit: letters and signs, shapes, scribbles, hatching, blots, and what textures leave."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath
from numpy.typing import NDArray

from edge_digits.opencv import cv2
from edge_digits_train.synthesis.pens import Cover, Pen, crop, draw
from edge_digits_train.synthesis.strokes import HEIGHT, MARGIN, Line, thin

LETTERS = "AaCcdEeFfHhiJjKkLMmNnPpQRrTtUuVvWwXxYy"
"""Without those that a hand may draw as a digit: O o D I l Z z S s B G q g b."""
SIGNS = "#$%&*+=?@~<>^{}[]€§©®πΣΩΔλμ√∞→★♥✓"
"""Without those that a person may take for a digit, as / ! ( and | for a 1."""
FACES = (
    "DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSansMono", "DejaVuSerif", "DejaVuSerif-Italic",
    "DejaVuSerif-Bold", "STIXGeneral", "STIXGeneralItalic", "cmr10", "cmss10", "cmtt10", "cmti10",
)  # fmt: skip
"""Fonts that matplotlib brings along: the same on every machine. The first four have all of SIGNS."""
_OFTEN = {"letter": 6, "sign": 2}
"""Kinds that come up more often than the others: they are what stands beside numbers most, and are most like them."""


def any_clutter(height: int, pen: Pen, rng: np.random.Generator) -> Cover:
    """A thing some `height` pixels high that is no digit, cropped: drawn with the pen, or printed."""
    kinds = [kind for kind in CLUTTER for _ in range(_OFTEN.get(kind, 1))]
    return CLUTTER[kinds[int(rng.integers(len(kinds)))]](height, pen, rng)


def draw_letter(height: int, pen: Pen, rng: np.random.Generator) -> Cover:
    """A letter, by hand or printed."""
    return _character(LETTERS[int(rng.integers(len(LETTERS)))], FACES, height, pen, rng)


def any_face(rng: np.random.Generator) -> str:
    """A font."""
    return FACES[int(rng.integers(len(FACES)))]


def print_digit(digit: int, face: str, height: int) -> Cover:
    """A digit as a machine prints it, cropped."""
    return _printed(glyph(str(digit), face), height)


def print_word(height: int, rng: np.random.Generator) -> list[Cover]:
    """The letters of a word as a machine prints them, each cropped; their height is that of the tallest."""
    face = any_face(rng)
    letters = rng.choice(list(LETTERS), int(rng.integers(3, 8)))
    return [_printed(glyph(str(letter), face), height) for letter in letters]


def _sign(height: int, pen: Pen, rng: np.random.Generator) -> Cover:
    return _character(SIGNS[int(rng.integers(len(SIGNS)))], FACES[:4], height, pen, rng)


def _character(sign: str, faces: tuple[str, ...], height: int, pen: Pen, rng: np.random.Generator) -> Cover:
    mask = _bend(glyph(sign, faces[int(rng.integers(len(faces)))]), rng)
    if rng.random() < 0.3:
        return _printed(mask, height)
    return draw(_middle(mask), height, pen, rng)


@cache
def glyph(sign: str, face: str) -> NDArray[np.bool_]:
    """A character's shape, as high as a digit's line is, with its margin."""
    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{face}.ttf"
    outline = TextPath((0, 0), sign, size=100, prop=FontProperties(fname=str(path))).to_polygons()
    points = np.concatenate(outline)
    low, high = points.min(axis=0), points.max(axis=0)
    scale = HEIGHT / (high - low).max()
    canvas = np.zeros((2 * MARGIN + HEIGHT, 2 * MARGIN + HEIGHT), np.uint8)
    room = MARGIN + (HEIGHT - (high - low) * scale) / 2
    polygons = [np.rint((p - low) * (scale, scale) + room) for p in outline]
    cv2.fillPoly(canvas, [(np.array([0, canvas.shape[0] - 1]) + p * (1, -1)).astype(np.int32) for p in polygons], 1)
    return canvas > 0


def _printed(mask: NDArray[np.bool_], height: int) -> Cover:
    scale = height / HEIGHT
    side = max(3, round(mask.shape[0] * scale)), max(3, round(mask.shape[1] * scale))
    cover = cv2.resize(mask.astype(np.float32), side[::-1], interpolation=cv2.INTER_AREA)
    return crop(np.asarray(cover, np.float32))


def _middle(mask: NDArray[np.bool_]) -> Line:
    """The middle line of a shape, its border kept empty."""
    mask = mask.copy()
    mask[[0, -1]] = mask[:, [0, -1]] = False
    return thin(mask)


def _bend(mask: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Turned, slanted, narrowed, and each stroke a little off its way, as a hand writes."""
    side = mask.shape[0]
    turn, slant = np.deg2rad(rng.normal(0, 7)), rng.normal(0.05, 0.15)
    wide, high = rng.uniform(0.7, 1.15), rng.uniform(0.85, 1.1)
    linear = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    linear = linear @ np.array([[1 / wide, slant], [0, 1 / high]])
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) - (side - 1) / 2
    off = [cv2.resize(rng.normal(0, 0.03 * HEIGHT, (5, 5)), (side, side), interpolation=cv2.INTER_CUBIC) for _ in "xy"]
    to_x = linear[0, 0] * x + linear[0, 1] * y + off[0] + (side - 1) / 2
    to_y = linear[1, 0] * x + linear[1, 1] * y + off[1] + (side - 1) / 2
    bent = cv2.remap(mask.astype(np.float32), to_x.astype(np.float32), to_y.astype(np.float32), cv2.INTER_LINEAR)
    return np.asarray(bent > 0.5)


# ---- What is drawn


def _scribble(height: int, pen: Pen, rng: np.random.Generator) -> Cover:
    """A line that goes to and fro without aim."""
    stops = rng.uniform(0, HEIGHT, (int(rng.integers(7, 16)), 2))
    return _lines([_smooth(stops)], height, pen, rng)


def _spring(height: int, pen: Pen, rng: np.random.Generator) -> Cover:
    """Loops side by side, or one around another."""
    t = np.linspace(0, rng.uniform(3, 7) * 2 * np.pi, 200)
    if rng.random() < 0.5:
        x, y = t / t[-1] * HEIGHT + 12 * np.cos(t), HEIGHT / 2 + HEIGHT * rng.uniform(0.15, 0.45) * np.sin(t)
    else:
        x, y = (HEIGHT / 2 * (1 + t / t[-1] * f(t)) for f in (np.cos, np.sin))
    return _lines([np.column_stack([x, y])], height, pen, rng)


def _zigzag(height: int, pen: Pen, rng: np.random.Generator) -> Cover:
    """Up and down, at least four strokes."""
    count = int(rng.integers(5, 10))
    x = np.linspace(0, HEIGHT, count) + rng.normal(0, 2, count)
    y = np.where(np.arange(count) % 2, HEIGHT * rng.uniform(0.6, 1), 0) + rng.normal(0, 5, count)
    return _lines([np.column_stack([x, y])], height, pen, rng)


def _shape(height: int, pen: Pen, rng: np.random.Generator) -> Cover:
    """Triangles, squares, stars, arrows, crosses, houses."""
    corners = int(rng.integers(3, 5))  # of more, an outline is a 0
    turn = rng.uniform(0, 2 * np.pi)
    around = turn + np.arange(corners + 1) * 2 * np.pi / corners
    outline = HEIGHT / 2 * (1 + np.column_stack([np.cos(around), np.sin(around)]) * rng.uniform(0.6, 1, 2))
    lines = [outline]
    kind = rng.random()
    if kind < 0.25:  # a star
        around = turn + np.arange(6) * 4 * np.pi / 5
        lines = [HEIGHT / 2 * (1 + np.column_stack([np.cos(around), np.sin(around)]))]
    elif kind < 0.5:  # strokes that cross in the middle
        around = turn + np.arange(int(rng.integers(2, 5))) * np.pi / int(rng.integers(2, 5))
        ends = HEIGHT / 2 * np.column_stack([np.cos(around), np.sin(around)])
        lines = [np.array([HEIGHT / 2 - end, HEIGHT / 2 + end]) for end in ends]
        if len(lines) < 2:
            lines = [outline]
    elif kind < 0.65:  # with a diagonal
        lines = [outline, np.array([outline[0], outline[corners // 2]])]
    return _lines(lines, height, pen, rng)


def _hatching(height: int, pen: Pen, rng: np.random.Generator) -> Cover:
    """Parallel strokes that something joins: a comb, a grid, a fence."""
    count = int(rng.integers(3, 7))
    at = np.linspace(0, HEIGHT, count)
    lean = rng.normal(0, 0.2) * HEIGHT
    lines = [np.array([[x, 0], [x + lean, HEIGHT]]) + rng.normal(0, 2, (2, 2)) for x in at]
    for _ in range(int(rng.integers(1, count))):
        y = rng.uniform(0, HEIGHT)
        lines.append(np.array([[-5, y], [HEIGHT + 5 + lean, y]]) + rng.normal(0, 3, (2, 2)))
    if rng.random() < 0.5:
        lines = [line[:, ::-1] for line in lines]
    return _lines(lines, height, Pen(min(pen.width, 0.08), grain=pen.grain), rng)


def _smiley(height: int, pen: Pen, rng: np.random.Generator) -> Cover:
    """A circle with something in it, or rays about it."""
    t = np.linspace(0, 2 * np.pi, 40)
    centre, radius = HEIGHT / 2, HEIGHT / 2 * rng.uniform(0.55, 1)
    lines = [centre + radius * np.column_stack([np.cos(t), np.sin(t)])]
    kind = rng.random()
    if kind < 0.4:  # a face
        for side in (-0.35, 0.35):
            lines.append(centre + radius * (np.array([side, -0.3]) + np.array([[0, 0], [0, rng.uniform(0.05, 0.2)]])))
        mouth = np.linspace(0.2, 0.8, 12) * np.pi
        lines.append(centre + radius * 0.6 * np.column_stack([np.cos(mouth), np.sin(mouth)]))
    else:
        start, end = (0.0, rng.uniform(0.8, 1)) if kind < 0.7 else (1.0, rng.uniform(1.3, 1.8))
        for angle in rng.uniform(0, 2 * np.pi) + np.arange(int(rng.integers(3, 9))) * 2 * np.pi / 8:
            way = np.array([np.cos(angle), np.sin(angle)])
            lines.append(centre + radius * np.array([way * start, way * end]))
    return _lines(lines, height, pen, rng)


def _tree(height: int, pen: Pen, rng: np.random.Generator) -> Cover:
    """Strokes that branch off from strokes."""
    lines = [np.array([[HEIGHT / 2, HEIGHT], [HEIGHT / 2 + rng.normal(0, 8), 0]])]
    for _ in range(int(rng.integers(4, 9))):
        stem = lines[int(rng.integers(len(lines)))]
        start = stem[0] + (stem[1] - stem[0]) * rng.uniform(0.2, 0.95)
        lines.append(np.array([start, start + rng.normal(0, 0.35 * HEIGHT, 2)]))
    return _lines(lines, height, pen, rng)


def _smooth(stops: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 2): a curve through points, (m, 2), as Catmull and Rom draw it (1974)."""
    p = np.vstack([stops[:1], stops, stops[-1:]])
    t = np.linspace(0, 1, 12)[:, np.newaxis]
    parts = [
        0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
        for a, b, c, d in zip(p, p[1:], p[2:], p[3:], strict=False)
    ]
    return np.concatenate(parts)


def _lines(lines: list[NDArray[np.float64]], height: int, pen: Pen, rng: np.random.Generator) -> Cover:
    """Polylines, (n, 2) each, x and y in 0 to HEIGHT, drawn with a pen."""
    canvas = np.zeros((2 * MARGIN + HEIGHT,) * 2, np.uint8)
    for line in lines:
        cv2.polylines(canvas, [np.rint(line + MARGIN).astype(np.int32)], False, 1, 1)
    return draw(_middle(canvas > 0), height, pen, rng)


# ---- What is not drawn


def _blot(height: int, pen: Pen, rng: np.random.Generator) -> Cover:
    """A spot of ink, now and then with splashes."""
    side = max(12, height)
    t = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    radius = side * 0.32 * np.exp(rng.uniform(0.05, 0.35) * rng.normal(0, 1, 24))
    points = side / 2 + np.column_stack([np.cos(t), np.sin(t) * rng.uniform(0.5, 1)]) * radius[:, np.newaxis]
    canvas = np.zeros((side, side), np.float32)
    cv2.fillPoly(canvas, [_smooth(np.vstack([points, points[:1]])).astype(np.int32)], 1)
    for _ in range(int(rng.integers(0, 4))):
        x, y = rng.integers(0, side, 2).tolist()
        cv2.circle(canvas, (x, y), max(1, round(side * rng.uniform(0.02, 0.08))), 1, -1)
    return crop(np.asarray(cv2.GaussianBlur(canvas, (0, 0), max(0.5, side * 0.01)), np.float32))


def _patch(height: int, pen: Pen, rng: np.random.Generator) -> Cover:
    """What is left where a texture is taken for ink: smoothed noise, cut at a level."""
    side = max(16, height)
    grain = side * np.exp(rng.uniform(np.log(0.02), np.log(0.15), 2)) + 0.3
    noise = cv2.GaussianBlur(rng.normal(0, 1, (side, side)), (0, 0), float(grain[0]), sigmaY=float(grain[1]))
    turn = cv2.getRotationMatrix2D((side / 2, side / 2), rng.uniform(0, 180), 1)
    noise = cv2.warpAffine(noise, turn, (side, side), borderMode=cv2.BORDER_REFLECT)
    share = rng.uniform(0.5, 0.85)
    cover = (noise > np.quantile(noise, share)).astype(np.float32)
    if rng.random() < 0.5:  # with an end, not cut off square
        y, x = np.mgrid[0:side, 0:side] / side - 0.5
        cover *= (x**2 + y**2 < rng.uniform(0.1, 0.25)).astype(np.float32)
    return crop(cover)


CLUTTER: dict[str, Callable[[int, Pen, np.random.Generator], Cover]] = {
    "letter": draw_letter,
    "sign": _sign,
    "scribble": _scribble,
    "spring": _spring,
    "zigzag": _zigzag,
    "shape": _shape,
    "hatching": _hatching,
    "smiley": _smiley,
    "tree": _tree,
    "blot": _blot,
    "patch": _patch,
}
"""(height in pixels, pen, rng) → a thing that is no digit."""
