"""What the recipes of the bundled models share: small networks without padding, and how their weights are learnt."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers


def network(widths: Sequence[int], dropout: float = 0.0, last_dropout: float = 0.0) -> list[keras.Layer]:
    """Five batch-normalised 3 × 3 convolutions of these widths, pooled after the second and the fourth, and a softmax.

    After arXiv:2008.10400, but small. `dropout` is that behind each pooling, `last_dropout` that before the softmax.
    """
    body: list[keras.Layer] = []
    for i, width in enumerate(widths, start=1):
        body += [
            layers.Conv2D(width, 3, use_bias=False, name=f"conv{i}"),
            # Keras' own momentum of .99 needs thousands of steps to forget its start.
            layers.BatchNormalization(momentum=0.9, name=f"norm{i}"),
            layers.ReLU(name=f"relu{i}"),
        ]
        if i in {2, 4}:
            body += [layers.MaxPooling2D(2, name=f"pool{i // 2}"), *_dropout(dropout, i // 2)]
    body += [layers.Flatten(name="flatten"), *_dropout(last_dropout, 3)]
    return [*body, layers.Dense(10, activation="softmax", name="probabilities")]


def _dropout(share: float, number: int) -> list[keras.Layer]:
    return [layers.Dropout(share, name=f"dropout{number}")] if share else []


def averaged_adamw(steps: int, rate: float, weight_decay: float) -> keras.optimizers.Optimizer:
    """AdamW, its learning rate half a cosine from `rate` on after a short warm-up, with a running mean of the weights.

    The network of each pass is the mean over its last 500 steps or so, and the next pass goes on from there: steadier
    than any one step. A training of few steps must not be held back by where it began.
    """
    warm_up = min(500, steps // 10)
    cosine = keras.optimizers.schedules.CosineDecay(
        1e-5, decay_steps=steps - warm_up, alpha=0.0, warmup_target=rate, warmup_steps=warm_up
    )
    momentum = min(0.998, max(0.0, 1 - 10 / steps))
    return keras.optimizers.AdamW(cosine, weight_decay=weight_decay, use_ema=True, ema_momentum=momentum)
