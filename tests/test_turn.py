from __future__ import annotations

import numpy as np
import pytest
from pictures import Box, on_desk, write_number

from edge_digits import Reader
from edge_digits.desk import find_sheets
from edge_digits.find import find
from edge_digits.turn import FARTHEST, Turn, turn_of

CLOSE = 6
"""Pixels of the picture between a digit's box and its ink."""
DEGREES = (-40, -25, -12, 12, 25, 40)


def degrees_of(turn: Turn) -> float:
    """Clockwise."""
    return float(np.degrees(np.arctan2(-turn.matrix[0, 1], turn.matrix[0, 0])))


@pytest.mark.parametrize("desk", ["dark", "grey", "wooden"])
@pytest.mark.parametrize("degrees", DEGREES)
def test_a_turned_sheet_is_turned_back(desk: str, degrees: float) -> None:
    image = on_desk(write_number("407", height=60, size=(300, 460)), desk, degrees, 1)
    turn = turn_of(find_sheets(image), image.shape)
    assert turn is not None
    assert abs(degrees_of(turn) - degrees) < 1, "OpenCV turns anticlockwise"


@pytest.mark.parametrize("degrees", [-5, 0, 5])
def test_a_sheet_that_lies_straight_stays(degrees: float) -> None:
    image = on_desk(write_number("407", height=60, size=(300, 460)), "dark", degrees, 1)
    assert turn_of(find_sheets(image), image.shape) is None


def test_without_a_sheet_nothing_is_turned() -> None:
    image = write_number("4071", height=40, slope=0.5).image
    assert turn_of(find_sheets(image), image.shape) is None


def test_what_is_or_would_become_too_large_for_opencv_stays() -> None:
    image = on_desk(write_number("407", height=60, size=(300, 460)), "dark", 25, 1)
    for scale in (1, FARTHEST // max(image.shape) + 1):
        turn = turn_of(find_sheets(image), (scale * image.shape[0], scale * image.shape[1]))
        assert (turn is None) == (scale > 1)
    upright = Turn.by(25, image.shape).upright
    assert max(upright) > max(image.shape)
    largest = FARTHEST / max(upright)  # by which the upright picture just fits
    for scale in (0.99 * largest, 1.01 * largest):
        turn = turn_of(find_sheets(image), (round(scale * image.shape[0]), round(scale * image.shape[1])))
        assert (turn is None) == (scale > largest)


@pytest.mark.parametrize("degrees", DEGREES)
def test_boxes_lie_about_the_ink_in_the_picture_as_it_is(reader: Reader, degrees: float) -> None:
    image = on_desk(write_number("407", height=60, size=(300, 460), seed=1), "grey", degrees, 1)
    digits = reader.read(image).digits
    assert "".join(str(digit.digit) for digit in digits) == "407"
    inked = image < 100
    for x, y, width, height in (digit.box for digit in digits):
        rows, columns = np.nonzero(inked[y : y + height, x : x + width])
        assert len(rows) > width * height / 10
        assert max(columns.min(), rows.min(), width - columns.max(), height - rows.max()) <= CLOSE


def test_the_ink_is_shown_as_it_lies_in_the_picture() -> None:
    image = on_desk(write_number("40785", height=60, size=(300, 560), seed=2), "grey", 30, 1)
    found = find(image)
    assert found.ink is not None
    assert abs(found.ink.shape[0] / image.shape[0] - found.ink.shape[1] / image.shape[1]) < 0.01
    scale = found.ink.shape[0] / image.shape[0]
    rows, columns = np.nonzero(found.ink > 200)
    assert np.mean(image[np.rint(rows / scale).astype(int) - 1, np.rint(columns / scale).astype(int) - 1] < 150) > 0.8


@pytest.mark.parametrize("box", [(0, 0, 1, 1), (5, 7, 30, 20), (79, 59, 1, 1)])
def test_a_box_comes_back_to_where_it_was(box: Box) -> None:
    turn = Turn.by(30, (60, 80))
    x, y, width, height = box
    centre = turn.matrix @ (x + width / 2, y + height / 2, 1)
    left, top, right, bottom = turn.box((round(centre[0]), round(centre[1]), 1, 1))
    assert abs(left + right / 2 - x - width / 2) <= 1.5
    assert abs(top + bottom / 2 - y - height / 2) <= 1.5
