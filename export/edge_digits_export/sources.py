"""Where a network comes from, and the rows that it is calibrated on, tempered on and compared on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edge_digits.errors import InputError, UsageError
from edge_digits_export.calibration import MILD
from edge_digits_export.gates import LEAST_ROWS
from edge_digits_export.names import NAME_RULE, is_model_name
from edge_digits_train.augment import Augmentation
from edge_digits_train.data import DataSet, LoadedData, Split, load_data, split_data
from edge_digits_train.picture_tiles import read_tiles
from edge_digits_train.runs import Run


@dataclass(frozen=True)
class Tempering:
    """What the temperature is fitted on."""

    network: Path
    rows: DataSet
    unseen: bool
    """Whether it is certain that the network has not learnt from these rows."""


@dataclass(frozen=True)
class Source:
    """A network and its rows."""

    network: Path
    name: str
    recipe: str
    training: DataSet
    augmentation: Augmentation
    """That of the training, as far as it is known."""
    compared: DataSet
    compared_were: str
    """What those rows are to the network: "held out", …"""
    tempering: Tempering | None
    recorded: float | None
    """The accuracy on the compared rows that the training wrote down."""
    about: dict[str, Any]
    """For the proof."""
    picture_tiles: DataSet | None = None
    """Tiles of pictures of rows held out, 0 to 9 and NO_DIGIT, where the training had pictures."""
    threshold: float | None = None
    """Of the digit score, where the network has learnt from all rows: that of the training before."""

    @property
    def tempered_on_compared(self) -> bool:
        """Whether the rows that the temperature is fitted on are the compared ones."""
        return self.tempering is not None and self.tempering.rows is self.compared

    @property
    def more(self) -> DataSet:
        """Training rows on which int8 and fp32 are compared as well, where the compared rows are too few."""
        missing = 0 if self.compared is self.training else LEAST_ROWS - len(self.compared)
        n = min(max(missing, 0), len(self.training))
        return self.training[np.linspace(0, len(self.training) - 1, n).astype(np.int64)]


def name_model(path: Path, name: str | None) -> str:
    """The model's name: `name`, or the recipe's, or the file's. Raises UsageError where no model can be called so."""
    if name is None:
        name = str(Run(path).settings()["recipe"]) if path.is_dir() else path.stem
    if not is_model_name(name):
        raise UsageError(f"--name {name!r}: {NAME_RULE}")
    return name


def open_source(path: Path, data: str | Path | None, name: str) -> Source:
    """A run's folder, or a .keras file with labelled rows. Raises InputError and UsageError."""
    if path.is_dir():
        return _open_run(Run(path), data, name)
    if not path.exists():
        raise InputError(str(path), "there is no such run or file")
    if path.suffix != ".keras":
        raise InputError(str(path), "is neither a run's folder nor a .keras file")
    if data is None:
        raise UsageError("a .keras file does not say what it was trained on: name labelled rows with --data")
    loaded = load_data(data)
    training, held_out = split_data(loaded.rows, Split())
    compared, were = (loaded.test, _TEST) if loaded.test is not None else (held_out, "which it may have seen")
    return Source(
        network=path,
        name=name,
        recipe=name,
        training=training,
        augmentation=MILD,
        compared=compared,
        compared_were=were,
        tempering=Tempering(path, held_out, unseen=False),
        recorded=None,
        about={"network": str(path.absolute()), "data": _about_data(loaded.rows, training, compared, were)},
    )


_TEST = "of the test part"


def _open_run(run: Run, data: str | Path | None, name: str) -> Source:
    asked = run.settings()
    loaded = _load_data(run, asked, data)
    if not run.best.exists():
        raise InputError(str(run.best), "is not there: the training has finished no pass")
    try:
        augmentation = Augmentation(**asked["settings"]["augmentation"])
    except (KeyError, TypeError) as error:
        raise InputError(str(run.folder / "run.json"), f"is damaged: {error!r}") from error
    training, held_out = split_data(loaded.rows, Split(**asked["split"]))
    metrics = _read_metrics(run)
    part, compared, were = "validation", held_out, "held out"
    before = run
    tempering: Tempering | None = Tempering(run.best, held_out, unseen=True)
    if not len(held_out):  # a refit: all rows were trained on, and it lies in the folder of the training before
        before = Run(run.folder.resolve().parent)
        tempering = _temper_as(before, loaded)
        part, compared, were = "none", training, "that it was trained on"
        if loaded.test is not None:
            part, compared, were = "test", loaded.test, _TEST
    about = {
        "network": str(run.best.absolute()),
        **{key: asked[key] for key in ("recipe", "passes", "seed", "backend", "versions")},
        "pass": metrics["pass"],
        "keep": asked["settings"].get("keep", "best"),
        "teaching": asked["settings"].get("teaching"),
        **({"teacher_file": Path(asked["teacher"]).name} if asked.get("teacher") else {}),
        **_began(asked),
        "refit": asked["refit"] is not None,
        "data": _about_data(loaded.rows, training, compared, were),
    }
    held_out_tiles = before.held_out_picture_tiles
    return Source(
        network=run.best,
        name=name,
        recipe=asked["recipe"],
        training=training,
        augmentation=augmentation,
        compared=compared,
        compared_were=were,
        tempering=tempering,
        recorded=metrics["accuracies"].get(part),
        about=about,
        picture_tiles=read_tiles(held_out_tiles).scored if held_out_tiles.exists() else None,
        threshold=None if len(held_out) else _threshold(before),
    )


def _began(asked: dict[str, Any]) -> dict[str, str]:
    """What a run's network began as: that of a file, where one was named, or of a recipe; empty where by chance."""
    if asked.get("start"):
        return {"start_file": Path(asked["start"]).name}
    recipe = asked["settings"].get("start")
    return {"start": recipe} if recipe else {}


def _load_data(run: Run, asked: dict[str, Any], data: str | Path | None) -> LoadedData:
    where = data or asked["data"]["path"]
    loaded = load_data(where)
    if loaded.rows.sha256 != asked["data"]["sha256"]:
        raise InputError(str(where), f"is not the data that {run.folder} was trained on")
    name = str(asked["data"].get("name", loaded.rows.name))  # not that of a copy: the same run gives the same bytes
    return replace(loaded, rows=replace(loaded.rows, name=name))


def _read_metrics(run: Run) -> dict[str, Any]:
    """The pass, and the accuracies by part, as far as metrics.json says them. Raises InputError where it is damaged."""
    try:
        metrics = run.metrics()
        parts = {part: metrics[part] for part in ("validation", "test") if metrics.get(part)}
        return {
            "pass": metrics.get("pass"),
            "accuracies": {part: float(found["accuracy"]) for part, found in parts.items()},
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(str(run.folder / "metrics.json"), f"is damaged: {error!r}") from error


def _threshold(before: Run) -> float | None:
    """What the training that a refit follows has found; None where it has none."""
    try:
        return float(before.metrics()["pictures"]["threshold"])
    except (InputError, KeyError, TypeError, ValueError):
        return None


def _temper_as(before: Run, loaded: LoadedData) -> Tempering | None:
    """A refit holds nothing out: its temperature is that of the training before, fitted on what that held out."""
    if not before.exists or not before.best.exists():
        return None
    asked = before.settings()
    _, held_out = split_data(loaded.rows, Split(**asked["split"]))
    same = asked["data"]["sha256"] == loaded.rows.sha256 and len(held_out)
    return Tempering(before.best, held_out, unseen=True) if same else None


def _about_data(rows: DataSet, training: DataSet, compared: DataSet, were: str) -> dict[str, Any]:
    return {
        "name": rows.name, "sha256": rows.sha256, "training_rows": len(training),
        "compared_rows": len(compared), "compared_rows_were": were,
    }  # fmt: skip
