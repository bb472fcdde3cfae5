"""What the reader does with a network's answer whether there is a digit at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from no_digits import letter_picture
from numpy.typing import NDArray
from pictures import write_number
from touching import touching_pair

import edge_digits.reader as reader_module
from edge_digits import Reader
from edge_digits.classifier import Classifier, Predictions
from edge_digits.find import Region, find
from edge_digits.ways import Part, Way, are_digits, best_way, find_ways

Tiles = NDArray[np.uint8]
Score = Callable[[Tiles], NDArray[np.float32]]


class Scored:
    """The bundled network with scores of another's making."""

    reject_below = 0.2
    picture_temperature = 1.0

    def __init__(self, network: Classifier, score: Score) -> None:
        self._network, self._score = network, score

    def classify(self, tiles: Tiles) -> Predictions:
        return replace(self._network.classify(tiles), digit_scores=self._score(tiles))


def scored(score: Score, **asked: object) -> Reader:
    reader = Reader(**asked)  # type: ignore[arg-type]
    reader.classifier = Scored(reader.classifier, score)  # type: ignore[assignment]
    return reader


def always(score: float) -> Score:
    return lambda tiles: np.full(len(tiles), score, np.float32)


def width_of(tile: Tiles) -> int:
    return int(np.ptp(np.flatnonzero(tile.any(axis=0)))) + 1


def narrow(tiles: Tiles) -> NDArray[np.float32]:
    """Only what is no wider than high by far is a digit."""
    return np.array([0.99 if width_of(tile) < 17 else 0.001 for tile in tiles], np.float32)


def test_what_is_hardly_a_digit_is_rejected_with_its_score():
    picture = write_number("407", height=60, seed=3).image
    reading = scored(always(0.123)).read(picture)
    assert reading.text == ""
    assert [rejected.reason for rejected in reading.rejected] == ["not a digit: 12.3% for one"] * 3


def test_the_threshold_is_the_models():
    picture = write_number("407", height=60, seed=3).image
    assert scored(always(0.2)).read(picture).text == "407"
    assert scored(always(0.1999)).read(picture).text == ""


def test_each_region_is_judged_by_itself():
    picture = write_number("407", height=60, seed=3).image
    middle = find(picture).regions[1].box
    parts = always(0.001)
    result = scored(lambda tiles: np.array([1, 0.09, 1], np.float32) if len(tiles) == 3 else parts(tiles)).read(picture)
    assert result.text == "47"
    assert [rejected.box for rejected in result.rejected] == [middle]


@pytest.mark.parametrize(
    ("number", "scores", "text"),
    [
        ("407", [1, 0.11, 1], "407"),
        ("407", [0.11, 1, 1], "407"),
        ("407", [1, 0.11, 0.11], ""),  # most of it is none, so the rest would have to be surely one
        ("4071", [1, 0.11, 0.11, 1], ""),
        ("40711", [1, 0.11, 0.11, 1, 1], "411"),
        ("40", [1, 0.11], ""),
        ("4", [0.11], ""),
    ],
)
def test_one_doubtful_digit_among_digits_is_read(number: str, scores: list[float], text: str):
    picture = write_number(number, height=60, seed=3).image
    said = np.array([min(score, 0.9) for score in scores], np.float32)
    none = always(0.001)
    reader = scored(lambda tiles: said if len(tiles) == len(said) else none(tiles))
    assert reader.read(picture).text == text


def test_where_half_of_it_is_none_the_rest_must_be_surely_one():
    picture = write_number("4071", height=60, seed=3).image
    few = always(0.001)

    def told(*scores: float) -> str:
        return scored(lambda tiles: np.array(scores, np.float32) if len(tiles) == 4 else few(tiles)).read(picture).text

    assert told(0.96, 0.94, 0.1, 0.1) == "4"
    assert told(0.96, 0.94, 0.3, 0.09) == "407"
    assert told(0.97, 0.1, 0.1, 0.99) == "41"
    assert told(0.1, 0.1, 0.1, 0.94) == ""


def test_of_few_pixels_no_score_tells(tiles):
    picture = write_number("407", height=10, seed=3).image
    assert scored(always(0.1)).read(picture).text == "407"
    assert scored(always(0.1)).read(write_number("407", height=24, seed=3).image).text == ""


@pytest.mark.parametrize("form", [{"count": 3}, {"pattern": r"\d{3}"}])
def test_where_the_form_is_known_a_doubtful_digit_is_read(form):
    picture = write_number("407", height=60, seed=3).image
    assert scored(always(0.1), **form).read(picture).text == "407"


def test_a_tile_of_no_digit_is_rejected_too(tiles):
    assert scored(always(0.1)).read(tiles[0]).text == ""
    assert scored(always(0.9)).read(tiles[0]).text != ""


def test_a_model_that_does_not_say_rejects_nothing(tiles):
    reader = scored(always(0.0))
    reader.classifier = reader.classifier._network  # type: ignore[attr-defined]
    assert reader.classifier.reject_below >= 0
    assert len(reader.read(write_number("407", height=60, seed=3).image).digits) == 3


def test_answers_to_pictures_are_tempered_as_the_model_says(tiles):
    picture = write_number("407", height=60, seed=3).image
    hot = scored(always(1.0))
    hot.classifier.picture_temperature = 3.0  # type: ignore[misc]
    plain = scored(always(1.0))
    for digit, same in zip(hot.read(picture).digits, plain.read(picture).digits, strict=True):
        powers = np.array(same.probabilities, np.float64) ** (1 / 3)
        np.testing.assert_allclose(digit.probabilities, powers / powers.sum(), rtol=1e-5)
        assert digit.confidence == max(digit.probabilities) < same.confidence
    # A tile in normal form gets the answer that its CSV row would get.
    assert hot.read(tiles[0]).digits == plain.read(tiles[0]).digits


def test_what_is_no_digit_as_a_whole_but_two_digits_in_parts_is_cut(tiles, labels):
    """Of pairs that are left whole by their probabilities alone."""
    cut = kept = 0
    for seed in range(40):
        first, second = np.random.default_rng(seed).integers(0, len(tiles), 2)
        picture = touching_pair(tiles[first], tiles[second])
        if picture is None or len(find(picture).regions) != 1:
            continue
        [region] = find(picture).regions
        sure, unsure = scored(always(0.999)), scored(narrow)
        by_probability, by_score = (
            best_way(find_ways(reader.ask([region])[0], reader.ask)) for reader in (sure, unsure)
        )
        if len(by_probability.parts) == 1 and width_of(sure.ask([region])[0].tile) >= 17:
            kept += 1
            cut += len(by_score.parts) == 2
    assert kept >= 5
    assert cut >= 0.5 * kept


def test_what_is_none_as_a_whole_is_cut_only_into_digits(tiles):
    """One part that is no digit, or parts that hardly are: then nothing is read."""

    def parts_at(*scores: float) -> Score:
        return lambda shown: np.array(
            [0.001 if width_of(tile) >= 17 else scores[i % len(scores)] for i, tile in enumerate(shown)], np.float32
        )

    sure, one_none, cut = scored(parts_at(0.75)), scored(parts_at(0.99, 0.15)), 0
    for seed in range(40):
        first, second = np.random.default_rng(seed).integers(0, len(tiles), 2)
        picture = touching_pair(tiles[first], tiles[second])
        regions = [] if picture is None else find(picture).regions
        if len(regions) != 1 or width_of(sure.ask(regions)[0].tile) < 17:  # a digit as a whole
            continue
        assert picture is not None
        if len(sure.read(picture).digits) != 2:
            continue
        cut += 1
        reading = one_none.read(picture)
        assert reading.text == ""
        assert [rejected.reason for rejected in reading.rejected] == ["not a digit: 0.1% for one"]
    assert cut >= 5


def test_a_scrap_too_small_to_be_scored_does_not_excuse_a_letter(monkeypatch):
    """Whose pieces are refused; where no part is large enough to be scored, they are taken."""
    reader = Reader()
    whole = piece(0, 0.001, width=60)
    for heights, taken in (((60, 12), False), ((60, 60), True), ((12, 12), True)):
        parts = tuple(
            piece(digit, 0.99, height, min(height, 30)) for digit, height in zip((5, 8), heights, strict=True)
        )
        monkeypatch.setattr(reader_module, "find_ways", lambda *_, parts=parts: [Way(parts, 1.0)])
        assert (reader._cut(whole) == parts) == taken


def piece(digit: int, score: float, height: int = 60, width: int = 30) -> Part:
    probabilities = np.full(10, 0.01, np.float32)
    probabilities[digit] = 0.91
    region = Region((0, 0, width, height), np.full((height, width), 255, np.uint8))
    return Part(region, np.zeros((28, 28), np.uint8), probabilities, score)


def test_pieces_of_a_letter_are_no_digits():
    """Narrow legs, a scrap; in a wider region such legs may be ones."""
    whole = piece(0, 0.001, width=60)
    assert are_digits(whole, [piece(5, 0.9), piece(8, 0.9)])
    assert are_digits(whole, [piece(1, 0.99), piece(8, 0.9)])
    assert not are_digits(piece(0, 0.001, width=40), [piece(1, 0.9, width=15), piece(1, 0.9, width=15)])
    assert not are_digits(whole, [piece(1, 0.9, width=20)] * 3)
    assert not are_digits(whole, [piece(5, 0.9), piece(8, 0.9, height=15)])
    assert are_digits(piece(0, 0.001, width=90), [piece(1, 0.9), piece(1, 0.9)])


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_several_digits_that_touch_are_as_much_digits_as_two(count):
    assert are_digits(piece(0, 0.001, width=32 * count), [piece(n, 0.9) for n in range(2, 2 + count)])


def test_the_legs_of_a_v_are_no_ones(reader: Reader) -> None:
    """Measured: of 200 V, H, M, U and n 165 read as nothing, 13 as several digits."""
    readings = [reader.read(letter_picture("VHMUn"[seed % 5], 5000 + seed)) for seed in range(200)]
    assert sum(len(reading.digits) > 1 for reading in readings) <= 33


def scores(*values: float) -> Score:
    """Those of the regions of a picture; its parts, if it asks for any, are none."""
    return lambda tiles: np.array(values if len(tiles) == len(values) else [0.0] * len(tiles), np.float32)


@pytest.mark.parametrize(
    ("text", "values", "read"),
    [
        ("407", (0.01, 0.01, 0.5), ""),
        ("407", (0.001, 0.5, 0.9), "407"),
        ("4071", (0.01, 0.01, 0.3, 0.3), "4071"),
        ("40", (0.01, 0.01), "40"),
    ],
    ids=["letters", "a 1 among digits", "as many as not", "two"],
)
def test_a_word_of_few_pixels_is_letters_where_most_of_it_is_hardly_a_digit(text, values, read):
    assert scored(scores(*values)).read(write_number(text, height=14, seed=3).image).text == read


def beside_letters(number: str, *values: float) -> str:
    """What is read of a number with these scores, and a line of four that are none above it."""
    above, below = (write_number(text, height=60, seed=3).image for text in ("8888", number))
    sheet = np.full((len(above) + len(below), max(above.shape[1], below.shape[1])), above[0, 0], np.uint8)
    sheet[: len(above), : above.shape[1]] = above
    sheet[len(above) :, : below.shape[1]] = below
    return scored(scores(0, 0, 0, 0, *values)).read(sheet).text


def test_a_number_is_one_whatever_is_around_it():
    """Two digits that are sure vouch for a third; one does not, nor do two for two others."""
    assert beside_letters("407", 0.99, 0.6, 0.99) == "407"
    assert beside_letters("407", 0.99, 0.12, 0.99) == "407"  # as amid the digits of any number
    assert beside_letters("407", 0.99, 0.05, 0.99) == "47"
    assert beside_letters("407", 0.99, 0.6, 0.6) == "4"
    assert beside_letters("4071", 0.99, 0.6, 0.6, 0.99) == "41"
    assert beside_letters("40", 0.99, 0.6) == "4"
