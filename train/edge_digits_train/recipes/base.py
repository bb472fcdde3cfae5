"""What the bundled model `digits` is made by: the network of `teacher`, which learns on from more that is no digit."""

import keras

from edge_digits_train import unpadded
from edge_digits_train.augment import Augmentation
from edge_digits_train.picture_tiles import Pictures
from edge_digits_train.recipe import Recipe


def network() -> list[keras.Layer]:
    """106,394 parameters, and 385 for the digit score."""
    return unpadded.network([16, 32, 48, 64, 96], dropout=0.1, last_dropout=0.3)


def averaged_adamw(steps: int) -> keras.optimizers.Optimizer:
    """Half the learning rate of `teacher`: most is learnt."""
    return unpadded.averaged_adamw(steps, rate=1e-3, weight_decay=1e-2)


RECIPE = Recipe(
    name="base",
    summary="what the bundled model `digits` is made by",
    start="teacher",
    network=network,
    optimizer=averaged_adamw,
    batch=96,
    passes=20,  # 20 minutes on two cores, after the hour of `teacher`
    augmentation=Augmentation(rotation=10, shear=0.1, zoom=0.1, shift=0.06, elastic=0.8, stroke=0.25, flags=0.35),
    pictures=Pictures(drawn=0.4, digits=0.5, others=0.5, spoiled=0.12),
    keep="last",
)
