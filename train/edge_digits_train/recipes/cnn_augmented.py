"""Two blocks of convolutions and two wide dense layers, on strongly varied tiles."""

import keras
from keras import layers

from edge_digits_train.augment import Augmentation
from edge_digits_train.recipe import Plateau, Recipe


def network() -> list[keras.Layer]:
    """1,716,202 parameters."""
    return [
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
    ]


def adadelta(_: int) -> keras.optimizers.Optimizer:
    """As Keras had it in 2019; its learning rate of .001 of today hardly moves."""
    return keras.optimizers.Adadelta(1.0)


RECIPE = Recipe(
    name="cnn-augmented",
    summary="six layers, 1.7 M parameters, strong augmentation",
    post="Kaggle 0.99700",
    network=network,
    optimizer=adadelta,
    batch=512,
    passes=128,  # a quarter of the post's 512: about an hour on two cores
    augmentation=Augmentation(rotation=12, shear=0.075, zoom=0.05, shift=0.075),
    plateau=Plateau(factor=0.5, patience=1 / 16, floor=1e-4),  # the post's 2 of 32 epochs
    notes=["The post's 32 epochs of n/32 batches of 512 are 512 passes over the rows."],
)
