"""How a sheet becomes a picture: the view, the lens, the sensor, the file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_digits.opencv import cv2
from edge_digits_train.synthesis.papers import Sheet

Image = NDArray[np.uint8]
"""(H, W, 3), blue, green and red."""


@dataclass(frozen=True)
class View:
    """From where the sheet is seen."""

    turn: float = 0.0
    """Degrees."""
    slant: float = 0.0
    """Radians that what stands upright leans to the right."""
    tilt: float = 0.0
    """How much nearer one side is than the other, as a share of the size."""

    def matrix(self, height: int, width: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """(3, 3): where each point of the sheet comes to, about its middle."""
        middle = np.array([[1, 0, -width / 2], [0, 1, -height / 2], [0, 0, 1]])
        cos, sin = np.cos(np.deg2rad(self.turn)), np.sin(np.deg2rad(self.turn))
        turned = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
        leaning = np.array([[1, -np.tan(self.slant), 0], [0, 1, 0], [0, 0, 1]])
        away = rng.uniform(-1, 1, 2) * self.tilt / max(height, width)
        nearer = np.array([[1, 0, 0], [0, 1, 0], [*away, 1]])
        return np.asarray(np.linalg.inv(middle) @ nearer @ turned @ leaning @ middle)


@dataclass(frozen=True)
class Camera:
    """What is lost on the way."""

    scale: float = 1.0
    """Pixels of the picture for one of the sheet."""
    blur: float = 0.0
    """Standard deviation of the lens' blur, in pixels of the picture."""
    motion: float = 0.0
    """Pixels that it moved while it saw."""
    noise: float = 0.0
    """Standard deviation of each pixel, in levels."""
    quality: int = 0
    """Of the JPEG, 1 to 100; 0 for none."""
    grey: bool = False
    levels: int = 256
    """Two for a picture of black and white alone."""


def look(sheet: Sheet, matrix: NDArray[np.float64]) -> Sheet:
    """The sheet as seen from the view, of the same size; beyond its edge the edge goes on."""
    if np.allclose(matrix, np.eye(3)):
        return sheet
    size = sheet.shape[1], sheet.shape[0]
    seen = cv2.warpPerspective(sheet, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(seen, np.float32)


def shoot(sheet: Sheet, camera: Camera, rng: np.random.Generator) -> Image:
    """The picture."""
    image: NDArray[Any] = sheet
    if camera.scale != 1:
        size = max(1, round(sheet.shape[1] * camera.scale)), max(1, round(sheet.shape[0] * camera.scale))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA if camera.scale < 1 else cv2.INTER_LINEAR)
    if camera.blur:
        image = cv2.GaussianBlur(image, (0, 0), camera.blur)
    if camera.motion >= 2:
        image = cv2.filter2D(image, -1, _smear(camera.motion, rng.uniform(0, 180)))
    if camera.grey:
        image = np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2)
    if camera.noise:
        same = rng.normal(0, camera.noise, (*image.shape[:2], 1))
        image = image + same + rng.normal(0, 0.0 if camera.grey else camera.noise / 3, image.shape)
    steps = 255 / (camera.levels - 1)
    picture = np.clip(np.rint(np.rint(np.clip(image, 0, 255) / steps) * steps), 0, 255).astype(np.uint8)
    if camera.quality:
        _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, camera.quality])
        picture = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return np.asarray(picture, np.uint8)


def _smear(length: float, angle: float) -> NDArray[np.float32]:
    """A line of `length` pixels, its sum 1."""
    side = int(np.ceil(length)) | 1
    kernel = np.zeros((side, side), np.float32)
    kernel[side // 2] = 1
    turn = cv2.getRotationMatrix2D((side / 2 - 0.5, side / 2 - 0.5), angle, 1)
    turned = cv2.warpAffine(kernel, turn, (side, side))
    return np.asarray(turned / turned.sum(), np.float32)
