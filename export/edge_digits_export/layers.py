"""What each layer costs, and what int8 does to it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from edge_digits_export.choice import QuantizationChoice
from edge_digits_export.graph import constants, count_multiply_adds, run_tensors, shapes
from edge_digits_export.plan import layer_names, layer_output
from edge_digits_export.quantization import Ranges, quantize

_CLEAN = 200.0  # dB, said of what no bit was lost of


@dataclass(frozen=True)
class Layer:
    """One operator of the fp32 graph, with its Relu where it has one."""

    name: str
    op: str
    """`Conv, Relu`."""
    output: list[int]
    """Shape of what it gives for one tile."""
    parameters: int
    multiply_adds: int
    """For one tile; of convolutions and dense layers alone, what else there is counts for nothing."""
    bytes_fp32: int
    """Of its constants in the fp32 file."""
    bytes_int8: int
    """Of its constants in the int8 file, scales and zero points included."""
    snr_db: float | None
    """Signal-to-noise of what it gives, when it alone is int8. None where it is left in float, or is no layer."""

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def measure_noise(
    model: onnx.ModelProto, choice: QuantizationChoice, ranges: Ranges, tiles: NDArray[np.uint8]
) -> dict[str, float]:
    """Layer → its signal-to-noise in dB on `tiles`, (n, 28, 28): each layer alone in int8, all others in float.

    So the noise is the layer's own: measured in a model that is all int8, it would be that of the layers before, too.
    """
    layers, found = layer_names(model.graph), {}
    for layer in layers:
        if layer in choice.float_layers:
            continue
        alone = quantize(model, replace(choice, float_layers=tuple(n for n in layers if n != layer)), ranges)
        output = layer_output(model.graph, layer)
        made = {name for node in alone.graph.node for name in node.output}
        seen = f"{output}_dq" if f"{output}_dq" in made else output
        signal = noise = 0.0
        pairs = zip(run_tensors(model, [output], tiles), run_tensors(alone, [seen], tiles), strict=True)
        for (exact,), (given,) in pairs:
            signal += float(np.square(exact, dtype=np.float64).sum())
            noise += float(np.square(exact - given, dtype=np.float64).sum())
        found[layer] = round(10 * math.log10(signal / noise), 2) if signal and noise else _CLEAN if signal else 0.0
    return found


def describe_layers(fp32: onnx.ModelProto, int8: onnx.ModelProto, noise: Mapping[str, float]) -> list[Layer]:
    """The operators of the fp32 graph in their order, each Relu with the layer before it."""
    graph, known = fp32.graph, shapes(fp32)
    held, held_int8 = constants(graph), constants(int8.graph)
    layers = {name: layer_output(graph, name) for name in layer_names(graph)}
    relus = {node.name: node for node in graph.node if node.output[0] in set(layers.values())}
    found = []
    for node in graph.node:
        if node.name in relus and node.name not in layers:
            continue
        end = layers.get(node.name, node.output[0])
        behind = [other for other in graph.node if other.output[0] == end and other is not node]
        names = {node.name, end, *(other.name for other in behind)}
        given = [name for each in (node, *behind) for name in each.input if name in held]
        parameters = [name for name in given if held[name].dtype == np.float32 and name.startswith(f"{node.name}_")]
        shape = known.get(end, ())[1:]
        found.append(
            Layer(
                node.name,
                ", ".join([node.op_type, *(other.op_type for other in behind)]),
                [size or 0 for size in shape],
                sum(held[name].size for name in parameters) if node.name in layers else 0,
                count_multiply_adds(node, known) if node.input[1:2] and node.input[1] in held else 0,
                sum(held[name].nbytes for name in given),
                sum(value.nbytes for name, value in held_int8.items() if any(name.startswith(f"{n}_") for n in names)),
                noise.get(node.name),
            )
        )
    return found


def worst_layers(noise: Mapping[str, float]) -> list[str]:
    """The layers from the noisiest on."""
    return sorted(noise, key=lambda name: noise[name])
