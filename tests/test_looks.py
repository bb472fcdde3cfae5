"""What benchmarks/looks.py measures of a ground, and how it sets two distributions side by side."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pictures import compose

pytest.importorskip("matplotlib", reason="training is not installed: pip install 'edge-digits[train]'")

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def looks():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import looks

        yield looks
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.fixture
def ink():
    """(100, 140): a bar across the middle, with soft edges."""
    ink = np.zeros((100, 140), np.uint8)
    ink[40:60], ink[(39, 60), :] = 255, 100
    return ink


def test_the_ground_is_measured_beside_the_ink(looks, ink):
    paper = np.full((*ink.shape, 3), (180, 200, 220), np.uint8)
    paper[ink > 0] = 0
    assert looks.ground_of(paper, ink) == pytest.approx((200, 0, 40), abs=0.5)


@pytest.mark.parametrize("scale", [1, 5])
def test_a_slope_of_light_is_uneven_and_noise_is_not(looks, ink, scale):
    """The light falls by 100 levels from left to right: 90 of them between its darkest and brightest twentieth."""
    image = np.kron(ink, np.ones((scale, scale)))
    noise = np.random.default_rng(0).normal(0, 4, image.shape)
    light = np.linspace(200, 100, image.shape[1]) + noise
    brightness, unevenness, tint = looks.ground_of(np.where(image > 0, 0, light).astype(np.uint8), ink)
    assert (brightness, unevenness, tint) == (pytest.approx(150, abs=4), pytest.approx(90, abs=6), 0)
    _, flat, _ = looks.ground_of(np.where(image > 0, 0, 150 + noise).astype(np.uint8), ink)
    assert flat < 4


def test_ink_all_over_leaves_no_ground(looks, ink):
    assert np.isnan(looks.ground_of(ink, np.full_like(ink, 255))).all()


def test_every_property_is_measured_told_and_drawn(looks):
    reader, done = looks.Reader(), []
    images = [compose([[index]], height=40, seed=index).image for index in range(4)]
    traces = looks.trace_all(images, reader, lambda: done.append(1))
    assert len(traces) == len(done) == 4
    measured = looks.measure(traces)
    assert measured["digit's height, px"] == pytest.approx([40] * 4, abs=3)
    lines = looks.table({"photo": (measured, measured)}).splitlines()
    assert lines[0] == "| | photo (4, 4) |"
    assert all(line.endswith("<br>0.00 |") for line in lines[2 : 2 + len(looks.PROPERTIES)])
    assert looks.draw({"photo": (measured, measured)}).startswith(b"\x89PNG")


def test_pictures_are_taken_from_all_parts_of_a_list(looks):
    assert looks.spread(list("abcdefghi"), 3) == ["a", "e", "i"]
    assert looks.spread(list("abc"), 10) == ["a", "b", "c"]


def test_its_help_is_printed():
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "looks.py"), "--help"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "--sheet" in done.stdout
