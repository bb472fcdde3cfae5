from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("keras", reason="training is not installed: pip install 'edge-digits[train]'")
pytest.importorskip("tensorflow", reason="training is not installed: pip install 'edge-digits[train]'")

import cv2
import keras

from edge_digits_train.deskew import Deskew
from edge_digits_train.networks import build_network


def deskewed(tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.asarray(Deskew()(tiles.astype(np.float32) / 255))


def slants(tiles: NDArray[np.floating]) -> NDArray[np.float64]:
    """Pixels to the right for each row down, by OpenCV's moments."""
    found = [cv2.moments(tile.astype(np.float32)) for tile in tiles]
    return np.array([m["mu11"] / m["mu02"] for m in found])


def test_digits_lean_no_longer(tiles):
    before, after = slants(tiles[::10]), slants(deskewed(tiles[::10]))
    assert np.abs(before).mean() > 0.2
    assert np.abs(after).mean() < 0.02


def test_rows_are_moved_as_opencv_moves_them(tiles):
    for tile, found in zip(tiles[::200], deskewed(tiles[::200]), strict=True):
        m = cv2.moments(tile)
        slant, middle = m["mu11"] / m["mu02"], m["m01"] / m["m00"]
        matrix = np.array([[1, slant, -slant * middle], [0, 1, 0]], np.float32)
        expected = cv2.warpAffine(
            tile.astype(np.float32) / 255, matrix, (28, 28), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        )
        np.testing.assert_allclose(found, expected, atol=0.04)  # OpenCV interpolates in steps of 1/32


def test_ink_and_its_centre_stay(tiles):
    before, after = tiles[::20] / 255, deskewed(tiles[::20])
    places = np.arange(28)
    for axis in (1, 2):
        centres = [(t.sum(axis=3 - axis) * places).sum(axis=1) / t.sum(axis=(1, 2)) for t in (before, after)]
        np.testing.assert_allclose(*centres, atol=0.2)  # one wide 4 loses a corner at the edge
    np.testing.assert_allclose(before.sum(axis=(1, 2)), after.sum(axis=(1, 2)), rtol=0.02)


@pytest.mark.parametrize("value", [0, 255])
def test_tiles_without_a_shape_stay_as_they_are(value):
    found = deskewed(np.full((2, 28, 28), value, np.uint8))
    np.testing.assert_allclose(found, value / 255, atol=1e-3)


def test_layer_is_saved_and_loaded_with_its_network(tmp_path, tiles):
    network = build_network("mine", [keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")], deskew=True)
    network.save(tmp_path / "mine.keras")
    loaded = keras.models.load_model(tmp_path / "mine.keras")
    np.testing.assert_array_equal(loaded.predict(tiles[:5], verbose=0), network.predict(tiles[:5], verbose=0))
