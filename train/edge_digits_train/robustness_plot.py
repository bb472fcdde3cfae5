"""The robustness card as a picture: a heat map for each model, kinds down and severities across."""

from __future__ import annotations

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from edge_digits_train.corruptions import KINDS
from edge_digits_train.plots import QUIET, WIDTH, new_figure, png, style
from edge_digits_train.robustness import MIDDLE, SEVERITIES, Card, Robustness

_COLOURS = "RdYlBu"
"""Red is bad and blue is good: the two are told apart by nearly everyone."""

_LONGEST_NAME = 26
"""Characters; of a longer path the end is shown."""

_ROW, _HEAD, _FOOT = 0.245, 0.75, 0.35
"""Inches: the height of a row, of a map's title with the severities, and of the line at the picture's foot."""


def draw_robustness(found: Robustness) -> bytes:
    """robustness.png: two maps side by side, as many under one another as it takes."""
    with style():
        return png(_draw(found))


def _draw(found: Robustness) -> Figure:
    columns = min(2, len(found.cards))
    lines = -(-len(found.cards) // columns)
    each = _HEAD + _ROW * len(KINDS)
    height = lines * each + _FOOT
    figure = new_figure(height)
    names = 1.0  # inch, for the kinds
    wide = (WIDTH - names * columns - 0.1) / columns
    for place, card in enumerate(found.cards):
        left = names + place % columns * (wide + names)
        foot = height - (place // columns + 1) * each
        box = (left / WIDTH, foot / height, wide / WIDTH, _ROW * len(KINDS) / height)
        _draw_map(figure.add_axes(box), card)
    figure.text(0.01, 0.1 / height, f"% read right, of {found.describe_rows()}", size=9, color=QUIET)
    return figure


def _draw_map(axes: Axes, card: Card) -> None:
    shares = np.array([[card.accuracy(kind, severity) for severity in SEVERITIES] for kind in KINDS])
    axes.imshow(shares, cmap=_COLOURS, vmin=0, vmax=1, aspect="auto")
    for (row, column), share in np.ndenumerate(shares):
        axes.text(
            column, row, f"{100 * share:.1f}" if share < 1 else "100", ha="center", va="center", size=8.5,
            color="white" if _is_dark(share) else "black", weight="bold" if column == MIDDLE else "normal",
        )  # fmt: skip
    axes.set_yticks(range(len(KINDS)), KINDS, size=10)
    axes.set_xticks(range(len(SEVERITIES)), [str(severity) for severity in SEVERITIES], size=10)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    title = f"{_short(card.model)}\nmean at {MIDDLE}: {100 * card.mean():.1f} %"
    axes.set_title(title, loc="left", size=10.5, pad=4)


def _is_dark(share: float) -> bool:
    red, green, blue, _ = matplotlib.colormaps[_COLOURS](share)
    return bool(0.299 * red + 0.587 * green + 0.114 * blue < 0.5)


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"…{name[1 - _LONGEST_NAME :]}"
