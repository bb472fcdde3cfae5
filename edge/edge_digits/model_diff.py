"""Two models side by side: what differs in operators, weights, figures and answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_digits.answers import Answers
from edge_digits.classifier import Classifier
from edge_digits.model_check import CheckTiles
from edge_digits.model_files import ModelFile, bundled_by_sha256, load_manifest, load_model_file
from edge_digits.onnx_file import metadata, nodes, plain
from edge_digits.parallel import map_ahead
from edge_digits.protobuf import Message
from edge_digits.tables import Labels, Probabilities, TableReader, Tiles
from edge_digits.weights import Weights, node_names, read_scales, read_weights

_LISTED = 12
"""Lines of a list, the largest first; the others are counted."""


@dataclass(frozen=True)
class TensorChange:
    """What became of one tensor."""

    name: str
    """`conv1 weight`."""
    values: int
    changed: int
    """How many values differ."""
    largest: float
    """The largest change of a value."""
    scale: float
    """The largest value of either, by its size: what `largest` is to be seen against."""


@dataclass(frozen=True)
class ModelDiff:
    """All that differs between a first and a second model."""

    names: tuple[str, str]
    facts: dict[str, tuple[str, str]]
    """What they say of themselves, where it differs: bytes, accuracy, recipe, …"""
    operators: dict[str, tuple[int, int]]
    """Of each kind how many there are, where it differs."""
    settings: list[str]
    """The operators of one name and kind whose attributes differ."""
    weights: list[TensorChange]
    """Those of both that differ."""
    tensors: int
    """How many tensors of weights stand in both, with one shape."""
    only: tuple[list[str], list[str]]
    """Tensors that just one of them has, or has in another shape."""
    scales: list[TensorChange]
    """Of the scales and zero points between operators, those of both that differ."""
    check: Answers | None
    """On the check tiles of a bundled model; None where none are stored."""
    data: Answers | None
    """On labelled rows; None where none were given."""

    def text(self) -> str:
        """For people."""
        return "\n".join(_text(self))


def diff(first: str | Path, second: str | Path, data: str | None = None) -> ModelDiff:
    """Compares two models, each a bundled one's name or a path, on check tiles and on the labelled rows of `data`.

    Raises ModelError for a model, TableError for a table that cannot be read.
    """
    files = (load_model_file(first), load_model_file(second))
    classifiers = (Classifier(first), Classifier(second))  # what does not run is not looked into
    one, two = (file.message for file in files)
    weights = [read_weights(file.name, model) for file, model in zip(files, (one, two), strict=True)]
    scales = [read_scales(file.name, model) for file, model in zip(files, (one, two), strict=True)]
    both, only = _shared(*weights)
    counts = [Counter(plain(node.text("op_type")) for node in nodes(model)) for model in (one, two)]
    return ModelDiff(
        names=(files[0].name, files[1].name),
        facts=_changed_facts(_facts(files[0], one), _facts(files[1], two)),
        operators={kind: (counts[0][kind], counts[1][kind]) for kind in sorted(counts[0] | counts[1])
                   if counts[0][kind] != counts[1][kind]},
        settings=_changed_settings(one, two),
        weights=_changes(weights, both),
        tensors=len(both),
        only=only,
        scales=_changes(scales, _shared(*scales)[0]),
        check=_compare_check_tiles(files, classifiers),
        data=None if data is None else _compare_rows(data, classifiers),
    )  # fmt: skip


def _shared(first: Weights, second: Weights) -> tuple[list[str], tuple[list[str], list[str]]]:
    both = [name for name in first if name in second and first[name].shape == second[name].shape]
    left, right = ([name for name in weights if name not in both] for weights in (first, second))
    return both, (left, right)


def _changes(weights: list[Weights], both: list[str]) -> list[TensorChange]:
    found = []
    for name in both:
        first, second = weights[0][name], weights[1][name]
        if not np.array_equal(first, second, equal_nan=True):
            largest = float(np.abs(first - second).max())
            scale = float(max(np.abs(first).max(), np.abs(second).max()))
            found.append(TensorChange(name, first.size, int((first != second).sum()), largest, scale))
    return sorted(found, key=lambda change: -change.largest)


def _facts(file: ModelFile, model: Message) -> dict[str, str]:
    facts = {"bytes": f"{len(file.data):,}", "SHA-256": f"{file.sha256[:12]}…", "operators": str(len(nodes(model)))}
    facts |= {plain(f"opset {opset.text('domain')}".strip()): str(opset.integer("version"))
              for opset in model.messages("opset_import")}  # fmt: skip
    facts |= {plain(key.removeprefix("edge_digits.")): plain(value) for key, value in metadata(model).items()}
    published = bundled_by_sha256(file.sha256)
    if published is not None:
        entry = published[1]
        figure = entry["files"][published[0].rpartition("-")[2]]["accuracy"]
        low, high = figure["interval"]
        microseconds = entry.get("latency", {}).get(f"{published[0].rpartition('-')[2]}_us")
        facts |= {} if microseconds is None else {"µs a tile where it was exported": f"{microseconds:.0f}"}
        facts["accuracy in the manifest"] = (
            f"{100 * figure['accuracy']:.2f} % ({100 * low:.2f} to {100 * high:.2f}, n = {figure['n']:,})"
        )
    return facts


def _changed_facts(first: dict[str, str], second: dict[str, str]) -> dict[str, tuple[str, str]]:
    keys = [*first, *(key for key in second if key not in first)]
    pairs = {key: (first.get(key, "–"), second.get(key, "–")) for key in keys}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}


def _changed_settings(first: Message, second: Message) -> list[str]:
    others = dict(zip(node_names(second), nodes(second), strict=True))
    changed = []
    for name, node in zip(node_names(first), nodes(first), strict=True):
        other = others.get(name)
        if other is not None and other.text("op_type") == node.text("op_type"):
            given = [{a.text("name"): a for a in n.messages("attribute")} for n in (node, other)]
            differ = [plain(key) for key in sorted(given[0] | given[1]) if given[0].get(key) != given[1].get(key)]
            changed += [f"{name} ({', '.join(differ)})"] if differ else []
    return changed


def _compare_check_tiles(files: Iterable[ModelFile], classifiers: tuple[Classifier, Classifier]) -> Answers | None:
    """On the tiles of the first that has some, or of the default model."""
    manifest = load_manifest()
    published = [found[1] for file in files if (found := bundled_by_sha256(file.sha256))]
    for entry in [*published, manifest["models"][manifest["default"]]]:
        if "check" in entry:
            tiles = CheckTiles.from_dict("manifest.json", entry["check"]).tiles
            if not len(tiles):
                continue
            first, second = (classifier.classify(tiles).probabilities for classifier in classifiers)
            answers = Answers()
            answers.add(first, second)
            return answers
    return None


def _compare_rows(data: str, classifiers: tuple[Classifier, Classifier]) -> Answers:
    answers = Answers()

    def ask(rows: tuple[Tiles, Labels]) -> tuple[Probabilities, Probabilities, Labels]:
        first, second = (classifier.classify(rows[0]).probabilities for classifier in classifiers)
        return first, second, rows[1]

    with closing(map_ahead(ask, TableReader(data).labelled_tiles())) as chunks:
        for first, second, labels in chunks:
            answers.add(first, second, labels)
    return answers


def _text(diff: ModelDiff) -> Iterator[str]:
    yield f"{diff.names[0]}  →  {diff.names[1]}"
    width = max((len(key) for key in diff.facts), default=0) + 2
    for key, (first, second) in diff.facts.items():
        yield f"  {key:<{width}}{first}  →  {second}"
    kinds = ", ".join(f"{kind} {first} → {second}" for kind, (first, second) in diff.operators.items())
    yield f"operators: {kinds or 'the same kinds, as many of each'}"
    if diff.settings:
        yield f"  with other attributes: {', '.join(diff.settings)}"
    yield from _weights_text(diff)
    if diff.check is not None:
        yield from diff.check.text("check tiles")
    if diff.data is not None:
        yield from diff.data.text("labelled rows")
    if diff.check is None and diff.data is None:
        yield "answers: no check tiles are stored; name labelled rows with --data"


def _weights_text(diff: ModelDiff) -> Iterator[str]:
    if diff.weights:
        values = sum(change.changed for change in diff.weights)
        yield f"weights: {values:,} values differ, in {len(diff.weights)} of {diff.tensors} tensors"
        for change in diff.weights[:_LISTED]:
            yield (
                f"  {change.name}: {change.changed:,} of {change.values:,}, by {change.largest:.2g} at most "
                f"(the largest value is {change.scale:.2g})"
            )
        if len(diff.weights) > _LISTED:
            yield f"  and {len(diff.weights) - _LISTED} more"
    else:
        yield f"weights: the same in all of {diff.tensors} tensors" if diff.tensors else "weights: none in common"
    for name, tensors in zip(diff.names, diff.only, strict=True):
        if tensors:
            yield f"  in {name} alone, or in another shape: {', '.join(tensors[:_LISTED])}" + (
                f" and {len(tensors) - _LISTED} more" if len(tensors) > _LISTED else ""
            )
    if diff.scales:
        yield f"scales between operators: {len(diff.scales)} differ, by {diff.scales[0].largest:.2g} at most"
