"""The tiles that the ranges of int8 are measured on: training rows, as many of each digit, varied as in training."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_digits_train.augment import Augmentation, augment
from edge_digits_train.data import DataSet

SEED = 0
MILD = Augmentation(rotation=5, shear=0.05, zoom=0.05, shift=0.03)
"""For a network whose own augmentation is not known: what a hand varies without trying."""


@dataclass(frozen=True)
class CalibrationTiles:
    """What the ranges are measured on."""

    tiles: NDArray[np.uint8]
    """(n, 28, 28), ink bright on black."""
    seed: int
    augmented: bool

    def as_dict(self) -> dict[str, Any]:
        """As plain data; the tiles themselves are told by their SHA-256."""
        digest = hashlib.sha256(np.ascontiguousarray(self.tiles).tobytes()).hexdigest()
        return {"n": len(self.tiles), "seed": self.seed, "sha256": digest, "augmented": self.augmented}


def draw_calibration(rows: DataSet, n: int, augmentation: Augmentation, seed: int = SEED) -> CalibrationTiles:
    """n tiles of `rows`, the same number of each digit that there is, to within one; rows come again where few."""
    rng = np.random.default_rng(seed)
    digits = np.unique(rows.labels)
    shares = [n // len(digits) + (i < n % len(digits)) for i in range(len(digits))]
    drawn = [
        np.resize(rng.permutation(np.flatnonzero(rows.labels == digit)), share)
        for digit, share in zip(digits, shares, strict=True)
    ]
    chosen = rows[np.concatenate(drawn)]
    varied = augment(chosen.tiles, chosen.labels, augmentation, rng)
    return CalibrationTiles(varied, seed, augmentation != Augmentation())
