"""ONNX graphs: what every step of the export asks of one, and the one form that all of them leave it in."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import helper, numpy_helper

import edge_digits

OPSET, IR = 17, 8
SIGNIFICANT_BITS = 24
"""Of a float32."""
SCALE = np.float32(1 / 255)
"""Of the DequantizeLinear that every model begins with."""
_ONE_UNLESS_SAID = {"dilations", "group", "strides"}
RESHAPES = {"Reshape", "Squeeze", "Unsqueeze", "Flatten"}
"""Operators that leave the values and their order as they are."""

Tiles = NDArray[np.uint8]
_NAMES = {
    "Conv": "conv", "Relu": "relu", "MaxPool": "pool", "AveragePool": "pool", "Gemm": "dense", "MatMul": "dense",
    "GlobalAveragePool": "pool", "GlobalMaxPool": "pool", "Reshape": "reshape", "Softmax": "softmax",
    "DequantizeLinear": "scale", "BatchNormalization": "norm",
}  # fmt: skip
_ROLES = {
    "Conv": ["", "weight", "bias"], "Gemm": ["", "weight", "bias"], "MatMul": ["weight", "weight"],
    "Reshape": ["", "shape"], "Clip": ["", "low", "high"], "DequantizeLinear": ["", "scale", "zero"],
}  # fmt: skip


def constants(graph: onnx.GraphProto) -> dict[str, NDArray[Any]]:
    """The values of all initializers."""
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}


def add_constant(graph: onnx.GraphProto, name: str, value: NDArray[Any]) -> str:
    """Adds an initializer, or replaces the one of that name, and returns its name."""
    for tensor in [tensor for tensor in graph.initializer if tensor.name == name]:
        graph.initializer.remove(tensor)
    graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(value).reshape(value.shape), name))
    return name


def makers(graph: onnx.GraphProto) -> dict[str, onnx.NodeProto]:
    """Tensor → the node that makes it."""
    return {name: node for node in graph.node for name in node.output if name}


def users(graph: onnx.GraphProto, name: str) -> list[onnx.NodeProto]:
    """The nodes that take a tensor."""
    return [node for node in graph.node if name in node.input]


def only_user(graph: onnx.GraphProto, name: str) -> onnx.NodeProto | None:
    """The node that takes a tensor, where there is just one and the tensor is no answer."""
    found = users(graph, name)
    is_answer = any(output.name == name for output in graph.output)
    return found[0] if len(found) == 1 and not is_answer else None


def replace_input(graph: onnx.GraphProto, old: str, new: str) -> None:
    """Every node that takes `old` takes `new` instead."""
    for node in graph.node:
        for i, name in enumerate(node.input):
            if name == old:
                node.input[i] = new


def attribute(node: onnx.NodeProto, name: str, default: Any = None) -> Any:
    """The value of a node's attribute."""
    return next((helper.get_attribute_value(found) for found in node.attribute if found.name == name), default)


def shapes(model: onnx.ModelProto) -> dict[str, tuple[int | None, ...]]:
    """Tensor → its shape, None for the number of tiles; without what onnx cannot tell."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    found: dict[str, tuple[int | None, ...]] = {t.name: tuple(t.dims) for t in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        if value.type.tensor_type.HasField("shape"):
            sizes = value.type.tensor_type.shape.dim
            found[value.name] = tuple(d.dim_value if d.HasField("dim_value") else None for d in sizes)
    return found


def count_multiply_adds(node: onnx.NodeProto, known: Mapping[str, tuple[int | None, ...]]) -> int:
    """Of a convolution or a matrix product, for one tile; 0 for any other operator. `known`: tensor → its shape."""
    given = [known.get(name) for name in node.input]
    output = known.get(node.output[0])
    if node.op_type not in {"Conv", "Gemm", "MatMul"} or len(given) < 2 or given[1] is None or output is None:
        return 0
    if node.op_type == "Conv":
        return math.prod(size or 1 for size in output[1:]) * math.prod(size or 1 for size in given[1][1:])
    depth = given[1][1 if node.op_type == "Gemm" and attribute(node, "transB", 0) else -2] or 1
    return math.prod(size or 1 for size in output[1:]) * depth


def run_tensors(
    model: onnx.ModelProto, names: list[str], tiles: Tiles, batch: int = 256
) -> Iterator[list[NDArray[Any]]]:
    """The values of tensors inside the graph, `batch` tiles at a time; on one core, so that they never vary."""
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    known = {output.name for output in probe.graph.output}
    probe.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in known)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = ort.InferenceSession(probe.SerializeToString(), sess_options=options, providers=["CPUExecutionProvider"])
    for start in range(0, len(tiles), batch):
        yield session.run(names, {"tiles": tiles[start : start + batch]})


def prune(graph: onnx.GraphProto) -> None:
    """Removes nodes and constants that nothing uses."""
    while True:
        used = {name for node in graph.node for name in node.input} | {output.name for output in graph.output}
        dead = [node for node in graph.node if not used & set(node.output)]
        if not dead:
            break
        for node in dead:
            graph.node.remove(node)
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in used]:
        graph.initializer.remove(tensor)


def sort_nodes(graph: onnx.GraphProto) -> None:
    """Puts the nodes into the one order that follows from the answers back, whatever the order they came in."""
    made_by, order, seen = makers(graph), list[onnx.NodeProto](), set[str]()
    for output in sorted(graph.output, key=lambda output: output.name, reverse=True):  # probabilities, digit_score
        pending = [(output.name, False)]
        while pending:
            name, ready = pending.pop()
            node = made_by.get(name)
            if node is None or (key := node.output[0]) in seen:
                continue
            if ready:
                seen.add(key)
                order.append(node)
            else:
                pending.append((name, True))
                pending += [(given, False) for given in reversed(node.input)]
    ordered = [onnx.NodeProto.FromString(node.SerializeToString()) for node in order]
    del graph.node[:]
    graph.node.extend(ordered)


def rename(graph: onnx.GraphProto) -> None:
    """Names that say what a thing is and do not depend on the run: conv1, conv1_weight, relu1, …"""
    held = constants(graph)
    counts = Counter[str]()
    names = {name: name for name in ("", "tiles", *(output.name for output in graph.output))}
    ordered: dict[str, NDArray[Any]] = {}
    for node in graph.node:
        computed = node.op_type == "MatMul" and not held.keys() & set(node.input)
        kind = "product" if computed else _NAMES.get(node.op_type, node.op_type.lower())
        counts[kind] += 1
        node.name, node.doc_string = f"{kind}{counts[kind]}", ""
        roles = _ROLES.get(node.op_type, [])
        for i, name in enumerate(node.input):
            if name in held and name not in names:
                role = roles[i] if i < len(roles) and roles[i] else f"value{i}" if i else "value"
                names[name] = f"{node.name}_{role}"
                ordered[names[name]] = held[name]
            node.input[i] = names[name]
        for i, name in enumerate(node.output):
            names.setdefault(name, node.name if i == 0 else f"{node.name}_{i}")
            node.output[i] = names[name]
        attributes = sorted(node.attribute, key=lambda found: found.name)
        del node.attribute[:]
        node.attribute.extend(attributes)
    del graph.initializer[:]
    for name, value in ordered.items():
        add_constant(graph, name, value)


def round_weights(model: onnx.ModelProto, bits: int) -> onnx.ModelProto:
    """The model with its weights to so many significant bits, 24 as float32 has them: what ends in zeros packs smaller.

    `bits` is for the largest tensor. A smaller one gets half a bit more each time that it is half as large: so the same
    error costs fewest bits in all, as each layer adds to it whatever its size. Each weight moves by 2 to the power of
    minus its bits of itself at most.
    """
    if bits == SIGNIFICANT_BITS:
        return model
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    weights = {
        name: value
        for name, value in constants(copy.graph).items()
        if value.dtype == np.float32 and value.ndim and value.size  # not the tiles' 1/255
    }
    most = max((value.size for value in weights.values()), default=0)
    for name, value in weights.items():
        spare = max(0, SIGNIFICANT_BITS - bits - round(math.log2(most / value.size) / 2))
        # Half a step is added before the spare bits are cut off: where all are ones, it carries into the exponent.
        whole = value.view(np.uint32) + np.uint32(1 << spare >> 1)
        add_constant(copy.graph, name, (whole >> spare << spare).view(np.float32))
    return copy


def finish(graph: onnx.GraphProto) -> onnx.ModelProto:
    """The graph as a model of the contract: N tiles in, answers out, nothing that is not used, checked.

    Raises onnx.checker.ValidationError where it is none.
    """
    prune(graph)
    _drop_defaults(graph)
    del graph.value_info[:]
    graph.name, graph.doc_string = "digits", ""
    graph.input[0].CopyFrom(helper.make_tensor_value_info("tiles", onnx.TensorProto.UINT8, ["N", 28, 28]))
    sizes: dict[str, list[str | int]] = {"probabilities": ["N", 10], "digit_score": ["N"]}
    for output in graph.output:
        output.CopyFrom(helper.make_tensor_value_info(output.name, onnx.TensorProto.FLOAT, sizes[output.name]))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
    onnx.checker.check_model(model, full_check=True)
    return model


def _drop_defaults(graph: onnx.GraphProto) -> None:
    """Removes attributes of convolutions and poolings that say what holds anyway: each is some 20 bytes."""
    for node in graph.node:
        if node.op_type in {"Conv", "MaxPool", "AveragePool"}:
            plain = [a for a in node.attribute if a.name in _ONE_UNLESS_SAID and set(a.ints or [a.i]) == {1}]
            for found in plain:
                node.attribute.remove(found)


def write_bytes(model: onnx.ModelProto, metadata: Mapping[str, str]) -> bytes:
    """The model as a file, with what it says of itself: `edge_digits.` and each key, in their order."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    helper.set_model_props(copy, {f"edge_digits.{key}": value for key, value in metadata.items()})
    copy.producer_name, copy.producer_version = "edge-digits", edge_digits.__version__
    data: bytes = copy.SerializeToString(deterministic=True)
    return data


def read_metadata(data: bytes) -> dict[str, str]:
    """What a model's file says of itself, as `write_bytes` was given it."""
    return {p.key.removeprefix("edge_digits."): p.value for p in onnx.load_from_string(data).metadata_props}
