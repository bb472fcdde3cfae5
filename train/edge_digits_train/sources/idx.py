"""A folder with MNIST's own files → rows: train-images-idx3-ubyte and the others, packed with gzip or not."""

from __future__ import annotations

import gzip
import math
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_digits.errors import InputError
from edge_digits.tables import Labels
from edge_digits_train.sources.checks import (
    BadItemError,
    Readable,
    Rows,
    check_count,
    check_sizes_match,
    read_whole_numbers,
)

_NAME = re.compile(r"(train|t10k)-(?:(images)[-.]idx3|(labels)[-.]idx1)-ubyte(?:\.gz)?")
_SIDES = {"images": (28, 28), "labels": ()}
_HIGHEST = {"images": 255, "labels": 9}
_UNSIGNED_BYTES = 0x08  # the third byte of the magic number; the fourth is the number of axes

_Files = dict[tuple[str, str], list[Path]]
"""(train or t10k, images or labels) → the files of that name."""


def is_idx_name(name: str) -> bool:
    """Whether a file of that name is one of MNIST's."""
    return _NAME.fullmatch(name) is not None


def read_idx(folder: Path) -> tuple[Rows, Rows | None]:
    """The rows of the training files, and those of t10k where they are there.

    A file may be there more than once, packed and unpacked, or in a folder of its own name, as long as all say the
    same. Raises InputError where a file is missing, damaged or not MNIST's.
    """
    files = _find(folder)
    rows = _read_part(folder, files, "train")
    return rows, _read_part(folder, files, "t10k") if any(part == "t10k" for part, _ in files) else None


def _find(folder: Path) -> _Files:
    files: _Files = {}
    for path in sorted(folder.iterdir()):
        if found := _NAME.fullmatch(path.name):
            key = found[1], found[2] or found[3]
            files.setdefault(key, []).append(path / path.name if path.is_dir() else path)
        elif re.search("idx|ubyte", path.name) and not path.name.startswith("."):
            raise InputError(str(path), "is none of MNIST's files by its name: rename it, or move it elsewhere")
        elif re.fullmatch("[0-9]", path.name):
            raise InputError(str(path), "stands beside MNIST's idx files: move one of the two to a folder of its own")
    return files


def _read_part(folder: Path, files: _Files, part: str) -> Rows:
    for kind in ("images", "labels"):
        if (part, kind) not in files:
            number = 1 + len(_SIDES[kind])
            raise InputError(str(folder), f"has no {part}-{kind}-idx{number}-ubyte, packed or not")
    labels: Labels = _read_same(files[part, "labels"], "labels")
    tiles = _read_same(files[part, "images"], "images")
    check_sizes_match(str(folder), f"{part}-images and {part}-labels", len(tiles), len(labels))
    return tiles, labels


def _read_same(paths: list[Path], kind: str) -> NDArray[np.uint8]:
    numbers = _read(paths[0], kind)
    for path in paths[1:]:
        if not np.array_equal(_read(path, kind), numbers):
            raise InputError(str(path), f"differs from {paths[0].name} beside it: keep the one that is right")
    return numbers


def _read(path: Path, kind: str) -> NDArray[np.uint8]:
    """(n, 28, 28) of images, (n,) of labels."""
    source, sides = str(path), _SIDES[kind]
    with _opened(path) as (file, stored):
        head = file.read(8 + 4 * len(sides))
        expected = bytes([0, 0, _UNSIGNED_BYTES, 1 + len(sides)])
        if head[:4] not in (expected, b""):
            raise InputError(source, f"begins with {head[:4].hex()}, not with {expected.hex()}, as MNIST's {kind} do")
        if len(head) < 8 + 4 * len(sides):
            raise EOFError
        count, *found = struct.unpack(f">{1 + len(sides)}I", head[4:])
        if tuple(found) != sides:
            raise InputError(source, f"holds images of {found[0]} × {found[1]} pixels, not 28 × 28")
        check_count(source, "the file", count)
        size = count * math.prod(sides)
        if stored is not None and stored != (whole := len(head) + size):
            raise InputError(source, f"has {stored:,} bytes, and the {count:,} {kind} of its header make {whole:,}")
        try:
            numbers = read_whole_numbers(file, np.dtype(np.uint8), size, _HIGHEST[kind])
        except BadItemError as error:
            raise InputError(source, f"label {error.index}, counted from 0: {error.reason}") from error
        if file.read(1):  # which also has gzip compare its checksum
            raise InputError(source, f"holds more than the {count:,} {kind} of its header")
    return numbers.reshape(count, *sides)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Readable, int | None]]:
    """The file, unpacked where it is packed, and its size in bytes where that is known. Raises InputError."""
    if not path.is_file():
        raise InputError(str(path), "is no regular file" if path.exists() else "does not exist")
    try:
        with ExitStack() as stack:
            file = stack.enter_context(path.open("rb"))
            if file.peek(2)[:2] == b"\x1f\x8b":
                yield stack.enter_context(gzip.GzipFile(fileobj=file)), None
            else:
                yield file, path.stat().st_size
    except EOFError as error:
        raise InputError(str(path), "is cut off") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise InputError(str(path), f"is a damaged gzip file ({error})") from error
    except OSError as error:
        raise InputError(str(path), f"cannot be read: {(error.strerror or str(error)).lower()}") from error
