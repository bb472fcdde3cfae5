"""steady.py: what is told of videos of known truth, by the reader itself; and what of a reading is believed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
import pytest
from clips import Scene, Written, at, face_and_hand
from pictures import mnist

from edge_digits import Reader
from edge_digits.events import Event
from edge_digits.find import Region
from edge_digits.reader import Trace
from edge_digits.reading import Box, Digit, Reading
from edge_digits.steady import Look, SteadyReader, in_lines
from edge_digits.video import Frame, Image
from edge_digits.ways import Part

LATEST = 0.4 + 0.35
"""Seconds from when a number is there to when it is told, at most: it must hold, and be seen often enough before."""


def _watch(scene: Scene, reader: Reader, *, every: bool = False) -> tuple[list[Look], list[Event]]:
    steady = SteadyReader(reader, every=every)
    looks = [steady.look(frame) for frame in scene.frames()]
    return looks, [event for look in looks for event in look.events] + steady.end()


def _said(events: Sequence[Event]) -> list[tuple[str, str]]:
    return [(event.event, event.text) for event in events]


NUMBERS = [Written("4017", at(200, 120), seed=1), Written("268", at(430, 330), seed=2)]

STEADY = {
    "still": Scene(NUMBERS),
    "noisy": Scene(NUMBERS, noise=8),
    "small and large": Scene([Written("4017", at(200, 120), 26, seed=1), Written("268", at(430, 330), 80, seed=2)]),
    "moving": Scene(
        [
            Written("4017", lambda t: (150 + 120 * t, 120 + 60 * math.sin(3 * t), 0, 1), seed=1),
            Written("268", lambda t: (480 - 80 * t, 330, 0, 1), seed=2),
        ]
    ),
    "turning": Scene([Written("4017", lambda t: (300, 120, 12 * math.sin(3 * t), 1), seed=1), NUMBERS[1]]),
    "nearer": Scene([Written("4017", lambda t: (300, 120, 0, 0.8 + 0.4 * t), seed=1), NUMBERS[1]]),
    "blurring": Scene(NUMBERS, blur=lambda t: 7 * abs(math.sin(4 * t))),
    "a light that swells": Scene(NUMBERS, light=lambda t: 0.75 + 0.25 * math.sin(4 * t)),
    "a light that is switched off and on": Scene(NUMBERS, light=lambda t: 0.4 if 0.8 < t < 1.4 else 1.0),
    "a person behind": Scene(
        [Written("4017", at(480, 70), seed=1), Written("268", at(110, 90), seed=2)], clutter=face_and_hand
    ),
}


@pytest.mark.parametrize("scene", STEADY.values(), ids=STEADY)
def test_two_numbers_are_told_once_each_and_nothing_else(scene: Scene, reader: Reader) -> None:
    _, events = _watch(scene, reader)
    assert sorted(_said(events)) == [("appeared", "268"), ("appeared", "4017"), ("gone", "268"), ("gone", "4017")]
    assert {event.id for event in events} == {1, 2}
    assert max(event.time for event in events if event.event == "appeared") <= LATEST
    assert min(event.frame for event in events if event.event == "gone") == 59, "at the end"


NOTHING = {
    "an empty wall": Scene([], noise=2),
    "a noisy wall in the dark": Scene([], noise=8, ground=40),
    "a person": Scene([], clutter=face_and_hand),
    "a light that is switched": Scene([], light=lambda t: 0.3 if 0.8 < t < 1.4 else 1.0),
    "a number that hastens by": Scene([Written("4017", lambda t: (-200 + 1200 * t, 200, 0, 1), seed=1)]),
    "a number shown too briefly": Scene([Written("4017", at(300, 200), start=0.5, end=0.8, seed=1)]),
}


@pytest.mark.parametrize("scene", NOTHING.values(), ids=NOTHING)
def test_nothing_is_told_where_nothing_can_be_read_for_long(scene: Scene, reader: Reader) -> None:
    assert _watch(scene, reader)[1] == []


def test_a_number_that_enters_and_leaves_is_told_in_time(reader: Reader) -> None:
    enters = Written("36", lambda t: (-60 + min(t, 1.0) * 300, 300, 0, 1), seed=6)
    _, events = _watch(Scene([enters, Written("9", at(500, 100), start=0.5, end=1.5, seed=7)], seconds=2.5), reader)
    assert _said([e for e in events if e.text == "9"]) == [("appeared", "9"), ("gone", "9")]
    appeared, gone = (e for e in events if e.text == "9")
    assert 0.9 <= appeared.time <= 0.5 + LATEST
    assert 1.9 <= gone.time <= 1.5 + LATEST
    assert _said([e for e in events if e.text != "9"]) == [("appeared", "36"), ("gone", "36")], "never half of it"


def test_a_number_that_is_written_anew_is_changed(reader: Reader) -> None:
    one, other = Written("12", at(300, 200), seed=8, end=1.2), Written("17", at(300, 200), seed=8, start=1.2)
    _, events = _watch(Scene([one, other], seconds=2.4), reader)
    assert _said(events) == [("appeared", "12"), ("changed", "17"), ("gone", "17")]
    assert {event.id for event in events} == {1}
    assert events[1].time <= 1.2 + LATEST


def test_the_same_frames_give_the_same_events_and_readings(reader: Reader) -> None:
    first, second = _watch(STEADY["moving"], reader), _watch(STEADY["moving"], reader)
    assert [event.json() for event in first[1]] == [event.json() for event in second[1]]
    assert [look.reading for look in first[0]] == [look.reading for look in second[0]]


def test_a_still_scene_is_read_seldom_and_each_frame_where_that_is_asked_for(reader: Reader) -> None:
    looks, _ = _watch(Scene(NUMBERS, seconds=3), reader)
    assert sum(look.is_read for look in looks) <= 9
    looks, _ = _watch(Scene(NUMBERS, seconds=0.3), reader, every=True)
    assert all(look.is_read for look in looks)
    assert [look.reading.text for look in looks] == ["4017\n268"] * 9


def test_a_look_has_the_tiles_of_its_digits_and_says_which_are_told(reader: Reader) -> None:
    looks, _ = _watch(Scene(NUMBERS, seconds=1), reader)
    first, last = looks[0], looks[-1]
    assert first.told == frozenset()
    assert last.told == {digit.box for digit in last.reading.digits}
    for digit in last.reading.digits:
        tile = last.tile(digit)
        assert tile is not None
        assert reader.classifier.classify(tile).digits[0] == digit.digit


# ---- what is believed


class _Said:
    """A reader that says the same of each frame: digits by box, some of them parts of one ink."""

    def __init__(self, *boxes: Box, parts: Sequence[Box] = ()) -> None:
        self.boxes, self.parts = (*boxes, *parts), set(parts)

    def trace(self, image: Image, /) -> Trace:
        chances = np.full(10, 0.01, np.float32)
        chances[4] = 0.91
        digits = tuple(Digit(4, 0.91, box, 0, tuple(map(float, chances))) for box in self.boxes)
        ink, tile = np.full((5, 5), 255, np.uint8), np.zeros((28, 28), np.uint8)
        parts = tuple(Part(Region(box, ink, touching=box in self.parts), tile, chances) for box in self.boxes)
        return Trace(image, ink, parts, Reading(digits))


def _boxes(said: _Said, size: tuple[int, int] = (200, 300)) -> tuple[set[Box], set[str]]:
    """The boxes that are in view in the first frame, and why others are not."""
    look = SteadyReader(said).look(Frame(np.zeros(size, np.uint8), 0, 0.0))
    return {digit.box for digit in look.reading.digits}, {rejected.reason for rejected in look.reading.rejected}


INSIDE: Box = (100, 50, 30, 50)


@pytest.mark.parametrize("box", [(0, 50, 30, 50), (50, 0, 30, 50), (270, 50, 30, 50), (50, 150, 30, 50)])
def test_what_the_border_cuts_is_no_digit(box: Box) -> None:
    assert _boxes(_Said(INSIDE, box)) == ({INSIDE}, {"cut by the frame's border"})


def test_nor_are_the_other_parts_of_its_ink() -> None:
    chain: list[Box] = [(0, 50, 30, 50), (30, 50, 30, 50), (61, 50, 30, 50)]
    far: Box = (200, 50, 30, 50)
    assert _boxes(_Said(parts=[*chain, far]))[0] == {far}
    assert _boxes(_Said(*chain[1:], parts=chain[:1]))[0] == set(chain[1:]), "ink of their own"


def test_a_part_much_lower_than_the_digits_about_it_is_none() -> None:
    singles: list[Box] = [(20 + 50 * n, 20, 30, 50) for n in range(4)]
    low, high = (100, 120, 15, 20), (150, 120, 15, 30)
    assert _boxes(_Said(*singles, parts=[low, high])) == ({*singles, high}, {"a part too small for a digit"})
    assert _boxes(_Said(*singles[:3], parts=[low, high]))[0] == {*singles[:3], low, high}, "too few to tell"


def test_a_tile_fills_its_picture(reader: Reader) -> None:
    tile = mnist()[0][0]
    look = SteadyReader(reader).look(Frame(cv2.cvtColor(tile, cv2.COLOR_GRAY2BGR), 0, 0.0))
    assert look.reading.text == str(mnist()[1][0])
    assert _boxes(_Said((0, 0, 28, 28)), (28, 28))[0] == {(0, 0, 28, 28)}


def test_digits_are_in_lines_as_in_a_picture() -> None:
    boxes: list[Box] = [(300, 110, 30, 50), (20, 20, 30, 50), (200, 30, 30, 50), (10, 100, 30, 50)]
    digits = in_lines(Digit(n, 1.0, box, 9, (0.1,) * 10) for n, box in enumerate(boxes))
    assert Reading(digits).lines == ["12", "30"]
