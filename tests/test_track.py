"""track.py: a digit keeps its number while it moves, its answers vote, and one that flickers is not sure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np
import pytest

from edge_digits.reading import Box, Digit
from edge_digits.track import Seen, Tracker, covered

STEP = 1 / 15


def _digit(digit: int, box: Box = (100, 100, 30, 50), confidence: float = 0.97) -> Digit:
    other = (1 - confidence) / 9
    return Digit(digit, confidence, box, 0, tuple(confidence if n == digit else other for n in range(10)))


def _follow(frames: Iterable[list[Digit]], step: float = STEP) -> list[list[Seen]]:
    """What is in view after each frame."""
    tracker = Tracker()
    views = []
    for index, digits in enumerate(frames):
        tracker.update(digits, index * step)
        views.append(tracker.in_view())
    return views


def _texts(views: list[list[Seen]]) -> list[str]:
    return ["".join(str(digit.digit) for _, digit in view) for view in views]


def test_what_the_first_frame_says_is_in_view_at_once() -> None:
    assert _texts(_follow([[_digit(4), _digit(2, (300, 50, 30, 50))]])) == ["42"]


@pytest.mark.parametrize("rate", [10, 15, 30, 60])
def test_a_digit_that_comes_later_is_in_view_within_a_quarter_second(rate: int) -> None:
    texts = _texts(_follow([[]] + [[_digit(4)]] * rate, 1 / rate))
    came = texts.index("4") / rate
    assert 0.05 < came < 0.25
    assert set(texts[texts.index("4") :]) == {"4"}


@pytest.mark.parametrize("rate", [10, 15, 30, 60])
def test_a_digit_that_goes_is_out_of_view_within_a_third_of_a_second(rate: int) -> None:
    texts = _texts(_follow([[_digit(4)]] * rate + [[]] * rate, 1 / rate))
    assert 0.05 < (texts.index("") - rate + 1) / rate < 0.34
    assert texts[-1] == ""


def test_a_single_frame_brings_nothing_and_takes_nothing_away() -> None:
    known = [_digit(4)]
    frames = [known] * 10 + [[*known, _digit(7, (300, 100, 30, 50))], [], *[known] * 10]
    assert set(_texts(_follow(frames))) == {"4"}


PATHS: dict[str, Callable[[float], Box]] = {
    "across": lambda t: (round(100 + 220 * t), 100, 30, 50),
    "to and fro": lambda t: (round(300 + 80 * math.sin(4 * t)), round(200 + 40 * math.cos(3 * t)), 30, 50),
    "nearer": lambda t: (200, 100, round(30 * (1 + t)), round(50 * (1 + t))),
    "a thin one": lambda t: (round(100 + 150 * t), 100, 6, 50),
}


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_a_digit_keeps_its_number_while_it_moves(path: Callable[[float], Box]) -> None:
    views = _follow([_digit(5, path(index * STEP))] for index in range(30))
    assert {number for view in views for number, _ in view} == {1}
    assert [view[0][1].box for view in views] == [path(index * STEP) for index in range(30)]


def test_digits_of_a_sheet_that_moves_by_more_than_their_distance_keep_their_numbers() -> None:
    """Each digit comes to stand where its neighbour was."""
    digits = [3, 1, 4, 1, 5, 9]
    place = lambda index, t: (round(50 + 45 * index + 420 * t * t), 100, 30, 50)  # noqa: E731
    views = _follow([_digit(d, place(i, frame * STEP)) for i, d in enumerate(digits)] for frame in range(12))
    assert _texts(views) == ["314159"] * 12
    assert {number for view in views for number, _ in view} == set(range(1, 7))


def test_digits_that_say_the_same_are_told_apart_by_their_place() -> None:
    place = lambda index, t: (round(50 + 40 * index + 60 * t), 100, 20, 50)  # noqa: E731
    views = _follow(
        [_digit(1, place(i, frame * STEP)) for i in np.random.default_rng(frame).permutation(4)] for frame in range(12)
    )
    lefts = [{number: digit.box[0] for number, digit in view} for view in views]
    assert len({tuple(sorted(left, key=left.__getitem__)) for left in lefts}) == 1, "in the same order"
    assert len(lefts[-1]) == 4


def test_a_digit_that_comes_on_a_moving_sheet_is_followed_from_the_start() -> None:
    """The sheet comes to move by more than a digit's side between two frames; later another digit comes into view."""
    lefts = [900 - sum(min(6 * step, 24) for step in range(frame)) for frame in range(20)]
    frames = [[_digit(3, (left, 100, 20, 24))] for left in lefts]
    for digits, left in zip(frames[12:], lefts[12:], strict=True):
        digits.append(_digit(8, (left + 60, 100, 20, 24)))
    views = _follow(frames)
    assert {number for view in views for number, _ in view} == {1, 2}
    assert _texts(views)[-1] == "38"


def test_a_digit_behind_a_hand_for_a_moment_keeps_its_number() -> None:
    there = [_digit(6)]
    views = _follow([*[there] * 10, [], [], *[there] * 10])
    assert {number for view in views for number, _ in view} == {1}
    assert set(_texts(views)) == {"6"}


def test_answers_vote() -> None:
    rng = np.random.default_rng(0)
    answers = [[_digit(8 if rng.random() < 0.75 else 3)] for _ in range(30)]
    texts = _texts(_follow([[_digit(8)]] * 5 + answers))
    assert [answer for [answer] in answers if answer.digit == 3]
    assert set(texts) <= {"8", ""}


def test_confidence_is_the_mean_over_the_last_moments() -> None:
    view = _follow([[_digit(8, confidence=0.9 if index % 2 else 0.7)] for index in range(40)])[-1]
    assert 0.75 < view[0][1].confidence < 0.85
    assert sum(view[0][1].probabilities) == pytest.approx(1)


def test_a_digit_that_is_written_anew_is_taken_for_the_new_one_soon() -> None:
    texts = _texts(_follow([[_digit(1)]] * 10 + [[_digit(7)]] * 10))
    assert texts[:10] == ["1"] * 10
    assert (texts.index("7") - 9) * STEP < 0.25
    assert texts[-1] == "7"


def test_a_digit_whose_answers_flicker_is_not_in_view_until_they_hold() -> None:
    flicker = [[_digit(digit)] for digit in (3, 3, 9, 9, 2, 2, 6, 6, 3, 3, 5, 5)]
    texts = _texts(_follow(flicker + [[_digit(8)]] * 15))
    assert texts[6:12] == [""] * 6
    assert texts[-1] == "8"


def test_of_two_in_one_place_the_one_seen_more_often_is_in_view() -> None:
    whole, half = _digit(8), _digit(5, (102, 102, 20, 26))
    texts = _texts(_follow([[whole]] * 10 + [[whole, half]] * 10))
    assert set(texts) == {"8"}
    assert covered(whole.box, half.box) == 1


def test_a_track_that_is_gone_is_forgotten() -> None:
    tracker = Tracker()
    for index in range(200):
        tracker.update(
            [_digit(index % 10, (100 + 200 * (index % 3), 100 + index, 30, 50))] if index % 9 == 0 else [], index * STEP
        )
    for index in range(200, 220):
        tracker.update([], index * STEP)
    assert tracker._tracks == []
    assert tracker.settled


def test_it_is_settled_once_more_of_the_same_would_change_nothing() -> None:
    tracker = Tracker()
    tracker.update([], 0.0)
    assert tracker.settled
    settled = []
    for index in range(1, 10):
        tracker.update([_digit(4)], index * STEP)
        settled.append(tracker.settled)
    assert settled[0] is False
    assert settled[-1] is True
    tracker.update([_digit(9)], 10 * STEP)
    assert not tracker.settled, "the last answer differs from what the vote says"
