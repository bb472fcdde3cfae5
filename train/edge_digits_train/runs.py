"""The folder of one training: what was asked, what came of it, and the networks."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_digits.errors import InputError, OutputError, OutputExistsError
from edge_digits.outputs import open_output, stage_output
from edge_digits_train.data import Split

if TYPE_CHECKING:
    import keras


_PART = re.compile(r"(seed|fold)-\d+")


@dataclass(frozen=True)
class PassResult:
    """One line of history.csv."""

    number: int
    """From 1."""
    loss: float
    accuracy: float
    """Of the training tiles as augmented, while the weights were moving."""
    validation_loss: float
    """NaN where no rows are held out, as is the accuracy."""
    validation_accuracy: float
    learning_rate: float
    seconds: float

    @property
    def rank(self) -> tuple[float, float]:
        """Higher is better: accuracy on the validation rows, then the lower loss."""
        return self.validation_accuracy, -self.validation_loss


@dataclass(frozen=True)
class Run:
    """The folder of one training.

    run.json       what was asked: recipe, settings, seed, data with its hash, versions
    recipe.py      the recipe itself
    history.csv    a line for each pass
    best.keras     the network with the best validation accuracy, its weights averaged where the recipe says so
    last.keras     the newest, with its optimizer's state: where an interrupted training goes on
    metrics.json   how good best.keras is
    report.html    all of it on one page, with the pictures that lie beside it
    *-tiles.npz    of a recipe that has pictures: their tiles, drawn from the training rows and from those held out
    start.keras    the network that it began with, where it did not begin by chance; start/ is the run that made it,
                   where that is a part of this one
    teachers/      of a recipe that has a teaching: run folders seed-0 and so on, or the given.keras that was named
                   instead, and what they answered; those of several seeds lie beside them
    refit/         the same recipe on all rows, where that was asked: a run folder, too
    """

    folder: Path

    @classmethod
    def create(cls, folder: Path, settings: dict[str, Any], recipe: str) -> Run:
        """A new folder with recipe.py and run.json in it. Raises as `new_folder` does."""
        with new_folder(folder) as staged:
            run = cls(staged)
            with open_output(str(run.recipe), force=True) as out:
                out.write(recipe)
            run._write_json("run.json", settings)
        return cls(folder)

    @property
    def best(self) -> Path:
        """The best network."""
        return self.folder / "best.keras"

    @property
    def last(self) -> Path:
        """The newest network, with its optimizer."""
        return self.folder / "last.keras"

    @property
    def picture_tiles(self) -> Path:
        """What the network learns from beside its rows, where its recipe has pictures."""
        return self.folder / "picture-tiles.npz"

    @property
    def held_out_picture_tiles(self) -> Path:
        """The same, of the rows held out."""
        return self.folder / "held-out-picture-tiles.npz"

    @property
    def start(self) -> Path:
        """The network that it begins with, where it does not begin by chance."""
        return self.folder / "start.keras"

    @property
    def recipe(self) -> Path:
        """The recipe's file."""
        return self.folder / "recipe.py"

    @property
    def report(self) -> Path:
        """The page that shows it."""
        return self.folder / "report.html"

    @property
    def refit(self) -> Run:
        """The training on all rows that follows this one."""
        return Run(self.folder / "refit")

    @property
    def exists(self) -> bool:
        """Whether the folder is that of a run."""
        return (self.folder / "run.json").is_file()

    @property
    def is_finished(self) -> bool:
        """Whether its training has come to its end, of which the report is written last."""
        return self.report.exists() and (self.folder / "metrics.json").exists() and "seconds" in self.metrics()

    def settings(self) -> dict[str, Any]:
        """What run.json says. Raises InputError where there is none, or it is damaged."""
        settings = self._read_json("run.json")
        try:
            settings["recipe"], settings["passes"], settings["seed"], settings["backend"], settings["versions"]
            settings["data"]["path"], settings["data"]["sha256"], settings["deskew"], settings["refit"]
            Split(**settings["split"])
        except (KeyError, TypeError) as error:
            raise InputError(str(self.folder / "run.json"), f"is damaged: {error!r}") from error
        return settings

    def write_metrics(self, metrics: dict[str, Any]) -> None:
        """Writes metrics.json."""
        self._write_json("metrics.json", metrics)

    def metrics(self) -> dict[str, Any]:
        """What metrics.json says. Raises InputError where there is none."""
        return self._read_json("metrics.json")

    def describe(self) -> str:
        """What came of it, in a line for each network."""
        settings, metrics = self.settings(), self.metrics()
        seen, figures = settings.get("overlap", {}), []
        for part, rows in (("validation", "held-out"), ("test", "test")):
            if found := metrics.get(part):
                low, high = (100 * bound for bound in found["interval"])
                figure = f"{100 * found['accuracy']:.2f} % ({low:.2f} to {high:.2f}) on {found['n']:,} {rows} rows"
                also = f", {seen[part]:,} of which it was trained on, too" if seen.get(part) else ""
                figures.append(figure + also)
        rows = settings["data"]["training_rows"]
        what = "; ".join(figures) or f"trained on all {rows:,} rows, so nothing to measure it on"
        line = f"{self.folder}: {what}, after pass {metrics['pass']}"
        return line + (f"\n{self.refit.describe()}" if (self.refit.folder / "metrics.json").exists() else "")

    def write_history(self, history: list[PassResult]) -> None:
        """Writes history.csv whole, so that a kill leaves the old one or the new one."""
        with open_output(str(self.folder / "history.csv"), force=True) as out:
            writer = csv.writer(out, lineterminator="\n")
            writer.writerow(field.name for field in fields(PassResult))
            writer.writerows([getattr(result, field.name) for field in fields(PassResult)] for result in history)

    def history(self) -> list[PassResult]:
        """What history.csv says; nothing where there is none yet. Raises InputError where it is damaged."""
        path = self.folder / "history.csv"
        try:
            with path.open(newline="") as file:
                rows = list(csv.DictReader(file))
            return [PassResult(int(row.pop("number")), **{k: float(v) for k, v in row.items()}) for row in rows]
        except FileNotFoundError:
            return []
        except (ValueError, TypeError, KeyError, csv.Error) as error:
            raise InputError(str(path), "is damaged") from error

    def save(self, network: keras.Model, path: Path) -> None:
        """Saves a network of this run, the old one replaced at the end."""
        with stage_output(str(path), force=True, suffix=".keras") as staged:
            network.save(staged)

    def sweep(self) -> None:
        """Removes what a kill left of files that it was writing."""
        for path in self.folder.glob(".edge-digits-*"):
            with contextlib.suppress(OSError):
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _write_json(self, name: str, data: dict[str, Any]) -> None:
        with open_output(str(self.folder / name), force=True) as out:
            out.write(json.dumps(data, indent=2) + "\n")

    def _read_json(self, name: str) -> dict[str, Any]:
        path = self.folder / name
        try:
            data: dict[str, Any] = json.loads(path.read_text())
        except OSError as error:
            raise InputError(str(path), f"cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise InputError(str(path), "is damaged") from error
        return data


def part_runs(folder: Path) -> list[Run]:
    """The runs of several seeds or folds, in their order; none where the folder is not that of such a training."""
    found = [path for path in folder.glob("*-*") if _PART.fullmatch(path.name) and Run(path).exists]
    return [Run(path) for path in sorted(found, key=lambda path: int(path.name.partition("-")[2]))]


@contextlib.contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder to fill that becomes `folder` when the block ends, and is removed when the block raises.

    It lies beside it until then, so that a kill leaves all of `folder` or nothing. Raises OutputExistsError where there
    is one, OutputError where it cannot be made.
    """
    if os.path.lexists(folder):
        raise OutputExistsError(f"{folder}: is there already; name another with -o")
    staged = folder.with_name(f".edge-digits-{secrets.token_hex(6)}")
    with _making(folder):
        staged.mkdir(parents=True)
    try:
        yield staged
        with _making(folder):
            staged.rename(folder)
    except BaseException:
        shutil.rmtree(staged, ignore_errors=True)
        raise


@contextlib.contextmanager
def _making(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made: {error.strerror}") from error
