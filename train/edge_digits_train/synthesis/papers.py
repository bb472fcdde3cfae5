"""What is written on, and the light that falls on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge_digits.opencv import cv2

Sheet = NDArray[np.float32]
"""(H, W, 3), blue, green and red, 0 to 255."""
Colour = tuple[float, float, float]
Rules = Literal["none", "lines", "squares"]
Light = Literal["even", "slope", "lamp", "shadow", "vignette"]
LIGHTS: tuple[Light, ...] = ("even", "slope", "lamp", "shadow", "vignette")

INKS: tuple[Colour, ...] = (
    (30, 30, 30), (60, 50, 45), (150, 60, 30), (170, 40, 60), (40, 40, 170), (60, 110, 40), (110, 110, 110),
)  # fmt: skip
"""Black, blue-black, two blues, red, green, pencil."""
PAPERS: tuple[Colour, ...] = (
    (252, 252, 252), (235, 238, 240), (215, 228, 235), (190, 215, 232), (205, 205, 205), (175, 178, 182),
    (200, 190, 230), (225, 215, 195), (195, 225, 200), (150, 200, 235),
)  # fmt: skip
"""Whites, creams, greys, pink, blue, green, yellow."""
BOARDS: tuple[Colour, ...] = ((0, 0, 0), (25, 25, 25), (50, 60, 45), (70, 45, 35), (60, 60, 60))
"""Black, slate, green and blue boards, and grey."""
CHALKS: tuple[Colour, ...] = ((255, 255, 255), (235, 235, 235), (180, 240, 250), (200, 220, 255), (235, 220, 190))


@dataclass(frozen=True)
class Ground:
    """A paper or a board, and what it is written with."""

    colour: Colour
    ink: Colour
    mottle: float = 0.0
    """Standard deviation of slow changes of brightness, in levels."""
    tooth: float = 0.0
    """Standard deviation of the fine texture, in levels."""
    rules: Rules = "none"
    spacing: float = 40.0
    """Pixels between rules."""
    rule_strength: float = 0.3
    """How much of the paper a rule hides, 0 to 1."""
    light: Light = "even"
    dimming: float = 0.0
    """How much of the light is missing where it is darkest, 0 to 1."""


def lay(ground: Ground, height: int, width: int, rng: np.random.Generator) -> Sheet:
    """The empty sheet, in even light."""
    sheet = np.empty((height, width, 3), np.float32)
    sheet[:] = ground.colour
    if ground.mottle:
        slow = rng.normal(0, 1, (max(2, height // 40 + 2), max(2, width // 40 + 2))).astype(np.float32)
        sheet += ground.mottle * cv2.resize(slow, (width, height), interpolation=cv2.INTER_CUBIC)[:, :, np.newaxis]
    if ground.tooth:
        fine = cv2.GaussianBlur(rng.normal(0, 1, (height, width)).astype(np.float32), (0, 0), rng.uniform(0.5, 1.5))
        sheet += ground.tooth * (fine / fine.std())[:, :, np.newaxis]
    if ground.rules != "none":
        _rule(sheet, ground, rng)
    return sheet


def ink(sheet: Sheet, cover: NDArray[np.float32], colour: Colour) -> Sheet:
    """The sheet with ink on it, where `cover`, (H, W), says so, 0 to 1."""
    share = cover[:, :, np.newaxis]
    return np.asarray(sheet * (1 - share) + np.asarray(colour, np.float32) * share, np.float32)


def shine(sheet: Sheet, ground: Ground, rng: np.random.Generator) -> Sheet:
    """The sheet in the ground's light."""
    if ground.light == "even" or not ground.dimming:
        return sheet
    height, width = sheet.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    y, x = y / height - 0.5, x / width - 0.5
    turn = rng.uniform(0, 2 * np.pi)
    across = x * np.cos(turn) + y * np.sin(turn)
    if ground.light == "slope":
        strength = 1 - ground.dimming * (across + 0.7) / 1.4
    elif ground.light == "lamp":
        away = (x - np.cos(turn) * 0.8) ** 2 + (y - np.sin(turn) * 0.8) ** 2
        strength = 1 - ground.dimming * away / away.max()
    elif ground.light == "shadow":
        softness = float(np.exp(rng.uniform(np.log(0.01), np.log(0.2))))
        strength = 1 - ground.dimming / (1 + np.exp(-(across - rng.uniform(-0.3, 0.3)) / softness))
    else:
        strength = 1 - ground.dimming * (x**2 + y**2) / 0.5
    return np.asarray(sheet * strength[:, :, np.newaxis], np.float32)


def _rule(sheet: Sheet, ground: Ground, rng: np.random.Generator) -> None:
    """Thin lines at even distances, blue or grey; on a board, lighter than it."""
    colour = np.asarray(rng.choice([(200.0, 150.0, 110.0), (150.0, 150.0, 150.0), (120.0, 120.0, 200.0)]), np.float32)
    thick = max(1, round(ground.spacing * rng.uniform(0.015, 0.05)))
    starts = [(0, rng.uniform(0, ground.spacing))]
    if ground.rules == "squares":
        starts.append((1, rng.uniform(0, ground.spacing)))
    for axis, start in starts:
        for at in np.arange(start, sheet.shape[axis], ground.spacing):
            strip = sheet[round(at) : round(at) + thick] if axis == 0 else sheet[:, round(at) : round(at) + thick]
            strip += ground.rule_strength * (colour - strip)
