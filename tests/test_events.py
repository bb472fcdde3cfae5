"""events.py: digits stand in numbers, and each number is told once, when it is sure, and once when it is gone."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from edge_digits.events import Chronicle, Event, group
from edge_digits.reading import Box, Digit
from edge_digits.track import Seen

STEP = 1 / 30


def _number(text: str, x: int = 100, y: int = 100, first: int = 1, height: int = 40, gap: int = 12) -> list[Seen]:
    """A number whose digits have the numbers `first`, `first` + 1, …"""
    seen = []
    for index, sign in enumerate(text):
        box = (x + index * (24 + gap), y, 24, height)
        seen.append((first + index, Digit(int(sign), 0.9 - index / 100, box, 0, (0.1,) * 10)))
    return seen


def _tell(frames: Sequence[list[Seen]], stable: float = 0.4, *, end: bool = True) -> list[Event]:
    chronicle = Chronicle(stable)
    events = [e for index, digits in enumerate(frames) for e in chronicle.update(digits, index * STEP, index)]
    return events + (chronicle.end((len(frames) - 1) * STEP, len(frames) - 1) if end else [])


def _said(events: list[Event]) -> list[tuple[str, int, str]]:
    return [(event.event, event.id, event.text) for event in events]


# ---- numbers


@pytest.mark.parametrize(
    ("boxes", "expected"),
    [
        ([(0, 0, 20, 40), (30, 0, 20, 40), (60, 0, 20, 40)], [[0, 1, 2]]),
        ([(60, 0, 20, 40), (30, 0, 20, 40), (0, 0, 20, 40)], [[2, 1, 0]]),
        ([(0, 0, 20, 40), (120, 0, 20, 40)], [[0], [1]]),
        ([(0, 0, 20, 40), (30, 60, 20, 40)], [[0], [1]]),
        ([(0, 0, 20, 40), (30, 12, 20, 40), (60, 24, 20, 40)], [[0, 1, 2]]),
        ([(0, 0, 20, 40), (30, 0, 60, 120)], [[0], [1]]),
        ([(0, 0, 5, 40), (40, 0, 5, 40)], [[0, 1]]),
        ([(0, 60, 20, 40), (0, 0, 20, 40), (30, 60, 20, 40), (30, 0, 20, 40)], [[1, 3], [0, 2]]),
    ],
    ids=["a row", "any order", "far apart", "below", "slanted", "much taller", "ones", "two rows"],
)
def test_digits_that_stand_together_are_a_number(boxes: list[Box], expected: list[list[int]]) -> None:
    digits = [(index, Digit(0, 1.0, box, 0, (0.1,) * 10)) for index, box in enumerate(boxes)]
    assert [[index for index, _ in number] for number in group(digits)] == expected


# ---- events


def test_a_number_is_told_once_when_it_has_held_and_once_when_it_is_gone() -> None:
    events = _tell([[]] * 3 + [_number("4017")] * 60 + [[]] * 30)
    assert _said(events) == [("appeared", 1, "4017"), ("gone", 1, "4017")]
    appeared, gone = events
    assert (appeared.frame, appeared.time) == (15, pytest.approx(15 * STEP)), "0.4 s after frame 3"
    assert (gone.frame, gone.time) == (75, pytest.approx(75 * STEP)), "0.4 s after frame 63"
    assert appeared.box == (100, 100, 24 * 4 + 12 * 3, 40)
    assert appeared.confidence == pytest.approx(0.87), "the least sure digit's"


@pytest.mark.parametrize("stable", [0.0, 0.1, 1.0])
def test_it_must_hold_as_long_as_is_asked_for(stable: float) -> None:
    events = _tell([_number("5")] * 60, stable)
    assert events[0].time == pytest.approx(stable, abs=STEP)
    assert _said(_tell([_number("5")] * round(stable / STEP - 1), stable)) == []


def test_a_number_that_is_another_now_is_told_with_its_own_id() -> None:
    events = _tell([_number("12")] * 30 + [_number("17")] * 30)
    assert _said(events) == [("appeared", 1, "12"), ("changed", 1, "17"), ("gone", 1, "17")]
    assert events[1].frame == 30 + 12


def test_a_number_that_grows_is_changed() -> None:
    frames = [_number("1")] * 30 + [_number("12")] * 30 + [_number("123")] * 30
    assert _said(_tell(frames))[:3] == [("appeared", 1, "1"), ("changed", 1, "12"), ("changed", 1, "123")]


def test_what_flickers_is_not_told() -> None:
    frames = [_number("12" if index % 6 < 3 else "17") for index in range(90)]
    assert _tell(frames) == []
    steady = [_number("12")] * 30
    assert _said(_tell([*steady, *frames, *steady])) == [("appeared", 1, "12"), ("gone", 1, "12")]


def test_a_number_hidden_for_a_moment_is_not_gone() -> None:
    there = [_number("12")] * 30
    assert _said(_tell([*there, *[[]] * 9, *there])) == [("appeared", 1, "12"), ("gone", 1, "12")]
    back = _said(_tell([*there, *[[]] * 20, *[_number("12", first=7)] * 30]))
    assert back == [("appeared", 1, "12"), ("gone", 1, "12"), ("appeared", 2, "12"), ("gone", 2, "12")]


def test_a_reading_that_was_interrupted_must_hold_anew() -> None:
    frames = [_number("12")] * 30 + [_number("17")] * 9 + [[]] * 9 + [_number("17")] * 9 + [_number("12")] * 30
    assert _said(_tell(frames)) == [("appeared", 1, "12"), ("gone", 1, "12")]


def test_a_number_whose_digits_are_all_new_is_the_same_one_in_its_place() -> None:
    frames = [_number("12")] * 30 + [_number("12", first=50)] * 30
    assert _said(_tell(frames)) == [("appeared", 1, "12"), ("gone", 1, "12")]


def test_several_numbers_have_events_of_their_own() -> None:
    one, two = _number("31", 50, 50), _number("42", 300, 200, first=10)
    events = _tell([one] * 20 + [one + two] * 30 + [two] * 30)
    assert _said(events) == [
        ("appeared", 1, "31"), ("appeared", 2, "42"), ("gone", 1, "31"), ("gone", 2, "42"),
    ]  # fmt: skip


def test_a_number_that_breaks_in_two_keeps_its_id_in_the_larger_part() -> None:
    whole = _number("1234")
    parts = [*whole[:3], (4, Digit(4, 0.9, (400, 100, 24, 40), 0, (0.1,) * 10))]
    events = _said(_tell([whole] * 30 + [parts] * 30, end=False))
    assert events == [("appeared", 1, "1234"), ("changed", 1, "123"), ("appeared", 2, "4")]


def test_nothing_is_told_while_nothing_changes_and_nothing_is_kept_of_what_is_gone() -> None:
    chronicle = Chronicle(0.4)
    for index in range(3000):
        digits = _number(str(index // 50 % 10), first=index // 50, x=10 + index // 50 % 7 * 80)
        chronicle.update(digits, index * STEP, index)
        assert len(chronicle._numbers) <= 3


def test_an_event_is_a_line_of_json_and_of_text() -> None:
    event = Event("changed", 3, "4017", (12, 30, 140, 52), 12.433333, 373, 0.98765)
    assert json.loads(event.json()) == {
        "event": "changed", "id": 3, "text": "4017", "box": [12, 30, 140, 52],
        "time": 12.4333, "frame": 373, "confidence": 0.9877,
    }  # fmt: skip
    assert list(json.loads(event.json())) == ["event", "id", "text", "box", "time", "frame", "confidence"]
    assert "\n" not in event.json()
    assert event.line().split() == ["12.43", "changed", "#3", "4017"]


def test_a_number_that_goes_digit_by_digit_is_gone_as_it_was_told():
    whole = _number("1014")
    events = _tell([whole] * 20 + [whole[:3]] * 4 + [whole[:2]] * 4 + [whole[:1]] * 4 + [[]] * 20)
    assert _said(events) == [("appeared", 1, "1014"), ("gone", 1, "1014")]
    assert events[1].box == events[0].box == (100, 100, 3 * 36 + 24, 40)
    assert events[1].confidence == events[0].confidence == pytest.approx(0.87)


def test_the_box_of_a_number_that_is_gone_is_where_it_was_last():
    moved = [_number("45", x=109)]
    events = _tell([_number("45")] * 20 + moved * 5 + [[]] * 20)
    assert [event.box[0] for event in events] == [100, 109]
