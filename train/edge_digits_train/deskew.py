"""Slanted digits set upright inside the network, so that an exported model does it, too."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

_STEEPEST = 1.0  # pixels sideways for each row: 45 degrees; a tile without a shape to speak of must not be torn apart
_CENTRE = 13.5


@keras.saving.register_keras_serializable("edge_digits")
class Deskew(keras.Layer):  # type: ignore[misc]
    """Shears each tile, (n, 28, 28) of 0 to 1, until its ink no longer leans; the centre of its ink stays.

    The slant is the covariance of x and y of the ink over the variance of y (the moments of LeCun et al. 1998, section
    on "deslanting"). Each row is moved by linear interpolation, written as a product with a matrix for each row, so
    that any backend and any ONNX runtime can do it.
    """

    def call(self, tiles: Any) -> Any:
        """Tiles (n, 28, 28) → tiles (n, 28, 28)."""
        places = ops.convert_to_tensor(np.arange(28, dtype=np.float32) - _CENTRE)
        ink = ops.sum(tiles, axis=(1, 2), keepdims=True) + 1e-6  # an empty tile stays as it is
        x = ops.sum(tiles * ops.reshape(places, (1, 1, 28)), axis=(1, 2), keepdims=True) / ink
        y = ops.sum(tiles * ops.reshape(places, (1, 28, 1)), axis=(1, 2), keepdims=True) / ink
        across, down = ops.reshape(places, (1, 1, 28)) - x, ops.reshape(places, (1, 28, 1)) - y
        covariance = ops.sum(tiles * across * down, axis=(1, 2), keepdims=True) / ink
        variance = ops.sum(tiles * down * down, axis=(1, 2), keepdims=True) / ink
        slant = ops.clip(covariance / (variance + 1e-3), -_STEEPEST, _STEEPEST)
        moved = slant * down  # (n, 28, 1): how far to the right each row's ink comes from
        # (n, row, new column, old column): a hat one pixel wide at the place that the new column is taken from.
        target = ops.reshape(places, (1, 1, 28, 1)) + ops.expand_dims(moved, -1)
        weight = ops.relu(1.0 - ops.absolute(target - ops.reshape(places, (1, 1, 1, 28))))
        return ops.squeeze(ops.matmul(weight, ops.expand_dims(tiles, -1)), -1)

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """As the input."""
        return shape
