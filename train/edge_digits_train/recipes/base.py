"""Four batch-normalised 3 × 3 convolutions without padding on a tile of half the side, and a digit score."""

import keras

from edge_digits_train import unpadded
from edge_digits_train.augment import Augmentation
from edge_digits_train.picture_tiles import Pictures
from edge_digits_train.recipe import Recipe


def network() -> list[keras.Layer]:
    """110,282 parameters, and 385 for the digit score."""
    return unpadded.halved_network([48, 48, 64, 96], dropout=0.1, last_dropout=0.3)


def averaged_adamw(steps: int) -> keras.optimizers.Optimizer:
    """Half a cosine after a short warm-up, with a running mean of the weights."""
    return unpadded.averaged_adamw(steps, rate=2e-3, weight_decay=1e-2)


RECIPE = Recipe(
    name="base",
    summary="what the bundled model `digits` is made by",
    network=network,
    optimizer=averaged_adamw,
    batch=96,
    passes=64,  # an hour on two cores
    augmentation=Augmentation(rotation=10, shear=0.1, zoom=0.1, shift=0.06, elastic=0.8, stroke=0.25, flags=0.35),
    pictures=Pictures(drawn=0.4, digits=0.5, others=0.5, spoiled=0.12),
    keep="last",
)
