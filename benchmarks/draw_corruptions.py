"""Draws docs/pictures/corruptions.png: three digits with each kind of damage, at severity 1 to 5.

python benchmarks/draw_corruptions.py
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from edge_digits_train.corruptions import KINDS, WORST, corrupt
from edge_digits_train.data import load_data

ROWS = (1252, 4105, 2608)
"""Of mnist-5k: a 2, a 5, an 8."""
SCALE, GAP, NAMES, HEAD = 2, 3, 76, 16
"""Times that a tile is enlarged; pixels of a tile between groups, for the kinds' names, and for the severities."""


def main() -> None:
    tiles = load_data("mnist-5k").rows.tiles[list(ROWS)]
    lines = [np.hstack([np.zeros((30, NAMES), np.uint8), *(group(tiles, kind, s) for s in range(1, WORST + 1))])
             for kind in KINDS]  # fmt: skip
    sheet = np.vstack([np.zeros((HEAD, lines[0].shape[1]), np.uint8), *lines])
    sheet = cv2.resize(sheet, None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_NEAREST)
    for i, kind in enumerate(KINDS):
        write(sheet, kind, 2, HEAD + 30 * i + 20)
    for severity in range(1, WORST + 1):
        width = 30 * len(ROWS) + GAP
        write(sheet, str(severity), NAMES + width * (severity - 1) + width // 2 - 4, HEAD - 4)
    path = Path(__file__).parents[1] / "docs" / "pictures" / "corruptions.png"
    cv2.imwrite(str(path), sheet, [cv2.IMWRITE_PNG_COMPRESSION, 9])


def group(tiles: np.ndarray, kind: str, severity: int) -> np.ndarray:
    """The tiles side by side, a grey frame around each."""
    damaged = corrupt(tiles, kind, severity, np.random.default_rng(8))
    framed = [np.pad(tile, 1, constant_values=90) for tile in damaged]
    return np.hstack([*framed, np.zeros((30, GAP), np.uint8)])


def write(sheet: np.ndarray, text: str, x: int, y: int) -> None:
    cv2.putText(sheet, text, (SCALE * x, SCALE * y), cv2.FONT_HERSHEY_SIMPLEX, 0.8, 255, 1, cv2.LINE_AA)


if __name__ == "__main__":
    main()
