"""What a run folder says, checked and typed: what the report and the comparison show."""

from __future__ import annotations

import csv
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_digits.errors import InputError
from edge_digits.metrics import Evaluation
from edge_digits_train.runs import PassResult, Run


@dataclass(frozen=True)
class RunFacts:
    """One training with at least one finished pass."""

    folder: Path
    settings: dict[str, Any]
    """run.json, whole."""
    history: list[PassResult]
    best_pass: int
    """The pass that best.keras is from; of a refit, the last."""
    validation: Evaluation | None
    """On the held-out rows; None where the training took all rows."""
    test: Evaluation | None
    """On the test part of the data, where it has one and the training has ended."""
    ended: bool
    """Whether it has come to its end, be it by early stopping."""

    @classmethod
    def read(cls, folder: Path) -> RunFacts:
        """Raises InputError, naming the folder, where it is no run, has no finished pass, or is damaged."""
        if not (folder / "run.json").is_file():
            raise InputError(str(folder), "is no run: it holds no run.json")
        run = Run(folder)
        settings, history = run.settings(), _history(run)
        if not history or not (folder / "metrics.json").is_file():
            unfinished = "no refit that has ended" if history else "no finished pass"
            raise InputError(str(folder), f"holds {unfinished} yet: go on with `edge-digits train --resume`")
        metrics = run.metrics()
        try:
            facts = cls(
                folder, settings, history, int(metrics["pass"]),
                _evaluation(metrics["validation"]), _evaluation(metrics.get("test")),
                "seconds" in metrics,
            )  # fmt: skip
            facts.recipe, facts.seed, facts.parameters, facts.multiply_adds, facts.rows_key  # noqa: B018
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(str(folder), f"its run.json or metrics.json is damaged: {error!r}") from error
        return facts

    @property
    def name(self) -> str:
        """The folder's own name; with its parent's where it is one of several that belong together."""
        whole = self.folder.resolve()
        return f"{whole.parent.name}/{whole.name}" if re.fullmatch(r"refit|seed-\d+", whole.name) else whole.name

    @property
    def recipe(self) -> str:
        """The recipe's name."""
        return str(self.settings["recipe"])

    @property
    def seed(self) -> int:
        """Of the weights, the shuffling and the augmentation."""
        return int(self.settings["seed"])

    @property
    def parameters(self) -> int:
        """Weights of the network."""
        return int(self.settings["network"]["parameters"])

    @property
    def multiply_adds(self) -> int:
        """For one tile."""
        return int(self.settings["network"]["multiply_adds"])

    @property
    def refit(self) -> RunFacts | None:
        """The training on all rows that followed; None where there is none that has ended."""
        refit = Run(self.folder).refit
        return RunFacts.read(refit.folder) if refit.is_finished else None

    @property
    def seconds(self) -> float:
        """Of all passes together."""
        return sum(result.seconds for result in self.history)

    @property
    def rows_key(self) -> tuple[str, ...]:
        """Two runs with the same key held out the same rows of the same data."""
        split = dict(self.settings["split"])
        unused = {"seed": split["how"] == "last", "sample_seed": split["sample"] == 1}  # seeds of what is not drawn
        drawn = (f"{k}={v}" for k, v in sorted(split.items()) if v is not None and not unused.get(k))
        return str(self.settings["data"]["sha256"]), *drawn

    @property
    def learning_rate_changes(self) -> bool:
        """Whether the passes ended at different learning rates."""
        rates = [result.learning_rate for result in self.history]
        return not math.isclose(min(rates), max(rates), rel_tol=1e-6)


def _history(run: Run) -> list[PassResult]:
    try:
        return run.history()
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise InputError(str(run.folder / "history.csv"), "is damaged") from error


def _evaluation(found: dict[str, Any] | None) -> Evaluation | None:
    """From Evaluation.as_dict(). Raises KeyError, TypeError or ValueError where it is none."""
    if found is None:
        return None
    confusion = np.asarray(found["confusion"], np.int64)
    if confusion.shape != (10, 10) or confusion.min() < 0 or not confusion.sum():
        raise ValueError("the confusion matrix is not 10 × 10 counts")
    return Evaluation(confusion, float(found["loss"]) * int(confusion.sum()))


def errors_of(found: Evaluation) -> NDArray[np.int64]:
    """The confusion matrix (10, 10) without what was right."""
    return np.asarray(found.confusion - np.diag(found.confusion.diagonal()))
