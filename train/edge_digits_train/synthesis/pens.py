"""A line → ink on paper, as share of the paper that it covers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_digits.opencv import cv2
from edge_digits_train.synthesis.strokes import HEIGHT, Line

Cover = NDArray[np.float32]
"""(h, w): how much of the paper the ink hides, 0 to 1."""
_SMOOTHING = 1.5
"""Pixels: a line's steps from pixel to pixel are blurred by this."""
_DISTANCES = np.linspace(0, 200, 4001)
"""Pixels from a straight line, and below what the blur makes of them: the mean of a folded normal distribution."""
_BLURRED = np.array(
    [
        _SMOOTHING * math.sqrt(2 / math.pi) * math.exp(-((d / _SMOOTHING) ** 2) / 2)
        + d * math.erf(d / _SMOOTHING / math.sqrt(2))
        for d in _DISTANCES
    ]
)


@dataclass(frozen=True)
class Pen:
    """What a digit is drawn with."""

    width: float
    """Of its stroke, as a share of the digit's height: .02 is a hairline, .25 a marker."""
    flatness: float = 1.0
    """The nib's short side over its long one; 1 is round."""
    angle: float = 0.0
    """Of a flat nib, degrees."""
    pressure: float = 0.0
    """How far the width varies along the stroke, as a share of it."""
    fading: float = 0.0
    """How far the ink fades along the stroke, 0 to 1."""
    grain: float = 0.0
    """How much of the paper's tooth the ink leaves bare, 0 to 1: pencil, chalk, a dry marker."""


HAIRLINE, MARKER = 0.02, 0.2
"""The thinnest and the thickest stroke of `any_pen`, as a share of the digit's height: thicker ones fill the loops."""


def any_pen(rng: np.random.Generator) -> Pen:
    """A pen as people have them: as many thin as thick ones, most of them round and even."""
    width = float(np.exp(rng.uniform(np.log(HAIRLINE), np.log(MARKER))))
    flat = rng.random() < 0.2 and width > 0.06
    return Pen(
        width,
        flatness=rng.uniform(0.35, 0.8) if flat else 1.0,
        angle=rng.uniform(0, 180),
        pressure=rng.uniform(0.1, 0.5) if rng.random() < 0.5 else 0.0,
        fading=rng.uniform(0.2, 0.7) if rng.random() < 0.25 else 0.0,
        grain=rng.uniform(0.2, 0.7) if rng.random() < 0.25 else 0.0,
    )


def draw(line: Line, height: int, pen: Pen, rng: np.random.Generator) -> Cover:
    """A digit's ink, cropped: what is HEIGHT pixels high in `line` comes to `height` pixels."""
    scale = height / HEIGHT
    away = _stretched(line, pen) if pen.flatness < 1 else _away(line)
    half = pen.width * HEIGHT / 2 * (1 + pen.pressure * _waves(line.shape, HEIGHT / 3, rng))
    left = 1 - pen.fading * np.abs(_waves(line.shape, HEIGHT / 2, rng))
    size = max(1, round(line.shape[1] * scale)), max(1, round(line.shape[0] * scale))
    if scale < 1:
        cover = cv2.resize(np.clip(half - away + 0.5, 0, 1) * left, size, interpolation=cv2.INTER_AREA)
    else:
        cover = np.clip(cv2.resize(half - away, size) * scale + 0.5, 0, 1) * cv2.resize(left, size)
    if pen.grain:
        tooth = cv2.GaussianBlur(rng.random(cover.shape, np.float32), (0, 0), max(0.6, 0.01 * height))
        spread = float(tooth.std()) or 1.0
        cover = cover * np.clip(1 - pen.grain * (1 + (tooth - 0.5) / spread), 0, 1)
    return crop(np.asarray(cover, np.float32))


def crop(cover: Cover) -> Cover:
    """To the ink's box."""
    rows, columns = (np.flatnonzero((cover > 0.05).any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return cover[:1, :1]
    return np.ascontiguousarray(cover[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])


def _away(line: Line) -> NDArray[np.float32]:
    """Pixels from each place to the line, which is smoothed."""
    away = cv2.distanceTransform((~line).astype(np.uint8), cv2.DIST_L2, 5)
    blurred = cv2.GaussianBlur(away, (0, 0), _SMOOTHING)
    return np.interp(blurred, _BLURRED, _DISTANCES).astype(np.float32)


def _stretched(line: Line, pen: Pen) -> NDArray[np.float32]:
    """Pixels to the line as a flat nib has them: along its short side they count for more."""
    turn = np.deg2rad(pen.angle)
    along, across = np.array([np.cos(turn), np.sin(turn)]), np.array([-np.sin(turn), np.cos(turn)])
    linear = np.outer(along, along) + np.outer(across, across) / pen.flatness
    height, width = line.shape
    middle = np.array([width / 2, height / 2])
    side = int(np.ceil(1.5 * max(height, width) / pen.flatness))
    to = np.column_stack([linear, side / 2 - linear @ middle])
    y, x = np.nonzero(line)
    points = np.rint(np.column_stack([x, y]) @ to[:, :2].T + to[:, 2]).astype(int)
    canvas = np.ones((side, side), np.uint8)
    canvas[points[:, 1], points[:, 0]] = 0
    joined = cv2.erode(canvas, np.ones((3, 3), np.uint8))  # stretching has torn the line into dots
    away = _away(joined == 0)
    return np.asarray(cv2.warpAffine(away, to, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP))


def _waves(shape: tuple[int, ...], length: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """A smooth random field, -1 to 1, whose hills are some `length` pixels apart."""
    coarse = [max(2, round(side / length) + 1) for side in shape]
    field = rng.uniform(-1, 1, coarse).astype(np.float32)
    return np.asarray(np.clip(cv2.resize(field, shape[::-1], interpolation=cv2.INTER_CUBIC), -1, 1), np.float32)
