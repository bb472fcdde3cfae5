"""mistakes.csv: the held-out rows that a run's best network reads wrong; and how two runs differ in them."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from edge_digits.outputs import open_output
from edge_digits_train.facts import RunFacts, errors_of
from edge_digits_train.grids import Answers

_NAME = "mistakes.csv"


def write_mistakes(folder: Path, answers: Answers) -> None:
    """A line for each, the worst first. `row` counts the held-out rows from 0, in the order of split_data."""
    with open_output(str(folder / _NAME), force=True) as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["row", "label", "answer", "confidence", "confidence_in_label"])
        for row in answers.mistakes():
            sure, of_truth = f"{answers.confidence[row]:.6f}", f"{answers.of_truth[row]:.6f}"
            writer.writerow([row, answers.data.labels[row], answers.said[row], sure, of_truth])


def read_mistakes(run: RunFacts) -> set[int] | None:
    """The rows that it reads wrong; None where the table is missing, damaged or not that of metrics.json."""
    if run.validation is None:
        return None
    rows, counts = set(), np.zeros((10, 10), np.int64)
    try:
        with (run.folder / _NAME).open(newline="") as file:
            for line in csv.DictReader(file):
                rows.add(int(line["row"]))
                counts[int(line["label"]), int(line["answer"])] += 1
    except (OSError, ValueError, KeyError, TypeError, IndexError, csv.Error):
        return None
    same = np.array_equal(counts, errors_of(run.validation)) and len(rows) == counts.sum()
    return rows if same else None


@dataclass(frozen=True)
class Difference:
    """Two runs on the same rows: how many of them one alone reads right."""

    first_alone: int
    second_alone: int

    @classmethod
    def between(cls, first: RunFacts, second: RunFacts) -> Difference | None:
        """Of runs that are measured on the same rows; None where the mistakes of one are not known."""
        wrong = read_mistakes(first), read_mistakes(second)
        if wrong[0] is None or wrong[1] is None:
            return None
        return cls(len(wrong[1] - wrong[0]), len(wrong[0] - wrong[1]))

    @property
    def p(self) -> float:
        """How often equally good networks would differ by as much or more: McNemar's exact test, two-sided."""
        n, fewer = self.first_alone + self.second_alone, min(self.first_alone, self.second_alone)
        as_few: int = sum(math.comb(n, k) for k in range(fewer + 1))
        return min(1.0, float(Fraction(2 * as_few, 2**n)))

    def as_dict(self) -> dict[str, float]:
        """As plain data for JSON."""
        return {"right_in_first_alone": self.first_alone, "right_in_second_alone": self.second_alone, "p": self.p}
