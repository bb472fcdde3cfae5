"""Is a model what was published: its hash, the contract to the letter, and its answers to the tiles stored with it."""

from __future__ import annotations

import base64
import binascii
import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_digits.classifier import CONTRACT, Classifier
from edge_digits.errors import ModelError
from edge_digits.model_files import ModelFile, bundled_by_sha256, load_model_file
from edge_digits.onnx_file import STANDARD_DOMAINS, all_nodes, metadata, plain
from edge_digits.protobuf import Message

OPSET, IR = 17, 8
_RANDOM = {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli"}
METADATA = ("contract", "name", "version", "recipe", "precision", "trained_on", "accuracy", "reject_below", "tools")
"""What a published file says of itself, each under `edge_digits.`."""
TOLERANCES = {"fp32": 1e-4, "int8": 0.01}
"""How far a probability may be from the stored one. Processors sum in different orders: that moved fp32 by 5e-7 between
SSE, AVX2 and AVX-512. In int8 a value at a boundary is rounded the other way: 0.0035 at most on 4,200 rows. What moves
it further is arithmetic that overflows: on a processor without VNNI, 8-bit weights did so by 0.4 on one tile of ten."""


@dataclass(frozen=True)
class CheckTiles:
    """A handful of tiles, and what a model said of them when it was exported."""

    tiles: NDArray[np.uint8]
    """(k, 28, 28); k is 0 where none are stored."""
    expected: dict[str, NDArray[np.float32]]
    """Of each precision, (k, 10)."""

    @classmethod
    def from_dict(cls, name: str, stored: dict[str, Any]) -> CheckTiles:
        """From {"tiles": base64, "expected": {"fp32": [[…]], …}}; ModelError, naming `name`, where it is none."""
        try:
            tiles = np.frombuffer(base64.b64decode(stored["tiles"], validate=True), np.uint8).reshape(-1, 28, 28)
            expected = {key: np.array(rows, np.float32).reshape(-1, 10) for key, rows in stored["expected"].items()}
        except (KeyError, TypeError, ValueError, AttributeError, binascii.Error) as error:
            raise ModelError(f"{name}: its check tiles cannot be read ({error!r})") from error
        if any(len(rows) != len(tiles) for rows in expected.values()):
            raise ModelError(f"{name}: its check tiles and the answers to them do not fit")
        return cls(tiles, expected)


@dataclass(frozen=True)
class Verified:
    """A model that passed."""

    name: str
    bytes: int
    sha256: str
    published_as: str | None
    """The bundled file of the same hash; None where there is none."""
    tiles: int
    """How many check tiles were answered; 0 where none are stored."""
    difference: float
    """The largest in a probability."""
    tolerance: float

    def text(self) -> str:
        """One line for people."""
        known = "as in the manifest" if self.published_as else "of no bundled model"
        answers = "no check tiles are stored for it"
        if self.tiles:
            answers = f"{self.tiles} check tiles within {self.difference:.1g} (limit {self.tolerance:g})"
        return f"{self.name}  {self.bytes:,} bytes  SHA-256 {self.sha256[:12]}… {known}  contract {CONTRACT}  {answers}"


def verify(model: str | Path) -> Verified:
    """Checks the SHA-256 of a bundled model, the contract, and the answers to its stored check tiles.

    A path is checked alike; its tiles are those of the bundled file of the same hash, or of the NAME.proof.json that
    the export wrote beside it. Raises ModelError for the first thing that is not as it should be.
    """
    file = load_model_file(model)
    check_contract(file.name, file.message)
    classifier = Classifier(model)
    published = bundled_by_sha256(file.sha256)
    stored = (published[1].get("check") if published else None) or _beside(file, Path(model))
    precision = metadata(file.message)["edge_digits.precision"]
    tiles, difference = 0, 0.0
    if stored:
        check = CheckTiles.from_dict(file.name, stored)
        tiles, difference = len(check.tiles), check_answers(classifier, check, precision)
    return Verified(
        file.name, len(file.data), file.sha256, published[0] if published else None, tiles, difference,
        TOLERANCES[precision],
    )  # fmt: skip


def check_answers(classifier: Classifier, check: CheckTiles, precision: str) -> float:
    """The largest difference between stored and given probabilities; ModelError where it is past the tolerance."""
    expected = check.expected.get(precision)
    if expected is None:
        raise ModelError(f"{classifier.name}: no answers of {precision} are stored with its check tiles")
    if not len(check.tiles):
        return 0.0
    found = classifier.classify(check.tiles).probabilities
    differences = np.abs(found - expected).max(axis=1)
    worst = int(differences.argmax())
    limit = TOLERANCES[precision]
    if not differences[worst] <= limit:
        raise ModelError(
            f"{classifier.name}: answers otherwise than when it was published: on check tile {worst} it says "
            f"{found[worst].argmax()} with {found[worst].max():.4f}, not {expected[worst].argmax()} with "
            f"{expected[worst].max():.4f} (limit {limit:g}); this processor or this onnxruntime computes it wrongly"
        )
    return float(differences[worst])


def check_contract(name: str, model: Message) -> None:
    """Raises ModelError where a file keeps the contract less strictly than a published one must.

    What a session is needed for, shapes and answers, is for Classifier to check.
    """
    if model.integer("ir_version") != IR:
        raise _breach(name, f"its IR version is {model.integer('ir_version')}, not {IR}")
    for opset in model.messages("opset_import"):
        if opset.text("domain") not in STANDARD_DOMAINS:
            raise _breach(
                name, f"it imports the operator domain {opset.text('domain')!r}; only the standard one may be"
            )
        if opset.integer("version") != OPSET:
            raise _breach(name, f"its opset is {opset.integer('version')}, not {OPSET}")
    if len(model.messages("opset_import")) != 1:
        raise _breach(name, f"it imports {len(model.messages('opset_import'))} opsets, not one")
    if model.messages("functions"):
        raise _breach(name, f"it brings the function {model.messages('functions')[0].text('name')!r} along")
    for place, node in all_nodes(model):
        if node.text("op_type") in _RANDOM or (node.text("op_type") == "Dropout" and len(node.texts("input")) > 2):
            raise _breach(name, f"its operator {node.text('op_type')!r} answers by chance: {place}")
        if node.text("domain") not in STANDARD_DOMAINS:
            raise _breach(
                name, f"its operator {node.text('op_type')!r} is of the domain {node.text('domain')!r}: {place}"
            )
    _check_scaling(name, model)
    told = metadata(model)
    missing = [key for key in METADATA if f"edge_digits.{key}" not in told]
    if missing:
        raise _breach(name, f"its metadata do not say edge_digits.{missing[0]}")
    if told["edge_digits.contract"] != CONTRACT:
        raise _breach(name, f"its contract is version {told['edge_digits.contract']}, not {CONTRACT}")
    if told["edge_digits.precision"] not in TOLERANCES:
        raise _breach(name, f"its precision is {told['edge_digits.precision']!r}, neither {' nor '.join(TOLERANCES)}")


def _breach(name: str, reason: str) -> ModelError:
    return ModelError(f"{name}: is not of the contract for published models: {plain(reason)}")


def _check_scaling(name: str, model: Message) -> None:
    """Tiles must go through one DequantizeLinear by 1/255, from 0, alone: in graphs inside operators, too."""
    users = [node for _, node in all_nodes(model) if "tiles" in node.texts("input")]
    if [node.text("op_type") for node in users] != ["DequantizeLinear"]:
        found = ", ".join(node.text("op_type") for node in users) or "nothing"
        raise _breach(name, f"tiles goes into {found}, not into one DequantizeLinear")
    _, scale_name, zero_name = [*users[0].texts("input"), "", ""][:3]
    data = _constant(model, scale_name, "float_data")
    scale = struct.unpack("<f", data)[0] if len(data) == 4 else 0.0
    if not abs(scale * 255 - 1) <= 1e-6:
        raise _breach(name, f"its DequantizeLinear scales tiles by {scale:g}, not by 1/255")
    if zero_name and _constant(model, zero_name, "int32_data") != b"\0":
        raise _breach(name, "its DequantizeLinear has another zero point than 0")


def _constant(model: Message, name: str, typed: str) -> bytes:
    """The bytes of an initializer, raw or in its typed field; none where there is no such initializer."""
    initializers = [tensor for graph in model.messages("graph") for tensor in graph.messages("initializer")]
    tensors = [tensor for tensor in initializers if tensor.text("name") == name]
    return bytes(tensors[0].data("raw_data") or tensors[0].data(typed)) if tensors else b""


def _beside(file: ModelFile, path: Path) -> dict[str, Any] | None:
    """The check tiles in the proof that an export wrote beside its models; None where there is none for this file."""
    for precision in TOLERANCES:
        name = path.name.removesuffix(f"-{precision}.onnx")
        if name == path.name:
            continue
        try:
            proof = json.loads((path.parent / f"{name}.proof.json").read_text(encoding="utf-8"))
            if proof["files"][precision]["sha256"] == file.sha256:
                check: dict[str, Any] = proof["check"]
                return check
        except (OSError, ValueError, KeyError, TypeError):
            return None  # a proof of something else, or none
    return None
