"""Runs side by side: what each reached, what it cost, and whether two differ by more than chance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_digits.metrics import Evaluation
from edge_digits_train.facts import RunFacts
from edge_digits_train.mistakes import Difference
from edge_digits_train.plots import percent
from edge_digits_train.runs import part_runs

_CHANCE = 0.05
"""A difference that chance alone would make more often than this is no evidence, as is the custom."""


@dataclass(frozen=True)
class Comparison:
    """Several runs, in the order they were named."""

    runs: tuple[RunFacts, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """What to call each: its folder's name, or its whole path where another has the same."""
        counts = Counter(run.name for run in self.runs)
        return tuple(run.name if counts[run.name] == 1 else str(run.folder) for run in self.runs)

    @property
    def rows(self) -> tuple[str, ...]:
        """A letter for each run: those with the same are measured on the same rows; "" for one without any."""
        keys = dict.fromkeys(run.rows_key for run in self.runs if run.validation is not None)
        letters = {key: _letter(i) for i, key in enumerate(keys)}
        return tuple("" if run.validation is None else letters[run.rows_key] for run in self.runs)

    @property
    def comparable(self) -> bool:
        """Whether all that were measured were measured on the same rows."""
        return len(set(self.rows) - {""}) <= 1

    @property
    def difference(self) -> Difference | None:
        """Of two runs on the same rows; None where there are more or fewer, or their mistakes are not known."""
        if len(self.runs) != 2 or self.rows[0] != self.rows[1] or not self.rows[0]:
            return None
        return Difference.between(*self.runs)

    def as_dict(self) -> dict[str, Any]:
        """As plain data for JSON."""
        difference = self.difference
        return {
            "runs": [_as_dict(*run) for run in zip(self.runs, self.names, self.rows, strict=True)],
            "comparable": self.comparable,
            "difference": None if difference is None else difference.as_dict(),
        }

    def text(self) -> str:
        """As a table for people with notes under it, without a newline at its end."""
        columns: list[tuple[str, Callable[[RunFacts], str]]] = [
            ("recipe", lambda run: run.recipe),
            ("seed", lambda run: str(run.seed)),
            ("accuracy (95 % interval)", lambda run: _share(run.validation)),
            ("test", lambda run: _share(run.test)),
            ("parameters", lambda run: f"{run.parameters:,}"),
            ("multiply-adds", lambda run: f"{run.multiply_adds:,}"),
            ("minutes", lambda run: f"{run.seconds / 60:.1f}" if run.seconds >= 60 else f"{run.seconds / 60:.2f}"),
            ("passes", lambda run: f"{len(run.history)}"),
            ("best pass", lambda run: f"{run.best_pass}" if run.validation else "–"),
        ]
        if all(run.test is None for run in self.runs):
            columns = [column for column in columns if column[0] != "test"]
        table = [["run", *(name for name, _ in columns)]]
        table += [[name, *(cell(run) for _, cell in columns)] for name, run in zip(self.names, self.runs, strict=True)]
        if not self.comparable:
            for line, letter in zip(table, ["rows", *self.rows], strict=True):
                line.insert(4, letter or "–")
        return "\n".join([*_aligned(table), "", *self._notes()])

    def _notes(self) -> list[str]:
        measured = [run for run in self.runs if run.validation is not None]
        notes = []
        if self.comparable and measured:
            notes.append(("All on " if len(measured) > 1 else "On ") + _describe_rows(measured[0]) + ".")
        elif measured:
            notes.append("NOT COMPARABLE: accuracies with different letters are of different rows.")
            some = dict(zip(self.rows, self.runs, strict=True))
            notes += [f"  {letter}: {_describe_rows(some[letter])}" for letter in dict.fromkeys(self.rows) if letter]
        if any(len(run.history) > 1 for run in measured):
            notes.append("The best pass of each was chosen on these rows, which is a little kind to all.")
        for name, run in zip(self.names, self.runs, strict=True):
            if run.validation is None:
                notes.append(f"{name} was trained on all rows: nothing was held out.")
            elif seen := run.settings["overlap"]["validation"]:
                notes.append(f"{name}: {seen:,} of its held-out images stand in its training rows, too.")
        return notes + self._verdict()

    def _verdict(self) -> list[str]:
        """Whether two runs differ by more than chance."""
        if len(self.runs) != 2 or not self.comparable or not all(self.rows):
            return []
        one, other = self.names
        difference = self.difference
        if difference is None:
            lows, highs = zip(*(run.validation.interval for run in self.runs if run.validation), strict=True)
            if max(lows) <= min(highs):
                return ["Their intervals overlap: the difference may be chance."]
            return ["Their intervals do not overlap: the difference is more than chance."]
        meaning = "more than chance" if difference.p < _CHANCE else "no evidence that either is better"
        counts = (
            f"{one} alone reads {difference.first_alone:,} of them right, {other} alone {difference.second_alone:,}"
        )
        return [f"{counts}: {meaning} (p = {difference.p:.2g}, McNemar's exact test)."]


def compare(folders: Sequence[Path]) -> Comparison:
    """Reads runs; a folder of several seeds stands for all of its runs, and one that is named twice counts once.

    Raises InputError, naming the folder, where one is no run or has no finished pass. ValueError without any folder.
    """
    if not folders:
        raise ValueError("there is nothing to compare")
    unique: dict[Path, Path] = {}
    for folder in folders:
        seeds = [] if (folder / "run.json").exists() else [run.folder for run in part_runs(folder)]
        unique |= {path.resolve(): path for path in seeds or [folder] if path.resolve() not in unique}
    return Comparison(tuple(map(RunFacts.read, unique.values())))


def _letter(index: int) -> str:
    return chr(ord("a") + index % 26) * (index // 26 + 1)


def _share(found: Evaluation | None) -> str:
    if found is None:
        return "–"
    low, high = found.interval
    return f"{percent(found.accuracy)} ({100 * low:.2f}–{100 * high:.2f}) of {found.n:,}"


def _describe_rows(run: RunFacts) -> str:
    data, split = run.settings["data"], run.settings["split"]
    how = "the last of the file" if split["how"] == "last" else f"each digit in its proportion, seed {split['seed']}"
    sample = ""
    if split["sample"] < 1:
        sample = f" of a sample of {100 * split['sample']:.3g} %, seed {split['sample_seed']}"
    return (
        f"{data['validation_rows']:,} rows held out from {data['name']} (SHA-256 {data['sha256'][:8]}…; "
        f"{100 * split['validation']:.3g} %{sample}, {how})"
    )


def _aligned(table: Sequence[Sequence[str]]) -> list[str]:
    """Lines of text: run and recipe from the left, all else from the right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = []
    for row in table:
        cells = [cell.ljust(w) if i < 2 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))]
        lines.append("  ".join(cells).rstrip())
    return lines


def _as_dict(run: RunFacts, name: str, rows: str) -> dict[str, Any]:
    return {
        "run": name, "folder": str(run.folder), "recipe": run.recipe, "seed": run.seed,
        "validation": None if run.validation is None else run.validation.as_dict(), "rows": rows or None,
        "test": None if run.test is None else run.test.as_dict(),
        "overlap": run.settings["overlap"], "parameters": run.parameters, "multiply_adds": run.multiply_adds,
        "seconds": round(run.seconds, 2), "passes": len(run.history), "best_pass": run.best_pass,
    }  # fmt: skip
