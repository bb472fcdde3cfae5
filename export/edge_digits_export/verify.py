"""What an export does to the answers, measured: Keras, fp32 and int8 on the same rows."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_digits.errors import GateError, InputError
from edge_digits.metrics import Evaluation
from edge_digits_export.gates import Gate, Limits, check_gates

Probabilities = NDArray[np.float32]


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

    @property
    def clear_share(self) -> float:
        """Share of the clear rows on which both give the same digit; 1 where there are none."""
        return 1 - self.different_clear_digits / self.clear_rows if self.clear_rows else 1.0


Pair = tuple[Probabilities, Probabilities, NDArray[np.uint8]]
"""What fp32 and int8 say, (n, 10) each, and the truth, (n,)."""


@dataclass(frozen=True)
class Parity:
    """Keras, fp32 and int8 on the same held-out rows; fp32 and int8 on more rows, where those are few."""

    keras: Evaluation
    fp32: Evaluation
    int8: Evaluation
    keras_fp32: Agreement
    fp32_int8: Agreement
    drop: float
    """Accuracy of fp32 less that of int8."""
    drop_interval: float
    """Half the width of the drop's 95 % interval, over the rows on which just one of the two is right."""
    mcnemar_p: float
    """How often chance alone would set fp32 and int8 this far apart, or farther: McNemar's exact test."""

    @classmethod
    def of(
        cls,
        keras: Probabilities,
        fp32: Probabilities,
        int8: Probabilities,
        labels: NDArray[np.uint8],
        more: Pair | None = None,
    ) -> Parity:
        """Compares the answers of the three, (n, 10) each, with the truth, (n,). Raises GateError for a NaN in them.

        `more` is of other rows, on which fp32 and int8 are compared as well: with each other, not for their accuracy.
        """
        for name, answers in (("Keras", keras), ("fp32", fp32), ("int8", int8)):
            check_finite(name, answers)
        pair: Pair = fp32, int8, labels
        if more is not None:
            check_finite("int8", more[1])
            pair = (np.concatenate([fp32, more[0]]), np.concatenate([int8, more[1]]), np.concatenate([labels, more[2]]))
        right = [answers.argmax(axis=1) == pair[2] for answers in pair[:2]]
        lost, won = int((right[0] & ~right[1]).sum()), int((~right[0] & right[1]).sum())
        return cls(
            Evaluation.from_probabilities(keras, labels),
            Evaluation.from_probabilities(fp32, labels),
            Evaluation.from_probabilities(int8, labels),
            Agreement.of(keras, fp32),
            Agreement.of(pair[0], pair[1]),
            *paired_difference(*right),
            mcnemar(lost, won),
        )

    def gates(self, limits: Limits) -> list[Gate]:
        """Every gate, passed or not."""
        int8, wrong = self.fp32_int8, self.fp32_int8.different_clear_digits
        return [
            *fp32_gates(self.keras, self.keras_fp32, limits),
            # Not "greater than": a NaN must fail, too.
            Gate(
                "int8 accuracy", self.drop, limits.int8_drop,
                self.drop <= limits.int8_drop or self.drop <= self.drop_interval,
                f"int8 is {100 * self.drop:.2f} points less accurate than fp32 (± {100 * self.drop_interval:.2f}, "
                f"n = {int8.rows}); the limit is {100 * limits.int8_drop:g}",
            ),
            Gate(
                "int8 agreement", int8.clear_share, limits.int8_agreement,
                wrong <= 1 or int8.clear_share >= limits.int8_agreement,  # one row of a few is no share
                f"int8 gives another digit than fp32 on {wrong} of {int8.clear_rows} clear rows; "
                f"the limit is {1 - limits.int8_agreement:.2%}",
            ),
        ]  # fmt: skip

    def check(self, limits: Limits) -> None:
        """Raises GateError, with the gate and the figure, where a limit is passed."""
        check_gates(self.gates(limits))

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "keras": self.keras.as_dict(), "fp32": self.fp32.as_dict(), "int8": self.int8.as_dict(),
            "keras_fp32": asdict(self.keras_fp32), "fp32_int8": asdict(self.fp32_int8),
            "int8_drop": self.drop, "int8_drop_interval": self.drop_interval, "mcnemar_p": self.mcnemar_p,
        }  # fmt: skip

    def text(self, rows_were: str = "held out") -> str:
        """A table for people."""
        about = f"on {rows_text(self.fp32.n, rows_were)}"
        width = max(28, len(about) + 2)
        lines = [f"{about:<{width}}{'accuracy':>10}{'largest difference':>20}{'other digit':>13}"]
        against = {"Keras": None, "fp32": self.keras_fp32, "int8": self.fp32_int8}
        for (name, agreement), found in zip(against.items(), (self.keras, self.fp32, self.int8), strict=True):
            row = f"{name:<{width}}{100 * found.accuracy:8.2f} %"
            if agreement is not None:
                row += f"{agreement.max_difference:20.2g}{agreement.different_digits:13}"
            lines.append(row)
        more = self.fp32_int8.rows - self.int8.n
        if more:
            lines.append(f"int8 and fp32 were set side by side on {more:,} training rows as well")
        return "\n".join(lines)


def rows_text(n: int, were: str) -> str:
    """`4,200 held-out rows`."""
    return f"{n:,} held-out rows" if were == "held out" else f"{n:,} rows {were}"


def fp32_gates(keras: Evaluation, agreement: Agreement, limits: Limits) -> list[Gate]:
    """The gates that come before int8: whether the network reads at all, and fp32 as it does."""
    difference = agreement.max_difference
    return [
        Gate(
            "accuracy", keras.accuracy, limits.accuracy, keras.accuracy >= limits.accuracy,
            f"Keras is right on {100 * keras.accuracy:.2f} % of {keras.n} rows; the limit is "
            f"{100 * limits.accuracy:g} %: are its pixels scaled as it was trained?",
        ),
        Gate(
            "fp32 difference", difference, limits.fp32_difference, difference <= limits.fp32_difference,
            f"fp32 differs from Keras by {difference:.2g} in a probability; the limit is {limits.fp32_difference:g}",
        ),
        Gate(
            "fp32 digits", agreement.different_digits, 0, agreement.different_digits == 0,
            f"fp32 gives another digit than Keras on {agreement.different_digits} of {agreement.rows} rows",
        ),
    ]  # fmt: skip


def paired_difference(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> tuple[float, float]:
    """By what share of the rows, (n,), the first is right more often, and half the width of the 95 % interval of it."""
    n, lost, won = len(first), int((first & ~second).sum()), int((~first & second).sum())
    return (lost - won) / n, 1.96 * math.sqrt(lost + won - (lost - won) ** 2 / n) / n


def mcnemar(lost: int, won: int) -> float:
    """The two-sided p-value of McNemar's exact test: the first alone is right on `lost` rows, the second on `won`."""
    n, term, tail = lost + won, 1, 1
    for k in range(min(lost, won)):
        term = term * (n - k) // (k + 1)  # n over k + 1
        tail += term
    return min(1.0, float(2 * tail / 2**n))


def check_finite(name: str, answers: Probabilities) -> None:
    """Raises GateError where one of the answers, (n, 10), is no number."""
    bad = int((~np.isfinite(answers)).any(axis=1).sum())
    if bad:
        raise GateError(f"{name} gives NaN on {bad} of {len(answers)} rows")


def check_probabilities(source: str, answers: Probabilities) -> None:
    """Raises InputError, with the name of the network's source, where its answers (n, 10) are no probabilities."""
    sums = answers.sum(axis=1)
    off = int(np.abs(sums - 1).argmax())
    if answers.min() < 0 or not abs(float(sums[off]) - 1) <= 1e-3:
        found = f"values from {answers.min():.3g} to {answers.max():.3g} that sum to {sums[off]:.3g}"
        raise InputError(source, f"gives {found}, and no ten probabilities for each tile: end it with a softmax")
