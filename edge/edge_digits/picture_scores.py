"""How well labelled pictures are read: shares with their intervals, for each kind of picture and in total."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from statistics import mean, median
from typing import Any, TextIO

from edge_digits.errors import GateError, one_line
from edge_digits.images import PictureSource
from edge_digits.metrics import wilson_interval
from edge_digits.picture_labels import LabelledPicture
from edge_digits.reader import Reader

PRINTED = "printed"
"""A kind with this in its name is a control, being no handwriting: it is shown, and left out of the totals."""


@dataclass(frozen=True, slots=True)
class Score:
    """What was read of labelled pictures, counted. Scores add up with `+`."""

    pictures: int = 0
    exact: int = 0
    """Pictures whose whole text is right, line by line."""
    exact_without_lines: int = 0
    """Pictures whose text is right when line breaks are ignored."""
    digits: int = 0
    """Digits that the pictures show."""
    edits: int = 0
    """Edit distance from the truths, line breaks ignored; of a picture at most the number of its digits."""
    empty: int = 0
    """Pictures that could be loaded, and in which nothing was read."""
    failed: int = 0
    """Pictures that could not be loaded."""

    @classmethod
    def of(cls, truth: str, text: str, error: str | None = None) -> Score:
        """Of one picture: what it says, what was read, and why it could not be loaded if it could not."""
        flat_truth, flat = truth.replace("\n", ""), text.replace("\n", "")
        return cls(
            1,
            int(text == truth and error is None),
            int(flat == flat_truth and error is None),
            len(flat_truth),
            min(edit_distance(flat, flat_truth), len(flat_truth)),
            int(not flat and error is None),
            int(error is not None),
        )

    def __add__(self, other: Score) -> Score:
        return Score(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))

    @property
    def share(self) -> float:
        """exact / pictures, 0 to 1; NaN where there are none."""
        return self.exact / self.pictures if self.pictures else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """95 % Wilson interval of the share that is exact, low and high in 0 to 1."""
        return wilson_interval(self.exact, self.pictures)

    @property
    def digit_accuracy(self) -> float:
        """1 - edits / digits, 0 to 1; NaN where the pictures show no digit."""
        return 1 - self.edits / self.digits if self.digits else math.nan

    def as_dict(self) -> dict[str, Any]:
        """As plain data for JSON; None stands for a digit accuracy without digits."""
        return {
            **{each.name: getattr(self, each.name) for each in fields(self)},
            "share": self.share,
            "interval": list(self.interval),
            "digit_accuracy": None if math.isnan(self.digit_accuracy) else self.digit_accuracy,
        }


@dataclass(frozen=True, slots=True)
class Result:
    """What was read of one picture."""

    picture: LabelledPicture
    text: str
    error: str | None
    """Why it could not be loaded."""
    seconds: float
    """From the file's path to the answer."""

    @property
    def score(self) -> Score:
        """Counted."""
        return Score.of(self.picture.text, self.text, self.error)


@dataclass(frozen=True, slots=True)
class PictureScores:
    """What was read of a folder of labelled pictures."""

    results: Sequence[Result]
    """One at least."""

    @property
    def failed(self) -> list[Result]:
        """Those that could not be loaded."""
        return [result for result in self.results if result.error is not None]

    def kinds(self) -> dict[str, Score]:
        """The score of each kind, in the order of labels.csv."""
        found: dict[str, Score] = {}
        for result in self.results:
            found[result.picture.kind] = found.get(result.picture.kind, Score()) + result.score
        return found

    def totals(self) -> dict[str, Score]:
        """The scores of `single`, `multi` and `blank` pictures, of one digit, several and none, and of `all`.

        Printed ones are in none of them; a total of no picture is left out.
        """
        found = dict.fromkeys(("single", "multi", "blank", "all"), Score())
        for result in self.results:
            if PRINTED not in result.picture.kind:
                score = result.score
                name = ("blank", "single")[score.digits] if score.digits < 2 else "multi"
                found[name] += score
                found["all"] += score
        return {name: score for name, score in found.items() if score.pictures}

    def gate(self, at_least: float) -> None:
        """Raises GateError where the exact share of all pictures that are not printed is below `at_least`, 0 to 1."""
        found = self.totals().get("all")
        if found is None:
            raise GateError("all pictures are printed: what is read of handwriting cannot be told")
        if found.share < at_least:
            raise GateError(f"the exact share is {found.share:.5f}, less than {at_least:g}")

    def text(self) -> str:
        """As a table for people, without a newline at its end."""
        kinds, totals = self.kinds(), self.totals()
        rows = [_row(f"{kind} *" if PRINTED in kind else kind, score) for kind, score in kinds.items()]
        sums = [_row("all" if name == "all" else f"all {name}", score) for name, score in totals.items()]
        head = ["kind", "pictures", "exact", "95 % interval", "no lines", "digits", "empty", "failed"]
        widths = [max(len(row[column]) for row in (head, *rows, *sums)) for column in range(len(head))]
        rule = "─" * (sum(widths) + 2 * len(widths) - 2)
        lines = [_line(head, widths), rule, *(_line(row, widths) for row in rows)]
        if sums:
            lines += [rule, *(_line(row, widths) for row in sums)]
        if any(PRINTED in kind for kind in kinds):
            lines.append("* printed, not handwritten: in no total")
        return "\n".join([*lines, "", self._time_text()])

    def as_dict(self) -> dict[str, Any]:
        """As plain data for JSON."""
        slowest = self._slowest()
        return {
            "kinds": {kind: score.as_dict() for kind, score in self.kinds().items()},
            "totals": {name: score.as_dict() for name, score in self.totals().items()},
            "milliseconds": {
                "mean": 1000 * mean(result.seconds for result in self.results),
                "median": 1000 * median(result.seconds for result in self.results),
                "slowest": {"file": slowest.picture.file, "milliseconds": 1000 * slowest.seconds},
            },
        }

    def write_wrong(self, out: TextIO) -> None:
        """Writes what is not exact as CSV, lines of a text separated by `;`."""
        table = csv.writer(out, lineterminator="\n")
        table.writerow(["file", "truth", "read", "error", "kind", "source"])
        for result in self.results:
            if not result.score.exact:
                picture = result.picture
                texts = (text.replace("\n", ";") for text in (picture.text, result.text))
                table.writerow([picture.file, *texts, result.error or "", picture.kind, picture.source])

    def _slowest(self) -> Result:
        return max(self.results, key=lambda result: result.seconds)

    def _time_text(self) -> str:
        each = [1000 * result.seconds for result in self.results]
        slowest = self._slowest()
        return (
            f"{mean(each):.1f} ms a picture, from file to answer "
            f"(median {median(each):.1f}; slowest {1000 * slowest.seconds:.0f}: {one_line(slowest.picture.file)})"
        )


def score_pictures(
    reader: Reader, pictures: Iterable[LabelledPicture], progress: Callable[[int], None] | None = None
) -> PictureScores:
    """Reads the pictures, one at least, from their files; `progress` is told how many are done."""
    results = []
    for picture in pictures:
        started = time.perf_counter()
        record = reader.record(PictureSource(picture.path, picture.path))
        seconds = time.perf_counter() - started
        results.append(Result(picture, record["text"], record["error"], seconds))
        if progress is not None:
            progress(len(results))
    return PictureScores(results)


def edit_distance(a: str, b: str) -> int:
    """The least number of characters to insert, drop or replace that make one text the other."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        above, row[0] = row[0], i
        for j, y in enumerate(b, start=1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (x != y))
    return row[-1]


def _row(name: str, score: Score) -> list[str]:
    low, high = score.interval
    return [
        name,
        f"{score.pictures:,}",
        _percent(score.share),
        f"{100 * low:.2f} to {100 * high:.2f} %",
        _percent(score.exact_without_lines / score.pictures),
        "–" if math.isnan(score.digit_accuracy) else _percent(score.digit_accuracy),
        f"{score.empty:,}",
        f"{score.failed:,}",
    ]


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    """The first cell to the left, the others to the right."""
    first, *others = (f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
    return "  ".join([f"{first.strip():<{widths[0]}}", *others])
