from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="training is not installed: pip install 'edge-digits[train]'")

from matplotlib import get_data_path
from matplotlib.ft2font import FT2Font

from edge_digits import Classifier
from edge_digits.tiles import frame
from edge_digits_train.synthesis.clutter import CLUTTER, FACES, LETTERS, SIGNS, glyph, print_digit, print_word
from edge_digits_train.synthesis.pens import Pen
from edge_digits_train.synthesis.strokes import HEIGHT, MARGIN

PEN = Pen(0.06)


def draw(kind: str, height: int, seed: int) -> np.ndarray:
    return CLUTTER[kind](height, PEN, np.random.default_rng(seed))


@pytest.mark.parametrize("kind", CLUTTER)
def test_clutter_is_ink_of_about_the_height_asked_for(kind):
    for height in (12, 80, 200):
        sides = [max(draw(kind, height, seed).shape) for seed in range(20)]
        assert 0.55 * height <= np.median(sides) <= 1.7 * height
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
    for number, face in enumerate(FACES):
        font = FT2Font(f"{get_data_path()}/fonts/ttf/{face}.ttf")
        asked = LETTERS + (SIGNS if number < 4 else "")
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
