"""view.py: turned, mirrored, cut out, in this order."""

from __future__ import annotations

import numpy as np
import pytest

from edge_digits.errors import UsageError
from edge_digits.view import View, parse_roi, parse_size

IMAGE = np.arange(6, dtype=np.uint8).reshape(2, 3)


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        (View(), [[0, 1, 2], [3, 4, 5]]),
        (View(rotate=90), [[3, 0], [4, 1], [5, 2]]),
        (View(rotate=180), [[5, 4, 3], [2, 1, 0]]),
        (View(rotate=270), [[2, 5], [1, 4], [0, 3]]),
        (View(mirror=True), [[2, 1, 0], [5, 4, 3]]),
        (View(rotate=90, mirror=True), [[0, 3], [1, 4], [2, 5]]),
        (View(roi=(1, 0, 2, 1)), [[1, 2]]),
        (View(roi=(2, 1, 50, 50)), [[5]]),
        (View(rotate=90, mirror=True, roi=(0, 1, 1, 2)), [[1], [2]]),
    ],
)
def test_what_is_left_of_a_frame(view: View, expected: list[list[int]]) -> None:
    assert view.apply(IMAGE).tolist() == expected
    colour = np.repeat(IMAGE[..., None], 3, axis=2)
    assert view.apply(colour)[..., 1].tolist() == expected


def test_a_part_outside_the_frame_is_wrong_usage() -> None:
    with pytest.raises(UsageError, match="outside the frame, which is 3x2"):
        View(roi=(3, 0, 5, 5)).apply(IMAGE)


@pytest.mark.parametrize("degrees", [45, -90, 360])
def test_other_turns_are_wrong_usage(degrees: int) -> None:
    with pytest.raises(UsageError, match="rotate"):
        View(rotate=degrees)


def test_sizes_and_parts_are_parsed() -> None:
    assert parse_size("1280x720") == (1280, 720)
    assert parse_roi("100,50,320,240") == (100, 50, 320, 240)
    for wrong in ("", "1280", "0x5", "x", "1280x720x3", "-1x5", "1e3x5"):
        with pytest.raises(UsageError, match="1280x720"):
            parse_size(wrong)
    for wrong in ("", "1,2,3", "1,2,0,4", "1,2,3,4,5", "a,b,c,d", "-1,0,5,5"):
        with pytest.raises(UsageError, match="100,50,320,240"):
            parse_roi(wrong)
