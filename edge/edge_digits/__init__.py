"""Reads handwritten digits from pictures, cameras, video and CSV rows, offline and on any CPU."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

# From 1.29 on, onnxruntime's Linux and macOS packages send what they run to Microsoft, and write an identifier into the
# home folder, unless this is set before they are loaded (microsoft/onnxruntime#27379). Nothing is to be sent from here.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from edge_digits.classifier import Classifier, Predictions
    from edge_digits.reader import Reader
    from edge_digits.reading import Digit, Reading, Rejected

__version__ = "0.1.0"

# Loaded on first use, so that `import edge_digits` costs nothing (PEP 562).
_HOMES = {
    "Classifier": "classifier",
    "Predictions": "classifier",
    "Reader": "reader",
    "Digit": "reading",
    "Reading": "reading",
    "Rejected": "reading",
}

__all__ = ["Classifier", "Digit", "Predictions", "Reader", "Reading", "Rejected", "__version__"]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(f"edge_digits.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'edge_digits' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
