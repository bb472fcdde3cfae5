from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge_digits.variations import AGAIN, STEPS, UNSURE, ask_again, vary


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


# ---- Asking again


def test_what_is_unsure_is_asked_again_and_nothing_else(tiles):
    chosen = tiles[:6].copy()
    first = np.full((6, 10), (1 - 0.9) / 9, np.float32)
    first[:, 3] = 0.9
    first[[1, 4], 3] = UNSURE - 0.01
    asked = []

    def classify(varied):
        asked.append(varied)
        return np.repeat(np.eye(10, dtype=np.float32)[[5, 6]], AGAIN - 1, axis=0)

    before = first.copy()
    answers = ask_again(chosen, first, classify)
    (varied,) = asked
    assert (varied == np.concatenate([vary(chosen[[i]], number) for i in (1, 4) for number in range(1, AGAIN)])).all()
    np.testing.assert_array_equal(first, before)
    np.testing.assert_array_equal(answers[[0, 2, 3, 5]], first[[0, 2, 3, 5]])
    for row, digit in ((1, 5), (4, 6)):
        expected = (first[row] + (AGAIN - 1) * np.eye(10)[digit]) / AGAIN
        np.testing.assert_allclose(answers[row], expected, atol=1e-6)


def test_what_is_all_unsure_is_asked_in_parts_with_the_same_answers(tiles):
    chosen = tiles[:: len(tiles) // 90]

    def classify(varied):
        counts = np.stack([(varied.sum(axis=(1, 2)) % k) + 1 for k in range(2, 12)], axis=1)
        return (counts / counts.sum(axis=1, keepdims=True)).astype(np.float32)

    unsure = np.full((len(chosen), 10), 0.1, np.float32)
    together = ask_again(chosen, unsure, classify)
    alone = [ask_again(chosen[i : i + 1], unsure[:1], classify)[0] for i in range(len(chosen))]
    np.testing.assert_array_equal(together, alone)
    assert len({row.tobytes() for row in together}) > 80


def test_where_all_is_sure_nobody_is_asked(tiles):
    sure = np.eye(10, dtype=np.float32)[[1, 2]]
    assert ask_again(tiles[:2], sure, lambda _: pytest.fail("asked")) is sure
    none = np.zeros((0, 10), np.float32)
    assert ask_again(tiles[:0], none, lambda _: pytest.fail("asked")) is none
