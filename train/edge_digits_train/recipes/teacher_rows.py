"""One of the two networks that teach `base`: it learns from rows alone."""

import keras

from edge_digits_train import unpadded
from edge_digits_train.augment import Augmentation
from edge_digits_train.recipe import Recipe


def network() -> list[keras.Layer]:
    """82,786 parameters."""
    return unpadded.network([24, 24, 48, 48, 96], dropout=0.1, last_dropout=0.3)


def averaged_adamw(steps: int) -> keras.optimizers.Optimizer:
    """Half a cosine after a short warm-up, with a running mean of the weights."""
    return unpadded.averaged_adamw(steps, rate=2e-3, weight_decay=1e-2)


RECIPE = Recipe(
    name="teacher-rows",
    summary="teaches `base`, after learning from rows alone",
    network=network,
    optimizer=averaged_adamw,
    batch=96,
    passes=80,
    augmentation=Augmentation(rotation=10, shear=0.1, zoom=0.1, shift=0.06, elastic=0.8, stroke=0.25, flags=0.35),
    keep="last",
)
