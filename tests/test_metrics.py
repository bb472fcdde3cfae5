from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, confusion_matrix, log_loss

from edge_digits.errors import TableError
from edge_digits.metrics import Evaluation, evaluate, wilson_interval
from edge_digits.tables import TableReader


def answers(n: int, seed: int = 0, sharpness: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (n, 10) float32 that are right more often than not, and labels (n,)."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, n).astype(np.uint8)
    scores = rng.normal(size=(n, 10)) + sharpness * np.eye(10)[labels]
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return probabilities.astype(np.float32), labels


@pytest.mark.parametrize(
    ("correct", "n"), [(0, 1), (1, 1), (0, 10), (10, 10), (3, 7), (9970, 10000), (27930, 28000), (28000, 28000)]
)
def test_wilson_interval_agrees_with_scipy(correct, n):
    expected = binomtest(correct, n).proportion_ci(0.95, method="wilson")
    assert wilson_interval(correct, n) == pytest.approx((expected.low, expected.high), abs=1e-7)


def test_wilson_interval_takes_other_levels():
    expected = binomtest(90, 100).proportion_ci(0.99, method="wilson")
    assert wilson_interval(90, 100, z=2.5758293) == pytest.approx((expected.low, expected.high), abs=1e-7)


def test_wilson_interval_stays_within_0_and_1_and_knows_nothing_of_nothing():
    assert {wilson_interval(0, n)[0] for n in range(1, 200)} == {0}
    assert {wilson_interval(n, n)[1] for n in range(1, 200)} == {1}
    assert wilson_interval(0, 0) == (0, 1)


@pytest.mark.parametrize(("correct", "n"), [(-1, 5), (6, 5), (1, 0), (0, -1)])
def test_wilson_interval_refuses_what_is_no_share(correct, n):
    with pytest.raises(ValueError, match="no share"):
        wilson_interval(correct, n)


@pytest.mark.parametrize("sharpness", [0.0, 3.0])
def test_evaluation_agrees_with_scikit_learn(sharpness):
    probabilities, labels = answers(2000, sharpness=sharpness)
    evaluation = Evaluation.from_probabilities(probabilities, labels)
    predicted = probabilities.argmax(axis=1)
    matrix = confusion_matrix(labels, predicted, labels=range(10))
    assert evaluation.n == 2000
    assert evaluation.accuracy == accuracy_score(labels, predicted)
    assert evaluation.correct == (labels == predicted).sum()
    np.testing.assert_array_equal(evaluation.confusion, matrix)
    doubled = probabilities.astype(np.float64)
    expected = log_loss(labels, doubled / doubled.sum(axis=1, keepdims=True), labels=range(10))
    assert evaluation.loss == pytest.approx(expected, abs=1e-6)
    assert evaluation.digit_accuracy == pytest.approx(matrix.diagonal() / matrix.sum(axis=1))
    assert evaluation.interval == wilson_interval(evaluation.correct, 2000)


def test_truth_with_probability_0_costs_a_bounded_loss():
    evaluation = Evaluation.from_probabilities(np.eye(10, dtype=np.float32)[[3, 4]], np.array([3, 5], np.uint8))
    assert evaluation.loss == pytest.approx(-math.log(np.finfo(np.float32).eps) / 2)
    assert evaluation.correct == 1


def test_chunks_add_up_to_the_whole():
    probabilities, labels = answers(1000)
    whole = Evaluation.from_probabilities(probabilities, labels)
    parts = [Evaluation.from_probabilities(probabilities[i : i + 64], labels[i : i + 64]) for i in range(0, 1000, 64)]
    total = sum(parts, Evaluation())
    np.testing.assert_array_equal(total.confusion, whole.confusion)
    assert total.loss == pytest.approx(whole.loss)
    assert Evaluation().n == 0  # the start is not changed by what is added to it


@pytest.mark.parametrize(
    ("probabilities", "labels", "reason"),
    [
        (np.zeros((2, 10)), np.zeros(3, np.uint8), "not"),
        (np.zeros((2, 9)), np.zeros(2, np.uint8), "not"),
        (np.zeros(10), np.zeros(10, np.uint8), "not"),
        (np.zeros((1, 10)), np.array([10]), "0 to 9"),
        (np.zeros((1, 10)), np.array([-1]), "0 to 9"),
        (np.zeros((1, 10)), np.array([1.0]), "whole"),
        (np.full((1, 10), np.nan), np.array([1]), "NaN"),
    ],
)
def test_what_does_not_fit_is_refused(probabilities, labels, reason):
    with pytest.raises(ValueError, match=reason):
        Evaluation.from_probabilities(probabilities, labels)


def test_dict_is_json_and_a_missing_digit_is_null():
    probabilities, labels = answers(300)
    known = labels != 7
    evaluation = Evaluation.from_probabilities(probabilities[known], labels[known])
    data = json.loads(json.dumps(evaluation.as_dict(), allow_nan=False))
    assert data["n"] == known.sum()
    assert data["accuracy"] == evaluation.accuracy
    assert data["interval"] == list(evaluation.interval)
    assert data["loss"] == evaluation.loss
    assert data["confusion"] == evaluation.confusion.tolist()
    assert [share is None for share in data["digit_accuracy"]] == [digit == 7 for digit in range(10)]


def test_nothing_counted_is_null_in_json_and_a_dash_in_text():
    data = json.loads(json.dumps(Evaluation().as_dict(), allow_nan=False))
    assert (data["n"], data["accuracy"], data["loss"], data["interval"]) == (0, None, None, [0, 1])
    assert "accuracy  –" in Evaluation().text()


def test_text_shows_each_figure_in_aligned_columns():
    confusion = np.diag([9000, 5, 5, 5, 5, 5, 5, 5, 5, 0]).astype(np.int64)
    confusion[1, 7] = 15
    text = Evaluation(confusion, loss_sum=90.55).text()
    assert "99.83 % (9,040 of 9,055; 95 % interval 99.73 to 99.90 %)" in text
    assert "loss      0.0100" in text
    head, rule, *rows = text.splitlines()[3:]
    assert len(rows) == 10
    assert len({len(line) for line in [head, rule, *rows]}) == 1
    assert [row.split() for row in rows[1:2]] == [["1", "│", *"0500000", "15", "0", "0", "│", "25.00", "%"]]
    assert rows[9].split()[-1] == "–"
    assert rows[1].index("15") + 1 == head.index("7")


def test_table_is_evaluated_chunk_by_chunk_as_it_is_at_once(tmp_path):
    probabilities, labels = answers(50)
    path = tmp_path / "train.csv"
    header = ",".join(["label", *(f"pixel{i}" for i in range(784))])
    rows = "".join(f"{label},{i}" + ",0" * 783 + "\n" for i, label in enumerate(labels))
    path.write_text(f"{header}\n{rows}")
    seen: list[tuple[int, int | None]] = []
    found = evaluate(
        TableReader(str(path), rows=8),
        lambda tiles: probabilities[tiles[:, 0, 0]],  # the first pixel is the number of the row
        lambda done, total: seen.append((done, total)),
    )
    whole = Evaluation.from_probabilities(probabilities, labels)
    np.testing.assert_array_equal(found.confusion, whole.confusion)
    assert found.loss == pytest.approx(whole.loss)
    assert len(seen) == 7
    assert seen[-1] == (path.stat().st_size, path.stat().st_size)


def test_damaged_table_is_not_evaluated(tmp_path):
    (tmp_path / "train.csv").write_text("label,pixel0\n1,2\n")
    with pytest.raises(TableError, match="line 1: 2 columns"):
        evaluate(TableReader(str(tmp_path / "train.csv")), lambda tiles: np.zeros((len(tiles), 10), np.float32))


def test_notes_stand_between_the_figures_and_the_table():
    evaluation = Evaluation.from_probabilities(*answers(50))
    lines, plain = evaluation.text(["seen  1 of 2", "unseen  1"]).splitlines(), evaluation.text().splitlines()
    assert lines == [*plain[:2], "seen  1 of 2", "unseen  1", *plain[2:]]
    assert plain[0] == f"accuracy  {evaluation.share()}"


def test_an_evaluation_can_be_watched_row_by_row(tmp_path):
    probabilities, labels = answers(20)
    path = tmp_path / "train.csv"
    header = ",".join(["label", *(f"pixel{i}" for i in range(784))])
    path.write_text(f"{header}\n" + "".join(f"{label},{i}" + ",0" * 783 + "\n" for i, label in enumerate(labels)))
    seen = []
    evaluate(
        TableReader(str(path), rows=8),
        lambda tiles: probabilities[tiles[:, 0, 0]],
        watchers=[lambda tiles, labels, said: seen.append((tiles[:, 0, 0], labels, said))],
    )
    rows, truths, said = (np.concatenate(part) for part in zip(*seen, strict=True))
    assert len(seen) == 3
    assert rows.tolist() == list(range(20))
    np.testing.assert_array_equal(truths, labels)
    np.testing.assert_array_equal(said, probabilities)
