"""What `classify` writes beside its records: of each picture a drawing, a sheet that explains it, and its tiles."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path, PurePath

import numpy as np
from numpy.typing import NDArray

from edge_digits.draw import draw_reading
from edge_digits.errors import OutputError, OutputExistsError
from edge_digits.explain import Explanation, explain, text_lines
from edge_digits.explain_sheet import draw_explanation
from edge_digits.half_blocks import Colours
from edge_digits.images import PictureSource
from edge_digits.outputs import make_folder, open_output
from edge_digits.reader import Reader, Trace
from edge_digits.reading import Record
from edge_digits.sheet import encode_png

_MAX_NAME = 200
"""Bytes: a file system takes 255, and what tells the files of a picture apart comes on top."""
_UNFIT = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')
"""What file names cannot have on one system or another."""
_MAGIC = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for beside the records; None for what is not."""

    save: Path | None = None
    """NAME-read.png: the picture with its boxes, digits and confidences."""
    explain: Path | None = None
    """NAME-explained.png: the steps that led to the reading."""
    crops: Path | None = None
    """0/ to 9/, with NAME-1.png and so on: the tiles by what they were read as, as `train --data` takes them."""
    show: Colours | None = None
    """Print the tiles, in these colours."""


class PictureFiles:
    """Reads pictures, and writes and says what is asked for of each.

    pictures: all that will be read; each gets a name of its own, whatever folders they come from.
    arguments: the PATHs that they were found by.

    Makes the folders. Raises OutputError where that cannot be done, and OutputExistsError where a file of one of the
    pictures stands there already and `force` is not given.
    """

    def __init__(
        self, asked: Asked, pictures: Sequence[PictureSource], arguments: Sequence[str], *, force: bool
    ) -> None:
        self._asked, self._pictures, self._force = asked, pictures, force
        self._names = name_pictures([picture.source for picture in pictures], arguments)
        self._crops = [] if asked.crops is None else [asked.crops / str(digit) for digit in range(10)]
        for folder in (asked.save, asked.explain, *self._crops):
            if folder is not None:
                make_folder(folder)
        if not force:
            self._refuse_existing()

    def read(self, number: int, reader: Reader, top: int = 0) -> tuple[Record, list[str]]:
        """The record of picture `number`, from 0, and what stands below it as text; its files are written."""
        record, trace = reader.record_and_trace(self._pictures[number], top)
        if trace is None:
            return record, []
        explanation = explain(trace)
        self._write_files(number, trace, explanation)
        below = text_lines(explanation, tiles=self._asked.show, words=self._asked.explain is not None)
        return record, list(below)

    def _write_files(self, number: int, trace: Trace, explanation: Explanation) -> None:
        if save := self._read_path(number):
            self._write(save, draw_reading(trace.image, trace.reading))
        if sheet := self._explained_path(number):
            self._write(sheet, draw_explanation(self._pictures[number].source, trace, explanation))
        if self._crops:
            for place, tile in enumerate(explanation.tiles, start=1):
                if tile.read is not None:
                    self._write_crop(tile.read.digit, f"{self._names[number]}-{place}.png", tile.tile)

    def _read_path(self, number: int) -> Path | None:
        folder = self._asked.save
        return folder and folder / f"{self._names[number]}-read.png"

    def _explained_path(self, number: int) -> Path | None:
        folder = self._asked.explain
        return folder and folder / f"{self._names[number]}-explained.png"

    def _write_crop(self, digit: int, name: str, tile: NDArray[np.uint8]) -> None:
        """A tile that stands in another digit's folder from before is replaced, not contradicted."""
        self._write(self._crops[digit] / name, tile)
        for folder in self._crops if self._force else ():
            if folder != self._crops[digit]:
                with _explained(folder / name, "replaced"):
                    (folder / name).unlink(missing_ok=True)

    def _write(self, path: Path, image: NDArray[np.uint8]) -> None:
        with open_output(os.fspath(path), force=self._force, binary=True) as out:
            out.write(encode_png(image))

    def _refuse_existing(self) -> None:
        """Before any work is done."""
        cropped: dict[str, Path] = {}
        for folder in self._crops:
            with _explained(folder, "searched"):
                cropped.update((path.name.rpartition("-")[0], path) for path in folder.iterdir())
        for number, name in enumerate(self._names):
            for path in (self._read_path(number), self._explained_path(number), cropped.get(name)):
                if path is not None and os.path.lexists(path):
                    raise OutputExistsError(f"{path}: exists already; --force replaces it")


def name_pictures(sources: Sequence[str], arguments: Sequence[str]) -> list[str]:
    """A name for the files of each picture, no two the same: its path below the folder or the pattern that was asked
    for, joined with "-", without its ending; a number behind it tells apart what would be the same.
    """
    # A folder's own path, a file's folder, what stands before a pattern's first * – whichever is the longest.
    tops = {top for argument in arguments for top in (argument.rstrip("/"), _folder(argument), _before_magic(argument))}
    longest_first = sorted(tops, key=len, reverse=True)
    taken: set[str] = set()
    names = []
    for source in sources:
        below = next((source[len(top) + 1 :] for top in longest_first if source.startswith(f"{top}/")), source)
        first = "stdin" if source == "-" else _fitting_name(below)
        numbered = (f"{first}-{number}" for number in count(2))
        name = first
        while name.casefold() in taken:  # some file systems do not tell a from A
            name = next(numbered)
        taken.add(name.casefold())
        names.append(name)
    return names


def _folder(argument: str) -> str:
    return argument.rpartition("/")[0]


def _before_magic(argument: str) -> str:
    return _folder(_MAGIC.split(argument, maxsplit=1)[0])


def _fitting_name(path: str) -> str:
    """A path as a file name, without its ending."""
    parts = [part for part in PurePath(path).with_suffix("").parts if part not in ("/", "..")]
    name = _UNFIT.sub("_", "-".join(parts)).lstrip(".")  # a leading dot would hide it
    if len(os.fsencode(name)) > _MAX_NAME:
        name = os.fsencode(name)[:_MAX_NAME].decode(errors="ignore")
    return name or "picture"


@contextmanager
def _explained(path: Path, done: str) -> Iterator[None]:
    """Turns the system's errors into ours, which say what could not be `done`."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path}: cannot be {done} ({(error.strerror or str(error)).lower()})") from error
