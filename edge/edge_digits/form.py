r"""What the caller knows of a number: how many digits it has, or its pattern; and the reading that fits it best.

A pattern is a regular expression of digits: `\d` and `[0-3]` stand for one digit that is read, `7` for a seven, and
`{4}`, `{2,4}`, `?`, `+` and `*` repeat what stands before. Whatever else is in it, `:` or `\.` or a blank, is a mark
between the digits, which is not read: what has the shape of a digit there, as a slash has, is passed over.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral

from edge_digits.errors import UsageError
from edge_digits.ways import Part, Way

MOST = 1000
"""Digits that a pattern may have at most, repetitions without end apart."""
DROP = -8.0
"""What it is worth, in nats, to take a region for no digit so that the rest fits."""
MARK = -1.0
"""The same where the pattern has a mark: there mostly is none to pass over, as few have the shape of a digit."""
_TOKEN = re.compile(
    r"(?P<any>\\d)|\[(?P<set>[0-9-]+)\]|(?P<one>[0-9])|(?P<mark>\\[^\w]|[^\\\[\](){}?+*|^$\w]|\s)"
    r"|(?P<bad>.)", re.S,
)  # fmt: skip
_TIMES = re.compile(r"\{(\d{1,4})(,(\d{1,4})?)?\}|[?+*]")


@dataclass(frozen=True)
class Place:
    """One place of a form."""

    digits: frozenset[int]
    """Those that may stand there."""
    optional: bool = False
    repeated: bool = False
    """It may be filled any number of times."""


@dataclass(frozen=True)
class Fit:
    """A reading that fits a form."""

    digits: tuple[tuple[Part, int, float], ...]
    """Each part with its digit and how sure that is, 0 to 1, among those that may stand there."""
    dropped: tuple[Part, ...]
    """What was taken for no digit, so that the rest fits."""


class Form:
    """The form that a reading must have."""

    def __init__(self, text: str, places: Sequence[Place], marks: Sequence[int] = ()) -> None:
        self.text, self._places, self._marks = text, tuple(places), tuple(marks)

    def __str__(self) -> str:
        return self.text

    @classmethod
    def of_count(cls, count: int) -> Form:
        """So many digits. Raises UsageError where that is none."""
        if isinstance(count, bool) or not isinstance(count, Integral) or not 1 <= count <= MOST:
            raise UsageError(f"--count {count}: it must be a whole number, 1 to {MOST:,}")
        return cls(f"--count {count}", [Place(frozenset(range(10)))] * count)

    @classmethod
    def of_pattern(cls, pattern: str) -> Form:
        r"""A pattern such as `\d{2}:\d{2}`. Raises UsageError, with the place, for what it cannot be."""
        places: list[Place] = []
        marks: list[int] = []
        at = 0
        while at < len(pattern):
            token = _TOKEN.match(pattern, at)
            assert token is not None
            if token["bad"]:
                raise UsageError(
                    f"--pattern {_quoted(pattern)}: {token['bad']!r} at {at + 1} is none of \\d, [0-9], digits, "
                    "{2}, {2,4}, ?, + and *, nor a mark"
                )
            at = token.end()
            times = _TIMES.match(pattern, at)
            at = times.end() if times else at
            if token["mark"]:
                marks.append(len(places))
            else:
                places += _repeated(Place(_digits(pattern, token)), times, pattern)
        if not places:
            raise UsageError(f"--pattern {_quoted(pattern)}: there is no digit in it, such as \\d{{4}}")
        return cls(f"--pattern {pattern}", places, marks)

    def fit(self, regions: Sequence[Sequence[Way]]) -> Fit | None:
        """The likeliest reading of this form, from the ways to read each region; None where there is none."""
        best: dict[int, tuple[float, Fit]] = {0: (0.0, Fit((), ()))}
        for ways in regions:
            following: dict[int, tuple[float, Fit]] = {}
            for place, (worth, fit) in best.items():
                dropped = Fit(fit.digits, (*fit.dropped, *ways[0].parts))
                _keep(following, place, worth + DROP, dropped)
                for mark in self._marks_after(place):
                    _keep(following, mark, worth + MARK, dropped)
            for way in ways:
                reached = {place: (worth + way.worth, fit) for place, (worth, fit) in best.items()}
                for part in way.parts:
                    reached = self._read(part, reached, way.belief)
                for end, (total, longer) in reached.items():
                    _keep(following, end, total, longer)
            best = following
        ends = [found for place, found in best.items() if all(p.optional for p in self._places[place:])]
        return max(ends, key=lambda found: found[0])[1] if ends else None

    def _marks_after(self, place: int) -> list[int]:
        """The marks that may come next, once the digits before a place are read."""
        return [mark for mark in self._marks if mark >= place and all(p.optional for p in self._places[place:mark])]

    def _read(self, part: Part, reached: dict[int, tuple[float, Fit]], belief: float) -> dict[int, tuple[float, Fit]]:
        """One part more, from each place that was reached; `belief` is how sure it is that it is a digit of its own."""
        likeliest = float(part.probabilities.max())
        answers = {place.digits: _answer(part, place.digits) for place in set(self._places)}
        further: dict[int, tuple[float, Fit]] = {}
        come: tuple[float, Fit] | None = None  # the likeliest of all that may pass over the places up to here
        for place, here in enumerate(self._places):
            if place in reached and (come is None or reached[place][0] > come[0]):
                come = reached[place]
            if come is None:
                continue
            (worth, fit), (digit, given, sure) = come, answers[here.digits]
            total = worth + part.weights.parts * (math.log(max(given, 1e-9)) - math.log(likeliest))
            longer = Fit((*fit.digits, (part, digit, belief * sure)), fit.dropped)
            _keep(further, place + 1, total, longer)
            if here.repeated:
                _keep(further, place, total, longer)
            if not here.optional:
                come = None
        return further


def _answer(part: Part, digits: frozenset[int]) -> tuple[int, float, float]:
    """The likeliest of `digits`, its probability, and its share of all of theirs."""
    digit = max(digits, key=lambda digit: (float(part.probabilities[digit]), -digit))
    given = float(part.probabilities[digit])
    return digit, given, given / max(sum(float(part.probabilities[other]) for other in digits), 1e-9)


def _keep(found: dict[int, tuple[float, Fit]], place: int, worth: float, fit: Fit) -> None:
    if place not in found or worth > found[place][0]:
        found[place] = worth, fit


def _digits(pattern: str, token: re.Match[str]) -> frozenset[int]:
    if token["any"]:
        return frozenset(range(10))
    if token["one"]:
        return frozenset([int(token["one"])])
    try:
        matching = re.compile(f"[{token['set']}]")
    except re.error as error:
        raise UsageError(f"--pattern {_quoted(pattern)}: [{token['set']}]: {error}") from error
    return frozenset(digit for digit in range(10) if matching.match(str(digit)))


def _quoted(pattern: str) -> str:
    """On one line, but with the backslashes as they were typed."""
    return repr(pattern).replace("\\\\", "\\")


def _repeated(place: Place, times: re.Match[str] | None, pattern: str) -> list[Place]:
    optional = Place(place.digits, optional=True)
    endless = Place(place.digits, optional=True, repeated=True)
    if times is None:
        return [place]
    if times[0] in {"?", "+", "*"}:
        return {"?": [optional], "+": [place, endless], "*": [endless]}[times[0]]
    least = int(times[1])
    most = least if times[2] is None else int(times[3]) if times[3] else None
    if max(least, most or 0) > MOST:
        raise UsageError(f"--pattern {_quoted(pattern)}: {times[0]} repeats more than {MOST:,} times")
    if most is not None and most < least:
        raise UsageError(f"--pattern {_quoted(pattern)}: {times[0]} ends below where it begins")
    return [place] * least + ([endless] if most is None else [optional] * (most - least))
