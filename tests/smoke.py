"""Uses an installed edge-digits as a stranger would, without its checkout and its extras: `python smoke.py PICTURE`."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

LINES = ["4017", "268", "59"]  # what is written in the picture of the README


def run(*arguments: str) -> str:
    """The stdout of a command, which must succeed."""
    return subprocess.run(["edge-digits", *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout


def main() -> None:
    """Exits with the first thing that is not as it should be."""
    for package in ["tensorflow", "keras", "pandas", "matplotlib", "sklearn"]:
        assert importlib.util.find_spec(package) is None, f"{package} came with the runtime"
    missing = subprocess.run(
        ["edge-digits", "train", "--recipe", "base", "--data", "x.csv"], capture_output=True, text=True
    )
    assert missing.returncode == 2, missing
    assert "pip install 'edge-digits[train]'" in missing.stderr, missing.stderr

    [record] = json.loads(run("classify", sys.argv[1], "--format", "json"))
    assert record["lines"] == LINES, record["lines"]

    import numpy as np

    from edge_digits import Classifier, Reader
    from edge_digits.find import find
    from edge_digits.images import load_image
    from edge_digits.tiles import frame

    assert Reader().read(sys.argv[1]).lines == LINES
    tiles = np.stack([frame(region.ink) for region in find(load_image(sys.argv[1])).regions])
    assert "".join(map(str, Classifier().classify(tiles).digits)) == "".join(LINES)

    header = ",".join(f"pixel{i}" for i in range(784))
    rows = [",".join(map(str, tile.ravel())) for tile in tiles]
    Path("test.csv").write_text("\n".join([header, *rows]) + "\n")
    run("submit", "test.csv", "-o", "submission.csv")
    expected = ["ImageId,Label", *(f"{i},{digit}" for i, digit in enumerate("".join(LINES), 1))]
    assert Path("submission.csv").read_text().splitlines() == expected
    print(f"the wheel works: {run('--version').strip()}")


if __name__ == "__main__":
    main()
