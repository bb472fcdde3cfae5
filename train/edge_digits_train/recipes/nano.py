"""For the smallest of devices: 13 kB in int8, taught by the network of `base`, 14 times its size."""

import keras
from keras import layers

from edge_digits_train.augment import Augmentation
from edge_digits_train.recipe import Recipe
from edge_digits_train.teaching import Teaching


def network() -> list[keras.Layer]:
    """7,278 parameters. No dropout: it is too small."""
    body: list[keras.Layer] = []
    for i, width in enumerate([8, 10, 14, 16, 16], start=1):
        body += [
            layers.Conv2D(width, 3, use_bias=False, name=f"conv{i}"),
            # Keras' own momentum of .99 needs thousands of steps to forget its start.
            layers.BatchNormalization(momentum=0.9, name=f"norm{i}"),
            layers.ReLU(name=f"relu{i}"),
        ]
        if i in {2, 4}:
            body += [layers.MaxPooling2D(2, name=f"pool{i // 2}")]
    return [*body, layers.Flatten(name="flatten"), layers.Dense(10, activation="softmax", name="probabilities")]


def averaged_adamw(steps: int) -> keras.optimizers.Optimizer:
    """Half a cosine after a short warm-up, with a running mean of the weights."""
    warm_up = min(500, steps // 10)
    rate = keras.optimizers.schedules.CosineDecay(
        1e-5, decay_steps=steps - warm_up, alpha=0.0, warmup_target=3e-3, warmup_steps=warm_up
    )
    momentum = min(0.998, max(0.0, 1 - 10 / steps))
    return keras.optimizers.AdamW(rate, weight_decay=5e-3, use_ema=True, ema_momentum=momentum)


RECIPE = Recipe(
    name="nano",
    summary="what the bundled model `digits-nano` is made by",
    network=network,
    optimizer=averaged_adamw,
    batch=96,
    passes=60,  # with pictures beside the rows, 160 passes read 0.05 points less of the rows held out
    keep="last",
    augmentation=Augmentation(rotation=9, shear=0.08, zoom=0.08, shift=0.06),  # a small network has no room for more
    teaching=Teaching(recipe="base", networks=1, temperature=3.0, share=0.9, variations=40),
)
