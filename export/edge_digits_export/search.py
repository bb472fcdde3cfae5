"""The choice that is fastest on this machine among those that pass the gates, found by trying a small grid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from edge_digits_export.bench import Bench, Candidate
from edge_digits_export.choice import Method, QuantizationChoice
from edge_digits_export.latency import measure_latency
from edge_digits_export.layers import worst_layers
from edge_digits_export.plan import layer_names

_TYPES: tuple[dict[str, Any], ...] = (
    {"activation": "uint8", "weight": "int8", "weight_bits": 7},
    {"activation": "uint8", "weight": "uint8", "weight_bits": 8},
    {"activation": "int8", "weight": "int8", "weight_bits": 7},
)
"""int8 weights of 8 bits may pass here and be wrong on the next processor: they are to be asked for by name."""
_METHODS: tuple[Method, ...] = ("minmax", "percentile", "entropy")
_LEFT_IN_FLOAT = 3
"""At most so many of the noisiest layers are left in float, one more at a time."""
_EQUALLY_FAST = 1.05
"""Times the fastest's: closer times change places from one measurement to the next."""


@dataclass(frozen=True)
class Trial:
    """One line of the search."""

    candidate: Candidate
    microseconds: float

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        failure, parity = self.candidate.failure, self.candidate.parity
        return {
            "choice": self.candidate.choice.as_dict(),
            "accuracy": parity.int8.accuracy,
            "drop": parity.drop,
            "agreement": parity.fp32_int8.clear_share,
            "microseconds": self.microseconds,
            "passed": failure is None,
            "why": failure.reason if failure else None,
        }


def search(bench: Bench, start: QuantizationChoice, note: Callable[[str], None]) -> tuple[Candidate, list[Trial]]:
    """Tries the grid around `start`, which says how many tiles to calibrate on; returns the one to keep, and all.

    The one kept is, of those within 5 % of the fastest that passes, the one with the fewest layers in float, and then
    the nearest to fp32. Where none passes it is the nearest of the grid, which does not pass either.
    """
    grid = [
        replace(start, **types, method=method, per_channel=per_channel, float_layers=())
        for method, types, per_channel in product(_METHODS, _TYPES, (True, False))
    ]
    in_float = max(0, min(_LEFT_IN_FLOAT, len(layer_names(bench.fp32.graph)) - 1))  # all in float would be no int8
    total = len(grid) + in_float
    candidates = [_tell(bench.make(choice), i, total, note) for i, choice in enumerate(grid, start=1)]
    nearest = min(candidates, key=_distance)
    noisiest = worst_layers(bench.noise(nearest.choice))
    for i in range(1, in_float + 1):
        choice = replace(nearest.choice, float_layers=tuple(sorted(noisiest[:i])))
        candidates.append(_tell(bench.make(choice), len(grid) + i, total, note))
    note("timing")
    times = measure_latency(
        {str(i): candidate.classifier for i, candidate in enumerate(candidates)}, bench.compared.tiles[0]
    )
    trials = [Trial(candidate, times[str(i)]) for i, candidate in enumerate(candidates)]
    passing = [trial for trial in trials if trial.candidate.failure is None]
    if not passing:
        return nearest, trials
    fast = min(trial.microseconds for trial in passing) * _EQUALLY_FAST
    kept = min((trial.candidate for trial in passing if trial.microseconds <= fast), key=_preference)
    if kept.choice.float_layers and not any(t.candidate.choice.float_layers == () for t in passing):
        note(f"left in float: {' + '.join(kept.choice.float_layers)}; with every layer in int8 no choice passes")
    note(f"kept: {kept.choice.text()}")
    return kept, trials


def _preference(candidate: Candidate) -> tuple[int, int, float]:
    """Lower is better: no layer in float without need, then near to fp32."""
    return len(candidate.choice.float_layers), *_distance(candidate)


def _distance(candidate: Candidate) -> tuple[int, float]:
    """How far a candidate is from fp32: clear rows answered otherwise, then the mean difference."""
    agreement = candidate.parity.fp32_int8
    return agreement.different_clear_digits, agreement.mean_difference


def _tell(candidate: Candidate, number: int, total: int, note: Callable[[str], None]) -> Candidate:
    parity = candidate.parity
    note(
        f"{number} of {total}: {candidate.choice.text()}: {100 * parity.int8.accuracy:.2f} %, "
        f"{100 * parity.fp32_int8.clear_share:.2f} % as fp32"
    )
    return candidate
