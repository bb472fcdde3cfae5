"""Ink that is no digit: letters by hand, letters and signs of fonts, drawings, blots, and what textures leave."""

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
from edge_digits_train.synthesis import doodles, letters
from edge_digits_train.synthesis.curves import smooth
from edge_digits_train.synthesis.pens import Cover, Pen, crop, draw
from edge_digits_train.synthesis.strokes import HEIGHT, MARGIN, Line, thin

LETTERS = "AaCcdEeFfHhJjKkLMmNnPpQRrTtUuVvWwXxYy"
"""Without those that a hand may draw as a digit, O o D I l Z z S s B G q g b, and i, whose stem may be
found without its dot."""
FOREIGN = "ЖФЩШДИЦЛПЯжшщийлмцяΞΨΩΔΣΠΛΓψωπλμ"
"""Cyrillic and Greek letters, without those like a digit, as З Э Ч б ч Ю Ы ь Θ θ σ δ φ β д, or like a Latin one."""
SIGNS = "#$&*+=?@~<>^{}[]€§©®πΣΩΔλμ√∞→★♥✓"
"""Without those that a person may take for a digit, as / ! ( and | for a 1, or a part of them,
as the rings of %."""
FACES = (
    "DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSansMono", "DejaVuSerif", "DejaVuSerif-Italic",
    "DejaVuSerif-Bold", "STIXGeneral", "STIXGeneralItalic", "cmr10", "cmss10", "cmtt10", "cmti10",
)  # fmt: skip
"""Fonts that matplotlib brings along: the same on every machine. The first four have all of SIGNS; the first seven, of
FOREIGN."""
LETTER_FACES = (*FACES, "cmb10", "cmmi10", "STIXGeneralBol", "STIXGeneralBolIta", "DejaVuSerif-BoldItalic")
"""And fonts whose digits are not wanted, or not where they should be."""
_OFTEN = {"handwriting": 9, "joined": 3, "letter": 4, "foreign": 2, "sign": 2, "mark": 6}
"""Kinds that come up more often than the others: they are what stands beside numbers most, and are most like them."""


def any_clutter(height: int, pen: Pen, rng: np.random.Generator) -> Cover:
    """A thing some `height` pixels high that is no digit, cropped: drawn with the pen, or printed."""
    kinds = [kind for kind in CLUTTER for _ in range(_OFTEN.get(kind, 1))]
    return CLUTTER[kinds[int(rng.integers(len(kinds)))]](height, pen, rng)


def _letter(height: int, pen: Pen, rng: np.random.Generator) -> Cover:
    """A font's letter, bent, or as it is printed."""
    return _character(LETTERS[int(rng.integers(len(LETTERS)))], LETTER_FACES, height, pen, rng)


def _foreign(height: int, pen: Pen, rng: np.random.Generator) -> Cover:
    return _character(FOREIGN[int(rng.integers(len(FOREIGN)))], FACES[:7], height, pen, rng)


def any_face(rng: np.random.Generator) -> str:
    """A font."""
    return FACES[int(rng.integers(len(FACES)))]


def print_digit(digit: int, face: str, height: int) -> Cover:
    """A digit as a machine prints it, cropped."""
    return _printed(glyph(str(digit), face), height)


def print_word(height: int, rng: np.random.Generator) -> list[Cover]:
    """The letters of a word as a machine prints them, each cropped; their height is that of the tallest."""
    face = any_face(rng)
    word = rng.choice(list(LETTERS), int(rng.integers(3, 8)))
    return [_printed(glyph(str(letter), face), height) for letter in word]


def write_word(height: int, pen: Pen, rng: np.random.Generator) -> list[Cover]:
    """The letters of a word by hand, each cropped, their longer side that high."""
    return [letters.write_any(height, pen, rng) for _ in range(int(rng.integers(3, 8)))]


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


# ---- What is not drawn


def _blot(height: int, pen: Pen, rng: np.random.Generator) -> Cover:
    """A spot of ink, now and then with splashes."""
    side = max(12, height)
    t = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    radius = side * 0.32 * np.exp(rng.uniform(0.05, 0.35) * rng.normal(0, 1, 24))
    points = side / 2 + np.column_stack([np.cos(t), np.sin(t) * rng.uniform(0.5, 1)]) * radius[:, np.newaxis]
    canvas = np.zeros((side, side), np.float32)
    cv2.fillPoly(canvas, [smooth(np.vstack([points, points[:1]])).astype(np.int32)], 1)
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
    "handwriting": letters.write_any,
    "joined": letters.write_joined,
    "letter": _letter,
    "foreign": _foreign,
    "sign": _sign,
    "mark": doodles.mark,
    "scribble": doodles.scribble,
    "spring": doodles.spring,
    "zigzag": doodles.zigzag,
    "shape": doodles.shape,
    "hatching": doodles.hatching,
    "smiley": doodles.smiley,
    "tree": doodles.tree,
    "signature": doodles.signature,
    "tuft": doodles.tuft,
    "bricks": doodles.bricks,
    "mesh": doodles.mesh,
    "bars": doodles.bars,
    "blot": _blot,
    "patch": _patch,
}
"""(height in pixels, pen, rng) → a thing that is no digit."""
