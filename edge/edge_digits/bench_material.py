"""What the benchmark reads: ten tiles of those that are stored with the bundled models, as rows and in pictures."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_digits.model_check import CheckTiles
from edge_digits.model_files import load_manifest
from edge_digits.opencv import cv2

Pixels = NDArray[np.uint8]

SMALL, SCREEN, PHOTO = "28 × 28", "640 × 480", "12 megapixels"
"""The three pictures: a tile, five digits on a sheet, twelve on a photo of one."""
MANY = "320 × 240"
"""One of many: three digits."""


def load_tiles() -> Pixels:
    """(10, 28, 28): one of each digit, the one that its model is surest of: what is stored are hard ones."""
    entries = load_manifest()["models"].values()
    stored = [CheckTiles.from_dict("manifest.json", entry["check"]) for entry in entries]
    surest = np.argmax([check.expected["fp32"].max(axis=1) for check in stored], axis=0)
    return np.stack([stored[number].tiles[digit] for digit, number in enumerate(surest)])


def write_table(path: Path, rows: int) -> None:
    """A table as Kaggle's test.csv, of the tiles in turn: as long, a row, as the real one."""
    lines = [",".join(map(str, tile.ravel().tolist())) + "\n" for tile in load_tiles()]
    with path.open("w") as file:
        file.write(",".join(f"pixel{i}" for i in range(784)) + "\n")
        for start in range(0, rows, len(lines)):
            file.writelines(lines[: rows - start])


@cache
def make_pictures() -> dict[str, bytes]:
    """The files of the three pictures: a PNG, and two JPEGs of quality 90."""
    return {
        SMALL: _encoded(".png", load_tiles()[4]),
        SCREEN: _encoded(".jpg", _sheet(480, 640, 90, 5)),
        PHOTO: _encoded(".jpg", _sheet(3000, 4000, 300, 12)),
    }


def make_one_of_many() -> bytes:
    """The file of a small picture, a JPEG."""
    return _encoded(".jpg", _sheet(240, 320, 50, 3))


def _sheet(height: int, width: int, side: int, count: int) -> Pixels:
    """(H, W, 3): digits in rows on grey paper that one lamp lights from the left, with a camera's noise."""
    ink = np.zeros((height, width), np.float32)
    across = min(count, width // (2 * side))
    for i, tile in enumerate(np.resize(load_tiles(), (count, 28, 28))):
        top = (height // (1 + -(-count // across))) * (1 + i // across) - side // 2
        left = (width // (1 + across)) * (1 + i % across) - side // 2
        ink[top : top + side, left : left + side] = cv2.resize(tile, (side, side), interpolation=cv2.INTER_CUBIC)
    light = np.linspace(225, 175, width, dtype=np.float32) * (1 - 0.75 * ink / 255)
    noise = np.random.default_rng(0).normal(0, 3, (height, width)).astype(np.float32)
    gray = (light + noise).clip(0, 255).astype(np.uint8)
    return np.asarray(cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR), np.uint8)


def _encoded(form: str, image: Pixels) -> bytes:
    return bytes(cv2.imencode(form, image, [cv2.IMWRITE_JPEG_QUALITY, 90] if form == ".jpg" else [])[1])
