"""What the bytes of an .onnx say, before anything runs them: its parts, and what it may not hold."""

from __future__ import annotations

from collections.abc import Iterator

from edge_digits.errors import ModelError
from edge_digits.protobuf import DamagedError, Message, Schema, parse

STANDARD_DOMAINS = frozenset({"", "ai.onnx"})
"""Two names of one domain, that of the operators that the ONNX standard has."""
_BUILT_IN_DOMAINS = STANDARD_DOMAINS | {"ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc"}
"""Those whose operators onnxruntime brings along."""

_MOST_TEXT = 1000  # characters of one thing that a file says of itself

SCHEMA: Schema = {
    "Model": {
        1: ("ir_version", "int"), 7: ("graph", "Graph"), 8: ("opset_import", "OperatorSet"),
        14: ("metadata_props", "Entry"), 20: ("training_info", "TrainingInfo"), 25: ("functions", "Function"),
    },
    "OperatorSet": {1: ("domain", "bytes"), 2: ("version", "int")},
    "Entry": {1: ("key", "bytes"), 2: ("value", "bytes")},
    "TrainingInfo": {1: ("initialization", "Graph"), 2: ("algorithm", "Graph")},
    "Function": {
        1: ("name", "bytes"), 7: ("node", "Node"), 10: ("domain", "bytes"), 11: ("attribute_proto", "Attribute"),
    },
    "Graph": {
        1: ("node", "Node"), 5: ("initializer", "Tensor"), 11: ("input", "Value"), 12: ("output", "Value"),
        15: ("sparse_initializer", "SparseTensor"),
    },
    "Value": {1: ("name", "bytes"), 2: ("type", "Type")},
    "Type": {1: ("tensor_type", "TensorType")},
    "TensorType": {1: ("elem_type", "int"), 2: ("shape", "Shape")},
    "Shape": {1: ("dim", "Dimension")},
    "Dimension": {1: ("dim_value", "int"), 2: ("dim_param", "bytes")},
    "Node": {
        1: ("input", "bytes"), 2: ("output", "bytes"), 3: ("name", "bytes"), 4: ("op_type", "bytes"),
        5: ("attribute", "Attribute"), 7: ("domain", "bytes"),
    },
    "Attribute": {
        1: ("name", "bytes"), 2: ("f", "float"), 3: ("i", "int"), 4: ("s", "bytes"), 5: ("t", "Tensor"),
        6: ("g", "Graph"), 7: ("floats", "float"), 8: ("ints", "int"), 9: ("strings", "bytes"),
        10: ("tensors", "Tensor"), 11: ("graphs", "Graph"), 22: ("sparse_tensor", "SparseTensor"),
        23: ("sparse_tensors", "SparseTensor"),
    },
    "SparseTensor": {1: ("values", "Tensor"), 2: ("indices", "Tensor")},
    # The numbers of a tensor stay the packed bytes that they are: there may be millions.
    "Tensor": {
        1: ("dims", "int"), 2: ("data_type", "int"), 4: ("float_data", "bytes"), 5: ("int32_data", "bytes"),
        7: ("int64_data", "bytes"), 8: ("name", "bytes"), 9: ("raw_data", "bytes"), 13: ("external_data", "Entry"),
        14: ("data_location", "int"),
    },
}  # fmt: skip
"""The messages of onnx.proto3, as far as they are looked at."""


def read_onnx(name: str, data: bytes) -> Message:
    """The model that the file `name` holds. Raises ModelError, with the place, where `data` is no ONNX model."""
    if not data:
        raise ModelError(f"{name}: is empty")
    try:
        model = parse(data, SCHEMA, "Model")
    except DamagedError as error:
        raise ModelError(f"{name}: is no ONNX model, or is damaged or cut off: {error}") from error
    if not any(graph.messages("node") for graph in model.messages("graph")):
        raise ModelError(f"{name}: is no ONNX model: it holds no graph")
    return model


def refuse_outside(name: str, model: Message) -> None:
    """Raises ModelError where a model needs more than its own file: onnxruntime would read other files without a word.

    That is weights in another file, wherever in the model they stand, and operators of a library of their own.
    """
    functions = {(function.text("domain"), function.text("name")) for function in model.messages("functions")}
    for place, part in _parts(model):
        if part.kind == "Tensor" and (part.messages("external_data") or any(part.integers("data_location"))):
            entries = {entry.text("key"): entry.text("value") for entry in part.messages("external_data")}
            where = f" ({entries['location']!r})" if "location" in entries else ""
            reason = f"keeps weights in another file{where}, which is not allowed: {place}; save it in one file"
            raise ModelError(f"{name}: {plain(reason)}")
        if part.kind == "Node":
            domain, operator = part.text("domain"), part.text("op_type")
            if domain not in _BUILT_IN_DOMAINS and (domain, operator) not in functions:
                needs = f"needs a library for its operator {operator!r} of the domain {domain!r}"
                raise ModelError(f"{name}: {plain(f'{needs}, and edge-digits loads none: {place}')}")


def metadata(model: Message) -> dict[str, str]:
    """What a model says of itself: `edge_digits.recipe`, …"""
    return {entry.text("key"): entry.text("value") for entry in model.messages("metadata_props")}


def plain(text: str) -> str:
    """What a file says, safe for a terminal: nothing in it that moves the cursor, and no more than some lines of it."""
    cut = "…" if len(text) > _MOST_TEXT else ""
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text[:_MOST_TEXT]) + cut


def first_line(error: Exception) -> str:
    """The first line of what an error says, safe for a terminal; its kind where it says nothing."""
    return plain(str(error).strip().splitlines()[0]) if str(error).strip() else type(error).__name__


def nodes(model: Message) -> list[Message]:
    """The operators of its graph, in their order."""
    return [node for graph in model.messages("graph") for node in graph.messages("node")]


def all_nodes(model: Message) -> Iterator[tuple[str, Message]]:
    """(place, operator) of each, those of functions and of graphs inside operators included."""
    return ((place, part) for place, part in _parts(model) if part.kind == "Node")


def _parts(model: Message) -> Iterator[tuple[str, Message]]:
    """(place, part) of all that is inside a model, at any depth."""
    pending = [("", model)]
    while pending:
        place, message = pending.pop()
        for values in message.values.values():
            for value in values:
                if isinstance(value, Message):
                    inner = _place(place, value)
                    yield inner, value
                    pending.append((inner, value))


def _place(outer: str, part: Message) -> str:
    """`node 'if1', 'then_branch', tensor 'weights'`."""
    name = part.text("name") or part.text("op_type")
    if part.kind == "Attribute":
        here = repr(name)
    elif part.kind in {"Node", "Tensor", "Function"}:
        here = f"{part.kind.lower()} {name!r}" if name else part.kind.lower()
    else:
        return outer  # the attribute's name, or nothing, says as much
    return f"{outer}, {here}" if outer else here
