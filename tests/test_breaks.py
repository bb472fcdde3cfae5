from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_digits import breaks
from edge_digits.breaks import join_halves
from edge_digits.find import Region
from edge_digits.reading import Box
from edge_digits.tiles import frame
from edge_digits.ways import Part

UPPER, LOWER, BESIDE = (10, 10, 30, 20), (12, 34, 28, 22), (60, 10, 30, 46)


def part(box: Box, score: float, line: int = 0, ink: NDArray[np.uint8] | None = None) -> Part:
    """A region of a picture that is searched at half its size, all ink."""
    ink = np.full((box[3] // 2, box[2] // 2), 255, np.uint8) if ink is None else ink
    probabilities = np.full(10, 0.01 / 9, np.float32)
    probabilities[3] = 0.99
    return Part(Region(box, ink, line), frame(ink), probabilities, score)


def asked(score: float, seen: list[Region]) -> object:
    """A network that gives all it is asked this score."""

    def ask(regions: Sequence[Region]) -> list[Part]:
        seen.extend(regions)
        return [part(each.box, score, each.line, each.ink) for each in regions]

    return ask


def test_halves_that_are_no_digits_become_one_that_is() -> None:
    parts = [part(UPPER, 0.2), part(BESIDE, 0.99), part(LOWER, 0.3, line=1)]
    joined = join_halves(parts, asked(0.98, seen := []))
    assert [(each.region.box, each.region.line) for each in joined] == [((10, 10, 30, 46), 0), (BESIDE, 0)]
    (region,) = seen
    assert region.ink.shape == (21, 15), "moved together until they touch"


def test_digits_one_above_the_other_stay_two() -> None:
    parts = [part(UPPER, 0.99), part(LOWER, 0.99, line=1)]
    assert join_halves(parts, asked(0.1, [])) == parts
    narrow = [part((10, 10, 16, 30), 0.98), part((10, 44, 16, 30), 0.98, line=1)]
    assert join_halves(narrow, asked(0.99, [])) == narrow


def test_what_stands_apart_is_not_asked_about() -> None:
    for other in (BESIDE, (10, 60, 30, 20), (10, 32, 30, 4)):
        parts = [part(UPPER, 0.2), part(other, 0.2)]
        assert join_halves(parts, asked(1.0, seen := [])) == parts
        assert not seen


def test_of_very_many_no_two_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the thousand that a picture may have, there are a million pairs."""
    monkeypatch.setattr(breaks, "_may_be_halves", lambda *_: pytest.fail("two were compared"))
    parts = [part((40 * i, 10, 30, 40), 0.99) for i in range(breaks.MOST + 1)]
    assert join_halves(parts, asked(1.0, [])) == parts


def test_two_in_the_same_box_both_stay() -> None:
    """A cut that leans may leave two in it, and so does a sheet that was turned."""
    beside = [part(BESIDE, score) for score in (0.98, 0.99)]
    joined = join_halves([part(UPPER, 0.2), *beside, part(LOWER, 0.3, line=1)], asked(0.98, []))
    assert sorted(each.score or 0 for each in joined) == [0.98, 0.98, 0.99]
