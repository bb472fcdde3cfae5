"""What every source is held to: 28 × 28 whole numbers from 0 to 255, a label from 0 to 9 each, and not too many."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge_digits.errors import InputError
from edge_digits.tables import Labels, Tiles

Rows = tuple[Tiles, Labels]
"""Tiles (n, 28, 28) uint8, ink bright on black, and their labels (n,) uint8, 0 to 9."""

MAX_ROWS = 1_000_000
"""Rows: 784 MB of pixels. MNIST has 70,000; a file that claims more than this is damaged or made to do harm."""
_BLOCK = 1 << 18  # items read and converted at a time: 2 MB where they are float64


class Readable(Protocol):
    """A file, or what unpacks one."""

    def read(self, size: int, /) -> bytes:
        """So many bytes; fewer at the end alone."""


class BadItemError(Exception):
    """An item that is no whole number of its range: `index` counts the items before it, `reason` says why."""

    def __init__(self, index: int, value: object, highest: int) -> None:
        self.index = index
        self.reason = f"{value} is no whole number from 0 to {highest}"
        if isinstance(value, float) and 0 < value < 1 < highest == 255:
            self.reason += " (pixels scaled to 0 to 1? They are wanted as they were before)"
        super().__init__(self.reason)


def to_whole_numbers(values: NDArray[np.generic], highest: int, before: int = 0) -> NDArray[np.uint8]:
    """Numbers of any type as uint8, of the same shape.

    Raises BadItemError, which counts from `before`, where one is no whole number from 0 to `highest`.
    """
    with np.errstate(invalid="ignore"):  # NaN and what is out of range, which are found below
        numbers = values.astype(np.uint8)
    wrong = np.flatnonzero((numbers != values) | (numbers > highest))
    if len(wrong):
        first = int(wrong[0])
        raise BadItemError(before + first, values.flat[first].item(), highest)
    return numbers


def read_whole_numbers(file: Readable, dtype: np.dtype, count: int, highest: int) -> NDArray[np.uint8]:
    """The next `count` items of a file as (count,) uint8, in little more memory than that, whatever their type.

    Raises EOFError where the file ends before, and BadItemError as `to_whole_numbers`.
    """
    numbers = np.empty(count, np.uint8)
    for start in range(0, count, _BLOCK):
        block = numbers[start : start + _BLOCK]
        data = file.read(len(block) * dtype.itemsize)
        if len(data) < len(block) * dtype.itemsize:
            raise EOFError
        block[:] = to_whole_numbers(np.frombuffer(data, dtype), highest, start)
    return numbers


def check_count(source: str, what: str, count: int) -> None:
    """Raises InputError where there are no rows, or more than are ever read; `what` is said to hold them."""
    if count < 1:
        raise InputError(source, f"{what} holds nothing")
    if count > MAX_ROWS:
        raise InputError(source, f"{what} holds {count:,} rows by what it says, and the limit is {MAX_ROWS:,}")


def check_sizes_match(source: str, what: str, tiles: int, labels: int) -> None:
    """Raises InputError where the numbers of tiles and labels differ in `what`, a part of the source."""
    if tiles != labels:
        raise InputError(source, f"{what}: {tiles:,} tiles, but {labels:,} labels")


def mix_labels(labels: Labels) -> NDArray[np.int64]:
    """An order, (n,), in which the rows of each label are spread evenly, their own order kept.

    For sources that come label by label: the last rows of those would be of one digit alone.
    """
    places = np.empty(len(labels))
    for digit in range(10):
        own = np.flatnonzero(labels == digit)
        places[own] = (np.arange(len(own)) + 0.5) / max(len(own), 1)
    return np.argsort(places, kind="stable")
