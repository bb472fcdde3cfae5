from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("pandas", reason="training is not installed: pip install 'edge-digits[train]'")
pytest.importorskip("scipy", reason="training is not installed: pip install 'edge-digits[train]'")

from scipy import ndimage

from edge_digits_train import augment as module
from edge_digits_train.augment import Augmentation, augment
from edge_digits_train.flags import draw_flag

CNN_AUGMENTED = Augmentation(rotation=12, shear=0.075, zoom=0.05, shift=0.075)
EVERYTHING = Augmentation(rotation=10, shear=0.1, zoom=0.1, shift=0.06, elastic=0.8, stroke=0.25, flags=0.35)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def copies(tile: np.ndarray, n: int, digit: int = 5) -> tuple[np.ndarray, np.ndarray]:
    return np.repeat(tile[np.newaxis], n, axis=0), np.full(n, digit, np.uint8)


def bar() -> np.ndarray:
    """An upright bar about the middle of the tile, 3 by 16."""
    tile = np.zeros((28, 28), np.uint8)
    tile[6:22, 12:15] = 255
    tile[6:22, 15] = 255
    tile[6:22, 12] = 255
    return tile


def square() -> np.ndarray:
    tile = np.zeros((28, 28), np.uint8)
    tile[8:20, 8:20] = 255
    return tile


def centres(tiles: np.ndarray) -> np.ndarray:
    """(n, 2): centres of mass, x and y."""
    y, x = np.mgrid[:28, :28]
    mass = tiles.sum(axis=(1, 2), dtype=float)
    return np.stack([(tiles * x).sum(axis=(1, 2)) / mass, (tiles * y).sum(axis=(1, 2)) / mass], axis=1)


def spreads(tiles: np.ndarray) -> np.ndarray:
    """(n, 2, 2): covariance of where the ink is, in px²."""
    y, x = np.mgrid[:28, :28]
    weight = tiles / tiles.sum(axis=(1, 2), keepdims=True)
    dx = x - centres(tiles)[:, 0, None, None]
    dy = y - centres(tiles)[:, 1, None, None]
    xx, xy, yy = ((weight * a * b).sum(axis=(1, 2)) for a, b in ((dx, dx), (dx, dy), (dy, dy)))
    return np.stack([np.stack([xx, xy], 1), np.stack([xy, yy], 1)], axis=2)


def tilts(tiles: np.ndarray) -> np.ndarray:
    """(n,): degrees off upright of the axis along which the ink spreads most."""
    axes = np.linalg.eigh(spreads(tiles))[1][:, :, 1]
    return (np.rad2deg(np.arctan2(axes[:, 0], axes[:, 1])) + 90) % 180 - 90


# ---- All of it ----


def test_zero_augmentation_changes_nothing(tiles, labels):
    np.testing.assert_array_equal(augment(tiles[::10], labels[::10], Augmentation(), rng()), tiles[::10])


@pytest.mark.parametrize("augmentation", [CNN_AUGMENTED, EVERYTHING])
def test_the_same_seed_gives_the_same_tiles_and_another_gives_others(tiles, labels, augmentation):
    some, truths = tiles[::50], labels[::50]
    first, again, other = (augment(some, truths, augmentation, rng(seed)) for seed in (1, 1, 2))
    assert (first.shape, first.dtype) == (some.shape, np.uint8)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any(axis=(1, 2)).mean() > 0.99


def test_tiles_given_stay_as_they_are_and_copies_of_one_differ(tiles):
    many, digits = copies(tiles[700], 50, 1)
    before = many.copy()
    varied = augment(many, digits, EVERYTHING, rng())
    np.testing.assert_array_equal(many, before)
    assert len({tile.tobytes() for tile in varied}) == 50


def test_nothing_but_black_comes_in_at_the_edges():
    white, digits = copies(np.full((28, 28), 255, np.uint8), 200)
    for augmentation in (Augmentation(shift=0.3), Augmentation(rotation=20), Augmentation(zoom=0.3, elastic=0.5)):
        corners = augment(white, digits, augmentation, rng())[:, [0, 0, -1, -1], [0, -1, 0, -1]]
        assert corners.min() == 0
    blank, digits = copies(np.zeros((28, 28), np.uint8), 50, 1)
    assert not augment(blank, digits, EVERYTHING, rng()).any()


def test_real_digits_stay_as_heavy_and_in_view(tiles, labels):
    """A sign turned round or a matrix mixed up would throw the ink out of the tile."""
    some = tiles[::5]
    varied = augment(some, labels[::5], CNN_AUGMENTED, rng())
    ratio = varied.sum(axis=(1, 2)) / some.sum(axis=(1, 2))
    assert abs(ratio.mean() - 1) < 0.02
    assert (np.abs(ratio - 1) < 0.2).all()
    assert (np.abs(centres(varied) - 13.5) < 28 * 0.075 + 2).all()


# ---- Each part alone ----


def test_shift_moves_the_middle_within_its_limit_and_over_all_of_it():
    many, digits = copies(square(), 2000)
    moved = centres(augment(many, digits, Augmentation(shift=0.075), rng())) - 13.5
    limit = 0.075 * 28
    assert np.abs(moved).max() <= limit + 0.05
    assert (np.abs(moved).max(axis=0) > 0.95 * limit).all()
    assert (np.abs(moved.mean(axis=0)) < 0.1).all()
    assert moved.std(axis=0) == pytest.approx(limit / np.sqrt(3), rel=0.06)  # as even as it can be
    assert abs(np.corrcoef(moved.T)[0, 1]) < 0.1


@pytest.mark.parametrize("limit", [5, 12])
def test_rotation_turns_an_upright_bar_within_its_limit_and_over_all_of_it(limit):
    many, digits = copies(bar(), 2000)
    varied = augment(many, digits, Augmentation(rotation=limit), rng())
    angles = tilts(varied)
    assert np.abs(angles).max() <= limit + 0.3
    assert angles.min() < -0.95 * limit
    assert angles.max() > 0.95 * limit
    assert angles.std() == pytest.approx(limit / np.sqrt(3), rel=0.06)
    assert np.abs(centres(varied) - 13.5).max() < 0.05
    np.testing.assert_allclose(varied.sum(axis=(1, 2), dtype=float), bar().sum(), rtol=0.02)


def test_zoom_changes_width_and_height_apart_within_its_limit():
    many, digits = copies(square(), 2000)
    varied = augment(many, digits, Augmentation(zoom=0.1), rng())
    size = np.sqrt(np.diagonal(spreads(varied), axis1=1, axis2=2) / np.diagonal(spreads(many), axis1=1, axis2=2))
    assert size.min() > 1 / 1.1 - 0.02
    assert size.max() < 1 / 0.9 + 0.02
    assert (size.min(axis=0) < 0.93).all()
    assert (size.max(axis=0) > 1.09).all()
    assert abs(np.corrcoef(size.T)[0, 1]) < 0.1
    assert np.abs(centres(varied) - 13.5).max() < 0.05


def test_shear_slants_an_upright_bar_and_leaves_a_level_one_level():
    limit = 0.2  # rad
    upright, digits = copies(bar(), 1000)
    angles = np.deg2rad(tilts(augment(upright, digits, Augmentation(shear=limit), rng())))
    assert np.abs(angles).max() <= limit + 0.01
    assert angles.min() < -0.9 * limit
    assert angles.max() > 0.9 * limit
    level, _ = copies(bar().T, 1000)
    leaning = 90 - np.abs(tilts(augment(level, digits, Augmentation(shear=limit), rng())))
    assert leaning.max() < 1.5


def test_elastic_bends_its_share_of_the_tiles_as_far_as_it_is_asked_to(tiles, labels):
    some, truths = tiles[::5], labels[::5]
    for share in (0.3, 1.0):
        changed = augment(some, truths, Augmentation(elastic=0.8, elastic_share=share), rng()) != some
        assert changed.any(axis=(1, 2)).mean() == pytest.approx(share, abs=0.05)
    ramp, digits = copies(np.tile(np.arange(0, 252, 9, dtype=np.uint8), (28, 1)), 300)
    bent = augment(ramp, digits, Augmentation(elastic=0.8, elastic_share=1), rng())
    moved = (bent[:, 6:22, 6:22].astype(float) - ramp[:, 6:22, 6:22]) / 9  # px, along x
    assert np.sqrt((moved**2).mean()) == pytest.approx(0.8, rel=0.35)  # less between the points of the field
    assert np.abs(np.diff(moved, axis=2)).mean() < 0.4  # smooth


def test_stroke_makes_its_share_of_the_tiles_thicker_or_thinner(tiles, labels):
    some = tiles[::5]
    varied = augment(some, labels[::5], Augmentation(stroke=0.5), rng())
    ratio = varied.sum(axis=(1, 2)) / some.sum(axis=(1, 2))
    assert (ratio != 1).mean() == pytest.approx(0.5, abs=0.06)
    assert ((ratio > 1).mean(), (ratio < 1).mean()) == pytest.approx((0.25, 0.25), abs=0.05)
    assert ratio.min() > 0.2
    grown = ndimage.grey_dilation(some, footprint=ndimage.generate_binary_structure(3, 1)[1][np.newaxis])
    shrunk = ndimage.grey_erosion(some, footprint=ndimage.generate_binary_structure(3, 1)[1][np.newaxis])
    assert (varied <= grown).all()
    assert (varied >= shrunk).all()


def test_flags_go_to_their_share_of_the_ones_and_to_no_other_digit(tiles, labels):
    varied = augment(tiles, labels, Augmentation(flags=0.5), rng())
    changed = (varied != tiles).any(axis=(1, 2))
    assert not changed[labels != 1].any()
    assert 0.3 < changed[labels == 1].mean() <= 0.55  # those that have a flag already stay as they are


# ---- Against scipy ----


def test_affine_part_is_scipys(tiles, labels):
    """The same matrices, applied by scipy.ndimage: OpenCV rounds coordinates to 1/32 px, and values to whole ones."""
    some = tiles[::100]
    varied = augment(some, labels[::100], CNN_AUGMENTED, rng(3))
    matrices = module._affine_matrices(len(some), CNN_AUGMENTED, rng(3))
    for tile, found, matrix in zip(some, varied, matrices.astype(float), strict=True):
        # ours gives x, y from x, y; scipy's, row and column from row and column
        wanted = ndimage.affine_transform(
            tile.astype(float), matrix[::-1, 1::-1], matrix[::-1, 2], order=1, mode="grid-constant"
        )
        difference = np.abs(found - wanted)
        assert difference.max() < 16
        assert difference.mean() < 1


def test_matrices_are_rotation_shear_and_zoom_about_the_middle():
    """Each part alone, written out: where the middle comes from, and by how much the plane turns and grows."""
    n = 500
    turned = module._affine_matrices(n, Augmentation(rotation=12), rng()).astype(float)
    linear = turned[:, :, :2]
    np.testing.assert_allclose(linear @ linear.transpose(0, 2, 1), np.broadcast_to(np.eye(2), (n, 2, 2)), atol=1e-6)
    np.testing.assert_allclose(np.linalg.det(linear), 1, atol=1e-6)
    assert np.rad2deg(np.abs(np.arctan2(linear[:, 1, 0], linear[:, 0, 0]))).max() <= 12
    for augmentation in (Augmentation(rotation=12), Augmentation(shear=0.2), Augmentation(zoom=0.2)):
        matrices = module._affine_matrices(n, augmentation, rng()).astype(float)
        np.testing.assert_allclose(matrices @ [13.5, 13.5, 1], np.full((n, 2), 13.5), atol=1e-4)
    zoomed = module._affine_matrices(n, Augmentation(zoom=0.2), rng())[:, :, :2]
    assert not zoomed[:, [0, 1], [1, 0]].any()
    assert zoomed[:, [0, 1], [0, 1]].min() >= 0.8
    assert zoomed[:, [0, 1], [0, 1]].max() <= 1.2


# ---- Flags ----


def test_flagged_ones_are_tiles_in_mnists_form(tiles, labels):
    source = rng()
    drawn = [(tile, draw_flag(tile, source)) for tile in tiles[labels == 1]]
    flagged = np.stack([after for before, after in drawn if (after != before).any()])
    assert 0.5 < len(flagged) / 500 < 1
    assert (flagged.shape[1:], flagged.dtype) == ((28, 28), np.uint8)
    for tile in flagged:
        y, x = np.nonzero(tile)
        # the faintest edge may round to black, and a digit at the border of the tile cannot be centred further
        assert 19 <= max(np.ptp(x), np.ptp(y)) + 1 <= 20
    assert (flagged.max(axis=(1, 2)) >= 240).all()
    assert (np.abs(centres(flagged) - 13.5) <= 1.01).all()


def test_a_flag_goes_down_to_the_left_of_the_top_and_a_base_across_the_foot():
    tile = np.zeros((28, 28), np.uint8)
    tile[4:24, 13:15] = 255
    source = rng()
    ink = np.stack([draw_flag(tile, source) for _ in range(300)]).astype(float)
    stem = ink.sum(axis=1).argmax(axis=1)
    left = np.array([(one[4:16, : at - 2] > 60).sum() for one, at in zip(ink, stem, strict=True)])
    right = np.array([(one[4:16, at + 4 :] > 60).sum() for one, at in zip(ink, stem, strict=True)])
    assert (left > 0).mean() > 0.6
    assert (right > 0).mean() < 0.05


def test_a_one_that_has_a_flag_or_hardly_any_ink_stays_as_it_is():
    wide = np.zeros((28, 28), np.uint8)
    wide[4:24, 13:15] = wide[22:24, 6:22] = wide[6:8, 7:13] = 255
    dots = np.zeros((28, 28), np.uint8)
    dots[10, 10] = dots[20, 11] = 255
    for tile in (wide, dots, np.zeros((28, 28), np.uint8)):
        assert draw_flag(tile, rng()) is tile
