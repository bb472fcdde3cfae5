"""A Reading drawn on its image: thin boxes, each digit and its confidence, rejected ink faintly."""

from __future__ import annotations

from dataclasses import dataclass

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
_WHITE, _DARK, _GREEN, _ORANGE = (255, 255, 255), (40, 28, 20), (80, 200, 0), (0, 120, 255)  # blue, green, red


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
        scale = _legible_scale(image)
    elif scale < 1:
        raise ValueError(f"scale must be at least 1, not {scale}")
    canvas = np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image.copy()
    if scale > 1:
        canvas = canvas.repeat(scale, axis=0).repeat(scale, axis=1)
    height, width = canvas.shape[:2]
    pen = _Pen.for_picture(height, width)
    _draw_rejected(canvas, [_scaled(rejected.box, scale) for rejected in reading.rejected], pen)
    boxes = [_scaled(digit.box, scale) for digit in reading.digits]
    for box in boxes:
        _draw_box(canvas, box, pen)
    taken = list(boxes)
    if caption:
        label = _Label(_shortened(caption, width, pen))
        w, h = label.size(pen)
        taken.append((0, max(0, height - h), w, h))
        _draw_label(canvas, label, taken[-1], pen)
    for digit, box in zip(reading.digits, boxes, strict=True) if labels else ():
        label, place = _place_label(digit, box, taken, width, height, pen)
        taken.append(place)
        _draw_label(canvas, label, place, pen)
    return canvas


def percent(confidence: float) -> int:
    """A confidence, 0 to 1, as it is drawn: never 100, as a network is not that sure."""
    return min(99, int(100 * confidence))


def _legible_scale(image: Image) -> int:
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


def _scaled(box: Box, scale: int) -> Box:
    x, y, width, height = box
    return x * scale, y * scale, width * scale, height * scale


def _draw_box(canvas: Image, box: Box, pen: _Pen) -> None:
    """A bright line with a dark one around it, to be seen on any ground; just outside the ink."""
    x, y, width, height = box
    for out, colour in ((pen.line, _DARK), (0, _GREEN)):
        out += pen.line
        corner, far = (x - out, y - out), (x + width - 1 + out, y + height - 1 + out)
        cv2.rectangle(canvas, corner, far, colour, pen.line)


def _draw_rejected(canvas: Image, boxes: list[Box], pen: _Pen) -> None:
    """A half transparent box with a stroke through it."""
    if not boxes:
        return
    layer = canvas.copy()
    for x, y, width, height in boxes:
        cv2.rectangle(layer, (x, y), (x + width - 1, y + height - 1), _ORANGE, pen.line)
        cv2.line(layer, (x, y + height - 1), (x + width - 1, y), _ORANGE, pen.line, cv2.LINE_AA)
    cv2.addWeighted(layer, 0.55, canvas, 0.45, 0, dst=canvas)


def _place_label(digit: Digit, box: Box, taken: list[Box], width: int, height: int, pen: _Pen) -> tuple[_Label, Box]:
    """A label inside the picture: on one line or two, above or below, where it covers least of what is taken."""
    said = f"{percent(digit.confidence)}"
    best: tuple[float, _Label, Box] | None = None
    for label in (_Label(f"{digit.digit}  {said}%"), _Label(str(digit.digit), said)):
        w, h = label.size(pen)
        margin = 2 * pen.line
        x = max(0, min(box[0] - margin, width - w))
        for y in (box[1] - margin - h, box[1] + box[3] + margin):
            place = (x, max(0, min(y, height - h)), w, h)
            covered = sum(_overlap(place, other) for other in taken) / (w * h)
            if best is None or covered < best[0]:
                best = covered, label, place
    assert best is not None
    return best[1], best[2]


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
