"""What is fuzzed: bytes of a picture, a table, a model → an answer that makes sense, or an error of ours.

Each function returns when all is well and raises AssertionError, or whatever the program let through, when it is not.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable

import numpy as np

from edge_digits import numpy_engine, onnxruntime_engine  # noqa: F401 – imported late, they would not be watched
from edge_digits.classifier import Classifier
from edge_digits.engines import EngineName
from edge_digits.errors import EdgeDigitsError, ImageError, ModelError, TableError
from edge_digits.onnx_file import metadata, read_onnx, refuse_outside
from edge_digits.reader import Reader
from edge_digits.reading import Reading
from edge_digits.tables import TableReader

MAX_PIXELS = 1_000_000
"""A fuzzer would find large pictures, and spend its time on them."""
_reader = Reader(max_pixels=MAX_PIXELS)


def read_picture(data: bytes) -> None:
    """A file's bytes → a reading whose boxes lie in the picture."""
    try:
        trace = _reader.trace(data)
    except ImageError as error:
        _check_message(error)
        return
    _check_reading(trace.reading, trace.image.shape)


def read_array(data: bytes) -> None:
    """Any uint8 array, its shape from the first bytes → a reading."""
    if len(data) < 4:
        return
    height, width = 1 + data[0] + 4 * (data[1] % 8), 1 + data[2] + 4 * (data[3] % 8)
    pixels = np.resize(np.frombuffer(data[4:] or b"\0", np.uint8), (height, width))
    _check_reading(_reader.read(pixels), pixels.shape)


def read_table(data: bytes) -> None:
    """A CSV's bytes, plain, gzipped or zipped, with labels and without → tiles."""
    with tempfile.NamedTemporaryFile(suffix=".csv") as file:
        file.write(data)
        file.flush()
        for labelled in (False, True):
            reader, rows = TableReader(file.name, 64), 0
            try:
                for chunk in reader.labelled_tiles() if labelled else ((tiles, None) for tiles in reader.tiles()):
                    tiles, labels = chunk
                    rows += len(tiles)
                    assert tiles.dtype == np.uint8
                    assert tiles.shape[1:] == (28, 28)
                    assert labels is None or (labels.max() <= 9 and len(labels) == len(tiles))
                    assert rows < 100_000
            except TableError as error:
                _check_message(error)


def read_model(data: bytes) -> None:
    """A model's bytes, taken apart, checked, and run by our own engine."""
    try:
        model = read_onnx("model", data)
        refuse_outside("model", model)
        for key, value in metadata(model).items():
            assert isinstance(key, str)
            assert isinstance(value, str)
    except ModelError as error:
        _check_message(error)
        return
    _run(data, "numpy")


def run_model(data: bytes) -> None:
    """A model's bytes, loaded and asked: what onnxruntime makes of it, too."""
    _run(data, "onnxruntime")


def _run(data: bytes, engine: EngineName) -> None:
    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        file.write(data)
        file.flush()
        try:
            answers = Classifier(file.name, engine=engine).classify(np.zeros((2, 28, 28), np.uint8)).probabilities
        except ModelError as error:
            _check_message(error)
            return
    assert answers.shape == (2, 10)
    assert np.abs(answers.sum(axis=1) - 1).max() < 0.01


TARGETS: dict[str, Callable[[bytes], None]] = {
    "pictures": read_picture,
    "arrays": read_array,
    "tables": read_table,
    "models": read_model,
    "running-models": run_model,
}
"""By the folder of their corpus."""


def _check_message(error: EdgeDigitsError) -> None:
    text = str(error)
    assert text.strip(), "an error says nothing"
    assert "\n" not in text, f"an error of several lines: {text!r}"
    assert len(text) < 1000, f"an error without end: {text[:200]!r}"
    assert "Traceback" not in text


def _check_reading(reading: Reading, shape: tuple[int, ...]) -> None:
    assert reading.text == "\n".join(reading.lines)
    assert set(reading.text) <= set("0123456789\n")
    assert sum(map(len, reading.lines)) == len(reading.digits)
    for found in (*reading.digits, *reading.rejected):
        x, y, width, height = found.box
        assert x >= 0 <= y
        assert width > 0 < height
        assert x + width <= shape[1]
        assert y + height <= shape[0]
    for digit in reading.digits:
        assert 0 <= digit.digit <= 9
        assert 0 <= digit.confidence <= 1.000001
