from __future__ import annotations

import base64
import csv
import io
import json
import re
from dataclasses import asdict, replace
from html.parser import HTMLParser
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("keras", reason="training is not installed: pip install 'edge-digits[train]'")
pytest.importorskip("matplotlib", reason="training is not installed: pip install 'edge-digits[train]'")

import matplotlib
from made_runs import Making, predict, small_network
from matplotlib.figure import Figure
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix

from edge_digits.errors import InputError
from edge_digits.metrics import Evaluation
from edge_digits_train.accuracy_scale import AccuracyScale
from edge_digits_train.augment import Augmentation
from edge_digits_train.data import DataSet
from edge_digits_train.facts import RunFacts
from edge_digits_train.grids import Answers, draw_augmented, draw_mistakes, draw_predictions
from edge_digits_train.page import duration, render_page
from edge_digits_train.plots import draw_confusion, draw_curves, png, style, sureness
from edge_digits_train.report import write_report
from edge_digits_train.runs import Run

PICTURES = ("curves", "confusion", "predictions", "mistakes", "augmented")
ROTATION = Augmentation(rotation=10)


@pytest.fixture(scope="module")
def data(tiles, labels) -> DataSet:
    """1,000 real digits, a hundred of each."""
    return DataSet("train.csv", tiles[::5], labels[::5].astype(np.uint8))


@pytest.fixture(scope="module")
def network(tiles, labels):
    """Trained on other digits than those of `data`."""
    return small_network(0, tiles[1::5], labels[1::5])


@pytest.fixture(scope="module")
def making(data, network) -> Making:
    return Making(data, network)


@pytest.fixture(scope="module")
def run(tmp_path_factory, making) -> Run:
    """A finished run with its report."""
    run = making.write(tmp_path_factory.mktemp("runs") / "tiny-1")
    write_report(run, ROTATION, *making.parts)
    return run


@pytest.fixture(scope="module")
def answers(making) -> Answers:
    """What the network of `run` says of its held-out rows."""
    validation = making.parts[1]
    return Answers(validation, predict(making.network, validation))


class Page(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(page)
        self.text = re.sub(r"\s+", " ", " ".join(self.words))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        if self.tags[-1:] and self.tags[-1][0] != "style":
            self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def report(making: Making, folder: Path, augmentation: Augmentation = ROTATION) -> tuple[Run, Page]:
    """A run made and reported."""
    run = making.write(folder)
    write_report(run, augmentation, *making.parts)
    return run, Page(run.report.read_text(encoding="utf-8"))


def page_alone(making: Making, folder: Path) -> Page:
    """The page of a run, without its pictures, which take long."""
    return Page(render_page(RunFacts.read(making.write(folder, network=False).folder), []))


def drawn(figure: Figure) -> Figure:
    """Laid out, so that each text has its place."""
    figure.canvas.draw()
    return figure


def texts(figure: Figure) -> list[tuple[str, tuple[float, float, float, float]]]:
    """The texts of a figure with their boxes in pixels, once it is drawn."""
    found = []
    for artist in figure.findobj(matplotlib.text.Text):
        if artist.get_visible() and artist.get_text() and is_shown(artist):
            box = artist.get_window_extent()
            found.append((artist.get_text(), (box.x0, box.y0, box.x1, box.y1)))
    return found


def is_shown(artist: matplotlib.text.Text) -> bool:
    """Labels of ticks beyond the ends of an axis are not drawn, nor those that a shared axis leaves to the lowest."""
    for axes in artist.figure.axes:
        for axis, (low, high) in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                if artist in (tick.label1, tick.label2):
                    return min(low, high) <= tick.get_loc() <= max(low, high)
    return True


def assert_legible(figure: Figure) -> None:
    """No text is cut off at the edge, and none lies on another."""
    drawn(figure)
    width, height = figure.bbox.width, figure.bbox.height
    found = texts(figure)
    for text, (x0, y0, x1, y1) in found:
        assert x0 >= -1, text
        assert y0 >= -1, text
        assert x1 <= width + 1, text
        assert y1 <= height + 1, text
    for (text, a), (other, b) in combinations(found, 2):
        across, down = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
        assert across <= 1 or down <= 3, (text, other)  # the boxes hold room for descenders, which digits have not


# ---- the folder


def test_report_leaves_each_picture_and_the_page(run):
    assert {path.name for path in run.folder.iterdir()} == {
        "run.json", "recipe.py", "history.csv", "metrics.json", "best.keras", "mistakes.csv", "report.html",
        *(f"{name}.png" for name in PICTURES),
    }  # fmt: skip
    for name in PICTURES:
        with Image.open(run.folder / f"{name}.png") as image:
            image.load()
            assert image.width == 1050
            assert np.asarray(image.convert("L")).std() > 10, name


def test_same_run_gives_the_same_bytes(run, making):
    before = {path.name: path.read_bytes() for path in run.folder.iterdir()}
    write_report(run, ROTATION, *making.parts)
    assert {path.name: path.read_bytes() for path in run.folder.iterdir()} == before
    for name in PICTURES:
        with Image.open(io.BytesIO(before[f"{name}.png"])) as image:
            assert set(image.info) <= {"dpi"}


def test_matplotlib_settings_of_a_person_do_not_reach_the_pictures_and_stay(run):
    with matplotlib.rc_context({"axes.facecolor": "black", "font.size": 30, "savefig.bbox": "tight"}):
        with style():
            curves = png(draw_curves(RunFacts.read(run.folder)))
        assert matplotlib.rcParams["axes.facecolor"] == "black"
    assert curves == (run.folder / "curves.png").read_bytes()


@pytest.mark.parametrize("damage", ["removed", "truncated"])
def test_a_network_that_cannot_be_loaded_is_named(tmp_path, making, damage):
    run = making.write(tmp_path / "run")
    if damage == "removed":
        run.best.unlink()
    else:
        run.best.write_bytes(run.best.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"best\.keras: (cannot be read: No such file|is damaged$)"):
        write_report(run, ROTATION, *making.parts)
    assert not run.report.exists()


# ---- the page


def test_page_holds_its_pictures_and_fetches_nothing(run):
    page = Page(run.report.read_text(encoding="utf-8"))
    sources = [image["src"] for image in page.all("img")]
    assert len(sources) == len(PICTURES)
    for source, name in zip(sources, ("curves", "confusion", "predictions", "mistakes", "augmented"), strict=True):
        kind, _, held = str(source).partition(",")
        assert kind == "data:image/png;base64"
        assert base64.b64decode(held, validate=True) == (run.folder / f"{name}.png").read_bytes()
    assert not {"script", "link", "iframe", "object", "a"} & {tag for tag, _ in page.tags}
    assert not re.search(r"https?:|url\(|@import|//\w", re.sub(r"base64,[^\"]*", "", run.report.read_text()))
    assert all(image["alt"] for image in page.all("img"))


def test_page_begins_with_the_accuracy_and_its_interval(run, answers):
    right = int((answers.probabilities.argmax(axis=1) == answers.data.labels).sum())
    low, high = binomtest(right, 200).proportion_ci(method="wilson")
    interval = f"95 % interval {100 * low:.2f} to {100 * high:.2f} %"
    said = f"{right / 2:.2f} % of 200 held-out digits were read right ({interval})"
    text = Page(run.report.read_text(encoding="utf-8")).text.replace("\xa0", " ")
    assert said in text
    assert text.index(said) < text.index("How it learned")
    assert "Pass 3 of 5 was kept because it did best on these same rows" in text


def test_page_says_what_was_trained(run, data):
    text = Page(run.report.read_text(encoding="utf-8")).text
    for fact in (
        "tiny", "7,850", "7,840", data.sha256, "train.csv, 1,000 rows", "800 rows to train on, 200 held out",
        "each digit in its proportion, seed 27", "Variation of the rows turned by up to 10 degrees ",
        "keras 3.15.1", "15 s",
    ):  # fmt: skip
        assert fact in text, fact
    assert "private" not in run.report.read_text()  # where someone keeps their data is not for everyone


def test_what_comes_from_the_run_is_escaped(tmp_path, making, data):
    evil = "<script>alert('1')</script>&amp;\"><img src=x onerror=y>"
    hostile = replace(
        making, recipe=evil, data=DataSet(evil, data.tiles, data.labels),
        settings={"summary": evil, "post": evil, "notes": [evil], "augmentation": {evil: 1}},
    )  # fmt: skip
    page = page_alone(hostile, tmp_path / "a'b <i>&")
    assert not page.all("script")
    assert not page.all("img")
    assert not page.all("i")
    assert page.text.count("<script>alert('1')</script>&amp;") >= 5
    assert "a'b <i>&" in page.text


def test_history_is_told_pass_by_pass_and_the_best_set_off(tmp_path, making, run):
    page = Page(run.report.read_text(encoding="utf-8"))
    lines = page.all("tr")
    assert len(lines) == 1 + 5
    assert [i for i, line in enumerate(lines) if line.get("class") == "best"] == [3]
    assert len(page.all("details")) == 1  # the recipe's; a short history is open
    long = page_alone(replace(making, passes=60, done=60, best=50), tmp_path / "long")
    assert len(long.all("tr")) == 61
    assert len(long.all("details")) == 2


@pytest.mark.parametrize(("done", "resumed"), [(5, False), (2, True)])
def test_page_says_how_to_go_on(tmp_path, making, done, resumed):
    page = page_alone(replace(making, done=done, best=1), tmp_path / "my run")
    assert "edge-digits export 'my run' -o exported" in page.text
    assert "edge-digits compare 'my run'" in page.text
    assert "edge-digits train --resume 'my run' --refit" in page.text
    assert ("if it was interrupted: edge-digits train --resume 'my run' " in page.text) is resumed


def test_run_that_early_stopping_ended_is_not_to_be_gone_on_with(tmp_path, making):
    page = page_alone(replace(making, done=3, settings={"early_stopping": {"patience": 0.2}}), tmp_path / "run")
    assert "interrupted" not in page.text


@pytest.mark.parametrize(
    ("augmentation", "words"),
    [
        (Augmentation(), "none"),
        (
            Augmentation(rotation=10, shear=0.1, zoom=0.1, shift=0.06, elastic=0.8, stroke=0.25, flags=0.35),
            "turned by up to 10 degrees, slanted by up to 5.7 degrees, larger or smaller by up to 10 %, shifted by up "
            "to 6 % of the side, 30 % of them bent, by 0.8 pixels (root mean square), 25 % with thicker or thinner "
            "strokes, 35 % of the 1s with a flag or a base",
        ),
        (Augmentation(shift=0.1, fill="nearest"), "shifted by up to 10 % of the side, the edges drawn out"),
    ],
    ids=["none", "base", "edges"],
)
def test_page_says_in_words_how_rows_are_varied(tmp_path, making, augmentation, words):
    page = page_alone(replace(making, settings={"augmentation": asdict(augmentation)}), tmp_path / "run")
    assert f" Variation of the rows {words} Slant " in page.text


def test_mistakes_are_said_to_begin_with_the_least_likely_truth(run):
    text = Page(run.report.read_text(encoding="utf-8")).text
    assert "The first are those whose truth it held least likely." in text
    assert "surest" not in text


def test_page_of_a_run_tells_what_came_of_its_refit(tmp_path, making, tiles, labels):
    asked = replace(making, refit_follows=True)
    run = asked.write(tmp_path / "run", network=False)
    before = Page(render_page(RunFacts.read(run.folder), []))
    assert "if it was interrupted: edge-digits train --resume run " in before.text
    assert "--refit" not in before.text
    test = DataSet("test", tiles[2::10], labels[2::10].astype(np.uint8))
    replace(making, refit=True, test=test).write(run.refit.folder, network=False)
    run.refit.report.touch()
    page = Page(render_page(RunFacts.read(run.folder), []))
    right = (predict(making.network, test).argmax(axis=1) == test.labels).mean()
    text = page.text.replace("\xa0", " ")
    assert "It was then trained anew on all 1,000 rows, for 5 passes." in text
    assert f"{100 * right:.2f} % of 500 test digits were then read right" in text
    assert [link["href"] for link in page.all("a")] == ["refit/report.html"]
    assert "edge-digits export run/refit -o exported" in text
    assert "--refit" not in text
    assert "interrupted" not in text


def test_images_seen_in_training_are_told(tmp_path, making):
    page = page_alone(replace(making, overlap=11), tmp_path / "run")
    assert "11 of the held-out images stand among the training rows" in page.text


def test_first_pass_alone_was_not_chosen(tmp_path, making):
    page = page_alone(replace(making, passes=1, done=1, best=1), tmp_path / "one")
    assert "a little kind" not in page.text


@pytest.mark.parametrize("with_test", [False, True])
def test_a_refit_says_that_nothing_was_held_out(tmp_path, making, tiles, labels, with_test):
    test = DataSet("test", tiles[2::10], labels[2::10].astype(np.uint8)) if with_test else None
    run, page = report(replace(making, refit=True, test=test), tmp_path / "base-1" / "refit")
    assert "Trained on all 1,000 rows: nothing was held out to measure it on." in page.text
    assert page.text.count("Trained on all rows: nothing was held out.") == (2 if with_test else 3)
    assert len(page.all("img")) == (3 if with_test else 2)
    assert not (run.folder / "mistakes.csv").exists()
    assert all((run.folder / f"{name}.png").exists() for name in PICTURES)
    assert "edge-digits export base-1/refit" in page.text
    assert "--refit" not in page.text
    if test:
        right = (predict(making.network, test).argmax(axis=1) == test.labels).mean()
        assert f"{100 * right:.2f} % of 500 test digits were read right" in page.text.replace("\xa0", " ")


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0 s"), (47.4, "47 s"), (1680, "28 min"), (5399, "90 min"), (9000, "2.5 h")]
)
def test_durations_are_in_the_unit_a_person_would_use(seconds, said):
    assert duration(seconds) == said


# ---- mistakes


def test_mistakes_csv_holds_all_mistakes_the_least_likely_truth_first(run, answers):
    with (run.folder / "mistakes.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    said = answers.probabilities.argmax(axis=1)
    wrong = {i for i in range(200) if said[i] != answers.data.labels[i]}
    assert len(wrong) > 5
    assert {int(line["row"]) for line in lines} == wrong
    for line in lines:
        row = int(line["row"])
        assert (int(line["label"]), int(line["answer"])) == (answers.data.labels[row], said[row])
        assert float(line["confidence"]) == pytest.approx(answers.probabilities[row].max(), abs=1e-6)
        assert float(line["confidence_in_label"]) == pytest.approx(
            answers.probabilities[row, answers.data.labels[row]], abs=1e-6
        )
    likely = [float(line["confidence_in_label"]) for line in lines]
    assert likely == sorted(likely)


def test_mistakes_picture_shows_them_in_that_order_with_what_was_said(answers):
    with style():
        figure = draw_mistakes(answers, "held-out rows")
    rows = answers.mistakes()
    shown = figure.axes[0].images
    assert len(shown) == min(24, len(rows))
    for image, row in zip(shown, rows, strict=False):
        np.testing.assert_array_equal(image.get_array(), answers.data.tiles[row])
    said = [text.get_text() for text in figure.axes[0].texts if text.get_text().startswith("is ")]
    expected = [f"is {answers.data.labels[r]}, read as {answers.probabilities[r].argmax()}" for r in rows]
    assert said == expected[:24]


def test_no_mistakes_are_said_to_be_none(data):
    sure = np.eye(10, dtype=np.float32)[data.labels]
    with style():
        figure = draw_mistakes(Answers(data, sure), "held-out rows")
    assert figure.texts[0].get_text() == "No mistakes on 1,000 held-out rows"


@pytest.mark.parametrize(
    ("probability", "said"),
    [(1.0, ">99.9 %"), (0.99951, ">99.9 %"), (0.99, "99.0 %"), (0.5, "50.0 %"), (0.0004, "<0.1 %"), (0.0, "<0.1 %")],
)
def test_a_network_is_never_said_to_be_wholly_sure(probability, said):
    assert sureness(probability) == said


# ---- the pictures


def test_confusion_picture_holds_the_counts_of_sklearn(answers):
    truth, said = answers.data.labels, answers.probabilities.argmax(axis=1)
    with style():
        figure = draw_confusion(Evaluation.from_probabilities(answers.probabilities, truth), "held-out rows")
    counts = np.zeros((10, 10), int)
    for text in figure.axes[0].texts:
        x, y = text.get_position()
        if 0 < x < 10 and 0 < y < 10:
            counts[int(y), int(x)] = int(text.get_text())
    np.testing.assert_array_equal(counts, confusion_matrix(truth, said, labels=range(10)))


def test_a_single_error_is_seen_beside_a_diagonal_of_hundreds():
    counts = np.diag([900] * 10)
    counts[4, 9] = 1
    with style():
        pixels = np.asarray(Image.open(io.BytesIO(png(draw_confusion(Evaluation(counts), "rows")))).convert("HSV"))
    strong = (pixels[..., 1] > 100).mean()  # saturation: of a hundred squares one is coloured
    assert 0.003 < strong < 0.01


def test_many_errors_look_worse_than_one_whatever_the_diagonal():
    counts = np.diag([900] * 10)
    counts[4, 9], counts[7, 1] = 1, 20
    with style():
        squares = draw_confusion(Evaluation(counts), "rows").axes[0].patches
    one, twenty = (squares[10 * truth + said].get_facecolor() for truth, said in ((4, 9), (7, 1)))
    assert one[1] - twenty[1] > 0.4  # green: from yellow to red


def test_predictions_picture_marks_what_was_read_wrong(data):
    said = np.eye(10, dtype=np.float32)[data.labels]
    wrong = np.arange(len(data)) % 2 == 0
    said[wrong] = np.eye(10, dtype=np.float32)[(data.labels[wrong] + 1) % 10] * 0.7
    with style():
        figure = draw_predictions(Answers(data, said), "held-out rows")
        plain = draw_predictions(Answers(data, np.eye(10, dtype=np.float32)[data.labels]), "held-out rows")
    axes = figure.axes[0]
    assert len(axes.images) == 40
    marked = [text.get_text() for text in axes.texts if "not" in text.get_text()]
    assert len(axes.lines) == len(marked) > 5
    assert figure.texts[0].get_text().endswith(f"{len(marked)} read wrong")
    assert not plain.axes[0].lines
    assert plain.texts[0].get_text().endswith("none read wrong")
    shown = {image.get_array().tobytes() for image in axes.images}
    assert shown <= {tile.tobytes() for tile in data.tiles}
    assert len(shown) == 40


def test_augmented_picture_shows_rows_of_each_digit_beside_their_variations(data):
    with style():
        figure, varied = draw_augmented(data, ROTATION)
    images = [np.asarray(image.get_array()) for image in figure.axes[0].images]
    rows = {tile.tobytes(): label for tile, label in zip(data.tiles, data.labels, strict=True)}
    assert varied
    assert len(images) == 10 * 9
    for digit, line in enumerate(zip(*[iter(images)] * 9, strict=True)):
        assert rows[line[0].tobytes()] == digit
        assert len({image.tobytes() for image in line}) == 9  # no variation is like another, nor like the row
        assert not any(image.tobytes() in rows for image in line[1:])


def test_rows_that_are_not_varied_are_said_to_be_shown_as_they_are(tmp_path, making, data):
    with style():
        figure, varied = draw_augmented(data, Augmentation())
    rows = {tile.tobytes() for tile in data.tiles}
    images = [image.get_array().tobytes() for image in figure.axes[0].images]
    assert not varied
    assert len(set(images)) == 10 * 9
    assert set(images) <= rows
    assert "shows them to the network as they are" in report(making, tmp_path / "run", Augmentation())[1].text


def test_curves_picture_holds_the_history_and_marks_the_best_pass(run):
    facts = RunFacts.read(run.folder)
    with style():
        figure = draw_curves(facts)
    accuracy, loss = figure.axes
    scale = AccuracyScale([r.accuracy for r in facts.history] + [r.validation_accuracy for r in facts.history])
    training, validation = accuracy.lines[:2]
    np.testing.assert_array_equal(training.get_ydata(), scale.places(r.accuracy for r in facts.history))
    np.testing.assert_array_equal(validation.get_ydata(), scale.places(r.validation_accuracy for r in facts.history))
    np.testing.assert_array_equal(loss.lines[1].get_ydata(), [r.validation_loss for r in facts.history])
    stars = [line for axes in figure.axes for line in axes.lines if line.get_marker() == "*"]
    assert [list(star.get_xdata()) for star in stars] == [[3], [3]]
    legend = [text.get_text() for text in accuracy.get_legend().get_texts()]
    best = max(r.validation_accuracy for r in facts.history)
    assert legend == ["training rows", "held-out rows", f"best: pass 3, {100 * best:.2f} %"]


def test_learning_rate_is_shown_where_it_changes(tmp_path, making):
    falling = replace(making, rates=(0.01, 0.01, 0.001)).write(tmp_path / "falling", network=False)
    with style():
        figure = draw_curves(RunFacts.read(falling.folder))
    assert [axes.get_title(loc="left") for axes in figure.axes][2:] == ["Learning rate"]
    assert list(figure.axes[2].lines[-1].get_ydata()) == [0.01, 0.01, 0.001, 0.001, 0.001]


@pytest.mark.parametrize("passes", [1, 2, 12, 80, 500])
@pytest.mark.parametrize("refit", [False, True])
def test_curves_are_legible_for_any_number_of_passes(tmp_path, making, passes, refit):
    made = replace(making, passes=passes, done=passes, best=-(-passes * 2 // 3), rates=(0.01, 0.005), refit=refit)
    with style():
        figure = draw_curves(RunFacts.read(made.write(tmp_path / "run", network=False).folder))
        assert_legible(figure)
    line = figure.axes[0].lines[0]
    assert (line.get_marker() == "o") is (passes < 30)  # a single pass is a point, and no line is made of points
    assert len(line.get_xdata()) == passes
    assert len(figure.axes[0].lines) == (1 if refit else 4)
    assert all(float(label.get_text()).is_integer() for label in figure.axes[-1].get_xticklabels())


@pytest.mark.parametrize("drawing", ["confusion", "predictions", "mistakes", "augmented", "unvaried"])
def test_pictures_are_legible(answers, data, drawing):
    weak = Answers(answers.data, np.roll(answers.probabilities, 1, axis=1))  # wrong nearly always
    draw = {
        "confusion": lambda a: draw_confusion(Evaluation.from_probabilities(a.probabilities, a.data.labels), "rows"),
        "predictions": lambda a: draw_predictions(a, "held-out rows"),
        "mistakes": lambda a: draw_mistakes(a, "held-out rows"),
        "augmented": lambda _: draw_augmented(data, ROTATION)[0],
        "unvaried": lambda _: draw_augmented(data, Augmentation())[0],
    }[drawing]
    with style():
        for given in (answers, weak):
            assert_legible(draw(given))


def test_few_rows_make_small_pictures(making, data, network):
    rows = np.flatnonzero(data.labels < 3)[[0, 1, 2, -1]]
    few = Answers(data[rows], predict(network, data[rows]))
    with style():
        for figure in (draw_predictions(few, "rows"), draw_augmented(data[rows], ROTATION)[0]):
            assert_legible(figure)
            assert figure.get_figheight() < 3


@pytest.mark.parametrize(
    "accuracies",
    [
        [0.1, 0.86], [0.4, 0.9971], [0.9938, 0.9941], [0.5], [1.0], [0.98, 1.0], [0.0, 1.0], [0.99999, 0.9],
        [float("nan"), 0.7],
    ],
)  # fmt: skip
def test_accuracy_scale_puts_each_label_where_it_belongs(accuracies):
    scale = AccuracyScale(accuracies)
    places, labels = scale.ticks()
    low, high = scale.limits
    finite = [accuracy for accuracy in accuracies if accuracy == accuracy]
    assert len(places) >= (1 if len(set(finite)) == 1 else 2)
    for place, label in zip(places, labels, strict=True):
        assert low <= place <= high
        assert scale.place(float(label.removesuffix(" %")) / 100) == pytest.approx(place, abs=1e-6)
    ordered = scale.places(sorted(finite))
    assert ordered == sorted(ordered)
    assert all(low <= place <= high for place in ordered)


# ---- what cannot be told


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("run.json", lambda text: text.replace('"multiply_adds": 7840', '"other": 1'), "multiply_adds"),
        ("metrics.json", lambda text: text.replace('"confusion"', '"other"'), "confusion"),
        ("metrics.json", lambda text: json.dumps({**json.loads(text), "pass": None}), "damaged"),
        ("metrics.json", lambda _: "[]", "damaged"),
        ("metrics.json", lambda text: text[:50], "metrics.json: is damaged"),
        ("history.csv", lambda text: text.replace("0.01", "much"), "history.csv: is damaged"),
        ("history.csv", lambda text: text.replace("number", "pass"), "history.csv: is damaged"),
        ("history.csv", lambda text: text.partition("\n")[0] + "\n", "no finished pass"),
    ],
)
def test_a_damaged_run_is_refused_in_one_line_that_names_it(tmp_path, making, name, change, reason):
    run = making.write(tmp_path / "run", network=False)
    path = run.folder / name
    path.write_text(change(path.read_text()))
    with pytest.raises(InputError) as error:
        RunFacts.read(run.folder)
    assert str(run.folder) in str(error.value)
    assert reason in str(error.value)
    assert "\n" not in str(error.value)
