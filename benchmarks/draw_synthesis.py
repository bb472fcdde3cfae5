"""Draws docs/pictures/synthesized.png: some pictures of `edge-digits synthesize`, the digits framed where they are.

python benchmarks/draw_synthesis.py
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from edge_digits_train.data import load_data
from edge_digits_train.synthesis.pictures import MEDIA, Picture, Synthesis

SIDE, GAP, COLUMNS = 118, 6, 8
"""Pixels of a picture's longest side and between two; pictures in a row."""


def main() -> None:
    data = load_data("mnist-5k").rows
    rows = []
    for medium in MEDIA:
        synthesis = Synthesis(data, seed=3, media=(medium,))
        rows.append(np.hstack([cell(synthesis.picture(number)) for number in range(COLUMNS)]))
    path = Path(__file__).parents[1] / "docs" / "pictures" / "synthesized.png"
    cv2.imwrite(str(path), np.vstack(rows), [cv2.IMWRITE_PNG_COMPRESSION, 9])


def cell(picture: Picture) -> np.ndarray:
    """A picture on a grey square, its digits' boxes in red."""
    height, width = picture.image.shape[:2]
    scale = SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(picture.image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST)
    square = np.full((SIDE + GAP, SIDE + GAP, 3), 160, np.uint8)
    square[: size[1], : size[0]] = small
    for digit in picture.digits:
        x, y, w, h = (round(value * scale) for value in digit.box)
        cv2.rectangle(square, (x, y), (x + w - 1, y + h - 1), (60, 60, 230), 1)
    return square


if __name__ == "__main__":
    main()
