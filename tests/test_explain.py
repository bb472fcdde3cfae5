"""explain.py and explain_sheet.py: the words are true, and the sheet shows each step of a reading."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from pictures import blank, compose, mnist, some, write_number

from edge_digits import Reader
from edge_digits.explain import explain, fine_stroke, text_lines
from edge_digits.explain_sheet import MAX_TILES, draw_explanation
from edge_digits.half_blocks import Colours

Image = NDArray[np.uint8]


def words(reader: Reader, image: Image) -> list[str]:
    return list(explain(reader.trace(image)).words)


def figures(said: list[str], kind: str) -> list[float]:
    """The numbers in the words that have `kind` in them."""
    [text] = [text for text in said if kind in text]
    return [float(part) for part in text.split() if part.replace(".", "").isdigit()]


# ---- the words


@pytest.mark.parametrize("kind", ["white", "shaded", "coloured"])
def test_nothing_makes_bold_digits_on_paper_hard(reader: Reader, kind: str) -> None:
    assert words(reader, write_number("4017", "268", kind=kind, height=40).image) == []


def test_a_tile_of_mnist_is_not_hard(reader: Reader) -> None:
    hard = [words(reader, tile) for tile in mnist()[0][some(60, seed=2)]]
    assert sum(bool(said) for said in hard) <= 6


@pytest.mark.parametrize("ink", [200, 210, 215])
def test_faint_ink_is_told_with_its_contrast(reader: Reader, ink: int) -> None:
    said = words(reader, write_number("38", ink=ink, height=60).image)
    expected = 100 * (255 - ink) / 255
    told = figures(said, "contrast")
    assert told == pytest.approx([expected] * len(told), abs=3)


@pytest.mark.parametrize("ground", [0, 60, 150])
def test_contrast_is_the_same_whatever_the_ground_and_the_colour(reader: Reader, ground: int) -> None:
    """Light ink on dark, lighter by 40 of 255 in one colour alone."""
    dark = write_number("38", ink=215, height=60, light_on_dark=True).image
    image = np.repeat(dark[..., np.newaxis], 3, axis=2) // (1, 2, 2) + ground
    told = figures(words(reader, image.astype(np.uint8)), "contrast")
    assert told
    assert told == pytest.approx([100 * 40 / 255] * len(told), abs=3)


@pytest.mark.parametrize("height", [8, 9, 10])
def test_low_digits_are_told_with_their_height(reader: Reader, height: int) -> None:
    told = figures(words(reader, write_number("40", "38", height=height).image), "px high")
    assert told
    assert all(abs(pixels - height) <= 1 for pixels in told)


@pytest.mark.parametrize("side", ["left", "right", "top", "bottom"])
def test_ink_that_touches_the_border_is_told(reader: Reader, side: str) -> None:
    image = write_number("0", height=40).image
    ink = image < 128
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    cut = {
        "left": np.s_[:, columns[0] + 1 :],
        "right": np.s_[:, : columns[-1]],
        "top": np.s_[rows[0] + 1 :],
        "bottom": np.s_[: rows[-1]],
    }[side]
    assert "ink touches the border" in words(reader, np.ascontiguousarray(image[cut]))
    assert "ink touches the border" not in words(reader, image)


@pytest.mark.parametrize("width", [1.0, 1.1, 1.5, 2.0, 2.5, 4.0])
def test_a_stroke_is_measured_by_its_grey_edges(width: float) -> None:
    """A slanted bar of this width, drawn ten times as large and scaled down."""
    large = np.zeros((1000, 1000), np.uint8)
    cv2.line(large, (150, 120), (850, 800), 255, round(10 * width))
    ink = np.asarray(cv2.resize(large, (100, 100), interpolation=cv2.INTER_AREA), np.uint8)
    ink = np.asarray(cv2.convertScaleAbs(ink, alpha=255 / int(ink.max())), np.uint8)
    assert fine_stroke(ink) == pytest.approx(width, abs=0.35)


def test_a_hairline_is_told_by_its_width_and_its_share(reader: Reader) -> None:
    image = np.full((200, 160), 255, np.uint8)
    cv2.ellipse(image, (80, 100), (40, 70), 0, 0, 360, 0, 1)
    said = words(reader, image)
    assert figures(said, " px")[0] == pytest.approx(1, abs=0.2)
    assert figures(said, "% of the digit's size") == [1]


def test_a_thick_stroke_is_told(reader: Reader) -> None:
    image = np.full((200, 160), 255, np.uint8)
    cv2.ellipse(image, (80, 100), (40, 60), 0, 0, 360, 0, 46)
    assert figures(words(reader, image), "% of the digit's size")[0] > 25


def test_touching_digits_are_told(reader: Reader) -> None:
    tiles, labels = mnist()
    zeros = tiles[np.flatnonzero(labels == 0)[:2]]
    image = np.zeros((60, 90), np.uint8)
    for place, zero in zip((20, 38), zeros, strict=True):  # a zero is 20 wide: they share two columns
        image[16:44, place : place + 28] = np.maximum(image[16:44, place : place + 28], zero)
    trace = reader.trace(np.asarray(255 - image, np.uint8))
    assert len(trace.regions) == 2
    assert "two digits touch" in explain(trace).words


def test_an_unsure_answer_is_told_with_the_next_one(reader: Reader) -> None:
    tiles, labels = mnist()
    four, nine = tiles[np.flatnonzero(labels == 4)[0]], tiles[np.flatnonzero(labels == 9)[0]]
    shares = np.linspace(0, 1, 60)
    mixed = (np.uint8(share * four + (1 - share) * nine) for share in shares)
    traces = [reader.trace(tile) for tile in mixed]
    told = [(trace.probabilities, explain(trace).words) for trace in traces if len(trace.regions) == 1]
    unsure = [(p[0], said) for p, said in told if p.max() < 0.9]
    assert unsure
    for row, said in unsure:
        first, second = np.argsort(-row)[:2]
        assert f"unsure: {first} or {second}" in said or f"rejected: unsure: {row.max():.0%} for {first}" in said
    assert not any("unsure" in text for p, said in told if p.max() >= 0.9 for text in said)


def test_what_holds_for_some_digits_says_for_how_many(reader: Reader) -> None:
    image = write_number("4017", height=30).image
    inked = np.flatnonzero((image < 128).any(axis=0))
    assert words(reader, np.ascontiguousarray(image[:, inked[0] + 2 :])) == ["ink touches the border (1 of 4)"]


def test_figures_that_differ_are_told_from_the_lowest_to_the_highest(reader: Reader) -> None:
    large, small = (write_number("0", height=height).image for height in (11, 8))
    image = np.full((40, 80), 255, np.uint8)
    image[4 : 4 + large.shape[0], 4 : 4 + large.shape[1]] = large
    image[4 : 4 + small.shape[0], 44 : 44 + small.shape[1]] = small
    low, high = sorted(region.box[3] for region in reader.trace(image).regions)
    assert low < high < 12
    assert f"digits {low} to {high} px high" in words(reader, image)


def test_rejected_ink_is_told_by_its_reasons(reader: Reader) -> None:
    noise = np.clip(np.random.default_rng(0).normal(128, 40, (300, 400)), 0, 255).astype(np.uint8)
    [said] = words(reader, noise)
    assert said.startswith("rejected: noise (")
    strict = Reader(min_confidence=1)
    trace = strict.trace(write_number("40").image)
    explained = explain(trace)
    assert explained.words == ("rejected: unsure (2)",)
    assert [tile.read for tile in explained.tiles] == [None, None]
    assert all(tile.words[0].startswith("unsure: ") for tile in explained.tiles)


@pytest.mark.parametrize("kind", ["white", "shaded"])
def test_a_blank_sheet_says_that_nothing_stands_out(reader: Reader, kind: str) -> None:
    assert words(reader, blank(kind, 300, 400)) == ["nothing stands out from the ground"]


def test_tiles_come_with_their_three_likeliest_digits(reader: Reader) -> None:
    trace = reader.trace(write_number("4017").image)
    explained = explain(trace)
    assert [tile.read and tile.read.digit for tile in explained.tiles] == [4, 0, 1, 7]
    for tile, row in zip(explained.tiles, trace.probabilities, strict=True):
        assert [digit for digit, _ in tile.answers] == np.argsort(-row, kind="stable")[:3].tolist()
        assert [p for _, p in tile.answers] == pytest.approx(sorted(row, reverse=True)[:3])
    assert np.array_equal([tile.tile for tile in explained.tiles], trace.tiles)


# ---- in the terminal


def test_the_terminal_shows_each_tile_beside_its_answers(reader: Reader) -> None:
    explained = explain(reader.trace(write_number("40").image))
    lines = list(text_lines(explained, tiles=Colours.none, words=True))
    assert len(lines) == 2 * 15
    for number, tile in enumerate(explained.tiles):
        part = lines[15 * number : 15 * number + 15]
        assert part[1][30:] == f"{number + 1}: {'40'[number]} at {tile.box[0]},{tile.box[1]}"
        for line, (digit, probability) in zip(part[2:5], tile.answers, strict=True):
            assert line[30:].startswith(f"{digit} {100 * probability:6.2f} %")
        drawn = np.array([[letter in "▀█" for letter in line[:28].ljust(28)] for line in part[:14]])
        assert np.array_equal(drawn, tile.tile[::2] >= 96)
        assert part[14] == ""


def test_the_words_stand_in_one_line_and_only_where_there_are_some(reader: Reader) -> None:
    plain = explain(reader.trace(write_number("40").image))
    faint = explain(reader.trace(write_number("40", ink=230, height=10).image))
    assert list(text_lines(plain, tiles=None, words=True)) == []
    assert list(text_lines(faint, tiles=None, words=True)) == ["    hard: " + "; ".join(faint.words)]
    assert list(text_lines(faint, tiles=None, words=False)) == []


# ---- the sheet


def sheet(reader: Reader, image: Image, source: str = "a.png") -> Image:
    trace = reader.trace(image)
    return draw_explanation(source, trace, explain(trace))


def shows(drawn: Image, part: Image) -> bool:
    """Whether a grey picture stands somewhere in the sheet, pixel for pixel."""
    gray = cv2.cvtColor(drawn, cv2.COLOR_BGR2GRAY)
    _, _, (left, top), _ = cv2.minMaxLoc(cv2.matchTemplate(gray, part, cv2.TM_SQDIFF))
    return np.array_equal(gray[top : top + part.shape[0], left : left + part.shape[1]], part)


@pytest.mark.parametrize(("digits", "scale"), [(1, 6), (4, 6), (10, 5), (30, 3)])
def test_the_sheet_shows_every_tile_enlarged(reader: Reader, digits: int, scale: int) -> None:
    image = compose(some(digits, seed=digits).reshape(-1, min(digits, 10)).tolist(), height=30).image
    trace = reader.trace(image)
    explained = explain(trace)
    assert digits <= len(explained.tiles) <= 1.1 * digits
    drawn = draw_explanation("a.png", trace, explained)
    assert drawn.shape[1:] == (1440, 3)
    assert drawn.shape[0] <= 1300
    for tile in explained.tiles:
        assert shows(drawn, tile.tile.repeat(scale, axis=0).repeat(scale, axis=1))


def test_the_sheet_shows_the_ink_and_the_regions(reader: Reader) -> None:
    image = write_number("40", height=100, ink=120).image
    trace = reader.trace(image)
    assert trace.ink is not None
    drawn = draw_explanation("a.png", trace, explain(trace))
    scale = min(453 / image.shape[1], 360 / image.shape[0])
    size = round(image.shape[1] * scale), round(image.shape[0] * scale)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    assert shows(drawn, np.asarray(cv2.resize(trace.ink, size, interpolation=how), np.uint8))


def test_longer_bars_are_likelier_answers(reader: Reader) -> None:
    trace = reader.trace(write_number("7").image)
    drawn = draw_explanation("a.png", trace, explain(trace))
    green = (drawn == (50, 135, 0)).all(axis=2)
    rows = np.flatnonzero(green.any(axis=1))
    assert green[rows].sum(axis=1).max() >= 0.98 * 120 * float(trace.probabilities.max())


def test_a_sheet_of_a_thousand_digits_is_bounded_and_says_what_it_leaves_out(reader: Reader) -> None:
    trace = reader.trace(write_number("4").image)
    explained = explain(trace)
    many = type(explained)(explained.words, explained.tiles * 1000)
    few = type(explained)(explained.words, explained.tiles * MAX_TILES)
    drawn = draw_explanation("a.png", trace, many)
    assert 0 < drawn.shape[0] - draw_explanation("a.png", trace, few).shape[0] <= 30
    assert drawn.shape[0] <= 2000


@pytest.mark.parametrize("shape", [(1, 1), (28, 28), (1, 3000), (3000, 1), (60, 90, 3)], ids=str)
@pytest.mark.parametrize("source", ["-", "ü☂\n" * 200, "\udcff", ""], ids=["stdin", "long", "bytes", "empty"])
def test_any_picture_with_any_name_has_a_sheet(reader: Reader, shape: tuple[int, ...], source: str) -> None:
    drawn = sheet(reader, np.full(shape, 200, np.uint8), source)
    assert drawn.shape[1:] == (1440, 3)
    assert drawn.shape[0] <= 900


def test_a_rejected_tile_is_marked(reader: Reader) -> None:
    image = write_number("4").image
    trace = Reader(min_confidence=1).trace(image)
    orange = (draw_explanation("a.png", trace, explain(trace)) == (0, 90, 200)).all(axis=2).sum()
    assert orange > 4 * 28 * 6
    assert not (sheet(reader, image) == (0, 90, 200)).all(axis=2).any()
