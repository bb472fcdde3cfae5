"""evaluate says so where the rows are known to the model: by what it says of its training, or by their pixels."""

from __future__ import annotations

import gzip
import hashlib
import json
import tracemalloc
from pathlib import Path

import numpy as np
import onnx
import pytest
from commands import Run, runner
from numpy.typing import NDArray
from pictures import csv_table, mnist, some

from edge_digits import Classifier
from edge_digits.errors import GateError, TableError
from edge_digits.metrics import Evaluation, wilson_interval
from edge_digits.model_files import load_model_file
from edge_digits.overlap import DataHash, Overlap, TrainingTables
from edge_digits.variations import vary

CHOSEN = some(300, seed=7)
TILES, LABELS = mnist()[0][CHOSEN], mnist()[1][CHOSEN]
WRONG = np.where(np.arange(300) % 5 == 0, (LABELS + 1) % 10, LABELS)
"""Every fifth label is wrong."""


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs `edge-digits evaluate` in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    return runner(capfd, monkeypatch, "evaluate")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """300 rows, of which every fifth has a wrong label."""
    return write_table(tmp_path / "labelled.csv", TILES, WRONG)


def write_table(path: Path, tiles: NDArray[np.uint8], labels: NDArray[np.integer]) -> Path:
    """A table as Kaggle's train.csv."""
    data = csv_table(tiles, labels)
    path.write_bytes(gzip.compress(data, 1) if path.suffix == ".gz" else data)
    return path


def sha256(tiles: NDArray[np.uint8], labels: NDArray[np.integer]) -> str:
    """As the training records it: of all pixels, then all labels, a byte each."""
    return hashlib.sha256(tiles.astype(np.uint8).tobytes() + labels.astype(np.uint8).tobytes()).hexdigest()


def model_trained_on(said: str, path: Path) -> Path:
    """The bundled model, saying that it was trained on something else."""
    model = onnx.load_from_string(load_model_file("digits-int8").data)
    facts = {entry.key: entry.value for entry in model.metadata_props}
    onnx.helper.set_model_props(model, facts | {"edge_digits.trained_on": said})
    onnx.save(model, path)
    return path


def answers(n: int, seed: int = 0) -> NDArray[np.float32]:
    """Probabilities (n, 10)."""
    scores = np.random.default_rng(seed).random((n, 10), np.float32)
    return scores / scores.sum(axis=1, keepdims=True)


# ---- the same rows, by what the model says


@pytest.mark.parametrize("chunk", [1, 64, 300])
def test_the_hash_is_that_of_all_pixels_then_all_labels(chunk: int) -> None:
    found = DataHash()
    for start in range(0, 300, chunk):
        found.add(TILES[start : start + chunk], LABELS[start : start + chunk].astype(np.uint8))
    assert found.hexdigest() == found.hexdigest() == sha256(TILES, LABELS)


def test_the_hash_is_the_one_that_a_training_records() -> None:
    from edge_digits_train.data import DataSet

    found = DataHash()
    found.add(TILES, LABELS.astype(np.uint8))
    assert found.hexdigest() == DataSet("some", TILES, LABELS.astype(np.uint8)).sha256


def test_the_bundled_models_name_what_they_were_trained_on_by_its_hash(table: Path) -> None:
    for name in ("digits-int8", "digits-fp32"):
        said = Classifier(name).metadata["edge_digits.trained_on"]
        overlap = Overlap({name: said}, TrainingTables([str(table)]))
        assert overlap.elsewhere == [name], "a hash is found in what it says, and is not that of another table"


@pytest.mark.parametrize("packed", ["labelled.csv", "labelled.csv.gz"])
def test_an_evaluation_on_the_rows_of_the_training_says_so(run: Run, tmp_path: Path, packed: str) -> None:
    table = write_table(tmp_path / packed, TILES, WRONG)
    model = model_trained_on(f"labelled.csv, SHA-256 {sha256(TILES, WRONG)}", tmp_path / "mine.onnx")
    done = run(table, "--model", model)
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[2] == f"overlap   these are the rows that {model} was trained on: this says nothing about new digits"
    found = json.loads(run(table, "--model", model, "--format", "json").out)
    assert (found["trained_on_these_rows"], found["seen"], found["unseen"]) == ([str(model)], None, None)
    assert run(table, "--model", model, "--at-least", found["accuracy"]).code == 0


def test_other_rows_than_those_of_the_training_are_no_overlap(run: Run, table: Path, tmp_path: Path) -> None:
    others = {
        "a label more": sha256(TILES, np.append(WRONG, 0)),
        "other labels": sha256(TILES, LABELS),
        "one row less": sha256(TILES[:-1], WRONG[:-1]),
        "another order": sha256(TILES[::-1], WRONG[::-1]),
        "cut off": sha256(TILES, WRONG)[:-1],
        "nothing": "",
    }
    for said in others.values():
        model = model_trained_on(f"labelled.csv, SHA-256 {said}", tmp_path / "mine.onnx")
        done = run(table, "--model", model)
        assert "overlap" not in done.out
        assert json.loads(run(table, "--model", model, "--format", "json").out)["trained_on_these_rows"] == []


def test_of_several_models_those_that_know_the_rows_are_named(run: Run, table: Path, tmp_path: Path) -> None:
    mine = model_trained_on(f"x, SHA-256 {sha256(TILES, WRONG)}", tmp_path / "mine.onnx")
    two = model_trained_on(f"a, SHA-256 {'0' * 64}; b, SHA-256 {sha256(TILES, WRONG)}", tmp_path / "two.onnx")
    done = run(table, "--model", "digits", "--model", mine)
    assert f"the rows that {mine} was trained on" in done.out
    done = run(table, "--model", two, "--model", "digits", "--model", mine)
    assert f"the rows that {two} and {mine} were trained on" in done.out
    assert "overlap" not in run(table).out


# ---- the same images, by their pixels


def test_images_of_the_training_tables_are_told_from_new_ones(tmp_path: Path) -> None:
    one = write_table(tmp_path / "one.csv.gz", TILES[:100], LABELS[:100])
    two = tmp_path / "two.csv"
    two.write_bytes(csv_table(TILES[50:120]))  # without labels
    told: list[tuple[int, int | None]] = []
    training = TrainingTables([str(one), str(two)], lambda done, size: told.append((done, size)))
    nearly = TILES[:5].copy()
    nearly[:, 14, 14] ^= 1
    np.testing.assert_array_equal(training.hold(TILES), np.arange(300) < 120)
    assert not training.hold(nearly).any()
    assert training.hold(TILES[:0]).shape == (0,)
    assert training.hashes == {sha256(TILES[:100], LABELS[:100])}
    assert told == [(path.stat().st_size,) * 2 for path in (one, two)]


def test_rows_never_seen_are_evaluated_on_their_own(run: Run, table: Path, tmp_path: Path) -> None:
    """Known truth: every tenth row and the first 30 were seen; another label does not make them new."""
    seen = (np.arange(300) % 10 == 0) | (np.arange(300) < 30)
    strange = np.random.default_rng(0).integers(0, 256, (5, 28, 28)).astype(np.uint8)
    write_table(tmp_path / "tenths.csv", np.concatenate([strange, TILES[::10][::-1]]), np.zeros(35, int))
    write_table(tmp_path / "first.csv", TILES[:30], LABELS[:30])
    answers = Classifier().classify(TILES).digits
    right = int((answers == WRONG)[~seen].sum())
    n = int((~seen).sum())
    arguments = [table, "--trained-on", "tenths.csv", "--trained-on", "first.csv"]
    found = json.loads(run(*arguments, "--format", "json").out)
    assert found["n"] == 300
    assert found["correct"] == (answers == WRONG).sum()
    assert found["seen"] == seen.sum()
    assert (found["unseen"]["n"], found["unseen"]["correct"]) == (n, right)
    assert found["unseen"]["accuracy"] == right / n
    assert found["unseen"]["interval"] == list(wilson_interval(right, n))
    assert found["unseen"]["accuracy"] != found["accuracy"]
    low, high = wilson_interval(right, n)
    lines = run(*arguments).out.splitlines()
    assert lines[2] == f"seen      {seen.sum()} of 300: their images stand in tenths.csv, first.csv, too"
    assert lines[3] == (
        f"unseen    {100 * right / n:.2f} % ({right} of {n}; 95 % interval {100 * low:.2f} to {100 * high:.2f} %)"
    )
    assert lines[4] == ""


def test_the_gate_judges_the_unseen_rows_where_they_are_known(run: Run, tmp_path: Path) -> None:
    """The seen rows have their labels, the others wrong ones."""
    table = write_table(tmp_path / "table.csv", TILES, np.where(np.arange(300) < 200, LABELS, (LABELS + 1) % 10))
    write_table(tmp_path / "seen.csv", TILES[:200], LABELS[:200])
    write_table(tmp_path / "unseen.csv", TILES[200:], LABELS[200:])
    assert run(table, "--at-least", 0.6).code == 0
    done = run(table, "--at-least", 0.6, "--trained-on", "seen.csv")
    assert done.code == 5
    assert "unseen" in done.out
    assert "the accuracy on unseen rows is 0.0" in done.err
    assert run(table, "--at-least", 0.7).code == 5
    assert run(table, "--at-least", 0.7, "--trained-on", "unseen.csv").code == 0


def test_where_no_row_is_unseen_there_is_no_figure_and_the_gate_fails(run: Run, table: Path) -> None:
    done = run(table, "--trained-on", table)
    assert done.code == 0
    assert done.out.splitlines()[2:4] == [
        f"seen      300 of 300: their images stand in {table}, too",
        "unseen    – (no row is new)",
    ]
    found = json.loads(run(table, "--trained-on", table, "--format", "json").out)
    assert (found["seen"], found["unseen"]["n"], found["unseen"]["accuracy"]) == (300, 0, None)
    done = run(table, "--trained-on", table, "--at-least", 0)
    assert done.code == 5
    assert "no row is unseen" in done.err


def test_a_model_that_was_trained_on_another_table_is_told_apart(run: Run, table: Path, tmp_path: Path) -> None:
    write_table(tmp_path / "train.csv", TILES[:50], LABELS[:50])
    mine = model_trained_on(f"train.csv, SHA-256 {sha256(TILES[:50], LABELS[:50])}", tmp_path / "mine.onnx")
    assert run(table, "--trained-on", "train.csv", "--model", mine).err == ""
    done = run(table, "--trained-on", "train.csv", "--model", mine, "--model", "digits")
    assert done.code == 0
    assert done.err.count("\n") == 1
    assert "digits-int8 was trained on other rows than those of --trained-on" in done.err
    assert run(table, "--model", "digits").err == ""


def test_stdin_can_be_either_table_but_not_both(run: Run, table: Path) -> None:
    data = table.read_bytes()
    assert "seen      300 of 300: their images stand in stdin, too" in run(table, "--trained-on", "-", stdin=data).out
    assert "seen      300 of 300" in run("-", "--trained-on", table, stdin=data).out
    done = run("-", "--trained-on", "-", stdin=data)
    assert (done.code, done.out) == (2, "")
    assert "stdin" in done.err


def test_a_bad_training_table_is_named_with_its_line(run: Run, table: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_bytes(table.read_bytes().replace(b"\n", b"\nx", 2))
    done = run(table, "--trained-on", "bad.csv")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("edge-digits: bad.csv: line 2: ")
    assert run(table, "--trained-on", "missing.csv").code == 1
    with pytest.raises(TableError, match="missing"):
        TrainingTables(["missing.csv"])


def test_the_images_of_a_training_table_take_little_memory(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    tiles = (rng.integers(0, 256, (8000, 28, 28)) * (rng.random((8000, 28, 28)) < 0.02)).astype(np.uint8)
    path = write_table(tmp_path / "train.csv", tiles, np.zeros(8000, int))
    tracemalloc.start()
    try:
        training = TrainingTables([str(path)])
        kept = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert training.hold(tiles[::100]).all()
    assert kept < 8000 * 150  # bytes; the pixels of one tile are 784


# ---- in parts


def test_overlap_adds_up_over_chunks(tmp_path: Path) -> None:
    path = write_table(tmp_path / "train.csv", TILES[:100], LABELS[:100])
    said = answers(300)
    labels = LABELS.astype(np.uint8)
    training = TrainingTables([str(path)])
    overlap = Overlap({"m": sha256(TILES, labels)}, training)
    for start in range(0, 300, 64):
        part = slice(start, start + 64)
        overlap.add(TILES[part], labels[part], said[part])
    whole = Evaluation.from_probabilities(said[100:], labels[100:])
    assert overlap.unseen is not None
    np.testing.assert_array_equal(overlap.unseen.confusion, whole.confusion)
    assert overlap.unseen.loss == pytest.approx(whole.loss)
    assert (overlap.seen, overlap.learned_by, overlap.elsewhere) == (100, ["m"], ["m"])


def test_the_gate_passes_at_its_limit_and_fails_above() -> None:
    found = Evaluation.from_probabilities(np.eye(10, dtype=np.float32)[[1, 2, 3, 4]], np.array([1, 2, 3, 5]))
    Overlap({}).gate(found, 0.75)
    with pytest.raises(GateError, match=r"the accuracy is 0\.75000, less than 0\.7501"):
        Overlap({}).gate(found, 0.7501)


def test_confidences_are_measured_against_the_truth(run, tmp_path, tiles, labels):
    path = tmp_path / "labelled.csv"
    path.write_bytes(csv_table(tiles[:400], labels[:400]))
    told = json.loads(run(path, "--format", "json").out)
    assert 0 <= told["calibration_error"] < 0.05
    assert [row["left_out"] for row in told["coverage"]] == [0, 0.005, 0.01, 0.02, 0.05]
    assert [row["n"] for row in told["coverage"]] == [400, 398, 396, 392, 380]
    assert f"calibration error {100 * told['calibration_error']:.2f} % (15 bins)" in run(path).out


def test_small_shifts_and_turns_are_averaged(run, tmp_path, tiles, labels):
    path = tmp_path / "labelled.csv"
    path.write_bytes(csv_table(tiles[:100], labels[:100]))
    losses = [json.loads(run(path, "--format", "json", "--tta", n).out)["loss"] for n in (1, 3)]
    assert losses[0] != losses[1]
    classifier = Classifier()
    said = np.mean([classifier.classify(vary(tiles[:100], number)).probabilities for number in range(3)], axis=0)
    assert losses[1] == pytest.approx(float(-np.log(said[np.arange(100), labels[:100]]).mean()), rel=1e-3)
    assert run(path, "--tta", 12).code == 2
