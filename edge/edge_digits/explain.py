"""What made a picture hard to read, in words: measured on the steps that led to its reading."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_digits.find import Region
from edge_digits.half_blocks import Colours, draw_beside
from edge_digits.opencv import cv2
from edge_digits.reader import Trace
from edge_digits.reading import Box, Digit
from edge_digits.tiles import stroke_width

ANSWERS = 3
"""So many of a tile's likeliest digits are told."""
FAINT = 25
"""Percent of the light's whole range: ink that differs by less from its ground is faint. Pencil in a photo has 40."""
FINE = 1.3
"""Pixels of the picture: of a narrower stroke, most is blurred edge."""
THIN, THICK = 4, 25
"""Percent of the digit's longer side: MNIST's strokes measure 10 to 20."""
LOW = 12
"""Pixels of the picture: a digit less high than this is enlarged to nearly twice its size to make a tile."""
UNSURE = 0.9
"""Confidence below which the next likeliest answer is worth telling; in the normal case it is above 0.99."""

_NARROW = 3  # pixels: such strokes are enlarged so many times to be measured, as stroke_width counts whole pixels
_ENLARGED = 4
_BAR = 20  # characters of a bar that means 1
_BORDER, _TOUCHING = "ink touches the border", "two digits touch"


@dataclass(frozen=True)
class Measure:
    """A property of a region that makes it hard where its figure lies outside of what is usual."""

    text: str
    """With {} for the figure."""
    places: int
    """Behind the point."""
    least: float
    most: float = float("inf")

    def said(self, figures: Sequence[float]) -> str:
        """In words, from the lowest to the highest."""
        low, high = (f"{figure:.{self.places}f}" for figure in (min(figures), max(figures)))
        return self.text.format(low if low == high else f"{low} to {high}")


_CONTRAST = Measure("contrast {} %", 0, FAINT)
_STROKE = Measure("stroke {} px", 1, FINE)
_SHARE = Measure("stroke {} % of the digit's size", 0, THIN, THICK)
_HEIGHT = Measure("digits {} px high", 0, LOW)


@dataclass(frozen=True, eq=False)
class ExplainedTile:
    """One region of a picture: what the network saw of it, what it said, and what made it hard."""

    tile: NDArray[np.uint8]
    """(28, 28) uint8, ink bright on black."""
    box: Box
    answers: tuple[tuple[int, float], ...]
    """The likeliest digits with their probabilities, likeliest first."""
    read: Digit | None
    """What it was read as; None where it was rejected."""
    reason: str | None
    """Why it was rejected; None where it was read."""
    figures: Mapping[Measure, float]
    """Those that make it hard."""
    marks: tuple[str, ...]
    """What else makes it hard."""

    @property
    def words(self) -> tuple[str, ...]:
        """What made it hard, or why it was rejected; none where nothing did."""
        measured = (measure.said([figure]) for measure, figure in self.figures.items())
        return (*([self.reason] if self.reason else []), *measured, *self.marks)


@dataclass(frozen=True, eq=False)
class Explanation:
    """Why a picture was hard to read, if it was."""

    words: tuple[str, ...]
    """What made it hard; none where nothing did."""
    tiles: tuple[ExplainedTile, ...]
    """In reading order, those that were rejected among them."""


def explain(trace: Trace) -> Explanation:
    """What made a picture hard to read."""
    digits = {digit.box: digit for digit in trace.reading.digits}
    reasons = {rejected.box: rejected.reason for rejected in trace.reading.rejected}
    tiles: list[ExplainedTile] = []
    for region, tile, row in zip(trace.regions, trace.tiles, trace.probabilities, strict=True):
        answers = tuple((int(answer), float(row[answer])) for answer in np.argsort(-row, kind="stable")[:ANSWERS])
        figures = {m: figure for m, figure in _measure(trace, region).items() if not m.least <= figure <= m.most}
        read = digits.get(region.box)
        marks = [_BORDER] * _is_at_border(trace, region) + [_TOUCHING] * region.touching
        if read is not None and read.confidence < UNSURE:
            marks.append(f"unsure: {answers[0][0]} or {answers[1][0]}")
        reason = reasons.get(region.box, "not read") if read is None else None
        tiles.append(ExplainedTile(tile, region.box, answers, read, reason, figures, tuple(marks)))
    return Explanation((*_summary(tiles), *_rejections(trace)), tuple(tiles))


def text_lines(explanation: Explanation, *, tiles: Colours | None, words: bool) -> Iterator[str]:
    """What a terminal shows below the text of a picture: its `tiles`, in these colours, and what made it hard."""
    if tiles is not None:
        for number, tile in enumerate(explanation.tiles, start=1):
            yield from draw_beside(tile.tile, ["", *_tile_lines(number, tile)], tiles)
            yield ""
    if words and explanation.words:
        yield f"    hard: {'; '.join(explanation.words)}"


def _tile_lines(number: int, tile: ExplainedTile) -> Iterator[str]:
    """What stands beside a tile: its number, what it was read as and where, its likeliest answers, its words."""
    read = "rejected" if tile.read is None else f"{tile.read.digit}"
    yield f"{number}: {read} at {tile.box[0]},{tile.box[1]}"
    for digit, probability in tile.answers:
        bar = "█" * round(_BAR * probability)
        yield f"{digit} {100 * probability:6.2f} % {bar}"
    yield from ("", *tile.words)


def _summary(tiles: Sequence[ExplainedTile]) -> list[str]:
    """What made the tiles hard, and how many of them."""
    figures: dict[Measure, list[float]] = {}
    marks: dict[str, list[str]] = {}
    for tile in tiles:
        for measure, figure in tile.figures.items():
            figures.setdefault(measure, []).append(figure)
        for mark in tile.marks:
            marks.setdefault(_kind(mark), []).append(mark)
    said = [(measure.said(found), len(found)) for measure, found in figures.items()]
    said += [(found[0] if len(found) == 1 else kind, len(found)) for kind, found in marks.items()]
    return [text if count == len(tiles) else f"{text} ({count:,} of {len(tiles):,})" for text, count in said]


def _kind(said: str) -> str:
    """What stands before the details."""
    return said.partition(":")[0]


def _rejections(trace: Trace) -> list[str]:
    """Why ink was rejected, the most frequent reason first; or why there was none to be read or rejected."""
    found: dict[str, list[str]] = {}
    for rejected in trace.reading.rejected:
        found.setdefault(_kind(rejected.reason), []).append(rejected.reason)
    if found:
        told = [
            reasons[0] if len(reasons) == 1 else f"{kind} ({len(reasons):,})"
            for kind, reasons in sorted(found.items(), key=lambda item: -len(item[1]))
        ]
        return [f"rejected: {', '.join(told)}"]
    if trace.regions:
        return []
    return ["nothing stands out from the ground" if trace.ink is None else "only specks stand out from the ground"]


def fine_stroke(ink: NDArray[np.uint8]) -> float:
    """The mean width of strokes, (h, w) uint8, in pixels: told from their grey edges where they are narrow."""
    width = stroke_width(ink)
    if width > _NARROW:
        return width
    size = ink.shape[1] * _ENLARGED, ink.shape[0] * _ENLARGED
    return stroke_width(np.asarray(cv2.resize(np.pad(ink, 1), size), np.uint8)) / _ENLARGED


def _measure(trace: Trace, region: Region) -> dict[Measure, float]:
    """What is measured of a region."""
    scale = max(region.box[2:]) / max(region.ink.shape)
    stroke = fine_stroke(region.ink)
    figures = {
        _STROKE: stroke * scale,
        _SHARE: 100 * stroke / max(region.ink.shape),
        _HEIGHT: float(region.box[3]),
    }
    if trace.ink is not None:
        figures[_CONTRAST] = 100 * contrast(trace.image, trace.ink, region.box)
    return figures


def contrast(image: NDArray[np.uint8], ink: NDArray[np.uint8], box: Box) -> float:
    """By how much of the light's range, 0 to 1, ink and ground differ in the picture, in the colour that tells most."""
    x, y, width, height = box
    margin = max(2, max(width, height) // 8)  # for some ground about a digit that fills its box
    left, top, right, bottom = max(0, x - margin), max(0, y - margin), x + width + margin, y + height + margin
    scale = ink.shape[1] / image.shape[1]
    inked = ink[round(top * scale) : round(bottom * scale), round(left * scale) : round(right * scale)]
    colours = cv2.resize(image[top:bottom, left:right], inked.shape[::-1], interpolation=cv2.INTER_AREA)
    colours = colours.reshape(*inked.shape, -1)
    strong, none = inked >= inked.max() / 2, inked <= inked.max() / 8
    if not none.any():
        return 1.0
    return float(np.abs(np.median(colours[strong], axis=0) - np.median(colours[none], axis=0)).max()) / 255


def _is_at_border(trace: Trace, region: Region) -> bool:
    x, y, width, height = region.box
    return x <= 0 or y <= 0 or x + width >= trace.image.shape[1] or y + height >= trace.image.shape[0]
