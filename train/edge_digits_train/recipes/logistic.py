"""Multinomial logistic regression: one dense layer on the pixels."""

import keras
from keras import layers

from edge_digits_train.data import Split
from edge_digits_train.recipe import Recipe


def network() -> list[keras.Layer]:
    """7,850 parameters."""
    return [layers.Flatten(name="flatten"), layers.Dense(10, activation="softmax", name="probabilities")]


def adam(_: int) -> keras.optimizers.Optimizer:
    """Ten times Keras' learning rate: a convex loss bears it."""
    return keras.optimizers.Adam(1e-2)


RECIPE = Recipe(
    name="logistic",
    summary="one dense layer on a tenth of the rows; try it with --deskew",
    post="validation 0.863",
    network=network,
    optimizer=adam,
    batch=64,
    passes=100,  # as many as the post's solver had iterations
    split=Split(validation=0.25, seed=2, sample=0.1, sample_seed=5),
    notes=["The post fits it with L-BFGS; here it is gradient descent, to run, resume and export like the rest."],
)
