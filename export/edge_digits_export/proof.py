"""NAME.proof.json: all that was measured of an export, for people and for `publish`."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

import edge_digits
from edge_digits_export.bench import Candidate
from edge_digits_export.calibration import CalibrationTiles
from edge_digits_export.gates import Gate
from edge_digits_export.layers import Layer
from edge_digits_export.pixels import Pixels
from edge_digits_export.scoring import Scoring
from edge_digits_export.search import Trial
from edge_digits_export.temperature import Temperature
from edge_digits_export.verify import Probabilities
from edge_digits_train.data import DataSet

DISAGREEMENTS = 25


@dataclass(frozen=True)
class Findings:
    """What an export has found out."""

    name: str
    recipe: str
    source: Mapping[str, Any]
    parameters: int
    pixels: Pixels
    """What the network takes."""
    significant_bits: int
    """Of the weights of fp32."""
    temperature: Temperature
    tempered_on_compared: bool
    """Whether the temperature was fitted on the compared rows themselves."""
    candidate: Candidate
    """The int8 model that was kept."""
    calibration: CalibrationTiles
    trials: Sequence[Trial] | None
    gates: Sequence[Gate]
    scoring: Scoring | None
    """None where it has no digit_score."""
    layers: Sequence[Layer]
    compared: DataSet
    fp32: Probabilities
    """(n, 10), to the compared rows."""
    files: Mapping[str, bytes]
    """fp32 and int8."""
    microseconds: Mapping[str, float]
    """fp32 and int8, one tile on one thread."""


def build_proof(found: Findings) -> dict[str, Any]:
    """As plain data, ready to be written."""
    fp32, int8 = found.microseconds["fp32"], found.microseconds["int8"]
    return {
        "name": found.name,
        "version": edge_digits.__version__,
        "recipe": found.recipe,
        "source": dict(found.source),
        "parameters": found.parameters,
        "multiply_adds": sum(layer.multiply_adds for layer in found.layers),
        "pixels": found.pixels.name,
        "significant_bits": found.significant_bits,
        "temperature": {**found.temperature.as_dict(), "on_compared_rows": found.tempered_on_compared},
        "quantization": {
            "choice": found.candidate.choice.as_dict(),
            "tiles": found.calibration.as_dict(),
            "ranges": {name: list(ends) for name, ends in found.candidate.ranges.items()},
        },
        "search": None if found.trials is None else [trial.as_dict() for trial in found.trials],
        "gates": [gate.as_dict() for gate in found.gates],
        "digit_score": found.scoring.as_dict() if found.scoring else None,
        "parity": found.candidate.parity.as_dict(),
        "layers": [layer.as_dict() for layer in found.layers],
        "files": {
            precision: {
                "file": f"{found.name}-{precision}.onnx",
                "bytes": len(data),
                "sha256": hashlib.sha256(data).hexdigest(),
            }
            for precision, data in found.files.items()
        },
        "latency": {
            "fp32_us": fp32,
            "int8_us": int8,
            "ratio_fp32_to_int8": round(fp32 / int8, 2),
            "threads": 1,
            "batch": 1,
        },
        "disagreements": _disagreements(found.compared, found.fp32, found.candidate.answers),
        "check": _check_tiles(found.compared, found.fp32, found.candidate.answers),
        "tools": tool_versions(),
    }


def tool_versions() -> dict[str, str]:
    """The versions of what an export is made with."""
    return {name: version(name) for name in ("keras", "tensorflow", "tf2onnx", "onnx", "onnxruntime")}


def _disagreements(rows: DataSet, fp32: Probabilities, int8: Probabilities) -> list[dict[str, Any]]:
    """The rows on which the two models differ most, in any probability."""
    difference = np.abs(fp32 - int8).max(axis=1)
    most = np.argsort(-difference, kind="stable")[:DISAGREEMENTS]
    return [
        {
            "row": int(row),
            "label": int(rows.labels[row]),
            "fp32": plain_numbers(fp32[row]),
            "int8": plain_numbers(int8[row]),
            "difference": float(difference[row]),
            "tile": _packed(rows.tiles[row]),
        }
        for row in most
    ]


def _check_tiles(rows: DataSet, fp32: Probabilities, int8: Probabilities) -> dict[str, Any]:
    """Of each digit the row that both read rightly, but the least surely of all that they give .9 and more.

    What they give .9999 stays so whatever happens to the weights; what they give .6 another processor's rounding moves.
    Of a digit of which there is no such row it is the surest one, read rightly or not.
    """
    sure = np.minimum(fp32.max(axis=1), int8.max(axis=1))
    right = (fp32.argmax(axis=1) == rows.labels) & (int8.argmax(axis=1) == rows.labels) & (sure >= 0.9)
    chosen = []
    for digit in np.unique(rows.labels):
        of_digit = rows.labels == digit
        fit = np.flatnonzero(of_digit & right)
        others = np.flatnonzero(of_digit)
        chosen.append(fit[sure[fit].argmin()] if len(fit) else others[sure[others].argmax()])
    return {
        "tiles": _packed(rows.tiles[chosen]),
        "expected": {
            "fp32": [plain_numbers(row) for row in fp32[chosen]],
            "int8": [plain_numbers(row) for row in int8[chosen]],
        },
    }


def _packed(tiles: NDArray[np.uint8]) -> str:
    return base64.b64encode(np.ascontiguousarray(tiles).tobytes()).decode("ascii")


def plain_numbers(probabilities: NDArray[np.float32]) -> list[float]:
    """(10,), for JSON."""
    return [float(f"{value:.7g}") for value in probabilities]  # all that a float32 holds


def as_json(facts: dict[str, Any]) -> str:
    """A manifest, or what rebuilds a model: indented, but rows of numbers on one line."""
    text = json.dumps(facts, indent=2)
    return re.sub(r"\[\n\s*([-+\d.eE,\s]+?)\s+\]", lambda found: f"[{' '.join(found[1].split())}]", text) + "\n"
