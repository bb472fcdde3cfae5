"""Kaggle's train.csv → rows."""

from __future__ import annotations

import csv
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from edge_digits.tables import TableReader
from edge_digits_train.sources.checks import Rows

# What pandas lets through from the libraries that unpack .gz and .zip.
_PACKING_ERRORS = (zlib.error, zipfile.BadZipFile, RuntimeError, NotImplementedError)


def read_table(path: Path) -> Rows:
    """Reads a header, then `label,pixel0,…,pixel783` in each row; plain, or packed with gzip or zip.

    Raises TableError, with the line, where the file is anything else.
    """
    values = _read_plain(path)
    if values is not None:
        # pandas hands out columns side by side; rows side by side are what is drawn from.
        return values[:, 1:].astype(np.uint8, order="C").reshape(-1, 28, 28), values[:, 0].astype(np.uint8)
    # Anything odd is for the reader that checks each cell: it finds the bad line, or that there is none.
    parts = list(TableReader(str(path)).labelled_tiles())
    return np.concatenate([tiles for tiles, _ in parts]), np.concatenate([labels for _, labels in parts])


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
