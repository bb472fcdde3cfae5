"""Learning from the answers of larger networks beside the labels: distillation (Hinton and others, 2015).

arXiv:1503.02531
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from edge_digits.errors import InputError
from edge_digits.outputs import open_output
from edge_digits_train.networks import PROBABILITIES, load_network

_LEAST = 1e-30
"""Of a probability whose logarithm is taken: far below what float32 answers differ in."""
_AT_ONCE = 1024
"""Tiles that the teachers answer in a go."""


@dataclass(frozen=True, kw_only=True)
class Teaching:
    """How a recipe's network is taught."""

    recipe: str
    """Of the teachers: one of the project's by name, one of your own by its path."""
    networks: int
    """Teachers, with seeds from 0 on; the logarithms of their probabilities are averaged."""
    temperature: float
    """Softens both answers before they are compared, so that the digits that a tile is not count, too."""
    share: float
    """Of the loss that comes from the teachers' answers; the rest comes from the labels."""
    variations: int
    """Of each row: the passes go through them in turn, so that the teachers are asked no more often than that."""


@keras.saving.register_keras_serializable("edge_digits")
class TeachingLoss(keras.losses.Loss):  # type: ignore[misc]
    """Cross-entropy with the labels, and with the teachers' answers at a temperature.

    Targets are (n, 11): the label, and the mean logarithms of the teachers' probabilities; answers (n, 10)
    probabilities. The teachers' part is multiplied by the temperature's square, as its gradients shrink with it.
    """

    def __init__(self, temperature: float, share: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.temperature, self.share = temperature, share

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """(n,)"""
        taught = ops.softmax(y_true[:, 1:] / self.temperature)
        said = ops.log_softmax(_log(y_pred) / self.temperature)
        soft = -ops.sum(taught * said, axis=-1) * self.temperature**2
        return self.share * soft + (1 - self.share) * label_loss(y_true, y_pred)

    def get_config(self) -> dict[str, Any]:
        """What makes the same one again."""
        return {**super().get_config(), "temperature": self.temperature, "share": self.share}


@keras.saving.register_keras_serializable("edge_digits")  # type: ignore[untyped-decorator]
def label_loss(y_true: Any, y_pred: Any) -> Any:
    """Cross-entropy with the labels alone, (n,): comparable with that of a network without teachers."""
    return -ops.sum(ops.one_hot(ops.cast(y_true[:, 0], "int32"), 10) * _log(y_pred), axis=-1)


@keras.saving.register_keras_serializable("edge_digits")  # type: ignore[untyped-decorator]
def label_accuracy(y_true: Any, y_pred: Any) -> Any:
    """1 where the likeliest digit is the label, (n,)."""
    return ops.cast(ops.argmax(y_pred, axis=-1) == ops.cast(y_true[:, 0], "int32"), "float32")


def _log(probabilities: Any) -> Any:
    return ops.log(ops.clip(probabilities, _LEAST, 1.0))


class Teachers:
    """Finished networks, and a folder that keeps what they answered."""

    def __init__(self, networks: Sequence[Path], kept: Path) -> None:
        """`networks`: their .keras files. `kept`: the folder; made with the first answers."""
        self._paths, self._kept = networks, kept

    def answer(self, tiles: NDArray[np.uint8], progress: Callable[[int, int], None]) -> NDArray[np.float16]:
        """The mean logarithms of the teachers' probabilities, (n, 10), for `tiles`, (n, 28, 28).

        They are kept under a hash of networks and tiles, so that nobody is asked the same twice. `progress` is told how
        many of the tiles are answered, and of how many. Raises InputError where a network cannot be loaded, OutputError
        where the folder takes no more.
        """
        about = hashlib.blake2b(self._about + np.ascontiguousarray(tiles).data, digest_size=16).hexdigest()
        path = self._kept / f"{about}.npy"
        if path.exists():
            return _load(path, len(tiles))
        answers = np.empty((len(tiles), 10), np.float16)
        for start in range(0, len(tiles), _AT_ONCE):
            some = tiles[start : start + _AT_ONCE]
            said = [np.log(np.maximum(_probabilities(network, some), _LEAST)) for network in self._networks]
            answers[start : start + len(some)] = np.mean(said, axis=0)
            progress(start + len(some), len(tiles))
        self._kept.mkdir(exist_ok=True)
        with open_output(str(path), force=True, binary=True) as out:
            np.save(out, answers)
        return answers

    @cached_property
    def _about(self) -> bytes:
        return b"".join(hashlib.blake2b(path.read_bytes()).digest() for path in self._paths)

    @cached_property
    def _networks(self) -> list[keras.Model]:
        return [load_network(path, training=False) for path in self._paths]


def _probabilities(network: keras.Model, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
    said = network.predict_on_batch(tiles)
    return np.asarray(said[PROBABILITIES] if isinstance(said, dict) else said, np.float32)


def _load(path: Path, n: int) -> NDArray[np.float16]:
    try:
        answers = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(str(path), "is damaged: delete it, and it is made again") from error
    if answers.shape != (n, 10) or answers.dtype != np.float16:
        raise InputError(str(path), "is damaged: delete it, and it is made again")
    return np.asarray(answers)
