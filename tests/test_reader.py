from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from pictures import PAPERS, blank, compose, png, some, write_number

from edge_digits import Classifier, Digit, Reader, Reading, Rejected
from edge_digits.classifier import load_ensemble
from edge_digits.errors import ImageError, ModelError
from edge_digits.images import find_pictures
from edge_digits.reader import as_tile
from edge_digits.reading import error_record

Tiles = NDArray[np.uint8]


def out_of_memory() -> cv2.error:
    """As OpenCV raises it."""
    error = cv2.error("Failed to allocate 400000000 bytes")
    error.code = cv2.Error.StsNoMem
    return error


FIELDS = ["source", "text", "lines", "digits", "rejected", "error"]


# ---- what is read


@pytest.mark.parametrize("light_on_dark", [False, True], ids=["dark_on_light", "light_on_dark"])
def test_single_digits_on_paper_are_read(reader: Reader, light_on_dark: bool) -> None:
    indices = some(308, seed=100)
    heights = (16, 28, 40, 90)
    right = 0
    for number, index in enumerate(indices):
        kind, height = PAPERS[number % len(PAPERS)], heights[number % len(heights)]
        picture = compose([[index]], kind=kind, height=height, light_on_dark=light_on_dark, seed=number)
        right += reader.read(picture.image).text == picture.text
    assert right / len(indices) >= 0.97


def test_numbers_and_lines_are_read(reader: Reader) -> None:
    right = 0
    for seed in range(30):
        picture = write_number("40178", "923", kind=PAPERS[seed % 5], height=(30, 60)[seed % 2], seed=seed)
        right += reader.read(picture.image).text == picture.text
    assert right >= 27


@pytest.mark.parametrize("light_on_dark", [False, True], ids=["dark_on_light", "light_on_dark"])
@pytest.mark.parametrize("kind", PAPERS)
def test_blank_paper_reads_as_nothing(reader: Reader, kind: str, light_on_dark: bool) -> None:
    for size in [(28, 28), (300, 400), (480, 640)]:
        reading = reader.read(blank(kind, *size, light_on_dark=light_on_dark))
        assert (reading.text, reading.lines, reading.digits) == ("", [], ())


@pytest.mark.parametrize("value", [0, 255])
@pytest.mark.parametrize("shape", [(1, 1), (8, 8), (28, 28), (28, 28, 3), (500, 500)])
def test_a_picture_of_one_colour_reads_as_nothing(reader: Reader, shape: tuple[int, ...], value: int) -> None:
    assert reader.read(np.full(shape, value, np.uint8)) == Reading((), ())


# ---- the forms in which a picture comes


def test_a_path_the_bytes_and_the_array_read_the_same(reader: Reader, tmp_path: Path) -> None:
    image = write_number("4017", kind="coloured").image
    path = tmp_path / "number.png"
    path.write_bytes(png(image))
    reading = reader.read(image)
    assert reading.digits
    assert reader.read(path) == reader.read(str(path)) == reader.read(path.read_bytes()) == reading


@pytest.mark.parametrize(
    "limits",
    [
        {"min_confidence": 1.1},
        {"min_confidence": float("nan")},
        {"min_confidence": -3},
        {"max_digits": -1},
        {"max_pixels": 0},
    ],
    ids=str,
)
def test_a_limit_that_is_none_is_refused(limits: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(limits))}.* must be"):
        Reader(**limits)  # type: ignore[arg-type]


def test_reading_an_array_leaves_it_as_it_was(reader: Reader) -> None:
    image = write_number("4017", light_on_dark=True).image
    before = image.copy()
    reader.read(image)
    assert np.array_equal(image, before)


@pytest.mark.parametrize("inverted", [False, True], ids=["ink_bright", "ink_dark"])
def test_a_28_by_28_picture_gives_exactly_what_its_row_gives(reader: Reader, tiles: Tiles, inverted: bool) -> None:
    chosen = tiles[some(200, seed=7)]
    told = load_ensemble([reader.classifier.name])(chosen)
    for tile, row in zip(chosen, told, strict=True):
        reading = reader.read(png(255 - tile if inverted else tile))
        if row.max() >= 0.5:
            assert [digit.probabilities for digit in reading.digits] == [tuple(map(float, row))]
        else:
            assert reading.digits == ()


def test_the_box_of_a_28_by_28_picture_is_that_of_its_ink(reader: Reader, tiles: Tiles) -> None:
    tile = tiles[int(some(1)[0])]
    rows, columns = np.flatnonzero(tile.any(axis=1)), np.flatnonzero(tile.any(axis=0))
    (digit,) = reader.read(tile).digits
    assert digit.box == (columns[0], rows[0], np.ptp(columns) + 1, np.ptp(rows) + 1)


def test_what_is_not_in_the_normal_form_is_no_tile(tiles: Tiles) -> None:
    tile = tiles[int(some(1)[0])]
    assert as_tile(tile) is not None
    assert as_tile(np.zeros((28, 28), np.uint8)) is None
    assert as_tile(np.roll(tile, 3, axis=1)) is None
    assert as_tile(np.pad(tile, 2)) is None
    small = np.pad(cv2.resize(tile, (14, 14), interpolation=cv2.INTER_AREA), 7)
    assert as_tile(np.asarray(small, np.uint8)) is None


def test_a_tile_off_its_place_is_framed_anew(reader: Reader, tiles: Tiles) -> None:
    labels_read = 0
    chosen = some(50, seed=9)
    for index in chosen:
        moved = np.pad(tiles[index], 4)[1:29, 1:29]  # by three pixels: ink of 20 of 28 has room for it
        labels_read += reader.read(moved).text == reader.read(tiles[index]).text
    assert labels_read >= 47


@pytest.mark.parametrize("bad", [np.zeros(5, np.uint8), np.zeros((4, 4, 2), np.uint8), np.zeros((0, 4), np.uint8), 7])
def test_what_is_no_picture_is_a_value_error(reader: Reader, bad: object) -> None:
    with pytest.raises(ValueError, match=r"image|picture"):
        reader.read(bad)  # type: ignore[arg-type]


@pytest.mark.parametrize("data", [b"", b"hello", b"\x89PNG\r\n\x1a\n", png(np.zeros((9, 9), np.uint8))[:40]])
def test_bytes_that_cannot_be_read_are_an_image_error(reader: Reader, data: bytes) -> None:
    with pytest.raises(ImageError, match=r"^bytes: \w"):
        reader.read(data)


def test_a_missing_file_is_an_image_error_with_its_name(reader: Reader, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"nowhere\.png"):
        reader.read(tmp_path / "nowhere.png")


def test_a_missing_model_is_a_model_error() -> None:
    with pytest.raises(ModelError, match="no bundled model"):
        Reader("nothing-like-it")


# ---- what is rejected


def test_min_confidence_moves_digits_to_the_rejected(tiles: Tiles) -> None:
    everything, sure, nothing = Reader(min_confidence=0), Reader(min_confidence=0.99), Reader(min_confidence=1)
    moved = 0
    for number, index in enumerate(some(60, seed=20)):
        image = compose([[index]], height=30, seed=number, kind="noisy").image
        whole, part, none = everything.read(image), sure.read(image), nothing.read(image)
        assert part.digits == tuple(d for d in whole.digits if d.confidence >= 0.99)
        moved += len(whole.digits) - len(part.digits)
        assert {r.box for r in part.rejected} == {r.box for r in whole.rejected} | {
            d.box for d in whole.digits if d.confidence < 0.99
        }
        assert none.digits == ()
        assert none.text == ""
        assert len(none.rejected) == len(whole.rejected) + len(whole.digits)
    assert moved > 0


def test_a_line_whose_digits_are_all_rejected_leaves_no_empty_line(reader: Reader) -> None:
    picture = write_number("40", "17", "23")
    found = reader.read(picture.image)
    middle = {d.box for d in found.digits if d.line == 1}

    class Unsure:
        """Knows nothing of the digits in the middle line, nor of what they might be cut into."""

        picture_temperature, reject_below = 1.0, 0.0

        def classify(self, tiles: Tiles) -> object:
            told = reader.classifier.classify(tiles)
            probabilities = told.probabilities.copy()
            probabilities[slice(2, 4) if len(tiles) == 6 else slice(None)] = 0.1
            return type(told)(probabilities, None)

    doubting = Reader()
    doubting.classifier = Unsure()  # type: ignore[assignment]
    reading = doubting.read(picture.image)
    assert reading.lines == [picture.lines[0], picture.lines[2]]
    assert middle <= {r.box for r in reading.rejected}
    assert all(r.reason for r in reading.rejected)


# ---- the record


def reading_of_two_lines() -> Reading:
    def digit(value: int, line: int, x: int) -> Digit:
        rest = tuple(0.91 if d == value else 0.01 for d in range(10))
        return Digit(value, 0.91, (x, 30 * line, 20, 28), line, rest)

    return Reading((digit(4, 0, 5), digit(0, 0, 40), digit(7, 1, 8)), (Rejected((90, 2, 5, 4), "too small"),))


def test_a_reading_knows_its_lines_and_text() -> None:
    reading = reading_of_two_lines()
    assert reading.lines == ["40", "7"]
    assert reading.text == "40\n7"
    assert (Reading().lines, Reading().text) == ([], "")


def test_a_record_has_the_fields_of_the_design() -> None:
    assert reading_of_two_lines().record("img.png") == {
        "source": "img.png",
        "text": "40\n7",
        "lines": ["40", "7"],
        "digits": [
            {"digit": 4, "confidence": 0.91, "box": [5, 0, 20, 28], "line": 0},
            {"digit": 0, "confidence": 0.91, "box": [40, 0, 20, 28], "line": 0},
            {"digit": 7, "confidence": 0.91, "box": [8, 30, 20, 28], "line": 1},
        ],
        "rejected": [{"box": [90, 2, 5, 4], "reason": "too small"}],
        "error": None,
    }


def test_every_record_has_every_field_in_the_same_order(reader: Reader) -> None:
    read = reader.read(write_number("17").image).record("a")
    empty = Reading().record("b")
    failed = error_record("c", "is damaged")
    assert list(read) == list(empty) == list(failed) == FIELDS
    assert failed == {"source": "c", "text": "", "lines": [], "digits": [], "rejected": [], "error": "is damaged"}


def test_a_real_record_is_plain_json_of_the_right_types(reader: Reader) -> None:
    record = reader.read(write_number("4017", kind="ruled").image).record("x.png", top=2)
    assert json.loads(json.dumps(record)) == record
    for digit in record["digits"]:
        assert [type(digit[name]) for name in ("digit", "confidence", "line")] == [int, float, int]
        assert [type(value) for value in digit["box"]] == [int] * 4
        assert 0 <= digit["confidence"] <= 1


def test_top_lists_the_likeliest_answers_first() -> None:
    probabilities = (0.05, 0.0, 0.3, 0.0, 0.3, 0.0, 0.0, 0.35, 0.0, 0.0)
    digit = Digit(7, 0.35, (0, 0, 1, 1), 0, probabilities)
    assert digit.likeliest(4) == [(7, 0.35), (2, 0.3), (4, 0.3), (0, 0.05)]
    (entry,) = Reading((digit,)).record("x", top=2)["digits"]
    assert entry["top"] == [{"digit": 7, "confidence": 0.35}, {"digit": 2, "confidence": 0.3}]
    assert "top" not in Reading((digit,)).record("x")["digits"][0]


def test_the_record_of_a_picture_that_cannot_be_read_says_why(reader: Reader, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nrubbish")
    (picture,) = find_pictures([str(tmp_path / "bad.png")])
    record = reader.record(picture)
    assert record["source"] == str(tmp_path / "bad.png")
    assert record["error"]
    assert str(tmp_path) not in record["error"]


@pytest.mark.parametrize("error", [MemoryError(), out_of_memory()], ids=["numpy", "OpenCV"])
def test_a_picture_that_memory_is_too_small_for_costs_its_own_record(
    reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refuse(image: Tiles) -> None:
        raise error

    (tmp_path / "large.png").write_bytes(png(write_number("62").image))
    (picture,) = find_pictures([str(tmp_path / "large.png")])
    monkeypatch.setattr("edge_digits.reader.find", refuse)
    record, trace = reader.record_and_trace(picture)
    assert (record["error"], trace) == ("there is not enough memory to search it", None)


def test_other_errors_of_opencv_are_not_taken_for_it(
    reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.png").write_bytes(png(write_number("62").image))
    (picture,) = find_pictures([str(tmp_path / "a.png")])
    monkeypatch.setattr("edge_digits.reader.find", lambda image: cv2.resize(image, (0, 0)))
    with pytest.raises(cv2.error):
        reader.record(picture)


def test_the_record_of_stdin_is_called_a_dash(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = write_number("62")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(png(picture.image))))
    (source,) = find_pictures(["-"])
    record = reader.record(source)
    assert (record["source"], record["text"]) == ("-", picture.text)


def test_the_probabilities_of_each_digit_are_kept(reader: Reader) -> None:
    for digit in reader.read(write_number("905").image).digits:
        assert sum(digit.probabilities) == pytest.approx(1, abs=1e-5)
        assert digit.confidence == max(digit.probabilities) == digit.probabilities[digit.digit]


def test_the_reader_uses_the_model_it_is_given(tiles: Tiles) -> None:
    tile = tiles[int(some(1)[0])]
    (digit,) = Reader("digits-fp32").read(tile).digits
    (row,) = Classifier("digits-fp32").classify(tile).probabilities
    assert digit.probabilities == tuple(map(float, row))
