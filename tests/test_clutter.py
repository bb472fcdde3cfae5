from __future__ import annotations

import cv2
import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="training is not installed: pip install 'edge-digits[train]'")

from matplotlib import get_data_path
from matplotlib.ft2font import FT2Font

from edge_digits import Classifier
from edge_digits.tiles import frame
from edge_digits_train.synthesis.clutter import (
    CLUTTER,
    FACES,
    FOREIGN,
    LETTER_FACES,
    LETTERS,
    SIGNS,
    glyph,
    print_digit,
    print_word,
    write_word,
)
from edge_digits_train.synthesis.curves import fit, smooth
from edge_digits_train.synthesis.doodles import MARKS
from edge_digits_train.synthesis.letters import WAYS, strokes_of, vary, write
from edge_digits_train.synthesis.pens import Pen
from edge_digits_train.synthesis.strokes import HEIGHT, MARGIN

PEN = Pen(0.06)


def draw(kind: str, height: int, seed: int) -> np.ndarray:
    return CLUTTER[kind](height, PEN, np.random.default_rng(seed))


@pytest.mark.parametrize("kind", CLUTTER)
def test_clutter_is_ink_of_about_the_height_asked_for(kind):
    for height in (12, 80, 200):
        sides = [max(draw(kind, height, seed).shape) for seed in range(20)]
        assert 0.55 * height <= np.median(sides) <= 1.8 * height
        assert max(sides) <= 2.5 * max(height, 16)


@pytest.mark.parametrize("kind", CLUTTER)
def test_clutter_is_cropped_and_of_0_to_1(kind):
    for seed in range(10):
        cover = draw(kind, 60, seed)
        assert cover.dtype == np.float32
        assert cover.min() >= 0
        assert 0.5 < cover.max() <= 1
        assert all((edge > 0.05).any() for edge in (cover[0], cover[-1], cover[:, 0], cover[:, -1]))


@pytest.mark.parametrize("kind", CLUTTER)
def test_clutter_follows_its_seed(kind):
    np.testing.assert_array_equal(draw(kind, 50, 7), draw(kind, 50, 7))
    assert len({draw(kind, 50, seed).tobytes() for seed in range(10)}) == 10


def test_every_font_has_every_letter_and_the_first_ones_every_sign():
    for number, face in enumerate(LETTER_FACES):
        font = FT2Font(f"{get_data_path()}/fonts/ttf/{face}.ttf")
        asked = LETTERS + (SIGNS if number < 4 else "") + (FOREIGN if number < 7 else "")
        assert [sign for sign in asked if not font.get_char_index(ord(sign))] == []


def test_glyphs_stand_upright_with_their_holes_open():
    high = glyph("L", "DejaVuSans")
    rows, columns = np.flatnonzero(high.any(axis=1)), np.flatnonzero(high.any(axis=0))
    assert (rows[0], rows[-1]) == (MARGIN, MARGIN + HEIGHT) or np.ptp(rows) + 1 in range(HEIGHT - 2, HEIGHT + 3)
    assert high[rows[-1] - 2].sum() > 2 * high[rows[0] + 2].sum()  # its foot is wider than its top
    assert np.ptp(columns) < np.ptp(rows)
    ring = glyph("A", "DejaVuSans-Bold")
    assert not ring[ring.shape[0] // 2 - 5, ring.shape[1] // 2]


def test_letters_are_read_as_digits_by_a_network_that_was_never_told(classifier: Classifier):
    """They are legible ink, or nothing could be learnt from them: a network of digits alone is sure of many."""
    covers = [draw("letter", 60, seed) for seed in range(60)]
    tiles = np.stack([frame((255 * cover).astype(np.uint8)) for cover in covers])
    assert len(np.unique(classifier.classify(tiles).digits)) >= 6


@pytest.mark.parametrize("face", FACES)
def test_printed_digits_are_legible(face: str, classifier: Classifier):
    """By a network of handwriting, most of them in most fonts."""
    tiles = np.stack([frame((255 * print_digit(digit, face, 60)).astype(np.uint8)) for digit in range(10)])
    assert (classifier.classify(tiles).digits == np.arange(10)).sum() >= 7


def test_words_are_letters_of_one_font():
    word = print_word(30, np.random.default_rng(0))
    assert 3 <= len(word) < 8
    assert all(abs(max(letter.shape) - 30) <= 2 for letter in word)


# ---- By hand


def test_letters_by_hand_are_those_of_the_fonts_and_an_i_and_none_that_may_be_a_digit():
    assert set(WAYS) == {*LETTERS, "i"}
    assert not set(WAYS) & set("OoDIlZzSsBGqgb")
    assert not {*LETTERS, *SIGNS} & set("OoDIlZzSsBGqgbi0123456789/!(|%")


@pytest.mark.parametrize("letter", WAYS)
def test_each_letter_is_ink_that_follows_its_seed_and_is_never_the_same(letter: str):
    covers = [write(letter, 60, PEN, np.random.default_rng(seed)) for seed in range(12)]
    np.testing.assert_array_equal(write(letter, 60, PEN, np.random.default_rng(3)), covers[3])
    assert len({cover.tobytes() for cover in covers}) == len(covers)
    for cover in covers:
        assert 55 <= max(cover.shape) <= 70
        assert 60 * 0.06 * 60 < cover.sum() < 0.5 * cover.size


@pytest.mark.parametrize("letter", WAYS)
def test_no_stem_of_a_letter_stands_apart(letter: str):
    """Found alone it would be a 1: a letter is in one piece nine times in ten, but for its dot."""
    dots = letter in "ij"
    pieces = [cv2.connectedComponents(_cover(letter, seed), connectivity=8)[0] - 1 for seed in range(40)]
    assert np.mean([count <= 1 + dots for count in pieces]) >= 0.9


def _cover(letter: str, seed: int) -> np.ndarray:
    return (write(letter, 60, PEN, np.random.default_rng(seed)) > 0.3).astype(np.uint8)


@pytest.mark.parametrize("way", [*MARKS.values(), *(way for ways in WAYS.values() for way in ways)])
def test_points_are_written_as_they_are_read(way: str):
    strokes = vary(way, np.random.default_rng(0))
    assert len(strokes) >= way.count("/") + 1
    for stroke in strokes:
        assert stroke.shape[1] == 2
        assert stroke.min() > -10
        assert stroke.max() < 30


def test_hands_lean_and_stretch_letters():
    widths, slants = [], []
    for seed in range(60):
        stem = strokes_of("L", np.random.default_rng(seed))[0]
        widths.append(np.ptp(stem[:, 0]) / np.ptp(stem[:, 1]))
        foot = stem[np.argmin(np.abs(stem[:, 1] - stem[:, 1].max()))]
        slants.append((stem[0, 0] - stem[:, 0].min()) / np.ptp(stem[:, 1]))
        assert foot[1] > stem[0, 1]
    assert np.quantile(widths, 0.9) > 1.4 * np.quantile(widths, 0.1)
    assert np.std(slants) > 0.08


def test_curves_go_through_their_points():
    stops = np.array([[0.0, 0.0], [4.0, 1.0], [5.0, 6.0], [1.0, 9.0]])
    curve = smooth(stops)
    assert np.abs(curve[:, np.newaxis] - stops).sum(axis=2).min(axis=0).max() < 1e-9
    assert np.hypot(*np.diff(curve, axis=0).T).max() < 1


def test_strokes_are_fitted_to_a_digits_height_or_to_a_width():
    tall, flat = np.array([[0.0, 0.0], [1.0, 4.0]]), np.array([[0.0, 0.0], [8.0, 1.0]])
    for stroke, widest, sides in ((tall, 1, (80, 20)), (flat, 1, (10, 80)), (flat, 2, (20, 160))):
        y, x = np.nonzero(fit([stroke], widest))
        assert (np.ptp(y), np.ptp(x)) == pytest.approx(sides, abs=1)
        assert (y.min(), x.min()) == (MARGIN, MARGIN)


def test_words_are_written_by_hand_too():
    word = write_word(30, PEN, np.random.default_rng(1))
    assert 3 <= len(word) < 8
    assert all(abs(max(letter.shape) - 30) <= 4 for letter in word)
