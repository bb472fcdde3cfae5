from __future__ import annotations

import time

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from pictures import PAPERS, Box, Picture, blank, compose, some, write_number

from edge_digits.find import Found, find
from edge_digits.tiles import frame

Tiles = NDArray[np.uint8]

SIZES = [(28, 28), (100, 100), (300, 400), (480, 640), (1200, 900)]
POLARITIES = pytest.mark.parametrize("light_on_dark", [False, True], ids=["dark_on_light", "light_on_dark"])


def tiles_of(found: Found) -> list[Tiles]:
    return [frame(region.ink) for region in found.regions]


def overlap(a: Box, b: Box) -> float:
    """Intersection over union."""
    across = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    along = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    shared = max(0, across) * max(0, along)
    return shared / (a[2] * a[3] + b[2] * b[3] - shared)


def assert_all_found(picture: Picture, found: Found, least_overlap: float = 0.7) -> None:
    """Every digit is found once, in its line, in its place, with its box about it."""
    lines = [[r.box for r in found.regions if r.line == line] for line in range(len(picture.boxes))]
    assert [len(line) for line in lines] == [len(line) for line in picture.boxes]
    for line, truth in zip(lines, picture.boxes, strict=True):
        assert min(overlap(a, b) for a, b in zip(line, truth, strict=True)) > least_overlap


# ---- nothing to find


@POLARITIES
@pytest.mark.parametrize("kind", PAPERS)
def test_blank_paper_holds_no_digit(kind: str, light_on_dark: bool) -> None:
    counts = {size: len(find(blank(kind, *size, light_on_dark=light_on_dark)).regions) for size in SIZES}
    assert counts == dict.fromkeys(SIZES, 0)


@pytest.mark.parametrize("value", [0, 1, 127, 128, 254, 255])
@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (2, 2), (8, 8), (28, 28), (600, 400, 3)])
def test_a_picture_of_one_colour_holds_nothing(shape: tuple[int, ...], value: int) -> None:
    assert find(np.full(shape, value, np.uint8)) == Found((), ())


@pytest.mark.parametrize("base", [20, 60, 128, 200, 235])
@pytest.mark.parametrize("deviation", [1, 3, 6, 12, 25])
def test_noise_holds_no_digit_and_takes_no_time(deviation: int, base: int) -> None:
    noise = np.random.default_rng(1).normal(base, deviation, (240, 320))
    image = np.clip(np.rint(noise), 0, 255).astype(np.uint8)
    started = time.process_time()
    assert len(find(image).regions) == 0
    assert time.process_time() - started < 10


@pytest.mark.parametrize("kind", ["uniform", "checkers"])
def test_a_picture_that_is_all_noise_takes_no_time(kind: str) -> None:
    image = np.random.default_rng(0).integers(0, 256, (480, 640), dtype=np.uint8)
    if kind == "checkers":
        rows, columns = np.mgrid[0:480, 0:640]
        image = np.where((rows // 4 + columns // 4) % 2, 255, 0).astype(np.uint8)
    started = time.process_time()
    find(image)
    assert time.process_time() - started < 10


@POLARITIES
def test_a_slope_of_light_holds_no_digit(light_on_dark: bool) -> None:
    for direction in (0, 1):
        slope = np.linspace(40, 230, 500).astype(np.uint8)
        image = np.repeat(slope[np.newaxis] if direction else slope[:, np.newaxis], 500, axis=1 - direction)
        assert find(255 - image if light_on_dark else image).regions == ()


# ---- one digit


@pytest.mark.parametrize("height", [20, 60])
@pytest.mark.parametrize("kind", [kind for kind in PAPERS if kind != "squared"])
def test_both_polarities_give_the_same_regions_and_nearly_the_same_tiles(kind: str, height: int) -> None:
    for number, index in enumerate(some(20, seed=height)):
        how = {"height": height, "kind": kind, "seed": number}
        dark = find(compose([[index]], **how).image)
        light = find(compose([[index]], light_on_dark=True, **how).image)
        assert len(dark.regions) == len(light.regions) > 0
        for a, b in zip(tiles_of(dark), tiles_of(light), strict=True):
            assert np.abs(a.astype(int) - b).mean() < 12  # of 255; an empty tile differs by 33


@POLARITIES
@pytest.mark.parametrize("height", [8, 12, 20, 50, 150, 400])
def test_a_digit_of_any_size_becomes_the_tile_it_was_made_of(tiles: Tiles, height: int, light_on_dark: bool) -> None:
    differences = []
    for number, index in enumerate(some(20 if height < 400 else 5, seed=height)):
        picture = compose([[index]], height=height, light_on_dark=light_on_dark, seed=number)
        found = find(picture.image)
        assert_all_found(picture, found, 0.7 if height > 12 else 0.3)
        differences.append(np.abs(tiles_of(found)[0].astype(int) - tiles[index]).mean())
    assert np.mean(differences) < (12 if height > 8 else 22)  # of 255; an empty tile differs by 33


@POLARITIES
def test_an_8_by_8_picture_holds_its_digit(tiles: Tiles, light_on_dark: bool) -> None:
    for index in some(20, seed=8):
        rows, columns = np.flatnonzero(tiles[index].any(axis=1)), np.flatnonzero(tiles[index].any(axis=0))
        ink = tiles[index][rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        scale = 7 / max(ink.shape)
        ink = cv2.resize(ink, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        image = np.zeros((8, 8), np.uint8)
        top, left = (8 - ink.shape[0]) // 2, (8 - ink.shape[1]) // 2
        image[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
        assert len(find(image if light_on_dark else 255 - image).regions) == 1


@pytest.mark.parametrize("kind", ["white", "shaded", "coloured"])
def test_a_photo_of_12_megapixels_is_searched_in_seconds(kind: str) -> None:
    picture = compose([list(some(5, seed=3))], height=300, kind=kind, size=(3000, 4000))
    started = time.process_time()
    found = find(picture.image)
    assert time.process_time() - started < 10
    assert_all_found(picture, found)


def test_a_small_digit_on_a_large_sheet_is_found() -> None:
    picture = compose([some(1, seed=4).tolist()], height=60, size=(1500, 2000))
    assert_all_found(picture, find(picture.image))


def test_colour_and_grey_pictures_of_the_same_paper_give_the_same() -> None:
    picture = write_number("58", kind="shaded")
    colour = find(np.repeat(picture.image[:, :, np.newaxis], 3, axis=2))
    grey = find(picture.image)
    assert [r.box for r in colour.regions] == [r.box for r in grey.regions]
    assert all(np.array_equal(a, b) for a, b in zip(tiles_of(colour), tiles_of(grey), strict=True))


def test_the_image_is_not_changed() -> None:
    image = write_number("31", kind="ruled", light_on_dark=True).image
    before = image.copy()
    find(image)
    assert np.array_equal(image, before)


# ---- numbers and lines


@POLARITIES
@pytest.mark.parametrize("kind", PAPERS)
def test_the_digits_of_a_number_come_from_left_to_right(kind: str, light_on_dark: bool) -> None:
    for seed in range(4):
        picture = write_number("4017", kind=kind, height=(30, 64)[seed % 2], light_on_dark=light_on_dark, seed=seed)
        assert_all_found(picture, find(picture.image), 0.6)


@pytest.mark.parametrize("kind", ["white", "shaded", "ruled"])
def test_the_lines_come_from_top_to_bottom(kind: str) -> None:
    for seed in range(4):
        picture = write_number("90210", "42", "7365", kind=kind, seed=seed)
        assert_all_found(picture, find(picture.image), 0.6)


@pytest.mark.parametrize("kind", PAPERS)
def test_boxes_lie_within_the_image(kind: str) -> None:
    pictures = [write_number("86", "359", kind=kind, height=height, seed=height).image for height in (10, 33, 90)]
    pictures += [image[5:-5, 5:-5] for image in pictures]  # cut through the digits at the edge
    pictures += [np.asarray(cv2.resize(image, None, fx=9.37, fy=9.37), np.uint8) for image in pictures[:1]]
    for image in pictures:
        found = find(image)
        for x, y, width, height in [thing.box for thing in (*found.regions, *found.rejected)]:
            assert x >= 0
            assert y >= 0
            assert width >= 1
            assert height >= 1
            assert x + width <= image.shape[1]
            assert y + height <= image.shape[0]


@POLARITIES
@pytest.mark.parametrize("shift", [(1, 0), (0, 1), (3, 5), (17, 11)])
def test_a_shift_by_whole_pixels_gives_the_same_tiles(shift: tuple[int, int], light_on_dark: bool) -> None:
    right, down = shift
    picture = write_number("582", height=44, light_on_dark=light_on_dark)
    rows, columns = picture.image.shape
    ground = int(picture.image[0, 0])
    images = []
    for x, y in ((20, 20), (20 + right, 20 + down)):
        image = np.full((rows + 60, columns + 60), ground, np.uint8)
        image[y : y + rows, x : x + columns] = picture.image
        images.append(image)
    before, after = map(find, images)
    assert [(x + right, y + down, w, h) for x, y, w, h in (r.box for r in before.regions)] == [
        r.box for r in after.regions
    ]
    assert len(before.regions) == 3
    assert all(np.array_equal(a, b) for a, b in zip(tiles_of(before), tiles_of(after), strict=True))


# ---- what is one digit


@pytest.mark.parametrize("scale", [1, 2.5])
def test_a_flag_that_does_not_touch_its_5_and_reaches_down_beside_it_belongs_to_it(scale: float) -> None:
    image = np.full((70, 90), 230, np.uint8)
    body = np.array([(32, 24), (30, 34), (47, 38), (52, 46), (48, 54), (28, 57)], np.int32)
    cv2.polylines(image, [body], False, 40, 5, cv2.LINE_AA)
    cv2.line(image, (45, 24), (71, 13), 40, 4, cv2.LINE_AA)
    (region,) = find(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)).regions
    assert overlap(region.box, (round(26 * scale), round(11 * scale), round(47 * scale), round(49 * scale))) > 0.85


# ---- what is no digit


@POLARITIES
def test_a_line_drawn_under_a_number_is_no_digit(light_on_dark: bool) -> None:
    picture = write_number("2645", height=50)
    image = np.vstack([picture.image, np.full((40, picture.image.shape[1]), 255, np.uint8)])
    cv2.line(image, (10, image.shape[0] - 25), (image.shape[1] - 10, image.shape[0] - 25), 40, 4)
    found = find(255 - image if light_on_dark else image)
    assert_all_found(picture, found, 0.6)


@pytest.mark.parametrize("thickness", [1, 2])
def test_rules_that_cross_a_number_do_not_join_its_digits(thickness: int) -> None:
    for seed in range(4):
        picture = write_number("739", height=80, seed=seed)
        image = picture.image.copy()
        for y in range(20, image.shape[0], 34):
            rule = np.full_like(image[y : y + thickness], 150)
            image[y : y + thickness] = np.minimum(image[y : y + thickness], rule)
        assert len(find(image).regions) == 3


def test_a_specked_sheet_gives_the_digits_alone() -> None:
    picture = write_number("614", height=80)
    image = picture.image.copy()
    rng = np.random.default_rng(5)
    free = np.ones_like(image)
    for x, y, width, height in picture.boxes[0]:
        free[max(0, y - 6) : y + height + 6, max(0, x - 6) : x + width + 6] = 0
    rows, columns = np.nonzero(free)
    for place in rng.integers(0, len(rows), 40):
        image[rows[place], columns[place]] = 60
    assert_all_found(picture, find(image))


def test_a_dot_larger_than_the_pen_beside_a_number_is_no_digit() -> None:
    picture = write_number("407", height=48, size=(120, 300), seed=3)
    image = picture.image.copy()
    cv2.circle(image, (272, 60), 9, 40, -1)
    found = find(image)
    assert len(found.regions) == 3
    assert "a dot" in {rejected.reason for rejected in found.rejected}


def test_a_picture_is_searched_whole_where_its_strokes_are_thin() -> None:
    """Halved, they would be less than two pixels wide."""
    thin, bold = (write_number("407", height=100, stroke=stroke, size=(300, 600)).image for stroke in (0.03, 0.12))
    sizes = [find(image).ink.shape for image in (thin, bold)]  # type: ignore[union-attr]
    assert sizes == [(300, 600), (150, 300)]
