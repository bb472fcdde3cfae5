"""From a Keras network to published .onnx files: convert, quantize, verify, publish."""

from edge_digits_export.export import Exported, ExportSettings, export
from edge_digits_export.publish import publish
from edge_digits_export.verify import Agreement, Limits, Parity

__all__ = ["Agreement", "ExportSettings", "Exported", "Limits", "Parity", "export", "publish"]
