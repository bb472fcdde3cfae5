"""For the smallest of devices: 13 kB in int8, taught by the network of `teacher`, 14 times its size."""

import keras

from edge_digits_train import unpadded
from edge_digits_train.augment import Augmentation
from edge_digits_train.recipe import Recipe
from edge_digits_train.teaching import Teaching


def network() -> list[keras.Layer]:
    """7,278 parameters. No dropout: it is too small."""
    return unpadded.network([8, 10, 14, 16, 16])


def averaged_adamw(steps: int) -> keras.optimizers.Optimizer:
    """Half a cosine after a short warm-up, with a running mean of the weights."""
    return unpadded.averaged_adamw(steps, rate=3e-3, weight_decay=5e-3)


RECIPE = Recipe(
    name="nano",
    summary="what the bundled model `digits-nano` is made by",
    network=network,
    optimizer=averaged_adamw,
    batch=96,
    passes=160,  # with pictures beside the rows it reads 0.07 points less of the rows held out
    keep="last",
    augmentation=Augmentation(rotation=9, shear=0.08, zoom=0.08, shift=0.06),  # a small network has no room for more
    teaching=Teaching(recipe="teacher", networks=1, temperature=3.0, share=0.9, variations=40),
)
