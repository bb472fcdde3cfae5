"""The tables and pictures of a proof's page, as HTML in which all that comes from the proof is escaped."""

from __future__ import annotations

import math
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from edge_digits.sheet import encode_png

_FULL_BAR = 60.0
"""Decibels of the longest bar: the error is a thousandth of the signal."""
_CLEAN = 200.0
"""Decibels from which on nothing was lost."""
_NAMES = {"keras": "Keras", "fp32": "fp32", "int8": "int8"}


def _points(share: float) -> str:
    return f"{100 * share:.3f}&nbsp;points"


def _lost(share: float) -> str:
    return f"none: {_points(-share)} won" if share < 0 else _points(share)


def percent(share: float | None) -> str:
    """`99.71 %`, and a dash for what is not known."""
    return "–" if share is None or math.isnan(share) else f"{100 * share:.2f}&nbsp;%"


def number(value: Any) -> str:
    """A figure with three digits that count, as people write it."""
    if value is None:
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return escape(str(value))
    return f"{value:,}" if isinstance(value, int) else f"{value:.3g}"


def interval(found: dict[str, Any]) -> str:
    """`99.50 to 99.84 %`."""
    low, high = found["interval"]
    return f"{100 * low:.2f} to {100 * high:.2f}&nbsp;%"


def gate_table(gates: Sequence[dict[str, Any]]) -> str:
    """Each gate with what it means, its figure and its limit."""
    rows = []
    for gate in gates:
        name, figure, limit = str(gate["name"]), gate["figure"], gate["limit"]
        meaning, write = _GATES.get(name, ("", number))
        chance = " (within chance)" if name == "int8 accuracy" and gate["passed"] and figure > limit else ""
        rows.append((escape(name), meaning, write(figure), write(limit), _passed(gate["passed"]) + chance))
    return _table(("gate", "what is measured", "figure", "limit", ""), rows)


_GATES: dict[str, tuple[str, Callable[[Any], str]]] = {
    "accuracy": ("share that the Keras network reads right, at least", percent),
    "pixels": ("accuracy that other values of the pixels would win; the limit is its 95&nbsp;% interval", _points),
    "recorded accuracy": ("how far that share is from the one that the training wrote down", _points),
    "fp32 difference": ("largest difference between fp32 and Keras in a probability", number),
    "fp32 digits": ("rows on which fp32 gives another digit than Keras", number),
    "int8 accuracy": ("accuracy that int8 loses against fp32", _lost),
    "int8 agreement": ("clear rows on which int8 gives the digit of fp32, at least", percent),
}
"""Gate → what it measures, and how its figure is written."""


def accuracy_table(parity: dict[str, Any]) -> str:
    """Keras, fp32 and int8: how many of the rows they read right."""
    rows = []
    for key, name in _NAMES.items():
        found = parity[key]
        count = f"{found['correct']:,} of {found['n']:,}"
        rows.append((name, percent(found["accuracy"]), interval(found), count, number(found["loss"])))
    return _table(("", "right", "95&nbsp;% interval", "rows", "loss in nats"), rows)


def agreement_table(parity: dict[str, Any]) -> str:
    """How the answers of two differ, in pairs."""
    pairs = (("Keras and fp32", parity["keras_fp32"]), ("fp32 and int8", parity["fp32_int8"]))
    rows = [
        (name, f"{pair['rows']:,}", number(pair["max_difference"]), number(pair["mean_difference"]),
         f"{pair['different_digits']:,}", f"{pair['different_clear_digits']:,} of {pair['clear_rows']:,}")
        for name, pair in pairs
    ]  # fmt: skip
    head = ("", "rows", "largest difference in a probability", "mean difference", "other digit", "of clear rows")
    return _table(head, rows)


def layer_table(layers: Sequence[dict[str, Any]]) -> str:
    """A row for each layer, its signal-to-noise ratio as a bar."""
    rows = [
        (escape(str(layer["name"])), escape(str(layer["op"])), _shape(layer["output"]), number(layer["parameters"]),
         number(layer["multiply_adds"]), number(layer["bytes_fp32"]), number(layer["bytes_int8"]),
         _bar(layer["snr_db"]))
        for layer in layers
    ]  # fmt: skip
    head = (
        "layer",
        "operator",
        "output",
        "parameters",
        "multiply-adds",
        "bytes, fp32",
        "bytes, int8",
        "signal to noise",
    )
    return _table(head, rows)


def search_table(found: Sequence[dict[str, Any]], chosen: dict[str, Any]) -> str:
    """A row for each choice that was tried, the chosen one set off."""
    rows, best = [], []
    for tried in found:
        choice = tried["choice"]
        kept = ", ".join(choice.get("float_layers") or ()) or "–"
        rows.append(
            (escape(_types(choice)), "channel" if choice["per_channel"] else "layer",
             escape(str(choice["method"])), escape(kept), percent(tried["accuracy"]), _lost(tried["drop"]),
             percent(tried["agreement"]), number(tried["microseconds"]),
             _passed(tried["passed"]) + (f": {escape(str(tried['why']))}" if tried.get("why") else ""))
        )  # fmt: skip
        best.append(choice == chosen)
    head = ("types", "scales per", "method", "in float", "right", "drop", "agreement", "µs", "")
    return _table(head, rows, best)


def answer_figures(found: Sequence[dict[str, Any]]) -> str:
    """A tile each, with what fp32 and int8 say of it."""
    return '<ul class="tiles">\n' + "\n".join(_answer_figure(one) for one in found) + "\n</ul>"


def _answer_figure(one: dict[str, Any]) -> str:
    tile = np.frombuffer(b64decode(one["tile"]), np.uint8).reshape(28, 28)
    said = {name: int(np.argmax(one[name])) for name in ("fp32", "int8")}
    lines = [f"{name}: <b>{digit}</b> with {percent(one[name][digit])}" for name, digit in said.items()]
    wrong = [name for name, digit in said.items() if digit != one["label"]]
    verdict = {0: "both right", 1: f"{''.join(wrong)} wrong", 2: "both wrong"}[len(wrong)]
    lines.append(f'<span class="quiet">label {number(one["label"])}: {verdict}<br>row {number(one["row"])}</span>')
    kind = ' class="other"' if said["fp32"] != said["int8"] else ""
    alt = f"the tile of row {number(one['row'])}"
    image = f'<img alt="{alt}" src="data:image/png;base64,{b64encode(encode_png(tile)).decode()}">'
    return f"<li{kind}>{image}<br>{'<br>'.join(lines)}</li>"


_PIXELS = {"unit": "0 to 1", "bytes": "bytes, 0 to 255", "signed": "−1 to 1"}


def making_list(proof: dict[str, Any]) -> str:
    """Where the network comes from, and how it became what it is."""
    source, made = proof["source"], proof["quantization"]
    data, tiles, heat = source["data"], made["tiles"], proof["temperature"]
    temperature = f"{heat['value']:.4g}"
    if heat.get("rows"):
        before, after = (number(heat[key]) for key in ("loss_before", "loss_after"))
        rows = "the compared rows" if heat["on_compared_rows"] else f"{heat['rows']:,} rows"
        temperature += f", fitted on {rows}: loss {before} nats before, {after} after"
    facts = {
        "Source network": "/".join(Path(source["network"]).parts[-2:]),
        "Its pixels": _PIXELS.get(proof["pixels"], f"bytes less a mean, over a deviation: {proof['pixels']}"),
        "SHA-256 of its weights": source["network_sha256"],
        "Training": ", ".join(f"{key} {source[key]}" for key in ("recipe", "seed", "passes", "pass") if key in source),
        "Data": f"{data['name']}: {data['training_rows']:,} rows to train on, {data['compared_rows']:,} to compare on, "
        f"{data['compared_rows_were']}",
        "SHA-256 of its pixels and labels": data["sha256"],
        "Temperature": temperature,
        "fp32": f"weights of {proof['significant_bits']} significant bits in the largest layer",
        "int8": _choice_text(made["choice"]),
        "Calibrated on": f"{tiles['n']:,} training tiles{', varied as in training' if tiles['augmented'] else ''}, "
        f"seed {tiles['seed']}",
        "SHA-256 of them": tiles["sha256"],
        "Trained with": ", ".join(f"{name} {version}" for name, version in source.get("versions", {}).items()),
        "Exported with": ", ".join(f"{name} {version}" for name, version in proof["tools"].items()),
    }
    return _definitions({name: str(text) for name, text in facts.items() if text})


def file_list(files: dict[str, dict[str, Any]]) -> str:
    """Name, size and hash of both models."""
    return _definitions({f["file"]: f"{f['bytes']:,} bytes, SHA-256 {f['sha256']}" for f in files.values()})


def _choice_text(choice: dict[str, Any]) -> str:
    ways = [_types(choice), "per channel" if choice["per_channel"] else "per layer"]
    told = {"activation", "weight", "weight_bits", "per_channel", "float_layers", "blocks"}
    ways += [f"{key.replace('_', ' ')} {value}" for key, value in choice.items() if key not in told]
    if choice["float_layers"]:
        ways.append(f"in float: {', '.join(choice['float_layers'])}")
    if not choice.get("blocks", True):
        ways.append("the first convolutions pixel by pixel")
    return ", ".join(ways)


def _types(choice: dict[str, Any]) -> str:
    return f"{choice['activation']} × {choice['weight']} of {choice['weight_bits']} bits"


def _definitions(facts: dict[str, str]) -> str:
    items = "\n".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in facts.items())
    return f"<dl>\n{items}\n</dl>"


def _bar(decibels: float | None) -> str:
    if decibels is None or math.isnan(decibels):
        return '<span class="track quiet">not quantized</span>'
    width = 100 * min(max(decibels / _FULL_BAR, 0.0), 1.0)
    text = "nothing lost" if decibels >= _CLEAN else f"{decibels:.1f}&nbsp;dB"
    return f'<span class="track"><span class="bar" style="width: {width * 0.55:.1f}%"></span> {text}</span>'


def _shape(sizes: Iterable[Any]) -> str:
    return " × ".join("N" if size is None else escape(str(size)) for size in sizes)


def _passed(passed: bool) -> str:
    return "passed" if passed else '<span class="failed">not passed</span>'


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], best: Sequence[bool] | None = None) -> str:
    lines = ["<tr>" + "".join(f"<th>{cell}</th>" for cell in head) + "</tr>"]
    for i, row in enumerate(rows):
        mark = ' class="best"' if best is not None and best[i] else ""
        lines.append(f"<tr{mark}>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>")
    return '<div class="wide"><table>\n' + "\n".join(lines) + "\n</table></div>"
