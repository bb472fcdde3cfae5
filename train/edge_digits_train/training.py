"""From what a person asks for to a finished run folder: train, refit, resume; the teachers of a network first."""

from __future__ import annotations

import contextlib
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from edge_digits.errors import InputError, UsageError
from edge_digits.outputs import open_output
from edge_digits_train.data import DataSet, LoadedData, Split, check_rows, keep_name, load_data, overlap, split_data
from edge_digits_train.fit import Progress, Training, check_network, evaluate_network, evaluate_score, fit, new_network
from edge_digits_train.networks import count_multiply_adds, gives_probabilities, load_network, weight_shapes
from edge_digits_train.picture_tiles import Drawn, Pictures, PictureTiles, draw_tiles, keep_tiles
from edge_digits_train.recipe import Recipe, find_recipe, load_recipe
from edge_digits_train.report import write_report
from edge_digits_train.runs import PassResult, Run, part_runs
from edge_digits_train.teaching import Teachers

HELD_OUT = 1_000_003
"""Added to the seed of pictures that are measured on: with the same one, all but their digits would be known."""
GIVEN_TEACHER = "given.keras"
"""In the folder of the teachers, one that was not trained there."""
LEAST_PICTURES = 20
"""However few rows there are."""
FAST_ROWS = 2_000
"""What `fast` trains on: seconds even for the largest network."""


@dataclass(frozen=True)
class Settings:
    """What a training is asked for; None stands for what the recipe says."""

    recipe: str
    """The name of one of the project's, or the path of one's own."""
    data: str | Path
    """As `load_data` takes it."""
    passes: int | None = None
    seed: int = 0
    validation: float | None = None
    """Share of the rows held out."""
    split_seed: int | None = None
    sample: float | None = None
    """Share of the rows that is used at all."""
    sample_seed: int | None = None
    deskew: bool = False
    """Begin the network with a layer that sets slanted digits upright."""
    fast: bool = False
    """One pass over 2,000 rows at most, to see that everything works."""
    refit: bool = False
    """Then train on all rows, for as long as was best."""
    fold: int | None = None
    """Of a cross-validation, the part of the rows that is held out."""
    teachers: Path | None = None
    """A run whose teachers are to be used, or a .keras file that is to be the teacher, where the recipe has a teaching;
    else it gets its own."""
    start: Path | None = None
    """A .keras file to begin with. None: what the recipe begins with is trained first, or chance decides."""


def default_folder(recipe: str) -> Path:
    """runs/RECIPE-DATE-TIME, in the current folder."""
    return Path("runs") / f"{Path(recipe).stem}-{time.strftime('%Y%m%d-%H%M%S')}"


def train(settings: Settings, folder: Path, progress: Progress) -> Run:
    """Trains a recipe into a new folder. Raises UsageError and InputError before the folder is made."""
    data = load(settings, progress)
    return fit_run(create_run(settings, folder, data), data, progress)


def resume_run(folder: Path, progress: Progress, refit: bool = False) -> Run:
    """Goes on with one training; see `resume` of series.py, which does it for several, too."""
    run = Run(folder)
    return fit_run(run, same_data(run, progress), progress, refit)


def load(settings: Settings, progress: Progress) -> LoadedData:
    """The rows that are asked for. Raises UsageError and InputError."""
    find_recipe(settings.recipe)  # before the data, which takes longer to read
    data = load_data(settings.data, progress.read)
    check_rows(data.rows)
    return data


# ---- The folder ----


def create_run(
    settings: Settings, folder: Path, data: LoadedData, teachers: str = "teachers", split: Split | None = None
) -> Run:
    """The folder of a training that has not begun.

    `teachers`: the folder of its own ones, as seen from `folder`. `split`: instead of what the settings say of it.
    """
    path = find_recipe(settings.recipe)
    recipe = load_recipe(path)
    split = split or _split(settings, recipe, len(data.rows))
    given = None
    if settings.teachers is not None:
        if recipe.teaching is None:
            raise UsageError(f"recipe {recipe.name} has no teaching: leave --teachers away")
        if settings.teachers.suffix == ".keras":
            _check_given_teacher(recipe, settings.teachers, data.rows.tiles[:8])
            given = str(settings.teachers.resolve())
        else:
            teachers, given = _teachers_of(settings.teachers)
    passes = settings.passes
    if passes is None:
        passes = 1 if settings.fast else recipe.passes
    if passes < 1:
        raise UsageError(f"--passes {passes}: there must be one at least")
    if not 0 <= settings.seed < 2**32:
        raise UsageError(f"--seed {settings.seed}: it must be 0 to {2**32 - 1}")
    if settings.start is None:
        _check_start(recipe, path, settings.deskew)
    check_network(recipe, new_network(recipe, settings.seed, settings.deskew, settings.start), data.rows.tiles[:8])
    about = _about(recipe, settings, split, data)
    about |= {"passes": passes, "refit": None, "refit_follows": settings.refit, "fast": settings.fast}
    about |= {"teachers": teachers if recipe.teaching else None, "teacher": given}
    about |= {"start": str(settings.start.resolve()) if settings.start else None}
    return Run.create(folder, about, path.read_text())


def _check_start(recipe: Recipe, path: Path, deskew: bool) -> None:
    """Refuses, before it is trained, a start that is another network, or begins with the recipe itself."""
    seen, shapes = [path.resolve()], weight_shapes(recipe.build(deskew))
    while recipe.start:
        first = find_recipe(recipe.start).resolve()
        if first in seen:
            raise InputError(str(path), f"begins with recipe {recipe.start}, which begins with itself")
        recipe = load_recipe(first)
        if weight_shapes(recipe.build(deskew)) != shapes:
            raise InputError(str(path), f"begins with recipe {recipe.name}, which is another network")
        seen.append(first)


def _create_refit(run: Run, data: LoadedData) -> Run:
    """The folder of the training on all rows, for as long as `run` found best."""
    asked, best = run.settings(), run.metrics()["pass"]
    recipe, split = load_recipe(run.recipe), replace(Split(**asked["split"]), validation=0.0, fold=None)
    settings = Settings(asked["recipe"], asked["data"]["path"], seed=asked["seed"], deskew=asked["deskew"])
    about = _about(recipe, settings, split, data)
    facts = {"of": str(run.folder), "passes": best, "learning_rates": [r.learning_rate for r in run.history()[:best]]}
    about |= {"passes": asked["passes"], "refit": facts, "refit_follows": False, "fast": asked.get("fast", False)}
    about |= {"teachers": str(Path("..") / asked["teachers"]) if recipe.teaching else None}  # an absolute one stays
    about |= {name: asked.get(name) for name in ("teacher", "start")}
    return Run.create(run.refit.folder, about, run.recipe.read_text())


def _about(recipe: Recipe, settings: Settings, split: Split, data: LoadedData) -> dict[str, Any]:
    """What run.json says of a training before it begins; what cannot be trained is refused here."""
    training, validation = split_data(data.rows, split)
    network = new_network(recipe, settings.seed, settings.deskew)
    return {
        "recipe": recipe.name,
        "seed": settings.seed,
        "deskew": settings.deskew,
        "split": asdict(split),
        "settings": recipe.describe(),
        "network": {"parameters": int(network.count_params()), "multiply_adds": count_multiply_adds(network)},
        "data": {
            "path": keep_name(settings.data),
            "name": data.rows.name,
            "sha256": data.rows.sha256,
            "rows": len(data.rows),
            "training_rows": len(training),
            "validation_rows": len(validation),
            "test_rows": len(data.test) if data.test else 0,
            "test_sha256": data.test.sha256 if data.test else None,
        },
        "overlap": {"validation": _seen(training, validation), "test": _seen(training, data.test)},
        "backend": keras.backend.backend(),
        "versions": _versions(),
    }


def _split(settings: Settings, recipe: Recipe, rows: int) -> Split:
    split = recipe.split
    if settings.validation is not None:
        split = replace(split, validation=settings.validation)
    if settings.split_seed is not None:
        split = replace(split, seed=settings.split_seed)
    if settings.sample is not None:
        split = replace(split, sample=settings.sample)
    if settings.sample_seed is not None:
        split = replace(split, sample_seed=settings.sample_seed)
    if settings.fold is not None:
        split = replace(split, fold=settings.fold)
    elif settings.validation is not None or settings.split_seed is not None:
        split = replace(split, fold=None)
    if not 0 < split.validation < 1:
        raise UsageError(f"--validation {split.validation:g}: it must be more than 0 and less than 1")
    if not 0 < split.sample <= 1:
        raise UsageError(f"--sample {split.sample:g}: it must be more than 0 and at most 1")
    if settings.fast:
        split = replace(split, sample=min(split.sample, FAST_ROWS / rows))
    return split


def _seen(training: DataSet, other: DataSet | None) -> int:
    """How many images of `other` stand in `training`, too."""
    return int(overlap(training, other).sum()) if other is not None and len(other) else 0


# ---- The training ----


def fit_run(run: Run, data: LoadedData, progress: Progress, refit: bool = False) -> Run:
    """Fits a run from where it stands, after its teachers, then its refit where one follows."""
    settings = run.settings()
    run.sweep()
    training = _training(run, settings, data)
    if not run.is_finished:
        training = replace(
            training,
            picture_tiles=_picture_tiles(training, progress),
            teachers=_teachers(training, settings, data, progress),
            start=_start(training, settings, data, progress),
        )
    refit_follows = settings["refit"] is None and (refit or settings["refit_follows"])
    try:
        history = fit(training, progress)
    except (KeyboardInterrupt, SystemExit):
        if run.best.exists():
            _report(training)  # the run is kept, so what it tells is kept, too
        raise
    if not run.is_finished:
        _finish(training, history, None if refit_follows else data.test, progress)
    if refit_follows:
        again = fit_run(run.refit if run.refit.exists else _create_refit(run, data), data, progress)
        if run.report.stat().st_mtime < again.report.stat().st_mtime:
            _report(training)  # anew, to tell what came of the refit
    return run


def _training(run: Run, settings: dict[str, Any], data: LoadedData) -> Training:
    recipe = load_recipe(run.recipe)
    rows, validation = split_data(data.rows, Split(**settings["split"]))
    again = settings["refit"] or {}
    return Training(
        run=run,
        recipe=recipe,
        seed=settings["seed"],
        passes=settings["passes"],
        last_pass=again.get("passes", settings["passes"]),
        deskew=settings["deskew"],
        training=rows,
        validation=validation,
        learning_rates=again.get("learning_rates", ()) if recipe.plateau else (),
    )


def _picture_tiles(training: Training, progress: Progress) -> PictureTiles | None:
    """Those that the run keeps, drawn where it has none yet."""
    pictures = training.recipe.pictures
    if pictures is None:
        return None
    rows, run = training.training, training.run
    return PictureTiles(pictures, _keep_tiles(run.picture_tiles, pictures, rows, training.seed, progress))


def _keep_tiles(path: Path, pictures: Pictures, rows: DataSet, seed: int, progress: Progress) -> Drawn:
    count = max(LEAST_PICTURES, round(pictures.drawn * len(rows)))
    return keep_tiles(path, lambda: draw_tiles(rows, count, seed, progress.draw))


def _teachers(training: Training, settings: dict[str, Any], data: LoadedData, progress: Progress) -> Teachers | None:
    """The teachers of a run, trained as far as they are not. A refit has the same ones: they need not see all rows."""
    run, teaching = training.run, training.recipe.teaching
    if teaching is None:
        return None
    folder = run.folder / settings["teachers"]
    given = folder / GIVEN_TEACHER
    if settings.get("teacher") and not given.exists():
        folder.mkdir(exist_ok=True)
        _keep(Path(settings["teacher"]), given)
    if given.exists():
        return Teachers([given], folder / "answers")
    first = Run(run.folder.parent) if settings["refit"] else run
    split = Split(**first.settings()["split"])
    teachers = []
    for seed in range(teaching.networks):
        teacher = Run(folder / f"seed-{seed}")
        if not teacher.exists:
            asked = Settings(teaching.recipe, settings["data"]["path"], seed=seed, fast=settings["fast"])
            create_run(asked, teacher.folder, data, split=split)
        _check_teacher(teacher, settings["data"]["sha256"], split)
        teachers.append(fit_run(teacher, data, progress))
    return Teachers([teacher.best for teacher in teachers], folder / "answers")


def _start(training: Training, settings: dict[str, Any], data: LoadedData, progress: Progress) -> Path | None:
    """What a run begins with, kept in its folder; trained first where it is not there. A refit begins as its run."""
    run, recipe = training.run, training.recipe
    kept = Run(run.folder.parent).start if settings["refit"] else run.start
    if kept.exists():
        return kept
    if settings["refit"] or not (recipe.start or settings.get("start")):
        return None
    if settings.get("start"):
        network = Path(settings["start"])
    else:
        first = Run(run.folder / "start")
        if not first.exists:
            asked = Settings(
                recipe.start, settings["data"]["path"], seed=settings["seed"], deskew=settings["deskew"],
                fast=settings["fast"],
            )  # fmt: skip
            create_run(asked, first.folder, data, split=Split(**settings["split"]))
        network = fit_run(first, data, progress).best
    _keep(network, kept)
    return kept


def _keep(network: Path, kept: Path) -> None:
    """Copies a .keras file. Raises InputError where it is gone."""
    try:
        data = network.read_bytes()
    except OSError as error:
        raise InputError(str(network), f"cannot be read: {error.strerror}; the run was to be made with it") from error
    with open_output(str(kept), force=True, binary=True) as out:
        out.write(data)


def _check_given_teacher(recipe: Recipe, path: Path, tiles: NDArray[np.uint8]) -> None:
    """Refuses, before anything is trained, a .keras file that cannot teach the recipe's network. `tiles`: a few."""
    assert recipe.teaching is not None
    if recipe.teaching.networks != 1:
        raise UsageError(f"--teachers {path}: recipe {recipe.name} has {recipe.teaching.networks} of them, not one")
    if not gives_probabilities(load_network(path, training=False), tiles):
        raise InputError(str(path), "gives no probabilities: none to teach")


def _check_teacher(teacher: Run, sha256: str, split: Split) -> None:
    """Refuses one that has seen rows which its pupil holds out."""
    asked = teacher.settings()
    if asked["data"]["sha256"] != sha256 or Split(**asked["split"]) != split:
        raise InputError(str(teacher.folder), "is a teacher that held out other rows than this run does")


def _teachers_of(folder: Path) -> tuple[str, str | None]:
    """The absolute path of the teachers of a run, or of several seeds; and the file that the one was, where it was one.

    Raises UsageError where there are none.
    """
    run = Run(folder)
    teachers = run.settings().get("teachers") if run.exists else "teachers"
    found = (folder / teachers).resolve() if teachers else None
    if found is None or not (part_runs(found) or (found / GIVEN_TEACHER).exists()):
        raise UsageError(f"--teachers {folder}: has none; name a run that was taught by some, or a .keras file")
    taught = run if run.exists else next(iter(part_runs(folder)), None)
    return str(found), taught.settings().get("teacher") if taught else None


def same_data(run: Run, progress: Progress) -> LoadedData:
    """The data that a run was trained on. Raises InputError where it is gone or has changed."""
    about = run.settings()["data"]
    data = load_data(about["path"], progress.read)
    if data.rows.sha256 != about["sha256"]:
        raise InputError(about["path"], f"is not the data that {run.folder} was trained on")
    test = data.test.sha256 if data.test else None
    if test != about.get("test_sha256", test):  # which runs of earlier versions do not say
        raise InputError(about["path"], f"its test rows are not those that {run.folder} began with")
    return data


def _finish(training: Training, history: Sequence[PassResult], test: DataSet | None, progress: Progress) -> None:
    """Measures the test rows, where they are given, and tiles of pictures; and writes the report."""
    run, last = training.run, history[-1]
    run.report.unlink(missing_ok=True)  # that of an interruption would pass for the one that is written last
    metrics = run.metrics()
    metrics["last"] = {"pass": last.number, "accuracy": last.validation_accuracy, "loss": last.validation_loss}
    if not len(training.validation):
        metrics["last"] = None
    metrics["test"] = None
    if test is not None:
        network = load_network(run.best, training=False)
        metrics["test"] = evaluate_network(network, test, run, metrics["pass"]).as_dict()
    pictures = training.recipe.pictures
    if pictures is not None and len(training.validation):
        path, seed = run.held_out_picture_tiles, training.seed + HELD_OUT
        tiles = _keep_tiles(path, pictures, training.validation, seed, progress)
        network = load_network(run.best, training=False)
        metrics["pictures"] = evaluate_score(network, training.validation, tiles.scored)
    metrics["seconds"] = round(sum(result.seconds for result in history), 2)
    run.write_metrics(metrics)
    _report(training)


def _report(training: Training) -> None:
    write_report(training.run, training.recipe.augmentation, training.training, training.validation)


def _versions() -> dict[str, str]:
    packages = (
        "edge-digits", "keras", "tensorflow", "jax", "torch", "numpy", "opencv-python", "pandas", "scikit-learn",
    )  # fmt: skip
    found = {"python": platform.python_version(), "machine": f"{platform.machine()}, {os.cpu_count()} cores"}
    for package in packages:
        with contextlib.suppress(ModuleNotFoundError):
            found[package] = version(package)
    return found
