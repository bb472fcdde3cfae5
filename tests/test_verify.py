from __future__ import annotations

import dataclasses
import math
import time

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="export is not installed: pip install 'edge-digits[train]'")

from scipy import optimize, special, stats

from edge_digits.classifier import temper
from edge_digits.errors import GateError, InputError
from edge_digits_export.gates import Limits, check_gates, first_failure
from edge_digits_export.latency import measure_latency
from edge_digits_export.temperature import HIGHEST, fit_temperature
from edge_digits_export.verify import Agreement, Parity, check_probabilities, mcnemar


def answers(labels: np.ndarray, wrong: int = 0, first: int = 0) -> np.ndarray:
    """Sure and right answers, but for `wrong` rows from row `first` on."""
    given = labels.copy()
    given[first : first + wrong] = (given[first : first + wrong] + 1) % 10
    return (np.eye(10)[given] * 0.9 + 0.01).astype(np.float32)


LABELS = (np.arange(2000) % 10).astype(np.uint8)


# ---- The comparison ----


def test_agreement_counts_what_numpy_counts():
    rng = np.random.default_rng(1)
    one, two = (rng.dirichlet(np.full(10, 0.3), 400).astype(np.float32) for _ in range(2))
    found = Agreement.of(one, two)
    ranked = np.sort(one, axis=1)
    clear = ranked[:, 9] - ranked[:, 8] > 0.1
    differ = one.argmax(axis=1) != two.argmax(axis=1)
    assert dataclasses.astuple(found) == (
        400,
        pytest.approx(np.abs(one - two).max()),
        pytest.approx(np.abs(one - two).mean()),
        differ.sum(),
        clear.sum(),
        (clear & differ).sum(),
    )
    assert found.clear_share == pytest.approx(1 - (clear & differ).sum() / clear.sum())


def test_drops_interval_is_that_of_the_paired_differences():
    rng = np.random.default_rng(0)
    one, two = (rng.dirichlet(np.ones(10), 500).astype(np.float32) for _ in range(2))
    labels = rng.integers(0, 10, 500).astype(np.uint8)
    parity = Parity.of(one, one, two, labels)
    paired = (one.argmax(axis=1) == labels).astype(float) - (two.argmax(axis=1) == labels)
    assert parity.drop == pytest.approx(paired.mean())
    assert parity.drop_interval == pytest.approx(1.96 * paired.std() / math.sqrt(500))


@pytest.mark.parametrize(("lost", "won"), [(0, 0), (1, 0), (0, 3), (4, 4), (12, 3), (1, 30), (400, 300), (3000, 2900)])
def test_mcnemars_p_is_scipys_exact_binomial(lost, won):
    expected = stats.binomtest(lost, lost + won, 0.5).pvalue if lost + won else 1.0
    assert mcnemar(lost, won) == pytest.approx(expected, rel=1e-9)


def test_mcnemars_p_counts_the_rows_on_which_just_one_is_right():
    parity = Parity.of(answers(LABELS), answers(LABELS, 5, 0), answers(LABELS, 9, 100), LABELS)
    assert parity.mcnemar_p == pytest.approx(stats.binomtest(5, 14, 0.5).pvalue)
    assert parity.as_dict()["mcnemar_p"] == parity.mcnemar_p


@pytest.mark.parametrize("which", ["Keras", "fp32", "int8"])
def test_nan_in_an_answer_is_a_gate_that_names_whose_it_is(which):
    given = {name: answers(LABELS) for name in ("Keras", "fp32", "int8")}
    given[which][7, 3] = math.nan
    with pytest.raises(GateError, match=f"{which} gives NaN on 1 of 2000 rows"):
        Parity.of(*given.values(), LABELS)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (lambda p: p * 3 - 1, r"x: gives values from -0\.97 to 1\.73 that sum to -7.*: end it with a softmax"),
        (lambda p: special.expit(p), "no ten probabilities for each tile"),
        (lambda p: np.log(p), "no ten probabilities for each tile"),
    ],
    ids=["logits", "sigmoids", "log probabilities"],
)
def test_answers_that_are_no_probabilities_are_refused(values, reason):
    check_probabilities("x", answers(LABELS))
    with pytest.raises(InputError, match=reason):
        check_probabilities("x", values(answers(LABELS)).astype(np.float32))


# ---- The gates ----


def test_equal_answers_pass():
    right = answers(LABELS)
    gates = Parity.of(right, right, right, LABELS).gates(Limits())
    assert first_failure(gates) is None
    assert [gate.name for gate in gates] == [
        "accuracy",
        "fp32 difference",
        "fp32 digits",
        "int8 accuracy",
        "int8 agreement",
    ]
    assert all(gate.as_dict().keys() == {"name", "figure", "limit", "passed"} for gate in gates)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"keras_fp32": {"max_difference": 2e-5}},
            r"differs from Keras by 2e-05 in a probability.*limit is 1e-05",
        ),
        ({"keras_fp32": {"max_difference": math.nan}}, "fp32 differs from Keras by nan"),
        ({"keras_fp32": {"different_digits": 1}}, "fp32 gives another digit than Keras on 1 of 2000 rows"),
        (
            {"drop": 0.0006, "drop_interval": 0.0005},
            r"int8 is 0\.06 points less accurate.*\(± 0\.05, n = 2000\)",
        ),
        ({"drop": math.nan}, "int8 is nan points less accurate"),
        ({"fp32_int8": {"different_clear_digits": 3}}, r"on 3 of 2000 clear rows; the limit is 0\.10%"),
    ],
    ids=["difference", "NaN", "digit", "drop", "NaN drop", "agreement"],
)
def test_figure_past_its_limit_is_named(changes, reason):
    right = answers(LABELS)
    parity = Parity.of(right, right, right, LABELS)
    for name, value in changes.items():
        changed = dataclasses.replace(getattr(parity, name), **value) if isinstance(value, dict) else value
        parity = dataclasses.replace(parity, **{name: changed})
    with pytest.raises(GateError, match=reason) as caught:
        parity.check(Limits())
    assert caught.value.exit_code == 5


def test_each_limit_can_be_set():
    keras, fp32, int8 = answers(LABELS, 900), answers(LABELS, 900), answers(LABELS, 940)
    fp32[0, 0] += 0.001
    parity = Parity.of(keras, fp32, int8, LABELS)
    failing = {gate.name for gate in parity.gates(Limits(accuracy=0.6)) if not gate.passed}
    assert failing == {"accuracy", "fp32 difference", "int8 accuracy", "int8 agreement"}
    assert all(gate.passed for gate in parity.gates(Limits(0.01, 0.05, 0.9, 0.5)))


def test_a_network_that_reads_by_chance_is_stopped():
    wrong = answers(LABELS, 1800)
    with pytest.raises(GateError, match=r"Keras is right on 10\.00 % of 2000 rows; the limit is 50 %.*scaled"):
        Parity.of(wrong, wrong, wrong, LABELS).check(Limits())


def test_drop_past_chance_is_refused_and_one_within_it_passes():
    right = answers(LABELS)
    loose = Limits(int8_agreement=0)
    with pytest.raises(GateError, match=r"int8 is 1\.00 points less accurate than fp32"):
        Parity.of(right, right, answers(LABELS, wrong=20), LABELS).check(loose)
    # 24 rows lost and 20 won: a drop of .2 points, and ± .65 by chance
    parity = Parity.of(answers(LABELS, 20, 100), answers(LABELS, 20, 100), answers(LABELS, 24, 500), LABELS)
    assert parity.drop == pytest.approx(0.002)
    parity.check(loose)
    with pytest.raises(GateError, match="another digit than fp32 on 44 of 2000 clear rows"):
        parity.check(Limits())
    assert parity.drop > Limits().int8_drop


def test_the_noisiest_layer_is_named_where_int8_is_to_blame():
    right = answers(LABELS)
    gates = Parity.of(right, right, answers(LABELS, wrong=20), LABELS).gates(Limits())
    with pytest.raises(GateError, match=r"the limit is 0\.05; conv2 is noisy$"):
        check_gates(gates, "conv2 is noisy")
    gates = Parity.of(right, answers(LABELS, wrong=1), right, LABELS).gates(Limits())
    with pytest.raises(GateError, match=r"in a probability; the limit is 1e-05$"):
        check_gates(gates, "conv2 is noisy")


# ---- The temperature ----


def drawn(temperature: float, rows: int = 5000) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn from what they say at a temperature."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (rows, 10)).astype(np.float32)
    labels = np.array([rng.choice(10, p=p) for p in special.softmax(logits.astype(float) / temperature, axis=1)])
    return logits, labels.astype(np.uint8)


@pytest.mark.parametrize("truth", [0.6, 1.0, 2.5])
def test_temperature_is_the_one_of_least_loss(truth):
    logits, labels = drawn(truth)

    def loss(value: float) -> float:
        return float(-special.log_softmax(logits.astype(float) / value, axis=1)[np.arange(len(labels)), labels].mean())

    expected = optimize.minimize_scalar(loss, bounds=(0.3, 4), method="bounded", options={"xatol": 1e-6})
    found = fit_temperature(logits, labels)
    assert found.value == pytest.approx(expected.x, rel=1e-3)
    assert found.value == pytest.approx(truth, rel=0.05)
    assert found.loss_before == pytest.approx(loss(1.0))
    assert found.loss_after == pytest.approx(expected.fun, rel=1e-6)
    assert found.as_dict()["rows"] == 5000


def test_temperature_is_left_at_1_where_every_row_is_right():
    logits, _ = drawn(1.0, 100)
    found = fit_temperature(logits, logits.argmax(axis=1))
    assert (found.value, found.loss_before) == (1.0, found.loss_after)


def test_temperature_keeps_its_bounds():
    logits, labels = drawn(1.0, 300)
    assert fit_temperature(logits * 100, labels).value == pytest.approx(HIGHEST)
    assert fit_temperature(logits / 3, labels, lowest=1.0).value == pytest.approx(1.0)


def test_tempered_probabilities_are_those_of_the_divided_logits():
    logits, _ = drawn(1.0, 200)
    for temperature in (0.5, 1.0, 3.0):
        found = temper(special.softmax(logits, axis=1), temperature)
        np.testing.assert_allclose(found, special.softmax(logits / temperature, axis=1), atol=1e-6)
        assert found.dtype == np.float32


# ---- The latency ----


class Slow:
    """Takes a known time for each tile."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.calls = 0

    def classify(self, tile: np.ndarray) -> None:
        self.calls += 1
        time.sleep(self._seconds)


def test_latency_is_the_median_in_microseconds_of_calls_in_turn():
    quick, slow = Slow(0.0005), Slow(0.002)
    found = measure_latency({"quick": quick, "slow": slow}, np.zeros((28, 28), np.uint8))
    assert 500 <= found["quick"] < found["slow"]
    assert 2000 <= found["slow"] < 200_000  # a sleep on a busy machine takes longer, but half of them not that long
    assert quick.calls == slow.calls >= 40
