"""An .npz of Keras' layout → rows: x_train and y_train, x_test and y_test where it has them; or x and y alone.

Headers are believed only after their claims were compared with the archive's own directory, and nothing is unpickled.
"""

from __future__ import annotations

import math
import warnings
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from edge_digits.errors import InputError
from edge_digits_train.sources.checks import (
    BadItemError,
    Rows,
    check_count,
    check_sizes_match,
    read_whole_numbers,
)

_TRAINING, _PLAIN, _TEST = ("x_train", "y_train"), ("x", "y"), ("x_test", "y_test")
_TILE_SHAPES = ((28, 28), (784,), (28, 28, 1), (1, 28, 28))
_LABEL_SHAPES = ((), (1,))
# What zipfile raises for damaged, encrypted and oddly packed archives.
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError, NotImplementedError, OverflowError)


def read_npz(path: Path) -> tuple[Rows, Rows | None]:
    """The rows, and those of the test part where there is one.

    Pixels and labels may be of any number type, as long as they are whole numbers in their range. Raises InputError
    with the array and, where one is to blame, its row.
    """
    if path.exists() and not path.is_file():
        raise InputError(str(path), "is no regular file")
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            pair, test = _pairs(str(path), set(members))
            rows = _read_pair(archive, path, members, pair)
            return rows, _read_pair(archive, path, members, test) if test else None
    except _ZIP_ERRORS as error:
        raise InputError(str(path), f"cannot be read as an .npz archive ({str(error) or 'it is cut off'})") from error
    except OSError as error:
        raise InputError(str(path), f"cannot be read: {(error.strerror or str(error)).lower()}") from error


def _pairs(source: str, names: set[str]) -> tuple[tuple[str, str], tuple[str, str] | None]:
    pair = _PLAIN if names & set(_PLAIN) else _TRAINING
    test = _TEST if names & set(_TEST) else None
    if names != {*pair, *(test or ())}:
        held = ", ".join(ascii(name)[1:-1][:20] for name in sorted(names)[:10]) or "nothing"
        raise InputError(
            source, f"holds {held}; x_train and y_train (or x and y) are expected, with or without x_test and y_test"
        )
    return pair, test


def _read_pair(
    archive: zipfile.ZipFile, path: Path, members: dict[str, zipfile.ZipInfo], pair: tuple[str, str]
) -> Rows:
    labels = _read(archive, path, members[pair[1]], 9, _LABEL_SHAPES)
    tiles = _read(archive, path, members[pair[0]], 255, _TILE_SHAPES)
    check_sizes_match(str(path), " and ".join(pair), len(tiles), len(labels))
    if tiles.max() == 1:
        raise InputError(str(path), f"{pair[0]} holds no pixel above 1: they are wanted as they were, from 0 to 255")
    return np.ascontiguousarray(tiles.reshape(-1, 28, 28)), labels.reshape(-1)


@dataclass(frozen=True)
class _Header:
    """What an array says of itself."""

    shape: tuple[int, ...]
    columns_first: bool
    dtype: np.dtype

    @property
    def size(self) -> int:
        return math.prod(self.shape)


def _read(
    archive: zipfile.ZipFile, path: Path, member: zipfile.ZipInfo, highest: int, shapes: tuple[tuple[int, ...], ...]
) -> NDArray[np.uint8]:
    """An array, its first axis the rows, all others as one of `shapes`; each item from 0 to `highest`."""
    name, source = member.filename.removesuffix(".npy"), str(path)
    with archive.open(member) as file:
        header = _read_header(file, source, name)
        if len(header.shape) < 1 or header.shape[1:] not in shapes:
            wanted = " or ".join(str(("n", *shape)).replace("'", "") for shape in shapes[:2])
            raise InputError(source, f"{name} is {header.shape}, not {wanted}")
        check_count(source, name, header.shape[0])
        stored, needed = member.file_size - file.tell(), header.size * header.dtype.itemsize
        if stored != needed:
            raise InputError(source, f"{name} is {header.shape}, {needed:,} bytes, but {stored:,} are stored")
        order: Literal["C", "F"] = "F" if header.columns_first else "C"
        try:
            numbers = read_whole_numbers(file, header.dtype, header.size, highest)
        except BadItemError as error:
            row = np.unravel_index(error.index, header.shape, order)[0]
            raise InputError(source, f"{name}[{row}]: {error.reason}") from error
    shaped: NDArray[np.uint8] = numbers.reshape(header.shape, order=order)
    return shaped


def _read_header(file: IO[bytes], source: str, name: str) -> _Header:
    try:
        # Other versions are for arrays of records; theirs may claim a header of 4 GB.
        if npy_format.read_magic(file) != (1, 0):
            raise InputError(source, f"{name} is no plain array of numbers")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that it was written by Python 2
            shape, columns_first, dtype = npy_format.read_array_header_1_0(file)
    except ValueError as error:
        raise InputError(source, f"{name} is no NumPy array") from error
    if dtype.kind not in "buif":
        kind = "Python objects, which are never loaded" if dtype.hasobject else str(dtype)
        raise InputError(source, f"{name} holds no numbers but {kind}")
    return _Header(shape, columns_first, dtype)
