"""Rows of a table as a picture: a sheet of enlarged tiles, each with what is said of it below."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import PurePath

import numpy as np
import numpy.typing as npt

from edge_digits.errors import UsageError
from edge_digits.opencv import cv2
from edge_digits.show import ShownRow

Image = npt.NDArray[np.uint8]

_SCALE = 5  # pixels of the picture for one of a tile
_TILE = 28 * _SCALE
_FRAME = 5  # pixels around a tile, where a wrong answer is framed
_CAPTION = 52  # pixels below a tile, for two lines
_WIDTH, _HEIGHT = _TILE + 4 * _FRAME, _TILE + 2 * _FRAME + _CAPTION
_ASPECT = 3 / 2  # of the sheet, about that of a screen

_FONT = cv2.FONT_HERSHEY_DUPLEX
# Blue, green, red. The red is dark enough to be read on white (5.6 to 1), and no red-green blindness makes it black.
_PAPER, _TEXT, _FAINT, _WRONG = (255, 255, 255), (30, 30, 30), (110, 110, 110), (0, 60, 200)


def check_png(path: str, *, terminal: bool) -> None:
    """Refuses a `path` to write to that names another kind of file, or is a stdout that is a `terminal`: UsageError."""
    if PurePath(path).suffix.lower() not in ("", ".png"):
        raise UsageError(f"{path}: a grid is written as PNG: name a file that ends in .png")
    if path == "-" and terminal:
        raise UsageError("stdout is a terminal, where a PNG is no picture: name a file, or leave -o away")


def draw_sheet(rows: Sequence[ShownRow]) -> Image:
    """The sheet, (H, W, 3) uint8 BGR, on white; a wrong answer has a frame and a cross. ValueError without rows."""
    if not rows:
        raise ValueError("there are no rows to draw")
    columns = min(len(rows), math.ceil(math.sqrt(len(rows) * _ASPECT * _HEIGHT / _WIDTH)))
    lines = math.ceil(len(rows) / columns)
    sheet = np.full((lines * _HEIGHT + 2 * _FRAME, columns * _WIDTH + 2 * _FRAME, 3), _PAPER, np.uint8)
    for index, row in enumerate(rows):
        line, column = divmod(index, columns)
        top, left = _FRAME + line * _HEIGHT, _FRAME + column * _WIDTH
        _draw_cell(sheet[top : top + _HEIGHT, left : left + _WIDTH], row)
    return sheet


def encode_png(image: Image) -> bytes:
    """The bytes of a PNG file of `image`, (H, W) or (H, W, 3) uint8 BGR."""
    done, data = cv2.imencode(".png", image)
    if not done:  # of an array of any other shape or type
        raise ValueError(f"{image.dtype} of shape {image.shape} is no picture")
    return data.tobytes()


def _draw_cell(cell: Image, row: ShownRow) -> None:
    """Draws into `cell`, a part of the sheet."""
    side, margin = _TILE, 2 * _FRAME
    if row.wrong:
        cv2.rectangle(cell, (_FRAME, _FRAME), (margin + side + _FRAME - 1, margin + side + _FRAME - 1), _WRONG, -1)
    enlarged = row.tile.repeat(_SCALE, axis=0).repeat(_SCALE, axis=1)
    cell[margin : margin + side, margin : margin + side] = enlarged[..., np.newaxis]
    base = margin + side + 24
    left = margin
    if row.wrong:
        cv2.line(cell, (left + 1, base - 12), (left + 13, base), _WRONG, 3, cv2.LINE_AA)
        cv2.line(cell, (left + 13, base - 12), (left + 1, base), _WRONG, 3, cv2.LINE_AA)
        left += 22
    write_line(cell, row.said, (left, base), height=14, colour=_WRONG if row.wrong else _TEXT)
    small = f"row {row.number}   {row.percent}" if row.percent else f"row {row.number}"
    write_line(cell, small, (margin, base + 20), height=11, colour=_FAINT)


def write_line(cell: Image, text: str, at: tuple[int, int], height: int, colour: tuple[int, int, int]) -> None:
    """Text from the left end of its base line, `at`; smaller than `height` pixels where the cell is too narrow."""
    (width, tall), _ = cv2.getTextSize(text, _FONT, 1.0, 1)
    scale = min(height / tall, (cell.shape[1] - _FRAME - at[0]) / width)
    cv2.putText(cell, text, at, _FONT, scale, colour, 1, cv2.LINE_AA)
