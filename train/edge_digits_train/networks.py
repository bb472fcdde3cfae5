"""A recipe's layers → a network on raw tiles, and what it costs to run."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
from keras import layers

from edge_digits.errors import UsageError
from edge_digits_train.deskew import Deskew


def build_network(name: str, body: Sequence[keras.Layer], deskew: bool = False) -> keras.Model:
    """The network (n, 28, 28) uint8 → (n, 10) probabilities: scaling to 0…1, then `body`, upright first if asked.

    Raises UsageError where the layers do not fit together or give anything but ten probabilities.
    """
    tiles = keras.Input((28, 28), name="tiles", dtype="uint8")
    x = layers.Rescaling(1 / 255, name="scale")(tiles)
    if deskew:
        x = Deskew(name="deskew")(x)
    x = layers.Reshape((28, 28, 1), name="image")(x)
    for layer in body:
        try:
            x = layer(x)
        except ValueError as error:
            reason = str(error).splitlines()[0]
            raise UsageError(f"recipe {name}: layer {layer.name!r} does not fit: {reason}") from error
    if tuple(x.shape) != (None, 10):
        raise UsageError(f"recipe {name}: the last layer gives {tuple(x.shape)}; ten probabilities are (None, 10)")
    return keras.Model(tiles, x, name=name)


def count_multiply_adds(network: keras.Model) -> int:
    """Multiply-adds of one tile, in the convolutions and dense layers; what else there is counts for nothing."""
    total = 0
    for layer in network._flatten_layers(include_self=False):
        if isinstance(layer, layers.Dense):
            total += math.prod(layer.kernel.shape)
        elif isinstance(layer, layers.SeparableConv2D):
            kernels = (layer.depthwise_kernel, layer.pointwise_kernel)
            total += _positions(layer) * sum(math.prod(kernel.shape) for kernel in kernels)
        elif isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D):
            total += _positions(layer) * math.prod(layer.kernel.shape)
    return total


def _positions(layer: keras.Layer) -> int:
    """Places in the picture where a convolution's kernel is applied."""
    _, *shape = layer.output.shape
    place = shape[:2] if layer.data_format == "channels_last" else shape[1:]
    return math.prod(place)
