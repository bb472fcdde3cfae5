"""A recipe's layers → a network on raw tiles, and what it costs to run."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from edge_digits.classifier import Predictions
from edge_digits.errors import InputError, UsageError
from edge_digits_train.deskew import Deskew

PROBABILITIES, SCORE = "probabilities", "digit_score"
"""The outputs of a network that has both."""
_OURS = ("tiles", "scale", "deskew", "image", SCORE)
"""The layers that stand around those of a recipe."""


def build_network(name: str, body: Sequence[keras.Layer], deskew: bool = False, scored: bool = False) -> keras.Model:
    """The network (n, 28, 28) uint8 → (n, 10) probabilities: scaling to 0…1, then `body`, upright first if asked.

    Where it is to be `scored`, a second output is made of what the last layer takes: digit_score, (n, 1), 0 to 1. Then
    it gives a dict of both, by name.

    Raises UsageError where the layers do not fit together or give anything but ten numbers.
    """
    names = [*_OURS, *(layer.name for layer in {id(layer): layer for layer in body}.values())]
    if twice := [layer for layer in names if names.count(layer) > 1]:
        raise UsageError(f"recipe {name}: two layers are called {twice[0]!r}; {', '.join(_OURS)} are the network's own")
    tiles = keras.Input((28, 28), name="tiles", dtype="uint8")
    x = layers.Rescaling(1 / 255, name="scale")(tiles)
    if deskew:
        x = Deskew(name="deskew")(x)
    x = layers.Reshape((28, 28, 1), name="image")(x)
    features = x
    for layer in body:
        try:
            features, x = x, layer(x)
        except Exception as error:  # a person's own layer may raise anything
            raise UsageError(f"recipe {name}: layer {layer.name!r} does not fit: {first_sentence(error)}") from error
    if tuple(x.shape) != (None, 10):
        raise UsageError(f"recipe {name}: the last layer gives {tuple(x.shape)}; ten probabilities are (None, 10)")
    if not scored:
        return keras.Model(tiles, x, name=name)
    if len(features.shape) != 2:
        raise UsageError(f"recipe {name}: what its last layer takes is {tuple(features.shape)}, not (None, features)")
    score = layers.Dense(1, activation="sigmoid", name=SCORE)(features)
    return keras.Model(tiles, {PROBABILITIES: x, SCORE: score}, name=name)


def predict(network: keras.Model, tiles: NDArray[np.uint8]) -> Predictions:
    """What a network says of tiles, (n, 28, 28)."""
    said = network.predict(tiles, batch_size=512, verbose=0)
    if not isinstance(said, dict):
        return Predictions(np.asarray(said, np.float32), None)
    return Predictions(np.asarray(said[PROBABILITIES], np.float32), np.asarray(said[SCORE], np.float32)[:, 0])


def gives_probabilities(network: keras.Model, tiles: NDArray[np.uint8]) -> bool:
    """Whether what it says of tiles, (n, 28, 28), is 0 or more and sums to 1."""
    answers = predict(network, tiles).probabilities
    return bool((answers >= 0).all()) and np.allclose(answers.sum(axis=1), 1, atol=1e-3)


def load_network(path: Path, *, training: bool) -> keras.Model:
    """A .keras file; with its optimizer where it is for `training`. Raises InputError where it cannot be loaded."""
    try:
        with path.open("rb") as file:
            if not zipfile.is_zipfile(file):
                raise zipfile.BadZipFile
        network = keras.models.load_model(path, compile=training)
    except (FileNotFoundError, PermissionError) as error:
        raise InputError(str(path), f"cannot be read: {error.strerror}") from error
    except (OSError, zipfile.BadZipFile) as error:
        advice = ": delete it to begin this run anew" if training else ""
        raise InputError(str(path), f"is damaged{advice}") from error
    except Exception as error:  # a person's own layer may raise anything
        raise InputError(str(path), f"cannot be loaded: {first_sentence(error)}") from error
    return network


def first_sentence(error: BaseException) -> str:
    """Of what an error says, the innermost where Keras wrapped it; its kind where it says nothing."""
    said = str(error).rpartition("Exception encountered: ")[2].strip().splitlines()
    return said[0].partition(". ")[0] if said else type(error).__name__


def weight_shapes(network: keras.Model) -> list[tuple[int, ...]]:
    """Of all weights: networks in which they are alike can take each other's."""
    return [tuple(weight.shape) for weight in network.weights]


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
