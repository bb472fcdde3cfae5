"""Which rows of a table to show, and what is said of each: label, answer, confidence."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_digits.any_table import AnyTableReader
from edge_digits.errors import UsageError
from edge_digits.tables import Labels, Probabilities, Tiles

MAX_ROWS = 1000
"""Tiles of a grid: more are too small to look at, and as a picture would take hundreds of megabytes."""
FEW = 18
"""Rows that are shown where none are asked for: six by three."""

Progress = Callable[[int, int | None], None]
"""Is told the bytes that are read and their total, None where it is not known."""


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Rows of a table, in its order."""

    numbers: npt.NDArray[np.int64]
    """(n,), counted from 0."""
    tiles: Tiles
    """(n, 28, 28) uint8, ink bright on black."""
    labels: Labels | None
    """(n,), 0 to 9; None where the table has none."""


@dataclass(frozen=True, slots=True, eq=False)
class ShownRow:
    """A row and what is said of it."""

    number: int
    """Counted from 0."""
    tile: npt.NDArray[np.uint8]
    """(28, 28) uint8, ink bright on black."""
    label: int | None = None
    """The truth, 0 to 9, where the table tells it."""
    answer: int | None = None
    """A model's, 0 to 9, where one was asked."""
    confidence: float | None = None
    """The probability of the answer, 0 to 1."""

    @property
    def wrong(self) -> bool:
        """Whether the answer is known not to be the truth."""
        return None not in (self.label, self.answer) and self.label != self.answer

    @property
    def said(self) -> str:
        """`7`, `read as 7` or `7 read as 1`."""
        label = "" if self.label is None else f"{self.label}"
        answer = "" if self.answer is None else f"read as {self.answer}"
        return f"{label} {answer}".strip()

    @property
    def percent(self) -> str:
        """The confidence as `97 %`, at most 99 as a network is never quite sure; empty without an answer."""
        return "" if self.confidence is None else f"{min(99, int(100 * self.confidence))} %"


@dataclass(frozen=True, slots=True)
class RowRange:
    """The rows from `start` up to `stop`, which is left out, as Python counts; to the table's end where it is None."""

    start: int
    stop: int | None
    fewer: bool = False
    """Whether a shorter table will do."""

    @classmethod
    def parse(cls, text: str) -> RowRange:
        """From `A:B`, `:B`, `A:` or a single number. Raises UsageError for all else, and for what holds no row."""
        if re.search(r"-\s*[0-9]", text):
            raise UsageError(f"--rows {text!r}: rows count from 0; none is negative, as a table is read from its top")
        found = re.fullmatch(r"(?P<one>[0-9]{1,12})|(?P<start>[0-9]{0,12}):(?P<stop>[0-9]{0,12})", text)
        if not found:
            raise UsageError(f"--rows {text!r}: is not A:B, :B, A: or a single row's number, counted from 0")
        if found["one"]:
            return cls(int(found["one"]), int(found["one"]) + 1)
        start, stop = int(found["start"] or 0), int(found["stop"]) if found["stop"] else None
        if stop is not None and stop <= start:
            raise UsageError(f"--rows {text!r}: holds no row: B is the first that is left out")
        if stop is not None:
            _check_count(stop - start)
        return cls(start, stop)

    def read(self, table: AnyTableReader, progress: Progress | None = None) -> Rows:
        """These rows; what follows them is not read.

        Raises TableError, and UsageError where the table has not all of them, or they are more than MAX_ROWS.
        """
        found: list[Rows] = []
        count = taken = 0
        with closing(table.any_tiles()) as chunks:
            for tiles, labels in chunks:
                first, past = self.start - count, len(tiles) if self.stop is None else self.stop - count
                part = _numbered(count, tiles, labels, slice(max(first, 0), max(past, 0)))
                count += len(tiles)
                if len(part.numbers):
                    found.append(part)
                    taken += len(part.numbers)
                    _check_count(taken)
                if progress is not None:
                    progress(table.position, table.size)
                if self.stop is not None and count >= self.stop:
                    break
        if not found or (self.stop is not None and count < self.stop and not self.fewer):
            missing = self.start if not found else (self.stop or 0) - 1
            raise UsageError(f"{table.path}: has {_plural(count)}, counted from 0: there is no row {missing:,}")
        return _joined(found)


@dataclass(frozen=True, slots=True)
class RandomRows:
    """So many rows, each as likely as any other, none twice; the same ones for the same table and seed."""

    count: int
    seed: int

    def __post_init__(self) -> None:
        if self.count < 1 or self.seed < 0:
            raise ValueError(f"{self.count} rows, seed {self.seed}: the former is 1 or more, the latter 0 or more")
        _check_count(self.count)

    def read(self, table: AnyTableReader, progress: Progress | None = None) -> Rows:
        """These rows, in one pass: each row draws a number from 0 to 1, and the lowest `count` of all stay.

        Raises TableError, and UsageError where the table has fewer.
        """
        rng = np.random.default_rng(self.seed)
        kept: Rows | None = None
        drawn = np.empty(0)
        total = 0
        with closing(table.any_tiles()) as chunks:
            for tiles, labels in chunks:
                part = _numbered(total, tiles, labels, slice(None))
                kept = part if kept is None else _joined([kept, part])
                drawn = np.concatenate([drawn, rng.random(len(tiles))])
                lowest = np.sort(np.argsort(drawn, kind="stable")[: self.count])  # in the table's order
                kept, drawn = _taken(kept, lowest), drawn[lowest]
                total += len(tiles)
                if progress is not None:
                    progress(table.position, table.size)
        if kept is None or total < self.count:
            raise UsageError(f"{table.path}: has {_plural(total)}, fewer than the {self.count:,} to be drawn")
        return kept


def choose(rows: str | None, random: int | None, seed: int) -> RowRange | RandomRows:
    """What `--rows` and `--random` ask for; without either, the first rows. Raises UsageError."""
    if rows is not None and random is not None:
        raise UsageError("--rows and --random exclude each other: give one of them")
    if random is not None:
        return RandomRows(random, seed)
    return RowRange(0, FEW, fewer=True) if rows is None else RowRange.parse(rows)


def label_rows(rows: Rows, classify: Callable[[Tiles], Probabilities] | None = None) -> list[ShownRow]:
    """Each of `rows` with its label and, where `classify` is given, its answer."""
    labels = [None] * len(rows.numbers) if rows.labels is None else rows.labels.tolist()
    answers: list[int | None] = [None] * len(labels)
    confidences: list[float | None] = [None] * len(labels)
    if classify is not None:
        probabilities = classify(rows.tiles)
        answers, confidences = probabilities.argmax(axis=1).tolist(), probabilities.max(axis=1).tolist()
    columns = zip(rows.numbers.tolist(), rows.tiles, labels, answers, confidences, strict=True)
    return [ShownRow(*row) for row in columns]


def _numbered(first: int, tiles: Tiles, labels: Labels | None, part: slice) -> Rows:
    numbers = np.arange(first, first + len(tiles))
    return Rows(numbers[part], tiles[part], None if labels is None else labels[part])


def _taken(rows: Rows, chosen: npt.NDArray[np.intp]) -> Rows:
    return Rows(rows.numbers[chosen], rows.tiles[chosen], None if rows.labels is None else rows.labels[chosen])


def _joined(parts: list[Rows]) -> Rows:
    labels = [part.labels for part in parts if part.labels is not None]
    return Rows(
        np.concatenate([part.numbers for part in parts]),
        np.concatenate([part.tiles for part in parts]),
        np.concatenate(labels) if labels else None,
    )


def _check_count(count: int) -> None:
    if count > MAX_ROWS:
        raise UsageError(f"more than {MAX_ROWS:,} rows cannot be shown at once: ask for a part, as --rows 0:{MAX_ROWS}")


def _plural(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"
