"""Draws docs/pictures/synthesized.png: some pictures of `edge-digits synthesize`, the digits framed where they are.

A row for each medium: seven pictures of digits alone, one of a number among other things, one of such things alone.

python benchmarks/draw_synthesis.py
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from edge_digits_train.data import load_data
from edge_digits_train.synthesis.layouts import DIGITS_ALONE, Layout
from edge_digits_train.synthesis.pictures import MEDIA, Picture, Synthesis

SIDE, GAP = 118, 6
"""Pixels of a picture's longest side and between two."""
COLUMNS: tuple[tuple[int, tuple[Layout, ...]], ...] = ((7, DIGITS_ALONE), (1, ("mixed",)), (1, ("clutter",)))
"""So many pictures of such layouts in a row."""


def main() -> None:
    data = load_data("mnist-5k").rows
    rows = []
    for medium in MEDIA:
        drawn = ((Synthesis(data, 3, (medium,), layouts), count) for count, layouts in COLUMNS)
        rows.append(np.hstack([cell(each.picture(number)) for each, count in drawn for number in range(count)]))
    path = Path(__file__).parents[1] / "docs" / "pictures" / "synthesized.png"
    cv2.imwrite(str(path), np.vstack(rows), [cv2.IMWRITE_PNG_COMPRESSION, 9])


def cell(picture: Picture) -> np.ndarray:
    """A picture on a grey square, its digits' boxes in red."""
    square, scale = on_square(picture.image)
    for digit in picture.digits:
        x, y, w, h = (round(value * scale) for value in digit.box)
        cv2.rectangle(square, (x, y), (x + w - 1, y + h - 1), (60, 60, 230), 1)
    return square


def on_square(image: np.ndarray) -> tuple[np.ndarray, float]:
    """An image on a grey square, scaled so that its longest side is SIDE, and the scale."""
    height, width = image.shape[:2]
    scale = SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST)
    square = np.full((SIDE + GAP, SIDE + GAP, 3), 160, np.uint8)
    square[: size[1], : size[0]] = small if small.ndim == 3 else small[..., np.newaxis]
    return square, scale


if __name__ == "__main__":
    main()
