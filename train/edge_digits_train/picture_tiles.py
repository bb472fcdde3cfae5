"""Tiles as the reader cuts them out of pictures: of digits, and of what is no digit.

Pictures are drawn from training rows, searched and framed by the runtime itself, and each tile gets the label of the
digit whose place it has in truth.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_digits.cut import find_seams
from edge_digits.errors import InputError
from edge_digits.find import Region, find
from edge_digits.opencv import cv2
from edge_digits.outputs import open_output
from edge_digits.parallel import cores
from edge_digits.reader import LEAST_SCORED
from edge_digits.reading import Box
from edge_digits.tiles import SIDE, frame
from edge_digits.ways import cut_region
from edge_digits_train.corruptions import KINDS, corrupt
from edge_digits_train.data import DataSet
from edge_digits_train.synthesis.layouts import Layout
from edge_digits_train.synthesis.pictures import MEDIA, Digit, Synthesis

NO_DIGIT = 10
"""The label of a tile that shows no digit."""
LAYOUTS: tuple[Layout, ...] = (
    *("single",) * 5, *("pair",) * 2, *("number",) * 3, *("lines",) * 3, *("mixed",) * 4, *("clutter",) * 5,
)  # fmt: skip
"""Each as often as it is drawn."""
PRINTED = 0.06
"""Share of the pictures whose digits are print: they are digits, too, though letters of the same fonts are none."""
CUTS = 0.3
"""Share of the regions that are cut, too, along any seam: several digits into digits, one into what is none …"""
MOST_LEFT = 0.75
"""… where a part has less than that share of its ink …"""
NARROW = 0.45
"""… and is wider than that share of its height: a bar or a bow that a digit was cut into may well be a 1."""
JUNK = 0.03
"""Share of the tiles that no picture gave: empty, full, noise."""
SAME, BOTH, PART, APART = 0.7, 0.7, 0.45, 0.1
"""A tile is the digit whose box it shares at least that much of, of what both cover, or from which it is a pixel off;
several, where it holds that much of each; a fragment, where it holds less than that of one; and no digit at all, where
it holds less than that of any. What lies between is left out."""
SEVERITIES = 0.5, 4.5
"""Of spoiled tiles."""
_AT_ONCE = 50
"""Pictures that a process draws in a go."""


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """What a recipe's network learns from beside the rows; then it tells digits from what is none, too.

    All are shares of the number of rows.
    """

    drawn: float
    """Pictures that are drawn from the rows, once; from those held out, too, to measure on."""
    digits: float
    """Tiles of digits that a pass takes from them …"""
    others: float
    """… and tiles of what is no digit."""
    spoiled: float = 0.0
    """Tiles of digits that are spoiled in a pass, as `corruptions` has it."""

    def tiles_in_a_pass(self, rows: int) -> int:
        """Beside so many rows."""
        return round(self.digits * rows) + round(self.others * rows)


@dataclass(frozen=True)
class Drawn:
    """Tiles of pictures with their labels, 0 to 9 and NO_DIGIT."""

    all: DataSet
    coarse: NDArray[np.bool_]
    """(n,): digits of too few pixels for the reader to go by their score: whether they are digits is not asked."""

    @property
    def scored(self) -> DataSet:
        """Those whose score counts."""
        return self.all[~self.coarse]


@dataclass(frozen=True)
class PictureTiles:
    """The tiles of a training's pictures."""

    settings: Pictures
    kept: Drawn

    def join(self, rows: DataSet, rng: np.random.Generator) -> tuple[DataSet, NDArray[np.bool_]]:
        """The rows of a pass, and behind them as many tiles from pictures as the settings say; which are coarse."""
        kept = self.kept.all
        is_digit = kept.labels != NO_DIGIT
        parts = [
            rng.choice(np.flatnonzero(chosen), size, replace=size > chosen.sum())
            for chosen, share in ((is_digit, self.settings.digits), (~is_digit, self.settings.others))
            for size in [round(share * len(rows))]
        ]
        chosen = np.concatenate(parts)
        more = kept[chosen]
        tiles, labels = np.concatenate([rows.tiles, more.tiles]), np.concatenate([rows.labels, more.labels])
        return DataSet(rows.name, tiles, labels), np.concatenate([np.zeros(len(rows), bool), self.kept.coarse[chosen]])

    def spoil(
        self, tiles: NDArray[np.uint8], labels: NDArray[np.uint8], rng: np.random.Generator
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """The tiles, (n, 28, 28), some of the digits among them spoiled; and which, (n,)."""
        spoiled = (labels != NO_DIGIT) & (rng.random(len(tiles)) < self.settings.spoiled)
        kinds = rng.integers(0, len(KINDS), len(tiles))
        for number, kind in enumerate(KINDS):
            chosen = np.flatnonzero(spoiled & (kinds == number))
            tiles[chosen] = corrupt(tiles[chosen], kind, rng.uniform(*SEVERITIES, len(chosen)), rng)
        return tiles, spoiled


def draw_tiles(data: DataSet, pictures: int, seed: int, progress: Callable[[int, int], None]) -> Drawn:
    """The tiles of so many pictures of the digits in `data`.

    The same for the same data, number and seed. `progress` is told how many pictures are done, and of how many.
    """
    synthesis = Synthesis(data, seed, MEDIA, LAYOUTS, PRINTED)
    starts = range(0, pictures, _AT_ONCE)
    tiles, labels, coarse = [], [], []
    # Not forked: a process that has threads, as those of Keras, may hang in its child.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(cores(), context, _begin, (synthesis,)) as pool:
        parts = pool.map(_draw, [(s, min(s + _AT_ONCE, pictures)) for s in starts])
        try:
            for done, (some, theirs, of_few) in enumerate(parts):
                tiles.append(some)
                labels.append(theirs)
                coarse.append(of_few)
                progress(min((done + 1) * _AT_ONCE, pictures), pictures)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # interrupted, it would draw all others first
    count = round(JUNK * sum(map(len, labels)))
    tiles.append(junk(count, np.random.default_rng([seed, pictures])))
    labels.append(np.full(count, NO_DIGIT, np.uint8))
    coarse.append(np.zeros(count, bool))
    name = f"pictures of {data.name}"
    return Drawn(DataSet(name, np.concatenate(tiles), np.concatenate(labels)), np.concatenate(coarse))


def keep_tiles(path: Path, draw: Callable[[], Drawn]) -> Drawn:
    """The tiles that a file keeps; what `draw` gives where there is none yet. Raises as `read_tiles` does."""
    if not path.exists():
        drawn = draw()
        with open_output(str(path), force=True, binary=True) as out:
            np.savez_compressed(out, tiles=drawn.all.tiles, labels=drawn.all.labels, coarse=drawn.coarse)
    return read_tiles(path)


def read_tiles(path: Path) -> Drawn:
    """The tiles that a file keeps. Raises InputError where it is damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            tiles, labels, coarse = kept["tiles"], kept["labels"], kept["coarse"]
            if tiles.dtype != np.uint8 or tiles.shape != (len(labels), SIDE, SIDE) or labels.max(initial=0) > NO_DIGIT:
                raise ValueError
            if coarse.dtype != bool or coarse.shape != labels.shape:
                raise ValueError
    except Exception as error:  # numpy's and zipfile's errors have no root in common
        raise InputError(str(path), "is damaged: delete it, and it is made again") from error
    return Drawn(DataSet(path.stem, tiles, labels), coarse)


def label_of(box: Box, digits: Sequence[Digit]) -> int | None:
    """What a tile of this box shows, of digits that are there in truth; None where it cannot be told."""
    held = [_shared(box, digit.box) / max(1, _area(digit.box)) for digit in digits]
    if not held or max(held) < APART:
        return NO_DIGIT
    best = int(np.argmax(held))
    shared = _shared(box, digits[best].box)
    same = shared / (_area(box) + _area(digits[best].box) - shared)
    others = max((share for i, share in enumerate(held) if i != best), default=0.0)
    if (same >= SAME or _lie_alike(box, digits[best].box)) and others < PART:
        return digits[best].digit
    if others >= BOTH:
        return NO_DIGIT
    if held[best] < PART and shared > 0.5 * _area(box):
        return NO_DIGIT
    return None


def junk(n: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """(n, 28, 28): empty and full tiles, noise of any density and grain, slopes of light."""
    tiles = np.zeros((n, SIDE, SIDE), np.uint8)
    y, x = np.mgrid[0:SIDE, 0:SIDE] / (SIDE - 1) - 0.5
    for i in range(n):
        kind = rng.integers(5)
        if kind == 0:
            tiles[i] = rng.choice([0, 0, 255, int(rng.integers(256))])
        elif kind == 1:
            tiles[i] = rng.integers(0, 256, (SIDE, SIDE))
        elif kind == 2:
            tiles[i] = np.where(rng.random((SIDE, SIDE)) < rng.uniform(0.005, 0.3), rng.integers(64, 256), 0)
        elif kind == 3:
            size = int(rng.integers(2, 14))
            tiles[i] = np.kron(rng.integers(0, 256, (size, size)), np.ones((SIDE // size + 1,) * 2))[:SIDE, :SIDE]
        else:
            turn = rng.uniform(0, 2 * np.pi)
            tiles[i] = np.clip(128 + rng.uniform(40, 360) * (x * np.cos(turn) + y * np.sin(turn)), 0, 255)
    return tiles


_synthesis: Synthesis
"""Of a process that draws."""


def _begin(synthesis: Synthesis) -> None:
    global _synthesis
    _synthesis = synthesis
    cv2.setNumThreads(1)  # there are as many processes as cores


def _draw(numbers: tuple[int, int]) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.bool_]]:
    shown = [
        (region, label)
        for number in range(*numbers)
        for region, label in _regions_of(_synthesis, number)
        if label != NO_DIGIT or not _is_coarse(region)
    ]
    tiles = np.array([frame(region.ink) for region, _ in shown], np.uint8).reshape(-1, SIDE, SIDE)
    labels = np.array([label for _, label in shown], np.uint8)
    return tiles, labels, np.array([_is_coarse(region) for region, _ in shown], bool)


def _regions_of(synthesis: Synthesis, number: int) -> Iterator[tuple[Region, int]]:
    """The regions of a picture with their labels: each that is found, and what it may be cut into."""
    picture = synthesis.picture(number)
    rng = np.random.default_rng([number, 1])
    for region in find(picture.image).regions:
        label = label_of(region.box, picture.digits)
        in_part = any(_shared(region.box, digit.box) for digit in picture.digits)
        if label is not None and not (label == NO_DIGIT and in_part and _is_narrow(region)):
            yield region, label
        seams = find_seams(region.ink)
        if not seams or rng.random() > CUTS:
            continue
        for part in cut_region(region, seams[int(rng.integers(len(seams)))]):
            ink = float(part.ink.sum() / region.ink.sum())
            shown = label_of(part.box, picture.digits) if label in (None, NO_DIGIT) else None
            if label not in (None, NO_DIGIT) and ink < MOST_LEFT:
                shown = NO_DIGIT
            if shown is not None and not (shown == NO_DIGIT and _is_narrow(part)):
                yield part, shown


def _is_coarse(region: Region) -> bool:
    return max(region.box[2:]) < LEAST_SCORED


def _is_narrow(region: Region) -> bool:
    height, width = region.ink.shape
    return bool(width < NARROW * height)


def _lie_alike(one: Box, other: Box) -> bool:
    """Whether no edge is more than a pixel off: of a small digit that is much of what both cover."""
    edges = ((b[0], b[1], b[0] + b[2], b[1] + b[3]) for b in (one, other))
    return all(abs(a - b) <= 1 for a, b in zip(*edges, strict=True))


def _shared(one: Box, other: Box) -> int:
    """Pixels that two boxes share."""
    sides = (min(one[i] + one[i + 2], other[i] + other[i + 2]) - max(one[i], other[i]) for i in (0, 1))
    width, height = (max(0, side) for side in sides)
    return width * height


def _area(box: Box) -> int:
    return box[2] * box[3]
