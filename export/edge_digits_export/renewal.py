"""Bundled models made anew from their networks: what they are written as changes, what they answer does not."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from edge_digits.answers import Answers
from edge_digits.classifier import Classifier
from edge_digits.errors import GateError, InputError, UsageError
from edge_digits.model_check import TOLERANCES, CheckTiles, check_answers, check_contract
from edge_digits.model_files import load_model_file
from edge_digits.outputs import open_output
from edge_digits.tables import TableReader
from edge_digits_export.card import renew_card
from edge_digits_export.convert import hash_weights, load_network
from edge_digits_export.latency import measure_latency, slowdown
from edge_digits_export.proof import as_json, plain_numbers, tool_versions
from edge_digits_export.rebuild import rebuild_models


@dataclass(frozen=True)
class Renewed:
    """What became of a bundled model."""

    name: str
    sizes: dict[str, tuple[int, int]]
    """Bytes before and after, by precision; empty where the files are what is made of their network now."""
    answers: dict[str, Answers]
    """Of the files before and after, on the labelled rows."""
    preferred: tuple[str, str]
    """The precision that its name alone stood for, and stands for."""

    def text(self) -> str:
        """For people."""
        if not self.sizes:
            return f"{self.name}: its files are what its network makes now"
        lines = []
        for precision, (before, after) in self.sizes.items():
            lines.append(f"{self.name}-{precision}: {before:,} bytes, now {after:,}")
            lines += self.answers[precision].text("rows")
        then, now = self.preferred
        if then != now:
            lines.append(
                f"{self.name} alone means {self.name}-{now} now, which is the faster one; what its card says it is bad "
                f"at was counted of {then}"
            )
        return "\n".join(lines)


def renew(folder: Path, data: str, names: list[str], note: Callable[[str], None]) -> list[Renewed]:
    """Makes the models of `folder`, all or those of `names`, anew from the networks beside it, and writes them.

    For when the export writes a network in another way than it did. A model keeps its figures, so each of its files
    must give the digits of the one before on all labelled rows of `data`, and answer its check tiles within what
    `verify` grants. `note` is told what is being done.

    Raises InputError where a network or what rebuilds it is missing or another, ModelError where a file is not of the
    contract or answers the check tiles otherwise, GateError where a row gets another digit. Nothing of a model is
    written then; those before it in the manifest are.
    """
    manifest = _read(folder / "manifest.json")
    models = manifest.get("models")
    if not isinstance(models, dict):
        raise InputError(str(folder / "manifest.json"), "is no manifest: it names no models")
    for name in names:
        if name not in models:
            raise UsageError(f"{folder}: it has no model {name!r}; it has {', '.join(models)}")
    with closing(TableReader(data).labelled_tiles()) as rows:  # before the minutes that the rest may take
        next(rows)
    return [_renew(folder, manifest, name, data, note) for name in models if not names or name in names]


def _renew(folder: Path, manifest: dict[str, Any], name: str, data: str, note: Callable[[str], None]) -> Renewed:
    note(f"making {name} anew")
    entry, networks = manifest["models"][name], folder.parent / "networks"
    network, kept = networks / f"{name}.keras", networks / f"{name}.json"
    facts = _read(kept)
    before = {precision: folder / file["file"] for precision, file in entry["files"].items()}
    for path in (network, *before.values()):
        if not path.is_file():
            raise InputError(str(path), "there is no such file: publish a new export")
    if hash_weights(load_network(network)) != entry["source"]["network_sha256"]:
        raise InputError(str(network), f"is not the network that the manifest's {name} was made of")
    made = rebuild_models(network, facts)
    if all(_is(before[precision], data, entry["files"][precision]) for precision, data in made.items()):
        return Renewed(name, {}, {}, (entry["prefers"],) * 2)
    tools = tool_versions()
    for says in facts["metadata"].values():
        says["tools"] = ", ".join(f"{tool} {number}" for tool, number in tools.items())
    made = rebuild_models(network, facts)
    renewed = Renewed(
        name,
        {precision: (before[precision].stat().st_size, len(model)) for precision, model in made.items()},
        *_examine(made, before, entry, data, note),
    )
    for precision, model in made.items():
        entry["files"][precision] |= {"bytes": len(model), "sha256": sha256(model).hexdigest()}
    facts |= {"sha256": {p: file["sha256"] for p, file in entry["files"].items()}, "tools": tools}
    entry["tools"] = tools
    card = folder / f"{name}.md"
    texts = {
        kept: as_json(facts),
        card: renew_card(name, entry, card.read_text(encoding="utf-8")),
        folder / "manifest.json": as_json(manifest),
    }
    for precision, model in made.items():
        with open_output(str(before[precision]), force=True, binary=True) as binary:
            binary.write(model)
    for path, text in texts.items():
        with open_output(str(path), force=True) as out:
            out.write(text)
    return renewed


def _is(path: Path, model: bytes, file: dict[str, Any]) -> bool:
    """Whether a file, and what the manifest says of it, are those of a model."""
    return path.read_bytes() == model and file["sha256"] == sha256(model).hexdigest()


def _examine(
    made: dict[str, bytes], before: dict[str, Path], entry: dict[str, Any], data: str, note: Callable[[str], None]
) -> tuple[dict[str, Answers], tuple[str, str]]:
    """The answers of the files before and those that were made, and the precision that is preferred then and now.

    Writes times, preference and answers to the check tiles into `entry`. Raises ModelError and GateError.
    """
    check = CheckTiles.from_dict("manifest.json", entry["check"])
    answers, classifiers = {}, {}
    with TemporaryDirectory(prefix="edge-digits-") as folder:
        for precision, model in made.items():
            path = Path(folder) / before[precision].name
            path.write_bytes(model)
            check_contract(str(path), load_model_file(path).message)
            classifiers[precision] = Classifier(path)
    for precision, classifier in classifiers.items():
        note(f"comparing {before[precision].name} with what it was")
        check_answers(classifier, check, precision)
        answers[precision] = _compare(Classifier(before[precision]), classifier, precision, data)
    times = measure_latency(classifiers, check.tiles[0])
    entry["latency"] |= {f"{precision}_us": time for precision, time in times.items()}
    entry["latency"]["ratio_fp32_to_int8"] = round(times["fp32"] / times["int8"], 2)
    entry["check"]["expected"] = {
        precision: [plain_numbers(row) for row in classifier.classify(check.tiles).probabilities]
        for precision, classifier in classifiers.items()
    }
    preferred = entry["prefers"]
    entry["prefers"] = "fp32" if slowdown(times["fp32"], times["int8"]) else "int8"
    return answers, (preferred, entry["prefers"])


def _compare(before: Classifier, after: Classifier, precision: str, data: str) -> Answers:
    """Raises GateError where a row gets another digit, or a digit score that is further off than a probability may."""
    answers, furthest = Answers(), 0.0
    for tiles, labels in TableReader(data).labelled_tiles():
        first, second = before.classify(tiles), after.classify(tiles)
        answers.add(first.probabilities, second.probabilities, labels)
        if first.digit_scores is not None and second.digit_scores is not None:
            furthest = max(furthest, float(np.abs(first.digit_scores - second.digit_scores).max()))
    if answers.other_digits or not furthest <= TOLERANCES[precision]:
        what = f"another digit on {answers.other_digits:,} of {answers.rows:,} rows"
        if not answers.other_digits:
            what = f"a digit score that is {furthest:.2g} off (limit {TOLERANCES[precision]:g})"
        raise GateError(f"{after.name}: made anew it gives {what}, so its figures are others: publish a new export")
    return answers


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(str(path), f"cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise InputError(str(path), f"is no JSON ({error})") from error
    if not isinstance(found, dict):
        raise InputError(str(path), "is no JSON object")
    return found
