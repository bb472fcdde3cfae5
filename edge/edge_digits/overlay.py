"""A frame as it is shown and recorded: at the size of a screen, with what is read, and below it what the keys do."""

from __future__ import annotations

import numpy as np

from edge_digits.draw import Marks, draw_marks, legible_scale, percent, scaled
from edge_digits.opencv import cv2
from edge_digits.reading import Box, Digit
from edge_digits.sheet import write_line
from edge_digits.steady import Look
from edge_digits.tiles import SIDE
from edge_digits.video import Image
from edge_digits.window import LARGEST

HELP = "q quit   space pause   s save   d what the network saw   r record"
HELP_PAUSED = "space go on   tab or click: choose a digit   0-9 save it as that digit   s save   q quit"

_STRIP, _GAP = 26, 6  # pixels: height of the help line, and between things
_TILE = 3 * SIDE
_GROUND, _TEXT, _FAINT = (40, 28, 20), (255, 255, 255), (190, 180, 170)  # blue, green, red
_NARROWEST = 480  # pixels: the help line needs them


def display_scale(image: Image) -> float:
    """What a frame is to be multiplied with: a whole number where it is small, a share where it is large."""
    height, width = image.shape[:2]
    shrink = min(1.0, LARGEST[0] / width, LARGEST[1] / height)
    return shrink if shrink < 1 else legible_scale(image)


def draw_look(look: Look, status: str, chosen: Box | None = None) -> Image:
    """What is read in a frame, on a copy of it at display size, (H, W, 3) uint8 BGR; `status` in its corner."""
    image, scale = look.frame.image, display_scale(look.frame.image)
    canvas = np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image.copy()
    if scale != 1:
        size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
        canvas = np.asarray(cv2.resize(canvas, size, interpolation=how), np.uint8)
    reading = scaled(look.reading, scale)
    boxes = [digit.box for digit in look.reading.digits]
    doubtful = frozenset(d.box for box, d in zip(boxes, reading.digits, strict=True) if box not in look.told)
    at = reading.digits[boxes.index(chosen)].box if chosen in boxes else None
    draw_marks(canvas, reading, Marks(status=status, doubtful=doubtful, chosen=at))
    return canvas


def draw_help(picture: Image, line: str) -> Image:
    """`picture` with a line of text below it."""
    strip = np.full((_STRIP, max(picture.shape[1], _NARROWEST), 3), _GROUND, np.uint8)
    write_line(strip, line, (_GAP, _STRIP - 9), height=11, colour=_TEXT)
    return _stack(picture, strip)


def draw_panel(picture: Image, look: Look, chosen: Box | None = None) -> Image:
    """`picture` with what the network saw of each digit below it, and what it made of it."""
    width = max(picture.shape[1], _NARROWEST)
    panel = np.full((_TILE + 3 * _GAP + 16, width, 3), _GROUND, np.uint8)
    room = (width - _GAP) // (_TILE + _GAP)
    digits = look.reading.digits
    if not digits:
        write_line(panel, "no digit in view", (_GAP, 24), height=11, colour=_FAINT)
    for place, digit in enumerate(digits[:room]):
        left = _GAP + place * (_TILE + _GAP)
        _draw_tile(panel[:, left : left + _TILE], look, digit, chosen=digit.box == chosen)
    if len(digits) > room:
        more = f"and {len(digits) - room} more"
        write_line(panel, more, (width - 90, panel.shape[0] - _GAP), height=11, colour=_FAINT)
    return _stack(picture, panel)


def _draw_tile(cell: Image, look: Look, digit: Digit, *, chosen: bool) -> None:
    tile = look.tile(digit)
    if tile is not None:
        cell[_GAP : _GAP + _TILE] = tile.repeat(3, axis=0).repeat(3, axis=1)[..., None]
    cv2.rectangle(cell, (0, _GAP), (_TILE - 1, _GAP + _TILE - 1), _TEXT if chosen else _FAINT, 2 if chosen else 1)
    said = f"{digit.digit}  {percent(digit.confidence)}%"
    write_line(cell, said, (0, cell.shape[0] - _GAP), height=11, colour=_TEXT if digit.box in look.told else _FAINT)


def _stack(upper: Image, lower: Image) -> Image:
    width = max(upper.shape[1], lower.shape[1])
    parts = [cv2.copyMakeBorder(p, 0, 0, 0, width - p.shape[1], cv2.BORDER_CONSTANT) for p in (upper, lower)]
    return np.asarray(np.vstack(parts), np.uint8)
