"""Labelled rows to train on: read, checked, hashed and split."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from edge_digits.errors import TableError, UsageError
from edge_digits.tables import TableReader


@dataclass(frozen=True)
class DataSet:
    """Labelled tiles. `tiles`: (n, 28, 28) uint8, ink bright on black; `labels`: (n,) uint8, 0 to 9."""

    name: str
    tiles: NDArray[np.uint8]
    labels: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: NDArray[np.int64]) -> DataSet:
        return DataSet(self.name, self.tiles[rows], self.labels[rows])

    @property
    def sha256(self) -> str:
        """Of the pixels, then the labels: the same for a .csv and the .csv.gz it came from."""
        digest = hashlib.sha256(np.ascontiguousarray(self.tiles))
        digest.update(np.ascontiguousarray(self.labels))
        return digest.hexdigest()


def load_data(path: str | Path) -> DataSet:
    """Reads Kaggle's train.csv (or .csv.gz, .csv.zip): a header, then `label,pixel0,…,pixel783` in each row.

    Raises TableError, with the line, where the file is anything else.
    """
    path = Path(path)
    try:
        # Most files are good: read fast, and look for the bad line only where that fails.
        frame = pd.read_csv(path, dtype=np.int16, encoding="utf-8-sig", skip_blank_lines=False)
        values = frame.to_numpy()
    except (OSError, ValueError, EOFError, OverflowError) as error:
        raise _explain(path, str(error).splitlines()[0]) from error
    header = ["label", *(f"pixel{i}" for i in range(784))]
    if list(frame.columns) != header or not len(values):
        raise _explain(path, "it is not Kaggle's train.csv")
    labels, pixels = values[:, 0], values[:, 1:]
    if labels.min() < 0 or labels.max() > 9 or pixels.min() < 0 or pixels.max() > 255:
        raise _explain(path, "a label is outside 0 to 9 or a pixel outside 0 to 255")
    tiles = pixels.astype(np.uint8).reshape(-1, 28, 28)
    return DataSet(_plain_name(path), tiles, labels.astype(np.uint8))


def _explain(path: Path, reason: str) -> TableError:
    """The error with its line, found by the reader that checks each row."""
    try:
        for _ in TableReader(str(path)).labelled_tiles():
            pass
    except TableError as error:
        return error
    return TableError(str(path), reason)


def _plain_name(path: Path) -> str:
    return path.name.removesuffix(".gz").removesuffix(".zip")


def split_data(data: DataSet, validation: float, seed: int) -> tuple[DataSet, DataSet]:
    """Splits off the share `validation` of the rows, each digit in its proportion; (training, validation).

    The same rows for the same seed. Raises UsageError where there are too few rows of a digit.
    """
    try:
        training, held_out = train_test_split(
            np.arange(len(data)), test_size=validation, random_state=seed, stratify=data.labels
        )
    except ValueError as error:
        raise UsageError(f"{data.name}: too few rows ({len(data)}) to hold out {validation:.0%} of them") from error
    return data[training], data[held_out]
