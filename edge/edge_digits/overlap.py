"""Which of the rows that a model is measured on it knows from its training: a figure on those says little."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any

import numpy as np

from edge_digits.any_table import AnyTableReader
from edge_digits.errors import GateError
from edge_digits.metrics import Evaluation
from edge_digits.tables import Labels, Probabilities, Tiles

_DIGEST_BYTES = 16  # among a billion images two different ones share such a digest with a chance of 1e-21


class DataHash:
    """The SHA-256 of labelled tiles as they come: of all pixels, then all labels, as a training records it.

    It is the same for a .csv and the .csv.gz it came from. Of each row one byte is kept.
    """

    def __init__(self) -> None:
        self._pixels = hashlib.sha256()
        self._labels = bytearray()

    def add(self, tiles: Tiles, labels: Labels) -> None:
        """The next tiles (n, 28, 28) uint8 and their labels (n,) uint8."""
        self._pixels.update(np.ascontiguousarray(tiles).data)
        self._labels += labels.tobytes()

    def hexdigest(self) -> str:
        """Of all that was added, 64 hexadecimal digits."""
        whole = self._pixels.copy()
        whole.update(self._labels)
        return whole.hexdigest()


class TrainingTables:
    """The images that stand in tables, with labels or without: a hash of each, 16 bytes.

    `paths` are as TableReader takes them. `progress` is told the bytes of a table that are read and their total, None
    where it is not known. Raises TableError.
    """

    def __init__(self, paths: Sequence[str], progress: Callable[[int, int | None], None] | None = None) -> None:
        self.paths = tuple(paths)
        self.hashes: set[str] = set()
        """The DataHash of each table that has labels."""
        self._digests: set[bytes] = set()
        for path in paths:
            self._read(AnyTableReader(path), progress)

    def _read(self, table: AnyTableReader, progress: Callable[[int, int | None], None] | None) -> None:
        data = DataHash()
        labelled = False
        with closing(table.any_tiles()) as chunks:
            for tiles, labels in chunks:
                self._digests.update(map(hash_image, tiles))
                if labels is not None:
                    data.add(tiles, labels)
                    labelled = True
                if progress is not None:
                    progress(table.position, table.size)
        if labelled:
            self.hashes.add(data.hexdigest())

    def hold(self, tiles: Tiles) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Of tiles (n, 28, 28) uint8, (n,): whether an image with the same pixels stands in the tables."""
        return np.fromiter((hash_image(tile) in self._digests for tile in tiles), bool, len(tiles))


class Overlap:
    """Watches an evaluation for rows that a model was trained on.

    `trained_on` holds, for each model's name, what it says of that: the metadata `edge_digits.trained_on`. With
    `training` the images that stand in these tables are told from the others.
    """

    def __init__(self, trained_on: Mapping[str, str], training: TrainingTables | None = None) -> None:
        self._trained_on = {name: set(re.findall(r"\b[0-9a-f]{64}\b", said)) for name, said in trained_on.items()}
        self._training = training
        self._data = DataHash()
        self.seen = 0
        """Number of rows whose image stands in the training tables."""
        self.unseen = Evaluation() if training is not None else None
        """Of the rows whose image does not; None where no training tables are given."""

    def add(self, tiles: Tiles, labels: Labels, probabilities: Probabilities) -> None:
        """The next rows, (n, 28, 28), (n,) and (n, 10)."""
        self._data.add(tiles, labels)
        if self._training is not None and self.unseen is not None:
            new = ~self._training.hold(tiles)
            self.unseen += Evaluation.from_probabilities(probabilities[new], labels[new])
            self.seen += len(tiles) - int(new.sum())

    @property
    def learned_by(self) -> list[str]:
        """The models that were trained on exactly these rows, in this order, as far as they tell."""
        found = self._data.hexdigest()
        return [name for name, hashes in self._trained_on.items() if found in hashes]

    @property
    def elsewhere(self) -> list[str]:
        """The models that name other rows than those of the training tables as what they were trained on.

        Empty without such tables. What else a model has seen is not told from what is new to it.
        """
        if self._training is None:
            return []
        return [name for name, hashes in self._trained_on.items() if hashes - self._training.hashes]

    def gate(self, found: Evaluation, at_least: float) -> None:
        """Raises GateError where the accuracy of all rows, `found`, is below `at_least`, 0 to 1.

        With training tables the accuracy of the unseen rows is judged; that there are none is a failure, too.
        """
        judged, name = (found, "the accuracy") if self.unseen is None else (self.unseen, "the accuracy on unseen rows")
        if not judged.n:
            raise GateError("no row is unseen, so that the accuracy on new digits cannot be told")
        if judged.accuracy < at_least:
            raise GateError(f"{name} is {judged.accuracy:.5f}, less than {at_least:g}")

    def as_dict(self) -> dict[str, Any]:
        """As plain data for JSON; None stands for what is not known without training tables."""
        return {
            "trained_on_these_rows": self.learned_by,
            "seen": None if self.unseen is None else self.seen,
            "unseen": None if self.unseen is None else self.unseen.as_dict(),
        }

    def lines(self) -> list[str]:
        """As lines for people; empty where there is nothing to say."""
        lines = []
        if learned_by := self.learned_by:
            names = f"{' and '.join(learned_by)} {'was' if len(learned_by) == 1 else 'were'}"
            lines.append(f"overlap   these are the rows that {names} trained on: this says nothing about new digits")
        if self.unseen is not None and self._training is not None:
            places = ", ".join("stdin" if path == "-" else path for path in self._training.paths)
            count = f"{self.seen:,} of {self.seen + self.unseen.n:,}"
            lines.append(f"seen      {count}: their images stand in {places}, too")
            lines.append(f"unseen    {self.unseen.share() if self.unseen.n else '– (no row is new)'}")
        return lines


def hash_image(tile: Tiles) -> bytes:
    """The hash of a tile's pixels, (28, 28) uint8."""
    return hashlib.blake2b(tile.tobytes(), digest_size=_DIGEST_BYTES).digest()
