"""A Reading drawn on its image: thin boxes, each digit and its confidence, rejected ink faintly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from edge_digits.opencv import cv2
from edge_digits.reading import Box, Digit, Reading

Image = npt.NDArray[np.uint8]

LEGIBLE = 400
"""Pixels of the longest side that a drawn picture should have, for its labels to be read."""

_STRIP = 100
"""Pixels of the shortest side of a long strip, likewise."""

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_WHITE, _DARK = (255, 255, 255), (40, 28, 20)  # blue, green, red
_GREEN, _AMBER, _ORANGE = (80, 200, 0), (0, 190, 255), (0, 120, 255)

_HATCH = 7
"""Lines' widths from one line of a hatching to the next."""


def draw_reading(
    image: Image, reading: Reading, *, caption: str = "", scale: int | None = None, labels: bool = True
) -> Image:
    """`reading` on a copy of its image, as (H, W, 3) uint8 BGR.

    image: (H, W) or (H, W, 3) BGR, uint8.
    caption: a line for the lower left corner.
    scale: the whole number by which to enlarge; None enlarges a small picture to about 400 pixels on its longest side.
    labels: write each digit with its confidence beside its box.

    Raises ValueError for a scale below 1.
    """
    if scale is None:
        scale = legible_scale(image)
    elif scale < 1:
        raise ValueError(f"scale must be at least 1, not {scale}")
    canvas = np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image.copy()
    if scale > 1:
        canvas = canvas.repeat(scale, axis=0).repeat(scale, axis=1)
    draw_marks(canvas, scaled(reading, scale), Marks(caption=caption, labels=labels))
    return canvas


@dataclass(frozen=True, slots=True)
class Marks:
    """What is drawn besides boxes and rejected ink."""

    caption: str = ""
    """A line for the lower left corner."""
    labels: bool = True
    """Each digit with its confidence beside its box."""
    status: str = ""
    """A line for the upper right corner."""
    doubtful: frozenset[Box] = frozenset()
    """The boxes of digits that are not sure yet: in another colour."""
    chosen: Box | None = None
    """The box of a digit that is looked at: drawn thick."""


def draw_marks(canvas: Image, reading: Reading, marks: Marks) -> None:
    """Draws `reading`, in pixels of the canvas, on it: (H, W, 3) uint8 BGR."""
    height, width = canvas.shape[:2]
    pen = _Pen.for_picture(height, width)
    for rejected in reading.rejected:
        _draw_rejected(canvas, rejected.box, pen)
    boxes = [digit.box for digit in reading.digits]
    for box in boxes:
        _draw_box(canvas, box, pen, _AMBER if box in marks.doubtful else _GREEN, bold=box == marks.chosen)
    taken = list(boxes)
    for text, at_bottom in ((marks.caption, True), (marks.status, False)):
        if text:
            label = _Label(_shortened(text, width, pen))
            w, h = label.size(pen)
            taken.append((0, max(0, height - h), w, h) if at_bottom else (max(0, width - w), 0, w, h))
            _draw_label(canvas, label, taken[-1], pen)
    for label, place in _place_labels(reading.digits, taken, width, height, pen) if marks.labels else ():
        _draw_label(canvas, label, place, pen)


def scaled(reading: Reading, scale: float) -> Reading:
    """A Reading with its boxes in pixels of a picture that is so many times larger."""

    def grown(box: Box) -> Box:
        x, y, w, h = (round(scale * value) for value in box)
        return x, y, max(1, w), max(1, h)

    if scale == 1:
        return reading
    return Reading(
        tuple(replace(digit, box=grown(digit.box)) for digit in reading.digits),
        tuple(replace(rejected, box=grown(rejected.box)) for rejected in reading.rejected),
    )


def percent(confidence: float) -> int:
    """A confidence, 0 to 1, as it is drawn: never 100, as a network is not that sure."""
    return min(99, int(100 * confidence))


def legible_scale(image: Image) -> int:
    """The whole number that makes the longest side about LEGIBLE, and a flat strip easier to see."""
    height, width = image.shape[:2]
    shortest, longest = int(min(height, width)), int(max(height, width))
    return max(1, round(LEGIBLE / longest), min(round(_STRIP / shortest), 5 * LEGIBLE // longest))


@dataclass(frozen=True, slots=True)
class _Pen:
    """The sizes to draw with, in pixels."""

    line: int
    """Of a box."""
    text: int
    """Height of a digit."""

    @classmethod
    def for_picture(cls, height: int, width: int) -> _Pen:
        """Scaled so that a picture shrunk to a screen is still legible."""
        longest, shortest = max(height, width), min(height, width)
        return cls(line=max(1, round(longest / 700)), text=round(max(7, min(8 + longest / 100, shortest / 6))))

    @property
    def gap(self) -> int:
        """Around the text in its label."""
        return max(2, self.text // 4)

    def scale(self, share: float) -> float:
        """OpenCV's font scale for digits of `share` of the full height."""
        return share * self.text / cv2.getTextSize("0", _FONT, 1.0, 1)[0][1]

    def stroke(self, share: float) -> int:
        """OpenCV's thickness for digits of `share` of the full height."""
        return max(1, round(share * self.text / 9))

    def width(self, text: str, share: float) -> int:
        """Of `text`."""
        return int(cv2.getTextSize(text, _FONT, self.scale(share), self.stroke(share))[0][0])


@dataclass(frozen=True, slots=True)
class _Label:
    """What to write: `below`, where there is some, stands smaller under `text`."""

    text: str
    below: str = ""

    def size(self, pen: _Pen) -> tuple[int, int]:
        """Width and height in pixels."""
        width = max(pen.width(self.text, 1), pen.width(self.below, _SMALL) if self.below else 0)
        height = pen.text + (round(_SMALL * pen.text) + pen.gap if self.below else 0)
        return width + 2 * pen.gap, height + 2 * pen.gap


_SMALL = 0.7
"""Height of a confidence that stands under its digit, as a share of the digit's."""

_FORMS = ("{0}  {1}%",), ("{0}", "{1}"), ("{0}",)
"""What is written of a digit and its confidence, and what below it: on one line, on two, the digit alone."""


def _draw_box(canvas: Image, box: Box, pen: _Pen, colour: tuple[int, int, int], *, bold: bool) -> None:
    """A bright line with a dark one around it, to be seen on any ground; just outside the ink."""
    x, y, width, height = box
    line = 2 * pen.line if bold else pen.line
    for out, ink in ((line, _DARK), (0, colour)):
        out += line
        corner, far = (x - out, y - out), (x + width - 1 + out, y + height - 1 + out)
        cv2.rectangle(canvas, corner, far, ink, line)


def _draw_rejected(canvas: Image, box: Box, pen: _Pen) -> None:
    """A half transparent box, hatched; one that is most of the picture is not, to leave the rest to be seen."""
    height, width = canvas.shape[:2]
    left, top = max(0, box[0]), max(0, box[1])
    right, bottom = min(width, box[0] + box[2]), min(height, box[1] + box[3])
    if right <= left or bottom <= top:
        return
    part = canvas[top:bottom, left:right]
    layer = part.copy()
    w, h = right - left, bottom - top
    if w * h < 0.5 * width * height:
        for start in range(_HATCH * pen.line, w + h, _HATCH * pen.line):
            cv2.line(layer, (start, 0), (start - h, h), _ORANGE, pen.line, cv2.LINE_AA)
    cv2.rectangle(layer, (0, 0), (w - 1, h - 1), _ORANGE, pen.line)
    cv2.addWeighted(layer, 0.55, part, 0.45, 0, dst=part)


def _place_labels(
    digits: Sequence[Digit], taken: Sequence[Box], width: int, height: int, pen: _Pen
) -> list[tuple[_Label, Box]]:
    """Labels inside the picture: as much as can be said of all digits with no label on another or on a digit.

    Where digits stand close, it is the digit alone; where they stand closer still, what covers least.
    """
    best: tuple[float, list[tuple[_Label, Box]]] | None = None
    for forms in (_FORMS[:2], _FORMS[1:], _FORMS[2:]):
        placed: list[tuple[_Label, Box]] = []
        everything = list(taken)
        covers = 0.0
        for digit in digits:
            labels = [_Label(*(part.format(digit.digit, percent(digit.confidence)) for part in form)) for form in forms]
            covered, label, place = _place_label(labels, digit.box, everything, width, height, pen)
            covers += covered
            everything.append(place)
            placed.append((label, place))
        if best is None or covers < best[0]:
            best = covers, placed
        if covers == 0:
            break
    assert best is not None
    return best[1]


def _place_label(
    labels: Sequence[_Label], box: Box, taken: Sequence[Box], width: int, height: int, pen: _Pen
) -> tuple[float, _Label, Box]:
    """(the share of it that covers what is taken, label, its place): of all labels, above and below, the least one."""
    found = []
    for label in labels:
        w, h = label.size(pen)
        margin = 2 * pen.line
        x = max(0, min(box[0] - margin, width - w))
        for y in (box[1] - margin - h, box[1] + box[3] + margin):
            place = (x, max(0, min(y, height - h)), w, h)
            found.append((sum(_overlap(place, other) for other in taken) / (w * h), label, place))
    return min(found, key=lambda each: each[0])


def _overlap(a: Box, b: Box) -> int:
    """Pixels that both cover."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    return max(0, width) * max(0, height)


def _draw_label(canvas: Image, label: _Label, place: Box, pen: _Pen) -> None:
    """White on dark, whatever the ground."""
    x, y, width, height = place
    cv2.rectangle(canvas, (x, y), (x + width - 1, y + height - 1), _DARK, cv2.FILLED)
    base = y + pen.gap + pen.text
    for text, share in ((label.text, 1.0), (label.below, _SMALL)):
        if text:
            at = (x + pen.gap, base)
            cv2.putText(canvas, text, at, _FONT, pen.scale(share), _WHITE, pen.stroke(share), cv2.LINE_AA)
        base += pen.gap + round(_SMALL * pen.text)


def _shortened(text: str, width: int, pen: _Pen) -> str:
    """`text` without the end that a label of `width` pixels has no room for; characters the font lacks become `?`."""
    text = text.encode("ascii", "replace").decode()
    if pen.width(text, 1) + 2 * pen.gap <= width:
        return text
    while text and pen.width(text + "...", 1) + 2 * pen.gap > width:
        text = text[:-1]
    return text + "..." if text else ""
