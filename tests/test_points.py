"""A point behind a digit, which finding has joined to it, is parted from it where the network knows better."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from pictures import mnist
from test_reader_scores import always, scored
from touching import crop

from edge_digits import Reader
from edge_digits.find import find

Tiles = NDArray[np.uint8]
Mark = Callable[[Tiles, int, int, int], None]


def comma(picture: Tiles, right: int, bottom: int, size: int) -> None:
    """Low on the right of a digit that ends at `right` and `bottom`."""
    cv2.line(picture, (right + 4 + size // 3, bottom - size), (right + 4, bottom), 0, 5)


def dot_above(picture: Tiles, right: int, bottom: int, size: int) -> None:
    cv2.line(picture, (right + 14, 22), (right + 14, 22 + size // 2), 0, 7)


def with_mark(tile: Tiles, mark: Mark = comma, size: int = 14) -> Tiles:
    """A digit 80 pixels high on white, with a mark."""
    ink = crop(tile)
    ink = cv2.resize(ink, (round(80 * ink.shape[1] / ink.shape[0]), 80), interpolation=cv2.INTER_CUBIC)
    picture = np.full((160, ink.shape[1] + 120), 255, np.uint8)
    picture[40:120, 40 : 40 + ink.shape[1]] = 255 - ink
    low = np.flatnonzero(ink[50:].max(axis=0) > 60)
    mark(picture, 40 + int(low.max(initial=0)), 118, size)
    return picture


def pieces(tile: Tiles) -> int:
    return cv2.connectedComponents((tile > 0).astype(np.uint8))[0] - 1


def in_one_piece(tiles: Tiles) -> NDArray[np.float32]:
    """Only what is in one piece is a digit."""
    return np.array([0.99 if pieces(tile) == 1 else 0.01 for tile in tiles], np.float32)


@pytest.fixture(scope="module")
def pictures() -> list[tuple[Tiles, str]]:
    """Digits with a comma that finding takes for a piece of them, and what they say."""
    tiles, labels = mnist()
    made = [(with_mark(tiles[i]), str(labels[i])) for i in range(0, 5000, 40)]
    joined = [(image, text) for image, text in made if len(find(image).regions) == 1]
    assert len(joined) >= 20
    return joined


def test_a_comma_that_was_joined_to_a_digit_is_parted_from_it(pictures):
    """Read by the bundled model: nearly as often right as without a comma."""
    read = [Reader().read(image).text == text for image, text in pictures]
    assert np.mean(read) >= 0.85


def test_it_is_told_as_a_point_at_its_place(pictures):
    image, _ = pictures[0]
    reading = scored(in_one_piece).read(image)
    [digit] = reading.digits
    [point] = [rejected for rejected in reading.rejected if rejected.reason == "a point"]
    x, y, width, height = point.box
    assert digit.box[0] + digit.box[2] <= x + width
    assert 100 <= y < y + height <= 122
    assert not (255 - image[y : y + height, x : x + width] == 0).all()
    assert digit.box[1] + digit.box[3] <= 122


def test_what_is_a_digit_with_it_stays_whole(pictures):
    for image, _ in pictures[:5]:
        reading = scored(always(0.6)).read(image)
        assert [rejected.reason for rejected in reading.rejected] == []
        [region] = find(image).regions
        assert reading.digits[0].box == region.box


def test_what_is_none_without_it_stays_whole(pictures):
    image, _ = pictures[0]
    reading = scored(always(0.3)).read(image)
    assert reading.digits[0].box == find(image).regions[0].box


def test_a_dot_above_is_no_point_behind():
    tiles, labels = mnist()
    ones = [with_mark(tile, dot_above, 20) for tile in tiles[labels == 1][:60]]
    joined = [image for image in ones if [region.box[1] < 40 for region in find(image).regions] == [True]]
    assert len(joined) >= 5
    for image in joined:
        reading = scored(in_one_piece).read(image)
        [region] = find(image).regions
        assert [place.box for place in (*reading.digits, *reading.rejected)] == [region.box]


def test_a_model_that_does_not_tell_leaves_it(pictures):
    image, _ = pictures[0]
    reader = scored(always(0.3))
    reader.classifier._score = lambda tiles: None  # type: ignore[attr-defined]
    assert reader.read(image).digits[0].box == find(image).regions[0].box
