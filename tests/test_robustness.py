from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from commands import Run, runner
from pictures import csv_table
from PIL import Image

pytest.importorskip("matplotlib", reason="training is not installed: pip install 'edge-digits[train]'")
pytest.importorskip("sklearn", reason="training is not installed: pip install 'edge-digits[train]'")

from test_report import assert_legible, texts

from edge_digits import Classifier
from edge_digits_train import robustness_plot
from edge_digits_train.corruptions import CORRUPTIONS, KINDS, corrupt
from edge_digits_train.data import DataSet, Split, split_data
from edge_digits_train.plots import style
from edge_digits_train.robustness import SEVERITIES, Card, Choice, Robustness, choose_rows, measure

GUIDE = Path(__file__).parents[1] / "docs" / "models.md"


@pytest.fixture(scope="module")
def data(tiles, labels) -> DataSet:
    return DataSet("digits.csv", tiles[::5], labels[::5].astype(np.uint8))


@pytest.fixture
def robustness(capfd, monkeypatch) -> Run:
    return runner(capfd, monkeypatch, "robustness")


class Watching:
    """A model that keeps the tiles it is shown, and says of each what `answer` does."""

    def __init__(self, name: str, answer, trained_on: str = "") -> None:
        self.name, self.metadata, self._answer = name, {"edge_digits.trained_on": trained_on}, answer
        self.shown: list[np.ndarray] = []

    def classify(self, tiles):
        self.shown.append(tiles)
        return SimpleNamespace(digits=self._answer(tiles))


def three(tiles: np.ndarray) -> np.ndarray:
    return np.full(len(tiles), 3)


def falling(model: str, n: int = 200) -> Card:
    """Loses the number of the kind times the severity."""
    counts = {kind: tuple(n - i * severity for severity in SEVERITIES) for i, kind in enumerate(KINDS)}
    return Card(model, n, counts, learned=False)


# ---- Measuring ----


def test_every_model_sees_the_same_tiles_of_each_kind_and_severity(data):
    one, other, told = Watching("one", three), Watching("other", three), []
    found = measure(data, [one, other, one], Choice(50, seed=4), lambda done, total: told.append((done, total)))
    assert [card.model for card in found.cards] == ["one", "other"]
    rows = choose_rows(data, Choice(50, seed=4))
    expected = [
        corrupt(rows.tiles, kind, severity, np.random.default_rng([4, number]))
        for number, kind in enumerate(KINDS)
        for severity in SEVERITIES
    ]
    for model in (one, other):
        np.testing.assert_array_equal(np.stack(model.shown), np.stack(expected))
    assert told == [(50 * (i + 1), 50 * 90) for i in range(90)]


def test_what_is_right_is_counted_for_each_kind_and_severity(data):
    def unless_white(tiles):
        return np.where(tiles.mean(axis=(1, 2)) > 150, -1, digits)

    rows = choose_rows(data, Choice(100))
    digits = rows.labels
    threes = int((rows.labels == 3).sum())
    card, always = measure(data, [Watching("a", unless_white), Watching("b", three)], Choice(100)).cards
    assert card.n == 100
    assert card.correct["inversion"] == (100, 0, 0, 0, 0, 0)
    assert card.correct["background"] == (100, *(sum_below(rows, severity) for severity in SEVERITIES[1:]))
    assert card.correct["rotation"] == (100,) * 6
    assert set(always.correct.values()) == {(threes,) * 6}
    assert always.mean() == always.clean == threes / 100


def sum_below(rows: DataSet, severity: int) -> int:
    raised = rows.tiles.astype(int) + CORRUPTIONS["background"].amounts[severity]
    return int((np.minimum(raised, 255).mean(axis=(1, 2)) <= 150).sum())


def test_the_bundled_model_reads_clean_tiles_and_fewer_as_they_get_worse(data):
    [card] = measure(data, [Classifier("digits")], Choice(150)).cards
    assert card.clean > 0.97
    assert all(card.accuracy(kind, 0) == card.clean for kind in KINDS)
    means = [card.mean(severity) for severity in SEVERITIES]
    assert (np.diff(means) < 0).all(), means


def test_the_mean_is_of_all_kinds_at_the_middle_severity():
    card = falling("model")
    assert card.mean() == pytest.approx(1 - 3 * np.mean(range(15)) / 200)
    assert card.mean(0) == card.clean == 1
    assert card.accuracy("inversion", 5) == (200 - 14 * 5) / 200


def test_a_model_that_names_the_data_has_learned_it(data):
    models = [Watching("knows", three, f"x.csv, SHA-256 {data.sha256}"), Watching("not", three, "x.csv, SHA-256 0")]
    assert [card.learned for card in measure(data, models, Choice(10)).cards] == [True, False]


def test_rows_are_drawn_from_all_or_from_those_held_out(data):
    chosen = choose_rows(data, Choice(60))
    assert len(chosen) == 60
    assert len(np.unique(chosen.tiles, axis=0)) == 60
    np.testing.assert_array_equal(chosen.tiles, choose_rows(data, Choice(60)).tiles)
    assert not np.array_equal(chosen.tiles, choose_rows(data, Choice(60, seed=1)).tiles)
    assert len(choose_rows(data, Choice(9999))) == len(data)

    trained, held_out = split_data(data, Split())
    chosen = choose_rows(data, Choice(60, held_out=True))
    known = {tile.tobytes() for tile in trained.tiles}
    assert len(chosen) == 60
    assert not any(tile.tobytes() in known for tile in chosen.tiles)
    assert len(choose_rows(data, Choice(9999, held_out=True))) == len(held_out)


# ---- What is written ----


def test_the_table_has_a_line_for_each_model_kind_and_severity():
    out = io.StringIO()
    Robustness("d.csv", Choice(), (falling("a"), falling("b"))).write_csv(out)
    rows = list(csv.DictReader(io.StringIO(out.getvalue())))
    assert [(row["model"], row["kind"], row["severity"]) for row in rows] == [
        (model, kind, str(severity)) for model in "ab" for kind in KINDS for severity in SEVERITIES
    ]
    assert rows[90 + 2 * 6 + 3] == {
        "model": "b", "kind": "scale", "severity": "3", "amount": "0.4",
        "unit": "share of the size lost or 0.8 of it gained", "correct": "194", "n": "200", "accuracy": "0.970000",
    }  # fmt: skip


def test_text_and_json_tell_the_middle_severity_and_the_mean():
    found = Robustness("d.csv", Choice(200, held_out=True, seed=9), (falling("first"), falling("second")))
    lines = found.text().splitlines()
    assert lines[0].split() == ["at", "severity", "3", "first", "second"]
    assert [line.split()[0] for line in lines[1:16]] == list(KINDS)
    assert lines[2].split() == ["shift", "98.5", "%", "98.5", "%"]
    assert lines[16].split() == ["mean", "89.5", "%", "89.5", "%"]
    assert lines[17].split() == ["undamaged", "100.0", "%", "100.0", "%"]
    assert lines[-1] == "200 rows of d.csv, of those held out from training, seed 9."
    said = json.loads(json.dumps(found.as_dict()))
    assert {name: said[name] for name in ("data", "n", "held_out", "seed", "severity")} == {
        "data": "d.csv", "n": 200, "held_out": True, "seed": 9, "severity": 3,
    }  # fmt: skip
    assert [model["model"] for model in said["models"]] == ["first", "second"]
    assert said["models"][0]["mean"] == pytest.approx(0.895)
    assert said["models"][0]["accuracy"]["shift"] == [1.0, 0.995, 0.99, 0.985, 0.98, 0.975]


@pytest.mark.parametrize("names", [["digits-int8"], ["a", "b", "runs/" + "long/" * 20 + "mine-fp32.onnx"]])
def test_the_picture_has_every_figure_and_all_of_it_is_legible(names):
    found = Robustness("d.csv", Choice(), tuple(falling(name) for name in names))
    with style():
        figure = robustness_plot._draw(found)
        assert_legible(figure)
        placed = texts(figure)
    said = [text for text, _ in placed]
    for kind, cells in (
        ("inversion", "inversion 100 93.0 86.0 79.0 72.0 65.0"),
        ("shift", "shift 100 99.5 99.0 98.5 98.0 97.5"),
    ):
        foot = next(box[1] for text, box in placed if text == kind)
        row = sorted((box[0], text) for text, box in placed if abs(box[1] - foot) < 8)
        assert " ".join(text for _, text in row).startswith(cells)
    assert said.count("65.0") == len(names)  # inversion at 5
    assert said.count("100") == len(names) * (15 + 5)  # all at 0, and rotation
    for kind in KINDS:
        assert said.count(kind) == len(names)
    titles = [text for text in said if text.endswith("mean at 3: 89.5 %")]
    assert len(titles) == len(names)
    assert all(title.split("\n")[0].endswith(name[-20:]) for title, name in zip(titles, names, strict=True))


@pytest.mark.skipif(not GUIDE.exists(), reason="the docs are not beside the tests")
def test_the_guide_has_the_amounts_of_every_kind():
    text = GUIDE.read_text(encoding="utf-8")
    for kind, corruption in CORRUPTIONS.items():
        if kind != "inversion":
            assert f"| {kind} | {' | '.join(f'{x:g}' for x in corruption.amounts[1:])} | {corruption.unit} |" in text


# ---- The command ----


def test_the_command_writes_a_table_and_a_picture_and_prints_the_middle(tmp_path, data, robustness):
    (tmp_path / "train.csv").write_bytes(csv_table(data.tiles, data.labels))
    asked = ("--data", tmp_path / "train.csv", "-n", "40", "-o", tmp_path / "new" / "card")
    done = robustness(*asked, "--model", "digits-fp32", "--model", "digits")
    assert done.code == 0
    assert done.out.splitlines()[0].split() == ["at", "severity", "3", "digits-fp32", "digits-int8"]
    assert "40 rows of train.csv, seed 0." in done.out
    assert "robustness.csv" in done.err
    table = (tmp_path / "new" / "card" / "robustness.csv").read_text()
    assert table.count("\n") == 1 + 2 * 90
    with Image.open(tmp_path / "new" / "card" / "robustness.png") as image:
        assert image.width == 1050
    assert {path.name for path in (tmp_path / "new" / "card").iterdir()} == {"robustness.csv", "robustness.png"}

    assert robustness(*asked).code == 2  # there already
    assert (tmp_path / "new" / "card" / "robustness.csv").read_text() == table
    again = robustness(*asked, "--force", "--model", "digits-fp32", "--format", "json")
    assert again.code == 0
    [model] = json.loads(again.out)["models"]
    assert model["model"] == "digits-fp32"
    assert (tmp_path / "new" / "card" / "robustness.csv").read_text() == "".join(table.splitlines(True)[:91])


def test_figures_on_rows_that_the_model_has_learned_are_told_so(tmp_path, data, robustness, monkeypatch):
    (tmp_path / "train.csv").write_bytes(csv_table(data.tiles, data.labels))
    said = Classifier("digits").metadata["edge_digits.trained_on"]
    monkeypatch.setattr(DataSet, "sha256", said.rpartition(" ")[2])
    asked = ("--data", tmp_path / "train.csv", "-n", "10", "-o", tmp_path / "card", "--force")
    assert "digits-int8 was trained on rows of train.csv" in robustness(*asked).err
    held_out = robustness(*asked, "--held-out")
    assert held_out.code == 0
    assert "was trained on" not in held_out.err


def test_the_command_refuses_what_it_cannot_use(tmp_path, data, robustness):
    (tmp_path / "train.csv").write_bytes(csv_table(data.tiles[::25], data.labels[::25]))
    missing = robustness("--data", tmp_path / "none.csv", "-o", tmp_path / "card")
    assert missing.code == 1
    assert "none.csv" in missing.err
    few = robustness("--data", tmp_path / "train.csv", "--held-out", "-o", tmp_path / "card")
    assert few.code == 2
    assert "too few rows (40)" in few.err
    assert robustness("--data", tmp_path / "train.csv", "--model", "none", "-o", tmp_path / "card").code == 3
    file = robustness("--data", tmp_path / "train.csv", "-o", tmp_path / "train.csv")
    assert file.code == 1
    assert "is no folder" in file.err
