"""Random variations of tiles, drawn afresh for each pass over the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge_digits.opencv import cv2
from edge_digits_train.flags import draw_flag

_CENTRE = 13.5
_KERNEL = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))


@dataclass(frozen=True)
class Augmentation:
    """How far a tile may stray from its row. Zero switches a part off."""

    rotation: float = 0.0
    """Degrees, either way."""
    shear: float = 0.0
    """Radians, either way."""
    zoom: float = 0.0
    """Share of the size, larger or smaller, width and height apart."""
    shift: float = 0.0
    """Share of the side, in x and in y."""
    elastic: float = 0.0
    """Root mean square displacement in pixels of a smooth random field."""
    elastic_share: float = 0.3
    """Share of the tiles that the elastic field bends."""
    stroke: float = 0.0
    """Share of the tiles whose strokes are made thicker or thinner, by up to a pixel at either edge."""
    flags: float = 0.0
    """Share of the 1s that get a flag, a base or both drawn on."""
    fill: Literal["black", "nearest"] = "black"
    """What enters at the edges: black, or the pixel that stands there."""


def augment(
    tiles: NDArray[np.uint8], labels: NDArray[np.uint8], augmentation: Augmentation, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """New tiles, each a variation of its own of the tile in the same place.

    `tiles`: (n, 28, 28) uint8, as is what returns; `labels`: (n,), 0 to 9.
    """
    if augmentation == Augmentation():
        return tiles.copy()
    matrices = _affine_matrices(len(tiles), augmentation, rng)
    bend = rng.random(len(tiles)) < augmentation.elastic_share if augmentation.elastic else np.zeros(len(tiles), bool)
    stroke = np.where(rng.random(len(tiles)) < augmentation.stroke, rng.uniform(-1, 1, len(tiles)), 0)
    flag = (labels == 1) & (rng.random(len(tiles)) < augmentation.flags)
    border = cv2.BORDER_REPLICATE if augmentation.fill == "nearest" else cv2.BORDER_CONSTANT
    varied = np.empty_like(tiles)
    for i, (tile, matrix) in enumerate(zip(tiles, matrices, strict=True)):
        if flag[i]:
            tile = draw_flag(tile, rng)
        if stroke[i]:
            tile = _change_stroke(tile, stroke[i])
        if bend[i]:
            varied[i] = _bend(tile, matrix, augmentation.elastic, border, rng)
        else:
            how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            varied[i] = cv2.warpAffine(tile, matrix, (28, 28), flags=how, borderMode=border)
    return varied


def _affine_matrices(n: int, a: Augmentation, rng: np.random.Generator) -> NDArray[np.float32]:
    """(n, 2, 3): where each pixel of the new tile comes from in the old one, turned about the centre."""
    angle = np.deg2rad(rng.uniform(-a.rotation, a.rotation, n))
    shear = rng.uniform(-a.shear, a.shear, n)
    zoom_x, zoom_y = rng.uniform(1 - a.zoom, 1 + a.zoom, (2, n))
    shift = rng.uniform(-a.shift, a.shift, (n, 2)) * 28
    cos, sin = np.cos(angle), np.sin(angle)
    linear = np.empty((n, 2, 2))
    linear[:, 0, 0] = cos * zoom_x
    linear[:, 0, 1] = -np.sin(angle + shear) * zoom_y
    linear[:, 1, 0] = sin * zoom_x
    linear[:, 1, 1] = np.cos(angle + shear) * zoom_y
    offset = _CENTRE - linear.sum(axis=2) * _CENTRE + shift
    return np.concatenate([linear, offset[:, :, None]], axis=2).astype(np.float32)


def _bend(
    tile: NDArray[np.uint8], matrix: NDArray[np.float32], strength: float, border: int, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """The affine map with a smooth random field added: a 5 × 5 grid of displacements, drawn out to every pixel."""
    x, y = np.meshgrid(np.arange(28, dtype=np.float32), np.arange(28, dtype=np.float32))
    fields = rng.normal(0, strength, (2, 5, 5)).astype(np.float32)
    dx, dy = (cv2.resize(field, (28, 28), interpolation=cv2.INTER_CUBIC) for field in fields)
    map_x = matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2] + dx
    map_y = matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2] + dy
    return np.asarray(cv2.remap(tile, map_x, map_y, cv2.INTER_LINEAR, borderMode=border), np.uint8)


def _change_stroke(tile: NDArray[np.uint8], amount: float) -> NDArray[np.uint8]:
    """Thicker towards 1 (the dilated tile), thinner towards -1.

    That is two thirds of the way to the eroded tile, or thin strokes would go.
    """
    other = cv2.dilate(tile, _KERNEL) if amount > 0 else cv2.erode(tile, _KERNEL)
    share = amount if amount > 0 else -amount * 2 / 3
    return np.asarray(cv2.addWeighted(tile, 1 - share, other, share, 0), np.uint8)
