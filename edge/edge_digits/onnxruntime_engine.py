"""Runs a model with onnxruntime."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_digits.errors import LibraryError, ModelError
from edge_digits.model_files import ModelFile
from edge_digits.onnx_file import first_line

try:
    import onnxruntime as ort
except (ImportError, OSError) as error:
    raise LibraryError(f"onnxruntime cannot be loaded ({error}): pip install onnxruntime") from error


class OnnxruntimeEngine:
    """A session. Threads may share it. Raises ModelError where onnxruntime cannot load the model."""

    name = "onnxruntime"
    batch = 64
    """Tiles at a time: what passes between the operators still fits a cache, without which fp32 takes 1.6 times as
    long."""

    def __init__(self, file: ModelFile, threads: int) -> None:
        self._session = _start_session(file, threads)
        self.inputs = self._session.get_inputs()
        self.outputs = self._session.get_outputs()

    def run(self, names: Sequence[str], tiles: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """The outputs of those names for tiles (n, 28, 28)."""
        answers: list[NDArray[np.float32]] = self._session.run(names, {"tiles": tiles})
        return answers


def _start_session(file: ModelFile, threads: int) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what it has to say becomes an error of ours
    # Without this, waiting threads keep a core busy: 45 % of one at 30 calls a second.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # What was looked into is what is run: never onnxruntime's own format, which it would tell by the first bytes.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        return ort.InferenceSession(file.data, sess_options=options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no root of their own
        raise ModelError(f"{file.name}: onnxruntime cannot load it: {first_line(error)}") from error
