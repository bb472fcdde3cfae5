"""The recipes: a network with its way of training, each number with its unit or reason."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras

from edge_digits.errors import UsageError
from edge_digits_train import networks
from edge_digits_train.augment import Augmentation


@dataclass(frozen=True)
class Plateau:
    """Multiplies the learning rate by `factor` when the validation loss has not fallen for `patience` of the passes."""

    factor: float
    patience: float
    """Share of all passes, so that a shorter training is no more and no less patient."""
    floor: float
    """The learning rate stops falling here."""

    def learning_rate(self, start: float, losses: Sequence[float], passes: int) -> float:
        """After passes with these validation losses. Derived from the history alone: there is no state to keep."""
        rate, best, waited = start, float("inf"), 0
        for loss in losses:
            if loss < best:
                best, waited = loss, 0
            else:
                waited += 1
            if waited >= max(1, round(self.patience * passes)):
                rate, waited = min(rate, max(self.floor, rate * self.factor)), 0
        return rate


@dataclass(frozen=True)
class Recipe:
    """One way to make a network."""

    name: str
    summary: str
    """One line: what it is, and where it comes from."""
    network: Callable[[], keras.Model]
    optimizer: Callable[[int], keras.optimizers.Optimizer]
    """From the number of steps in the whole training."""
    batch: int
    """Tiles in a step."""
    passes: int
    """Times that each row is seen, unless the caller says otherwise."""
    augmentation: Augmentation
    validation: float = 0.1
    """Share of the rows held out, each digit in its proportion."""
    split_seed: int = 27
    plateau: Plateau | None = None


def _adadelta(_: int) -> keras.optimizers.Optimizer:
    return keras.optimizers.Adadelta(1.0)  # as Keras had it in 2019; its .001 of today hardly moves


def _averaged_adamw(steps: int) -> keras.optimizers.Optimizer:
    warm_up = min(500, steps // 10)
    rate = keras.optimizers.schedules.CosineDecay(
        1e-5, decay_steps=steps - warm_up, alpha=0.0, warmup_target=2e-3, warmup_steps=warm_up
    )
    # The network of each pass is the mean over its last 500 steps or so, and the next pass goes on from there: steadier
    # than any one step. A training of few steps must not be held back by where it began.
    momentum = min(0.998, max(0.0, 1 - 10 / steps))
    return keras.optimizers.AdamW(rate, weight_decay=1e-2, use_ema=True, ema_momentum=momentum)


RECIPES = {
    recipe.name: recipe
    for recipe in [
        Recipe(
            name="cnn-augmented",
            summary="the first post's network: 1,716,202 parameters, Kaggle 0.99700 after 512 passes",
            network=networks.cnn_augmented,
            optimizer=_adadelta,
            batch=512,
            passes=128,  # a quarter of the post's 512: about an hour on two cores
            augmentation=Augmentation(rotation=12, shear=0.075, zoom=0.05, shift=0.075),
            plateau=Plateau(factor=0.5, patience=1 / 16, floor=1e-4),  # the post's 2 of 32 epochs
        ),
        Recipe(
            name="base",
            summary="82,786 parameters: the network that `digits` is published from",
            network=networks.base,
            optimizer=_averaged_adamw,
            batch=96,
            passes=80,  # about half an hour on two cores
            augmentation=Augmentation(
                rotation=10, shear=0.1, zoom=0.1, shift=0.06, elastic=0.8, stroke=0.25, flags=0.35
            ),
        ),
    ]
}


def find_recipe(name: str) -> Recipe:
    """The recipe of that name. Raises UsageError, with the nearest name, where there is none."""
    if name in RECIPES:
        return RECIPES[name]
    near = difflib.get_close_matches(name, RECIPES, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(RECIPES)}"
    raise UsageError(f"no recipe is called {name!r}: {hint}")
