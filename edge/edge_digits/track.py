"""Digits from frame to frame: each is followed, and its answers vote.

A digit is in view when it was seen in most of the frames of the last moments, and is what it was taken for on average
over them. Both are leaky averages. Digits are matched by where they were heading, as in SORT
(Bewley and others, 2016), but by the distance of their middles and by their sizes: small boxes that move seldom
overlap.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

import numpy as np
from numpy.typing import NDArray

from edge_digits.reading import Box, Digit

SEEN, VOTED = 0.12, 0.2
"""Seconds after which that a digit was seen, and what it was taken for, has lost two thirds of its weight."""
LONGEST_STEP = 0.08
"""Seconds that one reading may stand for, so that no single one decides."""
COMES, GOES = 0.5, 0.3
"""Share of the last readings in which a digit must be seen to come into view, and to stay in it."""
TURNS, REMEMBERED = 1.5, 0.5
"""A digit that has changed its answer more often within so many seconds, older changes counted less, is not sure."""
AHEAD = 0.2
"""Seconds that a digit is taken to go on as it went."""
AGREED = 0.75
"""Share of the last readings from which on more of them would change nothing."""
FORGOTTEN = 0.1
"""The share below which a digit is no longer looked for."""
REACH = 0.75
"""Sides of itself that a digit may be off the place where it is looked for …"""
LARGER = 1.6
"""… and times that it may be larger or smaller."""
UNLIKE = 0.5
"""Sides off its place that speak as loud against a match as another answer."""
COVERED = 0.5
"""Share of a box that lies within another's: both cannot be digits."""


Seen = tuple[int, Digit]
"""A digit with the number of its track."""


@dataclass(eq=False)
class Track:
    """One digit that is followed."""

    number: int
    last: Digit
    """As it was seen last …"""
    seen: float
    """… and when, in seconds of the source."""
    weight: float = 0.0
    """Of the answers so far, up to 1."""
    answers: NDArray[np.float64] = field(default_factory=lambda: np.zeros(10))
    """The weighted sum of their probabilities."""
    presence: float = 0.0
    """Share of the last readings in which it was seen."""
    in_view: bool = False
    turns: float = 0.0
    """How often its answer has changed of late."""
    velocity: tuple[float, float] = (0.0, 0.0)
    """Pixels a second, to the right and down."""

    @property
    def box(self) -> Box:
        """Where it was seen last."""
        return self.last.box

    @property
    def is_settled(self) -> bool:
        """In view, and taken for what it was taken for last."""
        agreed = float(self.answers[self.last.digit]) > AGREED * self.weight
        return self.in_view and self.presence > AGREED and agreed

    def expected(self, time: float) -> Box:
        """Where it is looked for."""
        x, y, width, height = self.box
        ahead = min(time - self.seen, AHEAD)
        return round(x + ahead * self.velocity[0]), round(y + ahead * self.velocity[1]), width, height

    @property
    def digit(self) -> Digit:
        """As the average of its answers says, where it was seen last."""
        mean = self.answers / self.weight
        likeliest = int(mean.argmax())
        return Digit(likeliest, float(mean[likeliest]), self.box, 0, tuple(float(p) for p in mean))


class Tracker:
    """Follows the digits of one source; what it says depends on the readings and their times alone."""

    def __init__(self) -> None:
        self._tracks: list[Track] = []
        self._count = 0
        self._time: float | None = None

    def update(self, digits: Sequence[Digit], time: float) -> None:
        """What a frame says, at `time` in seconds of the source."""
        # What the first frame says is all that is known.
        step = min(time - self._time, LONGEST_STEP) if self._time is not None else math.inf
        share, vote, kept = 1 - math.exp(-step / SEEN), 1 - math.exp(-step / VOTED), math.exp(-step / REMEMBERED)
        pairs = self._match(digits, time)
        for place, track in enumerate(self._tracks):
            seen = digits[pairs[place]] if place in pairs else None
            track.presence += share * ((seen is not None) - track.presence)
            track.turns *= kept
            if seen is not None:
                _see(track, seen, time, vote)
        common = _common_velocity([track for place, track in enumerate(self._tracks) if place in pairs])
        matched = set(pairs.values())
        for index, digit in enumerate(digits):
            if index not in matched:
                self._count += 1
                track = Track(self._count, digit, time, velocity=common, presence=share)
                _vote(track, digit, vote)
                self._tracks.append(track)
        self._tracks = [track for track in self._tracks if track.presence >= FORGOTTEN]
        for track in self._tracks:
            track.in_view = track.presence > (GOES if track.in_view else COMES) and track.turns < TURNS
        self._time = time

    @property
    def settled(self) -> bool:
        """Whether further readings like the last would change nothing of what is in view."""
        return all(track.is_settled for track in self._tracks)

    def in_view(self) -> list[Seen]:
        """The digits, each with a number that stays its own; of two in one place, the one that is seen more often."""
        found: list[Seen] = []
        for track in sorted(self._tracks, key=lambda track: (-track.presence, track.number)):
            if track.in_view and not any(covered(track.box, other.box) > COVERED for _, other in found):
                found.append((track.number, track.digit))
        return sorted(found, key=lambda pair: pair[0])

    def _match(self, digits: Sequence[Digit], time: float) -> dict[int, int]:
        """Which track, by its place, is which digit, by its index: the best pair first."""
        pairs = []
        for place, track in enumerate(self._tracks):
            expected, mean = track.expected(time), track.answers / track.weight
            for index, digit in enumerate(digits):
                off = _distance(expected, digit.box)
                if off is not None:
                    unlike = 1.0 - float(mean @ np.asarray(digit.probabilities))
                    pairs.append((off + UNLIKE * unlike, place, index))
        matched: dict[int, int] = {}
        taken: set[int] = set()
        for _, place, index in sorted(pairs):
            if place not in matched and index not in taken:
                matched[place] = index
                taken.add(index)
        return matched


def _see(track: Track, digit: Digit, time: float, share: float) -> None:
    elapsed = time - track.seen
    if elapsed > 0:
        moved = [(new + side / 2) - (old + was / 2) for old, new, was, side in _sides(track.box, digit.box)]
        x, y = (0.5 * (old + way / elapsed) for old, way in zip(track.velocity, moved, strict=True))
        track.velocity = (x, y)
    track.turns += digit.digit != track.last.digit
    track.last, track.seen = digit, time
    _vote(track, digit, share)


def _vote(track: Track, digit: Digit, share: float) -> None:
    track.weight += share * (1 - track.weight)
    track.answers += share * (np.asarray(digit.probabilities) - track.answers)


def _sides(old: Box, new: Box) -> list[tuple[int, int, int, int]]:
    """Across and down: where the old and the new box begin, and how long they are."""
    return [(old[axis], new[axis], old[axis + 2], new[axis + 2]) for axis in (0, 1)]


def _common_velocity(tracks: Sequence[Track]) -> tuple[float, float]:
    """Of most digits: a sheet moves as a whole."""
    if not tracks:
        return 0.0, 0.0
    return median(track.velocity[0] for track in tracks), median(track.velocity[1] for track in tracks)


def _distance(expected: Box, box: Box) -> float | None:
    """Between the middles, in sides; None where it is too far, or the one is much larger than the other."""
    was, side = max(expected[2:]), max(box[2:])
    if max(was, side) > LARGER * min(was, side):
        return None
    x, y = ((new + length / 2) - (old + before / 2) for old, new, before, length in _sides(expected, box))
    off = 2 * math.hypot(x, y) / (was + side)
    return off if off <= REACH else None


def covered(box: Box, other: Box) -> float:
    """The share of the smaller one that both cover."""
    across, down = (
        min(b + side, o + other_side) - max(b, o)
        for b, o, side, other_side in _sides(box, other)
    )  # fmt: skip
    smaller = min(box[2] * box[3], other[2] * other[3])
    return max(0, across) * max(0, down) / max(1, smaller)
