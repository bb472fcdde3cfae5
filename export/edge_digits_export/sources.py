"""Where a network comes from, and the rows that it is calibrated on, tempered on and compared on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_digits.errors import InputError, UsageError
from edge_digits_export.calibration import MILD
from edge_digits_export.gates import LEAST_ROWS
from edge_digits_train.augment import Augmentation
from edge_digits_train.data import DataSet, LoadedData, Split, load_data, split_data
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

    @property
    def more(self) -> DataSet:
        """Training rows on which int8 and fp32 are compared as well, where the compared rows are too few."""
        missing = 0 if self.compared is self.training else LEAST_ROWS - len(self.compared)
        n = min(max(missing, 0), len(self.training))
        return self.training[np.linspace(0, len(self.training) - 1, n).astype(np.int64)]


def open_source(path: Path, data: str | Path | None, name: str | None) -> Source:
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
        name=name or path.stem,
        recipe=name or path.stem,
        training=training,
        augmentation=MILD,
        compared=compared,
        compared_were=were,
        tempering=Tempering(path, held_out, unseen=False),
        recorded=None,
        about={"network": str(path.absolute()), "data": _about_data(loaded.rows, training, compared, were)},
    )


_TEST = "of the test part"


def _open_run(run: Run, data: str | Path | None, name: str | None) -> Source:
    asked = run.settings()
    loaded = _load_data(run, asked, data)
    if not run.best.exists():
        raise InputError(str(run.best), "is not there: the training has finished no pass")
    try:
        augmentation = Augmentation(**asked["settings"]["augmentation"])
    except (KeyError, TypeError) as error:
        raise InputError(str(run.folder / "run.json"), f"is damaged: {error!r}") from error
    training, held_out = split_data(loaded.rows, Split(**asked["split"]))
    metrics = run.metrics()
    part, compared, were = "validation", held_out, "held out"
    tempering: Tempering | None = Tempering(run.best, held_out, unseen=True)
    if not len(held_out):  # a refit: all rows were trained on
        tempering = _temper_as_before(run, loaded)
        part, compared, were = "none", training, "that it was trained on"
        if loaded.test is not None:
            part, compared, were = "test", loaded.test, _TEST
    about = {
        "network": str(run.best.absolute()),
        **{key: asked[key] for key in ("recipe", "passes", "seed", "backend", "versions")},
        "pass": metrics.get("pass"),
        "refit": asked["refit"] is not None,
        "data": _about_data(loaded.rows, training, compared, were),
    }
    recorded = metrics.get(part) or {}
    return Source(
        network=run.best,
        name=name or asked["recipe"],
        recipe=asked["recipe"],
        training=training,
        augmentation=augmentation,
        compared=compared,
        compared_were=were,
        tempering=tempering,
        recorded=recorded.get("accuracy"),
        about=about,
    )


def _load_data(run: Run, asked: dict[str, Any], data: str | Path | None) -> LoadedData:
    where = data or asked["data"]["path"]
    loaded = load_data(where)
    if loaded.rows.sha256 != asked["data"]["sha256"]:
        raise InputError(str(where), f"is not the data that {run.folder} was trained on")
    return loaded


def _temper_as_before(run: Run, loaded: LoadedData) -> Tempering | None:
    """A refit holds nothing out: its temperature is that of the training it follows, whose folder it lies in."""
    before = Run(run.folder.resolve().parent)
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
