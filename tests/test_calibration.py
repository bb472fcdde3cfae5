from __future__ import annotations

import math

import numpy as np
import pytest

from edge_digits.calibration import LEFT_OUT, Calibration


def answers(confidences: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tiles; labels that say 3 where an answer is right; probabilities that say 3 with these confidences."""
    probabilities = np.repeat(((1 - confidences) / 9)[:, np.newaxis], 10, axis=1).astype(np.float32)
    probabilities[:, 3] = confidences
    return np.zeros((len(right), 28, 28), np.uint8), np.where(right, 3, 4).astype(np.uint8), probabilities


def test_error_is_the_mean_distance_of_confidence_and_accuracy_in_bins():
    confidences = np.array([0.95] * 10 + [0.55] * 10)
    right = np.array([True] * 8 + [False] * 2 + [True] * 9 + [False])
    found = Calibration()
    found.add(*answers(confidences, right))
    assert found.n == 20
    assert found.error() == pytest.approx((0.15 + 0.35) / 2, abs=1e-6)


def test_confidences_that_are_kept_have_no_error_and_overconfidence_has():
    rng = np.random.default_rng(0)
    confidences = rng.uniform(0.4, 1, 200_000)
    honest, boastful = Calibration(), Calibration()
    for start in range(0, 200_000, 50_000):  # added in parts
        part = slice(start, start + 50_000)
        honest.add(*answers(confidences[part], rng.random(50_000) < confidences[part]))
        boastful.add(*answers(confidences[part], rng.random(50_000) < confidences[part] - 0.1))
    assert honest.error() < 0.005
    assert boastful.error() == pytest.approx(0.1, abs=0.005)


def test_a_confidence_of_1_counts():
    found = Calibration()
    found.add(*answers(np.array([1.0, 1.0]), np.array([True, False])))
    assert found.error() == pytest.approx(0.5)


def test_coverage_leaves_out_the_least_sure():
    confidences = np.linspace(0.5, 0.9999, 1000)
    right = np.ones(1000, bool)
    right[[0, 3, 7, 15, 500]] = False
    shuffled = np.random.default_rng(1).permutation(1000)
    found = Calibration()
    found.add(*answers(confidences[shuffled], right[shuffled]))
    rows = {share: (wrong, rest) for share, _, wrong, rest in found.coverage()}
    assert rows == {0.0: (5, 1000), 0.005: (3, 995), 0.01: (2, 990), 0.02: (1, 980), 0.05: (1, 950)}
    assert found.coverage()[2][1] == pytest.approx(confidences[10], abs=1e-6)
    told = found.as_dict()
    assert [row["left_out"] for row in told["coverage"]] == list(LEFT_OUT)
    lines = list(found.text())
    assert lines[0].startswith(f"calibration error {100 * found.error():.2f} % (15 bins)")
    assert lines[2].startswith("without the 1 % least sure, 2 of 990 are wrong (0.20 %)")


def test_nothing_is_said_of_no_answers():
    found = Calibration()
    assert list(found.text()) == []
    assert math.isnan(found.error())
    assert found.as_dict() == {"calibration_error": None, "bins": 15, "coverage": []}
