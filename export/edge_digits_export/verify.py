"""What an export does to the answers, measured, and the gates that it must pass."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_digits.classifier import Classifier
from edge_digits.errors import GateError
from edge_digits.metrics import Evaluation

Probabilities = NDArray[np.float32]


@dataclass(frozen=True)
class Limits:
    """How far an export may stray."""

    fp32_difference: float = 1e-5
    """Largest difference in any probability between Keras and fp32; and not one digit may differ."""
    int8_drop: float = 0.0005
    """Share of the rows by which int8 may be less accurate than fp32; a drop within its 95 % interval passes too."""
    int8_agreement: float = 0.999
    """Share of the rows on which int8 gives fp32's digit, over those where fp32's two best are more than .1 apart."""


@dataclass(frozen=True)
class Agreement:
    """How two sets of answers to the same rows differ."""

    rows: int
    max_difference: float
    """Largest difference in any probability."""
    mean_difference: float
    different_digits: int
    clear_rows: int
    """Rows on which the first one's two best are more than .1 apart."""
    different_clear_digits: int

    @classmethod
    def of(cls, first: Probabilities, second: Probabilities) -> Agreement:
        """Compares (n, 10) with (n, 10)."""
        difference = np.abs(first - second)
        two_best = np.sort(first, axis=1)[:, -2:]
        clear = two_best[:, 1] - two_best[:, 0] > 0.1
        differs = first.argmax(axis=1) != second.argmax(axis=1)
        return cls(
            len(first), float(difference.max()), float(difference.mean()),
            int(differs.sum()), int(clear.sum()), int((differs & clear).sum()),
        )  # fmt: skip


@dataclass(frozen=True)
class Parity:
    """Keras, fp32 and int8 on the same held-out rows."""

    keras: Evaluation
    fp32: Evaluation
    int8: Evaluation
    keras_fp32: Agreement
    fp32_int8: Agreement
    drop: float
    """Accuracy of fp32 less that of int8."""
    drop_interval: float
    """Half the width of the drop's 95 % interval, over the rows on which just one of the two is right."""

    @classmethod
    def of(cls, keras: Probabilities, fp32: Probabilities, int8: Probabilities, labels: NDArray[np.uint8]) -> Parity:
        """Compares the answers of the three, (n, 10) each, with the truth, (n,). Raises GateError for a NaN in them."""
        for name, answers in (("Keras", keras), ("fp32", fp32), ("int8", int8)):
            check_finite(name, answers)
        right = [answers.argmax(axis=1) == labels for answers in (fp32, int8)]
        lost, won = int((right[0] & ~right[1]).sum()), int((~right[0] & right[1]).sum())
        n = len(labels)
        return cls(
            Evaluation.from_probabilities(keras, labels),
            Evaluation.from_probabilities(fp32, labels),
            Evaluation.from_probabilities(int8, labels),
            Agreement.of(keras, fp32),
            Agreement.of(fp32, int8),
            (lost - won) / n,
            1.96 * math.sqrt(lost + won - (lost - won) ** 2 / n) / n,
        )

    def check(self, limits: Limits) -> None:
        """Raises GateError, with the gate and the figure, where a limit is passed."""
        fp32, int8 = self.keras_fp32, self.fp32_int8
        # Not "greater than": a NaN must fail, too.
        if not fp32.max_difference <= limits.fp32_difference:
            raise GateError(
                f"fp32 differs from Keras by {fp32.max_difference:.2g} in a probability; the limit is "
                f"{limits.fp32_difference:g}"
            )
        if fp32.different_digits:
            raise GateError(f"fp32 gives another digit than Keras on {fp32.different_digits} of {fp32.rows} rows")
        if not (self.drop <= limits.int8_drop or self.drop <= self.drop_interval):
            raise GateError(
                f"int8 is {100 * self.drop:.2f} points less accurate than fp32 (± {100 * self.drop_interval:.2f}, "
                f"n = {int8.rows}); the limit is {100 * limits.int8_drop:g}"
            )
        wrong = int8.different_clear_digits
        if wrong > 1 and 1 - wrong / int8.clear_rows < limits.int8_agreement:
            raise GateError(
                f"int8 gives another digit than fp32 on {wrong} of {int8.clear_rows} clear rows; "
                f"the limit is {1 - limits.int8_agreement:.2%}"
            )

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "keras": self.keras.as_dict(), "fp32": self.fp32.as_dict(), "int8": self.int8.as_dict(),
            "keras_fp32": asdict(self.keras_fp32), "fp32_int8": asdict(self.fp32_int8),
            "int8_drop": self.drop, "int8_drop_interval": self.drop_interval,
        }  # fmt: skip

    def text(self) -> str:
        """A table for people."""
        lines = [f"on {self.fp32.n:,} held-out rows      accuracy  largest difference  other digit"]
        against = {"Keras": None, "fp32": self.keras_fp32, "int8": self.fp32_int8}
        for (name, agreement), found in zip(against.items(), (self.keras, self.fp32, self.int8), strict=True):
            row = f"{name:<28}{100 * found.accuracy:8.2f} %"
            if agreement is not None:
                row += f"{agreement.max_difference:20.2g}{agreement.different_digits:13}"
            lines.append(row)
        return "\n".join(lines)


def check_finite(name: str, answers: Probabilities) -> None:
    """Raises GateError where one of the answers, (n, 10), is no number."""
    bad = int((~np.isfinite(answers)).any(axis=1).sum())
    if bad:
        raise GateError(f"{name} gives NaN on {bad} of {len(answers)} rows")


def latency_ratio(fp32: Classifier, int8: Classifier, tile: NDArray[np.uint8], rounds: int = 300) -> float:
    """How many times longer fp32 takes than int8 on one tile and one thread: the ratio of medians, measured in turn."""
    seconds: list[list[float]] = [[], []]
    for _ in range(rounds):
        for times, classifier in zip(seconds, (fp32, int8), strict=True):
            started = time.perf_counter()
            classifier.classify(tile)
            times.append(time.perf_counter() - started)
    return float(np.median(seconds[0]) / np.median(seconds[1]))
