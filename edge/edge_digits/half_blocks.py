"""Tiles in a terminal: each character shows two pixels, one over the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from itertools import zip_longest

import numpy as np
import numpy.typing as npt

from edge_digits.show import ShownRow

SIDE = 28
"""Characters that a tile is wide; it is half as many lines high."""
_GAP = 2  # characters between tiles
_INK = 96
"""From here on a pixel is ink where there are no greys: halfway would break the thinner strokes."""

_BLOCKS = np.array([" ", "▄", "▀", "█"])
_RESET, _BOLD, _ALARM = "\x1b[0m", "\x1b[1m", "\x1b[1;91m"

# The greys among a terminal's 256 colours, and their numbers: black, 24 steps, white (ECMA-48 as xterm extends it).
_GREYS = np.array([0, *range(8, 239, 10), 255])
_NUMBERS = np.array([16, *range(232, 256), 231])


class Colours(Enum):
    """What a terminal can show."""

    none = "none"
    """Ink or no ink, for pipes and files, too."""
    palette = "palette"
    """26 greys."""
    full = "full"
    """All 256."""

    @classmethod
    def of(cls, environment: Mapping[str, str], terminal: bool) -> Colours:
        """From the environment's NO_COLOR, TERM and COLORTERM, and whether stdout is a `terminal` at all."""
        if not terminal or environment.get("NO_COLOR") or environment.get("TERM", "dumb") == "dumb":
            return cls.none
        return cls.full if environment.get("COLORTERM") in ("truecolor", "24bit") else cls.palette


def draw_lines(rows: Sequence[ShownRow], width: int, colours: Colours) -> Iterator[str]:
    """The lines of a grid with as many columns as `width` characters hold, a title above each tile, then a blank line.

    One column is drawn even where the width has no room for it.
    """
    columns = max(1, (width + _GAP) // (SIDE + _GAP))
    for start in range(0, len(rows), columns):
        beside = rows[start : start + columns]
        yield (" " * _GAP).join(_title(row, colours) for row in beside).rstrip()
        for parts in zip(*(tile_lines(row.tile, colours) for row in beside), strict=True):
            yield (" " * _GAP).join(parts).rstrip()
        yield ""


def _title(row: ShownRow, colours: Colours) -> str:
    """As wide as a tile; longer ones are cut. A wrong answer has its mark, so that no one depends on its colour."""
    said = f"{row.said}, {row.percent}" if row.percent else row.said
    if row.label is None or row.answer is None:
        text, code = f"row {row.number}: {said}", _BOLD
    else:
        text, code = f"{'✗' if row.wrong else '✓'} {row.number}: {said}", _ALARM if row.wrong else _BOLD
    text = f"{text:{SIDE}.{SIDE}}"
    return text if colours is Colours.none else f"{code}{text}{_RESET}"


def draw_beside(tile: npt.NDArray[np.uint8], texts: Sequence[str], colours: Colours) -> Iterator[str]:
    """The lines of a tile, (28, 28) uint8, with the texts to its right, from its top."""
    for line, text in zip_longest(tile_lines(tile, colours), texts, fillvalue=""):
        yield f"{line}{' ' * _GAP}{text}".rstrip()


def tile_lines(tile: npt.NDArray[np.uint8], colours: Colours) -> list[str]:
    """The 14 lines of a tile, (28, 28) uint8, ink bright on black; each 28 characters wide."""
    upper, lower = tile[::2].astype(int), tile[1::2].astype(int)
    if colours is Colours.none:
        return ["".join(line) for line in _BLOCKS[2 * (upper >= _INK) + (lower >= _INK)]]
    return [_coloured(*pair, colours) for pair in zip(upper.tolist(), lower.tolist(), strict=True)]


def _coloured(upper: list[int], lower: list[int], colours: Colours) -> str:
    """A line of upper half blocks, the upper pixels in their foreground and the lower ones in their background."""
    parts, last = [], None
    for pair in zip(upper, lower, strict=True):
        if pair != last:
            parts.append(f"\x1b[38;{_grey(pair[0], colours)};48;{_grey(pair[1], colours)}m")
            last = pair
        parts.append("▀")
    return "".join([*parts, _RESET])


def _grey(value: int, colours: Colours) -> str:
    if colours is Colours.full:
        return f"2;{value};{value};{value}"
    return f"5;{_NUMBERS[np.abs(_GREYS - value).argmin()]}"
