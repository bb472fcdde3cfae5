"""Five batch-normalised 3 × 3 convolutions without padding (after arXiv:2008.10400, but small), and a digit score."""

import keras
from keras import layers

from edge_digits_train.augment import Augmentation
from edge_digits_train.picture_tiles import Pictures
from edge_digits_train.recipe import Recipe


def network() -> list[keras.Layer]:
    """106,394 parameters, and 385 for the digit score."""
    body: list[keras.Layer] = []
    for i, width in enumerate([16, 32, 48, 64, 96], start=1):
        body += [
            layers.Conv2D(width, 3, use_bias=False, name=f"conv{i}"),
            # Keras' own momentum of .99 needs thousands of steps to forget its start.
            layers.BatchNormalization(momentum=0.9, name=f"norm{i}"),
            layers.ReLU(name=f"relu{i}"),
        ]
        if i in {2, 4}:
            body += [layers.MaxPooling2D(2, name=f"pool{i // 2}"), layers.Dropout(0.1, name=f"dropout{i // 2}")]
    return [
        *body,
        layers.Flatten(name="flatten"),
        layers.Dropout(0.3, name="dropout3"),
        layers.Dense(10, activation="softmax", name="probabilities"),
    ]


def averaged_adamw(steps: int) -> keras.optimizers.Optimizer:
    """Half a cosine after a short warm-up, with a running mean of the weights."""
    warm_up = min(500, steps // 10)
    rate = keras.optimizers.schedules.CosineDecay(
        1e-5, decay_steps=steps - warm_up, alpha=0.0, warmup_target=2e-3, warmup_steps=warm_up
    )
    # The network of each pass is the mean over its last 500 steps or so, and the next pass goes on from there: steadier
    # than any one step. A training of few steps must not be held back by where it began.
    momentum = min(0.998, max(0.0, 1 - 10 / steps))
    return keras.optimizers.AdamW(rate, weight_decay=1e-2, use_ema=True, ema_momentum=momentum)


RECIPE = Recipe(
    name="base",
    summary="what the bundled model `digits` is made by",
    network=network,
    optimizer=averaged_adamw,
    batch=96,
    passes=64,  # three quarters of an hour on two cores
    augmentation=Augmentation(rotation=10, shear=0.1, zoom=0.1, shift=0.06, elastic=0.8, stroke=0.25, flags=0.35),
    pictures=Pictures(drawn=0.4, digits=0.5, others=0.35, spoiled=0.12),
    keep="last",
)
