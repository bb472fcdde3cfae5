"""Finished runs → the figures that `edge-digits recipes` lists: `python benchmarks/recipes.py RUN…`.

Of each recipe the last run named counts; where none is named, what was written down before stays. Its figure is that of
its own test rows where the data has some (of the refit, where there is one), else that of its validation rows in the
best pass; that of the last pass stands beside it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from edge_digits_train.catalogue import MEASURED
from edge_digits_train.recipe import recipe_names
from edge_digits_train.runs import Run


def measured(run: Run) -> dict[str, Any]:
    """What is written down of a run."""
    settings, metrics = run.settings(), run.metrics()
    source = run.refit if run.refit.exists and run.refit.metrics()["test"] else run
    part = "test" if source.metrics()["test"] else "validation"
    found = source.metrics()[part]
    data = settings["data"]["name"]
    return {
        "figure": f"{data} {part} {found['accuracy']:.4f} (n = {found['n']:,})",
        "minutes": round(metrics["seconds"] / 60, 1),
        "accuracy": found["accuracy"],
        "interval": found["interval"],
        "last_pass_accuracy": metrics["last"]["accuracy"],
        "n": found["n"],
        "rows": part,
        "data": {key: settings["data"][key] for key in ("name", "sha256", "training_rows")},
        "seed": settings["seed"],
        "pass": metrics["pass"],
        "passes": len(run.history()),
        "versions": settings["versions"],
    }


def main() -> None:
    found = json.loads(MEASURED.read_text()) if MEASURED.exists() else {}
    for folder in sys.argv[1:]:
        run = Run(Path(folder))
        found[run.settings()["recipe"]] = measured(run)
    missing = set(recipe_names()) - set(found)
    if missing:
        print(f"no run of {', '.join(sorted(missing))}", file=sys.stderr)
    MEASURED.write_text(json.dumps(dict(sorted(found.items())), indent=2) + "\n")


if __name__ == "__main__":
    main()
