"""Labelled rows to train on: read, checked, hashed and split."""

from __future__ import annotations

import csv
import hashlib
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from edge_digits.errors import UsageError
from edge_digits.tables import TableReader

# What pandas lets through from the libraries that unpack .gz and .zip.
_PACKING_ERRORS = (zlib.error, zipfile.BadZipFile, RuntimeError, NotImplementedError)


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
        return hashlib.sha256(self.tiles.tobytes() + self.labels.tobytes()).hexdigest()


def load_data(path: str | Path) -> DataSet:
    """Reads Kaggle's train.csv (or .csv.gz, .csv.zip): a header, then `label,pixel0,…,pixel783` in each row.

    Raises TableError, with the line, where the file is anything else.
    """
    path = Path(path)
    values = _read_plain(path)
    if values is not None:
        tiles, labels = values[:, 1:].astype(np.uint8).reshape(-1, 28, 28), values[:, 0].astype(np.uint8)
    else:
        # Anything odd is for the reader that checks each cell: it finds the bad line, or that there is none.
        parts = list(TableReader(str(path)).labelled_tiles())
        tiles, labels = (np.concatenate(part) for part in zip(*parts, strict=True))
    return DataSet(_plain_name(path), tiles, labels)


def _read_plain(path: Path) -> NDArray[np.int16] | None:
    """The cells, (n, 785), read fast; None where anything is wrong with them or not plain to see."""
    try:
        # pandas would read "1"0 as 10: a quote is for the reader that checks each cell.
        frame = pd.read_csv(path, dtype=np.int16, encoding="utf-8-sig", skip_blank_lines=False, quoting=csv.QUOTE_NONE)
    except (OSError, ValueError, EOFError, OverflowError, *_PACKING_ERRORS):
        return None
    header = ["label", *(f"pixel{i}" for i in range(784))]
    # Where each row has a cell too many, pandas takes the first for the row's name, and all others move up by one.
    if list(frame.columns) != header or not isinstance(frame.index, pd.RangeIndex) or frame.empty:
        return None
    values = frame.to_numpy()
    good = values.min() >= 0 and values[:, 0].max() <= 9 and values.max() <= 255
    return values if good else None


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
