"""An export → the models package: both files, the manifest's entry and the card; and the network they come from."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from edge_digits.classifier import Classifier
from edge_digits.errors import GateError, InputError, ModelError, OutputError
from edge_digits.model_check import CheckTiles, check_answers, check_contract
from edge_digits.model_files import load_model_file
from edge_digits.outputs import open_output, stage_output
from edge_digits_export.card import card
from edge_digits_export.convert import hash_weights, load_network
from edge_digits_export.gates import LEAST_ROWS
from edge_digits_export.latency import slowdown
from edge_digits_export.names import NAME_RULE, is_model_name
from edge_digits_export.proof import as_json
from edge_digits_export.rebuild import build_facts, rebuild_models

MOST_DROP = 0.0005
"""Share of the rows by which int8 may be less accurate; here being within chance is no excuse."""
LEAST_AGREEMENT = 0.999
"""Share of the clear rows on which int8 gives fp32's digit."""
MOST_DIFFERENCE = 1e-5
"""Between Keras and fp32, in a probability."""

_NUMBER = (int, float)
_NEEDED: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("name", "version", "pixels", "source.network", "source.network_sha256", "source.data.name",
                     "source.data.sha256", "source.data.compared_rows_were", "files.fp32.sha256", "files.int8.sha256",
                     "check.tiles"), str),
    **dict.fromkeys(("parameters", "multiply_adds", "significant_bits", "source.data.training_rows",
                     "source.data.compared_rows", "parity.fp32.n", "parity.fp32.correct",
                     "parity.int8.n", "parity.int8.correct",
                     "parity.keras_fp32.different_digits", "parity.fp32_int8.rows", "parity.fp32_int8.clear_rows",
                     "parity.fp32_int8.different_digits", "parity.fp32_int8.different_clear_digits"), int),
    **dict.fromkeys(("temperature.value", "latency.fp32_us", "latency.int8_us", "latency.ratio_fp32_to_int8",
                     "parity.int8_drop", "parity.fp32.accuracy", "parity.int8.accuracy",
                     "parity.keras_fp32.max_difference", "parity.fp32_int8.max_difference",
                     "parity.fp32_int8.mean_difference"), _NUMBER),
    **dict.fromkeys(("gates", "check.expected.fp32", "check.expected.int8", "parity.fp32.interval",
                     "parity.int8.interval", "parity.fp32.confusion", "parity.int8.confusion"), list),
    **dict.fromkeys(("tools", "quantization.choice", "quantization.ranges"), dict),
}  # fmt: skip
"""What must stand in a proof, and of what type."""


def publish(proof_path: Path, folder: Path, measured_path: Path | None = None) -> Path:
    """Publishes the export that `proof_path` (NAME.proof.json) belongs to into `folder`, and returns its card.

    A refit has learnt from all rows, so that none are left to measure it on: `measured_path` is the proof of the
    training before it, whose figures are published in place of its own.

    The network goes, without its optimizer, to networks/NAME.keras beside `folder`, and what rebuilding the models from
    it takes to networks/NAME.json. They are rebuilt once, and must be the files of the proof.

    Raises InputError where a file of the export is missing or another, ModelError where one is not of the contract for
    published models or answers otherwise here, and GateError where a figure is past its limit, which is stricter than
    that of an export, or a refit was measured on nothing else than its own rows. All before anything is written.
    """
    proof = _read_proof(proof_path)
    name = proof["name"]
    measured = _read_measured(proof_path, proof, measured_path)
    for each in (proof, measured):
        _check_figures(each)
    models = {precision: _read_model(proof_path, proof, precision) for precision in ("fp32", "int8")}
    source = Path(proof["source"]["network"])
    network = load_network(source)
    if hash_weights(network) != proof["source"]["network_sha256"]:
        raise InputError(str(source), f"is not the network that {proof_path.name} is the proof of: export anew")
    facts = build_facts(proof, models)
    if rebuild_models(source, facts) != models:
        raise InputError(str(proof_path), "its files are not what its network makes with these tools: export anew")
    texts = _texts(proof_path, proof, measured, models, facts, folder)
    _make_folder(folder.parent / "networks")
    for precision, data in models.items():
        with open_output(str(folder / f"{name}-{precision}.onnx"), force=True, binary=True) as out:
            out.write(data)
    with stage_output(str(folder.parent / "networks" / f"{name}.keras"), force=True, suffix=".keras") as staged:
        network.save(staged)
    for path, text in texts.items():
        with open_output(str(path), force=True) as out:
            out.write(text)
    return folder / f"{name}.md"


def _read_measured(proof_path: Path, proof: dict[str, Any], path: Path | None) -> dict[str, Any]:
    """The proof whose figures are published: a refit's is that of the training before it."""
    is_refit = bool(proof["source"].get("refit"))
    if path is None:
        if is_refit:
            raise GateError(f"{proof['name']}: a refit: name the proof of the training before it with --measured")
        return proof
    measured = _read_proof(path)
    same = all(proof["source"].get(key) == measured["source"].get(key) for key in ("recipe", "passes", "seed"))
    same = same and proof["source"]["data"]["sha256"] == measured["source"]["data"]["sha256"]
    was_held_out = measured["source"]["data"]["compared_rows_were"] == "held out"
    if not (is_refit and same and was_held_out and proof["temperature"]["value"] == measured["temperature"]["value"]):
        raise InputError(str(path), f"is not the proof of the training that {proof_path.name} is the refit of")
    return measured


def _texts(
    proof_path: Path,
    proof: dict[str, Any],
    measured: dict[str, Any],
    models: dict[str, bytes],
    facts: dict[str, Any],
    folder: Path,
) -> dict[Path, str]:
    """Path → text of what is written beside the models, the manifest last."""
    name = proof["name"]
    try:
        entry = _entry(proof, measured, models, facts["metadata"])
        about = card(name, entry, measured["parity"])
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise InputError(str(proof_path), f"is damaged: {error!r}") from error
    return {
        folder.parent / "networks" / f"{name}.json": as_json(facts),
        folder / f"{name}.md": about,
        folder / "manifest.json": _manifest_with(folder / "manifest.json", name, entry),
    }


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made: {error.strerror}") from error


def _read_proof(path: Path) -> dict[str, Any]:
    try:
        proof: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(str(path), f"cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise InputError(str(path), "is no export's proof") from error
    for key, kind in _NEEDED.items():
        found: Any = proof
        for part in key.split("."):
            if not isinstance(found, dict) or part not in found:
                raise InputError(str(path), f"is no export's proof: it does not say {key}; export anew")
            found = found[part]
        if not isinstance(found, kind) or isinstance(found, bool):
            raise InputError(str(path), f"is damaged: its {key} is {type(found).__name__}; export anew")
    if not all(
        isinstance(gate, dict) and gate.keys() >= {"name", "figure", "limit", "passed"} for gate in proof["gates"]
    ):
        raise InputError(str(path), "is damaged: its gates are none; export anew")
    if not is_model_name(proof["name"]):
        raise InputError(str(path), f"{proof['name']!r} is no name for a model: {NAME_RULE}")
    return proof


def _check_figures(proof: dict[str, Any]) -> None:
    """Raises GateError where a figure is past its limit; a NaN is."""
    name, parity = proof["name"], proof["parity"]
    drop, exact, differ = parity["int8_drop"], parity["keras_fp32"], parity["fp32_int8"]
    for gate in proof["gates"]:
        if not gate["passed"]:
            raise GateError(f"{name}: the gate {gate['name']!r} was not passed: {gate['figure']} ({gate['limit']})")
    if parity["int8"]["n"] < LEAST_ROWS:
        raise GateError(f"{name}: measured on {parity['int8']['n']:,} rows; the least is {LEAST_ROWS:,}")
    if not exact["max_difference"] <= MOST_DIFFERENCE:
        raise GateError(
            f"{name}: fp32 differs from Keras by {exact['max_difference']:.2g} in a probability; the limit is "
            f"{MOST_DIFFERENCE:g}"
        )
    if exact["different_digits"]:
        raise GateError(f"{name}: fp32 gives another digit than Keras on {exact['different_digits']} rows")
    if not drop <= MOST_DROP:
        raise GateError(
            f"{name}: int8 is {100 * drop:.2f} points less accurate than fp32; the limit is {100 * MOST_DROP:g}"
        )
    wrong, clear = differ["different_clear_digits"], differ["clear_rows"]
    if not wrong <= (1 - LEAST_AGREEMENT) * clear:
        raise GateError(
            f"{name}: int8 gives another digit than fp32 on {wrong} of {clear:,} clear rows; the limit is "
            f"{1 - LEAST_AGREEMENT:.2%}"
        )


def _read_model(proof_path: Path, proof: dict[str, Any], precision: str) -> bytes:
    """The bytes of a model that are those of the proof, keep the contract strictly, and answer as it says."""
    path = proof_path.parent / f"{proof['name']}-{precision}.onnx"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(str(path), f"cannot be read: {error.strerror}") from error
    if hashlib.sha256(data).hexdigest() != proof["files"][precision]["sha256"]:
        raise InputError(str(path), f"is not the file that {proof_path.name} is the proof of: export anew")
    classifier = Classifier(path)
    check_contract(str(path), load_model_file(path).message)
    check = CheckTiles.from_dict(proof_path.name, proof["check"])
    if not len(check.tiles):
        raise ModelError(f"{proof_path.name}: it has no check tiles: export anew")
    check_answers(classifier, check, precision)
    told = classifier.metadata["edge_digits.precision"]
    if told != precision:
        raise ModelError(f"{path}: says of itself that it is {told}")
    return data


def _entry(
    proof: dict[str, Any], measured: dict[str, Any], models: dict[str, bytes], says: dict[str, dict[str, str]]
) -> dict[str, Any]:
    """What the manifest says of the model: no path of the machine that it was made on.

    `says`: what each file says of itself.
    """
    files = {
        precision: {
            "file": f"{proof['name']}-{precision}.onnx",
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            "accuracy": {key: measured["parity"][precision][key] for key in ("accuracy", "n", "interval")},
        }
        for precision, data in models.items()
    }
    return {
        "prefers": "fp32" if slowdown(proof["latency"]["fp32_us"], proof["latency"]["int8_us"]) else "int8",
        "version": proof["version"],
        "parameters": proof["parameters"],
        "multiply_adds": proof["multiply_adds"],
        "temperature": proof["temperature"],
        "digit_score": measured.get("digit_score"),
        "reader": {
            precision: {key: float(told[key]) for key in ("reject_below", "picture_temperature")}
            for precision, told in says.items()
        },
        "latency": proof["latency"],
        "files": files,
        "source": {key: value for key, value in proof["source"].items() if key != "network"},
        "measured": measured["source"]["data"],
        "tools": proof["tools"],
        "check": proof["check"],
    }


def _manifest_with(path: Path, name: str, entry: dict[str, Any]) -> str:
    """The text of the manifest with the model's entry; a new manifest where there is none."""
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        manifest["models"][name] = entry
    except FileNotFoundError:
        manifest = {"default": name, "models": {name: entry}}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(str(path), f"is no manifest ({error!r})") from error
    return as_json(manifest)
