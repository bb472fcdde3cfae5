"""Letters as hands write them: strokes through a few points, print and cursive, none the same twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np

from edge_digits_train.synthesis.curves import Stroke, fit, smooth
from edge_digits_train.synthesis.pens import Cover, Pen, draw

TOP, WAIST, BASE, FOOT = 0.0, 4.0, 10.0, 14.0
"""Where capitals, small letters and descending strokes begin and end, y downwards."""

WAYS: Mapping[str, Sequence[str]] = {
    "A": ("0,10 4,0 8,10 / 1.7,6 6.3,6", "~0,10 1,4 4,0 7,4 7.5,10 / .5,6 7.3,6"),
    "a": (
        "~6,5 4,4 1,5 .5,8 2.5,10 5,9 6,5.5 / ~6,4 6,9 7.3,10",
        "~1,5 3,4 5.5,5 5.5,10 / ~5.5,6.5 2,7 .7,8.5 2.5,10 5.5,8.8",
        "~-3,9 1,5 4,4 1.5,5 .5,8.5 2,10 5,8 6,4.5 6,9 7,10 9,8.5",
    ),
    "C": (
        "~7.5,2 5.5,0 2.5,.5 .3,4 .5,8 3,10 6,9.8 7.8,8.3",
        "~5,2.5 6.5,3 7.3,1.5 5.5,0 2,1.5 .2,5.5 1.5,9.5 5,10 8,8",
    ),
    "c": ("~5.5,5 4,4 1.5,4.8 .5,7.5 2,10 4.5,9.8 6,8.7", "~-2,8.5 1.5,5 5,4 5.3,5.2 5,4 2,4.6 .7,8 2.5,10 6,9 7.5,8"),
    "d": (
        "~6.3,5.2 4,4 1,5 .5,8 2.5,10 5,9 6.3,6 / 6,0 6,10",
        "~-2,9 2,5 5,4.5 2,4.5 .5,8 2,10 5,8 6.5,0 6,8.5 7,10 9,8.5",
    ),
    "E": (
        "0,0 0,10 / -.4,0 6,0 / -.4,5 5,5 / -.4,10 6.3,10",
        "6,0 0,0 0,10 6,10 / -.4,5 5,5",
        "~6,1.2 4,0 1.5,.7 1.5,3.5 4,4.7 1,5.5 .2,8 2,10 5,9.8 7,8.3",
    ),
    "e": (
        "~.8,7 6,7 5.5,4.7 3.3,4 1,5.2 .6,8 2.5,10 5,9.9",
        "~-2,9.5 3,8 5.3,5.5 4,4 2,5 1.5,8 3,10 6,9.5 8,8",
    ),
    "F": ("0,0 0,10 / -.4,0 6.5,0 / -.4,4.8 5,4.8", "6.5,0 0,0 0,10 / -1,5 4.5,5"),
    "f": ("~6,1 4.8,0 3,1 2.7,4 2.7,10 / .5,4.3 5.5,4.3", "~6.5,1 5,0 3.8,2 3,9 2,13 0,13.5 / 1,4.6 6,4.4"),
    "H": (
        "0,0 0,10 / 6.5,0 6.5,10 / -.4,5 6.9,5",
        "0,0 0,10 / 6.5,0 6.5,10 / -1,4.8 7.5,4.6",
        "~0,1 1.5,.3 1.7,4 1,9.5 0,9.8 / ~7,0 5.5,4 5.3,9 6.5,10 8,9 / ~1,5.7 3,4.6 6,5",
    ),
    "h": (
        "~0,0 0,5 0,10 .3,7 2.2,4.3 4.5,4.7 5,7 5,10",
        "~-2,9.5 2,5 3,1 1.8,.3 1,3 .7,10 .9,8 2.5,5 4.5,5 4.7,9 5.5,10 7.5,8.8",
    ),
    "i": ("~-3,9.5 1,4.5 1,9 2,10 4,8.5 / ~1.5,1.5 2,1.9 1.5,1.9",),
    "J": ("1.5,0 7.5,0 / ~4.5,0 4.5,7 3.5,9.7 1.5,10 0,8",),
    "j": (
        "~2.5,4.3 2.6,11 1.2,13.7 -1.2,13.3 -2.3,11.3 / ~2.6,1.6 3.1,2 2.6,2",
        "~-1,8 2.5,4.3 2.3,11 .8,14 -1,13 0,11 5,8.5 / ~2.9,1.6 3.4,2 2.9,2",
    ),
    "K": ("0,0 0,10 / 6,0 -.4,5.5 6.3,10", "0,0 0,10 / ~6,0 4,3.5 -.4,5.6 / ~1.2,5 4,7 5,9.5 7,9.8"),
    "k": (
        "0,0 0,10 / 4.5,4 -.4,7.2 5,10",
        "~.3,0 0,5 0,10 .2,7.5 2,5 4,4.3 4.3,6 .3,7.3 / ~.5,7.2 3,8 4,9.8 6,9.3",
    ),
    "L": ("0,0 0,10 6,10", "~.3,0 .2,5 0,9.6 .4,10 6,9.6"),
    "M": (
        "0,10 0,0 4,7 8,0 8,10",
        "0,10 1.5,0 4.5,10 7.5,0 9,10",
        "~0,10 1.3,.5 2.5,1 4,9 6,1 7,.5 8.5,9.5 9.5,9.7",
    ),
    "m": (
        "~0,4 0,7 0,10 .3,6.5 1.7,4.2 3.3,5 3.5,10 3.8,6.5 5.3,4.2 7,5 7,10",
        "~-2,8.5 -.3,4.3 .6,6 .7,10 .8,8 2,4.5 3.3,4.8 3.5,10 3.6,8 5,4.5 6.5,4.8 6.7,9.3 7.5,10 9,8.8",
    ),
    "N": (
        "0,10 0,0 6.5,10 6.5,0",
        "0,0 0,10 / -.3,-.3 6.8,10.3 / 6.5,10 6.5,0",
        "~-.5,10 .5,8 1.2,.5 2,1 5.5,9.5 6.2,9 7,1 8.5,.3",
    ),
    "n": (
        "~0,4 0,7 0,10 .3,6.5 2.2,4.2 4.4,4.8 4.8,7 4.8,10",
        "~-2.5,8.5 -.5,4.4 .3,6 .3,10 .4,8 2.5,4.5 4.3,4.8 4.5,9.2 5.5,10 7.5,8.8",
    ),
    "P": (
        "0,0 0,10 / ~-.4,0 4,0 6,1.3 6,3.8 4,5.3 -.4,5.4",
        "~.3,.5 .2,10 / ~-1.5,1.5 1.5,-.2 5,.2 6,2.5 4.5,5 -.2,5.6",
    ),
    "p": (
        "0,4 0,14 / ~-.4,5.8 2.5,4 5,5 5.3,7.5 4,9.7 2,10 -.4,8.6",
        "~-2.5,9 0,4 -.4,13.8 / ~-.4,6.3 2.5,4.2 4.8,5 4.8,8.5 2.5,10 -.4,8.8",
    ),
    "Q": (
        "~4,0 1,1.5 0,5 1,8.5 4,10 7,8.5 8,5 7,1.5 4,0 / 5,7 9,11",
        "~4,0 1,1.5 0,5 1,8.5 4,10 7,8.5 8,5 7,1.5 4,0 / ~4,7 6,8.5 9.5,11",
    ),
    "R": (
        "0,0 0,10 / ~-.4,0 4,0 6,1.2 5.8,4 4,5 -.4,5.2 / 2.2,4.8 6.3,10",
        "~.3,.3 .2,10 / ~-1,1.3 2,-.2 5.5,.5 5.5,3.5 -.1,5.2 3,6 5,9.3 7.5,9.8",
    ),
    "r": ("~0,4 0,7 0,10 .3,6.8 1.5,4.6 3,4.1 4.3,4.8", "~-1.5,9.5 1,5 1.3,3.8 2,4.8 4.5,5 4,7 4.2,9.5 5.5,10 7,8.8"),
    "T": ("0,0 8,0 / 4,0 4,10", "0,1.4 0,0 8,0 8,1.4 / 4,0 4,10 / 2.5,10 5.5,10"),
    "t": ("~2.5,.5 2.5,8.5 3.5,10 5.5,9.3 / 0,3.7 5.3,3.6", "~-1.5,9.5 2,5 2.7,.5 2.4,8.5 3.5,10 6,8.7 / .5,3.3 5.5,3"),
    "U": ("~0,0 0,6.5 1.5,9.6 4,10 6,8.5 6.5,5 6.5,0", "~0,0 0,6.5 1.5,9.6 4,10 6,8 6.5,4 6.5,0 6.5,5 6.5,10"),
    "u": (
        "~0,4 0,8 1.5,10 4,9.4 5,7 5,4 5,7 5,10",
        "~-2.5,8.5 0,4.3 0,8.5 1.5,10 4,8.5 4.8,4.3 4.8,9 6,10 8,8.7",
    ),
    "V": ("0,0 3.7,10 7.5,0", "~-.8,.8 .5,.2 3.5,9.8 4.2,9.5 7,.3 8.5,.7"),
    "v": ("0,4 3,10 6,4", "~0,4 2.5,9.8 3.1,9.7 5,4.3 6.5,4.7"),
    "W": ("0,0 2.2,10 4.5,2 6.8,10 9,0", "~0,0 1,8.5 2.3,10 4.4,7 4.5,3 5,8 6.5,10 8.5,6 9,0"),
    "w": ("0,4 2,10 4,5 6,10 8,4", "~0,4 .5,8.5 2,10 4,8.5 4.2,5 4.5,8.5 6,10 8,8 8.2,4"),
    "X": ("0,0 7,10 / 7,0 0,10", "~-.8,1 .8,.2 6,9.6 7.8,9 / 7,.2 0,10"),
    "x": (
        "0,4 5.5,10 / 5.5,4 0,10",
        "~0,4.8 1.3,4.2 4.5,9.8 6.3,9.2 / 5.5,4.2 .2,10",
        "~0,4.3 2,4.5 2.8,7 2,9.6 0,10 / ~5.7,4.2 3.7,4.8 2.9,7 3.7,9.6 5.9,9.7",
    ),
    "Y": ("0,0 3.7,5 / 7.5,0 3.7,5 3.7,10",),
    "y": ("0,4 3,9.7 / 6,4 1.5,14", "~-1.5,7 0,4.3 .2,8.3 1.8,9.7 4.2,8 5,4.3 4.8,11 3,14 1.3,12.5 3,10.5 8,8"),
}  # fmt: skip
"""Each letter in print and, after that, as it is joined to others: strokes with their points x,y, 0 to 10 from the top
to the base line; ~ before those that are curves. Without ways in which a letter is a digit, too: an f of two loops is
an 8, a y of two straight strokes to one foot a 4, an F with a bow a barred 7, an i with serifs a 1 where its dot
is lost, a stem that stands apart a 1, an A whose legs part a 4, a cursive Q a 2."""

_JITTER, _APART, _FAR_APART = 0.3, 0.2, 0.6
"""Of each point; of a whole stroke; of one in ten strokes, which miss what they should join."""


def write(letter: str, height: int, pen: Pen, rng: np.random.Generator) -> Cover:
    """A letter of WAYS, cropped, its longer side some `height` pixels."""
    return draw(fit(strokes_of(letter, rng)), height, pen, rng)


def write_any(height: int, pen: Pen, rng: np.random.Generator) -> Cover:
    """Any letter."""
    return write(_any_letter(rng), height, pen, rng)


def write_joined(height: int, pen: Pen, rng: np.random.Generator) -> Cover:
    """Two to four letters side by side, so near that they touch, or joined by a stroke."""
    strokes: list[Stroke] = []
    joined = rng.random() < 0.6
    for _ in range(int(rng.integers(2, 5))):
        letter = strokes_of(_any_letter(rng), rng)
        if strokes:
            right, left = (np.concatenate(part)[:, 0] for part in (strokes, letter))
            beside = np.array([right.max() - left.min() + rng.normal(0, 0.8), 0])
            letter = [stroke + beside for stroke in letter]
            if joined:
                strokes.append(smooth(np.array([strokes[-1][-1], letter[0][0]])))
        strokes += letter
    return draw(fit(strokes, widest=1.6), height, pen, rng)


def strokes_of(letter: str, rng: np.random.Generator) -> list[Stroke]:
    """The strokes of a letter of WAYS as a hand may write them this time."""
    ways = WAYS[letter]
    return vary(ways[int(rng.integers(len(ways)))], rng, rounded=rng.random() < 0.2)


def vary(way: str, rng: np.random.Generator, *, rounded: bool = False) -> list[Stroke]:
    """A drawing in the notation of WAYS, its points moved, its ends longer or shorter, its proportions changed.

    `rounded`: its corners, too.
    """
    strokes = []
    for points, curved in _parsed(way):
        far = _FAR_APART if rng.random() < 0.1 else _APART
        moved = points + rng.normal(0, _JITTER, points.shape) + rng.normal(0, far, 2)
        ends = rng.uniform(-0.12, 0.2, (2, 1))
        moved[[0, -1]] += ends * (moved[[0, -1]] - moved[[1, -2]])
        if curved or rounded:
            moved = smooth(moved)
        strokes.append(moved)
        if rng.random() < 0.03:  # gone over once more
            strokes.append(moved + rng.normal(0, 0.5, 2))
    return _lean(strokes, rng)


def _lean(strokes: list[Stroke], rng: np.random.Generator) -> list[Stroke]:
    """Narrow or wide, with a high or a low waist, long or short below the line, slanted and turned."""
    waist, foot = rng.normal(WAIST, 0.9), rng.uniform(12, 16)
    turn, slant = np.deg2rad(rng.normal(0, 5)), rng.normal(0.12, 0.18)
    linear = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    linear = linear @ np.array([[np.exp(rng.normal(0, 0.2)), -slant], [0, 1]])
    leaning = []
    for stroke in strokes:
        x, y = stroke.T
        y = y + np.interp(y, (TOP, WAIST, BASE, FOOT), (0, waist - WAIST, 0, foot - FOOT))
        leaning.append(np.column_stack([x, y]) @ linear.T)
    return leaning


def _any_letter(rng: np.random.Generator) -> str:
    letters = "".join(WAYS)
    return letters[int(rng.integers(len(letters)))]


@cache
def _parsed(way: str) -> list[tuple[Stroke, bool]]:
    """The points of each stroke, and whether it is a curve."""
    strokes = [part.strip() for part in way.split("/")]
    return [
        (np.array([point.split(",") for point in stroke.lstrip("~").split()], float), stroke.startswith("~"))
        for stroke in strokes
    ]
