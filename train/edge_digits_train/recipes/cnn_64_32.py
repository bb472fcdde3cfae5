"""Two 3 × 3 convolutions, varied tiles, a falling learning rate and early stopping."""

import keras
from keras import layers

from edge_digits_train.augment import Augmentation
from edge_digits_train.recipe import EarlyStopping, Plateau, Recipe


def network() -> list[keras.Layer]:
    """65,194 parameters."""
    return [
        layers.Conv2D(64, 3, activation="relu", name="conv1"),
        layers.Conv2D(32, 3, activation="relu", name="conv2"),
        layers.MaxPooling2D(2, name="pool1"),
        layers.Flatten(name="flatten"),
        layers.Dense(10, activation="softmax", name="probabilities"),
    ]


def rmsprop(_: int) -> keras.optimizers.Optimizer:
    """Keras' own learning rate, .001."""
    return keras.optimizers.RMSprop()


RECIPE = Recipe(
    name="cnn-64-32",
    summary="two convolutions, augmentation, plateau and early stopping",
    post="validation 0.9871",
    network=network,
    optimizer=rmsprop,
    batch=32,
    passes=100,  # at most: early stopping ends it sooner
    augmentation=Augmentation(
        rotation=10,
        shear=0.1 * 3.14159 / 180,  # Keras took the post's .1 for degrees
        zoom=0.1,
        shift=0.1,
        fill="nearest",  # that Keras' default: strokes at the edge are drawn out
    ),
    plateau=Plateau(factor=0.1, patience=3 / 100, floor=1e-5),
    early_stopping=EarlyStopping(patience=10 / 100),
)
