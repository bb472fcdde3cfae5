"""What runs a model: onnxruntime, or numpy alone where there is no onnxruntime."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_digits.errors import EngineWarning, LibraryError, ModelError
from edge_digits.model_files import ModelFile

EngineName = Literal["auto", "onnxruntime", "numpy"]
"""auto is onnxruntime, and numpy where that cannot be imported or started."""


class Engine(Protocol):
    """A model, ready to run."""

    name: str
    batch: int
    """Tiles that it is best given at a time."""

    @property
    def inputs(self) -> Sequence[Any]:
        """Each has a `name`, a `type` (`tensor(uint8)`) and a `shape`, whose free sides are no integers."""

    @property
    def outputs(self) -> Sequence[Any]:
        """The same."""

    def run(self, names: Sequence[str], tiles: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """The outputs of those names for tiles (n, 28, 28). Threads may share it."""


def start_engine(file: ModelFile, engine: EngineName, threads: int) -> Engine:
    """The engine of that name, with the model loaded.

    Raises LibraryError where onnxruntime is asked for by name and cannot be loaded, ModelError for a model that it
    cannot load. With `auto` numpy takes its place, and an EngineWarning says so; for a model of one's own only where
    there is no onnxruntime, as else the model may be to blame.
    """
    if engine != "numpy":
        try:
            from edge_digits.onnxruntime_engine import OnnxruntimeEngine

            return OnnxruntimeEngine(file, threads)
        except (LibraryError, ModelError) as error:
            if engine == "onnxruntime" or (isinstance(error, ModelError) and not file.bundled):
                raise
            warnings.warn(f"{error} – numpy runs the model instead, more slowly", EngineWarning, stacklevel=2)
    from edge_digits.numpy_engine import NumpyEngine

    return NumpyEngine(file)
