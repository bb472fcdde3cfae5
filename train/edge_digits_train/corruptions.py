"""Tiles as bad as people's pictures make them: fifteen kinds, each from severity 0 (nothing) to 5.

In the spirit of MNIST-C (Mu and Gilmer, arXiv:1906.02337) and ImageNet-C (Hendrycks and Dietterich, arXiv:1903.12261),
with amounts of our own: 3 is meant to leave a digit legible to a person, 5 to be as bad as people still meet.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge_digits.opencv import cv2

Tiles = NDArray[np.uint8]
"""(n, 28, 28), ink bright on black."""
Amounts = NDArray[np.float64]
"""(n,): how much of a kind each tile gets, in the kind's unit."""

WORST = 5
"""The highest severity."""

_CENTRE = 13.5
_ENLARGED = 3  # strokes are changed on a tile this many times larger, then scaled down for their grey edges


@dataclass(frozen=True)
class Corruption:
    """A kind of damage and how much of it each severity means."""

    apply: Callable[[Tiles, Amounts, np.random.Generator], Tiles]
    amounts: tuple[float, float, float, float, float, float]
    """At severity 0, 1, … 5; what lies between is interpolated."""
    unit: str
    """What an amount counts."""


def corrupt(tiles: Tiles, kind: str, severity: ArrayLike, rng: np.random.Generator) -> Tiles:
    """New tiles, each with that kind of damage; the same `rng` gives the same ones.

    `tiles`: (n, 28, 28) uint8, ink bright on black, as is what returns (but for its damage); `kind`: one of `KINDS`;
    `severity`: 0 to 5, one or (n,). Where it is 0 the tile stays as it is. ValueError for another kind or severity.
    """
    if kind not in CORRUPTIONS:
        raise ValueError(f"no such kind of corruption: {kind}; there are {', '.join(KINDS)}")
    severities = np.broadcast_to(np.asarray(severity, np.float64), (len(tiles),))
    if not ((severities >= 0) & (severities <= WORST)).all():
        raise ValueError(f"severity is 0 to {WORST}, not {severities}")
    corruption = CORRUPTIONS[kind]
    amounts = np.interp(severities, np.arange(WORST + 1), corruption.amounts)
    changed = corruption.apply(tiles, amounts, rng)
    return np.where(severities[:, None, None] > 0, changed, tiles)


# ---- Where the ink is ----


def _rotate(tiles: Tiles, degrees: Amounts, rng: np.random.Generator) -> Tiles:
    """About the middle, half of them either way."""
    angle = np.deg2rad(degrees * rng.choice([-1, 1], len(tiles)))
    cos, sin = np.cos(angle), np.sin(angle)
    return _warp(tiles, np.stack([cos, -sin, sin, cos], axis=1).reshape(-1, 2, 2))


def _shift(tiles: Tiles, pixels: Amounts, rng: np.random.Generator) -> Tiles:
    """In any direction."""
    angle = rng.uniform(0, 2 * np.pi, len(tiles))
    offsets = pixels[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return _warp(tiles, np.broadcast_to(np.eye(2), (len(tiles), 2, 2)), offsets)


def _scale(tiles: Tiles, lost: Amounts, rng: np.random.Generator) -> Tiles:
    """Half of them smaller, half larger by four fifths as much: 1.4 fills the tile, beyond it ink falls off."""
    size = np.where(rng.random(len(tiles)) < 0.5, 1 - lost, 1 + 0.8 * lost)
    spread = 0.4 * np.sqrt(np.maximum(size**-2 - 1, 0))  # what is scaled down is smoothed first, or pixels drop out
    return _warp(_smooth(tiles, spread), np.eye(2) / size[:, None, None])


def _warp(tiles: Tiles, linear: NDArray[np.float64], offsets: NDArray[np.float64] | float = 0.0) -> Tiles:
    """Black comes in at the edges. `linear`: (n, 2, 2), where a pixel's distance from the middle came from; `offsets`:
    (n, 2), x and y.
    """
    starts = _CENTRE - linear.sum(axis=2) * _CENTRE - offsets
    matrices = np.concatenate([linear, starts[:, :, None]], axis=2)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return _each(lambda tile, matrix: cv2.warpAffine(tile, matrix, (28, 28), flags=flags), tiles, matrices)


def _change_stroke(tiles: Tiles, share: Amounts, rng: np.random.Generator) -> Tiles:
    """Half of them thinner by that share of their width, half thicker by four pixels times it."""
    return _each(_change_width, tiles, np.where(rng.random(len(tiles)) < 0.5, -share, share))


def _change_width(tile: Tiles, change: float) -> NDArray[Any]:
    """Thinner by a share of the way from the edge to the stroke's middle, so that no stroke breaks; or thicker."""
    large = cv2.resize(tile, (28 * _ENLARGED,) * 2, interpolation=cv2.INTER_CUBIC)
    if change > 0:
        away = cv2.distanceTransform((large < 128).view(np.uint8), cv2.DIST_L2, 5)
        large = np.maximum(large, 255 * np.clip(change * 4 / 2 * _ENLARGED + 1 - away, 0, 1))
    else:
        depth = cv2.distanceTransform((large >= 96).view(np.uint8), cv2.DIST_L2, 5)
        middle = cv2.dilate(depth, np.ones((3 * _ENLARGED + 1,) * 2, np.uint8))  # half of a wide stroke, either way
        ridge = depth > cv2.dilate(depth, np.ones((3, 3), np.uint8)) - 0.75  # off it, a neighbour is deeper by 1
        large = large * np.clip(np.maximum(depth + change * middle, ridge), 0, 1)
    return np.asarray(cv2.resize(large, (28, 28), interpolation=cv2.INTER_AREA))


# ---- How sharp it is, and how clean ----


def _smooth(tiles: Tiles, spread: Amounts, rng: np.random.Generator | None = None) -> Tiles:
    """Gaussian blur."""
    return _each(lambda tile, sigma: cv2.GaussianBlur(tile, (0, 0), sigma) if sigma > 0.1 else tile, tiles, spread)


def _smear(tiles: Tiles, pixels: Amounts, rng: np.random.Generator) -> Tiles:
    """Along a straight line of that length, in any direction."""
    turns = np.stack([pixels, rng.uniform(0, 180, len(tiles))], axis=1)
    return _each(lambda tile, turn: cv2.filter2D(tile, -1, _bar(*turn)), tiles, turns)


def _bar(length: float, degrees: float) -> NDArray[np.float32]:
    """(11, 11): a line a pixel wide about the middle, its sum 1."""
    bar = np.zeros((11, 11), np.float32)
    bar[5] = np.clip(length / 2 + 0.5 - np.abs(np.arange(11) - 5), 0, 1)
    turned = cv2.warpAffine(bar, cv2.getRotationMatrix2D((5, 5), degrees, 1), (11, 11))
    return np.asarray(turned / turned.sum(), np.float32)


def _sprinkle(tiles: Tiles, share: Amounts, rng: np.random.Generator) -> Tiles:
    """Pixels turned black or white, as many of either."""
    struck, white = rng.random(tiles.shape) < share[:, None, None], rng.random(tiles.shape) < 0.5
    return np.where(struck, np.where(white, np.uint8(255), np.uint8(0)), tiles)


def _count_photons(tiles: Tiles, noise: Amounts, rng: np.random.Generator) -> Tiles:
    """Photons as they happen to come. A tenth of white's come from the black, as stray light, and are taken off."""
    photons = np.maximum(noise, 0.01)[:, None, None] ** -2.0  # the standard deviation of n photons is √n
    return _levels(rng.poisson((tiles / 255 + 0.1) * photons) / photons * 255 - 25.5)


def _squeeze(tiles: Tiles, loss: Amounts, rng: np.random.Generator) -> Tiles:
    """JPEG of that quality below 100."""
    return _each(_as_jpeg, tiles, loss)


def _as_jpeg(tile: Tiles, loss: float) -> NDArray[Any]:
    written = cv2.imencode(".jpg", tile, [cv2.IMWRITE_JPEG_QUALITY, round(100 - loss)])[1]
    return np.asarray(cv2.imdecode(written, cv2.IMREAD_GRAYSCALE))


# ---- The light ----


def _raise_background(tiles: Tiles, levels: Amounts, rng: np.random.Generator) -> Tiles:
    """A constant under the ink."""
    return _levels(tiles + levels[:, None, None])


def _fog(tiles: Tiles, density: Amounts, rng: np.random.Generator) -> Tiles:
    """A cloud, 0 to 1 as bright as the ink times the density, over it; the brightest of both stays white."""
    cloud, dense = _clouds(len(tiles), rng), density[:, None, None]
    return _levels((tiles + 255 * dense * cloud) / (1 + dense))


def _clouds(n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """(n, 28, 28), 0 to 1 in each: noise on grids of 2 × 2, 3 × 3, 5 × 5, 9 × 9 points, each half as strong as the
    one before (fractal noise, after Perlin, SIGGRAPH 1985).
    """
    field = np.zeros((n, 28, 28))
    for points, strength in ((2, 1), (3, 1), (5, 0.5), (9, 0.25)):
        at = np.linspace(0, points - 1, 28)
        weights = np.maximum(0, 1 - np.abs(at[:, None] - np.arange(points)))  # linear between the points
        field += strength * (weights @ rng.uniform(-1, 1, (n, points, points)) @ weights.T)
    low, high = field.min(axis=(1, 2), keepdims=True), field.max(axis=(1, 2), keepdims=True)
    return np.asarray((field - low) / (high - low))


def _flatten(tiles: Tiles, loss: Amounts, rng: np.random.Generator) -> Tiles:
    """Contrast: that share of the way from each pixel to the tile's mean."""
    mean = tiles.mean(axis=(1, 2), keepdims=True)
    return _levels(tiles + loss[:, None, None] * (mean - tiles))


def _invert(tiles: Tiles, share: Amounts, rng: np.random.Generator) -> Tiles:
    """Black for white: a picture of dark ink that nobody turned. It has no degrees."""
    return 255 - tiles


# ---- What lies over it ----


def _cover(tiles: Tiles, side: Amounts, rng: np.random.Generator) -> Tiles:
    """A square of one brightness about a pixel of the ink: half of them black, half anything."""
    brightness = rng.integers(0, 256, len(tiles)) * rng.integers(0, 2, len(tiles))
    chosen = ((tiles >= 128) * rng.random(tiles.shape)).reshape(len(tiles), 784).argmax(axis=1)
    middles = np.stack(np.divmod(chosen, 28)) + rng.uniform(-0.5, 0.5, (2, len(tiles)))
    row, column = np.abs(np.arange(28) - middles[:, :, None]) < side[:, None] / 2
    return np.where(row[:, :, None] & column[:, None, :], brightness[:, None, None].astype(np.uint8), tiles)


def _strike(tiles: Tiles, width: Amounts, rng: np.random.Generator) -> Tiles:
    """Straight lines of ink across the tile, at most 1.5 px wide each, that pass within 8 px of the middle."""
    y, x = np.mgrid[:28, :28] - _CENTRE
    struck, number = tiles.astype(np.float64), np.ceil(width / 1.5)
    for line in range(int(number.max(initial=0))):
        angle, away = rng.uniform(0, np.pi, (len(tiles), 1, 1)), rng.uniform(-8, 8, (len(tiles), 1, 1))
        distance = np.abs(x * np.cos(angle) + y * np.sin(angle) - away)
        half = np.where(line < number, width / np.maximum(number, 1) / 2, -1)[:, None, None]
        struck = np.maximum(struck, 255 * np.clip(half + 0.5 - distance, 0, 1))
    return _levels(struck)


def _each(change: Callable[[Any, Any], NDArray[Any]], tiles: Tiles, amounts: NDArray[np.float64]) -> Tiles:
    """Every tile changed by its own amount."""
    changed = np.empty_like(tiles)
    for i, (tile, amount) in enumerate(zip(tiles, amounts, strict=True)):
        changed[i] = change(tile, amount)
    return changed


def _levels(values: NDArray[np.float64]) -> Tiles:
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)


CORRUPTIONS: dict[str, Corruption] = {
    # From the slant of a card that lies as it fell to the farthest at which 6 and 9 still stand upright.
    "rotation": Corruption(_rotate, (0, 10, 20, 30, 40, 50), "degrees"),
    # Ink ends 4 px from the tile's edge: at 3 some touches it, at 5 a fifth of a digit's side is gone at worst.
    "shift": Corruption(_shift, (0, 1.5, 3, 4.5, 6, 7.5), "px"),
    # Digits 20 px high become 17 to 8, or 22 to 30.
    "scale": Corruption(_scale, (0, 0.15, 0.28, 0.4, 0.5, 0.6), "share of the size lost or 0.8 of it gained"),
    # MNIST's strokes measure 2 to 4 px: from a hairline of 0.7 px to a marker of 5.
    "stroke": Corruption(_change_stroke, (0, 0.2, 0.35, 0.48, 0.6, 0.7), "share of the width lost or of 4 px gained"),
    # A stroke is 2.5 px: from an edge that is soft to a stroke that is all edge.
    "blur": Corruption(_smooth, (0, 0.6, 1, 1.4, 1.7, 2), "px of standard deviation"),
    # Up to nearly half of a digit's side.
    "motion": Corruption(_smear, (0, 2.5, 4, 5.5, 7, 8.5), "px"),
    # ImageNet-C goes to 0.27 of pixels that are three numbers each; a tile of 28 × 28 stays legible for longer.
    "impulse": Corruption(_sprinkle, (0, 0.06, 0.13, 0.2, 0.28, 0.36), "share of the pixels"),
    # 60 to 3 photons for white, as ImageNet-C.
    "shot": Corruption(_count_photons, (0, 0.13, 0.2, 0.3, 0.42, 0.56), "standard deviation of white as a share of it"),
    # Up to paper that is nearly as bright as the ink.
    "background": Corruption(_raise_background, (0, 35, 70, 105, 140, 175), "levels of 255"),
    # At 1 the fog is as strong as the ink.
    "fog": Corruption(_fog, (0, 0.4, 0.8, 1.2, 1.7, 2.3), "brightness of the fog in that of the ink"),
    # ImageNet-C goes to 0.95: 13 levels of 255, which no one can see on a screen.
    "contrast": Corruption(_flatten, (0, 0.4, 0.55, 0.7, 0.8, 0.88), "share of the contrast lost"),
    # Quality 6 divides 8 times as coarsely as the standard's own table (50 / quality).
    "jpeg": Corruption(_squeeze, (0, 60, 75, 85, 90, 94), "100 less the quality"),
    # 9 px hide a fifth of a digit's box.
    "occlusion": Corruption(_cover, (0, 3, 5, 7, 8, 9), "px of side"),
    # One line as wide as a thin stroke to four.
    "lines": Corruption(_strike, (0, 1, 2, 3, 4.5, 6), "px of all lines together"),
    "inversion": Corruption(_invert, (0, 1, 1, 1, 1, 1), "no degrees"),
}
KINDS: tuple[str, ...] = tuple(CORRUPTIONS)
