"""What a recipe is: a named network with its way of training, each number with its unit or reason.

Each recipe is a file that sets RECIPE: those of the project are in the folder recipes/, and one of your own is named by
its path.
"""

from __future__ import annotations

import difflib
import runpy
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras

from edge_digits.errors import InputError, UsageError
from edge_digits_train.augment import Augmentation
from edge_digits_train.data import Split

FOLDER = Path(__file__).parent / "recipes"


@dataclass(frozen=True)
class Plateau:
    """Multiplies the learning rate by `factor` when the validation loss has not fallen for `patience` of the passes."""

    factor: float
    patience: float
    """Share of all passes, so that a shorter training is no more and no less patient."""
    floor: float
    """The learning rate stops falling here."""

    def learning_rate(self, start: float, losses: Sequence[float], passes: int) -> float:
        """After passes with these validation losses. Derived from the history alone: there is no state to keep."""
        rate, best, waited = start, float("inf"), 0
        for loss in losses:
            if loss < best:
                best, waited = loss, 0
            else:
                waited += 1
            if waited >= max(1, round(self.patience * passes)):
                rate, waited = min(rate, max(self.floor, rate * self.factor)), 0
        return rate


@dataclass(frozen=True)
class EarlyStopping:
    """Ends the training when the validation loss has not fallen for `patience` of the passes."""

    patience: float
    """Share of all passes."""

    def ends(self, losses: Sequence[float], passes: int) -> bool:
        """Whether passes with these validation losses are enough."""
        if not losses:
            return False
        waited = len(losses) - 1 - losses.index(min(losses))
        return waited >= max(1, round(self.patience * passes))


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One way to make a network."""

    name: str
    summary: str
    """One line: what it is, and where it comes from."""
    network: Callable[[], list[keras.Layer]]
    """The layers, from an image (28, 28, 1) of 0 to 1 to ten probabilities."""
    optimizer: Callable[[int], keras.optimizers.Optimizer]
    """From the number of steps in the whole training."""
    batch: int
    """Tiles in a step."""
    passes: int
    """Times that each row is seen, unless the caller says otherwise."""
    augmentation: Augmentation = field(default_factory=Augmentation)
    split: Split = field(default_factory=Split)
    plateau: Plateau | None = None
    early_stopping: EarlyStopping | None = None
    post: str = ""
    """The figure of the blog post that the recipe comes from."""
    notes: Sequence[str] = ()
    """What the post left out, and what was chosen."""

    def describe(self) -> dict[str, Any]:
        """As plain data, its functions by name."""
        return {k: getattr(v, "__name__", v) if callable(v) else v for k, v in asdict(self).items()}


def recipe_names() -> list[str]:
    """The recipes of the project."""
    return sorted(path.stem.replace("_", "-") for path in FOLDER.glob("*.py"))


def find_recipe(name: str) -> Path:
    """The file of a recipe: one of the project's by name, one of your own by its path.

    Raises UsageError, with the nearest name, where there is none.
    """
    if name.endswith(".py"):
        if not Path(name).is_file():
            raise UsageError(f"{name}: there is no such recipe file")
        return Path(name)
    names = recipe_names()
    if name in names:
        return FOLDER / f"{name.replace('-', '_')}.py"
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}, and files that end in .py"
    raise UsageError(f"no recipe is called {name!r}: {hint}")


def load_recipe(path: Path) -> Recipe:
    """Runs a recipe's file. Raises InputError, with the line, where it fails or sets no RECIPE."""
    try:
        found = runpy.run_path(str(path)).get("RECIPE")
    except OSError as error:
        raise InputError(str(path), f"cannot be read: {error.strerror}") from error
    except Exception as error:  # a person's own code may raise anything
        raise InputError(str(path), f"{_line(error, path)}{type(error).__name__}: {error}") from error
    if not isinstance(found, Recipe):
        raise InputError(str(path), "sets no RECIPE = Recipe(...)")
    _check(found, path)
    return found


def _line(error: Exception, path: Path) -> str:
    """Where in the file an error came up, as far as it can be told."""
    if isinstance(error, SyntaxError) and error.lineno:
        return f"line {error.lineno}: "
    trace, line = error.__traceback__, 0
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return f"line {line}: " if line else ""


def _check(recipe: Recipe, path: Path) -> None:
    split = recipe.split
    for what, wrong in (
        (f"batch={recipe.batch!r}: it must be a number of tiles, 1 or more", not _positive(recipe.batch)),
        (f"passes={recipe.passes!r}: it must be 1 or more", not _positive(recipe.passes)),
        ("network must be a function that returns layers", not callable(recipe.network)),
        ("optimizer must be a function of the number of steps", not callable(recipe.optimizer)),
        (f"validation={split.validation!r}: it must be more than 0 and less than 1", not 0 < split.validation < 1),
        (f"sample={split.sample!r}: it must be more than 0 and at most 1", not 0 < split.sample <= 1),
    ):  # fmt: skip
        if wrong:
            raise InputError(str(path), what)


def _positive(value: object) -> bool:
    return isinstance(value, int) and value >= 1
