"""Tiles → probabilities."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from edge_digits.batches import Batch, classify_batch
from edge_digits.engines import Engine, EngineName, start_engine
from edge_digits.errors import ModelError
from edge_digits.model_files import load_model_file
from edge_digits.onnx_file import first_line, metadata, plain

CONTRACT = "1"
_SUM_TOLERANCE = 1e-3  # of a probability: a softmax in 8 bits strays further, one in float32 by 1e-6
_BATCH_TOLERANCE = 0.01  # of a probability: in another batch a value in 8 bits may be rounded the other way


@dataclass(frozen=True, slots=True)
class Predictions:
    """What a model says of n tiles."""

    probabilities: NDArray[np.float32]
    """(n, 10), rows sum to 1."""
    digit_scores: NDArray[np.float32] | None
    """(n,), 0 to 1: is the tile a digit at all. None where the model does not tell."""

    @property
    def digits(self) -> NDArray[np.intp]:
        """(n,), 0 to 9: the likeliest."""
        return np.asarray(self.probabilities.argmax(axis=1))

    @property
    def confidences(self) -> NDArray[np.float32]:
        """(n,), the probabilities of `digits`."""
        return np.asarray(self.probabilities.max(axis=1, initial=0))


def temper(probabilities: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """Probabilities (n, 10) as they would be had their logits been divided by `temperature` (arXiv:1706.04599)."""
    if temperature == 1:
        return probabilities
    powers = probabilities.astype(np.float64) ** (1 / temperature)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)


class Classifier:
    """Classifies tiles with a bundled model (`digits`, `digits-fp32`, `digits-int8`) or an .onnx of the contract.

    `threads` is the number of cores that one call uses, where onnxruntime runs it; what `engine` may be says
    `engines`. Raises ModelError where the model is missing, damaged or not of the contract, LibraryError where the
    engine cannot be loaded. It can be shared between threads, and pickled.
    """

    def __init__(self, model: str | Path = "digits", *, threads: int = 1, engine: EngineName = "auto") -> None:
        if not isinstance(threads, int) or threads < 1:
            raise ValueError(f"threads must be 1 or more, not {threads}")
        if engine not in get_args(EngineName):
            raise ValueError(f"engine must be one of {', '.join(get_args(EngineName))}, not {engine!r}")
        self._arguments = (model, threads, engine)
        file = load_model_file(model)
        self.name = file.name
        self._engine = start_engine(file, engine, threads)
        self.metadata = metadata(file.message)
        """What the file says of itself: `edge_digits.recipe`, `.accuracy`, …"""
        _check_contract(file.name, self._engine, self.metadata)
        self._outputs = [output.name for output in self._engine.outputs]
        self.reject_below = 0.0
        """The digit score below which a tile is no digit, 0 to 1; 0 where the model does not tell."""
        if "digit_score" in self._outputs:
            self.reject_below = _number(file.name, self.metadata, "reject_below", 0.0, (0.0, 1.0))
        self.picture_temperature = _number(file.name, self.metadata, "picture_temperature", 1.0, (0.1, 10.0))
        """What its answers to tiles of pictures are tempered by: on them it is less sure than on clean rows."""
        self._try()

    @property
    def engine(self) -> str:
        """What runs it: `onnxruntime` or `numpy`."""
        return self._engine.name

    def classify(self, tiles: NDArray[np.uint8]) -> Predictions:
        """What the model says of `tiles`: (n, 28, 28) or one (28, 28), uint8, ink bright on black.

        Raises ValueError where they are anything else.
        """
        tiles = np.asarray(tiles)
        if tiles.shape == (28, 28):
            tiles = tiles[np.newaxis]
        if tiles.dtype != np.uint8 or tiles.shape[1:] != (28, 28):
            raise ValueError(f"tiles must be uint8 of shape (n, 28, 28), not {tiles.dtype} of shape {tiles.shape}")
        step = self._engine.batch
        if 0 < len(tiles) <= step:
            return self._run(tiles)
        parts = [self._run(tiles[start : start + step]) for start in range(0, len(tiles), step)]
        none = Predictions(np.zeros((0, 10), np.float32), np.zeros(0, np.float32))
        scores = [part.digit_scores for part in [none, *parts] if part.digit_scores is not None]
        return Predictions(
            np.concatenate([part.probabilities for part in [none, *parts]]),
            np.concatenate(scores) if "digit_score" in self._outputs else None,
        )

    def __call__(self, batch: Batch) -> Batch:
        """As `classify`, for `map_batches` of Ray Data: see `batches.classify_batch`."""
        return classify_batch(self, batch)

    def _run(self, tiles: NDArray[np.uint8]) -> Predictions:
        answers = dict(zip(self._outputs, self._engine.run(self._outputs, tiles), strict=True))
        return Predictions(answers["probabilities"], answers.get("digit_score"))

    def _try(self) -> None:
        """Refuses a model whose answers are no probabilities, or that answers for a tile by those beside it."""
        tiles = _trial_tiles()
        try:
            together, alone = self.classify(tiles), self.classify(tiles[-1])
        except Exception as error:  # onnxruntime's errors have no root of their own
            raise ModelError(f"{self.name}: {self.engine} cannot run it: {first_line(error)}") from error
        _check_answers(self.name, together, len(tiles))
        _check_answers(self.name, alone, 1)
        if np.abs(together.probabilities[-1] - alone.probabilities[0]).max() > _BATCH_TOLERANCE:
            raise _breach(self.name, "its answer to a tile changes with the tiles beside it")

    def __reduce__(self) -> tuple[Any, ...]:
        model, threads, engine = self._arguments
        return _remake, (model, threads, "numpy" if self.engine == "numpy" else engine)  # said once is enough


def load_ensemble(
    models: Sequence[str | Path], engine: EngineName = "auto", variations: int | None = None
) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """Tiles (n, 28, 28) → the mean of the probabilities of all `models`, (n, 10); threads may share it.

    Each model is asked about the first `variations` of `variations.STEPS`, 1 for the tiles as they are; None for the
    tiles as they are, and again where that answer is unsure (`variations.ask_again`).
    """
    from edge_digits.variations import ask_again, vary

    classifiers = [Classifier(model, engine=engine) for model in models]

    def classify(tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        varied = [vary(tiles, number) for number in range(variations or 1)]
        answers = [classifier.classify(some).probabilities for classifier in classifiers for some in varied]
        return answers[0] if len(answers) == 1 else np.mean(answers, axis=0, dtype=np.float32)

    def classify_steadily(tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        return ask_again(tiles, classify(tiles), classify)

    return classify_steadily if variations is None else classify


def _remake(model: str | Path, threads: int, engine: EngineName) -> Classifier:
    return Classifier(model, threads=threads, engine=engine)


def _breach(name: str, reason: str) -> ModelError:
    return ModelError(f"{name}: is not of the model contract: {plain(reason)}")


def _check_contract(name: str, engine: Engine, told: dict[str, str]) -> None:
    inputs, outputs = engine.inputs, {output.name: output for output in engine.outputs}
    if len(inputs) != 1 or inputs[0].name != "tiles":
        raise _breach(name, f"its inputs are {', '.join(i.name for i in inputs)}, not tiles")
    shape = inputs[0].shape
    if inputs[0].type != "tensor(uint8)" or len(shape) != 3 or shape[1:] != [28, 28] or isinstance(shape[0], int):
        raise _breach(name, f"tiles is {inputs[0].type} {shape}, not tensor(uint8) ['N', 28, 28]")
    if "probabilities" not in outputs:
        raise _breach(name, f"its outputs are {', '.join(outputs)}, without probabilities")
    unknown = set(outputs) - {"probabilities", "digit_score"}
    if unknown:
        raise _breach(name, f"it has the unknown output {', '.join(sorted(unknown))}")
    for output in outputs.values():
        if output.type != "tensor(float)":
            raise _breach(name, f"{output.name} is {output.type}, not tensor(float)")
    contract = told.get("edge_digits.contract", CONTRACT)
    if contract != CONTRACT:
        raise _breach(name, f"its contract is version {contract}; this edge-digits runs version {CONTRACT}")


def _number(name: str, told: dict[str, str], key: str, default: float, ends: tuple[float, float]) -> float:
    said = told.get(f"edge_digits.{key}", str(default))
    try:
        number = float(said)
    except ValueError:
        number = math.nan
    low, high = ends
    if not low <= number <= high:
        raise _breach(name, f"its {key} is {said!r}, not a number of {low:g} to {high:g}")
    return number


def _check_answers(name: str, predictions: Predictions, n: int) -> None:
    """n tiles must give n rows of probabilities, and n scores or none."""
    probabilities, scores = predictions.probabilities, predictions.digit_scores
    what = "it gives no ten probabilities for each tile"
    if probabilities.shape != (n, 10):
        raise _breach(name, f"{what}, but {list(probabilities.shape)} for {n}")
    if not np.isfinite(probabilities).all():
        raise _breach(name, f"{what}, but NaN or infinity")
    if probabilities.min() < 0 or probabilities.max() > 1 + _SUM_TOLERANCE:
        raise _breach(name, f"{what}, but values from {probabilities.min():.4g} to {probabilities.max():.4g}")
    sums = probabilities.sum(axis=1, dtype=np.float64)
    worst = sums[np.abs(sums - 1).argmax()]
    if abs(worst - 1) > _SUM_TOLERANCE:
        raise _breach(name, f"{what}: they sum to {worst:.4g}, not to 1")
    if scores is not None and not (scores.shape == (n,) and ((scores >= 0) & (scores <= 1)).all()):
        raise _breach(name, "its digit_score is not 0 to 1 for each tile")


def _trial_tiles() -> NDArray[np.uint8]:
    """(5, 28, 28): an empty tile, a full one, a stroke, a ring and noise."""
    tiles = np.zeros((5, 28, 28), np.uint8)
    tiles[1] = 255
    tiles[2, 4:24, 13:16] = 255
    tiles[3, 6:22, 6:22] = 255
    tiles[3, 9:19, 9:19] = 0
    tiles[4] = (np.arange(784, dtype=np.uint32) * 2654435761 >> 13 & 255).reshape(28, 28)
    return tiles
