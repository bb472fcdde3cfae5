from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from edge_digits.tiles import stroke_width
from edge_digits_train.corruptions import CORRUPTIONS, KINDS, WORST, corrupt

BY_CHANCE = {"rotation", "shift", "scale", "stroke", "motion", "impulse", "shot", "fog", "occlusion", "lines"}
"""The kinds that have something to draw: the others say the same of a tile each time."""


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def amount(kind: str, severity: int) -> float:
    return CORRUPTIONS[kind].amounts[severity]


def copies(tile: np.ndarray, n: int) -> np.ndarray:
    return np.repeat(tile[np.newaxis], n, axis=0)


def flat(level: int) -> np.ndarray:
    return np.full((28, 28), level, np.uint8)


def block(height: int, width: int) -> np.ndarray:
    """White, about the middle of a tile; both sides even."""
    tile = np.zeros((28, 28), np.uint8)
    tile[14 - height // 2 : 14 + height // 2, 14 - width // 2 : 14 + width // 2] = 255
    return tile


def centres(tiles: np.ndarray) -> np.ndarray:
    """(n, 2): where the ink's middle is from the tile's, x and y."""
    y, x = np.mgrid[:28, :28] - 13.5
    mass = tiles.sum(axis=(1, 2), dtype=float)
    return np.stack([(tiles * x).sum(axis=(1, 2)) / mass, (tiles * y).sum(axis=(1, 2)) / mass], axis=1)


def spreads(tiles: np.ndarray) -> np.ndarray:
    """(n, 2, 2): covariance of where the ink is, in px²."""
    points = np.stack(np.mgrid[:28, :28][::-1], axis=-1).reshape(-1, 2) - 13.5
    return np.stack([np.cov(points.T, aweights=tile.reshape(-1).astype(float), ddof=0) for tile in tiles])


def pieces(tile: np.ndarray) -> int:
    """Connected parts of the ink."""
    return cv2.connectedComponents((tile >= 32).astype(np.uint8))[0] - 1


# ---- All kinds ----


def test_the_kinds_are_those_of_the_card():
    assert KINDS == (
        "rotation", "shift", "scale", "stroke", "blur", "motion", "impulse", "shot", "background", "fog", "contrast",
        "jpeg", "occlusion", "lines", "inversion",
    )  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_severity_changes_tiles_more_than_the_one_before_and_none_changes_nothing(tiles, kind):
    some = tiles[::10]
    before = some.copy()
    found = [corrupt(some, kind, severity, rng()) for severity in range(WORST + 1)]
    assert all((tile.shape, tile.dtype) == (some.shape, np.uint8) for tile in found)
    np.testing.assert_array_equal(some, before)
    np.testing.assert_array_equal(found[0], some)
    changes = [np.abs(each.astype(int) - some).mean() for each in found]
    assert changes[1] > 1
    if kind != "inversion":
        assert (np.diff(changes) > 0).all(), changes
        between = np.abs(corrupt(some, kind, 2.5, rng()).astype(int) - some).mean()
        assert changes[2] < between < changes[3]


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_tiles_and_another_gives_others_where_chance_has_a_say(tiles, kind):
    some = tiles[::50]
    first, again, other = (corrupt(some, kind, 3, rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert ((first != other).any(axis=(1, 2)).mean() > 0.3) == (kind in BY_CHANCE)


@pytest.mark.parametrize("kind", KINDS)
def test_each_tile_has_its_own_severity(tiles, kind):
    some = tiles[::50]
    severities = np.tile([0.0, 1.0, 3.0, 4.5], 25)
    mixed = corrupt(some, kind, severities, rng())
    for severity in np.unique(severities):
        rows = severities == severity
        alone = corrupt(some, kind, severity, rng())[rows]
        if kind == "shot":  # how much chance a photon count uses up depends on the count
            assert np.abs(mixed[rows].astype(int) - some[rows]).mean() == pytest.approx(
                np.abs(alone.astype(int) - some[rows]).mean(), rel=0.1
            )
        else:
            np.testing.assert_array_equal(mixed[rows], alone)


@pytest.mark.parametrize("kind", KINDS)
def test_blank_full_and_no_tiles_are_corrupted_too(kind):
    assert corrupt(np.zeros((0, 28, 28), np.uint8), kind, 3, rng()).shape == (0, 28, 28)
    for level in (0, 255):
        assert corrupt(copies(flat(level), 4), kind, 5, rng()).shape == (4, 28, 28)


def test_what_is_no_kind_and_no_severity_is_refused(tiles):
    with pytest.raises(ValueError, match="no such kind of corruption: rain; there are rotation, shift"):
        corrupt(tiles[:2], "rain", 3, rng())
    for severity in (-0.1, 5.1, np.nan, [1, 6]):
        with pytest.raises(ValueError, match="severity is 0 to 5, not"):
            corrupt(tiles[:2], "blur", severity, rng())
    with pytest.raises(ValueError, match="broadcast"):
        corrupt(tiles[:2], "blur", [1, 2, 3], rng())


# ---- Where the ink is ----


@pytest.mark.parametrize("severity", [1, 3, 5])
def test_rotation_is_by_those_degrees_half_of_the_tiles_either_way(severity):
    turned = corrupt(copies(block(18, 4), 400), "rotation", severity, rng())
    axes = np.linalg.eigh(spreads(turned))[1][:, :, 1]
    degrees = (np.rad2deg(np.arctan2(axes[:, 0], axes[:, 1])) + 90) % 180 - 90
    np.testing.assert_allclose(np.abs(degrees), amount("rotation", severity), atol=0.5)
    assert 0.4 < (degrees > 0).mean() < 0.6
    assert np.abs(centres(turned)).max() < 0.1


@pytest.mark.parametrize("severity", [1, 3, 5])
def test_shift_is_by_those_pixels_in_all_directions(severity):
    moved = centres(corrupt(copies(block(4, 4), 400), "shift", severity, rng()))
    np.testing.assert_allclose(np.hypot(*moved.T), amount("shift", severity), atol=0.1)
    around = np.histogram(np.arctan2(moved[:, 1], moved[:, 0]), bins=8, range=(-np.pi, np.pi))[0]
    assert around.min() > 25  # of 50


def test_shift_leaves_most_of_the_ink_on_the_tile(tiles):
    some = tiles[::5]
    kept = corrupt(some, "shift", 5, rng()).sum(axis=(1, 2)) / some.sum(axis=(1, 2))
    assert kept.mean() > 0.9
    assert kept.min() > 0.5


@pytest.mark.parametrize("severity", [1, 3, 5])
def test_scale_makes_half_of_the_tiles_smaller_and_half_larger(severity):
    before = copies(block(12, 12), 400)
    lost = amount("scale", severity)
    after = corrupt(before, "scale", severity, rng())
    size = np.sqrt(after.sum(axis=(1, 2)) / before.sum(axis=(1, 2)))
    smaller = size < 1
    assert 0.4 < smaller.mean() < 0.6
    np.testing.assert_allclose(size[smaller], 1 - lost, rtol=0.02)
    np.testing.assert_allclose(size[~smaller], 1 + 0.8 * lost, rtol=0.02)
    assert np.abs(centres(after)).max() < 0.1


def test_strokes_get_thinner_by_their_share_and_thicker_by_their_pixels():
    before = block(18, 4)
    for severity in (1, 3, 5):
        after = corrupt(copies(before, 200), "stroke", severity, rng())
        width = after[:, 13].sum(axis=1) / 255
        share = amount("stroke", severity)
        thinner = width < 4
        assert 0.4 < thinner.mean() < 0.6
        np.testing.assert_allclose(width[thinner], 4 * (1 - share), atol=0.4)
        np.testing.assert_allclose(width[~thinner], 4 + 4 * share, atol=0.4)


def test_strokes_of_digits_get_thinner_and_thicker_and_hardly_break(tiles):
    some = tiles[::10]
    before = np.array([stroke_width(tile) for tile in some])
    last_thin, last_thick = before.mean(), before.mean()
    for severity in (1, 2, 3, 4, 5):
        after = corrupt(some, "stroke", severity, rng())
        thinner = after.sum(axis=(1, 2)) < some.sum(axis=(1, 2))
        assert 0.4 < thinner.mean() < 0.6
        broken = [pieces(tile) > pieces(old) for tile, old in zip(after[thinner], some[thinner], strict=True)]
        assert np.mean(broken) < 0.12  # those with a faint place
        widths = np.array([stroke_width(tile) for tile in after])
        assert widths[~thinner].mean() > last_thick + 0.3
        assert widths[thinner].mean() < last_thin - 0.1 or severity > 3  # no width below 1 is measured
        last_thin, last_thick = widths[thinner].mean(), widths[~thinner].mean()


# ---- How sharp and clean it is ----


@pytest.mark.parametrize("severity", [2, 3, 5])
def test_blur_spreads_a_dot_by_its_standard_deviation(severity):
    dot = corrupt(copies(block(2, 2), 1), "blur", severity, rng())
    variance = spreads(dot)[0] - spreads(copies(block(2, 2), 1))[0]
    np.testing.assert_allclose(np.diag(variance), amount("blur", severity) ** 2, rtol=0.12)
    assert abs(variance[0, 1]) < 0.05


@pytest.mark.parametrize("severity", [2, 3, 5])
def test_motion_draws_a_dot_out_to_a_line_of_that_length_in_all_directions(severity):
    dots = corrupt(copies(block(2, 2), 200), "motion", severity, rng())
    across, along = np.linalg.eigh(spreads(dots))[0].T - 0.25  # a block of 2 has a variance of a quarter
    np.testing.assert_allclose(np.sqrt(12 * along).mean(), amount("motion", severity), atol=0.7)
    assert across.max() < 0.4
    axes = np.linalg.eigh(spreads(dots))[1][:, :, 1]
    turned = np.histogram(np.arctan2(axes[:, 1], axes[:, 0]) % np.pi, bins=4, range=(0, np.pi))[0]
    assert turned.min() > 25  # of 50
    np.testing.assert_allclose(dots.sum(axis=(1, 2)), 4 * 255, rtol=0.1)


def test_impulse_turns_its_share_of_the_pixels_black_or_white():
    struck = corrupt(copies(flat(100), 100), "impulse", 3, rng())
    assert set(np.unique(struck)) == {0, 100, 255}
    assert (struck != 100).mean() == pytest.approx(amount("impulse", 3), rel=0.03)
    assert (struck == 0).sum() == pytest.approx((struck == 255).sum(), rel=0.05)


def test_shot_noise_grows_with_the_light_and_leaves_the_mean():
    noise = amount("shot", 1)
    for level in (60, 120, 180):
        found = corrupt(copies(flat(level), 50), "shot", 1, rng()).astype(float)
        assert found.mean() == pytest.approx(level, abs=1)
        assert found.std() / 255 == pytest.approx(noise * np.sqrt(level / 255 + 0.1), rel=0.03)


def test_jpeg_is_what_a_file_of_that_quality_says(tiles):
    found = corrupt(tiles[::100], "jpeg", 3, rng())
    for tile, read in zip(tiles[::100], found, strict=True):
        file = io.BytesIO()
        Image.fromarray(tile).save(file, "JPEG", quality=round(100 - amount("jpeg", 3)))
        assert np.abs(np.asarray(Image.open(file)).astype(int) - read).max() <= 2


# ---- The light ----


def test_background_is_a_constant_under_the_ink(tiles):
    raised = corrupt(tiles[::50], "background", 3, rng())
    np.testing.assert_array_equal(raised, np.minimum(tiles[::50].astype(int) + 105, 255))
    assert raised.min() == 105


@pytest.mark.parametrize("severity", [1, 3, 5])
def test_fog_takes_contrast_and_varies_slowly_over_the_tile(severity):
    density = amount("fog", severity)
    black, white = (corrupt(copies(flat(level), 100), "fog", severity, rng()).astype(int) for level in (0, 255))
    np.testing.assert_allclose(white - black, 255 / (1 + density), atol=1)
    brightest = 255 * density / (1 + density)
    np.testing.assert_allclose(black.max(axis=(1, 2)), brightest, atol=1)
    assert black.min(axis=(1, 2)).max() == 0
    step = np.abs(np.diff(black, axis=2)).mean()
    far = np.abs(black[:, :, 14:] - black[:, :, :14]).mean()
    assert step < far / 3
    assert np.abs(black[:-1] - black[1:]).mean() > brightest / 10  # each tile has a cloud of its own


def test_contrast_shrinks_about_the_mean(tiles):
    some = tiles[::50]
    flattened = corrupt(some, "contrast", 3, rng())
    np.testing.assert_allclose(flattened.mean(axis=(1, 2)), some.mean(axis=(1, 2)), atol=0.5)
    left = np.ptp(flattened, axis=(1, 2)) / np.ptp(some, axis=(1, 2)).astype(float)
    np.testing.assert_allclose(left, 1 - amount("contrast", 3), atol=0.01)


def test_inversion_is_exact_at_every_severity(tiles):
    for severity in (0.1, 1, 3, 5):
        np.testing.assert_array_equal(corrupt(tiles[::50], "inversion", severity, rng()), 255 - tiles[::50])


# ---- What lies over it ----


def test_occlusion_hides_a_square_of_ink(tiles):
    some = tiles[::10]
    side, hidden = amount("occlusion", 3), []
    found = corrupt(some, "occlusion", 3, rng())
    for before, after in zip(some, found, strict=True):
        y, x = np.nonzero(before != after)
        assert len(y)
        assert np.ptp(y) < side
        assert np.ptp(x) < side
        hidden.append(np.unique(after[y, x]))
    assert all(len(levels) == 1 for levels in hidden)
    black = np.mean([levels[0] == 0 for levels in hidden])
    assert 0.4 < black < 0.6
    square = corrupt(copies(flat(255), 200), "occlusion", 3, rng()) < 255
    inside = square[:, 5:-5, 5:-5].any(axis=(1, 2))
    assert np.median(square[inside].sum(axis=(1, 2))) == side**2


@pytest.mark.parametrize(("severity", "lines"), [(1, 1), (2, 2), (3, 2), (5, 4)])
def test_lines_run_straight_across_the_tile_over_what_is_there(tiles, severity, lines):
    struck = corrupt(copies(flat(0), 300), "lines", severity, rng())
    parts = CORRUPTIONS["lines"].amounts[severity] / lines
    # A line of width w that passes up to 8 px from the middle covers about 28 w pixels of the tile.
    assert struck.sum(axis=(1, 2)).mean() / 255 == pytest.approx(28 * parts * lines, rel=0.15)
    if lines == 1:
        across = np.sqrt(np.linalg.eigh(spreads(struck))[0][:, 0])
        assert across.max() < 1
    some = tiles[::50]
    over = corrupt(some, "lines", severity, rng())
    assert (over >= some).all()
    np.testing.assert_array_equal(over, np.maximum(some, corrupt(np.zeros_like(some), "lines", severity, rng())))
