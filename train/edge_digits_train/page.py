"""report.html: a training on one page, its pictures inside, nothing fetched and nothing run."""

from __future__ import annotations

import json
import math
import shlex
from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from html import escape
from pathlib import Path
from typing import Any

from edge_digits.metrics import Evaluation
from edge_digits_train.augment import Augmentation
from edge_digits_train.facts import RunFacts
from edge_digits_train.plots import percent

_FOLDED = 20
"""Passes from which on the table of them is folded."""

_STYLE = Path(__file__).with_name("page.css")

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""Browsers then fetch nothing and run nothing, whatever a name in the run may hold."""

_COLUMNS = (
    "pass", "training loss", "training accuracy", "held-out loss", "held-out accuracy", "learning rate", "seconds",
)  # fmt: skip


_VARIATIONS: dict[str, Callable[[Augmentation], str]] = {
    "rotation": lambda a: f"turned by up to {a.rotation:g} degrees",
    "shear": lambda a: f"slanted by up to {math.degrees(a.shear):.2g} degrees",
    "zoom": lambda a: f"larger or smaller by up to {100 * a.zoom:g} %",
    "shift": lambda a: f"shifted by up to {100 * a.shift:g} % of the side",
    "elastic": lambda a: f"{100 * a.elastic_share:g} % of them bent, by {a.elastic:g} pixels (root mean square)",
    "stroke": lambda a: f"{100 * a.stroke:g} % with thicker or thinner strokes",
    "flags": lambda a: f"{100 * a.flags:g} % of the 1s with a flag or a base",
}
"""What each part of an augmentation does, in words."""


@dataclass(frozen=True)
class Picture:
    """One picture of the page."""

    name: str
    """Of its file, without the .png."""
    heading: str
    caption: str
    """How to read it; where there is no picture, why."""
    png: bytes | None


def render_page(facts: RunFacts, pictures: Sequence[Picture]) -> str:
    """The page, the same for the same run. All that comes from the run is escaped."""
    title = f"{facts.recipe}: a training run"
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        f"<title>{escape(title)}</title>",
        f"<style>\n{_STYLE.read_text(encoding='utf-8')}</style></head><body>",
        f"<header><h1>{escape(facts.recipe)}</h1>",
        f'<p class="quiet">edge-digits, training run {escape(facts.name)}</p></header>',
        *_result(facts),
        *(_figure(picture) for picture in pictures),
        _section("What was trained", _facts(facts)),
        _section("Pass by pass", _history(facts)),
        _section("How to go on", _commands(facts)),
        "</body></html>\n",
    ]
    return "\n".join(parts)


def _result(facts: RunFacts) -> Iterable[str]:
    rows = facts.settings["data"]
    if facts.validation is not None:
        sentence = _share(facts.validation, "held-out digits were read right")
    else:
        sentence = f"Trained on all {rows['training_rows']:,} rows: nothing was held out to measure it on."
    yield f'<p class="result">{sentence}</p>'
    for note in _notes(facts):
        yield f"<p>{note}</p>"
    boxes = [
        (f"{facts.parameters:,}", "parameters"),
        (f"{facts.multiply_adds:,}", "multiply-adds for a digit"),
        (f"{rows['training_rows']:,}", "training rows"),
        (f"{len(facts.history):,}", "passes over them" if len(facts.history) > 1 else "pass over them"),
        (duration(facts.seconds), "of training"),
    ]
    yield '<ul class="boxes">' + "".join(f"<li><b>{value}</b> {name}</li>" for value, name in boxes) + "</ul>"


def _share(found: Evaluation, what: str) -> str:
    low, high = found.interval
    return (
        f"<strong>{percent(found.accuracy)}</strong> of {found.n:,} {what} "
        f"(95&nbsp;% interval {100 * low:.2f} to {100 * high:.2f}&nbsp;%)."
    )


def _notes(facts: RunFacts) -> Iterable[str]:
    """What belongs to the result for it to be taken as it is meant."""
    seen = facts.settings["overlap"]
    if facts.validation is not None and len(facts.history) > 1:
        yield (
            f"Pass {facts.best_pass} of {len(facts.history)} was kept because it did best on these same rows, "
            "so the figure is a little kind."
        )
    if facts.validation is not None and seen["validation"]:
        yield f"{seen['validation']:,} of the held-out images stand among the training rows, too: the figure flatters."
    if facts.test is not None:
        yield f"{_share(facts.test, 'test digits were read right')} They had no part in any choice."
        if seen["test"]:
            yield f"{seen['test']:,} of the test images stand among the training rows, too: that figure flatters."
    if refit := facts.refit:
        figure = "" if refit.test is None else f" {_share(refit.test, 'test digits were then read right')}"
        yield (
            f"It was then trained anew on all {refit.settings['data']['training_rows']:,} rows, for "
            f'{len(refit.history)} passes.{figure} <a href="refit/report.html">The page of that training</a>'
        )
    if post := facts.settings["settings"].get("post"):
        yield f"The post that the recipe comes from reports: {escape(str(post))}."
    for note in facts.settings["settings"].get("notes") or ():
        yield f'<span class="quiet">{escape(str(note))}</span>'


def _section(heading: str, body: str) -> str:
    return f"<section><h2>{escape(heading)}</h2>\n{body}</section>"


def _figure(picture: Picture) -> str:
    caption = escape(picture.caption)
    if picture.png is None:
        return _section(picture.heading, f"<p>{caption}</p>")
    data = b64encode(picture.png).decode()
    image = f'<img alt="{escape(picture.heading)}" src="data:image/png;base64,{data}">'
    return _section(picture.heading, f"<figure><figcaption>{caption}</figcaption>{image}</figure>")


def _facts(facts: RunFacts) -> str:
    asked, data, recipe = facts.settings, facts.settings["data"], facts.settings["settings"]
    test = f"; {data['test_rows']:,} test rows" if data["test_rows"] else ""
    rows = {
        "Recipe": f"{facts.recipe}: {recipe.get('summary', '')}",
        "Data": f"{data['name']}, {data['rows']:,} rows{test}",
        "SHA-256 of its pixels and labels": data["sha256"],
        "Split": _split(asked["split"], data),
        "Seed": str(facts.seed),
        "Batch": f"{recipe.get('batch', '–')} rows in a step",
        "Variation of the rows": _variation(recipe.get("augmentation") or {}),
        "Slant": "set upright by the network's first layer" if asked.get("deskew") else "left as it is",
        "Made with": ", ".join(f"{name} {value}" for name, value in asked["versions"].items()),
    }
    if began := asked.get("start") or recipe.get("start"):
        rows["Began with"] = f"the network {Path(began).name}" if asked.get("start") else f"that of recipe {began}"
    if taught := recipe.get("teaching"):
        rows["Teachers"] = _teaching(taught, asked.get("teacher"))
    if asked["refit"]:
        rows["Refit"] = f"for {asked['refit']['passes']} passes, which a training with held-out rows found best"
    items = "\n".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in rows.items())
    settings = escape(json.dumps(recipe, indent=2, ensure_ascii=False))
    return f"<dl>\n{items}\n</dl>\n<details><summary>The recipe in numbers</summary><pre>{settings}</pre></details>"


def _variation(augmentation: dict[str, Any]) -> str:
    """In words; of an earlier version, as far as its parts are known."""
    found = Augmentation(**{field.name: augmentation.get(field.name, field.default) for field in fields(Augmentation)})
    words = [say(found) for name, say in _VARIATIONS.items() if getattr(found, name)]
    if words and found.fill == "nearest":
        words.append("the edges drawn out")
    return ", ".join(words) or "none"


def _teaching(taught: dict[str, Any], given: str | None) -> str:
    of_recipe = f"{taught['networks']} networks of recipe {Path(taught['recipe']).stem}"
    teachers = f"the network {Path(given).name}" if given else of_recipe
    share = f"{100 * taught['share']:g} % of the loss comes from their answers"
    variations = f"{taught['variations']} variations of each row"
    return f"{teachers}, temperature {taught['temperature']:g}; {share} on {variations}"


def _split(split: dict[str, Any], data: dict[str, Any]) -> str:
    sample = ""
    if split["sample"] < 1:
        sample = f"; of all rows {100 * split['sample']:.3g} % are used, drawn with seed {split['sample_seed']}"
    if not data["validation_rows"]:
        return f"none: all {data['training_rows']:,} rows are trained on{sample}"
    drawn = f"each digit in its proportion, seed {split['seed']}"
    if split.get("fold") is not None:
        drawn += f", part {split['fold'] + 1} of {round(1 / split['validation'])}"
    how = "the last of the file" if split["how"] == "last" else drawn
    return f"{data['training_rows']:,} rows to train on, {data['validation_rows']:,} held out ({how}){sample}"


def _history(facts: RunFacts) -> str:
    lines = ["<tr>" + "".join(f"<th>{name}</th>" for name in _COLUMNS) + "</tr>"]
    for r in facts.history:
        cells = (
            str(r.number), f"{r.loss:.4f}", percent(r.accuracy), _number(r.validation_loss),
            percent(r.validation_accuracy), f"{r.learning_rate:.3g}", f"{r.seconds:.1f}",
        )  # fmt: skip
        best = ' class="best"' if r.number == facts.best_pass else ""
        lines.append(f"<tr{best}>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    kept = "<p>The pass that was kept is set off. Accuracy in training is of the rows as varied, while it learns.</p>"
    table = kept + '\n<div class="wide"><table>\n' + "\n".join(lines) + "\n</table></div>"
    if len(facts.history) <= _FOLDED:
        return table
    return f"<details><summary>{len(facts.history)} passes (also in history.csv)</summary>\n{table}</details>"


def _commands(facts: RunFacts) -> str:
    run, model = shlex.quote(facts.name), shlex.quote(f"exported/{facts.recipe}-int8.onnx")
    ways = []
    refit, asked = facts.refit, facts.settings
    if not facts.ended or (asked.get("refit_follows") and refit is None):
        ways.append(("Train on, if it was interrupted:", f"edge-digits train --resume {run}"))
    best = run if refit is None else shlex.quote(refit.name)
    ways.append(("Turn it into small files that run anywhere:", f"edge-digits export {best} -o exported"))
    ways.append(("Then read a picture with it:", f"edge-digits classify img.png --model {model}"))
    if not asked["refit"] and not asked.get("refit_follows") and refit is None:
        ways.append(("Train the same on all rows, as long as was best:", f"edge-digits train --resume {run} --refit"))
    ways.append(("Set it beside another run:", f"edge-digits compare {run} ANOTHER-RUN"))
    top = facts.name.partition("/")[0]
    lines = "\n".join(f"<p>{what}</p><pre>{escape(command)}</pre>" for what, command in ways)
    return f'<p class="quiet">In the folder that {escape(top)} lies in:</p>\n{lines}'


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.4f}"


def duration(seconds: float) -> str:
    """`47 s`, `28 min`, `2.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
