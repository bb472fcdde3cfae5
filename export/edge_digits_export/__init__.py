"""From a Keras network to published .onnx files: convert, quantize, verify, publish.

What needs TensorFlow is loaded when it is first asked for: to rebuild an int8 model takes onnx alone.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge_digits_export.choice import QuantizationChoice
    from edge_digits_export.gates import Limits
    from edge_digits_export.pipeline import Exported, ExportSettings, export
    from edge_digits_export.publishing import publish
    from edge_digits_export.quantization import quantize
    from edge_digits_export.rebuild import rebuild_int8, rebuild_models
    from edge_digits_export.renewal import Renewed, renew
    from edge_digits_export.verify import Agreement, Parity

_HOMES = {
    "Agreement": "verify",
    "ExportSettings": "pipeline",
    "Exported": "pipeline",
    "Limits": "gates",
    "Parity": "verify",
    "QuantizationChoice": "choice",
    "Renewed": "renewal",
    "export": "pipeline",
    "publish": "publishing",
    "quantize": "quantization",
    "rebuild_int8": "rebuild",
    "rebuild_models": "rebuild",
    "renew": "renewal",
}

__all__ = [
    "Agreement",
    "ExportSettings",
    "Exported",
    "Limits",
    "Parity",
    "QuantizationChoice",
    "Renewed",
    "export",
    "publish",
    "quantize",
    "rebuild_int8",
    "rebuild_models",
    "renew",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
