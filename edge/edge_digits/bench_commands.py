"""The benchmark of commands as whole processes: how fast they start, and tables."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

import edge_digits
import edge_digits_models
from edge_digits.bench_figures import (
    Budget,
    Figure,
    Part,
    Sizes,
    in_turn,
    process_milliseconds,
    ratio,
    run_python,
    seconds_of,
)
from edge_digits.bench_material import SMALL, load_tiles, make_pictures, write_table
from edge_digits.classifier import Classifier

_COMMAND = ("-m", "edge_digits")


def measure_starts(sizes: Sizes, folder: Path) -> Part:
    """Commands as whole processes, against the imports that they cannot do without."""
    picture = folder / "one.png"
    picture.write_bytes(make_pictures()[SMALL])
    tasks = {
        "classify one.png": (*_COMMAND, "classify", str(picture)),
        "import numpy, cv2, onnxruntime, typer": ("-c", "import numpy, cv2, onnxruntime, typer"),
        "--help": (*_COMMAND, "--help"),
        "import typer": ("-c", "import typer"),
    }
    for arguments in tasks.values():
        run_python(*arguments)  # what has never been read from the disk takes longer once
    found = in_turn(
        sizes.rounds, {name: partial(process_milliseconds, *arguments) for name, arguments in tasks.items()}
    )
    classify, imports, told, typer = found.values()
    allowed = 1.5 * float(np.median(typer)) + 20
    size = sum(
        path.stat().st_size
        for package in (edge_digits, edge_digits_models)
        for path in Path(package.__path__[0]).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    )
    return Part(
        "Starts, as whole processes",
        [Figure(name, "ms", values) for name, values in found.items()],
        [
            Budget("classify one.png against its imports", ratio(classify, imports), 1.2),
            Budget("--help against 1.5 × import typer + 20 ms", float(np.median(told)) / allowed, 1.0),
            Budget("runtime and models on disk", size / 1e6, 1.5, "MB"),
        ],
    )


def measure_tables(sizes: Sizes, folder: Path) -> Part:
    """`submit` as a whole process, against what it cannot do without: to parse the rows, and to classify them."""
    table = folder / "test.csv"
    write_table(table, sizes.rows)
    model, memory = Classifier(), []
    tiles = np.resize(load_tiles(), (sizes.rows, 28, 28))
    parse = partial(np.loadtxt, table, np.uint8, comments=None, delimiter=",", skiprows=1)

    def submit() -> float:
        ran = run_python(*_COMMAND, "submit", str(table), "-o", str(folder / "out.csv"), "--force")
        memory.append(ran.megabytes)
        return ran.seconds

    found = in_turn(
        min(3, sizes.rounds),
        {
            "submit": submit,
            "numpy.loadtxt": partial(seconds_of, parse),
            "classify all rows, one core": partial(seconds_of, partial(model.classify, tiles)),
        },
    )
    longer = [max(pair) for pair in zip(found["numpy.loadtxt"], found["classify all rows, one core"], strict=True)]
    budgets = [
        Budget("submit against the longer of parsing and classifying", ratio(found["submit"], longer), 1.3),
        Budget("submit: memory", max(memory), 150, "MB"),
    ]
    return Part(
        f"Tables: {sizes.rows:,} rows",
        [
            *(Figure(name, "s", values) for name, values in found.items()),
            Figure("submit", "rows/s", tuple(sizes.rows / seconds for seconds in found["submit"])),
            Figure("submit: memory", "MB", tuple(memory)),
        ],
        budgets if sizes.judged else budgets[1:],
    )
