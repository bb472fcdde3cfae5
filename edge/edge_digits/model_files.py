"""A model's name or path → its checked bytes and what is said of it."""

from __future__ import annotations

import difflib
import hashlib
import json
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from edge_digits.errors import ModelError

MAX_BYTES = 64 * 1024 * 1024
"""A digit model is a hundred kilobytes; what is larger than this is something else."""


@dataclass(frozen=True)
class ModelFile:
    """A .onnx file, read and checked, but not yet loaded."""

    name: str
    """`digits-int8`, or the path as given."""
    data: bytes
    sha256: str


def load_manifest() -> dict[str, Any]:
    """The list of bundled models: {"default": NAME, "models": {NAME: {"prefers": PRECISION, "files": {…}, …}}}."""
    try:
        text = resources.files("edge_digits_models").joinpath("manifest.json").read_text(encoding="utf-8")
        manifest: dict[str, Any] = json.loads(text)
        for entry in [*manifest["models"].values(), manifest["models"][manifest["default"]]]:
            entry["files"][entry["prefers"]]["sha256"]
    except (ImportError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"the list of bundled models cannot be read ({error!r}): install edge-digits anew") from error
    return manifest


def load_model_file(model: str | Path) -> ModelFile:
    """The file of a bundled model (`digits`, `digits-fp32`, …) or of a path (`./my.onnx`).

    Raises ModelError where there is none, it is damaged, too large, or keeps weights outside itself.
    """
    text = str(model)
    if text.endswith(".onnx") or "/" in text or isinstance(model, Path):
        found = ModelFile(text, data := _read(Path(text)), hashlib.sha256(data).hexdigest())
    else:
        found = _load_bundled(text)
    _refuse_external_data(found)
    return found


def _load_bundled(name: str) -> ModelFile:
    models = load_manifest()["models"]
    names = {f"{model}-{precision}": (model, precision) for model in models for precision in models[model]["files"]}
    names |= {model: (model, models[model]["prefers"]) for model in models}
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(names))}"
        raise ModelError(f"no bundled model is called {name!r}: {hint} (a file's name ends in .onnx)")
    model, precision = names[name]
    entry = models[model]["files"][precision]
    try:
        data = resources.files("edge_digits_models").joinpath(entry["file"]).read_bytes()
    except OSError as error:
        raise ModelError(f"{entry['file']}: the bundled model is missing: install edge-digits anew") from error
    sha256 = hashlib.sha256(data).hexdigest()
    if sha256 != entry["sha256"]:
        raise ModelError(
            f"{entry['file']}: the bundled model is damaged: its SHA-256 is {sha256[:12]}…, "
            f"the manifest's {entry['sha256'][:12]}…: install edge-digits anew"
        )
    return ModelFile(f"{model}-{precision}", data, sha256)


def _read(path: Path) -> bytes:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ModelError(f"{path}: is not a regular file")
        if status.st_size > MAX_BYTES:
            raise ModelError(f"{path}: is larger than {MAX_BYTES // 2**20} MB, which no digit model is")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ModelError(f"{path}: there is no such file") from error
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error


# Where tensors stand in the messages of onnx.proto3: field number → the message that it holds.
_FIELDS: dict[str, dict[int, str]] = {
    "Model": {7: "Graph", 25: "Function"},
    "Graph": {1: "Node", 5: "Tensor", 15: "SparseTensor"},
    "Function": {7: "Node"},
    "Node": {5: "Attribute"},
    "Attribute": {5: "Tensor", 6: "Graph", 10: "Tensor", 11: "Graph", 22: "SparseTensor", 23: "SparseTensor"},
    "SparseTensor": {1: "Tensor", 2: "Tensor"},
    "Tensor": {},
}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14


def _refuse_external_data(model: ModelFile) -> None:
    """onnxruntime reads the files that a tensor points to without a word: look before it is given the model."""
    pending: list[tuple[str, memoryview]] = [("Model", memoryview(model.data))]
    try:
        while pending:
            kind, message = pending.pop()
            for number, value in _fields(message):
                external = number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value != 0)
                if kind == "Tensor" and external:
                    raise ModelError(f"{model.name}: keeps weights in another file, which is not allowed")
                if number in _FIELDS[kind] and isinstance(value, memoryview):
                    pending.append((_FIELDS[kind][number], value))
    except (IndexError, _NotProtobufError) as error:
        raise ModelError(f"{model.name}: is no ONNX model, or is damaged") from error


class _NotProtobufError(Exception):
    """The bytes are no protobuf message."""


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """(field number, value) of each field, in protobuf's wire format."""
    position = 0

    def varint() -> int:
        nonlocal position
        value = shift = 0
        while shift < 70:
            byte = message[position]
            position += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
        raise _NotProtobufError

    while position < len(message):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
            continue
        sizes = {1: 8, 5: 4}
        size = varint() if key & 7 == 2 else sizes.get(key & 7)
        if size is None or position + size > len(message):
            raise _NotProtobufError
        yield key >> 3, message[position : position + size]
        position += size
