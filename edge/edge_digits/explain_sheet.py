"""How a picture was read, as a picture: each step, the tiles with their likeliest digits, and what made it hard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edge_digits.draw import draw_reading, percent
from edge_digits.explain import ExplainedTile, Explanation
from edge_digits.opencv import cv2
from edge_digits.reader import Trace
from edge_digits.reading import Box, Reading
from edge_digits.tiles import SIDE

Image = NDArray[np.uint8]
Colour = tuple[int, int, int]

MAX_TILES = 80
"""More are left out, and their number is said: so a sheet stays within two screens."""

# All in pixels of the sheet.
_WIDTH, _MARGIN, _GAP = 1440, 24, 16
_ROOM = _WIDTH - 2 * _MARGIN
_PANEL_WIDTH, _PANEL_HEIGHT = (_ROOM - 2 * _GAP) // 3, 360
_LINE = 24  # from one line of text to the next
_SMALL_LINE = 17
_HEAD, _TEXT, _SMALL = 18, 12, 10  # heights of a digit
_COLUMNS = {4: (4, 6), 10: (5, 5), MAX_TILES: (8, 3)}
"""By the most tiles that there are: how many stand beside each other, and how many times they are enlarged."""
_MOST_LABELS = 20  # more would hide the picture
_WORDS = 3  # that a tile has room for

_FONT = cv2.FONT_HERSHEY_DUPLEX
# Blue, green, red; what was rejected is orange. Text and paper differ by 5 to 1 at least.
_PAPER, _INK, _FAINT, _BAR = (255, 255, 255), (30, 30, 30), (100, 100, 100), (228, 228, 228)
_GREEN, _ORANGE = (50, 135, 0), (0, 90, 200)


def draw_explanation(source: str, trace: Trace, explained: Explanation) -> Image:
    """The sheet of a picture called `source`, (H, 1440, 3) uint8 BGR."""
    reading, (height, width) = trace.reading, trace.image.shape[:2]
    facts = f"{width} x {height} pixels, {len(reading.digits):,} read, {len(reading.rejected):,} rejected"
    bands = [
        _band(_MARGIN),
        _text_band([" / ".join(reading.lines) or "nothing to read"], _HEAD, _INK),
        _text_band([f"{source}:  {facts}"], _TEXT, _FAINT),
        _panel_band(trace, explained),
        _text_band(["", "What made it hard:"], _TEXT, _FAINT),
        _text_band(explained.words or ["nothing"], _TEXT, _INK),
        _band(_GAP),
    ]
    shown = explained.tiles[:MAX_TILES]
    columns, scale = next(layout for most, layout in _COLUMNS.items() if len(shown) <= most)
    for start in range(0, len(shown), columns):
        bands.append(_tile_band(shown[start : start + columns], start, columns, scale))
    if len(shown) < len(explained.tiles):
        bands.append(_text_band([f"{len(explained.tiles) - len(shown):,} more are left out"], _TEXT, _INK))
    return np.vstack([*bands, _band(_MARGIN)])


def _band(height: int) -> Image:
    """A strip of the sheet, as wide as it is."""
    return np.full((height, _WIDTH, 3), _PAPER, np.uint8)


def _text_band(lines: Sequence[str], height: int, colour: Colour) -> Image:
    step = _LINE + height - _TEXT
    band = _band(len(lines) * step)
    for number, line in enumerate(lines):
        _write(band, line, (_MARGIN, number * step + height + 4), height, colour, _ROOM)
    return band


def _panel_band(trace: Trace, explained: Explanation) -> Image:
    """The picture with its boxes, its ink, and the regions with their numbers, beside each other."""
    height, width = trace.image.shape[:2]
    scale = min(_PANEL_WIDTH / width, _PANEL_HEIGHT / height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    reading = _scale_boxes(trace.reading, scale)
    picture = draw_reading(_resize(trace.image, size), reading, scale=1, labels=len(reading.digits) <= _MOST_LABELS)
    flat = np.zeros(size[::-1], np.uint8) if trace.ink is None else _resize(trace.ink, size)
    regions = _draw_regions(trace, explained, scale, size)
    band = _band(_LINE + size[1] + 1)
    for number, (title, panel) in enumerate((("picture", picture), ("light flattened", flat), ("regions", regions))):
        left = _MARGIN + number * (_PANEL_WIDTH + _GAP)
        _write(band, title, (left, _TEXT + 2), _TEXT, _FAINT, _PANEL_WIDTH)
        place = band[_LINE : _LINE + size[1], left : left + size[0]]
        place[:] = panel if panel.ndim == 3 else panel[..., np.newaxis]
        cv2.rectangle(band, (left - 1, _LINE - 1), (left + size[0], _LINE + size[1]), _FAINT, 1)  # white, it would fade
    return band


def _draw_regions(trace: Trace, explained: Explanation, scale: float, size: tuple[int, int]) -> Image:
    """What was taken for digits, bright on black; and boxes about what was not."""
    width, height = size
    panel = np.zeros((height, width, 3), np.uint8)
    for region in trace.regions:
        x, y, w, h = _scale_box(region.box, scale)
        ink = _resize(region.ink, (w, h))[: height - y, : width - x]
        window = panel[y : y + h, x : x + w]
        np.maximum(window, ink[..., np.newaxis], out=window)
    for rejected in trace.reading.rejected:
        x, y, w, h = _scale_box(rejected.box, scale)
        cv2.rectangle(panel, (x, y), (x + w - 1, y + h - 1), _ORANGE, 1)
    for number, tile in enumerate(explained.tiles[:MAX_TILES], 1):
        x, y, _, _ = _scale_box(tile.box, scale)
        _write(panel, f"{number}", (x, max(_SMALL, y - 2)), _SMALL, (90, 230, 90), width)
    return panel


def _tile_band(tiles: Sequence[ExplainedTile], start: int, columns: int, scale: int) -> Image:
    """A row of tiles; `start` is the number of the first, from 0."""
    cell_width, side = _ROOM // columns, SIDE * scale
    words = max(min(len(tile.words), _WORDS) for tile in tiles)
    band = _band(side + _LINE + words * _SMALL_LINE + _GAP)
    for column, tile in enumerate(tiles):
        left = _MARGIN + column * cell_width
        _draw_tile(band[:, left : left + cell_width - _GAP], start + column + 1, tile, side)
    return band


def _draw_tile(cell: Image, number: int, tile: ExplainedTile, side: int) -> None:
    """A tile, its answers beside it, and below what made it hard."""
    cell[:side, :side] = cv2.resize(tile.tile, (side, side), interpolation=cv2.INTER_NEAREST)[..., np.newaxis]
    if tile.read is None:
        cv2.rectangle(cell, (0, 0), (side - 1, side - 1), _ORANGE, 2)
    height, step = (_TEXT, side // 3) if side < 100 else (_HEAD, side // 5)
    left = side + 8
    for row, (digit, probability) in enumerate(tile.answers):
        base = row * step + (step + height) // 2
        colour = _GREEN if tile.read is not None and tile.read.digit == digit else _FAINT
        _write(cell, f"{digit}", (left, base), height, _INK, side)
        bar = left + 2 * height
        room = cell.shape[1] - bar
        cv2.rectangle(cell, (bar, base - height), (bar + room - 1, base), _BAR, cv2.FILLED)
        cv2.rectangle(cell, (bar, base - height), (bar + round(probability * (room - 1)), base), colour, cv2.FILLED)
    if tile.read is None:
        said, colour = "rejected", _ORANGE
    else:
        said, colour = f"{tile.read.digit}, {percent(tile.read.confidence)} %", _INK
    _write(cell, f"{number}: {said}", (0, side + 18), _TEXT, colour, cell.shape[1])
    for line, word in enumerate(tile.words[:_WORDS], 1):
        _write(cell, word, (0, side + 20 + line * _SMALL_LINE), _SMALL, _FAINT, cell.shape[1])


def _scale_boxes(reading: Reading, scale: float) -> Reading:
    return Reading(
        tuple(replace(digit, box=_scale_box(digit.box, scale)) for digit in reading.digits),
        tuple(replace(rejected, box=_scale_box(rejected.box, scale)) for rejected in reading.rejected),
    )


def _scale_box(box: Box, scale: float) -> Box:
    x, y, width, height = (round(length * scale) for length in box)
    return x, y, max(1, width), max(1, height)


def _resize(image: Image, size: tuple[int, int]) -> Image:
    """To (width, height); enlarged, the pixels stay to be seen."""
    how = cv2.INTER_AREA if size[0] < image.shape[1] else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(image, size, interpolation=how), np.uint8)


def _write(image: Image, text: str, at: tuple[int, int], height: int, colour: Colour, room: int) -> None:
    """Text from the left end of its base line, `at`; smaller than `height` pixels where `room` pixels are too few."""
    text = text.replace("×", "x").encode("ascii", "replace").decode()  # the font has no more
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    (width, tall), _ = cv2.getTextSize(text, _FONT, 1.0, 1)
    scale = min(height / tall, room / max(1, width)) if tall else 0
    cv2.putText(image, text, at, _FONT, scale, colour, 1, cv2.LINE_AA)
