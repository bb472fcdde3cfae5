"""The operators of digit networks in numpy, as the ONNX standard (opset 17) defines them. Pictures are (n, c, h, w)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_digits.protobuf import Message

Array = NDArray[Any]
Operator = Callable[["Attributes", Sequence[Array]], Array]


class Attributes:
    """What a node says of how it is to be applied."""

    def __init__(self, node: Message) -> None:
        self._found = {attribute.text("name"): attribute for attribute in node.messages("attribute")}

    def integer(self, name: str, default: int) -> int:
        """A whole number."""
        return self._found[name].integer("i") if name in self._found else default

    def integers(self, name: str, default: Sequence[int]) -> list[int]:
        """Several."""
        return self._found[name].integers("ints") if name in self._found else list(default)

    def number(self, name: str, default: float) -> float:
        """A float."""
        return ([*self._found[name].floats("f")] or [0.0])[-1] if name in self._found else default

    def text(self, name: str) -> str:
        """A text; empty where there is none."""
        return self._found[name].text("s") if name in self._found else ""


# ---- scaling


def _along(values: Array, axis: int, ndim: int) -> Array:
    """One value for each channel, or one for all, in a shape that fits an array of `ndim` axes."""
    if values.size == 1:
        return values.reshape(())
    shape = [1] * ndim
    shape[axis] = values.size
    return values.reshape(shape)


def _dequantize(attributes: Attributes, inputs: Sequence[Array]) -> Array:
    x, scale, *zero = inputs
    axis = attributes.integer("axis", 1)
    whole = x.astype(np.float32)
    if zero and zero[0].any():
        whole -= _along(zero[0], axis, x.ndim).astype(np.float32)
    return np.asarray(whole * _along(scale, axis, x.ndim))


def _quantize(attributes: Attributes, inputs: Sequence[Array]) -> Array:
    x, scale, *zero = inputs
    axis = attributes.integer("axis", 1)
    whole = np.rint(x / _along(scale, axis, x.ndim))
    kind = zero[0].dtype if zero else np.dtype(np.uint8)
    if zero:
        whole += _along(zero[0], axis, x.ndim).astype(np.float32)
    return np.asarray(whole.clip(np.iinfo(kind).min, np.iinfo(kind).max).astype(kind))


# ---- windows that move over a picture


def _windows(attributes: Attributes, x: Array, kernel: Sequence[int], fill: float) -> Iterator[Array]:
    """For each place of the kernel, row by row, what lies under it wherever the window stands: (n, c, oh, ow)."""
    if attributes.integer("ceil_mode", 0):
        raise ValueError("ceil_mode is not known to the numpy engine")
    steps = attributes.integers("strides", [1] * 2)
    gaps = attributes.integers("dilations", [1] * 2)
    spans = [(side - 1) * gap + 1 for side, gap in zip(kernel, gaps, strict=True)]
    top, left, bottom, right = _pads(attributes, x.shape[2:], spans, steps)
    if top or left or bottom or right:
        x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=fill)
    rows, columns = ((x.shape[2 + i] - spans[i]) // steps[i] + 1 for i in range(2))
    for i in range(0, spans[0], gaps[0]):
        for j in range(0, spans[1], gaps[1]):
            yield x[:, :, i : i + (rows - 1) * steps[0] + 1 : steps[0], j : j + (columns - 1) * steps[1] + 1 : steps[1]]


def _pads(attributes: Attributes, sides: Sequence[int], spans: Sequence[int], steps: Sequence[int]) -> list[int]:
    """Pixels to add at the top, left, bottom and right."""
    auto = attributes.text("auto_pad")
    if auto not in ("SAME_UPPER", "SAME_LOWER"):
        return attributes.integers("pads", [0] * 4)
    missing = [max(0, (-(-sides[i] // steps[i]) - 1) * steps[i] + spans[i] - sides[i]) for i in range(2)]
    less, more = [each // 2 for each in missing], [each - each // 2 for each in missing]
    return [*less, *more] if auto == "SAME_UPPER" else [*more, *less]


def _conv(attributes: Attributes, inputs: Sequence[Array]) -> Array:
    """As a product of matrices: the kernel's weights, and the pixels under it at each place."""
    x, weight, *bias = inputs
    groups = attributes.integer("group", 1)
    n, channels = x.shape[:2]
    under = np.stack(list(_windows(attributes, x, weight.shape[2:], 0)), axis=2)
    rows, columns = under.shape[3:]
    under = under.reshape(n, groups, channels // groups * under.shape[2], rows * columns)
    found = weight.reshape(groups, weight.shape[0] // groups, -1) @ under
    found = found.reshape(n, weight.shape[0], rows, columns)
    return np.asarray(found + bias[0].reshape(-1, 1, 1) if bias else found)


def _max_pool(attributes: Attributes, inputs: Sequence[Array]) -> Array:
    (x,) = inputs
    lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    first, *others = _windows(attributes, x, attributes.integers("kernel_shape", ()), lowest)
    found = first.copy()
    for other in others:
        np.maximum(found, other, out=found)
    return found


def _average_pool(attributes: Attributes, inputs: Sequence[Array]) -> Array:
    kernel = attributes.integers("kernel_shape", ())
    total = sum(_windows(attributes, inputs[0], kernel, 0))
    if attributes.integer("count_include_pad", 0):
        return np.asarray(total / np.float32(np.prod(kernel)))
    return np.asarray(total / sum(_windows(attributes, np.ones_like(inputs[0]), kernel, 0)))


# ---- the rest


def _gemm(attributes: Attributes, inputs: Sequence[Array]) -> Array:
    a, b, *c = inputs
    a = a.T if attributes.integer("transA", 0) else a
    b = b.T if attributes.integer("transB", 0) else b
    found = np.float32(attributes.number("alpha", 1)) * (a @ b)
    return found + np.float32(attributes.number("beta", 1)) * c[0] if c else found


def _softmax(attributes: Attributes, inputs: Sequence[Array]) -> Array:
    axis = attributes.integer("axis", -1)
    powers = np.exp(inputs[0] - inputs[0].max(axis=axis, keepdims=True))
    return np.asarray(powers / powers.sum(axis=axis, keepdims=True))


def _reshape(_: Attributes, inputs: Sequence[Array]) -> Array:
    """A 0 in the shape stands for the side that is there."""
    x, shape = inputs
    return x.reshape([x.shape[i] if side == 0 else side for i, side in enumerate(shape.tolist())])


def _flatten(attributes: Attributes, inputs: Sequence[Array]) -> Array:
    axis = attributes.integer("axis", 1)
    return inputs[0].reshape(int(np.prod(inputs[0].shape[:axis])), -1)


def _transpose(attributes: Attributes, inputs: Sequence[Array]) -> Array:
    return inputs[0].transpose(attributes.integers("perm", range(inputs[0].ndim)[::-1]))


def _pad(attributes: Attributes, inputs: Sequence[Array]) -> Array:
    x, pads, *value = inputs
    if attributes.text("mode") not in ("", "constant") or pads.min(initial=0) < 0 or len(value) > 1:
        raise ValueError("a Pad that does not add values of one kind at the ends of all axes")
    ends = pads.reshape(2, -1).T
    return np.pad(x, ends.tolist(), constant_values=value[0] if value else 0)


def _sigmoid(_: Attributes, inputs: Sequence[Array]) -> Array:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * inputs[0])))  # exp would overflow


def _by(function: Callable[..., Any]) -> Operator:
    """An operator that is a function of numpy's."""
    return lambda _, inputs: np.asarray(function(*inputs))


OPERATORS: dict[str, Operator] = {
    "Add": _by(np.add),
    "AveragePool": _average_pool,
    "Concat": lambda attributes, inputs: np.concatenate(inputs, attributes.integer("axis", 0)),
    "Conv": _conv,
    "DequantizeLinear": _dequantize,
    "Div": _by(np.divide),
    "Flatten": _flatten,
    "Gather": lambda attributes, inputs: inputs[0].take(inputs[1], attributes.integer("axis", 0)),
    "Gemm": _gemm,
    "GlobalAveragePool": _by(lambda x: x.mean(axis=(2, 3), keepdims=True)),
    "GlobalMaxPool": _by(lambda x: x.max(axis=(2, 3), keepdims=True)),
    "Identity": _by(lambda x: x),
    "MatMul": _by(np.matmul),
    "Max": _by(lambda *inputs: np.maximum.reduce(np.broadcast_arrays(*inputs))),
    "MaxPool": _max_pool,
    "Min": _by(lambda *inputs: np.minimum.reduce(np.broadcast_arrays(*inputs))),
    "Mul": _by(np.multiply),
    "Pad": _pad,
    "QuantizeLinear": _quantize,
    "Relu": _by(lambda x: np.maximum(x, np.float32(0))),
    "Reshape": _reshape,
    "Sigmoid": _sigmoid,
    "Softmax": _softmax,
    "Sub": _by(np.subtract),
    "Tanh": _by(np.tanh),
    "Tile": lambda _, inputs: np.tile(inputs[0], inputs[1]),
    "Transpose": _transpose,
}
"""By the name of the standard's: those that the recipes' networks, and most others of their kind, consist of."""
