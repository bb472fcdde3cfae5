"""An export → the models package: both files, the manifest's entry and the card; and the network they come from."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from edge_digits.errors import GateError, InputError
from edge_digits.outputs import open_output, stage_output
from edge_digits_export.convert import load_network


def publish(proof_path: Path, folder: Path) -> Path:
    """Publishes the export that `proof_path` (NAME.proof.json) belongs to into `folder`, and returns its card.

    The network is saved, without its optimizer, to networks/NAME.keras beside `folder`. Raises InputError where a file
    of the export is missing or another, GateError where int8 lost more than 0.05 points: within chance is not enough
    here. Both before anything is written.
    """
    proof = _read_proof(proof_path)
    name, parity = proof["name"], proof["parity"]
    drop = parity["int8_drop"]
    if not drop <= 0.0005:
        raise GateError(f"{name}: int8 is {100 * drop:.2f} points less accurate than fp32; the limit is 0.05")
    network = load_network(Path(proof["source"]["network"]))
    models, files = {}, {}
    for precision in ("fp32", "int8"):
        source = proof_path.parent / f"{name}-{precision}.onnx"
        try:
            data = source.read_bytes()
        except OSError as error:
            raise InputError(str(source), f"cannot be read: {error.strerror}") from error
        if hashlib.sha256(data).hexdigest() != proof["files"][precision]:
            raise InputError(str(source), f"is not the file that {proof_path.name} is the proof of: export anew")
        models[source.name] = data
        found = parity[precision]
        files[precision] = {
            "file": source.name,
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            "accuracy": {key: found[key] for key in ("accuracy", "n", "interval")},
        }
    source_facts = {key: value for key, value in proof["source"].items() if key != "network"}
    entry = {
        "prefers": "int8",
        "version": proof["version"],
        "parameters": proof["parameters"],
        "latency_ratio_fp32_to_int8": proof["latency_ratio_fp32_to_int8"],
        "files": files,
        "source": source_facts,
        "tools": proof["tools"],
    }
    for file, data in models.items():
        with open_output(str(folder / file), force=True, binary=True) as out:
            out.write(data)
    _write_manifest(folder / "manifest.json", name, entry)
    networks = folder.parent / "networks"
    networks.mkdir(exist_ok=True)
    with stage_output(str(networks / f"{name}.keras"), force=True, suffix=".keras") as staged:
        network.save(staged)
    card = folder / f"{name}.md"
    with open_output(str(card), force=True) as out:
        out.write(_card(name, entry, parity))
    return card


def _read_proof(path: Path) -> dict[str, Any]:
    try:
        proof: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(str(path), f"cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise InputError(str(path), "is no export's proof") from error
    try:
        proof["name"], proof["version"], proof["parameters"], proof["tools"], proof["latency_ratio_fp32_to_int8"]
        proof["source"]["network"], proof["source"]["data"]["sha256"], proof["parity"]["int8_drop"]
        proof["files"]["fp32"], proof["files"]["int8"], proof["parity"]["fp32"]["accuracy"], proof["parity"]["int8"]
    except (KeyError, TypeError) as error:
        raise InputError(str(path), f"is no export's proof: {error!r}") from error
    return proof


def _write_manifest(path: Path, name: str, entry: dict[str, Any]) -> None:
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        manifest = {"default": name, "models": {}}
    manifest["models"][name] = entry
    with open_output(str(path), force=True) as out:
        out.write(json.dumps(manifest, indent=2) + "\n")


def _card(name: str, entry: dict[str, Any], parity: dict[str, Any]) -> str:
    source, data = entry["source"], entry["source"]["data"]
    rows = "\n".join(
        f"| `{file['file']}` | {file['bytes']:,} | {100 * file['accuracy']['accuracy']:.2f} % "
        f"({100 * file['accuracy']['interval'][0]:.2f} to {100 * file['accuracy']['interval'][1]:.2f}) |"
        for file in entry["files"].values()
    )
    trained = "a network of one's own"
    if "recipe" in source:
        trained = f"recipe `{source['recipe']}`, seed {source['seed']}, {source['passes']} passes"
    compared = f"{data['compared_rows']:,} rows of {data['name']} {data['compared_rows_were']}"
    ratio = entry["latency_ratio_fp32_to_int8"]
    return f"""# {name} {entry["version"]}

Reads one handwritten digit on a 28 × 28 tile framed as MNIST frames its digits: ink bright on black, the longest side
20 pixels, the centre of mass in the middle. {entry["parameters"]:,} parameters.

| file | bytes | accuracy on {compared} (95 % interval) |
| --- | --- | --- |
{rows}

- **Trained**: {trained}, on {data["training_rows"]:,} rows of {data["name"]} (SHA-256 of its pixels and labels
  `{data["sha256"]}`). The pass that did best on the rows held out was kept, so their figure is a little kind.
- **int8 against fp32**: another digit on {parity["fp32_int8"]["different_digits"]} of {parity["fp32_int8"]["rows"]:,}
  rows; on one tile and one thread fp32 takes {ratio} times as long, where it was exported.
- **Bad at**: whatever is not a digit, which it reads as one all the same, often with confidence; tiles framed
  otherwise.
- **Licence**: MIT. The rows are MNIST's as re-dealt for Kaggle's digit-recognizer; MNIST (Y. LeCun, C. Cortes) is
  available under CC BY-SA 3.0.
- **Tools**: {", ".join(f"{tool} {number}" for tool, number in entry["tools"].items())}.
"""
