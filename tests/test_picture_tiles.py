from __future__ import annotations

import io
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="training is not installed: pip install 'edge-digits[train]'")

from edge_digits import Classifier
from edge_digits.errors import InputError
from edge_digits_train import picture_tiles
from edge_digits_train.corruptions import KINDS
from edge_digits_train.data import DataSet
from edge_digits_train.picture_tiles import (
    JUNK,
    NO_DIGIT,
    Drawn,
    Pictures,
    PictureTiles,
    draw_tiles,
    junk,
    keep_tiles,
    label_of,
    read_tiles,
)
from edge_digits_train.synthesis.pictures import Digit


@pytest.fixture(scope="module")
def rows(tiles, labels) -> DataSet:
    return DataSet("digits", tiles[::5], labels[::5].astype(np.uint8))


@pytest.fixture(scope="module")
def drawn(rows) -> Drawn:
    return draw_tiles(rows, 120, 3, lambda done, total: None)


def test_an_interrupted_drawing_draws_no_more(rows, monkeypatch) -> None:
    """By threads here, whose work can be counted: all that waits is given up."""
    begun = []

    def draw(numbers):
        begun.append(numbers)
        time.sleep(0.05)
        return np.zeros((1, 28, 28), np.uint8), np.zeros(1, np.uint8), np.zeros(1, bool)

    def progress(done, total):
        raise KeyboardInterrupt

    def threads(workers, context, begin, asked):
        return ThreadPoolExecutor(1)

    monkeypatch.setattr(picture_tiles, "ProcessPoolExecutor", threads)
    monkeypatch.setattr(picture_tiles, "_draw", draw)
    with pytest.raises(KeyboardInterrupt):
        draw_tiles(rows, 50 * 100, 3, progress)
    assert 1 <= len(begun) < 50


# ---- What a tile shows

SIX, NINE = Digit(6, 0, (10, 10, 20, 40)), Digit(9, 0, (28, 10, 20, 40))


@pytest.mark.parametrize(
    ("box", "digits", "shown"),
    [
        ((10, 10, 20, 40), [SIX], 6),
        ((11, 12, 17, 36), [SIX, NINE], 6),
        ((28, 10, 20, 40), [SIX, NINE], 9),
        ((3, 3, 6, 8), [Digit(6, 0, (4, 4, 4, 8))], 6),  # a pixel off, of few
        ((10, 10, 38, 40), [SIX, NINE], NO_DIGIT),  # both
        ((10, 10, 20, 15), [SIX], NO_DIGIT),  # a fragment
        ((100, 10, 20, 40), [SIX], NO_DIGIT),  # elsewhere
        ((100, 10, 20, 40), [], NO_DIGIT),
        ((10, 10, 20, 22), [SIX], None),  # half of it
        ((0, 0, 60, 60), [SIX], None),  # with much about it
        ((10, 10, 30, 40), [SIX, NINE], None),  # one and a half
    ],
)
def test_tiles_are_labelled_by_what_their_box_holds(box, digits, shown):
    assert label_of(box, digits) == shown


# ---- What is drawn


def test_digits_on_tiles_of_pictures_are_labelled_as_they_read(drawn: Drawn, classifier: Classifier):
    """The network has never seen such tiles, and mislabelled ones could not agree with it."""
    digits = drawn.all[drawn.all.labels != NO_DIGIT]
    assert len(digits) > 150
    assert set(digits.labels.tolist()) == set(range(10))
    assert (classifier.classify(digits.tiles).digits == digits.labels).mean() > 0.85


def test_there_are_many_tiles_of_no_digit_and_some_of_no_picture(drawn: Drawn):
    labels = drawn.all.labels
    assert 0.3 < (labels == NO_DIGIT).mean() < 0.8
    junk_tiles = round(JUNK / (1 + JUNK) * len(labels))
    assert junk_tiles > 5
    assert (labels[-junk_tiles:] == NO_DIGIT).all()


def test_of_few_pixels_there_are_digits_alone_and_their_score_does_not_count(drawn: Drawn):
    assert 10 < drawn.coarse.sum() < len(drawn.all) / 2
    assert (drawn.all.labels[drawn.coarse] != NO_DIGIT).all()
    assert len(drawn.scored) == len(drawn.all) - drawn.coarse.sum()


def test_tiles_are_the_same_for_the_same_seed_alone(rows: DataSet):
    first, same, other = (draw_tiles(rows, 60, seed, lambda done, total: None).all for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.tiles, same.tiles)
    np.testing.assert_array_equal(first.labels, same.labels)
    assert len(first) != len(other) or (first.tiles != other.tiles).any()


def test_progress_is_told_up_to_the_end(rows: DataSet):
    told: list[tuple[int, int]] = []
    draw_tiles(rows, 70, 1, lambda done, total: told.append((done, total)))
    assert told == [(50, 70), (70, 70)]


def test_junk_is_of_many_kinds():
    tiles = junk(200, np.random.default_rng(0))
    assert tiles.shape == (200, 28, 28)
    flat = (tiles == tiles[:, :1, :1]).all(axis=(1, 2))
    assert 20 < flat.sum() < 70
    assert len(np.unique(tiles.reshape(200, -1), axis=0)) > 140


# ---- A pass


@pytest.fixture
def kept(drawn: Drawn) -> PictureTiles:
    return PictureTiles(Pictures(drawn=1, digits=0.3, others=0.1, spoiled=0.5), drawn)


def test_a_pass_has_its_rows_and_its_shares_of_tiles(kept: PictureTiles, rows: DataSet):
    joined, coarse = kept.join(rows, np.random.default_rng(0))
    n = len(rows)
    assert coarse.shape == (len(joined),)
    assert not coarse[:n].any()
    assert coarse.any()
    np.testing.assert_array_equal(joined.tiles[:n], rows.tiles)
    np.testing.assert_array_equal(joined.labels[:n], rows.labels)
    more = joined.labels[n:]
    assert (more != NO_DIGIT).sum() == round(0.3 * n)
    assert (more == NO_DIGIT).sum() == round(0.1 * n)
    assert len(joined) - n == kept.settings.tiles_in_a_pass(n)


def test_each_pass_draws_other_tiles(kept: PictureTiles, rows: DataSet):
    first, second = (kept.join(rows, np.random.default_rng(seed))[0] for seed in (0, 1))
    assert (first.labels != second.labels).any()


def test_digits_alone_are_spoiled_and_in_their_share(kept: PictureTiles, rows: DataSet):
    joined, _ = kept.join(rows, np.random.default_rng(0))
    before = joined.tiles.copy()
    after, spoiled = kept.spoil(joined.tiles, joined.labels, np.random.default_rng(1))
    is_digit = joined.labels != NO_DIGIT
    assert not spoiled[~is_digit].any()
    assert spoiled[is_digit].mean() == pytest.approx(0.5, abs=0.05)
    changed = (after != before).any(axis=(1, 2))
    np.testing.assert_array_equal(changed & ~spoiled, np.zeros(len(changed), bool))
    assert changed[spoiled].mean() > 1 - 1 / len(KINDS)


# ---- What is kept


def test_tiles_are_drawn_once_and_kept(tmp_path, drawn: Drawn):
    path = tmp_path / "tiles.npz"
    first = keep_tiles(path, lambda: drawn)

    def again() -> Drawn:
        raise AssertionError("drawn again")

    kept = keep_tiles(path, again)
    np.testing.assert_array_equal(kept.all.tiles, drawn.all.tiles)
    np.testing.assert_array_equal(kept.all.labels, first.all.labels)
    np.testing.assert_array_equal(kept.coarse, drawn.coarse)


@pytest.mark.parametrize(
    ("labels", "coarse"), [([11], [False]), ([1, 2], [False, False]), ([1], [False, True]), ([1], [1])]
)
def test_tiles_that_are_none_are_refused(tmp_path, labels, coarse):
    path = tmp_path / "tiles.npz"
    tiles = np.zeros((1, 28, 28), np.uint8)
    np.savez(path, tiles=tiles, labels=np.array(labels, np.uint8), coarse=np.array(coarse))
    with pytest.raises(InputError, match=r"tiles\.npz.*is damaged: delete it"):
        read_tiles(path)


def test_a_file_that_is_cut_off_is_refused(tmp_path, drawn: Drawn):
    whole = io.BytesIO()
    np.savez_compressed(whole, tiles=drawn.all.tiles, labels=drawn.all.labels, coarse=drawn.coarse)
    path = tmp_path / "tiles.npz"
    path.write_bytes(whole.getvalue()[:-500])
    with pytest.raises(InputError, match="is damaged: delete it"):
        read_tiles(path)
