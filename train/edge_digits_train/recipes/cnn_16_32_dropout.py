"""Two pairs of 3 × 3 convolutions and a dense layer, with dropout."""

import keras
from keras import layers

from edge_digits_train.recipe import Recipe


def network() -> list[keras.Layer]:
    """83,322 parameters."""
    return [
        layers.Conv2D(16, 3, activation="relu", name="conv1"),
        layers.Conv2D(16, 3, activation="relu", name="conv2"),
        layers.MaxPooling2D(2, name="pool1"),
        layers.Dropout(0.25, name="dropout1"),
        layers.Conv2D(32, 3, activation="relu", name="conv3"),
        layers.Conv2D(32, 3, activation="relu", name="conv4"),
        layers.MaxPooling2D(2, name="pool2"),
        layers.Dropout(0.25, name="dropout2"),
        layers.Flatten(name="flatten"),
        layers.Dense(128, activation="relu", name="dense1"),
        layers.Dropout(0.25, name="dropout3"),
        layers.Dense(10, activation="softmax", name="probabilities"),
    ]


def adam(_: int) -> keras.optimizers.Optimizer:
    """Keras' own learning rate, .001."""
    return keras.optimizers.Adam()


RECIPE = Recipe(
    name="cnn-16-32-dropout",
    summary="cnn-16-32 with dropout",
    post="MNIST test 0.9959",
    network=network,
    optimizer=adam,
    batch=64,
    passes=30,  # with dropout it goes on learning for longer
    notes=[
        "The post names neither batch nor epochs: 64 and 30 were chosen.",
        "It uses Dropout before importing it; the network is the one that was meant.",
    ],
)
