"""A model's graph as a table: operators, shapes, parameters, multiply-adds and bytes, layer by layer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import onnx

from edge_digits.classifier import Classifier
from edge_digits.errors import ModelError
from edge_digits.model_files import ModelFile
from edge_digits.onnx_file import plain
from edge_digits_export.graph import constants, count_multiply_adds, shapes

Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class GraphRow:
    """One operator, with the constants that it is given; those of its weights' DequantizeLinear are among them."""

    name: str
    operator: str
    output: Shape | None
    """None for the number of tiles; no shape at all where it cannot be told."""
    parameters: int
    """Weights and biases; scales and shapes are none."""
    multiply_adds: int
    """For one tile."""
    bytes: int
    """Of its constants; those that it shares are counted where they are first used."""


def graph_rows(model: onnx.ModelProto) -> list[GraphRow]:
    """A row for each operator, in the order of the graph; what is made of constants counts to the one behind it."""
    known, held = shapes(model), constants(model.graph)
    sizes = {name: value.nbytes for name, value in held.items()}
    given = {name: [name] for name in held}
    """Tensor → the constants that it is made of."""
    values = {name: value.size for name, value in held.items()}
    """Tensor → how many values of the first of them."""
    rows, counted = [], set[str]()
    for node in model.graph.node:
        fixed = [name for name in node.input if name in given]
        if fixed and len(fixed) == len(node.input):
            given[node.output[0]] = [name for each in fixed for name in given[each]]
            values[node.output[0]] = values[fixed[0]]
            if node.op_type == "DequantizeLinear":
                known.setdefault(node.output[0], known[fixed[0]])
            continue
        weights = fixed if node.op_type in {"Conv", "Gemm", "MatMul", "BatchNormalization", "PRelu"} else []
        shape = known.get(node.output[0])
        new = {name for each in fixed for name in given[each]} - counted
        counted |= new
        rows.append(
            GraphRow(
                str(node.name or node.output[0]),  # bytes where it is no UTF-8
                node.op_type,
                shape,
                sum(values[name] for name in weights),
                count_multiply_adds(node, known),
                sum(sizes[name] for name in new),
            )
        )
    return rows


def graph_table(file: ModelFile) -> Iterator[str]:
    """The lines of the table, with sums at its end. Raises ModelError for what does not run, or onnx cannot read."""
    Classifier(file.name)  # refuses what is no graph
    try:
        rows = graph_rows(onnx.load_from_string(file.data))
    except (onnx.shape_inference.InferenceError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ModelError(
            f"{file.name}: its shapes cannot be told: {plain(str(error).partition(chr(10))[0])}"
        ) from error
    total = GraphRow(
        "all", f"{len(rows)} operators", None, sum(row.parameters for row in rows),
        sum(row.multiply_adds for row in rows), sum(row.bytes for row in rows),
    )  # fmt: skip
    cells = [["name", "operator", "output", "parameters", "multiply-adds", "bytes"]]
    for row in [*rows, total]:
        numbers = (row.parameters, row.multiply_adds, row.bytes)
        texts = [plain(row.name), plain(row.operator), _text(row.output)]
        cells.append([*texts, *(f"{number:,}" if number else "–" for number in numbers)])
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    for line in cells:
        texts = [cell.ljust(width) for cell, width in zip(line[:3], widths[:3], strict=True)]
        texts += [cell.rjust(width) for cell, width in zip(line[3:], widths[3:], strict=True)]
        yield "  ".join(texts).rstrip()
    yield f"{file.name}: {len(file.data):,} bytes in all"


def _text(shape: Shape | None) -> str:
    return "" if shape is None else " × ".join("N" if size is None else str(size) for size in shape)
