"""What is measured of ink is measured where it is, and is as if the whole picture had been."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from pictures import noisy, write_number

from edge_digits.find import GROUND_WINDOW
from edge_digits.ink import Ink, find_ink
from edge_digits.pieces import Piece, Slopes, connect


@pytest.mark.parametrize("share", [0, 0.001, 0.02, 0.5, 1])
def test_pieces_are_those_of_the_whole_picture_in_the_same_order(share: float) -> None:
    chance = np.random.default_rng(0)
    for _ in range(30):
        height, width = chance.integers(1, 90, 2)
        ink = np.where(chance.random((height, width)) < share, np.uint8(255), np.uint8(0))
        ink[: chance.integers(0, height)] = 0
        ink[:, : chance.integers(0, width)] = 0
        labels, pieces = connect(ink, 255)
        _, expected, stats, _ = cv2.connectedComponentsWithStatsWithAlgorithm(ink, 8, cv2.CV_32S, cv2.CCL_GRANA)
        np.testing.assert_array_equal(labels, expected)
        told = {piece.labels[0]: (*piece.box, piece.area) for piece in pieces}
        assert told == {i: tuple(row) for i, row in enumerate(stats.tolist()) if i and row[4] > 1}


@pytest.fixture(scope="module")
def inked() -> Ink:
    image = noisy(write_number("4017", height=40, size=(480, 640), kind="shaded").image, 6, 0)
    found = find_ink(image, GROUND_WINDOW, is_light=False)
    assert found is not None
    return found


def test_slopes_about_pieces_are_those_of_the_whole_picture(inked: Ink) -> None:
    everything = Piece([0], 0, 0, 640, 480, 1)
    whole = Slopes.of(inked, [everything])
    _, pieces = connect(inked.values, inked.level)
    for some in ([pieces[0]], pieces, [Piece([0], 0, 400, 9, 80, 1)]):
        part = Slopes.of(inked, some)
        x, y, width, height = part.box
        assert width * height < whole.sharp.size
        about = np.s_[y : y + height, x : x + width]
        np.testing.assert_array_equal(part.sharp[about], whole.sharp[about])
        np.testing.assert_array_equal(part.smooth[about], whole.smooth[about])


def test_slopes_are_measured_anew_only_for_pieces_beyond(inked: Ink) -> None:
    _, pieces = connect(inked.values, inked.level)
    slopes = Slopes.of(inked, pieces)
    assert slopes.about(pieces[:1]) is slopes
    beyond = [*pieces, Piece([0], 0, 0, 9, 9, 1)]
    assert slopes.about(beyond).box[:2] == (0, 0)
    assert Slopes.of(inked, []).box == (0, 0, 1, 1)
