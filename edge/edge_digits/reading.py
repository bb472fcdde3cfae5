"""What an image says: a Reading of lines of digits, and of what was rejected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Box = tuple[int, int, int, int]
"""x, y, width, height in pixels of the picture as shown."""

Record = dict[str, Any]
"""A Reading with its source, as plain data: the shape is the same for every picture."""


@dataclass(frozen=True, slots=True)
class Digit:
    """One digit that was read."""

    digit: int
    """0 to 9."""
    confidence: float
    """The probability of `digit`, 0 to 1."""
    box: Box
    line: int
    """Index of the line it stands in, from 0."""
    probabilities: tuple[float, ...]
    """Of each of the ten digits; they sum to 1."""

    def likeliest(self, count: int) -> list[tuple[int, float]]:
        """The `count` likeliest digits with their probabilities, likeliest first."""
        order = sorted(range(10), key=lambda digit: (-self.probabilities[digit], digit))
        return [(digit, self.probabilities[digit]) for digit in order[:count]]


@dataclass(frozen=True, slots=True)
class Rejected:
    """Ink that is not read as a digit, and why."""

    box: Box
    reason: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What an image says, in reading order."""

    digits: tuple[Digit, ...] = ()
    rejected: tuple[Rejected, ...] = ()

    @property
    def lines(self) -> list[str]:
        """The digits of each line."""
        count = 1 + max((digit.line for digit in self.digits), default=-1)
        return ["".join(str(d.digit) for d in self.digits if d.line == line) for line in range(count)]

    @property
    def text(self) -> str:
        """The lines joined with newlines; "" where there is nothing to read."""
        return "\n".join(self.lines)

    def record(self, source: str, top: int = 0) -> Record:
        """As plain data. With `top`, each digit also lists its `top` likeliest answers."""
        digits: list[dict[str, Any]] = []
        for d in self.digits:
            entry: dict[str, Any] = {
                "digit": d.digit, "confidence": round(d.confidence, 4), "box": list(d.box), "line": d.line,
            }  # fmt: skip
            if top:
                entry["top"] = [{"digit": digit, "confidence": round(p, 4)} for digit, p in d.likeliest(top)]
            digits.append(entry)
        return {
            "source": source,
            "text": self.text,
            "lines": self.lines,
            "digits": digits,
            "rejected": [{"box": list(r.box), "reason": r.reason} for r in self.rejected],
            "error": None,
        }


def error_record(source: str, reason: str) -> Record:
    """The record of a picture that could not be read."""
    return {**Reading().record(source), "error": reason}
