"""Digits in view → numbers, and the events of each: it appeared, it changed, it is gone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from edge_digits.limits import STABLE
from edge_digits.reading import Box, Record
from edge_digits.track import Seen, covered

GAP = 1.2
"""Heights between two digits of one number, at most …"""
LEVEL = 0.4
"""… of the smaller one's height that they must share …"""
TALLER = 2.5
"""… and times that one may be taller than the other."""
SAME_PLACE = 0.5
"""Share of the smaller box that two numbers share when they are the same one, though all its digits are new."""
_ROUNDING = 1e-6  # seconds: sums of times of a thirtieth of a second


@dataclass(frozen=True, slots=True)
class Event:
    """What became of a number."""

    event: Literal["appeared", "changed", "gone"]
    id: int
    """The number's own, from 1, while it is in view."""
    text: str
    """What it says; of one that is gone, what it said last."""
    box: Box
    time: float
    """Seconds of the source, when it was sure."""
    frame: int
    confidence: float
    """Of the least sure digit, 0 to 1."""

    def json(self) -> str:
        """One line, without its end."""
        record: Record = {
            "event": self.event, "id": self.id, "text": self.text, "box": list(self.box),
            "time": round(self.time, 4), "frame": self.frame, "confidence": round(self.confidence, 4),
        }  # fmt: skip
        return json.dumps(record)

    def line(self) -> str:
        """As text."""
        return f"{self.time:8.2f}  {self.event:8}  #{self.id}  {self.text}"


@dataclass(eq=False)
class Number:
    """A number that is followed."""

    digits: list[Seen]
    since: float
    """When it began to say what it says now; when it was missed first, while it is not there."""
    id: int = 0
    """0 until it is told."""
    told_digits: Sequence[Seen] = ()
    """When it last said what was told; none until it is told."""
    missing: bool = False

    @property
    def text(self) -> str:
        """What it says."""
        return _text(self.digits)

    @property
    def told(self) -> str | None:
        """What was told of it; None until it is told."""
        return _text(self.told_digits) if self.told_digits else None


class Chronicle:
    """Follows the numbers of one source and says what becomes of them."""

    def __init__(self, stable: float = STABLE) -> None:
        self._stable = stable
        self._numbers: list[Number] = []
        self._ids = 0

    @property
    def numbers(self) -> list[Number]:
        """In view, in reading order."""
        return [number for number in self._numbers if not number.missing]

    @property
    def settled(self) -> bool:
        """Whether nothing is to be told if all stays as it is."""
        return all(number.told == number.text and not number.missing for number in self._numbers)

    def update(self, digits: Sequence[Seen], time: float, frame: int) -> list[Event]:
        """What is to be told when these digits are in view at `time`, in seconds of the source, which never falls."""
        groups = group(digits)
        matched = self._match(groups)
        numbers = [self._follow(matched.get(index), members, time) for index, members in enumerate(groups)]
        missed = [number for number in self._numbers if number not in numbers and number.told is not None]
        for number in missed:
            if not number.missing:
                number.missing, number.since = True, time
        held = time - self._stable + _ROUNDING
        events = [self._event("gone", number, time, frame) for number in missed if number.since <= held]
        for number in numbers:
            if number.text != number.told and number.since <= held:
                kind: Literal["appeared", "changed"] = "appeared" if number.told is None else "changed"
                if number.told is None:
                    self._ids += 1
                    number.id = self._ids
                number.told_digits = number.digits
                events.append(self._event(kind, number, time, frame))
            elif number.text == number.told:
                number.told_digits = number.digits
        self._numbers = numbers + [number for number in missed if number.since > held]
        return events

    def end(self, time: float, frame: int) -> list[Event]:
        """The source is at its end: what is still in view is gone."""
        told = sorted((n for n in self._numbers if n.told is not None), key=lambda number: number.id)
        self._numbers = []
        return [self._event("gone", number, time, frame) for number in told]

    def _follow(self, number: Number | None, digits: list[Seen], time: float) -> Number:
        if number is None:
            return Number(digits, time)
        if number.missing or _text(digits) != number.text:
            number.since = time
        number.digits, number.missing = digits, False
        return number

    def _match(self, groups: Sequence[Sequence[Seen]]) -> dict[int, Number]:
        """Which group, by its index, is which number: by the digits that they share, else by their place."""
        pairs = []
        for index, members in enumerate(groups):
            mine = {track for track, _ in members}
            place = _around(members)
            for order, number in enumerate(self._numbers):
                shared = len(mine & {track for track, _ in number.digits})
                share = covered(place, _around(number.digits))
                if shared or share >= SAME_PLACE:
                    pairs.append((-shared, number.told is None, -share, order, index))
        matched: dict[int, Number] = {}
        taken: set[int] = set()
        for *_, order, index in sorted(pairs):
            if index not in matched and order not in taken:
                matched[index] = self._numbers[order]
                taken.add(order)
        return matched

    @staticmethod
    def _event(kind: Literal["appeared", "changed", "gone"], number: Number, time: float, frame: int) -> Event:
        confidence = min(digit.confidence for _, digit in number.told_digits)
        return Event(kind, number.id, number.told or "", _around(number.told_digits), time, frame, confidence)


def _text(digits: Sequence[Seen]) -> str:
    return "".join(str(digit.digit) for _, digit in digits)


def _around(digits: Sequence[Seen]) -> Box:
    boxes = [digit.box for _, digit in digits]
    left, top = min(box[0] for box in boxes), min(box[1] for box in boxes)
    right, bottom = max(box[0] + box[2] for box in boxes), max(box[1] + box[3] for box in boxes)
    return left, top, right - left, bottom - top


def group(digits: Iterable[Seen]) -> list[list[Seen]]:
    """The numbers that digits stand in, each from left to right; the numbers from top to bottom."""
    numbers: list[list[Seen]] = []
    for seen in sorted(digits, key=lambda seen: (seen[1].box[0], seen[0])):
        near = [(gap, index) for index, n in enumerate(numbers) if (gap := _gap(n[-1][1].box, seen[1].box)) is not None]
        if near:
            numbers[min(near)[1]].append(seen)
        else:
            numbers.append([seen])
    return sorted(numbers, key=lambda number: (number[0][1].box[1], number[0][1].box[0]))


def _gap(left: Box, right: Box) -> float | None:
    """Pixels between two digits; None where they are not of one number."""
    lower, higher = sorted((left[3], right[3]))
    level = min(left[1] + left[3], right[1] + right[3]) - max(left[1], right[1])
    gap = right[0] - (left[0] + left[2])
    return gap if level >= LEVEL * lower and higher <= TALLER * lower and gap <= GAP * higher else None
