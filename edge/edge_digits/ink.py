"""Image → ink: what rises above its ground, bright on black, whichever way round it was written.

Every length is relative to the picture's side.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edge_digits.levels import count_levels, otsu_threshold, percentile
from edge_digits.opencv import cv2
from edge_digits.tiles import SIDE

EDGE_WIDTH = 1 / 24
"""Share of the picture's longer side within which a stroke's edge rises, even in a tile enlarged to a picture."""
POLARITY_SIDE = 480
"""Pixels: enough to see whether ink is light or dark."""
NOISE_SIDE = 400
"""Pixels of the longer side on which noise is counted."""
MIN_SCENE = 100
"""Pixels of the longer side: a smaller picture holds no sheet with writing on it."""
MIN_ROOM = 96
"""Ink is measured against the room that its ground leaves it, but at least this of 255: deep shadow is mere noise."""
MIN_CONTRAST = 0.06
"""Ink must differ from its ground by this share of the range; paper texture and shading differ by less …"""
FAINTEST = 0.02
"""… but where nothing does, faint ink by this share …"""
CLEAR_OF_NOISE = 4.0
"""… and by so many standard deviations of the noise, which rough paper has more of …"""
CLEAR_OF_LIGHT = 2.0
"""… and so many times what the light changes by in most places …"""
LIGHT_SIDE = 64
"""… from one pixel to the next but one of a picture whose longer side has so many."""
INK_LEVEL = 0.4
"""Share of the darkest ink's strength from which a pixel is ink: about half way up the stroke's edge."""
UNCLEAR_BORDER = 0.25
"""Share of the border by which more or less than half of it must be dark to tell."""
PLAIN_SIDE = 40
"""Pixels of the longer side: the light on a smaller picture is taken to be even, as its strokes may be as wide as the
window that would tell them from the ground."""
CLEARLY_LESS_INK = 1.5
"""Light on dark or dark on light: the one with less ink, where it is less by this factor …"""
CLEARLY_FAINTER = 2.5
"""… unless its ink rises by less, by this factor."""


@dataclass(frozen=True)
class Ink:
    """What rises above the ground of a picture."""

    values: NDArray[np.uint8]
    """(H, W): 0 for ground, up to 255."""
    level: float
    """How strong it is, 0 to 255."""
    is_light: bool
    """Light on dark in the picture."""
    noise: float
    """Standard deviation of the picture's noise."""
    light: NDArray[np.uint8]
    """(H, W): the picture, turned so that its ink is light."""
    ground: NDArray[np.uint8]
    """(H, W): what the ink rises above."""

    @property
    def is_faint(self) -> bool:
        """Whether it differs from its ground by no more than paper texture and shading may."""
        return self.level * INK_LEVEL <= MIN_CONTRAST * 255

    def without(self, mask: NDArray[np.uint8]) -> Ink | None:
        """The ink where a mask, (H, W), is 0; None where there is none above the noise."""
        values = np.where(mask > 0, np.uint8(0), self.values)
        gray = self.light if self.is_light else np.asarray(255 - self.light, np.uint8)
        level = ink_level(values, gray, self.noise)
        return None if level is None else replace(self, values=values, level=level)


def find_ink(gray: NDArray[np.uint8], window: float, *, is_light: bool) -> Ink | None:
    """The ink of a picture, (H, W) uint8, which is light or dark; None where there is none.

    `window` is the share of the picture's longer side from which a thing is too wide for ink.
    """
    light = gray if is_light else np.asarray(255 - gray, np.uint8)
    ground = find_ground(light, window, sharp=True)
    ink = against_room(cv2.subtract(light, ground), ground)
    grain = noise(gray)
    level = ink_level(ink, gray, grain)
    return None if level is None else Ink(ink, level, is_light, grain, light, ground)


def has_light_ink(gray: NDArray[np.uint8], window: float, *, shaded: bool = False) -> bool:
    """Whether the ink of a picture, (H, W) uint8, is light rather than dark.

    Looked for both as light and as dark: the wrong way round, the paper about the strokes is the ink, and that is more
    than the strokes are. Where the two are much the same, or the picture is known to be shaded, only ink that rises
    steeply counts. Where those are much the same, too, and in a small picture, which bold strokes may fill, the border
    decides.
    """
    if max(gray.shape) < MIN_SCENE:
        return is_light_on_dark(gray)
    small = shrink(gray, POLARITY_SIDE)
    grain = noise(small)  # of a picture and of its negative it is the same
    around = np.ones((max(7, round(max(small.shape) * EDGE_WIDTH) | 1),) * 2, np.uint8)
    for steep in (True,) if shaded else (False, True):
        rise = cv2.morphologyEx(small, cv2.MORPH_GRADIENT, around) if steep else None
        (share, rises), (dark_share, dark_rises) = (
            _ink_share(light, rise, window, small, grain) for light in (small, np.asarray(255 - small, np.uint8))
        )
        if max(rises, dark_rises) > CLEARLY_FAINTER * min(rises, dark_rises):
            return rises > dark_rises
        if max(share, dark_share) > CLEARLY_LESS_INK * min(share, dark_share):
            return share < dark_share
    return is_light_on_dark(gray)


def _ink_share(
    light: NDArray[np.uint8], rise: cv2.typing.MatLike | None, window: float, gray: NDArray[np.uint8], noise: float
) -> tuple[float, float]:
    """The share of a picture that is ink, if ink is light, and by how much that rises, 0 to 255; 0 where there is none.

    `rise`, (H, W) uint8, is by how much the picture rises about each pixel; what lies higher above its ground is none.
    """
    ground = find_ground(light, window)
    rises = cv2.subtract(light, ground)
    if rise is not None:
        rises = cv2.bitwise_and(rises, cv2.compare(rises, rise, cv2.CMP_LE))
    ink = against_room(rises, ground)
    level = ink_level(ink, gray, noise)
    if level is None:
        return 0.0, 0.0
    inked = above(ink, level * INK_LEVEL)
    return cv2.countNonZero(inked) / ink.size, percentile(count_levels(np.asarray(rises, np.uint8), inked), 75)


def shrink(gray: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The picture, no longer than `side` pixels."""
    while max(gray.shape) >= 2 * side:  # by means of 2 × 2 pixels: many times as fast as by any other step
        half = max(1, gray.shape[1] // 2), max(1, gray.shape[0] // 2)
        gray = np.asarray(cv2.resize(gray, half, interpolation=cv2.INTER_AREA), np.uint8)
    scale = side / max(gray.shape)
    if scale >= 1:
        return gray
    size = max(1, round(gray.shape[1] * scale)), max(1, round(gray.shape[0] * scale))
    return np.asarray(cv2.resize(gray, size, interpolation=cv2.INTER_AREA), np.uint8)


def is_light_on_dark(gray: NDArray[np.uint8]) -> bool:
    """Whether the ground is dark: the side of Otsu's threshold on which most of the border lies.

    Where ink reaches the border on all sides, it is the side on which most of the picture lies.
    """
    threshold, _ = cv2.threshold(gray, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    border = np.concatenate([gray[0], gray[-1], gray[1:-1, 0], gray[1:-1, -1]])
    dark = float(np.mean(border <= threshold))
    return bool((np.mean(gray <= threshold) if abs(dark - 0.5) < UNCLEAR_BORDER else dark) > 0.5)


def flatten(gray: NDArray[np.uint8], window: float) -> NDArray[np.uint8]:
    """Light ink on dark, uneven light taken out: 0 for ground, up to 255 for the strongest ink there can be."""
    ground = find_ground(gray, window)
    return against_room(cv2.subtract(gray, ground), ground)


def find_ground(gray: NDArray[np.uint8], window: float, *, sharp: bool = False) -> NDArray[np.uint8]:
    """What lies under light ink: what an opening wider than any stroke leaves, smoothed.

    `window` is the width of the opening, as a share of the longer side.
    """
    side = max(gray.shape)
    if side < PLAIN_SIDE:
        return np.full_like(gray, percentile(count_levels(gray), 10))
    shrink = max(1.0, side * window / 32)  # the opening is 32 pixels wide at most: it costs the same for any picture
    size = max(1, round(gray.shape[1] / shrink)), max(1, round(gray.shape[0] / shrink))
    small = cv2.resize(gray, size, interpolation=cv2.INTER_AREA)
    width = max(3, round(side / shrink * window) | 1)
    ground = cv2.morphologyEx(small, cv2.MORPH_OPEN, np.ones((width, width), np.uint8), borderType=cv2.BORDER_REPLICATE)
    smooth = cv2.blur(ground, (width // 4 * 2 + 1,) * 2, borderType=cv2.BORDER_REPLICATE)
    # Smoothed only where that takes ink away, not where it would add some: beside an edge of the ground itself.
    ground = cv2.max(ground, smooth) if sharp else smooth
    return np.asarray(cv2.resize(ground, gray.shape[::-1], interpolation=cv2.INTER_LINEAR), np.uint8)


def against_room(rise: cv2.typing.MatLike, ground: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """How far pixels rise, (H, W) uint8, of 255, measured against the room that their ground leaves them."""
    room = np.maximum(255 - ground, np.uint8(MIN_ROOM))
    return np.asarray(cv2.divide(rise, room, scale=255), np.uint8)


def above(ink: NDArray[np.uint8], level: float) -> NDArray[np.uint8]:
    """1 where it is stronger than a level of 0 to 255, 0 elsewhere, (H, W)."""
    return np.asarray(cv2.threshold(ink, int(level), 1, cv2.THRESH_BINARY)[1], np.uint8)


def noise(gray: NDArray[np.uint8]) -> float:
    """The standard deviation of a picture's noise, from how far the typical pixel lies off its neighbours' mean.

    At the coarseness where it is worst: the grain of a JPEG or of rough paper hardly shows from pixel to pixel.
    """
    worst = 0.0
    if max(gray.shape) < SIDE:  # so small a picture is all strokes, with no plain ground to measure on
        return worst
    for _ in range(3):  # coarser still, and close writing would be the texture
        step = max(1, max(gray.shape) // NOISE_SIDE)  # a median of fewer pixels is as good
        off = cv2.absdiff(gray, cv2.blur(gray, (3, 3)))[::step, ::step]
        worst = max(worst, 1.4826 * percentile(count_levels(np.ascontiguousarray(off, np.uint8)), 50))
        if min(gray.shape) < 2 * MIN_SCENE:
            break
        gray = shrink(gray, max(gray.shape) // 2)
    return worst


def faintest_ink(gray: NDArray[np.uint8], noise: float) -> float:
    """What ink of a picture, (H, W) uint8, rises by at least, 0 to 255, to be told from noise and uneven light."""
    small = shrink(gray, LIGHT_SIDE)
    changes = cv2.morphologyEx(small, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    light = percentile(count_levels(np.asarray(changes, np.uint8)), 50)
    return max(FAINTEST * 255, CLEAR_OF_NOISE * noise, CLEAR_OF_LIGHT * light)


def ink_level(ink: NDArray[np.uint8], gray: NDArray[np.uint8], noise: float) -> float | None:
    """How strong the ink of a picture, `gray`, is, 0 to 255; None where there is none above the noise.

    Faint ink counts, and is looked for, only where there is no other.
    """
    level = _level_above(ink, max(MIN_CONTRAST * 255, CLEAR_OF_NOISE * noise), MIN_CONTRAST * 255)
    if level is not None:
        return level
    faintest = faintest_ink(gray, noise)
    return _level_above(ink, faintest, faintest)


def _level_above(ink: NDArray[np.uint8], floor: float, least: float) -> float | None:
    """How strong the ink is that rises above a floor; None where half of its edge is lower than `least`."""
    x, y, width, height = cv2.boundingRect(above(ink, floor))  # mostly little of the picture
    if not width:
        return None
    counts = count_levels(ink[y : y + height, x : x + width])
    counts[: int(floor) + 1] = 0
    if counts.sum() < 4:
        return None
    # Otsu's threshold within what rises above the floor parts the ink from its own blurred edges and from shading.
    counts[: otsu_threshold(counts)] = 0
    level = percentile(counts, 75)
    return level if level * INK_LEVEL > least else None
