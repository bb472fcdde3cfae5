"""The rows of a table in which nothing stands but digits, commas and line ends, all at once: Kaggle's are so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

_COMMA, _LINE_FEED, _CARRIAGE_RETURN = b",\n\r"
_LONGEST_CELL = 4  # bytes: three digits, and a comma


class PlainRows:
    """The rows at the front of a table, as far as they are plain.

    `chunks` is its text, `names` are those of its columns. Iteration gives cells, (n, columns) uint8; a column called
    label has 0 to 9. It ends where anything is not as it should be, or may be: that is left in `rest` and `chunks`.
    """

    def __init__(self, chunks: Iterable[bytes], names: tuple[str, ...]) -> None:
        self._chunks, self._names = chunks, names
        self.rest = b""
        """Text that was taken from the chunks and is still to be read."""
        self.line = 1
        """The number of the line that it begins with."""

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        longest = _LONGEST_CELL * len(self._names) + len(b"\r")
        for chunk in self._chunks:
            self.rest += chunk
            if self.line == 1 and not self._pass_header():
                return
            end = self.rest.rfind(b"\n") + 1
            if end:
                cells = parse_plain(memoryview(self.rest)[:end], len(self._names))
                if cells is None or (self._names[0] == "label" and cells[:, 0].max() > 9):
                    return
                self.rest = self.rest[end:]
                self.line += len(cells)
                yield cells
            if len(self.rest) > longest:
                return

    def _pass_header(self) -> bool:
        header, end, rest = self.rest.partition(b"\n")
        if not end or header.removesuffix(b"\r") != ",".join(self._names).encode():
            return False
        self.rest, self.line = rest, 2
        return True


def parse_plain(text: bytes | memoryview, columns: int) -> NDArray[np.uint8] | None:
    """The cells of whole lines, (n, columns); None where one has other than 1 to 3 digits, or is more than 255.

    Lines end in "\\n" or in "\\r\\n", all of them alike.
    """
    padded = np.frombuffer(b"".join((b",,,", text)), np.uint8)  # so that the three bytes before each can be looked at
    values = padded - np.uint8(ord("0"))
    digits, feeds, returns = values < 10, padded == _LINE_FEED, padded == _CARRIAGE_RETURN
    line_ends = returns if returns.any() else feeds
    ends = (padded == _COMMA) | line_ends
    if line_ends is returns and not np.array_equal(returns[:-1], feeds[1:]):
        return None
    if not (digits | ends | feeds).all() or _is_any_empty_or_too_long(digits, ends):
        return None
    places = np.flatnonzero(ends[3:])
    if len(places) % columns or not np.array_equal(places[columns - 1 :: columns], np.flatnonzero(line_ends[3:])):
        return None
    values *= digits
    hundreds = (values[:-3] * digits[1:-2])[places]
    rest = (values[1:-2] * np.uint8(10) + values[2:-1])[places]
    if hundreds.max(initial=0) > 2 or rest[hundreds == 2].max(initial=0) > 55:
        return None
    return np.asarray(hundreds * np.uint8(100) + rest, np.uint8).reshape(-1, columns)


def _is_any_empty_or_too_long(digits: NDArray[np.bool_], ends: NDArray[np.bool_]) -> bool:
    """Whether any cell is, by where digits and ends of cells are, (n,) each."""
    too_long = digits[3:] & digits[2:-1] & digits[1:-2] & digits[:-3]
    return bool((too_long | (ends[3:] & ~digits[2:-1])).any())
