"""still.py: a scene that stands still is read seldom, and nothing that changes in it goes unread for long."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from clips import Scene, Written, at

from edge_digits.still import LONGEST, SHORTEST, Gate
from edge_digits.video import Frame


def _opened(scene: Scene, settled: Callable[[float], bool] = lambda time: True, *, every: bool = False) -> list[float]:
    """The times of the frames that are read."""
    gate = Gate(every=every)
    return [frame.time for frame in scene.frames() if gate.opens(frame, settled=settled(frame.time))]


@pytest.mark.parametrize("noise", [0, 2, 6])
def test_a_still_scene_is_read_every_second_and_a_half(noise: float) -> None:
    times = _opened(Scene([Written("40", at(300, 200))], seconds=5, noise=noise))
    assert 4 <= len(times) <= 5


def test_a_scene_that_is_not_settled_is_read_often_but_not_at_each_frame() -> None:
    times = _opened(Scene([], seconds=2), lambda time: False)
    assert 18 <= len(times) <= 21
    assert min(np.diff(times)) >= SHORTEST - 1e-6


@pytest.mark.parametrize(("height", "noise"), [(10, 2), (14, 4), (60, 8)])
def test_a_digit_that_comes_is_read_within_two_frames(height: int, noise: float) -> None:
    scene = Scene([Written("8", at(300, 200), height, start=1.9, seed=1)], seconds=3, noise=noise, seed=3)
    times = _opened(scene)
    assert min(time for time in times if time >= 1.9 - 1e-6) < 1.9 + SHORTEST + 1 / 30
    assert len([time for time in times if time < 1.85]) <= 6


def test_a_digit_that_is_drawn_slowly_is_read_again_and_again() -> None:
    """Each frame adds less than tells two frames apart."""
    gate = Gate()
    image = np.full((480, 640), 230, np.uint8)
    opened = 0
    for index in range(90):
        image[200 + index : 201 + index, 300:306] = 90
        opened += gate.opens(Frame(image.copy(), index, index / 30), settled=True)
    assert opened > 15


def test_a_light_that_swells_hides_nothing() -> None:
    scene = Scene(
        [Written("8", at(300, 200), 12, start=2.07)], seconds=3, light=lambda time: 0.7 + 0.2 * np.sin(5 * time)
    )
    times = _opened(scene)
    assert min(time for time in times if time >= 2.07) < 2.07 + SHORTEST + 1 / 30


def test_frames_of_another_size_are_read() -> None:
    gate = Gate()
    sizes = [(480, 640), (480, 640), (240, 320), (240, 320), (5, 5), (5, 5)]
    frames = [Frame(np.full(size, 200, np.uint8), number, number / 30) for number, size in enumerate(sizes)]
    assert [gate.opens(frame, settled=True) for frame in frames] == [True, False, True, False, True, False]


def test_every_frame_is_read_where_that_is_asked_for() -> None:
    assert len(_opened(Scene([], seconds=1), every=True)) == 30


def test_no_pause_is_longer_than_the_longest() -> None:
    assert max(np.diff(_opened(Scene([], seconds=4, fps=25, noise=1)))) <= LONGEST + 1 / 25
