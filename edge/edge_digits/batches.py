"""Batches of columns, as Ray Data's `map_batches` hands them on → the same batches with the answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_digits.errors import ImageError

if TYPE_CHECKING:
    from edge_digits.classifier import Classifier
    from edge_digits.reader import Reader

Batch = dict[str, NDArray[Any]]
"""Columns by name, (n, …) each."""

_PIXELS = [f"pixel{i}" for i in range(784)]


def classify_batch(classifier: Classifier, batch: Batch) -> Batch:
    """The batch without its pixels, and with `digit`, (n,) 0 to 9, and `confidence`, (n,) 0 to 1.

    Its tiles are a column `tile`, (n, 28, 28) or (n, 784), or the columns `pixel0` to `pixel783` of a CSV. Raises
    ValueError where it has neither, or values that are no whole numbers from 0 to 255.
    """
    if "tile" in batch:
        pixels, names = np.asarray(batch["tile"]), {"tile"}
    elif all(name in batch for name in _PIXELS):
        pixels, names = np.stack([batch[name] for name in _PIXELS], axis=1), set(_PIXELS)
    else:
        raise ValueError("a batch needs a column tile, (28, 28) or (784,) in each row, or pixel0 to pixel783")
    tiles = _as_tiles(pixels)
    told = classifier.classify(tiles)
    rest = {name: column for name, column in batch.items() if name not in names}
    return rest | {"digit": told.digits, "confidence": told.confidences}


def read_batch(reader: Reader, batch: Batch) -> Batch:
    """The batch without its pictures, and with `text`, the lines of digits of each, and `error`, "" if there is none.

    Its pictures are a column `bytes`, as Ray's `read_binary_files` gives, or `path`. Raises ValueError without either.
    """
    column = next((name for name in ("bytes", "path") if name in batch), None)
    if column is None:
        raise ValueError("a batch needs a column bytes, of pictures' files, or path")
    texts, errors = [], []
    for picture in batch[column]:
        try:
            texts.append(reader.read(picture).text)
            errors.append("")
        except ImageError as error:
            texts.append("")
            errors.append(error.reason)
    rest = {name: values for name, values in batch.items() if name != "bytes"}
    return rest | {"text": np.array(texts, object), "error": np.array(errors, object)}


def _as_tiles(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    n = len(pixels)
    if pixels.dtype == object:  # rows of arrays, as some files come
        pixels = np.stack([np.asarray(row) for row in pixels]) if n else np.zeros((0, 784), np.uint8)
    if pixels.dtype.kind not in "ui" or pixels.size != n * 784:
        raise ValueError(f"tiles must be 784 whole numbers in each row, not {pixels.dtype} of shape {pixels.shape}")
    if pixels.dtype != np.uint8 and n and (pixels.min() < 0 or pixels.max() > 255):
        raise ValueError(f"pixels must be from 0 to 255, not from {pixels.min()} to {pixels.max()}")
    return pixels.astype(np.uint8, copy=False).reshape(n, 28, 28)
