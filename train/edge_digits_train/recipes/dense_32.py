"""One hidden layer of 32."""

import keras
from keras import layers

from edge_digits_train.data import Split
from edge_digits_train.recipe import Recipe


def network() -> list[keras.Layer]:
    """25,450 parameters."""
    return [
        layers.Flatten(name="flatten"),
        layers.Dense(32, activation="relu", name="dense1"),
        layers.Dense(10, activation="softmax", name="probabilities"),
    ]


def rmsprop(_: int) -> keras.optimizers.Optimizer:
    """Keras' own learning rate, .001."""
    return keras.optimizers.RMSprop()


RECIPE = Recipe(
    name="dense-32",
    summary="one hidden layer of 32; overfits after ten passes or so, hence --refit",
    post="Kaggle 0.96257",
    network=network,
    optimizer=rmsprop,
    batch=64,
    passes=25,
    split=Split(validation=0.05, how="last"),
    notes=["The post saw overfitting from epoch 8 to 10 on and refitted on all rows for 10 epochs: --refit does that."],
)
