"""A run or a .keras file → NAME-fp32.onnx, NAME-int8.onnx and NAME.proof.json, or nothing."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx

import edge_digits
from edge_digits.classifier import CONTRACT, Classifier
from edge_digits.errors import InputError, ModelError, OutputError, UsageError
from edge_digits.outputs import check_output, open_output
from edge_digits_export.convert import convert, load_network, predict
from edge_digits_export.quantize import quantize
from edge_digits_export.verify import Limits, Parity, check_finite, latency_ratio
from edge_digits_train.data import DataSet, load_data, split_data
from edge_digits_train.runs import Run

CALIBRATION_TILES = 1000
"""A hundred of each digit."""


@dataclass(frozen=True)
class ExportSettings:
    """What to export, and where to."""

    source: Path
    """A run folder (its best network) or a .keras file."""
    output: Path
    """The folder that the files go to; it is made where it is missing."""
    data: Path | None = None
    """Labelled rows. None: those that the run was trained on."""
    name: str | None = None
    """None: the recipe's name, or the file's."""
    force: bool = False
    """Replace files that are there."""
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class Exported:
    """What came of it."""

    fp32: Path
    int8: Path
    proof: Path
    parity: Parity


@dataclass(frozen=True)
class _Source:
    """Where the network comes from, and the rows it is calibrated on and compared on."""

    network: Path
    name: str
    recipe: str
    training: DataSet
    held_out: DataSet
    about: dict[str, Any]


def export(settings: ExportSettings, note: Callable[[str], None] = lambda _: None) -> Exported:
    """Converts, quantizes, compares, and writes the files when every gate is passed. `note` is told each step.

    Raises InputError for a source that cannot be read, GateError where a gate is not passed: then nothing is written.
    """
    source = _open_source(settings)
    if "/" in source.name or not source.name:
        raise UsageError(f"--name {source.name!r}: a model's name is a file's name, without a folder")
    paths = [settings.output / f"{source.name}{end}" for end in ("-fp32.onnx", "-int8.onnx", ".proof.json")]
    if settings.output.is_dir():
        for path in paths:
            check_output(str(path), force=settings.force)
    elif settings.output.exists():
        raise OutputError(f"{settings.output}: is no folder")

    note("converting")
    network = load_network(source.network)
    answers = predict(network, source.held_out.tiles)
    check_finite("Keras", answers)
    models = {"fp32": convert(network)}
    note("quantizing")
    models["int8"] = quantize(models["fp32"], _calibration_tiles(source.training))
    note(f"comparing on {len(source.held_out):,} held-out rows")
    labels = source.held_out.labels
    with tempfile.TemporaryDirectory() as folder:
        classifiers = {}
        for precision, model in models.items():
            path = Path(folder) / f"{precision}.onnx"
            onnx.save(model, path)
            try:
                classifiers[precision] = Classifier(path)
            except ModelError as error:
                reason = str(error).removeprefix(f"{path}: ")
                raise InputError(str(settings.source), f"exports to a model that does not run: {reason}") from error
        found = {p: c.classify(source.held_out.tiles).probabilities for p, c in classifiers.items()}
        parity = Parity.of(answers, found["fp32"], found["int8"], labels)
        parity.check(settings.limits)
        ratio = latency_ratio(classifiers["fp32"], classifiers["int8"], source.held_out.tiles[:1])
    for precision, model in models.items():
        _describe(model, source, precision, parity)
    files = {precision: model.SerializeToString(deterministic=True) for precision, model in models.items()}
    proof = {
        "name": source.name,
        "version": edge_digits.__version__,
        "source": source.about,
        "parameters": int(network.count_params()),
        "calibration_tiles": min(CALIBRATION_TILES, len(source.training)),
        "files": {precision: hashlib.sha256(data).hexdigest() for precision, data in files.items()},
        "parity": parity.as_dict(),
        "latency_ratio_fp32_to_int8": round(ratio, 2),
        "tools": _tools(),
    }
    try:
        settings.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{settings.output}: cannot be made: {error.strerror}") from error
    for path, data in zip(paths, files.values(), strict=False):
        with open_output(str(path), force=settings.force, binary=True) as out:
            out.write(data)
    with open_output(str(paths[2]), force=settings.force) as out:
        out.write(json.dumps(proof, indent=2) + "\n")
    fp32, int8, proof_path = paths
    return Exported(fp32, int8, proof_path, parity)


def _open_source(settings: ExportSettings) -> _Source:
    if settings.source.is_dir():
        return _open_run(settings)
    if not settings.source.exists():
        raise InputError(str(settings.source), "there is no such run or file")
    if settings.source.suffix != ".keras":
        raise InputError(str(settings.source), "is neither a run's folder nor a .keras file")
    if settings.data is None:
        raise UsageError("a .keras file does not say what it was trained on: name labelled rows with --data")
    data = load_data(settings.data)
    training, held_out = split_data(data, 0.1, 27)
    name = settings.name or settings.source.stem
    return _Source(
        settings.source, name, name, training, held_out,
        {"network": str(settings.source.absolute()), "data": _about_data(data, held_out, "which it may have seen")},
    )  # fmt: skip


def _open_run(settings: ExportSettings) -> _Source:
    run = Run(settings.source)
    asked = run.settings()
    path = settings.data or asked["data"]["path"]
    data = load_data(path)
    if data.sha256 != asked["data"]["sha256"]:
        raise InputError(str(path), f"is not the data that {run.folder} was trained on")
    if not run.best.exists():
        raise InputError(str(run.best), "is not there: the training has finished no pass")
    split = asked["settings"]
    training, held_out = split_data(data, split["validation"], split["split_seed"])
    recipe = asked["recipe"]
    about = {
        "network": str(run.best.absolute()),
        **{key: asked[key] for key in ("recipe", "passes", "seed", "backend", "versions")},
        "pass": run.metrics()["pass"],
        "data": _about_data(data, held_out, "held out"),
    }
    return _Source(run.best, settings.name or recipe, recipe, training, held_out, about)


def _about_data(data: DataSet, held_out: DataSet, how: str) -> dict[str, Any]:
    return {
        "name": data.name, "sha256": data.sha256, "training_rows": len(data) - len(held_out),
        "compared_rows": len(held_out), "compared_rows_were": how,
    }  # fmt: skip


def _calibration_tiles(training: DataSet) -> Any:
    """The same number of each digit, drawn with a fixed seed."""
    rng = np.random.default_rng(0)
    chosen = [rng.permutation(np.flatnonzero(training.labels == d))[: CALIBRATION_TILES // 10] for d in range(10)]
    return training.tiles[np.concatenate(chosen)]


def _describe(model: onnx.ModelProto, source: _Source, precision: str, parity: Parity) -> None:
    """Writes the contract's metadata into the model."""
    found = parity.fp32 if precision == "fp32" else parity.int8
    data = source.about["data"]
    facts = {
        "contract": CONTRACT,
        "name": source.name,
        "version": edge_digits.__version__,
        "recipe": source.recipe,
        "precision": precision,
        "trained_on": f"{data['name']}, SHA-256 {data['sha256']}",
        "accuracy": f"{found.accuracy:.5f} on {found.n} rows of {data['name']} {data['compared_rows_were']}",
        "reject_below": "0",  # without a digit_score every tile counts as a digit
        "tools": ", ".join(f"{name} {number}" for name, number in _tools().items()),
    }
    onnx.helper.set_model_props(model, {f"edge_digits.{key}": value for key, value in facts.items()})
    model.producer_name, model.producer_version = "edge-digits", edge_digits.__version__


def _tools() -> dict[str, str]:
    return {name: version(name) for name in ("keras", "tensorflow", "tf2onnx", "onnx", "onnxruntime")}
