from __future__ import annotations

import io
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("keras", reason="training is not installed: pip install 'edge-digits[train]'")
pytest.importorskip("matplotlib", reason="training is not installed: pip install 'edge-digits[train]'")

from made_runs import Making, predict, small_network
from scipy.stats import binomtest
from test_report import assert_legible

from edge_digits.cli import app
from edge_digits.errors import InputError
from edge_digits_train import compare_plot
from edge_digits_train.compare import compare
from edge_digits_train.compare_plot import draw_comparison
from edge_digits_train.data import DataSet, Split
from edge_digits_train.facts import RunFacts
from edge_digits_train.grids import Answers
from edge_digits_train.mistakes import Difference, read_mistakes, write_mistakes
from edge_digits_train.plots import style
from edge_digits_train.runs import Run


@pytest.fixture(scope="module")
def data(tiles, labels) -> DataSet:
    """1,000 real digits, in no order."""
    rows = np.random.default_rng(0).permutation(len(tiles))[:1000]
    return DataSet("train.csv", tiles[rows], labels[rows].astype(np.uint8))


@pytest.fixture(scope="module")
def good(data, tiles, labels) -> Making:
    return Making(data, small_network(0, tiles[1::5], labels[1::5], passes=6), seed=0)


@pytest.fixture(scope="module")
def poor(data, tiles, labels) -> Making:
    return Making(data, small_network(1, tiles[2::50], labels[2::50], passes=1), seed=1, done=4, recipe="poor")


def make(making: Making, folder: Path) -> Run:
    """A run folder with its table of mistakes."""
    run = making.write(folder, network=False)
    training_and_held_out = making.parts
    if len(training_and_held_out[1]):
        write_mistakes(folder, Answers(training_and_held_out[1], predict(making.network, training_and_held_out[1])))
    return run


@pytest.fixture(scope="module")
def folders(tmp_path_factory, good, poor) -> list[Path]:
    """A good and a poor run, measured on the same rows."""
    root = tmp_path_factory.mktemp("runs")
    return [make(good, root / "good").folder, make(poor, root / "poor").folder]


def right(making: Making) -> np.ndarray:
    """(n,): which held-out rows are read right."""
    held_out = making.parts[1]
    return predict(making.network, held_out).argmax(axis=1) == held_out.labels


# ---- the table


def test_table_holds_what_each_run_reached_and_cost(folders, good, poor):
    head, *lines = compare(folders).text().splitlines()[:3]
    for column in (
        "run",
        "recipe",
        "seed",
        "accuracy",
        "parameters",
        "multiply-adds",
        "minutes",
        "passes",
        "best pass",
    ):
        assert column in head
    assert "test" not in head
    for line, making, name in zip(lines, (good, poor), ("good", "poor"), strict=True):
        correct = int(right(making).sum())
        low, high = binomtest(correct, 200).proportion_ci(method="wilson")
        share = f"{correct / 2:.2f} % ({100 * low:.2f}–{100 * high:.2f}) of 200"
        minutes = {5: "0.25", 4: "0.20"}[making.done]  # of 3 seconds a pass
        cells = [name, making.recipe, str(making.seed), share, "7,850", "7,840", minutes, str(making.done), "3"]
        assert re.split(r"  +", line) == cells


def test_runs_keep_their_order_and_count_once(folders):
    assert compare([*reversed(folders), *folders]).names == ("poor", "good")


def test_a_folder_of_seeds_stands_for_its_runs_by_their_number(tmp_path, good):
    for seed in (2, 10, 1):
        make(replace(good, seed=seed), tmp_path / "many" / f"seed-{seed}")
    found = compare([tmp_path / "many"])
    assert found.names == ("many/seed-1", "many/seed-2", "many/seed-10")
    assert [run.seed for run in found.runs] == [1, 2, 10]


def test_runs_of_the_same_name_are_told_apart_by_their_paths(tmp_path, folders, poor):
    make(poor, tmp_path / "good")
    assert compare([folders[0], tmp_path / "good"]).names == (str(folders[0]), str(tmp_path / "good"))


def test_test_accuracy_is_shown_where_a_run_has_one(tmp_path, folders, good, tiles, labels):
    test = DataSet("test", tiles[3::10], labels[3::10].astype(np.uint8))
    make(replace(good, test=test), tmp_path / "tested")
    head, first, second, *_ = compare([folders[1], tmp_path / "tested"]).text().splitlines()
    share = 100 * (predict(good.network, test).argmax(axis=1) == test.labels).mean()
    assert "test" in head
    assert f"{share:.2f} % (" in second
    assert "of 500" in second
    assert "  –  " in first


# ---- which rows


@pytest.mark.parametrize(
    "other",
    [
        {"split": Split(validation=0.2, seed=28)},
        {"split": Split(validation=0.1)},
        {"split": Split(validation=0.2, how="last")},
        {"split": Split(validation=0.2, sample=0.5)},
        {"data": None},
    ],
    ids=["seed", "share", "how", "sample", "data"],
)
def test_runs_on_different_rows_are_marked_as_not_comparable(tmp_path, folders, good, data, other):
    if "data" in other:
        other = {"data": DataSet("other.csv", data.tiles[::-1].copy(), data.labels[::-1].copy())}
    made = make(replace(good, **other), tmp_path / "other")
    found = compare([folders[0], made.folder])
    assert not found.comparable
    assert found.rows == ("a", "b")
    text = found.text()
    assert "NOT COMPARABLE" in text
    assert [re.split(r"  +", line)[4] for line in text.splitlines()[:3]] == ["rows", "a", "b"]
    assert "chance" not in text
    assert "alone" not in text


@pytest.mark.parametrize("other", [Split(validation=0.2, sample_seed=9), Split(validation=0.2)])
def test_a_seed_of_nothing_drawn_makes_no_other_rows(tmp_path, folders, good, other):
    found = compare([folders[0], make(replace(good, split=other), tmp_path / "same").folder])
    assert found.comparable
    assert found.text().count("200 rows held out from train.csv") == 1


def test_a_refit_has_no_accuracy_of_its_own(tmp_path, folders, good):
    make(replace(good, refit=True), tmp_path / "base" / "refit")
    found = compare([folders[0], tmp_path / "base" / "refit"])
    assert found.rows == ("a", "")
    assert found.comparable
    assert "base/refit was trained on all rows: nothing was held out." in found.text()
    assert re.split(r"  +", found.text().splitlines()[2])[3] == "–"
    assert "chance" not in found.text()


def test_images_seen_in_training_are_told(tmp_path, good):
    make(replace(good, overlap=12), tmp_path / "run")
    assert "run: 12 of its held-out images stand in its training rows, too." in compare([tmp_path / "run"]).text()


# ---- chance


def test_two_runs_are_compared_row_by_row(folders, good, poor):
    one, other = right(good), right(poor)
    found = compare(folders).difference
    assert found == Difference(int((one & ~other).sum()), int((other & ~one).sum()))
    assert found.first_alone > 30
    assert "more than chance" in compare(folders).text()


@pytest.mark.parametrize(("one", "other"), [(0, 0), (1, 0), (7, 6), (3, 11), (20, 2), (400, 401), (1500, 1200)])
def test_p_is_that_of_the_exact_binomial_test(one, other):
    expected = binomtest(one, one + other).pvalue if one + other else 1.0
    assert Difference(one, other).p == pytest.approx(expected, rel=1e-9)


def test_a_run_does_not_differ_from_its_copy(tmp_path, folders):
    shutil.copytree(folders[0], tmp_path / "copy")
    text = compare([folders[0], tmp_path / "copy"]).text()
    assert "no evidence that either is better (p = 1, McNemar's exact test)" in text


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_text("row,label\n"),
        lambda path: path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n"),  # of another network
        lambda path: path.write_bytes(b"\xff\xfe\0"),
    ],
    ids=["missing", "no rows", "of another network", "no text"],
)
def test_without_sound_mistakes_intervals_decide(tmp_path, folders, poor, damage):
    first, second = (shutil.copytree(folder, tmp_path / folder.name) for folder in folders)
    damage(second / "mistakes.csv")
    assert read_mistakes(RunFacts.read(second)) is None
    found = compare([first, second])
    assert found.difference is None
    assert "Their intervals do not overlap: the difference is more than chance." in found.text()
    shutil.copytree(second, tmp_path / "third")
    assert "Their intervals overlap: the difference may be chance." in compare([second, tmp_path / "third"]).text()


# ---- the picture


@pytest.mark.parametrize("count", [1, 2, 3, 12])
def test_picture_is_legible_for_few_and_many_runs(tmp_path, good, poor, count):
    names = [f"run-{i}" if i % 3 else f"a-run-with-quite-a-long-name-that-someone-chose-{i}" for i in range(count)]
    for i, name in enumerate(names):
        made = replace((good, poor)[i % 2], done=3 + 7 * i, split=Split(validation=0.1 if i == 5 else 0.2))
        make(made, tmp_path / name)
    found = compare([tmp_path / name for name in names])
    with style():
        figure = compare_plot._draw(found)
        assert_legible(figure)
    with Image.open(io.BytesIO(draw_comparison(found))) as image:
        image.load()
        assert image.width == 1050
    curves, ends = (axes for sub in figure.subfigs for axes in sub.axes)
    steps = [line for line in curves.lines if line.get_drawstyle() == "steps-post"]
    assert len(steps) == count
    for line, run in zip(steps, found.runs, strict=True):
        assert line.get_xdata()[-1] == pytest.approx(run.seconds / 60)
        best = np.maximum.accumulate([result.validation_accuracy for result in run.history])
        shown = np.asarray(line.get_ydata())
        assert (np.diff(shown) >= 0).all()
        assert len(set(shown)) == len(set(best))
    looks = {(str(line.get_color()), str(line.get_linestyle())) for line in steps}
    assert len(looks) == count
    assert [label.get_text()[:2].strip() for label in ends.get_yticklabels()] == [str(i + 1) for i in range(count)]


def test_numbers_of_runs_that_end_at_the_same_place_stand_apart(tmp_path, good):
    for name in "abcd":
        make(good, tmp_path / name)
    with style():
        assert_legible(compare_plot._draw(compare([tmp_path / name for name in "abcd"])))


def test_picture_draws_what_was_not_held_out_and_tests(tmp_path, good, tiles, labels):
    test = DataSet("test", tiles[3::10], labels[3::10].astype(np.uint8))
    make(replace(good, refit=True, test=test), tmp_path / "tested")
    make(replace(good, refit=True), tmp_path / "plain")
    with style():
        figure = compare_plot._draw(compare([tmp_path / "tested", tmp_path / "plain"]))
        assert_legible(figure)
    (ends,) = figure.axes  # without held-out rows there are no curves
    share = 100 * (predict(good.network, test).argmax(axis=1) == test.labels).mean()
    assert [text.get_text() for text in ends.texts] == [f"{share:.2f} %", "no rows held out"]


def test_same_runs_draw_the_same_bytes(folders):
    assert draw_comparison(compare(folders)) == draw_comparison(compare(folders))


# ---- what is no run


def test_what_is_no_run_is_named_in_one_line(tmp_path, folders):
    empty, begun = tmp_path / "empty", tmp_path / "begun"
    empty.mkdir()
    shutil.copytree(folders[0], begun)
    (begun / "metrics.json").unlink()
    (begun / "history.csv").unlink()
    for folder, reason in ((tmp_path / "gone", "is no run"), (empty, "is no run"), (begun, "no finished pass")):
        with pytest.raises(InputError, match=reason) as error:
            compare([folders[0], folder])
        assert str(error.value).startswith(f"{folder}: ")
        assert "\n" not in str(error.value)


def test_nothing_to_compare_is_misuse():
    with pytest.raises(ValueError, match="nothing"):
        compare([])


# ---- the command


@pytest.fixture
def command(capfd, monkeypatch, tmp_path):
    """Runs `edge-digits compare` in a folder of its own: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments: object) -> tuple[int, str, str]:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            app(["compare", *map(str, arguments)], prog_name="edge-digits")
        heard = capfd.readouterr()
        return int(ended.value.code or 0), heard.out, heard.err

    return command


def test_command_prints_the_table_and_draws_the_picture(command, tmp_path, folders):
    code, out, err = command(*folders)
    assert (code, out) == (0, compare(folders).text() + "\n")
    assert err == "edge-digits: drawn to compare.png\n"
    assert (tmp_path / "compare.png").read_bytes() == draw_comparison(compare(folders))


def test_command_prints_json(command, folders):
    code, out, _ = command(*folders, "--format", "json", "-o", "other.png")
    found = json.loads(out)
    assert code == 0
    assert [run["run"] for run in found["runs"]] == ["good", "poor"]
    assert found["runs"][0]["validation"] == RunFacts.read(folders[0]).validation.as_dict()
    assert (found["comparable"], found["runs"][0]["rows"], found["runs"][0]["test"]) == (True, "a", None)
    assert found["difference"]["p"] < 0.001
    assert found["runs"][1]["seconds"] == 12


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["-o", "there.png"], 2, "there.png: exists already; --force replaces it"),
        (["-o", "no/such.png"], 1, "the folder"),
        (["-o", "-"], 2, "drawn as PNG"),
        (["-o", "chart.svg"], 2, "drawn as PNG"),
        (["gone"], 1, "gone: is no run"),
    ],
)
def test_command_refuses_before_it_prints(command, tmp_path, folders, arguments, code, reason):
    (tmp_path / "there.png").write_text("kept")
    found = command(*folders, *arguments)
    assert found[:2] == (code, "")
    assert reason in found[2]
    assert found[2].count("\n") == 1
    assert (tmp_path / "there.png").read_text() == "kept"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["there.png"]


def test_command_replaces_with_force(command, tmp_path, folders):
    (tmp_path / "there.png").write_text("old")
    assert command(*folders, "-o", "there.png", "--force")[0] == 0
    assert (tmp_path / "there.png").read_bytes().startswith(b"\x89PNG")
