"""What each part of a recipe brings: `python benchmarks/ablations.py -o FOLDER --data train.csv [--pictures FOLDER]`.

The recipe is trained anew with one part more each time, from rows that are turned and bent to all of it, always with
the same seed and rows held out. Measured in fp32: the rows held out; digits on tiles of pictures drawn of them, and how
much of what is no digit is rejected there, at the threshold that `train` finds; the mean over all kinds of corruption
at severity 3; and, where labelled pictures are named, how many single digits among them are read, and how many 1s.

Teachers are left out: they would bring along what they have learnt from pictures. The pictures are drawn once, as all
steps draw the same. An interrupted run goes on where it was. The table is printed as Markdown; FOLDER/ablations.json
holds it.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edge_digits import Reader
from edge_digits.picture_labels import load_labels
from edge_digits_export import ExportSettings, Limits, export
from edge_digits_train.corruptions import KINDS, corrupt
from edge_digits_train.data import DataSet, Split, load_data, split_data
from edge_digits_train.networks import load_network, predict
from edge_digits_train.progress import TrainingProgress
from edge_digits_train.recipe import Recipe, find_recipe, load_recipe
from edge_digits_train.runs import Run
from edge_digits_train.series import resume
from edge_digits_train.training import Settings, create_run, fit_run

SEVERITY = 3
LOOSE = Limits(int8_drop=1, int8_agreement=0)
"""Only fp32 is read."""


def steps(whole: Recipe) -> Iterator[tuple[str, Recipe]]:
    """The recipe with one part more each time."""
    assert whole.pictures is not None
    bare = replace(
        whole,
        augmentation=replace(whole.augmentation, flags=0.0, stroke=0.0),
        pictures=replace(whole.pictures, digits=0.0, others=0.0, spoiled=0.0),
    )
    assert bare.pictures is not None
    yield "rows, turned and bent", bare
    bare = replace(bare, augmentation=replace(bare.augmentation, flags=whole.augmentation.flags))
    yield "+ flags and bases on 1s", bare
    bare = replace(bare, augmentation=whole.augmentation)
    yield "+ thinner and thicker strokes", bare
    bare = replace(bare, pictures=replace(bare.pictures, spoiled=whole.pictures.spoiled))
    yield "+ spoiled tiles", bare
    bare = replace(bare, pictures=replace(bare.pictures, digits=whole.pictures.digits))
    yield "+ digits on tiles of pictures", bare
    yield "+ what is no digit", whole


def write_recipe(path: Path, name: str, network: str, recipe: Recipe) -> None:
    """A recipe file that is `name` with some parts changed, for the network of `network`."""
    path.write_text(
        "import runpy\nfrom dataclasses import replace\n\n"
        "from edge_digits_train.augment import Augmentation\nfrom edge_digits_train.picture_tiles import Pictures\n\n"
        f"OTHER = runpy.run_path({str(find_recipe(network))!r})['RECIPE']\n"
        f"RECIPE = replace(\n    runpy.run_path({str(find_recipe(name))!r})['RECIPE'],\n"
        "    network=OTHER.network,\n    optimizer=OTHER.optimizer,\n"
        f"    augmentation={recipe.augmentation!r},\n    pictures={recipe.pictures!r},\n    teaching=None,\n)\n"
    )


def share_tiles(first: Run, run: Run) -> None:
    """Gives a run the tiles of pictures that another of the same rows and seed has drawn."""
    for name in (run.picture_tiles.name, run.held_out_picture_tiles.name):
        shutil.copy(first.folder / name, run.folder / name)


def measure(run: Run, held_out: DataSet, labelled: Path | None) -> dict[str, Any]:
    """What a finished run can do."""
    pictures = run.metrics()["pictures"]
    found = {
        "rows": run.metrics()["validation"]["accuracy"],
        "tiles of pictures": pictures["digits"]["accuracy"],
        "others rejected": pictures["rejected_others"],
        "spoiled": spoiled_accuracy(run, held_out),
        "minutes": run.metrics()["seconds"] / 60,
    }
    return found | (read(run, labelled) if labelled else {})


def spoiled_accuracy(run: Run, held_out: DataSet) -> float:
    """The mean over all kinds."""
    network, rows = load_network(run.best, training=False), held_out[np.arange(0, len(held_out), 2)]
    answers = [
        predict(network, corrupt(rows.tiles, kind, SEVERITY, np.random.default_rng(0))).probabilities for kind in KINDS
    ]
    return float(np.mean([answer.argmax(axis=1) == rows.labels for answer in answers]))


def read(run: Run, labelled: Path) -> dict[str, Any]:
    """Single digits of labelled pictures that are read exactly, and the 1s among them."""
    right: list[bool] = []
    ones: list[bool] = []
    with tempfile.TemporaryDirectory() as folder:
        reader = Reader(export(ExportSettings(run.folder, Path(folder), name="step", limits=LOOSE)).fp32)
        for picture in load_labels(str(labelled)):
            if len(picture.text) == 1:
                exact = reader.read(picture.path).text == picture.text
                right.append(exact)
                if picture.text == "1":
                    ones.append(exact)
    return {"pictures": float(np.mean(right)), "1s": float(np.mean(ones)), "n": (len(right), len(ones))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--recipe", default="base")
    parser.add_argument("--network", help="train the network of this recipe, as the recipe says", metavar="RECIPE")
    parser.add_argument("--passes", type=int, default=12)
    parser.add_argument("--pictures", type=Path, help="a folder with labels.csv, as evaluate-pictures takes it")
    asked = parser.parse_args()
    asked.output.mkdir(parents=True, exist_ok=True)
    data, table = load_data(asked.data), dict[str, dict[str, Any]]()
    for number, (name, recipe) in enumerate(steps(load_recipe(find_recipe(asked.recipe)))):
        folder, path = asked.output / f"step-{number}", asked.output / f"step-{number}.py"
        write_recipe(path, asked.recipe, asked.network or asked.recipe, recipe)
        with TrainingProgress() as progress:
            if folder.exists():
                (run,) = resume(folder, progress)
            else:
                run = create_run(Settings(str(path), asked.data, passes=asked.passes), folder, data)
                if number:
                    share_tiles(Run(asked.output / "step-0"), run)
                fit_run(run, data, progress)
        _, held_out = split_data(data.rows, Split(**run.settings()["split"]))
        table[name] = measure(run, held_out, asked.pictures)
        (asked.output / "ablations.json").write_text(json.dumps(table, indent=2) + "\n")
    columns = [key for key in next(iter(table.values())) if key not in ("n", "minutes")]
    print("| learnt from |", " | ".join(columns), "| minutes |")
    print("| --- |", " | ".join("---" for _ in columns), "| --- |")
    for name, found in table.items():
        print(f"| {name} |", " | ".join(f"{100 * found[key]:.2f}" for key in columns), f"| {found['minutes']:.0f} |")


if __name__ == "__main__":
    main()
