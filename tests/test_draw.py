"""draw.py: what is drawn is legible on any ground, at any size, and leaves the image itself alone."""

from __future__ import annotations

import numpy as np
import pytest

from edge_digits.draw import draw_reading
from edge_digits.reading import Box, Digit, Reading, Rejected


def _reading(*boxes: Box, rejected: Box | None = None, confidence: float = 0.97) -> Reading:
    others = ((1 - confidence) / 9,) * 9
    digits = tuple(Digit(0, confidence, box, 0, (confidence, *others)) for box in boxes)
    return Reading(digits, (Rejected(rejected, "not a digit"),) if rejected else ())


def _changed(drawn: np.ndarray, image: np.ndarray) -> np.ndarray:
    """(H, W) bool: where anything was drawn on an image that was not enlarged."""
    color = np.broadcast_to(image if image.ndim == 3 else image[..., None], drawn.shape)
    return np.asarray(np.any(drawn != color, axis=2))


@pytest.mark.parametrize("shape", [(480, 640), (480, 640, 3)], ids=["gray", "color"])
def test_the_image_is_copied_and_the_drawing_is_color(shape: tuple[int, ...]) -> None:
    image = np.full(shape, 200, np.uint8)
    drawn = draw_reading(image, _reading((300, 200, 60, 90)))
    assert drawn.shape == (480, 640, 3)
    assert drawn.dtype == np.uint8
    assert (image == 200).all()
    assert _changed(drawn, image).any()


def test_an_empty_reading_without_a_caption_changes_nothing() -> None:
    image = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    assert np.array_equal(draw_reading(image, Reading()), image)


@pytest.mark.parametrize(
    ("height", "width", "factor"),
    [(28, 28, 14), (100, 100, 4), (100, 50, 4), (1, 1, 400), (480, 640, 1), (28, 600, 3), (1, 5000, 1)],
)
def test_a_small_picture_is_enlarged_by_a_whole_number(height: int, width: int, factor: int) -> None:
    drawn = draw_reading(np.zeros((height, width), np.uint8), Reading())
    assert drawn.shape == (height * factor, width * factor, 3)


def test_scale_is_kept_when_given_and_refused_below_1() -> None:
    image = np.zeros((50, 50), np.uint8)
    assert draw_reading(image, Reading(), scale=2).shape == (100, 100, 3)
    with pytest.raises(ValueError, match="scale"):
        draw_reading(image, Reading(), scale=0)


@pytest.mark.parametrize("ground", [0, 128, 255])
def test_label_and_box_stand_out_from_the_ground(ground: int) -> None:
    image = np.full((480, 640, 3), ground, np.uint8)
    drawn = draw_reading(image, _reading((300, 200, 60, 90)))
    label = drawn[170:198, 296:340].reshape(-1, 3)
    assert (label.min(axis=1) > 240).sum() > 20, "white text"
    assert (label.max(axis=1) < 50).sum() > 20, "on a dark label"
    column = drawn[245, 285:300].astype(int)
    assert np.abs(column - ground).max() > 100, "the box's left side"


@pytest.mark.parametrize(
    "box", [(0, 0, 30, 40), (610, 0, 30, 40), (0, 440, 30, 40), (610, 440, 30, 40), (0, 0, 640, 480)]
)
def test_a_label_stays_whole_inside_the_picture(box: Box) -> None:
    image = np.full((480, 640, 3), 128, np.uint8)
    inside = draw_reading(image, _reading((300, 200, 30, 40)))
    at_the_edge = draw_reading(image, _reading(box))

    def white(drawn: np.ndarray) -> int:
        return int((drawn.min(axis=2) > 240).sum())

    assert white(at_the_edge) == white(inside) > 20


def test_labels_of_neighbours_do_not_cover_each_other_or_the_digits() -> None:
    image = np.full((480, 640, 3), 128, np.uint8)
    boxes: list[Box] = [(40 + 40 * i, 200, 22, 36) for i in range(14)]
    alone = sum(int((draw_reading(image, _reading(box)).min(axis=2) > 240).sum()) for box in boxes)
    drawn = draw_reading(image, _reading(*boxes))
    assert int((drawn.min(axis=2) > 240).sum()) == alone
    for x, y, width, height in boxes:
        assert (drawn[y : y + height, x : x + width] == 128).all(), "the ink itself is left alone"


def test_where_digits_stand_close_their_labels_are_short_and_cover_nothing() -> None:
    """As high and as close as on a page that is written full."""
    image = np.full((300, 420, 3), 128, np.uint8)
    boxes: list[Box] = [(20 + 24 * i, 20 + 48 * j, 16, 24) for j in range(5) for i in range(16)]
    drawn = draw_reading(image, _reading(*boxes))
    for x, y, width, height in boxes:
        assert (drawn[y : y + height, x : x + width] == 128).all(), "the ink itself is left alone"
    white = (drawn.min(axis=2) > 240).astype(np.uint8)
    one = int((draw_reading(image, _reading(boxes[0])).min(axis=2) > 240).sum())
    assert int(white.sum()) >= len(boxes) * one / 4, "each digit is to be read"


def test_line_and_text_grow_with_the_picture() -> None:
    def label_height(side: int) -> int:
        image = np.full((side, side), 128, np.uint8)
        middle = side // 2
        dark = draw_reading(image, _reading((middle, middle, side // 10, side // 8))).max(axis=2) < 50
        return int(dark[: middle - 5].any(axis=1).sum())

    assert label_height(3000) > 2.5 * label_height(500)
    assert label_height(500) >= 12


def test_rejected_ink_is_drawn_more_faintly_than_a_digit() -> None:
    image = np.full((480, 640, 3), 255, np.uint8)
    box = (300, 200, 60, 90)
    faint = draw_reading(image, _reading(rejected=box)).astype(int)
    strong = draw_reading(image, _reading(box)).astype(int)
    assert 60 < np.abs(faint - 255).max() < 180 < np.abs(strong - 255).max()


def test_the_caption_stands_in_the_lower_left_corner_and_is_cut_to_the_width() -> None:
    image = np.full((480, 640, 3), 128, np.uint8)
    rows, columns = np.nonzero(_changed(draw_reading(image, Reading(), caption="30 frames/s"), image))
    assert rows.min() > 440
    assert columns.min() == 0
    assert columns.max() < 320
    for caption in ("long " * 200, "Zähler – ☂", "\udcff"):
        assert draw_reading(image, Reading(), caption=caption).shape == image.shape


def test_a_box_that_reaches_out_of_the_picture_is_drawn_as_far_as_it_goes() -> None:
    image = np.zeros((480, 640), np.uint8)
    assert _changed(draw_reading(image, _reading((-10, -10, 50, 50), (630, 470, 50, 50))), image).any()
