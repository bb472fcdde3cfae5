"""Image → Reading: find, frame, classify, reject."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_digits.classifier import Classifier
from edge_digits.errors import ImageError
from edge_digits.find import Found, Region, find
from edge_digits.images import PictureSource, load_image
from edge_digits.ink import is_light_on_dark
from edge_digits.limits import MAX_PIXELS, MIN_CONFIDENCE
from edge_digits.opencv import cv2
from edge_digits.pieces import MAX_STROKE
from edge_digits.reading import Digit, Reading, Record, Rejected, error_record
from edge_digits.tiles import BOX, SIDE, frame, stroke_width


@dataclass(frozen=True, eq=False)
class Trace:
    """How a picture was read, step by step."""

    image: NDArray[np.uint8]
    """(H, W) or (H, W, 3) uint8, BGR."""
    ink: NDArray[np.uint8] | None
    """Light flattened, bright on black, at the size it was searched at; None where there is none."""
    regions: tuple[Region, ...]
    """What was taken for a digit."""
    tiles: NDArray[np.uint8]
    """(n, 28, 28): a tile for each region, as the network saw it."""
    probabilities: NDArray[np.float32]
    """(n, 10): what it said of each."""
    reading: Reading


class Reader:
    """Reads the digits in pictures with a bundled model or an .onnx of the contract.

    A digit less sure than `min_confidence` is rejected; a picture of more than `max_pixels` is refused undecoded.
    Raises ModelError where the model is missing, damaged or not of the contract.
    """

    def __init__(
        self, model: str | Path = "digits", *, min_confidence: float = MIN_CONFIDENCE, max_pixels: int = MAX_PIXELS
    ) -> None:
        self.classifier = Classifier(model)
        self.min_confidence = min_confidence
        self.max_pixels = max_pixels

    def read(self, image: str | os.PathLike[str] | bytes | NDArray[np.uint8]) -> Reading:
        """What a picture says: a path, the bytes of a picture file, or an array, (H, W) or (H, W, 3) uint8, BGR.

        Raises ImageError where it cannot be read, ValueError where the array is no image.
        """
        return self.trace(image).reading

    def trace(self, image: str | os.PathLike[str] | bytes | NDArray[np.uint8]) -> Trace:
        """As `read`, with the steps that led there."""
        return self._trace(load_image(image, max_pixels=self.max_pixels))

    def record(self, picture: PictureSource, top: int = 0) -> Record:
        """The record of a picture that was found; what cannot be read has its reason under `error`."""
        try:
            return self._trace(picture.load(max_pixels=self.max_pixels)).reading.record(picture.source, top)
        except ImageError as error:
            return error_record(picture.source, error.reason)

    def _trace(self, image: NDArray[np.uint8]) -> Trace:
        tile = as_tile(image)
        if tile is not None:
            rows, columns = np.flatnonzero(tile.any(axis=1)), np.flatnonzero(tile.any(axis=0))
            x, y = int(columns[0]), int(rows[0])
            box = (x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y)
            found, tiles = Found((Region(box, tile),), (), tile), tile[np.newaxis]
        else:
            found = find(image)
            framed = [frame(region.ink) for region in found.regions]
            tiles = np.stack(framed) if framed else np.zeros((0, SIDE, SIDE), np.uint8)
        probabilities = self.classifier.classify(tiles).probabilities
        reading = self._reading(found, probabilities)
        return Trace(image, found.ink, found.regions, tiles, probabilities, reading)

    def _reading(self, found: Found, probabilities: NDArray[np.float32]) -> Reading:
        digits: list[Digit] = []
        refused = list(found.rejected)
        lines: dict[int, int] = {}  # a line whose every region is rejected leaves no gap
        for region, row in zip(found.regions, probabilities, strict=True):
            digit = int(row.argmax())
            confidence = float(row[digit])
            if confidence < self.min_confidence:
                refused.append(Rejected(region.box, f"unsure: {confidence:.0%} for {digit}"))
                continue
            line = lines.setdefault(region.line, len(lines))
            digits.append(Digit(digit, confidence, region.box, line, tuple(float(p) for p in row)))
        return Reading(tuple(digits), tuple(refused))


def as_tile(image: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """The image itself, ink bright on black, where it is a tile in MNIST's normal form already; None where it is not.

    Such a tile reaches the network as its CSV row would: every step that it is spared is one that could change it.
    """
    if image.shape[:2] != (SIDE, SIDE):
        return None
    gray = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) if image.ndim == 3 else image, np.uint8)
    tile = gray if is_light_on_dark(gray) else np.asarray(255 - gray, np.uint8)
    rows, columns = np.flatnonzero(tile.any(axis=1)), np.flatnonzero(tile.any(axis=0))
    if not len(rows) or max(np.ptp(rows), np.ptp(columns)) + 1 not in range(BOX - 1, BOX + 1):
        return None
    moments = cv2.moments(tile)
    x, y = moments["m10"] / moments["m00"], moments["m01"] / moments["m00"]
    if stroke_width(tile) > MAX_STROKE * BOX:
        return None
    centred = abs(x - SIDE / 2) < 1 and abs(y - SIDE / 2) < 1
    return tile if centred else None
