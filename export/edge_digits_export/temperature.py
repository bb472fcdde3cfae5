"""How sure the answers should be: one number that the logits are divided by, fitted on held-out rows."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from edge_digits_export.fold import find_softmax
from edge_digits_export.graph import run_tensors

LOWEST, HIGHEST = 0.25, 4.0
"""A network that wants more than this has another fault than being too sure, or too few rows to tell."""
DIGITS = 4
"""Significant digits that a temperature keeps, so that another CPU finds the same."""


@dataclass(frozen=True)
class Temperature:
    """A temperature, and what it does on the rows that it was fitted on."""

    value: float = 1.0
    """More than 1 makes the answers less sure."""
    rows: int = 0
    """0 where it was not fitted."""
    loss_before: float | None = None
    """Mean negative log likelihood in nats at temperature 1."""
    loss_after: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def fit_temperature(
    logits: NDArray[np.floating[Any]], labels: NDArray[np.integer[Any]], lowest: float = LOWEST
) -> Temperature:
    """The temperature under which `labels`, (n,), are likeliest by `logits`, (n, 10).

    1 where every row is right: then nothing says how sure is too sure. `lowest` is the least that is tried.
    """
    before = _loss(logits, labels, 1.0)
    if not len(labels) or (logits.argmax(axis=1) == labels).all():
        return Temperature(1.0, len(labels), before, before)
    low, high = 1 / HIGHEST, 1 / lowest  # the loss is convex in 1 / temperature: narrow down to its lowest point
    shrink = (5**0.5 - 1) / 2
    for _ in range(60):
        left, right = high - shrink * (high - low), low + shrink * (high - low)
        if _loss(logits, labels, 1 / left) < _loss(logits, labels, 1 / right):
            high = right
        else:
            low = left
    value = float(f"{2 / (low + high):.{DIGITS}g}")
    return Temperature(value, len(labels), before, _loss(logits, labels, value))


def find_logits(model: onnx.ModelProto, tiles: NDArray[np.uint8]) -> NDArray[np.float32] | None:
    """What goes into the softmax, (n, 10), for tiles (n, 28, 28); None where `probabilities` is not made by one."""
    softmax = find_softmax(model.graph)
    if softmax is None:
        return None
    return np.concatenate([values for (values,) in run_tensors(model, [softmax.input[0]], tiles)])


def _loss(logits: NDArray[np.floating[Any]], labels: NDArray[np.integer[Any]], temperature: float) -> float:
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    of_truth = scaled[np.arange(len(labels)), labels.astype(np.intp)]
    return float((np.log(np.exp(scaled).sum(axis=1)) - of_truth).mean())
