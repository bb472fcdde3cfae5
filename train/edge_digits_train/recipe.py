"""What a recipe is: a named network with its way of training, each number with its unit or reason.

Each recipe is a file that sets RECIPE: those of the project are in the folder recipes/, and one of your own is named by
its path.
"""

from __future__ import annotations

import difflib
import json
import re
import runpy
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import UnionType
from typing import Any, Literal

import keras
import numpy as np

from edge_digits.errors import EdgeDigitsError, InputError, UsageError
from edge_digits_train.augment import Augmentation, augment
from edge_digits_train.data import Split
from edge_digits_train.networks import build_network
from edge_digits_train.picture_tiles import Pictures
from edge_digits_train.teaching import Teaching

FOLDER = Path(__file__).parent / "recipes"
MOST_PICTURES = 10
"""For each row: what is more was meant otherwise."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""Of a network in Keras, and of files."""


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
    pictures: Pictures | None = None
    """What it learns from beside the rows."""
    teaching: Teaching | None = None
    start: str = ""
    """The recipe whose network this one's begins as, one of the project's or a path: it is trained first, unless the
    caller has one. Empty: it begins by chance."""
    keep: Literal["best", "last"] = "best"
    """Which pass is kept: the best on the validation rows, whose figure is then a little kind, or the last."""
    post: str = ""
    """The figure of the blog post that the recipe comes from."""
    notes: Sequence[str] = ()
    """What the post left out, and what was chosen."""

    def build(self, deskew: bool = False) -> keras.Model:
        """A new network; with `deskew` it sets slanted digits upright first."""
        return build_network(self.name, self.network(), deskew, scored=self.pictures is not None)

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
    """Runs a recipe's file, and each of its functions once.

    Raises InputError, with the line, where it fails, sets no RECIPE, or one that cannot be trained.
    """
    try:
        path.read_bytes()
    except OSError as error:
        raise InputError(str(path), f"cannot be read: {error.strerror}") from error
    try:
        found = runpy.run_path(str(path)).get("RECIPE")
        if not isinstance(found, Recipe):
            raise UsageError("sets no RECIPE = Recipe(...)")
        _check(found)
    except EdgeDigitsError as error:
        raise InputError(str(path), str(error)) from error
    except (Exception, SystemExit) as error:  # a person's own code may raise anything
        raise InputError(str(path), f"{_line(error, path)}{type(error).__name__}: {error}") from error
    return found


def _line(error: BaseException, path: Path) -> str:
    """Where in the file an error came up, as far as it can be told."""
    if isinstance(error, SyntaxError) and error.lineno:
        return f"line {error.lineno}: "
    trace, line = error.__traceback__, 0
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return f"line {line}: " if line else ""


_KINDS: dict[str, tuple[type | UnionType, str]] = {
    "name": (str, "a text"),
    "summary": (str, "a text"),
    "augmentation": (Augmentation, "an Augmentation(...)"),
    "split": (Split, "a Split(...)"),
    "plateau": (Plateau | None, "a Plateau(...)"),
    "early_stopping": (EarlyStopping | None, "an EarlyStopping(...)"),
    "pictures": (Pictures | None, "a Pictures(...)"),
    "teaching": (Teaching | None, "a Teaching(...)"),
    "start": (str, "a text"),
}


def _check(recipe: Recipe) -> None:
    """Raises UsageError for what makes no sense, and whatever the recipe's own functions raise."""
    for part, (kind, words) in _KINDS.items():
        if not isinstance(getattr(recipe, part), kind):
            raise UsageError(f"{part}={getattr(recipe, part)!r}: it must be {words}")
    split, fill = recipe.split, recipe.augmentation.fill
    for what, wrong in (
        (f"name={recipe.name!r}: it must be letters, digits, '-', '_' and '.'", not _NAME.fullmatch(recipe.name)),
        (f"batch={recipe.batch!r}: it must be a number of tiles, 1 or more", not _positive(recipe.batch)),
        (f"passes={recipe.passes!r}: it must be 1 or more", not _positive(recipe.passes)),
        ("network must be a function that returns layers", not callable(recipe.network)),
        ("optimizer must be a function of the number of steps", not callable(recipe.optimizer)),
        (f"validation={split.validation!r}: it must be more than 0 and less than 1", not 0 < split.validation < 1),
        (f"sample={split.sample!r}: it must be more than 0 and at most 1", not 0 < split.sample <= 1),
        (f"seed={split.seed!r}: it must be 0 or more", not _is_seed(split.seed)),
        (f"sample_seed={split.sample_seed!r}: it must be 0 or more", not _is_seed(split.sample_seed)),
        (f"how={split.how!r}: it must be 'stratified' or 'last'", split.how not in ("stratified", "last")),
        (f"keep={recipe.keep!r}: it must be 'best' or 'last'", recipe.keep not in ("best", "last")),
        (f"fill={fill!r}: it must be 'black' or 'nearest'", fill not in ("black", "nearest")),
    ):  # fmt: skip
        if wrong:
            raise UsageError(what)
    if recipe.start:
        find_recipe(recipe.start)
    if recipe.teaching:
        _check_teaching(recipe.teaching)
    if recipe.pictures:
        _check_pictures(recipe.pictures)
    _check_network(recipe)
    _check_optimizer(recipe)
    json.dumps(recipe.describe())  # for run.json
    tile = np.zeros((1, 28, 28), np.uint8)
    augment(tile, np.ones(1, np.uint8), recipe.augmentation, np.random.default_rng(0))
    if recipe.early_stopping:
        recipe.early_stopping.ends([1.0], recipe.passes)


def _check_teaching(teaching: Teaching) -> None:
    find_recipe(teaching.recipe)
    for what, right in (
        (f"networks={teaching.networks!r}: it must be 1 or more", _positive(teaching.networks)),
        (f"variations={teaching.variations!r}: it must be 1 or more", _positive(teaching.variations)),
        (f"temperature={teaching.temperature!r}: it must be more than 0", teaching.temperature > 0),
        (f"share={teaching.share!r}: it must be 0 to 1", 0 <= teaching.share <= 1),
    ):
        if not right:
            raise UsageError(f"teaching: {what}")


def _check_pictures(pictures: Pictures) -> None:
    if not 0 < pictures.drawn <= MOST_PICTURES:
        raise UsageError(f"pictures: drawn={pictures.drawn!r}: it must be more than 0, and {MOST_PICTURES} at most")
    for name in ("digits", "others"):
        if not 0 <= getattr(pictures, name) <= MOST_PICTURES:
            raise UsageError(f"pictures: {name}={getattr(pictures, name)!r}: it must be 0 to {MOST_PICTURES}")
    if not 0 <= pictures.spoiled <= 1:
        raise UsageError(f"pictures: spoiled={pictures.spoiled!r}: it must be 0 to 1")


def _check_network(recipe: Recipe) -> None:
    body = recipe.network()
    if not isinstance(body, list | tuple):
        raise UsageError(f"network() must return a list of layers, not {type(body).__name__}")
    for i, layer in enumerate(body, start=1):
        if not isinstance(layer, keras.Layer):
            raise UsageError(f"network() must return layers: number {i} is {layer!r}")
    if set(map(id, body)) & set(map(id, recipe.network())):
        raise UsageError("network() must make new layers each time it is called")
    recipe.build()


def _check_optimizer(recipe: Recipe) -> None:
    optimizer = recipe.optimizer(100)
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        raise UsageError(f"optimizer(steps) must return a Keras optimizer, not {optimizer!r}")
    if recipe.plateau:
        if isinstance(optimizer.get_config()["learning_rate"], dict):
            raise UsageError("plateau does not go with a learning rate that has a schedule of its own")
        recipe.plateau.learning_rate(float(optimizer.learning_rate), [1.0, 1.0], recipe.passes)


def _positive(value: object) -> bool:
    return isinstance(value, int) and value >= 1


def _is_seed(value: object) -> bool:
    return isinstance(value, int) and 0 <= value < 2**32
