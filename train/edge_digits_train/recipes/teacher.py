"""The teacher of `nano` and `micro`: five 3 × 3 convolutions without padding (after arXiv:2008.10400, but small)."""

import keras

from edge_digits_train import unpadded
from edge_digits_train.augment import Augmentation
from edge_digits_train.picture_tiles import Pictures
from edge_digits_train.recipe import Recipe


def network() -> list[keras.Layer]:
    """106,394 parameters, and 385 for the digit score."""
    return unpadded.network([16, 32, 48, 64, 96], dropout=0.1, last_dropout=0.3)


def averaged_adamw(steps: int) -> keras.optimizers.Optimizer:
    """Half a cosine after a short warm-up, with a running mean of the weights."""
    return unpadded.averaged_adamw(steps, rate=2e-3, weight_decay=1e-2)


RECIPE = Recipe(
    name="teacher",
    summary="what `nano` and `micro` are taught by",
    network=network,
    optimizer=averaged_adamw,
    batch=96,
    passes=64,  # more than an hour on two cores
    augmentation=Augmentation(rotation=10, shear=0.1, zoom=0.1, shift=0.06, elastic=0.8, stroke=0.25, flags=0.35),
    pictures=Pictures(drawn=0.4, digits=0.5, others=0.35, spoiled=0.12),
    keep="last",
)
