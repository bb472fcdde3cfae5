"""Drawings of things that are no digit: scribbles, shapes, marks, plants, fences, walls, signatures."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from edge_digits.opencv import cv2
from edge_digits_train.synthesis.curves import fit, smooth
from edge_digits_train.synthesis.letters import vary
from edge_digits_train.synthesis.pens import Cover, Pen, draw
from edge_digits_train.synthesis.strokes import HEIGHT, MARGIN, thin

MARKS: Mapping[str, str] = {
    "tick": "0,6 3,10 9,0",
    "bowed tick": "~0,6 1.5,7.5 3,10 6,4 10,0",
    "arrow": "0,5 10,5 / 7,2 10,5 7,8",
    "arrow to the left": "10,5 0,5 / 3,2 0,5 3,8",
    "arrow downwards": "1,0 9,9 / 9,4 9,9 4,9",
    "double arrow": "10,5 0,5 / 3,2 0,5 3,8 / 7,2 10,5 7,8",
    "bowed arrow": "~0,7 3,3 7,3 10,6 / 7,6 10,6 10,2.5",
    "broad arrow": "0,3 6,3 6,0 10,5 6,10 6,7 0,7 0,3",
    "square bracket": "3,0 0,0 0,10 3,10",
    "less": "7,0 0,5 7,10",
    "more": "0,0 7,5 0,10",
    "brace": "~4,0 2.3,.5 2.3,4 0,5 2.3,6 2.3,9.5 4,10",
    "hash": "2,0 1,10 / 6,0 5,10 / -1,3 8,3 / -1.5,7 7.5,7",
    "asterisk": "4,0 4,10 / 0,2 8,8 / 8,2 0,8",
    "plus": "4,0 4,8 / 0,4 8,4",
    "at": "~7,6 5,3 3,5 4,7.5 6,6.5 7,3.5 7,7 9,7 10,4 8,1 5,0 1,2 0,6 2,9 6,10 9,9",
    "euro": "~8,1.5 5.5,0 3,1.5 2,5 3,8.5 5.5,10 8,8.7 / 0,4 6,4 / 0,6 5.5,6",
    "root": "0,6 2,5 4,10 6,0 12,0",
    "sum": "7,1.2 7,0 0,0 4,5 0,10 7,10 7,8.8",
    "wave": "~0,5 2,3 4,5 6,7 8,5 9.5,3.3",
    "jagged line": "0,3 2.5,7 5,3 7.5,7 10,3",
    "triangle": "0,0 8,0 4,8 0,0",
    "heart": "~5.3,3.6 4,.8 2,0 0,1.5 .2,4.5 2,7 5.4,10.2 / ~4.7,3.6 6,.8 8,0 10,1.5 9.8,4.5 8,7 4.6,10.2",
    "broad heart": "~5,3 3,.3 .5,1 .3,4 3,7.5 5,9.8 7,7.7 9.3,4.5 9.7,1.2 7,0 5,3 4.8,4",
    "star": "5,0 6.5,3.5 10,3.8 7.3,6 8.2,10 5,7.8 1.8,10 2.7,6 0,3.8 3.5,3.5 5,0",
    "star of two triangles": "5,0 9.5,7.5 .5,7.5 5,0 / 5,10 .5,2.5 9.5,2.5 5,10",
    "star of strokes": "5,0 5,10 / 0,5 10,5 / 1.5,1.5 8.5,8.5 / 8.5,1.5 1.5,8.5",
    "star of four rays": "5,0 6,4 10,5 6,6 5,10 4,6 0,5 4,4 5,0",
    "note": "~1,8.5 0,8 0,9.3 1.5,9.6 2.5,8.5 1,8.2 .5,9 2,9 / 2.5,8.7 2.5,0 / ~2,-.1 5,2 4.5,5",
    "two notes": "2,8 2,0 8,0 8,8 / 2,1.6 8,1.6 / ~2,8 .5,7.2 -.5,8.5 1,9.3 2,8 / ~8,8 6.5,7.2 5.5,8.5 7,9.3 8,8",
    "leaf": "~5,0 2,3 1.5,7 5,10 8.5,7 8,3 5,0 / 5,0 5,13 / 5,4 3,3 / 5,7 7.5,5 / 5,8 2.5,6.5",
    "lying leaf": "~0,9 1,4 5,1 10,0 9,5 5,9 0,9 / -2,11 9,1 / 4,6 4,3 / 6,4 7,6",
    "fir": "5,0 2,4 4,4 1,7.5 9,7.5 6,4 8,4 5,0 / 4.3,7.5 4.3,10 5.7,10 5.7,7.5",
    "flower": "~5,5 3,3 4,0 6,0 7,3 5,5 8,3.5 10,5 8,7 5,5 7,8 6,10 4,10 3,8 5,5 2,7 0,5 2,3.5 5,5",
    "cloud": "~2,8 0,6.5 1,4 3,4 4,1.5 7,1.5 8,4 10,5 9.5,8 2,8",
    "house": "0,5 5,0 10,5 / 1,4.5 1,10 9,10 9,4.5 / 4,10 4,7 6,7 6,10",
    "fish": "~10,3 6,7 2,7 0,5 2,3 6,3 10,7 / 2,4.3 2.4,4.9",
    "envelope": "0,2 10,2 10,9 0,9 0,2 / 0,2 5,6 10,2",
    "man": "~5,0 3.8,1.2 5,2.5 6.2,1.2 5,0 / 5,2.5 5,6.5 / 1.5,4 8.5,4 / 5,6.5 2,10.5 / 5,6.5 8,10.5",
    "cup": "1,2 2,9.5 8,9.5 9,2 1,2 / ~9,3.5 11,4 11,6.5 8.6,7",
    "umbrella": "~0,5 2,1 5,0 8,1 10,5 / 0,5 10,5 / ~5,5 5,9 4,10 3,9",
    "water": "~0,3 1.5,1 3,3 4.5,1 6,3 7.5,1 9,3 / ~0,6 1.5,4 3,6 4.5,4 6,6 7.5,4 9,6 / 0,2.5 0,6",
}
"""Marks and doodles by hand, in the notation of `letters.WAYS`; none that is a digit if drawn in haste, as an arrow
that points up (a 1, a 7), an ampersand (an 8), a brace open to the left (a 3) or a tree with a round crown (a 9)."""


def mark(height: int, pen: Pen, rng: np.random.Generator) -> Cover:
    """A tick, an arrow, a bracket, a sign, a note, a heart, a star, a leaf, a house …"""
    return draw(fit(vary(MARKS[list(MARKS)[int(rng.integers(len(MARKS)))]], rng), widest=1.2), height, pen, rng)


def signature(height: int, pen: Pen, rng: np.random.Generator) -> Cover:
    """A tall letter's loop, waves of some height, now and then a line below."""
    count = int(rng.integers(4, 9))
    x = np.cumsum(rng.uniform(-1, 5, 2 * count))
    y = np.where(np.arange(2 * count) % 2, 10.0, rng.choice([0, 5, 6, 7], 2 * count)) + rng.normal(0, 1, 2 * count)
    y[0], y[rng.integers(2 * count)] = -3, 14
    strokes = [smooth(np.column_stack([x, y]))]
    if rng.random() < 0.4:
        ends = np.array([[x.min(), 12], [x.mean(), 12], [x.max(), 11]])
        strokes.append(smooth(ends + rng.normal(0, 1, (3, 2))))
    return draw(fit(strokes, widest=2.2), height, pen, rng)


def tuft(height: int, pen: Pen, rng: np.random.Generator) -> Cover:
    """Grass: blades that part from one foot."""
    blades = [np.array([[-1.5, 10.0], [1.5, 10.0]])]
    lean = rng.normal(0, 2)
    for foot in np.linspace(-1, 1, int(rng.integers(4, 10))):
        tip = np.array([foot * rng.uniform(1, 7) + lean, rng.uniform(-1, 5)])
        bow = np.array([foot * 1.2 + rng.normal(0, 0.4), rng.uniform(4, 8)])
        blades.append(smooth(np.array([[foot, 10.0], bow, tip])))
    return draw(fit(blades, widest=1.3), height, Pen(min(pen.width, 0.1), grain=pen.grain), rng)


def bricks(height: int, pen: Pen, rng: np.random.Generator) -> Cover:
    """The joints of a wall."""
    rows, long = int(rng.integers(2, 5)), rng.uniform(1.5, 3)
    wide = long * rng.uniform(1, 2.5)
    joints = [np.array([[0, y], [wide, y]]) for y in range(rows + 1)]
    for row in range(rows):
        at = np.arange(long * (row % 2) / 2 + rng.uniform(0, 0.2), wide, long)
        joints += [np.array([[x, row], [x, row + 1]]) for x in at]
    joints = [joint + rng.normal(0, 0.05, (2, 2)) for joint in joints]
    return _turned(joints, height, Pen(min(pen.width, 0.1), grain=pen.grain), rng)


def mesh(height: int, pen: Pen, rng: np.random.Generator) -> Cover:
    """Wires or threads that cross at a slant, some of them bent."""
    tall = rng.uniform(1, 1.8)
    wires = []
    for offset in np.arange(-2, 2.01, rng.uniform(0.4, 0.9)):
        for slope in (1, -1):
            ends = np.array([[offset - 0.7 * slope, -0.7], [offset, 0], [offset + 0.7 * slope, 0.7]])
            wires.append(smooth((ends + rng.normal(0, 0.03, (3, 2))) * (1, tall)))
    wires = [wire for wire in wires if np.abs(wire[:, 0]).max() < 1.5]
    return _turned(wires, height, Pen(min(pen.width, 0.06), grain=pen.grain), rng)


def bars(height: int, pen: Pen, rng: np.random.Generator) -> Cover:
    """Broad strokes side by side, upright or lying, which one or two others hold together."""
    count, turned = int(rng.integers(2, 6)), rng.random() < 0.5
    planks = [np.array([[x, 0.0], [x, rng.uniform(0.8, 1)]]) for x in np.arange(count) * rng.uniform(0.3, 0.5)]
    for y in rng.uniform(0.1, 0.8, int(rng.integers(1, 3))):
        planks.append(np.array([[-0.1, y], [planks[count - 1][0, 0] + 0.1, y]]))
    planks = [(plank + rng.normal(0, 0.02, (2, 2)))[:, :: -1 if turned else 1] for plank in planks]
    return draw(fit(planks, widest=1.5), height, Pen(rng.uniform(0.08, 0.2)), rng)


def _turned(lines: list[NDArray[np.float64]], height: int, pen: Pen, rng: np.random.Generator) -> Cover:
    turn = np.deg2rad(rng.normal(0, 12))
    linear = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return draw(fit([line @ linear for line in lines], widest=1.5), height, pen, rng)


def scribble(height: int, pen: Pen, rng: np.random.Generator) -> Cover:
    """A line that goes to and fro without aim."""
    stops = rng.uniform(0, HEIGHT, (int(rng.integers(7, 16)), 2))
    return _lines([smooth(stops)], height, pen, rng)


def spring(height: int, pen: Pen, rng: np.random.Generator) -> Cover:
    """Loops side by side, or one around another."""
    t = np.linspace(0, rng.uniform(3, 7) * 2 * np.pi, 200)
    if rng.random() < 0.5:
        x, y = t / t[-1] * HEIGHT + 12 * np.cos(t), HEIGHT / 2 + HEIGHT * rng.uniform(0.15, 0.45) * np.sin(t)
    else:
        x, y = (HEIGHT / 2 * (1 + t / t[-1] * f(t)) for f in (np.cos, np.sin))
    return _lines([np.column_stack([x, y])], height, pen, rng)


def zigzag(height: int, pen: Pen, rng: np.random.Generator) -> Cover:
    """Up and down, at least four strokes."""
    count = int(rng.integers(5, 10))
    x = np.linspace(0, HEIGHT, count) + rng.normal(0, 2, count)
    y = np.where(np.arange(count) % 2, HEIGHT * rng.uniform(0.6, 1), 0) + rng.normal(0, 5, count)
    return _lines([np.column_stack([x, y])], height, pen, rng)


def shape(height: int, pen: Pen, rng: np.random.Generator) -> Cover:
    """Triangles, squares, stars, arrows, crosses, houses."""
    corners = int(rng.integers(3, 5))  # of more, an outline is a 0
    turn = rng.uniform(0, 2 * np.pi)
    around = turn + np.arange(corners + 1) * 2 * np.pi / corners
    outline = HEIGHT / 2 * (1 + np.column_stack([np.cos(around), np.sin(around)]) * rng.uniform(0.6, 1, 2))
    lines = [outline]
    kind = rng.random()
    if kind < 0.25:  # a star
        around = turn + np.arange(6) * 4 * np.pi / 5
        lines = [HEIGHT / 2 * (1 + np.column_stack([np.cos(around), np.sin(around)]))]
    elif kind < 0.5:  # strokes that cross in the middle
        around = turn + np.arange(int(rng.integers(2, 5))) * np.pi / int(rng.integers(2, 5))
        ends = HEIGHT / 2 * np.column_stack([np.cos(around), np.sin(around)])
        lines = [np.array([HEIGHT / 2 - end, HEIGHT / 2 + end]) for end in ends]
        if len(lines) < 2:
            lines = [outline]
    elif kind < 0.65:  # with a diagonal
        lines = [outline, np.array([outline[0], outline[corners // 2]])]
    return _lines(lines, height, pen, rng)


def hatching(height: int, pen: Pen, rng: np.random.Generator) -> Cover:
    """Parallel strokes that something joins: a comb, a grid, a fence."""
    count = int(rng.integers(3, 7))
    at = np.linspace(0, HEIGHT, count)
    lean = rng.normal(0, 0.2) * HEIGHT
    lines = [np.array([[x, 0], [x + lean, HEIGHT]]) + rng.normal(0, 2, (2, 2)) for x in at]
    for _ in range(int(rng.integers(1, count))):
        y = rng.uniform(0, HEIGHT)
        lines.append(np.array([[-5, y], [HEIGHT + 5 + lean, y]]) + rng.normal(0, 3, (2, 2)))
    if rng.random() < 0.5:
        lines = [line[:, ::-1] for line in lines]
    return _lines(lines, height, Pen(min(pen.width, 0.08), grain=pen.grain), rng)


def smiley(height: int, pen: Pen, rng: np.random.Generator) -> Cover:
    """A circle with something in it, or rays about it."""
    t = np.linspace(0, 2 * np.pi, 40)
    centre, radius = HEIGHT / 2, HEIGHT / 2 * rng.uniform(0.55, 1)
    lines = [centre + radius * np.column_stack([np.cos(t), np.sin(t)])]
    kind = rng.random()
    if kind < 0.4:  # a face
        for side in (-0.35, 0.35):
            lines.append(centre + radius * (np.array([side, -0.3]) + np.array([[0, 0], [0, rng.uniform(0.05, 0.2)]])))
        mouth = np.linspace(0.2, 0.8, 12) * np.pi
        lines.append(centre + radius * 0.6 * np.column_stack([np.cos(mouth), np.sin(mouth)]))
    else:
        start, end = (0.0, rng.uniform(0.8, 1)) if kind < 0.7 else (1.0, rng.uniform(1.3, 1.8))
        for angle in rng.uniform(0, 2 * np.pi) + np.arange(int(rng.integers(3, 9))) * 2 * np.pi / 8:
            way = np.array([np.cos(angle), np.sin(angle)])
            lines.append(centre + radius * np.array([way * start, way * end]))
    return _lines(lines, height, pen, rng)


def tree(height: int, pen: Pen, rng: np.random.Generator) -> Cover:
    """Strokes that branch off from strokes."""
    lines = [np.array([[HEIGHT / 2, HEIGHT], [HEIGHT / 2 + rng.normal(0, 8), 0]])]
    for _ in range(int(rng.integers(4, 9))):
        stem = lines[int(rng.integers(len(lines)))]
        start = stem[0] + (stem[1] - stem[0]) * rng.uniform(0.2, 0.95)
        lines.append(np.array([start, start + rng.normal(0, 0.35 * HEIGHT, 2)]))
    return _lines(lines, height, pen, rng)


def _lines(lines: list[NDArray[np.float64]], height: int, pen: Pen, rng: np.random.Generator) -> Cover:
    """Polylines, (n, 2) each, x and y in 0 to HEIGHT, drawn with a pen."""
    canvas = np.zeros((2 * MARGIN + HEIGHT,) * 2, np.uint8)
    for line in lines:
        cv2.polylines(canvas, [np.rint(line + MARGIN).astype(np.int32)], False, 1, 1)
    canvas[[0, -1]] = canvas[:, [0, -1]] = 0
    return draw(thin(canvas > 0), height, pen, rng)
