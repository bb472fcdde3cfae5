"""Several trainings of one recipe side by side: with several seeds, or over the folds of a cross-validation."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edge_digits.errors import UsageError
from edge_digits.metrics import Evaluation
from edge_digits.outputs import open_output
from edge_digits_train.fit import Progress
from edge_digits_train.runs import Run, new_folder, part_runs
from edge_digits_train.training import Settings, create_run, fit_run, load, resume_run, same_data


def train_seeds(settings: Settings, folder: Path, seeds: int, progress: Progress) -> list[Run]:
    """Trains with `seeds` seeds from settings.seed on, into folder/seed-0 and so on; writes their mean and spread.

    Teachers are shared, as all hold out the same rows.
    """
    parts = {f"seed-{seed}": replace(settings, seed=seed) for seed in range(settings.seed, settings.seed + seeds)}
    return _train_parts(parts, folder, "../teachers", progress)


def train_folds(settings: Settings, folder: Path, folds: int, progress: Progress) -> list[Run]:
    """A cross-validation: trains `folds` times, so that each row is held out once, into folder/fold-0 and so on.

    Each fold has teachers of its own, or those of the same fold of settings.teachers.
    """
    if folds < 2:
        raise UsageError(f"--folds {folds}: there must be two at least")
    if settings.start is not None:
        raise UsageError("--folds holds each row out once, and a network that is there may have seen it: no --start")
    if settings.teachers is not None and settings.teachers.suffix == ".keras":
        raise UsageError(
            f"--teachers {settings.teachers}: a network that taught all folds would have seen what they hold out"
        )
    parts = {}
    for fold in range(folds):
        teachers = settings.teachers / f"fold-{fold}" if settings.teachers else None
        parts[f"fold-{fold}"] = replace(settings, validation=1 / folds, fold=fold, teachers=teachers)
    return _train_parts(parts, folder, "teachers", progress)


def resume(folder: Path, progress: Progress, refit: bool = False) -> list[Run]:
    """Goes on with an interrupted training, or with several; does nothing to what is finished.

    With `refit`, one that was not asked for before follows. Raises InputError where the folder is no run or the data
    has changed.
    """
    if Run(folder).exists or not (runs := part_runs(folder)):
        return [resume_run(folder, progress, refit)]
    Run(folder).sweep()
    data = same_data(runs[0], progress)
    return _summarized(folder, [fit_run(run, data, progress, refit) for run in runs])


def summarize(runs: Sequence[Run]) -> dict[str, Any]:
    """Mean and standard deviation of the accuracies of several trainings, 0 to 1; of folds, all rows together, too."""
    asked, folds = [run.settings() for run in runs], _are_folds(runs)
    summary: dict[str, Any] = {"folds": [settings["split"]["fold"] for settings in asked]} if folds else {}
    summary["seeds"] = [settings["seed"] for settings in asked]
    for part in ("validation", "test"):
        found = [metrics[part] for metrics in (run.metrics() for run in runs) if metrics.get(part)]
        if len(found) == len(runs):
            accuracies = [evaluation["accuracy"] for evaluation in found]
            spread = float(np.std(accuracies, ddof=1)) if len(runs) > 1 else 0.0
            summary[part] = {"n": found[0]["n"], "mean": float(np.mean(accuracies)), "sd": spread, "each": accuracies}
    if folds and "validation" in summary:
        summary["together"] = _together(runs).as_dict()
    return summary


def describe(runs: Sequence[Run]) -> str:
    """The summary of several trainings in a line."""
    summary = summarize(runs)
    parts = [
        f"{100 * summary[part]['mean']:.2f} % ± {100 * summary[part]['sd']:.2f} on {summary[part]['n']:,} {part} rows"
        for part in ("validation", "test")
        if part in summary
    ]
    what = "folds" if "folds" in summary else "seeds"
    line = f"{len(runs)} {what}, mean and standard deviation: {'; '.join(parts)}"
    if together := summary.get("together"):
        low, high = (100 * bound for bound in together["interval"])
        share = f"{100 * together['accuracy']:.3f} % ({low:.3f} to {high:.3f})"
        line += f"\neach row held out once: {share} of {together['n']:,}"
    return line


def _train_parts(parts: dict[str, Settings], folder: Path, teachers: str, progress: Progress) -> list[Run]:
    """All folders are made at once, so that `resume` goes on with those that were not reached."""
    data = load(next(iter(parts.values())), progress)
    with new_folder(folder) as staged:
        for name, settings in parts.items():
            create_run(settings, staged / name, data, teachers)
    return _summarized(folder, [fit_run(run, data, progress) for run in part_runs(folder)])


def _summarized(folder: Path, runs: list[Run]) -> list[Run]:
    with open_output(str(folder / f"{'folds' if _are_folds(runs) else 'seeds'}.json"), force=True) as out:
        out.write(json.dumps(summarize(runs), indent=2) + "\n")
    return runs


def _are_folds(runs: Sequence[Run]) -> bool:
    return len({run.settings()["split"].get("fold") for run in runs}) > 1


def _together(runs: Sequence[Run]) -> Evaluation:
    """The held-out rows of all folds as one."""
    whole = Evaluation()
    for run in runs:
        found = run.metrics()["validation"]
        whole += Evaluation(np.asarray(found["confusion"], np.int64), found["loss"] * found["n"])
    return whole
