"""How long models take for one tile, on this machine and one thread."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from edge_digits.classifier import Classifier

SLOWER = 1.05
"""Times as long: less than this is no difference that the next measurement would have, too."""
_ROUNDS = (40, 300)  # fewer say little, more say no more
_SECONDS = 10.0  # in all, within those


def measure_latency(classifiers: Mapping[str, Classifier], tile: NDArray[np.uint8]) -> dict[str, float]:
    """The median time of each in microseconds.

    They are called in turn, so that what disturbs one disturbs all, and in another order each time, as a large model
    leaves the caches to the next one.
    """
    seconds: dict[str, list[float]] = {name: [] for name in classifiers}
    order, rng = list(classifiers.items()), random.Random(0)
    started = time.perf_counter()
    for number in range(_ROUNDS[1] + 1):
        if number > _ROUNDS[0] and time.perf_counter() - started > _SECONDS:
            break
        rng.shuffle(order)
        for name, classifier in order:
            before = time.perf_counter()
            classifier.classify(tile)
            seconds[name].append(time.perf_counter() - before)
    return {name: round(1e6 * float(np.median(times[1:])), 1) for name, times in seconds.items()}


def slowdown(fp32: float, int8: float) -> float | None:
    """How many times as long int8 takes; None where it is no slower."""
    return int8 / fp32 if int8 > SLOWER * fp32 else None
