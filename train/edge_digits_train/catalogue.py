"""The recipes of the project in a list: what each costs, the figure of its post, and ours."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

import keras

from edge_digits_train.networks import count_multiply_adds
from edge_digits_train.recipe import FOLDER, find_recipe, load_recipe, recipe_names

MEASURED = FOLDER / "measured.json"
"""Accuracy and minutes of each recipe, written by benchmarks/recipes.py from finished runs."""


@dataclass(frozen=True)
class Entry:
    """One recipe."""

    name: str
    summary: str
    parameters: int
    multiply_adds: int
    passes: int
    post: str
    """The figure of the blog post."""
    ours: str
    """The figure of our own training, with the rows it is of."""
    minutes: float | None
    """Of that training, on two cores."""


@dataclass(frozen=True)
class Catalogue:
    """All of them, the cheapest to run first."""

    entries: list[Entry]

    def as_list(self) -> list[dict[str, Any]]:
        """As plain data."""
        return [asdict(entry) for entry in self.entries]

    def text(self) -> str:
        """A table for people."""
        head = ("recipe", "parameters", "multiply-adds", "passes", "minutes", "the post's figure", "ours")
        rows = [
            (
                entry.name, f"{entry.parameters:,}", f"{entry.multiply_adds:,}", str(entry.passes),
                "–" if entry.minutes is None else f"{entry.minutes:.1f}",
                entry.post or "–", entry.ours or "–",
            )
            for entry in self.entries
        ]  # fmt: skip
        widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
        sides = "<>>>><<"
        lines = [
            "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(row, sides, widths, strict=True))
            for row in (head, *rows)
        ]
        return "\n".join(line.rstrip() for line in lines)


def list_recipes() -> Catalogue:
    """Builds each network once to count what it costs."""
    measured = json.loads(MEASURED.read_text(encoding="utf-8")) if MEASURED.exists() else {}
    entries = [_entry(name, measured.get(name, {})) for name in recipe_names()]
    return Catalogue(sorted(entries, key=lambda entry: entry.multiply_adds))


def _entry(name: str, measured: dict[str, Any]) -> Entry:
    recipe = load_recipe(find_recipe(name))
    network = recipe.build()
    entry = Entry(
        recipe.name, recipe.summary, int(network.count_params()), count_multiply_adds(network), recipe.passes,
        recipe.post, measured.get("figure", ""), measured.get("minutes"),
    )  # fmt: skip
    keras.utils.clear_session()
    return entry
