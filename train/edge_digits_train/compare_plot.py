"""Runs side by side as a picture: how each got there, and where it ended."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from edge_digits.metrics import Evaluation
from edge_digits_train.accuracy_scale import AccuracyScale
from edge_digits_train.compare import Comparison
from edge_digits_train.facts import RunFacts
from edge_digits_train.plots import QUIET, new_figure, percent, png, style

_COLOURS = "tab10"
"""Ten that are told apart; from the eleventh run on lines are dashed, too."""

_LONGEST_NAME = 30
"""Characters; a longer name is cut in its middle."""

_FEW = 4
"""Runs up to which every pass is drawn, faintly, under the best so far."""

_RATIO = 8
"""From where the longest run took so many times the shortest, minutes are on a logarithmic axis."""

_APART = 0.045
"""Least distance of two numbers at the ends of curves, as a share of the axis."""


def draw_comparison(comparison: Comparison) -> bytes:
    """compare.png: the held-out accuracy over the minutes above, the accuracies with their intervals below."""
    with style():
        return png(_draw(comparison))


def _draw(comparison: Comparison) -> Figure:
    lines = 0.36 * len(comparison.runs) + 1.0
    curves = 4.2 if any(run.validation is not None for run in comparison.runs) else 0.0
    figure = new_figure(curves + lines)
    figure.set_layout_engine("constrained")
    if not curves:
        _draw_ends(figure.subplots(), comparison)
        return figure
    # Apart, so that the room that names take below is not lost above.
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=[curves, lines])[:, 0]
    _draw_curves(above.subplots(), comparison)
    _draw_ends(below.subplots(), comparison)
    return figure


def _look(index: int) -> dict[str, Any]:
    return {"color": matplotlib.colormaps[_COLOURS](index % 10), "ls": "-" if index < 10 else (0, (4, 1.5))}


def _draw_curves(axes: Axes, comparison: Comparison) -> None:
    runs = [(i, run) for i, run in enumerate(comparison.runs) if run.validation is not None]
    axes.set_title("Best accuracy so far, on held-out rows")
    scale = AccuracyScale(result.validation_accuracy for _, run in runs for result in run.history)
    stops = []
    for i, run in runs:
        minutes = [seconds / 60 for seconds in accumulate(result.seconds for result in run.history)]
        accuracies = [result.validation_accuracy for result in run.history]
        best = scale.places(np.fmax.accumulate(accuracies))
        if len(runs) <= _FEW:
            axes.plot(minutes, scale.places(accuracies), lw=1, alpha=0.35, **_look(i))
        axes.plot(minutes, best, lw=2, drawstyle="steps-post", **_look(i))
        axes.plot(minutes[-1:], best[-1:], "o", ms=5, color=_look(i)["color"])
        stops.append((i, minutes[-1], best[-1]))
    axes.set_ylim(*scale.limits)
    axes.set_yticks(*scale.ticks())
    axes.set_xlabel("minutes of training")
    _minutes_axis(axes, [run for _, run in runs])
    _number(axes, stops)


def _minutes_axis(axes: Axes, runs: list[RunFacts]) -> None:
    """Linear from 0, or logarithmic where the shortest run would be lost at the left."""
    totals = [run.seconds / 60 for run in runs]
    shortest, longest = min(totals), max(totals)
    if shortest <= 0 or longest < _RATIO * shortest:
        axes.set_xlim(0, longest * 1.06 or 1)
        return
    first = min(max(run.history[0].seconds / 60, shortest / 100) for run in runs)
    axes.set_xscale("log")
    axes.set_xlim(first / 1.2, longest * 1.35)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=12))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())


def _number(axes: Axes, stops: list[tuple[int, float, float]]) -> None:
    """Each run's number beside the end of its curve, (index, minutes, place); moved up where another stands there."""
    if len(stops) == 1:
        return
    shares = axes.transAxes.inverted().transform(axes.transData.transform([stop[1:] for stop in stops]))
    placed: list[tuple[float, float]] = []
    for (i, _, _), (x, y) in sorted(zip(stops, shares.tolist(), strict=True), key=lambda stop: stop[1][1]):
        for other_x, other_y in placed:  # from the lowest up, so that one sweep is enough
            if abs(other_x - x) < _APART and other_y + _APART > y:
                y = other_y + _APART
        placed.append((x, y))
        axes.annotate(
            str(i + 1), (x, y), (6, 0), xycoords="axes fraction", textcoords="offset points",
            va="center", weight="bold", color=_look(i)["color"], annotation_clip=False,
            path_effects=[withStroke(linewidth=3, foreground="white")], zorder=5,
        )  # fmt: skip


def _draw_ends(axes: Axes, comparison: Comparison) -> None:
    """A line for each run: its accuracy on held-out rows, its accuracy on test rows, each with its interval."""
    runs = comparison.runs
    found = [evaluation for run in runs for evaluation in (run.validation, run.test) if evaluation is not None]
    scale = AccuracyScale(bound for evaluation in found for bound in (*evaluation.interval, evaluation.accuracy))
    with_test = any(run.test is not None for run in runs)
    for i, run in enumerate(runs):
        both = run.validation is not None and run.test is not None
        _point(axes, run.validation, i - 0.14 * both, scale, i, "o")
        _point(axes, run.test, i + 0.14 * both, scale, i, "D")
        end = run.validation or run.test
        text = "no rows held out" if end is None else percent(end.accuracy)
        axes.text(1.01, i, text, transform=axes.get_yaxis_transform(), va="center", size=10)
    names = [_label(i, comparison) for i in range(len(runs))]
    axes.set_yticks(range(len(runs)), names, size=10)
    for i, label in enumerate(axes.get_yticklabels()):
        label.set_color(_look(i)["color"])
    axes.set_ylim(len(runs) - 0.4, -0.6)
    axes.set_xlim(*scale.limits)
    axes.set_xticks(*scale.ticks(apart=0.2))
    axes.set_title("Accuracy with its 95 % interval")
    if with_test:
        for marker, name in (("o", "held-out rows"), ("D", "test rows")):
            axes.plot([], [], marker, color=QUIET, mfc=QUIET if marker == "o" else "white", label=name)
        axes.legend(loc="best", fontsize=9)


def _point(axes: Axes, found: Evaluation | None, y: float, scale: AccuracyScale, i: int, marker: str) -> None:
    if found is None:
        return
    colour = _look(i)["color"]
    axes.plot(scale.places(found.interval), [y, y], lw=2, color=colour, alpha=0.6)
    axes.plot([scale.place(found.accuracy)], [y], marker, color=colour, mfc=colour if marker == "o" else "white", ms=7)


def _label(i: int, comparison: Comparison) -> str:
    """`3  base-2`, with the letter of its rows where not all are measured on the same."""
    name, rows = comparison.names[i], "" if comparison.comparable else comparison.rows[i]
    if len(name) > _LONGEST_NAME:
        half = _LONGEST_NAME // 2 - 1
        name = f"{name[:half]}…{name[-half:]}"
    return f"{i + 1}  {name}" + (f" (rows {rows})" if rows else "")
