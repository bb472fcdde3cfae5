"""Two 5 × 5 convolutions without an activation, heavy dropout."""

import keras
from keras import layers

from edge_digits_train.data import Split
from edge_digits_train.recipe import Recipe


def network() -> list[keras.Layer]:
    """454,922 parameters."""
    return [
        layers.Conv2D(32, 5, padding="same", name="conv1"),
        layers.MaxPooling2D(2, name="pool1"),
        layers.Dropout(0.4, name="dropout1"),
        layers.Conv2D(64, 5, padding="same", name="conv2"),
        layers.MaxPooling2D(2, name="pool2"),
        layers.Dropout(0.4, name="dropout2"),
        layers.Flatten(name="flatten"),
        layers.Dense(128, activation="relu", name="dense1"),
        layers.Dropout(0.4, name="dropout3"),
        layers.Dense(10, activation="softmax", name="probabilities"),
    ]


def adam(_: int) -> keras.optimizers.Optimizer:
    """Keras' own learning rate, .001."""
    return keras.optimizers.Adam()


RECIPE = Recipe(
    name="cnn-5x5",
    summary="two 5 × 5 convolutions and a dense layer",
    post="validation 0.9881",
    network=network,
    optimizer=adam,
    batch=32,
    passes=20,
    split=Split(validation=0.25, seed=2),
    notes=["The post's convolutions have no activation, by oversight as it seems: kept as it ran."],
)
