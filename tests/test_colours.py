from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from pictures import Colour, jpeg, noisy, write_number

from edge_digits import colours
from edge_digits.colours import to_gray

Image = NDArray[np.uint8]


def brightness(image: Image) -> Image:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)


def on_a_note(ink: Colour, desk: Colour, seed: int) -> Image:
    """A number on a yellow note that lies on a desk."""
    image = np.full((360, 480, 3), desk, np.uint8)
    note = write_number("407", height=60, kind=(130, 230, 250), ink=ink, size=(220, 320), seed=seed).image
    image[70:290, 80:400] = note
    return image


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (28, 28), (480, 640)])
def test_a_grey_picture_stays_as_it_is(shape: tuple[int, int]) -> None:
    gray = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    assert to_gray(gray) is gray
    assert (to_gray(np.repeat(gray[..., None], 3, axis=2)) == gray).all()


@pytest.mark.parametrize(
    ("paper", "ink", "primary"),
    [
        ((60, 130, 40), (60, 60, 225), 2),  # red on green
        ((120, 60, 20), (230, 120, 40), 0),  # blue on a dark blue card
        ((255, 255, 255), (0, 235, 255), 0),  # yellow on white
        ((180, 120, 200), (120, 170, 90), 2),  # green on pink
    ],
)
@pytest.mark.parametrize("size", [(120, 200), (1200, 1600)])
def test_ink_that_is_no_darker_shows_in_the_primary_that_tells_it(
    paper: Colour, ink: Colour, primary: int, size: tuple[int, int]
) -> None:
    image = write_number("407", height=size[0] // 15, size=size, kind=paper, ink=ink).image
    assert (to_gray(image) == image[..., primary]).all()


@pytest.mark.parametrize("ink", [(30, 30, 30), (150, 60, 30), (40, 30, 170), (60, 100, 20), (90, 150, 165)])
def test_pen_and_pencil_show_in_brightness(ink: Colour) -> None:
    """On white paper, on yellow paper, and on a yellow note on a white or a blue desk."""
    for seed in range(4):
        images = [
            *(write_number("407", height=40, kind=paper, ink=ink).image for paper in ((255,) * 3, (130, 230, 250))),
            *(on_a_note(ink, desk, seed) for desk in ((245,) * 3, (160, 90, 50))),
        ]
        for image in images:
            photo = jpeg(noisy(image, 4, seed), 80)
            assert (to_gray(photo) == brightness(photo)).all()


@pytest.mark.parametrize("quality", [20, 50, 90])
def test_noise_shows_in_brightness(quality: int) -> None:
    rng = np.random.default_rng(quality)
    for deviation in (1, 3, 8, 15):
        paper = np.full((480, 640, 3), rng.integers(20, 236, 3), np.uint8)
        photo = jpeg(noisy(paper, deviation, quality), quality)
        assert (to_gray(photo) == brightness(photo)).all()


def test_no_primary_differs_by_more_than_brightness_and_its_spread() -> None:
    """What the primaries are left out by, on noise of every strength about every colour."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        image = np.clip(rng.normal(rng.integers(0, 256, 3), rng.integers(0, 60, 3), (64, 96, 3)), 0, 255).astype(
            np.uint8
        )
        gray = brightness(image)
        for primary in cv2.split(image):
            assert colours._contrast(primary) <= colours._contrast(gray) + colours._spread(primary, gray) + 1
