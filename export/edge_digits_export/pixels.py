"""What the values of a tile are to a network: 0 to 1, the bytes themselves, −1 to 1, or standardised."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edge_digits.errors import UsageError
from edge_digits_export.graph import SCALE


@dataclass(frozen=True)
class Pixels:
    """Byte × factor + offset."""

    name: str
    """As `parse` takes it: `unit`, `33.3,78.6`."""
    factor: float
    offset: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Pixels:
        """`unit`, `bytes`, `signed`, or `MEAN,STD` of the bytes. Raises UsageError for anything else."""
        for known in NAMED:
            if text == known.name:
                return known
        try:
            mean, deviation = map(float, text.split(","))
        except ValueError:
            mean, deviation = math.nan, math.nan
        if not (math.isfinite(mean) and 0 < deviation < math.inf):
            raise UsageError(f"--pixels {text}: it must be unit, bytes, signed, or MEAN,STD of the bytes, as 33.3,78.6")
        return cls(text, 1 / deviation, -mean / deviation)


UNIT = Pixels("unit", float(SCALE))
BYTES = Pixels("bytes", 1.0)
SIGNED = Pixels("signed", 1 / 127.5, -1.0)
NAMED = (UNIT, BYTES, SIGNED)
USUAL = (*NAMED, Pixels("33.3,78.6", 1 / 78.6, -33.3 / 78.6))
"""What networks are trained on: those with a name, and MNIST's bytes less their mean, over their deviation."""
