"""Videos of known truth: numbers of MNIST digits that move, turn and blur over a ground, under changing light."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from pictures import Tiles, exposed, write_number

from edge_digits.video import Frame, Source

Pose = tuple[float, float, float, float]
"""Where the middle is, x and y in pixels; degrees turned; times enlarged."""


@dataclass(frozen=True)
class Written:
    """A number on the picture."""

    text: str
    pose: Callable[[float], Pose]
    """By the time in seconds."""
    height: int = 48
    """Of its digits, in pixels."""
    start: float = 0.0
    end: float = float("inf")
    seed: int = 0


def at(x: float, y: float) -> Callable[[float], Pose]:
    """A number that keeps its place."""
    return lambda time: (x, y, 0.0, 1.0)


@dataclass(frozen=True)
class Scene:
    """What a camera sees."""

    numbers: Sequence[Written]
    seconds: float = 2.0
    fps: float = 30.0
    size: tuple[int, int] = (480, 640)
    ground: float = 200.0
    light: Callable[[float], float] = lambda time: 1.0
    """What the brightness is multiplied with, by the time."""
    noise: float = 2.0
    """Standard deviation, of 255."""
    blur: Callable[[float], float] = lambda time: 0.0
    """Pixels across which a picture is smeared, by the time."""
    clutter: Callable[[Tiles, float], None] | None = None
    """Draws on the empty ground, by the time."""
    seed: int = 0

    def frames(self) -> Iterator[Frame]:
        """Its frames, (H, W, 3) uint8 BGR."""
        rng = np.random.default_rng(self.seed)
        height, width = self.size
        covers = [_cover(number) for number in self.numbers]
        for index in range(round(self.seconds * self.fps)):
            time = index / self.fps
            ground = np.full((height, width, 3), self.ground, np.uint8)
            if self.clutter:
                self.clutter(ground, time)
            ink = np.zeros(self.size, np.float32)
            for number, cover in zip(self.numbers, covers, strict=True):
                if number.start <= time < number.end:
                    np.maximum(ink, _posed(cover, number.pose(time), self.size), out=ink)
            image = ground * (1 - 0.8 * ink[:, :, None]) * np.float32(self.light(time))
            smear = round(self.blur(time))
            if smear > 1:
                image = cv2.blur(image, (smear, 1 + smear // 3))
            yield Frame(exposed(image + _noise(rng, image.shape, self.noise)), index, time)

    def write(self, path: Path, codec: str = "mp4v") -> Path:
        """As a video file."""
        height, width = self.size
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), self.fps, (width, height))
        assert writer.isOpened()
        for frame in self.frames():
            writer.write(frame.image)
        writer.release()
        return path


class Clip(Source):
    """A scene as a source of frames."""

    def __init__(self, scene: Scene) -> None:
        super().__init__("clip", scene.fps, live=False)
        self._scene = scene

    def __iter__(self) -> Iterator[Frame]:
        return self._scene.frames()

    def close(self) -> None:
        """Nothing is open."""


def face_and_hand(image: Tiles, time: float) -> None:
    """A person who moves: a head with eyes and mouth, shoulders, an arm with a hand of four fingers."""
    height, width = image.shape[:2]
    sway = round(12 * np.sin(2 * time))
    skin, shirt, dark = (120, 150, 205), (70, 60, 160), (40, 40, 60)
    middle = width // 2 + sway
    cv2.ellipse(image, (middle, height), (width // 3, height // 3), 0, 180, 360, shirt, -1)
    cv2.ellipse(image, (middle, height // 3), (width // 9, height // 5), 0, 0, 360, skin, -1)
    for side in (-1, 1):
        cv2.circle(image, (middle + side * width // 24, height // 3 - height // 24), width // 80, dark, -1)
    cv2.ellipse(image, (middle, height // 3 + height // 12), (width // 26, height // 60), 0, 0, 180, dark, 2)
    hand = width // 8 + 2 * sway, height // 2 - sway
    cv2.line(image, (hand[0], height), hand, skin, width // 14)
    for finger in range(4):
        tip = hand[0] + (finger - 1) * width // 34, hand[1] - height // 6 + abs(finger - 2) * 8
        cv2.line(image, (hand[0] + (finger - 1) * width // 50, hand[1]), tip, skin, width // 45)


def _cover(number: Written) -> NDArray[np.float32]:
    picture = write_number(number.text, height=number.height, kind="white", ink=0.0, seed=number.seed)
    return np.asarray(1 - picture.image.astype(np.float32) / 255, np.float32)


def _posed(cover: NDArray[np.float32], pose: Pose, size: tuple[int, int]) -> NDArray[np.float32]:
    x, y, degrees, scale = pose
    middle = (cover.shape[1] - 1) / 2, (cover.shape[0] - 1) / 2
    turn = cv2.getRotationMatrix2D(middle, degrees, scale)
    turn[:, 2] += x - middle[0], y - middle[1]
    return np.asarray(cv2.warpAffine(cover, turn, size[::-1], flags=cv2.INTER_LINEAR), np.float32)


def _noise(rng: np.random.Generator, shape: tuple[int, ...], deviation: float) -> NDArray[np.float32]:
    return deviation * rng.standard_normal(shape, np.float32)
