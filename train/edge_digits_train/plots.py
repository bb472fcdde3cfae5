"""How the pictures of trainings are drawn and saved, and the two that are charts: curves and confusion matrix."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from edge_digits.metrics import Evaluation
from edge_digits_train.accuracy_scale import AccuracyScale
from edge_digits_train.facts import RunFacts, errors_of

WIDTH = 7.0
"""Inches of every picture: its letters are then still read on a phone."""

DPI = 150
"""Pixels an inch: 1,050 across, enough for a sharp screen and for paper."""

VALIDATION, TRAINING, WRONG, QUIET = "#1558b0", "#e07b00", "#c01818", "#666666"
"""Blue and orange are told apart by nearly everyone; red is for what is wrong."""

_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that a picture is the same everywhere
    "font.size": 11, "axes.titlesize": 12, "axes.titleweight": "bold", "axes.titlelocation": "left",
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "axes.axisbelow": True,
    "grid.color": "#dddddd", "legend.facecolor": "white", "legend.framealpha": 1, "legend.edgecolor": "none",
}  # fmt: skip

_MANY = 30
"""Passes from which on a curve is drawn without its points."""


@contextmanager
def style() -> Iterator[None]:
    """Pictures are made and saved in here: what a person has set for matplotlib does not reach them."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def new_figure(height: float) -> Figure:
    """A white figure, WIDTH by `height` inches, that needs no display."""
    figure = Figure((WIDTH, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def new_sheet(width: float, height: float, title: str) -> Axes:
    """Bare axes under a title, as wide as a figure: x from 0 to `width`, y down to `height`, in equal units."""
    inch, head = WIDTH / width, 0.45
    figure = new_figure(height * inch + head)
    axes = figure.add_axes((0, 0, 1, height * inch / (height * inch + head)))
    axes.set_axis_off()
    axes.set(xlim=(0, width), ylim=(height, 0), autoscale_on=False)
    figure.text(0.01, 1 - 0.1 / figure.get_figheight(), title, va="top", weight="bold", size=12)
    return axes


def figure_of(axes: Axes) -> Figure:
    """The figure that axes of `new_sheet` stand in."""
    figure = axes.figure
    assert isinstance(figure, Figure)
    return figure


def png(figure: Figure) -> bytes:
    """The figure as a PNG file: the same bytes for the same figure, as no time and no version is in it."""
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def draw_sentence(text: str) -> Figure:
    """A picture that says why there is nothing to see."""
    figure = new_figure(1.6)
    figure.text(0.5, 0.5, text, ha="center", va="center", fontsize=13, wrap=True)
    return figure


def draw_curves(facts: RunFacts) -> Figure:
    """curves.png: accuracy and loss of each pass, the best one marked; the learning rate where it changes."""
    history, varied = facts.history, facts.learning_rate_changes
    figure = new_figure(8.2 if varied else 7.0)
    figure.set_layout_engine("constrained")
    panels = figure.subplots(3 if varied else 2, 1, sharex=True, height_ratios=[3, 3, 1.1][: 3 if varied else 2])
    numbers = [result.number for result in history]
    accuracies = [r.accuracy for r in history], [r.validation_accuracy for r in history]
    losses = [r.loss for r in history], [r.validation_loss for r in history]
    scale = AccuracyScale([*accuracies[0], *accuracies[1]])
    _pair(panels[0], numbers, scale.places(accuracies[0]), scale.places(accuracies[1]))
    panels[0].set_ylim(*scale.limits)
    panels[0].set_yticks(*scale.ticks())
    panels[0].set_title("Accuracy: higher is better")
    _pair(panels[1], numbers, *losses)
    panels[1].set_title("Loss: lower is better")
    _log_axis(panels[1])
    if facts.validation is not None:
        _mark_best(panels, facts, scale)
    panels[0].legend(loc="lower right")
    if varied:
        panels[2].step(numbers, [result.learning_rate for result in history], where="mid", color=QUIET)
        panels[2].set_title("Learning rate")
        _log_axis(panels[2])
    panels[-1].set_xlabel("pass over the training rows")
    panels[-1].set_xlim(numbers[0] - 0.5, numbers[-1] + 0.5)
    panels[-1].xaxis.set_major_locator(MaxNLocator(10, integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    return figure


def _pair(axes: Axes, numbers: Sequence[int], training: Sequence[float], validation: Sequence[float]) -> None:
    marker = "o" if len(numbers) < _MANY else ""
    axes.plot(numbers, training, marker=marker, ms=5, lw=1.6, color=TRAINING, label="training rows")
    if np.isfinite(validation).any():
        axes.plot(numbers, validation, marker=marker, ms=5, lw=1.6, color=VALIDATION, label="held-out rows")


def _mark_best(panels: Sequence[Axes], facts: RunFacts, scale: AccuracyScale) -> None:
    best = next((result for result in facts.history if result.number == facts.best_pass), None)
    if best is None:
        return
    label = f"best: pass {best.number}, {percent(best.validation_accuracy)}"
    for axes in panels:
        axes.axvline(best.number, color=VALIDATION, lw=1, ls=(0, (4, 3)), zorder=1)
    heights = scale.place(best.validation_accuracy), best.validation_loss
    for axes, height, text in zip(panels, heights, (label, None), strict=False):
        axes.plot([best.number], [height], "*", ms=17, mec="white", color=VALIDATION, label=text, zorder=5)


def _log_axis(axes: Axes) -> None:
    """Logarithmic, with plain numbers at 1, 2 and 5 where there is room for them."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    wide = math.log10(high / low) > 2
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0), numticks=8))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_locator(NullLocator())


def draw_confusion(found: Evaluation, rows: str) -> Figure:
    """confusion.png: counts of each digit taken for each. `rows` says what was measured: "held-out rows"."""
    counts, wrong = found.confusion, found.n - found.correct
    paint = matplotlib.colormaps["YlOrRd"]
    # Errors have a scale of their own: beside hundreds on the diagonal, one must still be seen.
    most = max(5, int(errors_of(found).max()))
    axes = new_sheet(13, 11.8, f"{found.n:,} {rows}: {wrong:,} read wrong ({percent(wrong / found.n)})")
    axes.set(xlim=(-1.4, 11.6), ylim=(10.2, -1.6))
    for truth, said in np.ndindex(10, 10):
        count = int(counts[truth, said])
        colour = "#e3e9f2" if truth == said else paint(0.2 + 0.6 * count / most) if count else "#fafafa"
        axes.fill([said, said + 1, said + 1, said], [truth, truth, truth + 1, truth + 1], fc=colour, ec="white")
        if count:
            axes.text(
                said + 0.5, truth + 0.5, f"{count:,}", ha="center", va="center", size=11 if count < 1000 else 9,
                weight="normal" if truth == said else "bold",
                color="white" if truth != said and count > 0.75 * most else "black",
            )  # fmt: skip
    for digit, share in enumerate(found.digit_accuracy):
        axes.text(-0.25, digit + 0.5, str(digit), ha="right", va="center", weight="bold", size=13)
        axes.text(digit + 0.5, -0.2, str(digit), ha="center", va="bottom", weight="bold", size=13)
        axes.text(10.15, digit + 0.5, percent(share), va="center", color=QUIET)
    axes.text(5, -0.9, "read as", ha="center", va="bottom", size=13)
    axes.text(-0.85, 5, "truth", ha="right", va="center", rotation=90, size=13)
    axes.text(10.15, -0.2, "right", va="bottom", color=QUIET)
    return figure_of(axes)


def percent(share: float) -> str:
    """`99.74 %`; a dash for NaN."""
    return "–" if math.isnan(share) else f"{100 * share:.2f} %"


def sureness(probability: float) -> str:
    """`97.3 %`, never rounded up to 100 % nor down to 0: a network is not that sure."""
    shown = 100 * probability
    return ">99.9 %" if shown > 99.9 else "<0.1 %" if shown < 0.1 else f"{shown:.1f} %"
