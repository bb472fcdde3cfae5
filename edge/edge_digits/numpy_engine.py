"""Runs a model with numpy alone, operator by operator: slower than onnxruntime, and there wherever Python is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_digits.errors import ModelError
from edge_digits.model_files import ModelFile
from edge_digits.numpy_operators import OPERATORS, Array, Attributes, Operator
from edge_digits.onnx_file import STANDARD_DOMAINS, first_line, nodes, plain
from edge_digits.protobuf import Message
from edge_digits.tensors import read_constants

_TYPES = {1: "tensor(float)", 2: "tensor(uint8)"}
"""TensorProto.DataType → onnxruntime's name of it, of those that the contract knows."""


@dataclass(frozen=True)
class Port:
    """What goes into a graph, or comes out of it."""

    name: str
    type: str
    shape: list[int | str]
    """A side that is free has a name."""


@dataclass(frozen=True)
class _Step:
    """One operator, ready to be applied."""

    operator: Operator
    attributes: Attributes
    inputs: tuple[str, ...]
    output: str
    last_use: tuple[str, ...]
    """The values that no later step needs."""


class NumpyEngine:
    """A model's graph, its constant part computed once. Threads may share it.

    Raises ModelError where it has an operator that is not known here.
    """

    name = "numpy"
    batch = 1
    """Tiles at a time: the sums of a matrix product come in another order in another batch. Four would take 0.6 times
    as long, but give a tile other last digits by what it comes with."""

    def __init__(self, file: ModelFile) -> None:
        (graph,) = file.message.messages("graph")[:1]
        self.inputs = [_port(value) for value in graph.messages("input")]
        self.outputs = [_port(value) for value in graph.messages("output")]
        self._constants = read_constants(file.name, file.message)
        self._steps = self._plan(file.name, nodes(file.message))

    def run(self, names: Sequence[str], tiles: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """The outputs of those names for tiles (n, 28, 28)."""
        values: dict[str, Array] = {self.inputs[0].name: tiles}
        for step in self._steps:
            given = [values[name] if name in values else self._constants[name] for name in step.inputs]
            values[step.output] = step.operator(step.attributes, given)
            for name in step.last_use:
                values.pop(name, None)
        return [values[name] for name in names]

    def _plan(self, file: str, operators: Sequence[Message]) -> list[_Step]:
        """The operators that depend on the tiles; the others are applied here."""
        steps: list[_Step] = []
        needed = {port.name for port in self.outputs}
        for node in operators:
            kind, inputs = node.text("op_type"), tuple(name for name in node.texts("input") if name)
            if kind == "Constant" and node.text("output") in self._constants:
                continue
            operator = OPERATORS.get(kind) if node.text("domain") in STANDARD_DOMAINS else None
            if operator is None or len(node.texts("output")) != 1:
                reason = f"its operator {kind!r} is not known to the numpy engine, which knows {', '.join(OPERATORS)}"
                raise ModelError(f"{file}: {plain(reason)}; onnxruntime is needed for it")
            step = _Step(operator, Attributes(node), inputs, node.text("output"), ())
            if all(name in self._constants for name in inputs):
                self._constants[step.output] = _apply(file, kind, step, [self._constants[name] for name in inputs])
            else:
                steps.append(step)
        for i in reversed(range(len(steps))):
            step = steps[i]
            last = tuple(name for name in {*step.inputs, step.output} - needed if name not in self._constants)
            needed |= {*last}
            steps[i] = _Step(step.operator, step.attributes, step.inputs, step.output, last)
        return steps


def _apply(file: str, kind: str, step: _Step, inputs: Sequence[Array]) -> Array:
    """What a step makes of constants."""
    try:
        with np.errstate(all="ignore"):
            return step.operator(step.attributes, inputs)
    except (ArithmeticError, LookupError, MemoryError, TypeError, ValueError) as error:
        reason = f"its operator {kind!r} cannot be applied to its constants ({first_line(error)})"
        raise ModelError(f"{file}: {plain(reason)}") from error


def _port(value: Message) -> Port:
    for tensor in [tensor for kind in value.messages("type") for tensor in kind.messages("tensor_type")]:
        sides = [side for shape in tensor.messages("shape") for side in shape.messages("dim")]
        shape = [side.text("dim_param") or (side.integer("dim_value") if side.values else "?") for side in sides]
        return Port(value.text("name"), _TYPES.get(tensor.integer("elem_type"), "another type"), list(shape))
    return Port(value.text("name"), "no tensor", [])
