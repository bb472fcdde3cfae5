"""Which digits stand where on a sheet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_digits_train.synthesis.pens import Cover

Layout = Literal["single", "pair", "number", "lines", "mixed", "clutter"]
DIGITS_ALONE: tuple[Layout, ...] = ("single", "pair", "number", "lines")
"""One digit; two that touch; a row; several rows."""
LAYOUTS: tuple[Layout, ...] = (*DIGITS_ALONE, "mixed", "clutter")
"""And a row of digits with other things about it; other things alone."""

NO_DIGIT = -1


class Hand(Protocol):
    """What writes on a sheet."""

    def write(self, digit: int, height: int) -> Cover:
        """A digit's ink, some `height` pixels high."""

    def scrawl(self, height: int) -> Cover:
        """Ink that is no digit."""

    def spell(self, height: int) -> list[Cover]:
        """The letters of a word, to stand side by side."""


@dataclass(frozen=True)
class Written:
    """One digit on the sheet."""

    digit: int
    """NO_DIGIT for other things."""
    line: int
    left: int
    top: int
    cover: Cover


@dataclass(frozen=True)
class Page:
    """What stands on a sheet, (height, width) pixels: digits that count, and ink that does not."""

    height: int
    width: int
    digits: Sequence[Written]
    others: Sequence[Written]
    """What is no digit, and parts of digits that the border cuts off, a third of them or less in sight."""

    def cover(self) -> Cover:
        """All ink."""
        whole = np.zeros((self.height, self.width), np.float32)
        for written in (*self.digits, *self.others):
            top, left = max(0, written.top), max(0, written.left)
            part = written.cover[top - written.top :, left - written.left :]
            window = whole[top : top + part.shape[0], left : left + part.shape[1]]
            np.maximum(window, part[: window.shape[0], : window.shape[1]], out=window)
        return whole


def arrange(layout: Layout, height: int, hand: Hand, rng: np.random.Generator) -> Page:
    """A page of digits some `height` pixels high."""
    if layout == "single":
        rows = [[int(rng.integers(10))]]
    elif layout == "pair":
        rows = [rng.integers(0, 10, 2).tolist()]
    elif layout == "number":
        rows = [rng.integers(0, 10, int(rng.integers(2, 9))).tolist()]
    elif layout == "lines":
        rows = [rng.integers(0, 10, int(rng.integers(1, 7))).tolist() for _ in range(int(rng.integers(2, 5)))]
    elif layout == "mixed":
        rows = _mixed_rows(rng)
    else:
        rows = [[NO_DIGIT] * int(rng.integers(1, 6)) for _ in range(int(rng.integers(1, 4)))]
    gap = rng.uniform(0.08, 0.5) * height
    slope = rng.normal(0, 0.03) if layout != "single" else 0.0
    placed: list[Written] = []
    base = 0.0
    for number, row in enumerate(rows):
        base += number and height * rng.uniform(1.4, 1.9)
        placed += _write_row(row, number, base, height, gap, slope, layout == "pair", hand, rng)
    if layout == "mixed" and rng.random() < 0.4:
        placed += _word_below(placed, height, hand, rng)
    return _on_a_sheet(placed, layout, height, hand, rng)


def _mixed_rows(rng: np.random.Generator) -> list[list[int]]:
    """A number, with other things before, within or behind it, and in a row of their own."""
    row: list[int] = rng.integers(0, 10, int(rng.integers(1, 6))).tolist()
    for _ in range(int(rng.integers(1, 3))):
        row.insert(int(rng.integers(len(row) + 1)), NO_DIGIT)
    if rng.random() < 0.5:
        return [row]
    others = [NO_DIGIT] * int(rng.integers(1, 4))
    return [row, others] if rng.random() < 0.5 else [others, row]


def _word_below(placed: Sequence[Written], height: int, hand: Hand, rng: np.random.Generator) -> list[Written]:
    """A word below all else."""
    letters = hand.spell(max(6, round(height * rng.uniform(0.3, 0.9))))
    base = max(w.top + w.cover.shape[0] for w in placed) + round(height * rng.uniform(0.3, 0.8))
    left, foot, word = min(w.left for w in placed), base + max(cover.shape[0] for cover in letters), []
    for cover in letters:
        word.append(Written(NO_DIGIT, -1, left, foot - cover.shape[0], cover))
        left += cover.shape[1] + max(2, round(0.2 * letters[0].shape[0]))
    return word


def gap_between(left: Cover, right: Cover, drop: int) -> int:
    """Columns that lie between two digits at the nearest, when their boxes stand side by side.

    `drop`: pixels that the top of the right one lies below that of the left one. The height of the left one where no
    row holds ink of both.
    """
    first, second = left > 0.3, right > 0.3
    top, foot = max(0, drop), min(first.shape[0], second.shape[0] + drop)
    free = []
    for y in range(top, foot):
        ours, theirs = np.flatnonzero(first[y]), np.flatnonzero(second[y - drop])
        if len(ours) and len(theirs):
            free.append(first.shape[1] - 1 - ours[-1] + theirs[0])
    return int(min(free, default=first.shape[0]))


def _write_row(
    row: Sequence[int], number: int, base: float, height: int, gap: float, slope: float, touching: bool,
    hand: Hand, rng: np.random.Generator,
) -> list[Written]:  # fmt: skip
    """From left to right on a base line, which is at `base` below that of the first row."""
    placed: list[Written] = []
    right = 0.0
    for digit in row:
        high = max(4, round(height * rng.uniform(0.85, 1.15)))
        cover = hand.scrawl(high) if digit == NO_DIGIT else hand.write(digit, high)
        top = round(base + height - cover.shape[0] + rng.normal(0, 0.04) * height + slope * right)
        left = round(right + gap * rng.uniform(0.5, 1.5))
        if placed and touching:
            before = placed[-1]
            free = gap_between(before.cover, cover, top - before.top)
            overlap = rng.uniform(0.0, 0.1) * height
            nested = min(free, cover.shape[1] // 2, before.cover.shape[1] // 2)
            left = before.left + before.cover.shape[1] - nested - round(overlap)
        placed.append(Written(digit, number, left, top, cover))
        right = left + cover.shape[1]
    return placed


def _on_a_sheet(placed: list[Written], layout: Layout, height: int, hand: Hand, rng: np.random.Generator) -> Page:
    """Shifts it so that it lies on a sheet with some room around."""
    left, top = min(w.left for w in placed), min(w.top for w in placed)
    width, depth = (
        max(w.left + w.cover.shape[1] for w in placed) - left,
        max(w.top + w.cover.shape[0] for w in placed) - top,
    )
    most = 3.0 if layout == "single" else 1.2
    room = [max(2, round(height * most * rng.beta(1, 2.5))) for _ in range(4)]
    page_width, page_height = width + room[0] + room[1], depth + room[2] + room[3]
    moved = [Written(w.digit, w.line, w.left - left + room[0], w.top - top + room[2], w.cover) for w in placed]
    digits = [w for w in moved if w.digit != NO_DIGIT]
    others = [w for w in moved if w.digit == NO_DIGIT]
    if rng.random() < 0.1:
        digit = int(rng.integers(10))
        cover = hand.write(digit, height)
        seen = round(cover.shape[1] * rng.uniform(0.1, 0.33))
        y = round(rng.uniform(0, page_height - 1))
        x = page_width - seen if rng.random() < 0.5 else seen - cover.shape[1]
        other = Written(digit, -1, x, y, cover)
        if not any(_near(other, w, height // 4) for w in moved):
            others.append(other)
    return Page(page_height, page_width, digits, others)


def _near(one: Written, other: Written, room: int) -> bool:
    """Whether their boxes come within `room` pixels of each other."""
    beside = one.left > other.left + other.cover.shape[1] + room or other.left > one.left + one.cover.shape[1] + room
    above = one.top > other.top + other.cover.shape[0] + room or other.top > one.top + one.cover.shape[0] + room
    return not (beside or above)


def box_of(cover: Cover) -> NDArray[np.float64]:
    """(n, 2): the corners of the convex hull of a digit's ink, x and y within its cover."""
    y, x = np.nonzero(cover > 0.3)
    if not len(y):
        return np.zeros((1, 2))
    ends = np.concatenate([[np.argmin(f), np.argmax(f)] for f in (x, y, x + y, x - y)])
    return np.column_stack([x[ends], y[ends]]).astype(np.float64)
