"""The gates of an export: how far each figure may stray, and what is said where one strays farther."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edge_digits.errors import GateError

LEAST_ROWS = 2000
"""To compare int8 with fp32 on: on fewer, .05 points are less than one row."""
FEW_ROWS = f"fewer than {LEAST_ROWS:,} say little of what int8 loses, as 0.05 points are less than one of them"
"""What to say of it."""


@dataclass(frozen=True)
class Limits:
    """How far an export may stray."""

    fp32_difference: float = 1e-5
    """Largest difference in any probability between Keras and fp32; and not one digit may differ."""
    int8_drop: float = 0.0005
    """Share of the rows by which int8 may be less accurate than fp32; a drop within its 95 % interval passes too."""
    int8_agreement: float = 0.999
    """Share of the rows on which int8 gives fp32's digit, over those where fp32's two best are more than .1 apart."""
    accuracy: float = 0.5
    """Least share of the rows that Keras is right on. A network that was trained at all is far above it; one whose
    pixels are scaled otherwise than it was trained on, or that lost its activations, is not."""


@dataclass(frozen=True)
class Gate:
    """One figure and its limit."""

    name: str
    figure: float
    limit: float
    passed: bool
    reason: str
    """What to say where it is not passed."""

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {key: value for key, value in asdict(self).items() if key != "reason"}


def first_failure(gates: Sequence[Gate]) -> Gate | None:
    """The gate that an export fails at; None where it passes all."""
    return next((gate for gate in gates if not gate.passed), None)


def check_gates(gates: Sequence[Gate], worst: str = "") -> None:
    """Raises GateError, with the gate and the figure, where one is not passed; `worst` says which layer to look at."""
    failed = first_failure(gates)
    if failed is not None:
        about_layers = worst and failed.name.startswith("int8")
        raise GateError(f"{failed.reason}; {worst}" if about_layers else failed.reason)
