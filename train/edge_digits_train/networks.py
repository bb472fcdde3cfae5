"""The networks, read top-down. Each takes raw tiles, (n, 28, 28) of 0 to 255, and gives (n, 10) probabilities."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers


def _network(name: str, body: Sequence[keras.Layer]) -> keras.Model:
    scaling = [layers.Rescaling(1 / 255, name="scale"), layers.Reshape((28, 28, 1), name="image")]
    tiles = keras.Input((28, 28), name="tiles", dtype="uint8")
    x = tiles
    for layer in [*scaling, *body]:
        x = layer(x)
    return keras.Model(tiles, x, name=name)


def cnn_augmented() -> keras.Model:
    """Two blocks of convolutions and two wide dense layers: 1,716,202 parameters."""
    return _network(
        "cnn-augmented",
        [
            layers.Conv2D(32, 5, activation="relu", name="conv1"),
            layers.Conv2D(32, 3, activation="relu", name="conv2"),
            layers.MaxPooling2D(2, name="pool1"),
            layers.Dropout(0.25, name="dropout1"),
            layers.Conv2D(64, 3, activation="relu", name="conv3"),
            layers.Conv2D(64, 3, activation="relu", name="conv4"),
            layers.MaxPooling2D(2, name="pool2"),
            layers.Dropout(0.25, name="dropout2"),
            layers.Flatten(name="flatten"),
            layers.Dense(1024, activation="relu", name="dense1"),
            layers.Dropout(0.5, name="dropout3"),
            layers.Dense(1024, activation="relu", name="dense2"),
            layers.Dropout(0.5, name="dropout4"),
            layers.Dense(10, activation="softmax", name="probabilities"),
        ],
    )


def base() -> keras.Model:
    """Five batch-normalised 3 × 3 convolutions without padding (arXiv:2008.10400, but small): 82,786 parameters."""
    widths = [24, 24, 48, 48, 96]
    pooled_after = {2, 4}
    body: list[keras.Layer] = []
    for i, width in enumerate(widths, start=1):
        body += [
            layers.Conv2D(width, 3, use_bias=False, name=f"conv{i}"),
            # Keras' own momentum of .99 needs thousands of steps to forget its start.
            layers.BatchNormalization(momentum=0.9, name=f"norm{i}"),
            layers.ReLU(name=f"relu{i}"),
        ]
        if i in pooled_after:
            body += [
                layers.MaxPooling2D(2, name=f"pool{i // 2}"),
                layers.Dropout(0.1, name=f"dropout{i // 2}"),
            ]
    body += [
        layers.Flatten(name="flatten"),
        layers.Dropout(0.3, name="dropout3"),
        layers.Dense(10, activation="softmax", name="probabilities"),
    ]
    return _network("base", body)
