"""The benchmark of pictures: where the time of one goes, and many against a plain loop."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from edge_digits.bench_figures import (
    Budget,
    Figure,
    Part,
    Sizes,
    in_turn,
    milliseconds_of,
    process_milliseconds,
    ratio,
    run_python,
)
from edge_digits.bench_material import MANY, PHOTO, SMALL, make_one_of_many, make_pictures
from edge_digits.find import find
from edge_digits.images import load_image
from edge_digits.opencv import cv2
from edge_digits.reader import Reader
from edge_digits.tiles import frame

PLAIN = "cv2.imdecode"
"""What a picture would take to be decoded without checks and tricks of ours."""
_LOOP = """
import pathlib, sys, edge_digits
read = edge_digits.Reader().read
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    print(read(path).text)
"""


def measure_pictures(sizes: Sizes, folder: Path) -> Part:
    """Where the time of a picture goes, and many pictures against a plain loop."""
    reader, pictures, figures = Reader(), make_pictures(), []
    for name, data in pictures.items():
        took = _measure_stages(reader, data, sizes.rounds, 10 if name == SMALL else 1)
        digits = len(reader.read(data).digits)
        plural = "" if digits == 1 else "s"
        figures += [Figure(f"{name}, {digits} digit{plural}: {stage}", "ms", values) for stage, values in took.items()]
    (folder / "photo.jpg").write_bytes(pictures[PHOTO])
    held = run_python("-m", "edge_digits", "classify", str(folder / "photo.jpg")).megabytes
    budgets = [
        Budget(f"{PHOTO} read, against {PLAIN}", ratio(took["all, from file to answer"], took[PLAIN]), 1.5),
        Budget(f"{PHOTO}: memory of classify", held, 200, "MB"),
    ]
    if sizes.pictures:
        found, faster = _measure_many(sizes, folder, make_one_of_many())
        figures += found
        budgets += [faster] if sizes.judged else []
    return Part("Pictures", figures, budgets)


def _measure_stages(reader: Reader, data: bytes, rounds: int, times: int) -> dict[str, tuple[float, ...]]:
    """Milliseconds of each step, and of all."""
    image = load_image(data)
    regions = find(image).regions
    tiles = np.array([frame(region.ink) for region in regions], np.uint8).reshape(-1, 28, 28)
    stages: dict[str, Callable[[], object]] = {
        PLAIN: partial(cv2.imdecode, np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR),
        "decode": partial(load_image, data),
        "find": partial(find, image),
        "frame": lambda: [frame(region.ink) for region in regions],
        "classify": partial(reader.classifier.classify, tiles),
        "all, from file to answer": partial(reader.read, data),
    }
    return in_turn(rounds, {stage: partial(milliseconds_of, work, times) for stage, work in stages.items()})


def _measure_many(sizes: Sizes, folder: Path, picture: bytes) -> tuple[list[Figure], Budget]:
    pictures = folder / "pictures"
    pictures.mkdir()
    for i in range(sizes.pictures):
        (pictures / f"{i}.jpg").write_bytes(picture)
    tasks = {
        "a loop over Reader.read": ("-c", _LOOP, str(pictures)),
        "classify": ("-m", "edge_digits", "classify", str(pictures)),
    }
    took = in_turn(
        min(3, sizes.rounds), {name: partial(process_milliseconds, *arguments) for name, arguments in tasks.items()}
    )
    loop, ours = took.values()
    figures = [
        Figure(f"{sizes.pictures:,} of {MANY}: {name}", "pictures/s", tuple(1e3 * sizes.pictures / ms for ms in values))
        for name, values in took.items()
    ]
    return figures, Budget("many pictures: classify against a loop", ratio(loop, ours), 1.7, at_least=True)
