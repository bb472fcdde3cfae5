"""A folder of pictures by label, 0/… to 9/…, → rows, framed as the reader frames what it reads.

A label may be missing: the network has ten answers all the same, and a table need not hold every digit either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_digits.errors import ImageError, InputError
from edge_digits.find import find
from edge_digits.images import load_image
from edge_digits.ink import is_light_on_dark
from edge_digits.opencv import cv2
from edge_digits.reader import as_tile
from edge_digits.tables import Tiles
from edge_digits.tiles import SIDE, frame
from edge_digits_train.sources.checks import Rows, check_count, mix_labels

LABELS = frozenset("0123456789")
"""What the folders are called."""
PASSED_OVER = frozenset({"thumbs.db", "desktop.ini", "__macosx"})
"""What systems leave in folders, besides hidden files."""
SPECKS = (32, 48, 64)
"""Of 255: fainter pixels about a tile's ink may be specks that JPEG left; the lowest level that makes it one is taken.
MNIST's 70,000 tiles at quality 75: 69,970 are tiles so, 29 hold one digit to the reader, one holds two."""


def is_label_folder(folder: Path) -> bool:
    """Whether there is a folder by the name of a digit in it."""
    return any(path.name in LABELS and path.is_dir() for path in folder.iterdir())


def read_pictures(folder: Path, progress: Callable[[int, int | None], None] | None = None) -> Rows:
    """The one digit of each picture in the folders 0 to 9 and below; the labels mixed, else sorted by path.

    `progress` is told how many pictures are done, and of how many. Raises InputError where anything else is there
    (hidden files and what systems leave are passed over), ImageError for a picture that cannot be read, or that holds
    no digit or several: for the first one, with the number of the others.
    """
    files = list(_labelled_files(folder))
    if not files:
        raise InputError(str(folder), "holds no pictures in its folders 0 to 9")
    check_count(str(folder), "the folder", len(files))
    labels = np.array([label for label, _ in files], np.uint8)
    order = mix_labels(labels)
    tiles = np.empty((len(files), SIDE, SIDE), np.uint8)
    refused: list[ImageError] = []
    for done, (place, (_, path)) in enumerate(zip(np.argsort(order), files, strict=True), 1):
        try:
            tiles[place] = picture_tile(load_image(path), str(path))
        except ImageError as error:
            refused.append(error)
        if progress is not None:
            progress(done, len(files))
    if refused:
        others = f" (and {len(refused) - 1:,} more pictures cannot be used)" if len(refused) > 1 else ""
        raise ImageError(refused[0].source, refused[0].reason + others) from refused[0]
    return tiles, labels[order]


def picture_tile(image: NDArray[np.uint8], source: str) -> NDArray[np.uint8]:
    """The tile, (28, 28) uint8, of the one digit in an image, (H, W) or (H, W, 3) uint8.

    A tile in MNIST's normal form comes back as it is, but for JPEG's specks. Raises ImageError, which names `source`,
    where there is no digit or more than one.
    """
    tile = as_tile(image)
    if tile is None and image.shape[:2] == (SIDE, SIDE):
        tile = _without_specks(image)
    if tile is not None:
        return tile
    found = find(image)
    if len(found.regions) == 1:
        return frame(found.regions[0].ink)
    if found.regions:
        raise ImageError(source, f"holds {len(found.regions)} digits, where one is expected")
    seen = ", ".join(sorted({rejected.reason for rejected in found.rejected}))
    raise ImageError(source, "holds no digit" + (f", only what is {seen}" if seen else ""))


def _without_specks(image: NDArray[np.uint8]) -> Tiles | None:
    """A tile of 28 × 28, if it is one but for JPEG's specks."""
    gray = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) if image.ndim == 3 else image, np.uint8)
    light = gray if is_light_on_dark(gray) else np.asarray(255 - gray, np.uint8)
    cleaned = (as_tile(np.where(light < level, np.uint8(0), light)) for level in SPECKS)
    return next((tile for tile in cleaned if tile is not None), None)


def _labelled_files(folder: Path) -> Iterator[tuple[int, Path]]:
    for path in _entries(folder):
        if path.name not in LABELS or not path.is_dir():
            raise InputError(str(path), "is no folder of a label, which are called 0 to 9: move it elsewhere")
        for file in _files(path, (folder.resolve(),)):
            yield int(path.name), file


def _files(folder: Path, above: tuple[Path, ...]) -> Iterator[Path]:
    """The files in a folder and below it, sorted by their paths."""
    real = folder.resolve()
    if real in above:
        raise InputError(str(folder), "is a link to a folder that it is in")
    for path in _entries(folder):
        if path.is_dir():
            yield from _files(path, (*above, real))
        else:
            yield path


def _entries(folder: Path) -> list[Path]:
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise InputError(str(folder), f"cannot be read: {(error.strerror or str(error)).lower()}") from error
    return [path for path in entries if not path.name.startswith(".") and path.name.casefold() not in PASSED_OVER]
