"""Tiles that are framed from pictures are distributed as MNIST's are: what the network learnt from is what it sees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pictures import compose, some
from tile_statistics import distance, statistics

from edge_digits.find import find
from edge_digits.images import load_image
from edge_digits.picture_labels import load_labels
from edge_digits.tiles import frame

Tiles = NDArray[np.uint8]
CHANCE = 0.16
"""How far 150 tiles lie from the 5,000 they are some of, by chance, in one case of a thousand: 1.95 / √150."""
REAL = Path(__file__).parents[2] / "shared" / "data" / "pictures"
"""Real pictures with labels.csv, which are no part of the project."""
PENS = (0.02, 0.05, 0.1, 0.15, 0.2)
"""Widths of a ballpoint to a marker, as shares of the digit's height."""


def framed(height: int, stroke: float | None = None) -> Tiles:
    """The tiles of 150 pictures of one digit, as they are found."""
    pictures = (compose([[index]], height=height, stroke=stroke, seed=n) for n, index in enumerate(some(150, seed=14)))
    regions = [find(picture.image).regions for picture in pictures]
    assert sum(len(each) == 1 for each in regions) >= 148
    return np.stack([frame(each[0].ink) for each in regions if len(each) == 1])


@pytest.mark.parametrize("height", [14, 40, 150])
def test_tiles_of_any_size_have_the_ink_the_strokes_and_the_centres_of_mnist(tiles: Tiles, height: int) -> None:
    found, true = statistics(framed(height)), statistics(tiles)
    apart = {name: distance(found[name], true[name]) for name in ("ink", "stroke", "x", "y", "side")}
    # 14 pixels make 20: edges are as grey as the picture's, which widens strokes by a fifth of a pixel.
    assert max(apart.values()) <= (CHANCE if height > 20 else CHANCE + 0.05), apart


@pytest.mark.parametrize("pen", PENS)
def test_tiles_of_any_pen_have_the_centres_of_mnist_and_strokes_as_mnist_has_some(tiles: Tiles, pen: float) -> None:
    found, true = statistics(framed(80, pen)), statistics(tiles)
    apart = {name: distance(found[name], true[name]) for name in ("x", "y", "side")}
    assert max(apart.values()) <= CHANCE, apart
    for name in ("ink", "stroke", "grey"):
        least, most = np.percentile(true[name], [1, 99])
        outside = np.mean((found[name] < least) | (found[name] > most))
        assert outside <= 0.1, (name, outside)


@pytest.mark.skipif(not REAL.exists(), reason="there are no real pictures beside the project")
def test_tiles_of_real_pictures_have_the_centres_of_mnist_and_strokes_as_mnist_has_some(tiles: Tiles) -> None:
    """People's pens are thinner than MNIST's, as benchmarks/tiles.py shows; place and size are the same."""
    real = [find(load_image(picture.path)).regions for picture in load_labels(str(REAL)) if len(picture.text) == 1]
    alone = [each[0] for each in real if len(each) == 1]
    assert len(alone) >= 0.98 * len(real)
    found, true = statistics(np.stack([frame(region.ink) for region in alone])), statistics(tiles)
    apart = {name: distance(found[name], true[name]) for name in ("x", "y", "side")}
    assert max(apart.values()) <= 0.08, apart
    for name in ("ink", "stroke"):
        least, most = np.percentile(true[name], [1, 99])
        outside = np.mean((found[name] < least) | (found[name] > most))
        assert outside <= 0.1, (name, outside)
