"""Sheets of paper on desks: found where they lie, and nothing else taken for one."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from pictures import Tiles, compose, lit, noisy, some, write_number

from edge_digits import Reader
from edge_digits.desk import desk_beside, find_sheets, on_one_paper, without_desk

SIDE = 400


def place(
    sheets: list[tuple[Tiles, list[tuple[float, float]]]], desk: float, light: str | None = None, seed: int = 0
) -> tuple[Tiles, NDArray[np.bool_]]:
    """Sheets, each with its four corners clockwise from the top left, on a desk; and where they lie, (H, W)."""
    photo, covered = np.full((SIDE, SIDE), desk, np.float32), np.zeros((SIDE, SIDE), bool)
    for sheet, corners in sheets:
        height, width = sheet.shape
        ends = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
        turn = cv2.getPerspectiveTransform(ends, np.array(corners, np.float32))
        cover = cv2.warpPerspective(np.ones(sheet.shape, np.float32), turn, (SIDE, SIDE))
        photo = photo * (1 - cover) + cv2.warpPerspective(sheet.astype(np.float32), turn, (SIDE, SIDE)) * cover
        covered |= cover > 0.5
    image = np.rint(photo).astype(np.uint8)
    return noisy(image if light is None else lit(image, light, seed), 2, seed), covered


def note(text: str, seed: int, size: tuple[int, int] = (200, 280), paper: float = 255, ink: float = 40) -> Tiles:
    image = write_number(text, height=50, size=size, seed=seed, stroke=0.08).image
    return np.rint(paper + (ink - paper) * (255 - image.astype(float)) / 255).astype(np.uint8)


UPRIGHT = [(60.0, 100.0), (340.0, 100.0), (340.0, 300.0), (60.0, 300.0)]
TURNED = [(75.0, 80.0), (350.0, 120.0), (320.0, 320.0), (46.0, 280.0)]
ASLANT = [(90.0, 90.0), (320.0, 110.0), (370.0, 310.0), (40.0, 290.0)]
CUT_OFF = [(-60.0, 60.0), (220.0, 50.0), (230.0, 250.0), (-50.0, 260.0)]


@pytest.mark.parametrize("corners", [UPRIGHT, TURNED, ASLANT, CUT_OFF], ids=["upright", "turned", "aslant", "cut off"])
@pytest.mark.parametrize(("paper", "desk"), [(250, 60), (235, 150), (190, 130), (60, 200)])
@pytest.mark.parametrize("light", [None, "lamp", "vignette"])
def test_a_sheet_is_found_where_it_lies(
    corners: list[tuple[float, float]], paper: float, desk: float, light: str | None
) -> None:
    ink = 20 if paper > 100 else 240
    image, covered = place([(note("305", 1, paper=paper, ink=ink), corners)], desk, light)
    found = find_sheets(image)
    assert found is not None
    assert found.shape == image.shape
    on_sheet = found > 0
    assert not (on_sheet & ~covered).any()
    inner = cv2.erode(covered.astype(np.uint8), np.ones((17, 17), np.uint8), borderType=cv2.BORDER_REPLICATE) > 0
    assert on_sheet[inner].mean() > 0.99


def test_two_sheets_are_found_and_read() -> None:
    one, other = (
        [(20.0, 20.0), (190.0, 25.0), (185.0, 150.0), (15.0, 145.0)],
        [(210, 240), (380, 235), (385, 365), (215, 370)],
    )
    image, covered = place([(note("12", 3), one), (note("47", 5), other)], 80)
    found = find_sheets(image)
    assert found is not None
    assert np.mean((found > 0)[covered]) > 0.85
    assert Reader().read(image).text == "12\n47"


def test_beside_a_sheet_is_paper_as_bright_as_it_is_nearby() -> None:
    image, covered = place([(note("305", 1), ASLANT)], 50, "lamp")
    sheets = find_sheets(image)
    assert sheets is not None
    freed = without_desk(image, sheets)
    assert (freed[sheets > 0] == image[sheets > 0]).all()
    beside = cv2.dilate(sheets, np.ones((31, 31), np.uint8)) > sheets
    nearby = (cv2.dilate(np.where(sheets > 0, image, 0).astype(np.uint8), np.ones((61, 61), np.uint8)))[beside]
    assert np.median(np.abs(freed[beside].astype(int) - nearby)) < 40
    assert freed[~covered].min() > 100 > image[~covered].min()


@pytest.mark.parametrize("desk", [130, 170])
def test_sheets_become_as_bright_as_the_desk(desk: float) -> None:
    image, covered = place([(note("305", 1), TURNED)], desk, "lamp")
    sheets = find_sheets(image)
    assert sheets is not None
    level = on_one_paper(image, sheets, desk_beside(sheets)).astype(int)
    assert (level[desk_beside(sheets) > 0] == image[desk_beside(sheets) > 0]).all()
    edge = cv2.dilate(covered.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    rim = cv2.erode(covered.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    ring, within = edge & ~covered, rim & ~(cv2.erode(covered.astype(np.uint8), np.ones((25, 25), np.uint8)) > 0)
    assert (
        abs(np.median(level[ring]) - np.median(level[within])) < 15 < np.median(image[within]) - np.median(image[ring])
    )
    ink = sheets.astype(bool) & (image < np.median(image[within]) - 100)
    assert np.median(level[ink]) < np.median(level[within]) - 60


def test_digits_are_no_sheets(tiles: Tiles, labels: NDArray[np.int64]) -> None:
    """Bold zeros are light or dark all round and have paper within; ones are bars."""
    for seed, number in enumerate(np.flatnonzero((labels == 0) | (labels == 1))[:150]):
        for height in (90, 150):
            image = compose([[int(number)]], height=height, size=(260, 260), seed=seed).image
            for each in (image, np.asarray(255 - image, np.uint8)):
                assert find_sheets(each) is None


@pytest.mark.parametrize("light", ["lamp", "half-shadow", "shadow", "vignette"])
def test_light_on_paper_makes_no_sheet(light: str) -> None:
    found = 0
    for seed in range(20):
        numbers = write_number("305", height=60, size=(300, 400), seed=seed).image
        found += find_sheets(lit(numbers, light, seed)) is not None
    assert found <= 2


def test_boxes_of_a_form_are_no_sheets() -> None:
    image = np.full((300, 400), 240, np.uint8)
    for x in (20, 140, 260):
        cv2.rectangle(image, (x, 60), (x + 110, 240), 60, 3)
        ((tile,),) = (compose([[int(some(1, x)[0])]], height=80, size=(150, 100), seed=x).image[None],)
        image[75:225, x + 5 : x + 105] = tile
    assert find_sheets(image) is None


def test_a_sheet_without_writing_is_left_alone() -> None:
    blank = np.full((200, 280), 250, np.uint8)
    image, _ = place([(blank, TURNED)], 60)
    assert Reader().read(image).text == ""


@pytest.mark.parametrize("shape", [(28, 28), (100, 100), (101, 7), (1, 400), (400, 1), (300, 300)])
@pytest.mark.parametrize("value", [0, 128, 255])
def test_plain_pictures_have_no_sheet(shape: tuple[int, int], value: int) -> None:
    assert find_sheets(np.full(shape, value, np.uint8)) is None
