"""A proof as an export writes it, made of the bundled models' own answers to real tiles."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import edge_digits_models
from edge_digits import Classifier
from edge_digits.metrics import Evaluation

BUNDLED = Path(edge_digits_models.__file__).parent
KEPT = BUNDLED.parent / "networks" / "digits.json"
"""What the bundled files are made of, besides their network."""


def proof(tiles: NDArray[np.uint8], labels: NDArray[np.integer]) -> dict[str, Any]:
    """The proof of the bundled `digits`, as if it had just been exported and compared on these rows."""
    answers = {p: Classifier(f"digits-{p}").classify(tiles).probabilities for p in ("fp32", "int8")}
    answers["keras"] = answers["fp32"]
    evaluations = {name: Evaluation.from_probabilities(given, labels) for name, given in answers.items()}
    drop = evaluations["fp32"].accuracy - evaluations["int8"].accuracy
    differences = np.abs(answers["fp32"] - answers["int8"]).max(axis=1)
    worst = np.argsort(-differences, kind="stable")[:25]
    digits = [int(np.flatnonzero(labels == digit)[0]) for digit in range(10)]
    kept = json.loads(KEPT.read_text())
    return {
        "name": "digits",
        "version": "0.1.0",
        "recipe": "base",
        "source": {
            "network": "runs/base/best.keras", "network_sha256": "0" * 64, "recipe": "base", "passes": 80, "seed": 0,
            "backend": "tensorflow", "versions": {"keras": "3.15.1"}, "pass": 60,
            "data": {"name": "train.csv", "sha256": "1" * 64, "training_rows": 37800, "compared_rows": len(tiles),
                     "compared_rows_were": "held out"},
        },
        "parameters": 82786,
        "multiply_adds": 5665632,
        "pixels": "bytes",
        "significant_bits": kept["significant_bits"],
        "temperature": {"value": kept["temperature"], "rows": len(tiles), "loss_before": 0.0112, "loss_after": 0.0104,
                        "on_compared_rows": False},
        "quantization": {
            "choice": kept["choice"],
            "tiles": {"n": 1000, "seed": 0, "sha256": "2" * 64, "augmented": True},
            "ranges": kept["ranges"],
        },
        "search": None,
        "gates": [
            {"name": "accuracy", "figure": evaluations["keras"].accuracy, "limit": 0.5, "passed": True},
            {"name": "fp32 difference", "figure": 1.2e-7, "limit": 1e-5, "passed": True},
            {"name": "fp32 digits", "figure": 0, "limit": 0, "passed": True},
            {"name": "int8 accuracy", "figure": drop, "limit": 0.0005, "passed": True},
            {"name": "int8 agreement", "figure": 1.0, "limit": 0.999, "passed": True},
        ],
        "parity": {
            **{name: found.as_dict() for name, found in evaluations.items()},
            "keras_fp32": agreement(answers["keras"], answers["fp32"]),
            "fp32_int8": agreement(answers["fp32"], answers["int8"]),
            "int8_drop": drop, "int8_drop_interval": 0.0004, "mcnemar_p": 1.0,
        },
        "layers": [
            {"name": "conv1", "op": "Conv, Relu", "output": [24, 26, 26], "parameters": 240, "multiply_adds": 146016,
             "bytes_fp32": 960, "bytes_int8": 624, "snr_db": 38.2},
            {"name": "dense1", "op": "Gemm", "output": [10], "parameters": 3850, "multiply_adds": 3840,
             "bytes_fp32": 15400, "bytes_int8": 4010, "snr_db": 29.5},
            {"name": "softmax1", "op": "Softmax", "output": [10], "parameters": 0, "multiply_adds": 0,
             "bytes_fp32": 0, "bytes_int8": 0, "snr_db": None},
        ],
        "files": {p: described(BUNDLED / f"digits-{p}.onnx") for p in ("fp32", "int8")},
        "latency": {"fp32_us": 172.0, "int8_us": 74.0, "ratio_fp32_to_int8": 2.32, "threads": 1, "batch": 1},
        "disagreements": [
            {"row": int(row), "label": int(labels[row]), "fp32": answers["fp32"][row].tolist(),
             "int8": answers["int8"][row].tolist(), "difference": float(differences[row]),
             "tile": b64encode(tiles[row].tobytes()).decode()}
            for row in worst
        ],
        "check": {
            "tiles": b64encode(tiles[digits].tobytes()).decode(),
            "expected": {p: answers[p][digits].tolist() for p in ("fp32", "int8")},
        },
        "tools": {"keras": "3.15.1", "onnxruntime": "1.31.1"},
    }  # fmt: skip


def described(path: Path) -> dict[str, Any]:
    """What a proof says of a file."""
    data = path.read_bytes()
    return {"file": path.name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def agreement(first: NDArray[np.float32], second: NDArray[np.float32]) -> dict[str, Any]:
    """How two sets of answers differ, counted here once more."""
    ranked, differs = np.sort(first, axis=1), first.argmax(axis=1) != second.argmax(axis=1)
    clear = ranked[:, 9] - ranked[:, 8] > 0.1
    return {
        "rows": len(first), "max_difference": float(np.abs(first - second).max()),
        "mean_difference": float(np.abs(first - second).mean()), "different_digits": int(differs.sum()),
        "clear_rows": int(clear.sum()), "different_clear_digits": int((differs & clear).sum()),
    }  # fmt: skip
