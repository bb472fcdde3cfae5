"""The smallest of the convolutional networks: one layer of 16."""

import keras
from keras import layers

from edge_digits_train.recipe import Recipe


def network() -> list[keras.Layer]:
    """27,210 parameters."""
    return [
        layers.Conv2D(16, 3, activation="relu", name="conv1"),
        layers.MaxPooling2D(2, name="pool1"),
        layers.Flatten(name="flatten"),
        layers.Dense(10, activation="softmax", name="probabilities"),
    ]


def adam(_: int) -> keras.optimizers.Optimizer:
    """Keras' own learning rate, .001."""
    return keras.optimizers.Adam()


RECIPE = Recipe(
    name="cnn-16",
    summary="one convolution of 16",
    post="MNIST test 0.9819",
    network=network,
    optimizer=adam,
    batch=64,
    passes=10,
    notes=["The post names neither batch nor epochs: 64 and 10 were chosen."],
)
