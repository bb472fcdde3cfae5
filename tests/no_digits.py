"""Pictures without a digit: blank papers, textures, letters, doodles, logos. Each is fixed by its kind and seed."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray
from pictures import Picture, Tiles, exposed, jpeg, lit, noisy, penned, write_number

Floats = NDArray[np.float32]
SIZES = ((240, 320), (480, 640), (640, 480), (900, 1200))
"""(H, W) of the pictures, one after the other as the seed goes up."""
LOOKALIKES = "OoIlZzSsBGqgb"
"""Letters that a person may take for digits, too."""
OTHER_LETTERS = "AaCcDdEeFfHhiJjKkLMmNnPpQRrTtUuVvWwXxYy"


def blank_picture(kind: str, seed: int) -> Tiles:
    """Blank paper of one of the kinds of BLANKS; the lightness, the lines and the noise are the seed's."""
    height, width = SIZES[seed % len(SIZES)]
    rng = np.random.default_rng([seed, list(BLANKS).index(kind)])
    return exposed(BLANKS[kind](rng, height, width))


def texture_picture(kind: str, seed: int) -> Tiles:
    """A texture of one of the kinds of TEXTURES, in a colour of the seed's."""
    height, width = SIZES[seed % len(SIZES)]
    rng = np.random.default_rng([seed, list(TEXTURES).index(kind), 1])
    gray = TEXTURES[kind](rng, height, width)
    tint = rng.uniform(0.7, 1, 3).astype(np.float32)
    return noisy(exposed(gray[:, :, np.newaxis] * tint), rng.uniform(0, 4), seed)


def letter_picture(letters: str, seed: int) -> Tiles:
    """A letter or a word on paper: the strokes of OpenCV's fonts, drawn with a pen, and bent as a hand bends them."""
    rng = np.random.default_rng(seed)
    faces = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_SCRIPT_SIMPLEX)
    mask = np.zeros((220, 120 + 90 * len(letters)), np.uint8)
    cv2.putText(mask, letters, (30, 140), faces[int(rng.integers(2))], 3, 255, 8)
    scale = rng.uniform(0.4, 1.2)
    cover = np.pad(penned(mask > 127, scale, scale * rng.uniform(4, 14)), 30)
    cover = _bent(cover, rng, 90 * scale)
    sheet = _plain(rng, *cover.shape)
    image = exposed(sheet * (1 - cover) + rng.uniform(20, 100) * cover)
    return np.asarray(255 - image, np.uint8) if rng.random() < 0.2 else image


def _bent(cover: Floats, rng: np.random.Generator, height: float) -> Floats:
    """Slanted, turned, and each stroke a little off its way, by a twelfth of the height or so."""
    rows, columns = np.mgrid[0 : cover.shape[0], 0 : cover.shape[1]].astype(np.float32)
    off = [cv2.GaussianBlur(rng.normal(0, 1, cover.shape), None, height / 4) for _ in range(2)]
    y, x = (rows + each * height / 12 / max(each.std(), 1e-9) for each, rows in zip(off, (rows, columns), strict=True))
    turn = np.deg2rad(rng.normal(0, 5))
    middle = cover.shape[0] / 2, cover.shape[1] / 2
    y, x = y - middle[0], x - middle[1] + rng.normal(0, 0.15) * (rows - middle[0])
    turned = np.cos(turn) * y - np.sin(turn) * x + middle[0], np.sin(turn) * y + np.cos(turn) * x + middle[1]
    return np.asarray(cv2.remap(cover, *(each.astype(np.float32) for each in turned[::-1]), cv2.INTER_LINEAR))


# ---- blank papers


def _plain(rng: np.random.Generator, height: int, width: int) -> Floats:
    return np.full((height, width), rng.uniform(150, 255), np.float32) + _grain(rng, height, width, 0, 3)


def _tinted(rng: np.random.Generator, height: int, width: int) -> Floats:
    sheet: Floats = _plain(rng, height, width)[:, :, np.newaxis] * rng.uniform(0.7, 1, 3).astype(np.float32)
    return sheet


def _lined(rng: np.random.Generator, height: int, width: int, *, upright: bool = False) -> Floats:
    sheet = _tinted(rng, height, width)
    step, thick = int(rng.integers(16, 60)), int(rng.integers(1, 3))
    for y in range(int(rng.integers(step)), height, step):
        sheet[y : y + thick] *= (0.95, 0.85, 0.75)
    if upright:
        for x in range(int(rng.integers(step)), width, step):
            sheet[:, x : x + thick] *= (0.95, 0.85, 0.75)
    else:
        sheet[:, width // 8 : width // 8 + thick] *= (0.7, 0.7, 0.95)
    return sheet


def _squared(rng: np.random.Generator, height: int, width: int) -> Floats:
    return _lined(rng, height, width, upright=True)


def _dotted(rng: np.random.Generator, height: int, width: int) -> Floats:
    sheet = _plain(rng, height, width)
    step = int(rng.integers(16, 48))
    for y in range(step // 2, height, step):
        for x in range(step // 2, width, step):
            cv2.circle(sheet, (x, y), 1, 170, -1)
    return sheet


def _under(light: str) -> Callable[[np.random.Generator, int, int], Floats]:
    def make(rng: np.random.Generator, height: int, width: int) -> Floats:
        return lit(exposed(_plain(rng, height, width)), light, int(rng.integers(1000))).astype(np.float32)

    return make


def _compressed(rng: np.random.Generator, height: int, width: int) -> Floats:
    image = lit(exposed(_plain(rng, height, width) + _grain(rng, height, width, 1, 4)), "lamp", int(rng.integers(1000)))
    return jpeg(image, int(rng.integers(10, 50))).astype(np.float32)


def _rough(rng: np.random.Generator, height: int, width: int) -> Floats:
    return _plain(rng, height, width) - 20 + _grain(rng, height, width, 1, 5) + _grain(rng, height, width, 6, 5)


def _crumpled(rng: np.random.Generator, height: int, width: int) -> Floats:
    """Facets, each a plane under the light."""
    sheet = np.full((height, width), -1e9, np.float32)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32) / max(height, width)
    for _ in range(30):
        a, b = rng.normal(0, 1, 2)
        y, x = rng.uniform(0, 1, 2)
        np.maximum(sheet, a * (rows - y) + b * (columns - x) - 2 * np.hypot(rows - y, columns - x), out=sheet)
    slope = cv2.Sobel(sheet, cv2.CV_32F, 1, 0, ksize=1) * max(height, width)
    return np.asarray(_plain(rng, height, width) - 20 + 6 * cv2.GaussianBlur(slope, None, 1), np.float32)


def _folded(rng: np.random.Generator, height: int, width: int) -> Floats:
    sheet = _plain(rng, height, width)
    sheet[height // 2 :] *= rng.uniform(0.85, 0.97)
    sheet[:, width // 2 :] *= rng.uniform(0.85, 0.97)
    return np.asarray(cv2.GaussianBlur(sheet, None, 1.2), np.float32)


BLANKS: dict[str, Callable[[np.random.Generator, int, int], Floats]] = {
    "plain": _plain, "tinted": _tinted, "lined": _lined, "squared": _squared, "dotted": _dotted, "lamp": _under("lamp"),
    "vignette": _under("vignette"), "shadow": _under("shadow"), "JPEG": _compressed, "rough": _rough,
    "crumpled": _crumpled, "folded": _folded,
}  # fmt: skip


# ---- textures


def _grain(rng: np.random.Generator, height: int, width: int, sigma: float, strength: float) -> Floats:
    """Noise, smoothed over `sigma` pixels, of this standard deviation."""
    noise = rng.normal(0, 1, (height, width)).astype(np.float32)
    if sigma:
        noise = np.asarray(cv2.GaussianBlur(noise, None, sigma), np.float32)
    grain: Floats = noise * np.float32(strength / noise.std())
    return grain


def _wood(rng: np.random.Generator, height: int, width: int) -> Floats:
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    rings = np.sin((rows + 20 * np.sin(columns / 150) + _grain(rng, height, width, 20, 8)) / rng.uniform(4, 15))
    fibres = cv2.GaussianBlur(rng.normal(0, 120, (height, width)), None, 25, None, 0.8)
    return np.asarray(140 + 15 * rings + fibres, np.float32)


def _cloth(rng: np.random.Generator, height: int, width: int) -> Floats:
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    thread = rng.uniform(1, 4)
    weave = np.sin(rows / thread) * np.sin(columns / thread)
    return np.asarray(rng.uniform(80, 200) + 25 * weave + _grain(rng, height, width, 1, 6), np.float32)


def _stones(rng: np.random.Generator, height: int, width: int, size: int) -> Floats:
    """Each pixel as far from its nearest stone's middle as it is, each stone of its own lightness."""
    count = max(4, height * width // size**2)
    seeds = np.ones((height, width), np.uint8)
    ys, xs = rng.integers(0, height, count), rng.integers(0, width, count)
    seeds[ys, xs] = 0
    away, nearest = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    shade = rng.uniform(90, 210, int(nearest.max()) + 1).astype(np.float32)
    return shade[nearest] * np.clip(1.2 - away / size, 0.3, 1).astype(np.float32)


def _bricks(rng: np.random.Generator, height: int, width: int) -> Floats:
    wall = np.full((height, width), 190, np.float32)
    step, long = int(rng.integers(24, 60)), int(rng.integers(60, 140))
    for row, y in enumerate(range(0, height, step)):
        for x in range(-long // 2 * (row % 2), width, long):
            wall[y + 3 : y + step, max(0, x + 3) : max(0, x + long)] = rng.uniform(90, 130)
    return wall + _grain(rng, height, width, 1, 8)


def _grass(rng: np.random.Generator, height: int, width: int) -> Floats:
    ground = np.full((height, width), 70, np.float32)
    for _ in range(height * width // 120):
        x, y = int(rng.integers(width)), int(rng.integers(height))
        end = x + int(rng.normal(0, 8)), y - int(rng.integers(8, 30))
        cv2.line(ground, (x, y), end, float(rng.uniform(60, 200)), 1, cv2.LINE_AA)
    return ground


def _bokeh(rng: np.random.Generator, height: int, width: int) -> Floats:
    view = np.full((height, width), 60, np.float32)
    for _ in range(25):
        spot = np.zeros_like(view)
        at = int(rng.integers(width)), int(rng.integers(height))
        cv2.circle(spot, at, int(rng.integers(10, 60)), float(rng.uniform(20, 90)), -1)
        view += spot
    return np.asarray(cv2.GaussianBlur(view, None, 6), np.float32)


def _octaves(rng: np.random.Generator, height: int, width: int) -> Floats:
    """Concrete, clouds, marble: noise of every coarseness."""
    total: Floats = np.asarray(sum(_grain(rng, height, width, 2.0**k, 2.0**k) for k in range(6)), np.float32)
    return 140 + total * np.float32(rng.uniform(0.3, 1))


def _gradient(rng: np.random.Generator, height: int, width: int) -> Floats:
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    low, high = sorted(rng.uniform(0, 255, 2))
    along = rows / height * rng.uniform(0, 1) + columns / width * rng.uniform(0, 1)
    return np.asarray(low + (high - low) * along / along.max(), np.float32)


def _stripes(rng: np.random.Generator, height: int, width: int) -> Floats:
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    angle, step = rng.uniform(0, np.pi), rng.uniform(4, 40)
    wave = np.sin((rows * np.sin(angle) + columns * np.cos(angle)) / step)
    return np.asarray(140 + 60 * np.clip(wave * rng.uniform(1, 5), -1, 1), np.float32)


def _checks(rng: np.random.Generator, height: int, width: int) -> Floats:
    rows, columns = np.mgrid[0:height, 0:width]
    step = int(rng.integers(8, 80))
    return np.where((rows // step + columns // step) % 2, rng.uniform(140, 255), rng.uniform(0, 120)).astype(np.float32)


def _salted(rng: np.random.Generator, height: int, width: int) -> Floats:
    sheet = np.full((height, width), 200, np.float32)
    spots = rng.random((height, width))
    sheet[spots < 0.01] = 0
    sheet[spots > 0.99] = 255
    return sheet


TEXTURES: dict[str, Callable[[np.random.Generator, int, int], Floats]] = {
    "wood": _wood,
    "cloth": _cloth,
    "gravel": lambda rng, height, width: _stones(rng, height, width, int(rng.integers(6, 16))),
    "pebbles": lambda rng, height, width: _stones(rng, height, width, int(rng.integers(24, 60))),
    "sand": lambda rng, height, width: 160 + _grain(rng, height, width, 0.8, 18),
    "bricks": _bricks,
    "grass": _grass,
    "bokeh": _bokeh,
    "concrete": _octaves,
    "gradient": _gradient,
    "stripes": _stripes,
    "checks": _checks,
    "noise": lambda rng, height, width: rng.uniform(60, 200) + _grain(rng, height, width, 0, rng.uniform(5, 50)),
    "salt and pepper": _salted,
}  # fmt: skip


def letter_pictures(letters: str, count: int) -> list[Tiles]:
    """One letter a picture, each in turn."""
    return [letter_picture(letters[seed % len(letters)], seed) for seed in range(count)]


def word_picture(seed: int) -> Tiles:
    """A word of three to six letters, none of which looks like a digit."""
    rng = np.random.default_rng([seed, 2])
    return letter_picture("".join(rng.choice(list(OTHER_LETTERS), int(rng.integers(3, 7)))), seed)


def word_above_number(seed: int) -> Picture:
    """A number of three digits by hand, 60 pixels high, and above it a printed word of such letters."""
    rng = np.random.default_rng([seed, 5])
    number = write_number("".join(map(str, rng.integers(0, 10, 3))), height=60, seed=seed)
    word = "".join(rng.choice(list(OTHER_LETTERS), int(rng.integers(3, 7))))
    scale = float(rng.uniform(0.8, 2))
    (width, height), below = cv2.getTextSize(word, cv2.FONT_HERSHEY_DUPLEX, scale, round(2 * scale))
    band = np.full((height + below + 30, max(width + 40, number.image.shape[1])), number.image[0, 0], np.uint8)
    cv2.putText(band, word, (20, height + 20), cv2.FONT_HERSHEY_DUPLEX, scale, 40, round(2 * scale), cv2.LINE_AA)
    sheet = np.full((len(band) + len(number.image), band.shape[1]), band[0, 0], np.uint8)
    sheet[: len(band)] = band
    sheet[len(band) :, : number.image.shape[1]] = number.image
    boxes = tuple((x, y + len(band), w, h) for x, y, w, h in number.boxes[0])
    return Picture(sheet, number.lines, (boxes,))


# ---- doodles and logos


def doodle_picture(seed: int) -> Tiles:
    """One to four scribbles of a pen on paper: a curve through random points, a star, a heart, or an arrow."""
    rng = np.random.default_rng([seed, 3])
    height, width = SIZES[seed % len(SIZES)]
    sheet = _plain(rng, height, width)
    for _ in range(int(rng.integers(1, 5))):
        outline = _OUTLINES[int(rng.integers(len(_OUTLINES)))](rng)
        size, turn = rng.uniform(0.1, 0.4) * height, rng.uniform(-0.4, 0.4)
        turned = outline @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        middle = rng.uniform(0.25, 0.75, 2) * (width, height)
        points = np.rint(turned * size / 2 + middle).astype(np.int32)
        pen = max(1, round(size * rng.uniform(0.02, 0.07)))
        cv2.polylines(sheet, [points], False, float(rng.uniform(20, 90)), pen, cv2.LINE_AA)
    return exposed(sheet)


def logo_picture(seed: int) -> Tiles:
    """A printed badge: one to three solid shapes in each other, with a word of capitals below or in it."""
    rng = np.random.default_rng([seed, 4])
    height, width = SIZES[seed % len(SIZES)]
    sheet = exposed(_plain(rng, height, width))
    middle, size = (width // 2, height // 2), float(rng.uniform(0.15, 0.35) * height)
    shades = (rng.uniform(20, 120), 245.0, rng.uniform(20, 160))
    for ring in range(int(rng.integers(1, 4))):
        sides = int(rng.choice([3, 4, 6, 60]))
        angles = np.arange(sides) * 2 * np.pi / sides + rng.uniform(0, np.pi)
        corners = np.stack([np.cos(angles), np.sin(angles)], axis=1) * size * 0.7**ring + middle
        cv2.fillPoly(sheet, [np.rint(corners).astype(np.int32)], float(shades[ring]), cv2.LINE_AA)
    word = "".join(rng.choice(list("ACEFHKLMNPRTUVWXY"), int(rng.integers(3, 7))))
    scale = size / 60
    at = middle[0] - round(scale * 10 * len(word)), round(middle[1] + size + 30 * scale)
    cv2.putText(sheet, word, at, cv2.FONT_HERSHEY_DUPLEX, scale, 40, max(1, round(3 * scale)), cv2.LINE_AA)
    return sheet


def _scribble(rng: np.random.Generator) -> NDArray[np.float64]:
    """(n, 2), within -1 and 1: a curve of a few waves, across and along."""
    along = np.linspace(0, 2 * np.pi, 200)
    waves = [sum(rng.normal(0, 1) * np.sin(k * along + rng.uniform(0, 6)) for k in (1, 2, 3, 5)) for _ in range(2)]
    curve = np.stack(waves, axis=1)
    return np.asarray(curve / np.abs(curve).max(), np.float64)


def _star(rng: np.random.Generator) -> NDArray[np.float64]:
    """Drawn in one go."""
    angles = np.arange(6) * 4 * np.pi / 5 + rng.uniform(0, 6)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _heart(rng: np.random.Generator) -> NDArray[np.float64]:
    t = np.linspace(0, 2 * np.pi, 100)
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)) / 16
    return np.stack([np.sin(t) ** 3, y], axis=1) * rng.uniform(0.8, 1)


def _arrow(rng: np.random.Generator) -> NDArray[np.float64]:
    head = rng.uniform(0.2, 0.4)
    return np.array([[-1, 0], [1, 0], [1 - head, -head], [1, 0], [1 - head, head]])


_OUTLINES = (_scribble, _scribble, _star, _heart, _arrow)
