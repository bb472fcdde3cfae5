"""Image → Reading: find, frame, classify, reject."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_digits.classifier import Classifier
from edge_digits.errors import ImageError
from edge_digits.find import Region, find
from edge_digits.images import PictureSource, load_image
from edge_digits.ink import is_light_on_dark
from edge_digits.limits import MAX_PIXELS, MIN_CONFIDENCE
from edge_digits.opencv import cv2
from edge_digits.pieces import MAX_STROKE
from edge_digits.reading import Digit, Reading, Record, Rejected, error_record
from edge_digits.tiles import BOX, SIDE, frame, stroke_width


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
        return self._read(load_image(image, max_pixels=self.max_pixels))

    def record(self, picture: PictureSource, top: int = 0) -> Record:
        """The record of a picture that was found; what cannot be read has its reason under `error`."""
        try:
            return self._read(picture.load(max_pixels=self.max_pixels)).record(picture.source, top)
        except ImageError as error:
            return error_record(picture.source, error.reason)

    def _read(self, image: NDArray[np.uint8]) -> Reading:
        tile = as_tile(image)
        if tile is not None:
            rows, columns = np.flatnonzero(tile.any(axis=1)), np.flatnonzero(tile.any(axis=0))
            x, y = int(columns[0]), int(rows[0])
            box = (x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y)
            return self._classify((Region(box, tile),), tile[np.newaxis], ())
        found = find(image)
        tiles = [frame(region.ink) for region in found.regions]
        return self._classify(
            found.regions, np.stack(tiles) if tiles else np.zeros((0, SIDE, SIDE), np.uint8), found.rejected
        )

    def _classify(
        self, regions: tuple[Region, ...], tiles: NDArray[np.uint8], rejected: tuple[Rejected, ...]
    ) -> Reading:
        predictions = self.classifier.classify(tiles)
        digits: list[Digit] = []
        refused = list(rejected)
        lines: dict[int, int] = {}  # a line whose every region is rejected leaves no gap
        for region, digit, probabilities in zip(regions, predictions.digits, predictions.probabilities, strict=True):
            confidence = float(probabilities[digit])
            if confidence < self.min_confidence:
                refused.append(Rejected(region.box, f"unsure: {confidence:.0%} for {digit}"))
                continue
            line = lines.setdefault(region.line, len(lines))
            digits.append(Digit(int(digit), confidence, region.box, line, tuple(float(p) for p in probabilities)))
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
