"""Published models made again from what is kept of them: the network, the temperature, the choice and the ranges."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx

from edge_digits.errors import InputError, UsageError
from edge_digits_export.choice import QuantizationChoice
from edge_digits_export.graph import SIGNIFICANT_BITS, read_metadata, round_weights, write_bytes
from edge_digits_export.pixels import Pixels
from edge_digits_export.quantization import Ranges, quantize


def build_facts(proof: Mapping[str, Any], models: Mapping[str, bytes]) -> dict[str, Any]:
    """What to keep beside a network, as plain data, so that its `models` (fp32 and int8) can be made again."""
    return {
        "pixels": proof["pixels"],
        "significant_bits": proof["significant_bits"],
        "temperature": proof["temperature"]["value"],
        "choice": proof["quantization"]["choice"],
        "ranges": proof["quantization"]["ranges"],
        "metadata": {precision: read_metadata(data) for precision, data in models.items()},
        "sha256": {precision: proof["files"][precision]["sha256"] for precision in models},
        "tools": proof["tools"],
    }


def rebuild_models(network: Path, facts: Mapping[str, Any]) -> dict[str, bytes]:
    """Both files of a published model, fp32 and int8, from its .keras and what `build_facts` kept beside it.

    With the tools that they were first made with they are the same bytes; with others the graph and the weights agree.
    Raises InputError where `facts` are none.
    """
    try:
        temperature, says = float(facts["temperature"]), facts["metadata"]
        pixels = Pixels.parse(facts["pixels"]) if "pixels" in facts else None
        bits = int(facts.get("significant_bits", SIGNIFICANT_BITS))
        choice = QuantizationChoice.from_dict(facts["choice"])
        ranges = {name: (float(low), float(high)) for name, (low, high) in facts["ranges"].items()}
        of_fp32, of_int8 = dict(says["fp32"]), dict(says["int8"])
    except (KeyError, TypeError, ValueError, AttributeError, UsageError) as error:
        raise InputError(str(network), f"what is kept to rebuild its models is damaged: {error!r}") from error
    whole = rebuild_fp32(network, temperature, of_fp32, pixels)
    try:
        fp32 = write_bytes(round_weights(onnx.load_from_string(whole), bits), of_fp32)
        return {"fp32": fp32, "int8": rebuild_int8(whole, choice, ranges, of_int8)}
    except ValueError as error:
        raise InputError(str(network), f"what is kept to rebuild its models does not fit: {error}") from error


def rebuild_fp32(network: Path, temperature: float, metadata: Mapping[str, str], pixels: Pixels | None = None) -> bytes:
    """The fp32 file, with all its bits, of a .keras network.

    Raises InputError where it is none, or has no form in the contract.
    """
    from edge_digits_export.convert import convert_or_refuse, load_network, set_temperature

    model = set_temperature(convert_or_refuse(load_network(network), network, pixels), temperature)
    return write_bytes(model, metadata)


def rebuild_int8(fp32: bytes, choice: QuantizationChoice, ranges: Ranges, metadata: Mapping[str, str]) -> bytes:
    """The int8 file from the fp32 file with all its bits: no data is needed, nor anything but onnx.

    Raises ValueError where a range is missing or the choice names a layer that there is not.
    """
    return write_bytes(quantize(onnx.load_from_string(fp32), choice, ranges), metadata)
