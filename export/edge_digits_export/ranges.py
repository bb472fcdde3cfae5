"""The ranges that int8 is built from: measured on training tiles, rounded, and kept."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray

from edge_digits_export.choice import Method
from edge_digits_export.graph import run_tensors

Range = tuple[float, float]
DIGITS = 3
"""Significant digits that a range keeps: what another CPU computes otherwise in the seventh is the same again."""
_BINS = 2048
_LEVELS = 256
_OUTERMOST = 1e-5  # share of the values that `percentile` cuts off, half at either end


def measure_ranges(
    model: onnx.ModelProto, names: Sequence[str], tiles: NDArray[np.uint8], method: Method
) -> dict[str, Range]:
    """Tensor → the lowest and the highest value that it is to hold, rounded to three significant digits.

    `tiles`: (n, 28, 28) uint8; `names`: float tensors of `model`.
    """
    if not names:
        return {}  # a network of one layer takes the tiles and gives the logits: neither is measured
    lows, highs = np.full(len(names), np.inf), np.full(len(names), -np.inf)
    for values in run_tensors(model, list(names), tiles):
        lows = np.minimum(lows, [value.min() for value in values])
        highs = np.maximum(highs, [value.max() for value in values])
    if method == "minmax":
        ends = list(zip(lows, highs, strict=True))
    else:
        # Counts can be added up batch by batch, where all values of all tensors would fill the memory.
        counts = np.zeros((len(names), _BINS), np.int64)
        for values in run_tensors(model, list(names), tiles):
            for i, value in enumerate(values):
                counts[i] += np.histogram(value, _BINS, (lows[i], highs[i]))[0]
        choose = choose_by_entropy if method == "entropy" else choose_by_percentile
        ends = [choose(*found) for found in zip(counts, lows, highs, strict=True)]
    return {name: (_rounded(low), _rounded(high)) for name, (low, high) in zip(names, ends, strict=True)}


def choose_by_percentile(counts: NDArray[np.int64], low: float, high: float) -> Range:
    """The range of a histogram without the outermost hundred-thousandth of its values, half of it at either end."""
    edges, share = np.linspace(low, high, len(counts) + 1), np.cumsum(counts) / counts.sum()
    first = int(np.searchsorted(share, _OUTERMOST / 2))
    last = int(np.searchsorted(share, 1 - _OUTERMOST / 2))
    return float(edges[first]), float(edges[min(last + 1, len(counts))])


def choose_by_entropy(counts: NDArray[np.int64], low: float, high: float) -> Range:
    """The range of a histogram in which 256 levels lose least information (Kullback–Leibler, as in TensorRT).

    The upper end is drawn in towards 0, down to an eighth, then the lower one; a value past an end is clipped to it.
    The zeros, which a Relu makes more of than of all else and which no range loses, count as their neighbours do.
    """
    edges, last = np.linspace(low, high, len(counts) + 1), len(counts)
    zero = int(np.clip(np.searchsorted(edges, 0.0, side="right") - 1, 0, last - 1))  # each range holds its bin
    counts = counts.copy()
    counts[zero] = max(counts[max(zero - 1, 0) : zero].sum(), counts[zero + 1 : zero + 2].sum())
    stops = sorted({zero + -(-(last - zero) * step // 256) for step in range(32, 257)})
    stop = min(stops, key=lambda stop: (_information_lost(counts, 0, stop), -stop))
    starts = sorted({zero - zero * step // 256 for step in range(32, 257)})
    start = min(starts, key=lambda start: (_information_lost(counts, start, stop), start))
    return float(edges[start]), float(edges[stop])


def _information_lost(counts: NDArray[np.int64], start: int, stop: int) -> float:
    """Kullback–Leibler divergence of the values, clipped to the bins start…stop, from the same in 256 levels."""
    inside = counts[start:stop].astype(np.float64)
    clipped = inside.copy()
    clipped[0] += counts[:start].sum()
    clipped[-1] += counts[stop:].sum()
    level = np.arange(len(inside)) * _LEVELS // len(inside)
    filled = clipped > 0
    in_level = np.bincount(level, inside, _LEVELS)
    bins = np.bincount(level, filled.astype(np.float64), _LEVELS)
    spread = np.where(filled, (in_level / np.maximum(bins, 1))[level], 0.0)
    p, q = clipped / clipped.sum(), spread / max(spread.sum(), 1.0)
    # What is in no level's reach counts as a ten-thousandth of a bin, as log(0) would outweigh all else.
    q = np.maximum(q, 1e-4 / len(inside))
    return float((p[filled] * np.log(p[filled] / q[filled])).sum())


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
