"""A reader that needs no network: it takes all bright ink for one digit, by where it stands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from edge_digits.find import Region
from edge_digits.reader import Trace
from edge_digits.reading import Digit, Reading
from edge_digits.video import Frame, Image, Source
from edge_digits.ways import Part

SIZE = 120, 160
"""Height and width of the frames."""


class InkReader:
    """Reads the fifth of the width, counted from 0, in which the ink begins."""

    def __init__(self, fail_at: int | None = None, error: BaseException | None = None) -> None:
        self.count = 0
        self.fail_at, self.error = fail_at, error

    def trace(self, image: Image, /) -> Trace:
        if self.count == self.fail_at and self.error:
            raise self.error
        self.count += 1
        bright = (image if image.ndim == 2 else image.min(axis=2)) > 128
        if not bright.any():
            return Trace(image, None, (), Reading())
        rows, columns = np.nonzero(bright)
        x, y = int(columns.min()), int(rows.min())
        digit = 5 * x // image.shape[1]
        box = (x, y, int(columns.max()) - x + 1, int(rows.max()) - y + 1)
        chances = np.eye(10, dtype=np.float32)[digit]
        tile: NDArray[np.uint8] = np.full((28, 28), 20 * digit, np.uint8)
        part = Part(Region(box, tile), tile, chances)
        return Trace(image, None, (part,), Reading((Digit(digit, 1.0, box, 0, tuple(map(float, chances))),)))


def ink(place: int | None, height: int = SIZE[0], width: int = SIZE[1]) -> Image:
    """A frame with ink in one of the five fifths of the width, or none."""
    image = np.zeros((height, width, 3), np.uint8)
    if place is not None:
        image[height // 3 : height // 2, place * width // 5 + 4 : place * width // 5 + 20] = 255
    return image


class Frames(Source):
    """Frames of these images, or of ink in these places."""

    def __init__(
        self,
        images: Sequence[Image | int | None],
        fps: float = 30.0,
        *,
        live: bool = False,
        times: Sequence[float] = (),
    ) -> None:
        super().__init__("frames", fps, live=live)
        self._images, self._times = images, times

    def __iter__(self) -> Iterator[Frame | None]:
        for number, image in enumerate(self._images):
            time = self._times[number] if self._times else number / self.fps
            yield Frame(image if isinstance(image, np.ndarray) else ink(image), number, time)

    def close(self) -> None:
        """Nothing is open."""


PLACES = [None] * 3 + [1] * 20 + [3] * 20 + [None] * 20 + [2] * 17
"""80 frames that show nothing, 1, 3, nothing, 2."""
EVENTS = [
    ("appeared", 1, "1"),
    ("gone", 1, "1"),
    ("appeared", 2, "3"),
    ("gone", 2, "3"),
    ("appeared", 3, "2"),
    ("gone", 3, "2"),
]
"""What is told of them: each place is a number of its own."""
