"""edge-digits against what a person would use instead: `python benchmarks/peers.py [--data test.csv]`.

Each takes its turn in a process of its own, on the same network and tiles; what counts is the ratio of those that ran
one after the other. What is not installed is left out, and said. For all of it:
`pip install '.[train]' ai-edge-litert openvino`.

`--data` is a table as Kaggle's test.csv, unpacked; without it one of 28,000 rows is made.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

import edge_digits_models
from edge_digits.bench_figures import Budget, Ran, in_turn, run_python
from edge_digits.bench_material import load_tiles, write_table
from edge_digits.benchmark import describe_machine

HERE = Path(__file__).parent / "peers"
BUNDLED = Path(edge_digits_models.__path__[0])
NETWORK = BUNDLED.parent / "networks" / "digits.keras"
KINDS = ("int8", "fp32")


def installed(*packages: str) -> bool:
    """Whether all are; tells which is not."""
    for package in packages:
        try:
            importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            print(f"left out, as {package} is not installed", file=sys.stderr)
            return False
    return True


def compare(title: str, found: Mapping[str, tuple[float, ...]], unit: str, scale: float = 1.0) -> dict[str, float]:
    """Prints each against the first one; returns the ratios."""
    ours, *_ = found.values()
    print(f"\n{title}\n{'':<34}{'median':>10} {unit:<8}{'least':>10}{'most':>10}   times ours (least to most)")
    ratios = {}
    for name, values in found.items():
        pairs = [value / our for value, our in zip(values, ours, strict=True)]
        ratios[name] = statistics.median(pairs)
        middle, least, most = (scale * value for value in (statistics.median(values), min(values), max(values)))
        print(
            f"{name:<34}{middle:>10,.4g} {unit:<8}{least:>10,.4g}{most:>10,.4g}   "
            f"{ratios[name]:.2f} ({min(pairs):.2f} to {max(pairs):.2f})"
        )
    return ratios


def compare_submit(table: Path, folder: Path, rounds: int) -> list[Budget]:
    """Whole processes, from a CSV to a CSV."""
    out = str(folder / "out.csv")
    scripts = {"edge-digits submit": ("-m", "edge_digits", "submit", str(table), "-o", out, "--force")}
    if installed("pandas"):
        model = str(BUNDLED / "digits-fp32.onnx")
        scripts["pandas + onnxruntime"] = (str(HERE / "pandas_onnxruntime.py"), model, str(table), out)
    if installed("pandas", "tensorflow"):
        scripts["pandas + Keras"] = (str(HERE / "keras_predict.py"), str(NETWORK), str(table), out)
    memory: dict[str, list[float]] = {name: [] for name in scripts}

    def run(name: str) -> float:
        ran: Ran = run_python(*scripts[name])
        memory[name].append(ran.megabytes)
        return ran.seconds

    with table.open("rb") as file:
        rows = sum(1 for _ in file) - 1
    found = in_turn(rounds, {name: lambda name=name: run(name) for name in scripts})
    ratios = compare(f"{rows:,} rows, whole processes", found, "s")
    compare("the same: memory", {name: tuple(values) for name, values in memory.items()}, "MB")
    limits = {"pandas + onnxruntime": 2.5, "pandas + Keras": 10.0}
    return [
        Budget(f"submit against {name}", ratios[name], limit, at_least=True)
        for name, limit in limits.items()
        if name in ratios
    ]


def plain_int8() -> bytes:
    """The network in int8 without blocks, which slow OpenVINO down."""
    from edge_digits_export import rebuild_models

    facts = json.loads(NETWORK.with_suffix(".json").read_text())
    return rebuild_models(NETWORK, {**facts, "choice": {**facts["choice"], "blocks": False}})["int8"]


def compare_tiles(folder: Path, rounds: int) -> list[Budget]:
    """One tile at a time and 256, on one thread, inside a process of each."""
    np.save(folder / "tiles.npy", load_tiles())
    engines = {f"edge-digits, {kind}": ("edge_digits", f"digits-{kind}") for kind in KINDS}
    engines |= {f"onnxruntime, {kind}": ("onnxruntime", str(BUNDLED / f"digits-{kind}.onnx")) for kind in KINDS}
    if installed("openvino", "tensorflow"):
        (folder / "plain-int8.onnx").write_bytes(plain_int8())
        engines["OpenVINO, int8"] = ("openvino", str(folder / "plain-int8.onnx"))
        engines["OpenVINO, fp32"] = ("openvino", str(BUNDLED / "digits-fp32.onnx"))
    if installed("ai-edge-litert", "tensorflow"):
        convert = [sys.executable, str(HERE / "convert_litert.py"), str(NETWORK), "tiles.npy", "."]
        subprocess.run(convert, cwd=folder, check=True, capture_output=True)
        engines |= {f"LiteRT, {kind}": ("litert", str(folder / kind)) for kind in ("int8", "float")}
    versions: dict[str, str] = {}
    rates: dict[str, list[float]] = {name: [] for name in engines}

    def run(name: str) -> float:
        command = [sys.executable, str(HERE / "tiles.py"), *engines[name], str(folder / "tiles.npy")]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{name} fails:\n{done.stderr}")
        told = json.loads(done.stdout.splitlines()[-1])
        if told["answers"] != list(range(10)):
            raise SystemExit(f"{name} reads the ten tiles as {told['answers']}: not the same network")
        versions[engines[name][0]] = told["version"]
        rates[name].append(told["rate"])
        return float(told["microseconds"])

    found = in_turn(rounds, {name: lambda name=name: run(name) for name in engines})
    ratios = compare("one tile, one thread", found, "µs")
    compare("256 tiles, one thread", {name: tuple(values) for name, values in rates.items()}, "tiles/s")
    print("\n" + ", ".join(f"{name} {version}" for name, version in versions.items()))
    peers = {name: ratio for name, ratio in ratios.items() if not name.startswith("edge-digits")}
    if not peers:
        return []
    fastest = min(peers, key=lambda name: peers[name])
    return [Budget(f"one tile against the fastest peer, {fastest}", 1 / peers[fastest], 1.3)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a table as Kaggle's test.csv, unpacked")
    parser.add_argument("--rounds", type=int, default=5, help="times that all take turns")
    parser.add_argument("--only", choices=["tiles", "submit"])
    asked = parser.parse_args()
    print(", ".join(f"{key} {value}" for key, value in describe_machine().items()))
    budgets: list[Budget] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if asked.only != "submit":
            budgets += compare_tiles(folder, asked.rounds)
        if asked.only != "tiles":
            table = asked.data or folder / "test.csv"
            if asked.data is None:
                write_table(table, 28_000)
            budgets += compare_submit(table, folder, asked.rounds)
    print("\nBudgets", *(budget.text() for budget in budgets), sep="\n")


if __name__ == "__main__":
    main()
