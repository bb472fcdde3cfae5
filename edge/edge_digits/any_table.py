"""A table with labels or without: its header tells which, even where it can be read only once, as from a pipe."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import closing
from itertools import chain

from edge_digits.tables import Labels, TableReader, Tiles

_HEADER_LIMIT = 64 * 1024  # bytes; what is longer is no header, and refused as such when the lines are read
_LABELLED_COLUMNS = 785


class AnyTableReader(TableReader):
    """A TableReader for tables like train.csv and like test.csv alike."""

    _text: Iterable[bytes] = ()

    def any_tiles(self) -> Generator[tuple[Tiles, Labels | None], None, None]:
        """The tiles in chunks, with their labels where the table has them. Raises TableError."""
        with closing(super()._chunks()) as chunks:
            head = b""
            for chunk in chunks:
                head += chunk
                if b"\n" in head or len(head) > _HEADER_LIMIT:
                    break
            self._text = chain([head], chunks)
            if _has_labels(head):
                yield from self.labelled_tiles()
            else:
                for tiles in self.tiles():
                    yield tiles, None

    def _chunks(self) -> Generator[bytes, None, None]:
        yield from self._text


def _has_labels(head: bytes) -> bool:
    """Whether the table is, or is meant to be, one with labels: what is wrong with its header is told accordingly."""
    cells = head.partition(b"\n")[0].split(b",")
    return len(cells) == _LABELLED_COLUMNS or any(cell.strip(b'\xef\xbb\xbf "\r').lower() == b"label" for cell in cells)
