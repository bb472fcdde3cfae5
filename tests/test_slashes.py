"""Slashes between digits, and ones that are none."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge_digits.find import Region
from edge_digits.slashes import set_slashes_apart
from edge_digits.ways import Part


def stroke(
    lean: float, height: int = 60, flag: bool = False, x: int = 0, line: int = 0, touching: bool = False, y: int = -10
) -> Part:
    """A straight stroke that the network takes for a 1, leaning to the right by a share of its height.

    The digits beside it are 60 pixels high, from y = 0 on.
    """
    width = round(abs(lean) * height)
    canvas = np.zeros((height + 20, width + 60), np.uint8)
    foot, head = (30, height + 10), (30 + width, 10)
    if lean < 0:
        foot, head = (30 + width, height + 10), (30, 10)
    cv2.line(canvas, foot, head, 255, 5, cv2.LINE_AA)
    if flag:
        cv2.line(canvas, head, (head[0] - 22, head[1] + 14), 255, 5, cv2.LINE_AA)
    return part(1, canvas, x, line, touching, y)


def digit(number: int, x: int = 0, height: int = 60, line: int = 0, slant: float = 0.0) -> Part:
    canvas = np.zeros((height + 20, height + 60), np.uint8)
    cv2.ellipse(canvas, (height // 2 + 20, height // 2 + 10), (height // 3, height // 2), 0, 0, 360, 255, 5)
    turn = np.array([[1, -slant, 0], [0, 1, 0]], np.float32)
    return part(number, np.asarray(cv2.warpAffine(canvas, turn, canvas.shape[::-1]), np.uint8), x, line)


def part(number: int, canvas: np.ndarray, x: int, line: int, touching: bool = False, y: int = 0) -> Part:
    rows, columns = np.flatnonzero(canvas.any(axis=1)), np.flatnonzero(canvas.any(axis=0))
    ink = np.ascontiguousarray(canvas[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    region = Region((x, y, ink.shape[1], ink.shape[0]), ink, line, touching)
    probabilities = np.full(10, 0.01, np.float32)
    probabilities[number] = 0.91
    return Part(region, np.zeros((28, 28), np.uint8), probabilities, 1.0)


def is_slash(middle: Part, slant: float = 0.0) -> bool:
    parts = [digit(5, 0, slant=slant), digit(0, 60, slant=slant), middle, digit(8, 180, slant=slant)]
    kept, slashes = set_slashes_apart(parts)
    assert len(kept) + len(slashes) == 4
    assert all(slash.reason == "a slash" and slash.box == middle.region.box for slash in slashes)
    return bool(slashes)


@pytest.mark.parametrize("lean", [0.38, 0.5, 0.7, 1.0])
@pytest.mark.parametrize("height", [75, 90])
def test_a_tall_stroke_that_leans_to_the_right_is_a_slash(lean: float, height: int) -> None:
    assert is_slash(stroke(lean, height, x=120))


@pytest.mark.parametrize(
    "one",
    [
        stroke(0.5, 60, x=120), stroke(0.25, 80, x=120), stroke(0.0, 90, x=120), stroke(-0.5, 80, x=120),
        stroke(0.4, 80, flag=True, x=120), stroke(0.5, 80, x=120, touching=True), stroke(0.5, 80, x=120, y=-25),
        stroke(0.5, 80, x=120, y=0),
    ],
    ids=[
        "as high as the others", "hardly leaning", "upright", "leaning to the left", "with a flag", "cut off another",
        "on the base line", "hanging low",
    ],
)  # fmt: skip
def test_a_one_is_no_slash(one: Part) -> None:
    assert not is_slash(one)


def test_a_one_in_a_hand_that_leans_is_no_slash() -> None:
    assert not is_slash(stroke(0.4, 80, x=120), slant=0.4)
    assert is_slash(stroke(0.8, 80, x=120), slant=0.4)


def test_what_stands_at_an_end_or_alone_is_no_slash() -> None:
    for parts in (
        [stroke(0.5, 80), digit(5, 60), digit(0, 120)],
        [digit(5, 0), digit(0, 60), stroke(0.5, 80, x=120)],
        [digit(5, 0, line=0), stroke(0.5, 80, x=60, line=1), digit(0, 120, line=2)],
        [stroke(0.5, 80)],
        [],
    ):
        assert set_slashes_apart(parts) == (parts, [])


def test_several_slashes_are_set_apart_in_their_lines() -> None:
    first = [digit(2, 0), stroke(0.5, 80, x=60), digit(3, 120), stroke(0.5, 80, x=180), digit(9, 240)]
    second = [digit(4, 0, line=1), stroke(0.1, 80, x=60, line=1), digit(6, 120, line=1)]
    kept, slashes = set_slashes_apart(first + second)
    assert kept == [first[0], first[2], first[4], *second]
    assert [slash.box for slash in slashes] == [first[1].region.box, first[3].region.box]
