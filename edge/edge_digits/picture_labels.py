"""labels.csv → the pictures that it names, with what they say."""

from __future__ import annotations

import csv
import io
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_digits.errors import TableError, UsageError

LABELS = "labels.csv"
NO_KIND = "pictures"
"""The kind of all pictures where labels.csv names none."""
MAX_BYTES = 64 << 20
"""Of labels.csv: enough for a million pictures."""
_TEXT = re.compile(r"(?:[0-9]+(?:;[0-9]+)*)?")


@dataclass(frozen=True, slots=True)
class LabelledPicture:
    """A picture and what it says."""

    file: str
    """Its path, from the folder of labels.csv."""
    path: str
    """The same, the folder included."""
    text: str
    """The digits, lines joined with newlines; "" where there is nothing to read."""
    kind: str = NO_KIND
    source: str = ""
    """Where it comes from."""


def load_labels(folder: str) -> list[LabelledPicture]:
    """The pictures that FOLDER/labels.csv names, in its order: columns file, text and, if there are, kind and source.

    Raises TableError, with its line, for what is missing, empty, named twice or no text.
    """
    table = f"{folder.rstrip('/') or folder or '.'}/{LABELS}"
    pictures: list[LabelledPicture] = []
    lines: dict[str, int] = {}
    for line, row in _rows(table, _text(table)):
        picture = _labelled(table, line, row)
        if picture.file in lines:
            raise TableError(table, f"{_cut(picture.file)!r} stands in line {lines[picture.file]}, too", line)
        if not os.path.isfile(picture.path):  # noqa: PTH113 – Path's raises for a name too long
            raise TableError(table, f"there is no file {_cut(picture.path)!r}", line)
        lines[picture.file] = line
        pictures.append(picture)
    if not pictures:
        raise TableError(table, "names no picture")
    return pictures


def choose_kinds(pictures: Sequence[LabelledPicture], only: str) -> list[LabelledPicture]:
    """The pictures of these kinds, separated by commas. Raises UsageError for one that no picture has."""
    asked = [kind.strip() for kind in only.split(",")]
    known = list(dict.fromkeys(picture.kind for picture in pictures))
    for kind in asked:
        if kind not in known:
            raise UsageError(f"--only: there are no pictures of the kind {kind!r}, only of {', '.join(known)}")
    return [picture for picture in pictures if picture.kind in asked]


def _text(path: str) -> str:
    """What the file holds. Raises TableError."""
    try:
        known = Path(path).stat()
        if not stat.S_ISREG(known.st_mode):
            raise TableError(path, "is not a regular file")
        if known.st_size > MAX_BYTES:
            raise TableError(path, f"is larger than {MAX_BYTES >> 20} MB, which no list of pictures is")
        data = Path(path).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror or "cannot be read" if isinstance(error, OSError) else str(error)
        expected = "a folder of pictures with a labels.csv (file,text,kind,source) is expected"
        raise TableError(path, f"{reason.lower()}; {expected}") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TableError(path, "is not UTF-8", data.count(b"\n", 0, error.start) + 1) from error


def _rows(path: str, text: str) -> Iterator[tuple[int, dict[str, str]]]:
    """(line, cells by column) of a table with a header. Raises TableError."""
    table = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] | None = None
    line = 0
    try:
        for row in table:
            first, line = line + 1, table.line_num
            if not row:
                continue
            if header is None:
                header = [name.strip() for name in row]
                for name in ("file", "text"):
                    if header.count(name) != 1:
                        raise TableError(path, f"needs one column {name!r}, and has {_cut(', '.join(header))}", first)
            elif len(row) != len(header):
                raise TableError(path, f"has {len(row)} cells, and the header {len(header)}", first)
            else:
                yield first, dict(zip(header, row, strict=True))
    except csv.Error as error:
        raise TableError(path, f"is no CSV ({error})", line + 1) from error


def _cut(text: str) -> str:
    """Short enough for an error."""
    return text if len(text) <= 100 else text[:99] + "…"


def _labelled(table: str, line: int, row: dict[str, str]) -> LabelledPicture:
    """A row as a picture. Raises TableError."""
    text, kind = row["text"], row.get("kind", NO_KIND)
    if not row["file"]:
        raise TableError(table, "names no file", line)
    if not _TEXT.fullmatch(text):
        raise TableError(table, f"the text {_cut(text)!r} is not digits, lines separated by ';'", line)
    if not kind:
        raise TableError(table, "names no kind", line)
    path = table.removesuffix(LABELS) + row["file"]
    return LabelledPicture(row["file"], path, text.replace(";", "\n"), kind, row.get("source", ""))
