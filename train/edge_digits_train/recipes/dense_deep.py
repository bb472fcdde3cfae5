"""Seven dense layers, 12.6 million parameters, on a tenth of the rows."""

import keras
from keras import layers

from edge_digits_train.data import Split
from edge_digits_train.recipe import Recipe


def network() -> list[keras.Layer]:
    """12,587,950 parameters."""
    return [
        layers.Flatten(name="flatten"),
        layers.Dense(784, activation="relu", name="dense1"),
        layers.Dense(2500, activation="relu", name="dense2"),
        layers.Dense(2000, activation="relu", name="dense3"),
        layers.Dense(1500, activation="relu", name="dense4"),
        layers.Dense(1000, activation="relu", name="dense5"),
        layers.Dense(500, activation="relu", name="dense6"),
        layers.Dense(10, activation="softmax", name="probabilities"),
    ]


def adam(_: int) -> keras.optimizers.Optimizer:
    """Keras' own learning rate, .001."""
    return keras.optimizers.Adam()


RECIPE = Recipe(
    name="dense-deep",
    summary="seven dense layers on a tenth of the rows",
    post="validation 0.9295",
    network=network,
    optimizer=adam,
    batch=32,
    passes=5,
    split=Split(validation=0.25, seed=2, sample=0.1, sample_seed=5),
    notes=["The post does not say how its validation rows were drawn: here as in `logistic`, by the same author."],
)
