"""A model's name or path → its checked bytes and what is said of it."""

from __future__ import annotations

import hashlib
import json
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_digits.errors import ModelError
from edge_digits.onnx_file import metadata, nodes, plain, read_onnx, refuse_outside
from edge_digits.protobuf import Message

MAX_BYTES = 64 * 1024 * 1024
"""A digit model is a hundred kilobytes; what is larger than this is something else."""


@dataclass(frozen=True)
class ModelFile:
    """A .onnx file, read and checked, but not yet loaded."""

    name: str
    """`digits-int8`, or the path as given."""
    data: bytes
    sha256: str
    message: Message = field(repr=False)
    """`data` taken apart."""
    bundled: bool = False
    """Whether it is one of ours, with the hash that it was published with."""


def load_manifest() -> dict[str, Any]:
    """The list of bundled models: {"default": NAME, "models": {NAME: {"prefers": PRECISION, "files": {…}, …}}}."""
    try:
        text = _bundled("manifest.json").read_text(encoding="utf-8")
        manifest: dict[str, Any] = json.loads(text)
        for entry in [*manifest["models"].values(), manifest["models"][manifest["default"]]]:
            entry["files"][entry["prefers"]]["sha256"]
    except (ImportError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"the list of bundled models cannot be read ({error!r}): install edge-digits anew") from error
    return manifest


def load_model_file(model: str | Path) -> ModelFile:
    """The file of a bundled model (`digits`, `digits-fp32`, …) or of a path (`./my.onnx`).

    Raises ModelError where there is none, it is damaged, too large, or needs another file or library.
    """
    text = str(model)
    if is_path(model):
        data = _read(Path(text))
        name, sha256 = text, hashlib.sha256(data).hexdigest()
    else:
        name, data, sha256 = _load_bundled(text)
    message = read_onnx(name, data)
    refuse_outside(name, message)
    return ModelFile(name, data, sha256, message, not is_path(model))


def bundled_files(name: str | None = None) -> list[str]:
    """The names of the bundled files: of all, of a model (`digits`), or the one file of that name (`digits-int8`).

    Raises ModelError, with a suggestion, where no model and no file is called so.
    """
    models = load_manifest()["models"]
    if name is not None and name not in models:
        return ["-".join(_resolve(name))]
    chosen = models if name is None else [name]
    return [f"{model}-{precision}" for model in chosen for precision in models[model]["files"]]


def _resolve(name: str, models: dict[str, Any] | None = None) -> tuple[str, str]:
    """(model, precision) of a bundled model's or file's name; ModelError, with a suggestion, where there is none."""
    models = load_manifest()["models"] if models is None else models
    names = {f"{model}-{precision}": (model, precision) for model in models for precision in models[model]["files"]}
    names |= {model: (model, models[model]["prefers"]) for model in models}
    if name not in names:
        import difflib

        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(names))}"
        raise ModelError(f"no bundled model is called {name!r}: {hint} (a file's name ends in .onnx)")
    return names[name]


def bundled_by_sha256(sha256: str) -> tuple[str, dict[str, Any]] | None:
    """(`digits-int8`, the entry of its model) of the bundled file with that hash; None where there is none."""
    for model, entry in load_manifest()["models"].items():
        for precision, file in entry["files"].items():
            if file["sha256"] == sha256:
                return f"{model}-{precision}", entry
    return None


def is_path(model: str | Path) -> bool:
    """Whether what was given for a model is a file, and not the name of a bundled one."""
    text = str(model)
    return text.endswith(".onnx") or "/" in text or isinstance(model, Path)


def card(model: str | Path) -> str:
    """What there is to say of a model, for people: the card of a bundled one, what a file says of itself.

    Raises ModelError as `load_model_file` does.
    """
    if is_path(model):
        file = load_model_file(model)
        size = f"{len(file.data):,} bytes, {len(nodes(file.message))} operators"
        said = {key.removeprefix("edge_digits."): value for key, value in metadata(file.message).items()}
        told = (f"- **{plain(key)}**: {plain(value)}" for key, value in said.items())
        return "\n".join([f"# {file.name}", "", f"- **size**: {size}", f"- **SHA-256**: {file.sha256}", *told])
    name, _ = _resolve(str(model))
    try:
        return _bundled(f"{name}.md").read_text(encoding="utf-8").rstrip()
    except OSError as error:
        raise ModelError(f"{name}.md: the card of the bundled model is missing: install edge-digits anew") from error


def _bundled(file: str) -> Path:
    """The path of a file of the models package. (importlib.resources takes 3 ms to load.)"""
    import edge_digits_models

    return Path(edge_digits_models.__path__[0], file)


def _load_bundled(name: str) -> tuple[str, bytes, str]:
    """(`digits-int8`, its bytes, their SHA-256)."""
    models = load_manifest()["models"]
    model, precision = _resolve(name, models)
    entry = models[model]["files"][precision]
    try:
        data = _bundled(entry["file"]).read_bytes()
    except OSError as error:
        raise ModelError(f"{entry['file']}: the bundled model is missing: install edge-digits anew") from error
    sha256 = hashlib.sha256(data).hexdigest()
    if sha256 != entry["sha256"]:
        raise ModelError(
            f"{entry['file']}: the bundled model is damaged: its SHA-256 is {sha256[:12]}…, "
            f"the manifest's {entry['sha256'][:12]}…: install edge-digits anew"
        )
    return f"{model}-{precision}", data, sha256


def _read(path: Path) -> bytes:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ModelError(f"{path}: is not a regular file")
        if status.st_size <= MAX_BYTES:
            with path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)  # it may have grown
            if len(data) <= MAX_BYTES:
                return data
        raise ModelError(f"{path}: is larger than {MAX_BYTES // 2**20} MB, which no digit model is")
    except FileNotFoundError as error:
        raise ModelError(f"{path}: there is no such file") from error
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
