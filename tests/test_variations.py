from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge_digits.variations import STEPS, vary


def test_first_variation_is_the_tile_itself(tiles):
    assert (vary(tiles[:50], 0) == tiles[:50]).all()


@pytest.mark.parametrize("number", range(1, len(STEPS)))
def test_variation_is_what_opencv_makes_of_the_same_step(tiles, number):
    right, down, degrees = STEPS[number]
    matrix = cv2.getRotationMatrix2D((13.5, 13.5), -degrees, 1)  # OpenCV turns counter-clockwise
    matrix[:, 2] += right, down
    varied = vary(tiles[:50], number)
    assert (varied.dtype, varied.shape) == (np.uint8, (50, 28, 28))
    for tile, found in zip(tiles[:50], varied, strict=True):
        expected = cv2.warpAffine(tile, matrix, (28, 28), flags=cv2.INTER_LINEAR)
        difference = np.abs(found.astype(int) - expected)
        assert difference.max() <= 14  # OpenCV rounds places to 1/32 of a pixel
        assert difference.mean() < 0.5
        assert (found != tile).any()


def test_whole_shifts_move_pixels_and_change_none(tiles):
    shifted = vary(tiles[:50], STEPS.index((1, 0, 0)))
    assert (shifted[:, :, 1:] == tiles[:50, :, :-1]).all()
    assert not shifted[:, :, 0].any()
    raised = vary(tiles[:50], STEPS.index((0, -1, 0)))
    assert (raised[:, :-1] == tiles[:50, 1:]).all()


def test_steps_go_to_either_side_alike():
    assert len(set(STEPS)) == len(STEPS)
    for right, down, degrees in STEPS:
        assert (-right, -down, -degrees) in STEPS


def test_white_stays_white_and_nothing_overflows():
    white = np.full((1, 28, 28), 255, np.uint8)
    for number in range(len(STEPS)):
        assert (vary(white, number)[0, 6:22, 6:22] == 255).all()


def test_variation_that_there_is_not_is_refused(tiles):
    with pytest.raises(IndexError):
        vary(tiles[:1], len(STEPS))
