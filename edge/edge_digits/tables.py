"""CSV rows → tiles in chunks; the submission file.

A table is what Kaggle's Digit Recognizer hands out: a header, then one tile a row, its 784 pixels from 0 to 255, row by
row from the top left; in train.csv the label stands in front. Cells are plain whole numbers, quoted or not. Nothing
else passes: a figure that a lenient parser would bend into shape is a damaged file.
"""

from __future__ import annotations

import codecs
import io
import re
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from itertools import chain, islice
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import BinaryIO, TextIO

import numpy as np
import numpy.typing as npt

from edge_digits.errors import TableError
from edge_digits.parallel import map_ahead
from edge_digits.plain_rows import PlainRows

Tiles = npt.NDArray[np.uint8]
"""(n, 28, 28), 0 to 255, ink bright on black."""
Labels = npt.NDArray[np.uint8]
"""(n,), 0 to 9."""
Cells = npt.NDArray[np.uint8 | np.int64]
"""(n, columns), each within its range."""
Probabilities = npt.NDArray[np.float32]
"""(n, 10), 0 to 1."""

_PIXELS = tuple(f"pixel{i}" for i in range(784))
_ROWS = 256  # of a chunk: loadtxt, which reads what is not plain, lets no other thread run, for 3 ms with these
_CHUNK = 128 * 1024  # bytes read or unpacked at a time: what is reckoned of them fits a cache
_LINE_LIMIT = 64 * 1024  # bytes; a row of 785 quoted cells of three digits has 4,709
_PACKED = 100  # times its size that a file may unpack to: digits do to 8 times, and blank rows to 1,000 …
_PIPED = 64 * 1024 * 1024  # bytes of a zip archive that comes through a pipe; Kaggle's has 13
_UNPACKED = 256 * 1024 * 1024  # bytes … once it is larger than five of Kaggle's tables
_BOM = codecs.BOM_UTF8
# What zipfile raises for damaged archives, besides the error of that name.
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, RuntimeError, OverflowError)


class _Counter(Iterator[bytes]):
    """Lines, and how many of the table's have been read."""

    def __init__(self, lines: Iterator[bytes], count: int) -> None:
        self._lines = lines
        self.count = count

    def __next__(self) -> bytes:
        line = next(self._lines)
        self.count += 1
        return line


class TableReader:
    """The rows of a table, read once from front to back in bounded memory.

    `path` is a CSV file, plain or packed with gzip or zip (its content tells which, not its name), or `-` for stdin.
    `rows` is the number of rows of a chunk; the last one may have fewer, and so may the last before one that is not
    plain (`plain_rows`). Raises TableError for a file that cannot be opened, and from the iterators for one that cannot
    be read.
    """

    position: int
    """Bytes of the file, as stored, that have been read so far."""
    size: int | None
    """Bytes of the file as stored; None where that is not known, as for a pipe."""

    def __init__(self, path: str, rows: int = _ROWS) -> None:
        if rows < 1:
            raise ValueError(f"rows is {rows}, less than 1")
        self.path = path
        self.rows = rows
        self.position = 0
        self.size = _stored_size(path)

    def tiles(self) -> Generator[Tiles, None, None]:
        """The tiles of a table without labels, in chunks."""
        for values in self._values(_PIXELS):
            yield _as_tiles(values)

    def labelled_tiles(self) -> Generator[tuple[Tiles, Labels], None, None]:
        """The tiles and labels of a table whose first column is `label`, in chunks."""
        for values in self._values(("label", *_PIXELS)):
            yield _as_tiles(values[:, 1:]), values[:, 0].astype(np.uint8)

    def _values(self, names: tuple[str, ...]) -> Generator[Cells, None, None]:
        """The cells of up to `rows` rows at a time, (n, columns), each within its range."""
        with closing(self._chunks()) as chunks:
            plain = PlainRows(chunks, names)
            yield from _in_chunks(self._told_where(plain), self.rows)
            lines = _lines(chain([plain.rest], chunks), first=plain.line == 1)
            if plain.line == 1:
                _check_header(self.path, next(lines, None), names)
                plain.line = 2
            number = plain.line
            numbered = _Counter(lines, number - 1)
            while block := self._block(numbered):
                values = _parse(block, len(names))
                yield _parse_slowly(self.path, block, number, names) if values is None else values
                number += len(block)
            if number == 2:
                raise TableError(self.path, "has a header but no rows")

    def _told_where(self, plain: PlainRows) -> Iterator[Cells]:
        """The rows. What ends the file before its time is told with the line that could not be read."""
        try:
            yield from plain
        except TableError as error:
            known = error.line is not None or plain.line == 1
            raise error if known else TableError(self.path, error.reason, plain.line) from error

    def _block(self, lines: _Counter) -> list[bytes]:
        """The next lines. What ends the file before its time is told likewise."""
        try:
            return list(islice(lines, self.rows))
        except TableError as error:
            raise error if error.line is not None else TableError(self.path, error.reason, lines.count + 1) from error

    def _chunks(self) -> Generator[bytes, None, None]:
        """The text of the table, unpacked, in pieces of bounded size."""
        with _explained(self.path), _opened(self.path) as file:
            head = file.read(_CHUNK)
            self.position = len(head)
            if head.startswith((b"PK\3\4", b"PK\5\6")):
                text = self._unpacked(self._unzipped(head, file))
            elif head.startswith(b"\x1f\x8b"):
                text = self._unpacked(_gunzipped(self.path, self._stored(head, file)))
            else:
                text = self._stored(head, file)
            first = next(text, b"")
            if not first:
                raise TableError(self.path, "is empty")
            if not _is_text(first[:4096]):
                raise TableError(self.path, "is not a CSV file")
            yield first
            yield from text

    def _stored(self, head: bytes, file: BinaryIO) -> Iterator[bytes]:
        chunk = head
        while chunk:
            yield chunk
            chunk = file.read(_CHUNK)
            self.position += len(chunk)

    def _unpacked(self, text: Iterator[bytes]) -> Iterator[bytes]:
        """The text, as long as it is not out of all proportion to what it was packed in: a bomb would fill the disk."""
        size = 0
        for chunk in text:
            size += len(chunk)
            if size > max(_UNPACKED, _PACKED * self.position):
                raise TableError(self.path, f"unpacks to more than {_PACKED} times its size: no table of digits does")
            yield chunk

    def _unzipped(self, head: bytes, file: BinaryIO) -> Iterator[bytes]:
        """The one file in a zip archive. What a pipe brings is kept in memory, as an archive is read from its end."""
        with ExitStack() as stack:
            if not file.seekable():
                packed = head + file.read(_PIPED)
                if len(packed) > _PIPED:
                    raise TableError(self.path, f"is a zip archive of more than {_PIPED:,} bytes: name it as a file")
                file = io.BytesIO(packed)
            try:
                archive = stack.enter_context(zipfile.ZipFile(file))
                member = stack.enter_context(archive.open(_only_member(self.path, archive)))
                while chunk := member.read(_CHUNK):
                    self.position = file.tell()
                    yield chunk
            except _ZIP_ERRORS as error:
                raise TableError(self.path, f"is a damaged zip archive ({str(error) or 'it is cut off'})") from error
            self.position = file.seek(0, io.SEEK_END)


def submit(
    source_paths: Sequence[str],
    classify: Callable[[Tiles], Probabilities],
    out: TextIO,
    *,
    probabilities: bool = False,
    progress: Callable[[int, int | None], None] | None = None,
) -> int:
    """Classifies the tables one after the other, writes the submission to `out`, and returns its number of rows.

    The ids start at 1 and go on from table to table. With `probabilities` each row also lists those of the ten digits.
    `progress` is told the bytes that are done and their total, None where it is not known. Raises TableError.
    """
    readers = [TableReader(path) for path in source_paths]
    sizes = [reader.size for reader in readers]
    total = None if None in sizes else sum(size or 0 for size in sizes)
    rows = done = 0
    for reader in readers:
        with closing(map_ahead(lambda chunk: (classify(chunk[0]), chunk[1]), _with_position(reader))) as chunks:
            for scores, position in chunks:
                write_submission(out, rows + 1, scores.argmax(axis=1), scores if probabilities else None)
                rows += len(scores)
                if progress is not None:
                    progress(done + position, total)
        done += reader.position
    return rows


def write_submission(
    out: TextIO, first_id: int, labels: npt.NDArray[np.integer], probabilities: Probabilities | None = None
) -> None:
    """Writes a row for each of labels (n,), numbered from `first_id`; before row 1 goes the header.

    With probabilities (n, 10) their columns p0 to p9 follow the label, to six decimals.
    """
    if first_id == 1:
        extra = "" if probabilities is None else "".join(f",p{digit}" for digit in range(10))
        out.write(f"ImageId,Label{extra}\n")
    if probabilities is None:
        out.write("".join(f"{i},{label}\n" for i, label in enumerate(labels.tolist(), first_id)))
    else:
        form = "%d,%d" + ",%.6f" * 10 + "\n"
        rows = zip(labels.tolist(), probabilities.tolist(), strict=True)
        out.write("".join(form % (i, label, *row) for i, (label, row) in enumerate(rows, first_id)))


def _with_position(reader: TableReader) -> Generator[tuple[Tiles, int], None, None]:
    """Tiles with the position they were read up to: the reader runs ahead of what is done with them."""
    for tiles in reader.tiles():
        yield tiles, reader.position


def _as_tiles(values: Cells) -> Tiles:
    return values.astype(np.uint8, copy=False).reshape(-1, 28, 28)


def _in_chunks(parts: Iterable[Cells], rows: int) -> Iterator[Cells]:
    """The same rows, so many at a time."""
    held: Cells = np.zeros((0, 0), np.uint8)
    for part in parts:
        held = np.concatenate([held, part]) if len(held) else part
        whole = len(held) // rows * rows
        yield from (held[start : start + rows] for start in range(0, whole, rows))
        held = held[whole:]
    if len(held):
        yield held


# ---- The file ----


def _stored_size(path: str) -> int | None:
    if path == "-":
        return None
    with _explained(path):
        status = Path(path).stat()
    if S_ISDIR(status.st_mode):
        raise TableError(path, "is a folder, not a CSV file")
    return status.st_size if S_ISREG(status.st_mode) else None


@contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    if path != "-":
        with Path(path).open("rb") as file:
            yield file
    elif sys.stdin is None:
        raise TableError(path, "stdin is closed")
    else:
        try:
            fd = sys.stdin.fileno()
        except io.UnsupportedOperation:
            yield sys.stdin.buffer  # a stand-in, as in tests
            return
        # A buffer of its own: Python dies at its exit when a thread then waits inside that of sys.stdin.
        with open(fd, "rb", closefd=False) as file:
            yield file


@contextmanager
def _explained(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TableError(path, (error.strerror or str(error)).lower()) from error
    except ValueError as error:  # a NUL in the name
        raise TableError(path, str(error)) from error


def _is_text(head: bytes) -> bool:
    """Whether `head`, which may end within a character, is UTF-8 without control characters."""
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(head)
    except UnicodeDecodeError:
        return False
    return not re.search(r"[^\t\n\r -~\x80-\U0010ffff]", text)


def _gunzipped(path: str, packed: Iterator[bytes]) -> Iterator[bytes]:
    """What all members of a gzip file hold; zeros after the last are padding."""
    inflater = zlib.decompressobj(wbits=31)
    for chunk in packed:
        rest = chunk
        while rest:
            if inflater.eof:
                rest = rest.lstrip(b"\0")
                if not rest:
                    break
                if not rest.startswith(b"\x1f"):
                    raise TableError(path, "has something else after the end of its gzip data")
                inflater = zlib.decompressobj(wbits=31)
            try:
                text = inflater.decompress(rest, _CHUNK)
            except zlib.error as error:
                raise TableError(path, f"is a damaged gzip file ({error})") from error
            rest = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
            if text:
                yield text
    if not inflater.eof:
        raise TableError(path, "is a truncated gzip file")


def _only_member(path: str, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    members = [m for m in archive.infolist() if not m.filename.startswith("__MACOSX/") and not m.filename.endswith("/")]
    if len(members) != 1:
        raise TableError(path, f"is a zip archive of {len(members)} files; one CSV file is expected in it")
    (member,) = members
    if "/" in member.filename or "\\" in member.filename:
        raise TableError(path, f"is a zip archive with a path in it, {_shown(member.filename)}: zip the CSV file alone")
    if member.flag_bits & 1:
        raise TableError(path, "is an encrypted zip archive")
    if member.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise TableError(path, "is a zip archive whose compression is not deflate")
    return member


def _lines(chunks: Iterable[bytes], *, first: bool) -> Iterator[bytes]:
    """Lines without their ends; `first` where the first of the table is among them.

    Blank ones at the end of the text are left out, elsewhere several come as one.
    Ends at a line over the limit, which comes cut but still over it.
    """
    rest, blank = b"", False
    for chunk in chain(chunks, [b"\n"]):  # the last line may lack its end
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > _LINE_LIMIT:
            lines.append(rest)
        for line in lines:
            text = line.removesuffix(b"\r")
            if first:
                text, first = text.removeprefix(_BOM), False
            if text.strip():
                if blank:
                    yield b""
                yield text
                blank = False
            else:
                blank = True
            if len(line) > _LINE_LIMIT:
                return


# ---- The header and the cells ----


def _check_header(path: str, line: bytes | None, names: tuple[str, ...]) -> None:
    if line is None:
        raise TableError(path, "is empty")
    if fault := _header_fault(line, names):
        raise TableError(path, fault, line=1)


def _header_fault(line: bytes, names: tuple[str, ...]) -> str | None:
    """What is wrong with the first line, or None where it holds just `names`."""
    if len(line) > _LINE_LIMIT:
        return f"longer than {_LINE_LIMIT} bytes"
    cells = [_unquoted(cell) for cell in line.decode("utf-8", "backslashreplace").split(",")]
    if tuple(cells) == names:
        return None
    labelled = names[0] == "label"
    expected = f"the header {'label, ' if labelled else ''}pixel0 to pixel783 is expected"
    if all(re.fullmatch(r"[-+.\deE]+", cell) for cell in cells):
        return f"numbers where {expected}"
    if any(cell.lower() == "imageid" for cell in cells):
        return f"it has an ImageId column; {expected}, as in Kaggle's own files"
    if cells == ["label", *_PIXELS]:
        return "it has a label column: use edge-digits evaluate"
    if not labelled and "label" in cells:
        return f"it has a label column, but is not as Kaggle's train.csv, which edge-digits evaluate reads; {expected}"
    if labelled and cells == list(_PIXELS):
        return "it has no label column, so there is nothing to compare with: edge-digits submit is for such files"
    if len(cells) != len(names):
        return f"{_columns(cells)}, not {len(names)}; {expected}"
    index = next(i for i, (cell, name) in enumerate(zip(cells, names, strict=True)) if cell != name)
    return f"column {index + 1} is {_shown(cells[index])}, not {names[index]}; {expected}"


def _parse(lines: list[bytes], columns: int) -> npt.NDArray[np.int64] | None:
    """The cells of `lines`, (n, columns); None where anything is wrong with them or not plain to see.

    Accepts nothing that `_parse_slowly` would refuse.
    """
    block = b"\n".join(lines)
    if block.translate(None, b'0123456789,"\n') or b"" in lines:  # loadtxt skips blank lines, and strips spaces
        return None
    if b'"' in block:  # loadtxt reads "1"0 as 10; a quote that closes a cell must end it
        ending = block.count(b'",') + block.count(b'"\n') + block.endswith(b'"')
        if block.count(b'"') != 2 * ending:
            return None
    if max(map(len, lines)) > _LINE_LIMIT:
        return None
    try:
        # Wider than the cells need: loadtxt of numpy 1 wraps what overflows, and in int64 nothing wraps to 0 to 255.
        values = np.loadtxt(
            lines, np.int64, comments=None, delimiter=",", quotechar='"', ndmin=2, encoding="ascii", max_rows=len(lines)
        )
    except (ValueError, DeprecationWarning):  # the latter where warnings are errors
        return None
    if values.shape != (len(lines), columns) or values.min() < 0 or values.max() > 255:
        return None
    if columns > len(_PIXELS) and values[:, 0].max() > 9:
        return None
    return values


def _parse_slowly(path: str, lines: list[bytes], first: int, names: tuple[str, ...]) -> npt.NDArray[np.int64]:
    """As `_parse`, cell by cell, to find what is wrong and where; `first` is the number of the first of the lines."""
    rows = []
    for number, line in enumerate(lines, first):
        if len(line) > _LINE_LIMIT:
            raise TableError(path, f"longer than {_LINE_LIMIT} bytes", number)
        if not line:
            raise TableError(path, "is blank", number)
        cells = line.decode("utf-8", "backslashreplace").split(",")
        if len(cells) != len(names):
            raise TableError(path, f"{_columns(cells)}, not {len(names)}", number)
        row = []
        for name, cell in zip(names, cells, strict=True):
            highest = 9 if name == "label" else 255
            text = _unquoted(cell)
            if fault := _cell_fault(text, highest):
                raise TableError(path, f"column {name}: {fault}", number)
            row.append(int(text.lstrip("0") or "0"))
        rows.append(row)
    return np.array(rows, np.int64)


def _cell_fault(text: str, highest: int) -> str | None:
    """Why the text of a cell is not a plain whole number from 0 to `highest`; None where it is one."""
    if not text:
        return "is empty"
    whole = re.fullmatch(r"([-+]?)0*([0-9]*)", text)
    if whole and (whole[1] == "-" or len(whole[2]) > 3 or int(whole[2] or 0) > highest) and re.search(r"[1-9]", text):
        return f"{_shown(text)} is outside 0 to {highest}"
    if whole and not whole[1]:
        return None
    if re.fullmatch(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?", text):
        return f"{_shown(text)} is not a plain whole number"
    return f"{_shown(text)} is not a number"


def _unquoted(cell: str) -> str:
    return cell[1:-1] if len(cell) > 1 and cell[0] == cell[-1] == '"' else cell


def _shown(text: str) -> str:
    """Quoted, on one line, and short enough for an error."""
    if len(text) <= 20:
        return ascii(text)
    quoted = ascii(text[:19])
    return f"{quoted[:-1]}…{quoted[-1]}"


def _columns(cells: list[str]) -> str:
    """How many there are; and where the last is empty, so that a comma too many is found."""
    last = f" (column {len(cells)} is empty: a comma at the end)" if len(cells) > 1 and not cells[-1] else ""
    return ("1 column" if len(cells) == 1 else f"{len(cells)} columns") + last
