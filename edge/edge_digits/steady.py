"""Frames → what is steadily read in them: the reader's answers, voted over time, and the events of numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge_digits.events import LEVEL, Chronicle, Event
from edge_digits.limits import STABLE
from edge_digits.reader import Trace
from edge_digits.reading import Box, Digit, Reading, Rejected
from edge_digits.still import Gate
from edge_digits.tiles import SIDE
from edge_digits.track import Tracker
from edge_digits.video import Frame, Image

LOWEST_PART, MANY = 0.5, 4
"""What is cut out of ink is no digit if it is lower than this share of the usual height, where so many digits tell."""


class FrameReader(Protocol):
    """What reads a frame: a Reader, or anything like one."""

    def trace(self, image: Image, /) -> Trace:
        """What `image`, (H, W, 3) BGR or (H, W) uint8, says."""


@dataclass(frozen=True, eq=False)
class Look:
    """What is known once a frame is looked at."""

    frame: Frame
    reading: Reading
    """The digits in view, in lines; what was rejected."""
    events: list[Event]
    """What is to be told now."""
    is_read: bool
    """Whether this frame itself was read; else nothing had changed since the last that was."""
    tiles: dict[Box, NDArray[np.uint8]] = field(default_factory=dict)
    """What the network saw of each digit in the last frame that was read, (28, 28), by its box."""
    told: frozenset[Box] = frozenset()
    """The boxes of digits in numbers that were told as they stand."""

    def tile(self, digit: Digit) -> NDArray[np.uint8] | None:
        """What the network saw of a digit; None where the last reading missed it."""
        return self.tiles.get(digit.box)


class SteadyReader:
    """Reads a source's frames, in order; what it says depends on their pixels and times alone."""

    def __init__(self, reader: FrameReader, *, stable: float = STABLE, every: bool = False) -> None:
        """`stable`: seconds that a reading must hold before it is told. `every`: read each frame, changed or not."""
        self._reader = reader
        self._gate = Gate(every=every)
        self._tracker = Tracker()
        self._chronicle = Chronicle(stable)
        self._rejected: tuple[Rejected, ...] = ()
        self._tiles: dict[Box, NDArray[np.uint8]] = {}
        self._last = 0.0, 0

    def look(self, frame: Frame) -> Look:
        """The next frame."""
        is_read = self._gate.opens(frame, settled=self._tracker.settled and self._chronicle.settled)
        if is_read:
            trace = self._reader.trace(frame.image)
            digits, self._rejected = _believable(trace)
            boxes = {digit.box for digit in digits}
            tiles = zip(trace.regions, trace.tiles, strict=True)
            self._tiles = {region.box: tile for region, tile in tiles if region.box in boxes}
            self._tracker.update(digits, frame.time)
        events = self._chronicle.update(self._tracker.in_view(), frame.time, frame.number)
        self._last = frame.time, frame.number
        return self._look(frame, events, is_read)

    def end(self) -> list[Event]:
        """The source is at its end: what is to be told of what was in view."""
        return self._chronicle.end(*self._last)

    def _look(self, frame: Frame, events: list[Event], is_read: bool) -> Look:
        numbers = self._chronicle.numbers
        digits = [digit for number in numbers for _, digit in number.digits]
        told = frozenset(digit.box for number in numbers if number.told == number.text for _, digit in number.digits)
        return Look(frame, Reading(in_lines(digits), self._rejected), events, is_read, self._tiles, told)


def in_lines(digits: Iterable[Digit]) -> tuple[Digit, ...]:
    """Digits in reading order, with their lines: what stands beside each other, however far apart, as in a picture."""
    lines: list[list[Digit]] = []
    for digit in sorted(digits, key=lambda digit: digit.box):
        best = max(lines, key=lambda line: _level(line[-1].box, digit.box), default=None)
        if best is not None and _level(best[-1].box, digit.box) > LEVEL:
            best.append(digit)
        else:
            lines.append([digit])
    lines.sort(key=lambda line: sum(digit.box[1] + digit.box[3] / 2 for digit in line) / len(line))
    return tuple(replace(digit, line=number) for number, line in enumerate(lines) for digit in line)


def _level(left: Box, right: Box) -> float:
    """The share of the lower one's height that two boxes share."""
    return (min(left[1] + left[3], right[1] + right[3]) - max(left[1], right[1])) / max(1, min(left[3], right[3]))


def _believable(trace: Trace) -> tuple[list[Digit], tuple[Rejected, ...]]:
    """The digits of a reading that a video is to follow, and what is rejected, with the others."""
    height, width = trace.image.shape[:2]
    if (height, width) == (SIDE, SIDE):  # a tile fills its picture
        return list(trace.reading.digits), trace.reading.rejected
    parts = {region.box for region in trace.regions if region.touching}
    whole, cut = _inside(trace.reading.digits, parts, width, height)
    singles = [digit.box[3] for digit in whole if digit.box not in parts]
    lowest = LOWEST_PART * median(singles) if len(singles) >= MANY else 0.0
    low = [digit for digit in whole if digit.box in parts and digit.box[3] < lowest]
    refused = [Rejected(digit.box, "cut by the frame's border") for digit in cut]
    refused += [Rejected(digit.box, "a part too small for a digit") for digit in low]
    return [digit for digit in whole if digit not in low], (*trace.reading.rejected, *refused)


def _inside(digits: Iterable[Digit], parts: set[Box], width: int, height: int) -> tuple[list[Digit], list[Digit]]:
    """The digits that are wholly in view, and those that the frame's border cuts, with all parts of the same ink.

    Those may be half a digit, or the edge of a sleeve or a wall: in a video the rest will come into view.
    """
    whole, cut = list[Digit](), list[Digit]()
    for digit in digits:
        x, y, w, h = digit.box
        (cut if x <= 0 or y <= 0 or x + w >= width or y + h >= height else whole).append(digit)
    for digit in cut:  # grows on the way
        if digit.box in parts:
            others = [other for other in whole if other.box in parts and _meet(digit.box, other.box)]
            whole = [other for other in whole if other not in others]
            cut += others
    return whole, cut


def _meet(a: Box, b: Box) -> bool:
    """Whether two boxes overlap, or but for two pixels do."""
    return all(a[axis] <= b[axis] + b[axis + 2] + 2 and b[axis] <= a[axis] + a[axis + 2] + 2 for axis in (0, 1))
