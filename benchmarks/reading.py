"""What the reader makes of pictures without a digit, of other collections, and how long it takes.

`python benchmarks/reading.py [--model digits] [--each 40] [--seed 0] [--digits FILE.npz]… [--fonts FOLDER]` prints
shares with 95 % intervals.

Blank papers, textures, doodles, logos and letters are those of tests/no_digits.py, the same each time; they
should be read as "".
Letters are the strokes of the fonts of the OpenCV that is installed: other versions have other fonts.
Of each font file in a folder and in those below it every such letter is printed as it is, 60 pixels high.
A collection holds two arrays, small images (n, H, W) uint8, ink bright on black, and labels (n,); each is read as a
picture of its own, as it is and as dark ink on light paper with a margin. Right is exactly that one digit.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import median

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from no_digits import (
    BLANKS,
    LOOKALIKES,
    OTHER_LETTERS,
    TEXTURES,
    blank_picture,
    doodle_picture,
    letter_pictures,
    logo_picture,
    texture_picture,
    word_above_number,
    word_picture,
)
from pictures import jpeg_bytes, noisy, write_number

from edge_digits import Reader
from edge_digits.metrics import wilson_interval

Tiles = NDArray[np.uint8]

MARGIN = 0.25
"""Of paper about a small image, as a share of its longer side."""
REPEATS = 15
"""Times that reading and decoding are measured; the median counts."""


def measure(reader: Reader, name: str, pictures: Iterable[tuple[Tiles, str]]) -> tuple[int, int]:
    """Reads pictures with their truths, prints the share that is exact, and gives (right, n)."""
    right, n, seconds = 0, 0, 0.0
    for image, truth in pictures:
        started = time.perf_counter()
        right += reader.read(image).text == truth
        seconds += time.perf_counter() - started
        n += 1
    report(name, right, n, f"{1000 * seconds / n:7.1f} ms each")
    return right, n


def report(name: str, right: int, n: int, more: str = "") -> None:
    """One line."""
    low, high = wilson_interval(right, n)
    print(f"{name:28}{n:>6,}{100 * right / n:>9.2f} %  {100 * low:6.2f} to {100 * high:6.2f} %  {more}", flush=True)


def nothing_to_read(reader: Reader, each: int, seed: int) -> None:
    """Blank papers, textures, doodles, logos and letters, `each` of a kind; `seed` is that of the first."""
    seeds = range(seed, seed + each)
    for what, kinds, make in (("blank", BLANKS, blank_picture), ("texture", TEXTURES, texture_picture)):
        counts = [measure(reader, f"{what}: {kind}", ((make(kind, n), "") for n in seeds)) for kind in kinds]
        report(f"{what}: all", *map(sum, zip(*counts, strict=True)))
    measure(reader, "doodles", ((doodle_picture(n), "") for n in seeds))
    measure(reader, "printed logos with a word", ((logo_picture(n), "") for n in seeds))
    for name, letters in (("letters like digits", LOOKALIKES), ("other letters", OTHER_LETTERS)):
        measure(reader, name, ((image, "") for image in letter_pictures(letters, each * 10)))
    measure(reader, "words of other letters", ((word_picture(n), "") for n in range(each * 5)))
    measure(reader, "number below a printed word", ((p.image, p.text) for p in map(word_above_number, seeds)))


def printed_letters(folder: Path) -> Iterator[tuple[Tiles, str]]:
    """Letters that look like no digit, as the fonts of a folder print them, each in the middle of a light sheet."""
    for path in sorted([*folder.rglob("*.ttf"), *folder.rglob("*.otf")]):
        font = ImageFont.truetype(str(path), 60)
        for letter in OTHER_LETTERS:
            sheet = Image.new("L", (120, 120), 240)
            ImageDraw.Draw(sheet).text((60, 60), letter, fill=25, font=font, anchor="mm")
            yield np.asarray(sheet, np.uint8), ""


def collection(path: Path) -> tuple[Tiles, NDArray[np.int64]]:
    """The images and labels of an .npz: its one array of three dimensions, and its one array of one."""
    with np.load(path, allow_pickle=False) as arrays:
        images = [arrays[name] for name in arrays if arrays[name].ndim == 3]
        labels = [arrays[name] for name in arrays if arrays[name].ndim == 1]
    if len(images) != 1 or len(labels) != 1 or len(images[0]) != len(labels[0]) or images[0].dtype != np.uint8:
        sys.exit(f"{path}: is not one array (n, H, W) of uint8 and one (n,) of labels")
    return images[0], labels[0].astype(np.int64)


def on_paper(image: Tiles) -> Tiles:
    """A small image, ink bright on black, as dark ink on light paper with a margin."""
    return np.asarray(255 - np.pad(image, round(MARGIN * max(image.shape))), np.uint8)


def with_truth(images: Iterable[Tiles], labels: NDArray[np.int64]) -> Iterator[tuple[Tiles, str]]:
    """Each image with what it says."""
    yield from zip(images, map(str, labels.tolist()), strict=True)


def against_decoding(reader: Reader) -> None:
    """Photos of 12 megapixels: how long it takes to read one, against cv2.imdecode of the same bytes, in turn."""
    print(f"\n12-megapixel JPEG            decoding   file to answer   ratio   (medians of {REPEATS})")
    for height in (30, 100, 300, 2400):
        image = write_number(
            "40178"[: 5 if height < 2400 else 1], height=height, size=(3000, 4000), kind="shaded"
        ).image
        for what, photo in (("grey", image), ("colour", cv2.cvtColor(image, cv2.COLOR_GRAY2BGR))):
            data = jpeg_bytes(noisy(photo, 3, 0), 90)
            array = np.frombuffer(data, np.uint8)
            decoding, reading = [], []
            for _ in range(REPEATS):
                started = time.perf_counter()
                cv2.imdecode(array, cv2.IMREAD_COLOR)
                decoded = time.perf_counter()
                reader.read(data)
                decoding.append(decoded - started)
                reading.append(time.perf_counter() - decoded)
            ratio = median(b / a for a, b in zip(decoding, reading, strict=True))
            a, b = 1000 * median(decoding), 1000 * median(reading)
            print(f"{what:6}, digits {height:>5} px high{a:>9.0f} ms{b:>14.0f} ms{ratio:>8.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="digits")
    parser.add_argument("--each", type=int, default=40, help="pictures of each kind")
    parser.add_argument("--seed", type=int, default=0, help="of the first picture of each kind")
    parser.add_argument("--digits", type=Path, action="append", default=[], help="an .npz of small images and labels")
    parser.add_argument("--fonts", type=Path, help="a folder of .ttf and .otf files")
    asked = parser.parse_args()
    reader = Reader(asked.model)
    print(f"{'kind':28}{'n':>6}{'right':>11}  95 % interval")
    nothing_to_read(reader, asked.each, asked.seed)
    if asked.fonts is not None:
        measure(reader, "printed letters", printed_letters(asked.fonts))
    for path in asked.digits:
        images, labels = collection(path)
        measure(reader, f"{path.stem}: as it is", with_truth(images, labels))
        measure(reader, f"{path.stem}: on paper", with_truth(map(on_paper, images), labels))
    against_decoding(reader)


if __name__ == "__main__":
    main()
