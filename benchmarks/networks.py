"""The bundled networks against what is published.

`python benchmarks/networks.py --data train.csv [--before exported] [-o networks.png]`

Of each bundled model, in both precisions: bytes, accuracy on the rows that its training held out, how far confidences
can be believed there, what test-time augmentation brings, and the time for one tile on one thread (the models take
turns; median of the rounds). Prints a table as Markdown, and draws bytes and time against error, with their 95 %
intervals.

A refit has learnt from all rows: in its place the export of the training before it is asked, NAME-PRECISION.onnx in the
folder `--before`; bytes and time are its own.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray

from edge_digits import Classifier
from edge_digits.bench_figures import seconds_of
from edge_digits.calibration import Calibration
from edge_digits.classifier import load_ensemble, temper
from edge_digits.metrics import Evaluation
from edge_digits.model_files import load_manifest
from edge_digits.outputs import open_output
from edge_digits.progress import ProgressLine
from edge_digits_export.temperature import fit_temperature
from edge_digits_train.data import DataSet, Split, load_data, split_data
from edge_digits_train.plots import QUIET, TRAINING, VALIDATION, new_figure, png, style

PRECISIONS = {"int8": VALIDATION, "fp32": TRAINING}
VARIATIONS = 9
"""Averaged by `submit --tta 9`."""
LEFT_OUT = 0.01
"""Share of the least sure answers."""
FIFTHS = 5
LEAST = 1e-30
"""Of a probability whose logarithm is taken."""


@dataclass(frozen=True)
class Published:
    """A network of others: its figure is of other rows, MNIST's 10,000 or Kaggle's 28,000."""

    name: str
    size: float
    """Bytes; where only its parameters are known, four for each."""
    error: float
    """Percent."""
    name_at: tuple[int, int] = (0, 8)
    """Points to the right of its mark, and up."""


OTHERS = (
    Published("ONNX Model Zoo,\nmnist-12-int8", 11_000, 1.1, (42, -6)),  # github.com/onnx/models
    Published("BitNetMCU,\nweights alone", 11_000, 0.45, (0, -32)),  # github.com/cpldcpu/BitNetMCU
    Published("", 13_000, 0.42),
    Published("MNIST-CNN-99.75,\nmean of 1,500", 4 * 327_000, 0.359),  # github.com/cdeotte/MNIST-CNN-99.75
    Published("the first post,\nKaggle", 4 * 1_716_202, 0.3),  # the recipe cnn-augmented
)


@dataclass(frozen=True)
class Measured:
    """A bundled model in one precision."""

    name: str
    precision: str
    parameters: int
    size: int
    """Bytes."""
    found: Evaluation
    averaged: Evaluation
    """Over VARIATIONS."""
    calibration: Calibration
    seconds: tuple[float, ...]
    """For one tile, in each round."""

    @property
    def error(self) -> float:
        """Percent."""
        return 100 * (1 - self.found.accuracy)

    @property
    def microseconds(self) -> float:
        """The median."""
        return 1e6 * statistics.median(self.seconds)

    def row(self) -> str:
        """Of the table."""
        low, high = (100 * end for end in self.found.interval)
        _, _, wrong, rest = next(line for line in self.calibration.coverage() if line[0] == LEFT_OUT)
        cells = (
            f"`{self.name}-{self.precision}`", f"{self.parameters:,}", f"{self.size:,}",
            f"{100 * self.found.accuracy:.2f} ({low:.2f} to {high:.2f})", f"{100 * self.averaged.accuracy:.2f}",
            f"{100 * self.calibration.error():.2f}", f"{wrong} of {rest:,} ({100 * wrong / rest:.2f} %)",
            f"{self.microseconds:.0f} ({1e6 * min(self.seconds):.0f} to {1e6 * max(self.seconds):.0f})",
        )  # fmt: skip
        return f"| {' | '.join(cells)} |"


HEAD = (
    "model", "parameters", "bytes", "accuracy, %", f"with `--tta {VARIATIONS}`, %", "calibration error, %",
    f"wrong without the {100 * LEFT_OUT:g} % least sure", "µs a tile",
)  # fmt: skip


def measure(rows: DataSet, before: Path, rounds: int, calls: int) -> list[Measured]:
    """All bundled models on rows that their trainings held out, refits by the exports in `before`."""
    manifest = load_manifest()["models"]
    models = {(name, precision): Classifier(f"{name}-{precision}") for name in manifest for precision in PRECISIONS}
    times: dict[tuple[str, str], list[float]] = {key: [] for key in models}
    with ProgressLine("rounds") as line:
        for number in range(rounds):
            for key, model in models.items():
                took = [seconds_of(partial(model.classify, rows.tiles[i % len(rows)])) for i in range(calls)]
                times[key].append(statistics.median(took))
            line.update(number + 1, rounds)
    found = []
    for (name, precision), model in models.items():
        is_refit, bundled = manifest[name]["source"]["refit"], f"{name}-{precision}"
        asked = str(before / f"{bundled}.onnx") if is_refit else bundled
        answers = (Classifier(asked) if is_refit else model).classify(rows.tiles).probabilities
        averaged = load_ensemble([asked], variations=VARIATIONS)(rows.tiles)
        found.append(
            Measured(
                name,
                precision,
                manifest[name]["parameters"],
                manifest[name]["files"][precision]["bytes"],
                Evaluation.from_probabilities(answers, rows.labels),
                Evaluation.from_probabilities(averaged, rows.labels),
                calibrate(rows, answers),
                tuple(times[name, precision]),
            )
        )
    return found


def calibrate(rows: DataSet, answers: NDArray[np.float32]) -> Calibration:
    """How far answers, (n, 10), can be believed, cross-validated.

    The temperature inside a model was fitted on these rows: a fifth of them is tempered once more by what the others
    ask for, each fifth in turn, so that no row has a say in how sure its own answer is.
    """
    calibration, part = Calibration(), np.arange(len(rows)) % FIFTHS
    for number in range(FIFTHS):
        these, others = part == number, part != number
        again = fit_temperature(np.log(np.maximum(answers[others], LEAST)), rows.labels[others])
        calibration.add(rows.tiles[these], rows.labels[these], temper(answers[these], again.value))
    return calibration


def held_out(data: str) -> DataSet:
    """The rows that the trainings of all bundled models held out; ends the program where one did not."""
    loaded = load_data(data).rows
    rows = split_data(loaded, Split())[1]
    for name, entry in load_manifest()["models"].items():
        about = entry.get("measured", entry["source"]["data"])
        if (about["sha256"], about["compared_rows"], about["compared_rows_were"]) != (
            loaded.sha256, len(rows), "held out",
        ):  # fmt: skip
            sys.exit(f"{name} did not hold out these rows of {loaded.name}")
    return rows


def draw(found: list[Measured], n: int) -> bytes:
    """Bytes above, time below; the error downwards is better in both."""
    with style():
        figure = new_figure(8.6)
        figure.set_layout_engine("constrained")
        above, below = figure.subplots(2, 1)
        for other in OTHERS:
            above.plot(other.size, other.error, "D", color=QUIET, ms=5)
            above.annotate(
                other.name, (other.size, other.error), other.name_at, textcoords="offset points", ha="center",
                color=QUIET, fontsize=8,
            )  # fmt: skip
        _draw_ours(above, found, [model.size for model in found])
        _draw_ours(below, found, [model.microseconds for model in found])
        above.set_title("Error by size")
        above.set_xlabel("bytes of the file; of others of the weights")
        above.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x / 1000:,.0f} kB"))
        below.set_title("Error by time")
        below.set_xlabel("microseconds for one tile on one thread")
        below.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        below.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
        above.legend(loc="upper right")
        figure.supxlabel(
            f"Ours: {n:,} rows of train.csv held out, with 95 % intervals. Others, in grey: MNIST's 10,000\n"
            "or Kaggle's 28,000, as they say themselves.", fontsize=8, color=QUIET,
        )  # fmt: skip
        return png(figure)


def _draw_ours(axes: Axes, found: list[Measured], places: list[float] | list[int]) -> None:
    for precision, colour in PRECISIONS.items():
        ours = [(model, place) for model, place in zip(found, places, strict=True) if model.precision == precision]
        ends = np.array([[100 * (1 - end) for end in model.found.interval] for model, _ in ours]).T
        errors = np.array([model.error for model, _ in ours])
        axes.errorbar(
            [place for _, place in ours], errors, yerr=[errors - ends[1], ends[0] - errors], fmt="o", color=colour,
            capsize=3, label=f"ours, {precision}",
        )  # fmt: skip
        above = precision == "int8"  # the names of the two do not meet
        for (model, place), end in zip(ours, ends[0] if above else ends[1], strict=True):
            name = model.name.removeprefix("digits-")
            axes.annotate(
                name, (place, end), (0, 5 if above else -13), textcoords="offset points", ha="center", color=colour,
                fontsize=9,
            )  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g} %"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylabel("error")
    axes.margins(x=0.08, y=0.1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="what the bundled models were trained on")
    parser.add_argument("-o", "--output", type=Path, default=Path("networks.png"))
    parser.add_argument("--before", type=Path, default=Path("exported"), help="exports of the trainings before refits")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--calls", type=int, default=1000, help="tiles in a round")
    asked = parser.parse_args()
    rows = held_out(asked.data)
    found = measure(rows, asked.before, asked.rounds, asked.calls)
    print(f"| {' | '.join(HEAD)} |\n|{' --- |' * len(HEAD)}")
    for model in sorted(found, key=lambda model: model.parameters):
        print(model.row())
    with open_output(str(asked.output), force=True, binary=True) as out:
        out.write(draw(found, len(rows)))


if __name__ == "__main__":
    main()
