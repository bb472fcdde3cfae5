"""How drawn pictures of single digits differ from real ones, medium by medium.

`python benchmarks/looks.py PICTURES [--data train.csv] [-o looks.png] [--sheet sheet.png]`

Takes a folder with labels.csv, as evaluate-pictures does, and draws as many pictures of each medium of `edge-digits
synthesize`. Of each picture that is found to hold one region, the same is measured, with what the runtime finds. Prints
a table as Markdown, median and middle 80 % of real and of drawn ones and how far their distributions lie apart
(Kolmogorov and Smirnov, 0 to 1), and draws the distributions. `--sheet` shows some of both: real ones above, drawn
below.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from draw_synthesis import on_square
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from tile_statistics import distance, statistics

from edge_digits import Reader
from edge_digits.explain import contrast, fine_stroke
from edge_digits.images import load_image
from edge_digits.ink import noise
from edge_digits.outputs import open_output
from edge_digits.picture_labels import load_labels
from edge_digits.progress import ProgressLine
from edge_digits.reader import Trace
from edge_digits.tiles import BOX
from edge_digits_train.data import load_data
from edge_digits_train.plots import QUIET, VALIDATION, new_figure, png, style
from edge_digits_train.synthesis.pictures import Medium, Synthesis

Image = NDArray[np.uint8]
Measured = dict[str, NDArray[np.float64]]

REAL: dict[Medium, tuple[str, ...]] = {
    "photo": ("photo",),
    "scan": ("scan",),
    "tablet": ("tablet_ink",),
    "drawing": (
        "drawing_dark_on_light",
        "drawing_dark_on_light_lowres",
        "drawing_light_on_dark",
        "drawing_light_on_dark_lowres",
    ),
}
"""The kinds of real pictures that a medium draws; there are none of boards."""
CELLS = 16
"""Of a picture's longer side: over each the ground is averaged, so that its noise does not count as unevenness."""
BARS = 24
"""Of a histogram."""
COLUMNS, ROWS = 12, 2
"""Pictures on the sheet in a row, and rows of real and of drawn ones of a medium."""
CHANCE = 1.63
"""Times √(1/n + 1/m): so far two samples of one distribution lie apart in one case of a hundred."""


@dataclass(frozen=True)
class Property:
    """What is measured of a picture."""

    name: str
    unit: str
    places: int = 0
    """Behind the point."""
    is_log: bool = False
    """Drawn on a logarithmic axis."""

    def said(self, values: NDArray[np.float64]) -> str:
        """Median and middle 80 %."""
        low, middle, high = (f"{value:,.{self.places}f}" for value in np.percentile(values, [10, 50, 90]))
        return f"{middle} ({low} to {high})"


PROPERTIES = (
    Property("picture's longer side", "px", is_log=True),
    Property("digit's height", "px", is_log=True),
    Property("digit's height", "% of the picture's"),
    Property("digit off the middle", "% of the longer side"),
    Property("digit's width", "% of its height"),
    Property("stroke", f"px, where the digit has {BOX}", places=1),
    Property("tile's mean pixel", "of 255"),
    Property("tile's grey pixels", "% of its ink"),
    Property("contrast", "% of the range"),
    Property("noise", "levels", places=1),
    Property("ground's brightness", "of 255"),
    Property("ground's unevenness", "levels"),
    Property("ground's tint", "levels"),
)
"""In the order of `measure`."""


def ground_of(image: Image, ink: Image) -> tuple[float, float, float]:
    """Brightness, unevenness and tint of the ground of a picture, (H, W) or (H, W, 3), in levels of 255.

    Unevenness lies between the darkest and the brightest twentieth, tint between the strongest and the weakest colour.
    `ink`, (h, w), bright on black. NaN where there is ink all over.
    """
    height, width = ink.shape
    colours = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA).reshape(height, width, -1)
    about = np.ones((3, 3), np.uint8)  # the grey edges of strokes are no ground, either
    bare = (cv2.dilate(ink, about) <= ink.max() / 8).astype(np.float32)
    scale = min(1.0, CELLS / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    share = cv2.resize(bare, size, interpolation=cv2.INTER_AREA)
    sums = cv2.resize(colours * bare[..., np.newaxis], size, interpolation=cv2.INTER_AREA).reshape(*share.shape, -1)
    cells = (sums[share > 0.5] / share[share > 0.5, np.newaxis]).round(1)  # 254.9999 is 255
    if not len(cells):
        return float("nan"), float("nan"), float("nan")
    low, high = np.percentile(cells.mean(axis=1).round(1), [5, 95])
    middle = np.median(cells, axis=0)
    return round(float(middle.mean()), 1), float(high - low), float(np.ptp(middle))


def measure(traces: Sequence[Trace]) -> Measured:
    """(n,) of each of PROPERTIES, of pictures with one region each."""
    tiles = statistics(np.concatenate([trace.tiles for trace in traces]))
    rows = []
    for number, trace in enumerate(traces):
        assert trace.ink is not None
        [region] = trace.regions
        x, y, width, height = region.box
        gray = trace.image if trace.image.ndim == 2 else cv2.cvtColor(trace.image, cv2.COLOR_BGR2GRAY)
        off = np.hypot(x + width / 2 - gray.shape[1] / 2, y + height / 2 - gray.shape[0] / 2)
        rows.append((
            max(gray.shape), height, 100 * height / gray.shape[0], 100 * off / max(gray.shape), 100 * width / height,
            BOX * fine_stroke(region.ink) / max(region.ink.shape), tiles["ink"][number], 100 * tiles["grey"][number],
            100 * contrast(trace.image, trace.ink, region.box), noise(np.asarray(gray, np.uint8)),
            *ground_of(trace.image, trace.ink),
        ))  # fmt: skip
    return dict(zip(map(key, PROPERTIES), np.array(rows, np.float64).T, strict=True))


def key(each: Property) -> str:
    """Name and unit."""
    return f"{each.name}, {each.unit}"


def spread(values: Sequence[str], most: int) -> list[str]:
    """`most` of them, or all, as many from each part of the list."""
    return [values[i] for i in np.unique(np.linspace(0, len(values) - 1, most).round().astype(int))]


def table(found: dict[Medium, tuple[Measured, Measured]]) -> str:
    """As Markdown: a row for each property, a column for each medium."""
    head = [f"{medium} ({', '.join(str(count) for count in counts(pair))})" for medium, pair in found.items()]
    lines = [f"| | {' | '.join(head)} |", f"|{' --- |' * (len(head) + 1)}"]
    for each in PROPERTIES:
        cells = []
        for pair in found.values():
            real, drawn = (known(measured, each) for measured in pair)
            cells.append(f"{each.said(real)}<br>{each.said(drawn)}<br>{distance(real, drawn):.2f}")
        lines.append(f"| {key(each)} | {' | '.join(cells)} |")
    by_chance = [f"{CHANCE * np.sqrt(sum(1 / count for count in counts(pair))):.2f}" for pair in found.values()]
    lines.append(f"| apart by chance, 1 in 100 | {' | '.join(by_chance)} |")
    return "\n".join(lines)


def counts(pair: tuple[Measured, Measured]) -> list[int]:
    """How many real and drawn pictures were measured."""
    return [len(measured[key(PROPERTIES[0])]) for measured in pair]


def known(measured: Measured, each: Property) -> NDArray[np.float64]:
    """The values of a property, where there are."""
    values = measured[key(each)]
    return values[np.isfinite(values)]


def draw(found: dict[Medium, tuple[Measured, Measured]]) -> bytes:
    """A row for each property, a column for each medium; in a row the scale is the same."""
    with style():
        figure = new_figure(13)
        figure.set_layout_engine("constrained")
        panels = figure.subplots(len(PROPERTIES), len(found), squeeze=False, sharex="row")
        for line, each in zip(panels, PROPERTIES, strict=True):
            values = np.concatenate([known(measured, each) for pair in found.values() for measured in pair])
            bars = edges(values, each.is_log)
            for axes, pair in zip(line, found.values(), strict=True):
                _draw_pair(axes, bars, *(known(measured, each) for measured in pair))
                _name_ticks(axes, each)
            line[0].set_title(key(each), fontsize=9, weight="normal")
        for axes, (medium, pair) in zip(panels[0], found.items(), strict=True):
            real, drawn = counts(pair)
            axes.annotate(
                f"{medium}\n{real} real, {drawn} drawn", (0, 1), (0, 22), xycoords="axes fraction",
                textcoords="offset points", weight="bold", fontsize=10, annotation_clip=False,
            )  # fmt: skip
        figure.supxlabel("Grey: real pictures. Blue: drawn ones. Each area is the same.", fontsize=9, color=QUIET)
        return png(figure)


def edges(values: NDArray[np.float64], is_log: bool) -> NDArray[np.float64]:
    """(BARS + 1,): of a histogram of all but the outermost hundredth at either end, which counts to the last bars."""
    low, high = np.percentile(values, [1, 99])
    high = max(high, low + 1)
    return np.geomspace(max(low, 1), high, BARS + 1) if is_log else np.linspace(low, high, BARS + 1)


def _draw_pair(axes: Axes, bars: NDArray[np.float64], real: NDArray[np.float64], drawn: NDArray[np.float64]) -> None:
    shares = [np.histogram(np.clip(values, bars[0], bars[-1]), bars)[0] / len(values) for values in (real, drawn)]
    axes.stairs(shares[0], bars, fill=True, color="#bbbbbb")
    axes.stairs(shares[1], bars, color=VALIDATION, lw=1.4)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)


def _name_ticks(axes: Axes, each: Property) -> None:
    if each.is_log:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(3))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,g}"))
    axes.tick_params(labelsize=8)


def contact_sheet(images: Iterable[tuple[Sequence[Image], Sequence[Image]]]) -> Image:
    """Of each medium ROWS rows of real pictures and, under them, as many of drawn ones."""
    lines = []
    for pair in images:
        for pictures in pair:
            cells = [on_square(image)[0] for image in pictures[: COLUMNS * ROWS]]
            cells += [np.full_like(cells[0], 160)] * (COLUMNS * ROWS - len(cells))
            lines += [np.hstack(cells[row * COLUMNS : (row + 1) * COLUMNS]) for row in range(ROWS)]
        lines.append(np.zeros_like(lines[-1][:4]))
    return np.vstack(lines)


def trace_all(sources: Iterable[str] | Iterable[Image], reader: Reader, advance: Callable[[], None]) -> list[Trace]:
    """Of pictures, those that are found to hold one region; told of each that is done."""
    found = []
    for source in sources:
        trace = reader.trace(source)
        if len(trace.parts) == 1:
            found.append(trace)
        advance()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", help="a folder with labels.csv")
    parser.add_argument("--data", default="mnist-5k", help="whose digits are drawn: whatever train takes")
    parser.add_argument("-n", "--count", type=int, default=100, help="pictures of each medium, real and drawn, at most")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, default=Path("looks.png"))
    parser.add_argument("--sheet", type=Path, help="shows real pictures, too: for one's own eyes")
    asked = parser.parse_args()
    labelled = [picture for picture in load_labels(asked.pictures) if len(picture.text) == 1]
    rows, reader = load_data(asked.data).rows, Reader()
    found: dict[Medium, tuple[Measured, Measured]] = {}
    shown: list[tuple[list[Image], list[Image]]] = []
    with ProgressLine("pictures") as line:
        done = 0

        def advance() -> None:
            nonlocal done
            done += 1
            line.update(done, 2 * asked.count * len(REAL))

        for medium, kinds in REAL.items():
            paths = spread([picture.path for picture in labelled if picture.kind in kinds], asked.count)
            synthesis = Synthesis(rows, asked.seed, (medium,), ("single",))
            pictures = [synthesis.picture(number).image for number in range(asked.count)]
            found[medium] = measure(trace_all(paths, reader, advance)), measure(trace_all(pictures, reader, advance))
            shown.append(([load_image(path) for path in spread(paths, COLUMNS * ROWS)], pictures[: COLUMNS * ROWS]))
    print(table(found))
    with open_output(str(asked.output), force=True, binary=True) as out:
        out.write(draw(found))
    if asked.sheet is not None:
        cv2.imwrite(str(asked.sheet), contact_sheet(shown))


if __name__ == "__main__":
    main()
