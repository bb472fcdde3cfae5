from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from pictures import some

from edge_digits.tiles import BOX, SIDE, THINNEST, frame, stroke_width, thicken

Tiles = NDArray[np.uint8]


def cropped(tile: Tiles) -> Tiles:
    rows, columns = np.flatnonzero(tile.any(axis=1)), np.flatnonzero(tile.any(axis=0))
    return tile[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def centre_of_mass(tile: Tiles) -> tuple[float, float]:
    """x, y with the middle of the first pixel at 0.5, worked out without OpenCV."""
    mass = tile.astype(float)
    rows, columns = np.mgrid[0 : tile.shape[0], 0 : tile.shape[1]] + 0.5
    return float((columns * mass).sum() / mass.sum()), float((rows * mass).sum() / mass.sum())


def glyph(height: int = 200, width: int = 140, thickness: int = 24) -> Tiles:
    """A 2 of straight strokes, cropped."""
    canvas = np.zeros((height + 80, width + 80), np.uint8)
    left, right, top, bottom = 40, 40 + width - thickness, 40, 40 + height - thickness
    points = [(left, top), (right, top), (right, (top + bottom) // 2), (left, bottom), (right, bottom)]
    cv2.polylines(canvas, [np.array(points, np.int32)], False, 255, thickness)
    return cropped(canvas)


def test_a_real_mnist_tile_is_framed_to_itself(tiles: Tiles) -> None:
    chosen = tiles[some(500)]
    same = [np.array_equal(frame(cropped(tile)), tile) for tile in chosen]
    assert np.mean(same) >= 0.99


@pytest.mark.parametrize("scale", [2, 3, 7.5])
def test_an_enlarged_mnist_tile_is_framed_close_to_itself(tiles: Tiles, scale: float) -> None:
    differences = []
    for tile in tiles[some(100)]:
        large = cv2.resize(cropped(tile), None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
        differences.append(np.abs(frame(np.asarray(large, np.uint8)).astype(int) - tile).mean())
    assert np.mean(differences) < 8  # of 255; an empty tile differs by 33


@pytest.mark.parametrize("shape", [(200, 140), (140, 200), (20, 14), (9, 6), (8, 8), (1500, 300), (60, 700)])
def test_the_longest_side_is_20_pixels_and_the_mass_in_the_middle(shape: tuple[int, int]) -> None:
    ink = glyph(*shape, thickness=max(2, min(shape) // 6)) if min(shape) > 20 else np.full(shape, 255, np.uint8)
    tile = frame(ink)
    assert tile.shape == (SIDE, SIDE)
    assert tile.dtype == np.uint8
    assert max(cropped(tile).shape) == BOX
    x, y = centre_of_mass(tile)
    assert abs(x - SIDE / 2) <= 1
    assert abs(y - SIDE / 2) <= 1


def test_real_digits_of_any_size_have_their_mass_in_the_middle(tiles: Tiles) -> None:
    for number, tile in enumerate(tiles[some(60)]):
        scale = (0.5, 1.7, 4, 11)[number % 4]
        ink = np.asarray(cv2.resize(cropped(tile), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
        framed = frame(ink)
        assert max(cropped(framed).shape) in (BOX - 1, BOX)
        assert all(abs(place - SIDE / 2) <= 1 for place in centre_of_mass(framed))


@pytest.mark.parametrize("shape", [(300, 150), (150, 300), (280, 40), (200, 190)])
def test_the_aspect_is_kept(shape: tuple[int, int]) -> None:
    ink = np.full(shape, 255, np.uint8)
    height, width = cropped(frame(ink)).shape
    assert abs(width / height - shape[1] / shape[0]) <= 1 / min(height, width)


@pytest.mark.parametrize("thickness", [1, 2, 4])
def test_a_hairline_stays_as_dark_as_a_pen_stroke(thickness: int) -> None:
    tile = frame(glyph(400, 280, thickness))
    assert tile.max() >= 250
    assert stroke_width(tile) >= 1
    # The middle of the top bar is not lost between the pixels.
    assert (tile[:, SIDE // 2].astype(int).max()) >= 200


def test_a_marker_stroke_stays_thick_and_keeps_its_holes() -> None:
    canvas = np.zeros((300, 240), np.uint8)
    cv2.ellipse(canvas, (120, 150), (70, 110), 0, 0, 360, 255, 50)
    tile = frame(cropped(canvas))
    assert tile.max() >= 250
    assert tile[SIDE // 2, SIDE // 2] == 0
    assert stroke_width(tile) == pytest.approx(50 * BOX / 270, abs=1.2)


@pytest.mark.parametrize("width", [1, 2, 3, 5, 8, 13, 20])
def test_the_width_of_a_bar_is_measured(width: int) -> None:
    bar = np.zeros((200, 60), np.uint8)
    bar[:, 10 : 10 + width] = 255
    assert stroke_width(bar) == pytest.approx(width, abs=0.25 * width + 0.6)


def test_no_ink_has_the_width_1() -> None:
    assert stroke_width(np.zeros((5, 5), np.uint8)) == 1.0


def test_thickening_keeps_the_box_and_takes_no_ink_away() -> None:
    ink = glyph(200, 140, 2)
    thick = thicken(ink, 12)
    assert thick.shape == ink.shape
    assert (thick >= ink).all()
    assert stroke_width(thick) > 2 * stroke_width(ink)


def test_strokes_that_are_thick_enough_are_left_alone() -> None:
    ink = glyph(200, 140, 24)
    assert thicken(ink, THINNEST * 10) is ink


def test_faint_ink_is_brought_to_the_full_range() -> None:
    assert frame(np.asarray(glyph() // 4, np.uint8)).max() >= 250


@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (30, 1), (3000, 1), (1, 3000)])
def test_ink_of_a_single_pixel_or_line_is_framed(shape: tuple[int, int]) -> None:
    tile = frame(np.full(shape, 255, np.uint8))
    assert tile.shape == (SIDE, SIDE)
    assert tile.max() == 255


def test_the_ink_given_is_not_changed() -> None:
    ink = glyph(400, 280, 2)
    before = ink.copy()
    frame(ink)
    assert np.array_equal(ink, before)
