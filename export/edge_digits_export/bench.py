"""Where candidates for int8 are made and measured against one fp32 model, on the same rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from edge_digits.classifier import Classifier
from edge_digits.errors import InputError, ModelError
from edge_digits.metrics import Evaluation
from edge_digits_export.calibration import CalibrationTiles
from edge_digits_export.choice import QuantizationChoice
from edge_digits_export.gates import Gate, Limits, first_failure
from edge_digits_export.graph import write_bytes
from edge_digits_export.layers import measure_noise
from edge_digits_export.quantization import needed_ranges, quantizable, quantize
from edge_digits_export.ranges import Range, measure_ranges
from edge_digits_export.verify import Agreement, Parity, Probabilities, check_finite, fp32_gates
from edge_digits_train.data import DataSet

NOISE_TILES = 1000
"""Compared rows that the signal-to-noise of the layers is measured on."""


@dataclass(frozen=True)
class Candidate:
    """One choice, made and measured."""

    choice: QuantizationChoice
    model: onnx.ModelProto
    ranges: dict[str, Range]
    """Those that it was built from."""
    classifier: Classifier
    answers: Probabilities
    """(n, 10), to the compared rows."""
    parity: Parity
    gates: list[Gate]

    @property
    def failure(self) -> Gate | None:
        """The gate that it fails at, if any."""
        return first_failure(self.gates)


class Bench:
    """One fp32 model, what Keras says of the compared rows, and what is to be measured on them."""

    def __init__(
        self,
        fp32: onnx.ModelProto,
        written: onnx.ModelProto,
        keras: Probabilities,
        compared: DataSet,
        more: DataSet,
        draw: Callable[[int], CalibrationTiles],
        limits: Limits,
        folder: Path,
        source: Path,
    ) -> None:
        """`fp32`: what int8 is made of; `written`: the same with its weights rounded, where that is asked for.

        `more`: rows on which fp32 and int8 are compared with each other besides, or none.

        `draw` gives so many calibration tiles; `folder` is for files that nobody keeps.
        """
        self.fp32, self.compared, self._more = fp32, compared, more
        self._keras, self._draw, self._limits, self._folder, self._source = keras, draw, limits, folder, source
        self.classifier = self._load(written, "fp32")
        self.answers = self.classifier.classify(compared.tiles).probabilities
        self._more_answers = self.classifier.classify(more.tiles).probabilities
        self._tiles: dict[int, CalibrationTiles] = {}
        self._ranges: dict[tuple[int, str], dict[str, Range]] = {}
        self._made = 0

    def fp32_gates(self) -> list[Gate]:
        """What can be said before there is an int8."""
        check_finite("fp32", self.answers)
        keras = Evaluation.from_probabilities(self._keras, self.compared.labels)
        return fp32_gates(keras, Agreement.of(self._keras, self.answers), self._limits)

    def calibration(self, choice: QuantizationChoice) -> CalibrationTiles:
        """The tiles that a choice is calibrated on."""
        if choice.calibration not in self._tiles:
            self._tiles[choice.calibration] = self._draw(choice.calibration)
        return self._tiles[choice.calibration]

    def make(self, choice: QuantizationChoice) -> Candidate:
        """Builds a choice and measures it. Raises ValueError where it names a layer that there is not."""
        wanted = needed_ranges(self.fp32, choice)
        ranges = self._all_ranges(choice)
        model = quantize(self.fp32, choice, ranges)
        self._made += 1
        classifier = self._load(model, f"int8-{self._made}")
        answers = classifier.classify(self.compared.tiles).probabilities
        more = (self._more_answers, classifier.classify(self._more.tiles).probabilities, self._more.labels)
        parity = Parity.of(self._keras, self.answers, answers, self.compared.labels, more)
        used = {name: ranges[name] for name in wanted}
        return Candidate(choice, model, used, classifier, answers, parity, parity.gates(self._limits))

    def noise(self, choice: QuantizationChoice) -> dict[str, float]:
        """Layer → its signal-to-noise in dB under a choice."""
        return measure_noise(self.fp32, choice, self._all_ranges(choice), self.noise_tiles)

    @property
    def noise_tiles(self) -> NDArray[np.uint8]:
        """Compared rows, evenly over all of them."""
        return self.compared.tiles[:: -(-len(self.compared) // NOISE_TILES)]

    def _all_ranges(self, choice: QuantizationChoice) -> dict[str, Range]:
        key = (choice.calibration, choice.method)
        if key not in self._ranges:
            tiles = self.calibration(choice).tiles
            self._ranges[key] = measure_ranges(self.fp32, quantizable(self.fp32), tiles, choice.method)
        return self._ranges[key]

    def _load(self, model: onnx.ModelProto, name: str) -> Classifier:
        path = self._folder / f"{name}.onnx"
        path.write_bytes(write_bytes(model, {}))
        try:
            return Classifier(path)
        except ModelError as error:
            reason = str(error).removeprefix(f"{path}: ")
            raise InputError(str(self._source), f"exports to a model that does not run: {reason}") from error
