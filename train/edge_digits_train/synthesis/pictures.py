"""Pictures from a seed, and a folder full of them."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from edge_digits.errors import UsageError
from edge_digits.opencv import cv2
from edge_digits.outputs import open_output
from edge_digits_train.data import DataSet
from edge_digits_train.runs import new_folder
from edge_digits_train.synthesis.camera import Camera, Image, View, look, shoot
from edge_digits_train.synthesis.clutter import any_clutter, any_face, print_digit, print_word, write_word
from edge_digits_train.synthesis.layouts import DIGITS_ALONE, Layout, Page, arrange, box_of
from edge_digits_train.synthesis.papers import (
    BOARDS,
    CHALKS,
    INKS,
    LIGHTS,
    PAPERS,
    Colour,
    Ground,
    Rules,
    ink,
    lay,
    shine,
)
from edge_digits_train.synthesis.pens import Cover, Pen, any_pen, draw
from edge_digits_train.synthesis.strokes import middle_line

T = TypeVar("T")
Medium = Literal["drawing", "tablet", "scan", "photo", "board"]
MEDIA: tuple[Medium, ...] = ("drawing", "tablet", "scan", "photo", "board")
"""Drawn with a mouse, of even ink and often few pixels; on a tablet; scanned; photographed; chalk on a board."""

_HEIGHTS = {"drawing": (14, 300), "tablet": (40, 400), "scan": (24, 160), "photo": (24, 300), "board": (24, 250)}
"""Of single digits on the sheet, in pixels: from, to."""
_DRAWN: tuple[Colour, ...] = ((0, 0, 0), (0, 0, 0), (40, 40, 40), (120, 60, 20), (30, 30, 180))
_LIT: tuple[Colour, ...] = ((255, 255, 255), (255, 255, 255), (180, 180, 180))
_BY_HAND = 0.5
"""Share of the words."""
_RULES: tuple[Rules, ...] = ("none", "none", "lines", "squares")

Box = tuple[int, int, int, int]
"""x, y, width, height in pixels."""


@dataclass(frozen=True)
class Digit:
    """One digit of a picture, as it is in truth."""

    digit: int
    line: int
    box: Box


@dataclass(frozen=True)
class Picture:
    """A picture and what it says."""

    image: Image
    medium: Medium
    layout: Layout
    digits: Sequence[Digit]

    @property
    def kind(self) -> str:
        """As labels.csv has it."""
        return f"{self.medium}_{self.layout}"

    @property
    def text(self) -> str:
        """Lines joined by a newline."""
        lines: dict[int, str] = {}
        for digit in self.digits:
            lines[digit.line] = lines.get(digit.line, "") + str(digit.digit)
        return "\n".join(lines[number] for number in sorted(lines))


class Synthesis:
    """Pictures of the digits of a data set: the same for the same digits, seed and number."""

    def __init__(
        self,
        data: DataSet,
        seed: int = 0,
        media: Sequence[Medium] = MEDIA,
        layouts: Sequence[Layout] = DIGITS_ALONE,
        printed: float = 0.0,
    ) -> None:
        """`data`: tiles of each of the ten digits; `printed`: share of the pictures whose digits are print instead.

        Raises UsageError where a digit is missing.
        """
        self._tiles, self._seed, self._media, self._layouts = data.tiles, seed, media, layouts
        self._printed = printed
        self._of_digit = [np.flatnonzero(data.labels == digit) for digit in range(10)]
        if missing := [str(digit) for digit in range(10) if not len(self._of_digit[digit])]:
            raise UsageError(f"{data.name}: no tile shows {', '.join(missing)}; pictures are made of all ten digits")

    def picture(self, number: int) -> Picture:
        """The picture of that number, from 0."""
        rng = np.random.default_rng([self._seed, number])
        medium, layout = _pick(self._media, rng), _pick(self._layouts, rng)
        height = _height(medium, layout, rng)
        pen = any_pen(rng)
        if medium in ("drawing", "tablet"):
            pen = Pen(pen.width, pressure=pen.pressure if medium == "tablet" else 0.0)
        face = any_face(rng) if self._printed and rng.random() < self._printed else None
        page = arrange(layout, height, _Hand(self._tiles, self._of_digit, pen, rng, face), rng)
        ground, camera = _ground(medium, height, rng), _camera(medium, height, pen, rng)
        matrix = _view(medium, rng).matrix(page.height, page.width, rng)
        sheet = ink(lay(ground, page.height, page.width, rng), page.cover(), ground.ink)
        image = shoot(shine(look(sheet, matrix), ground, rng), camera, rng)
        return Picture(image, medium, layout, _truth(page, matrix, camera.scale, image.shape))


@dataclass(frozen=True)
class _Hand:
    """Writes as the people did whose digits there are, with one pen."""

    tiles: NDArray[np.uint8]
    of_digit: Sequence[NDArray[np.int64]]
    """The numbers of the tiles of each digit."""
    pen: Pen
    rng: np.random.Generator
    face: str | None
    """The font of digits that are printed."""

    def write(self, digit: int, height: int) -> Cover:
        if self.face is not None:
            return print_digit(digit, self.face, height)
        tile = self.tiles[self.rng.choice(self.of_digit[digit])]
        return draw(middle_line(tile, digit, self.rng), height, self.pen, self.rng)

    def scrawl(self, height: int) -> Cover:
        return any_clutter(height, self.pen, self.rng)

    def spell(self, height: int) -> list[Cover]:
        if self.rng.random() < _BY_HAND:
            return write_word(height, self.pen, self.rng)
        return print_word(height, self.rng)


def read_names(text: str | None, known: Sequence[T], option: str) -> Sequence[T]:
    """Names separated by commas; all that are known where there is no text. Raises UsageError for one that is not."""
    if text is None:
        return known
    chosen = [name for name in known if name in {part.strip() for part in text.split(",")}]
    if unknown := [part.strip() for part in text.split(",") if part.strip() not in known]:
        raise UsageError(f"{option} {unknown[0]!r}: there are {', '.join(map(str, known))}")
    return chosen


def write_folder(
    synthesis: Synthesis, folder: Path, count: int, progress: Callable[[int, int], None] | None = None
) -> None:
    """Writes `count` pictures and labels.csv (file, text, kind), as `edge-digits evaluate-pictures` reads it.

    The folder must be a new one. `progress` is told how many are written, and of how many.

    Raises OutputExistsError where there is one, OutputError where it cannot be written; then there is none.
    """
    digits = len(str(count))
    with new_folder(folder) as staged, open_output(str(staged / "labels.csv"), force=True) as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["file", "text", "kind"])
        for number in range(count):
            picture = synthesis.picture(number)
            name = f"{number + 1:0{digits}}.png"
            _, data = cv2.imencode(".png", picture.image)
            with open_output(str(staged / name), force=True, binary=True) as file:
                file.write(data.tobytes())
            writer.writerow([name, picture.text.replace("\n", ";"), picture.kind])
            if progress is not None:
                progress(number + 1, count)


def _pick(options: Sequence[T], rng: np.random.Generator) -> T:
    return options[int(rng.integers(len(options)))]


def _height(medium: Medium, layout: Layout, rng: np.random.Generator) -> int:
    """Of the digits on the sheet, in pixels."""
    low, high = _HEIGHTS[medium]
    if layout not in ("single", "pair"):
        high = min(high, 110)
    return round(float(np.exp(rng.uniform(np.log(low), np.log(high)))))


def _ground(medium: Medium, height: int, rng: np.random.Generator) -> Ground:
    if medium == "drawing" and rng.random() < 0.5:
        return Ground((0, 0, 0), _pick(_LIT, rng))
    if medium in ("drawing", "tablet"):
        return Ground((255, 255, 255), _pick(_DRAWN, rng))
    if medium == "board":
        return Ground(
            _pick(BOARDS, rng), _pick(CHALKS, rng), rng.uniform(0, 8), rng.uniform(0, 5), light="slope", dimming=0.2
        )
    if medium == "scan":
        return Ground(_pick(PAPERS[:3], rng), _pick(INKS, rng), tooth=rng.uniform(0, 2), mottle=rng.uniform(0, 2))
    return Ground(
        _pick(PAPERS, rng),
        _pick(INKS, rng),
        mottle=rng.uniform(0, 5),
        tooth=rng.uniform(0, 5),
        rules=_pick(_RULES, rng),
        spacing=height * rng.uniform(0.5, 1.6),
        rule_strength=rng.uniform(0.1, 0.6),
        light=_pick(LIGHTS, rng),
        dimming=rng.uniform(0.1, 0.6),
    )


def _view(medium: Medium, rng: np.random.Generator) -> View:
    slant = rng.normal(0, 0.1)
    if medium in ("drawing", "tablet"):
        return View(slant=slant)
    return View(turn=rng.normal(0, 4), slant=slant, tilt=0.2 if medium in ("photo", "board") else 0.0)


def _camera(medium: Medium, height: int, pen: Pen, rng: np.random.Generator) -> Camera:
    """What is lost leaves a digit legible: 8 pixels high, and a stroke that the blur does not hide."""
    least = 8 / height
    scale = float(np.exp(rng.uniform(np.log(max(least, 0.25)), 0))) if least < 1 and rng.random() < 0.4 else 1.0
    stroke = max(1.0, pen.width * height * scale)
    if medium == "drawing":
        return Camera(scale, levels=2 if rng.random() < 0.3 and stroke > 1.5 else 256)
    if medium == "tablet":
        return Camera(scale)
    blur = stroke * rng.uniform(0.1, 0.5) if rng.random() < 0.7 else 0.0
    if medium == "scan":
        return Camera(scale, blur, noise=rng.uniform(0, 3), grey=rng.random() < 0.5)
    return Camera(
        scale,
        blur,
        motion=stroke * rng.uniform(0.5, 1.5) if rng.random() < 0.15 else 0.0,
        noise=float(np.exp(rng.uniform(np.log(0.5), np.log(10)))),
        quality=int(rng.integers(30, 96)) if rng.random() < 0.6 else 0,
        grey=rng.random() < 0.15,
    )


def _truth(page: Page, matrix: NDArray[np.float64], scale: float, shape: tuple[int, ...]) -> list[Digit]:
    """Where each digit's ink has come to."""
    found = []
    for written in page.digits:
        corners = box_of(written.cover) + np.array([written.left, written.top])
        seen = cv2.perspectiveTransform(corners[np.newaxis], matrix)[0] * scale
        (left, top), (right, foot) = np.floor(seen.min(axis=0)), np.ceil(seen.max(axis=0))
        left, right = np.clip([left, right], 0, shape[1])
        top, foot = np.clip([top, foot], 0, shape[0])
        found.append(Digit(written.digit, written.line, (int(left), int(top), int(right - left), int(foot - top))))
    return found
