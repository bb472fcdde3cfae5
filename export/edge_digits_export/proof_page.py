"""NAME.proof.json → NAME.proof.html: an export on one page, its pictures inside, nothing fetched and nothing run."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

import edge_digits_train
from edge_digits.outputs import open_output
from edge_digits_export.gates import FEW_ROWS, LEAST_ROWS
from edge_digits_export.latency import slowdown
from edge_digits_export.proof_tables import (
    accuracy_table,
    agreement_table,
    answer_figures,
    file_list,
    gate_table,
    interval,
    layer_table,
    making_list,
    number,
    percent,
    search_table,
)

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""Browsers then fetch nothing and run nothing, whatever a name in the proof may hold."""
_STYLE = """
body { max-width: 58rem; }
td:first-child, th:first-child, .gates td:nth-child(2), .gates th:nth-child(2) { text-align: left; }
td { white-space: nowrap; }
.gates td:nth-child(2), .tried td:last-child { min-width: 14rem; white-space: normal; }
.result strong, .boxes b { white-space: nowrap; }
.failed { color: #b3261e; font-weight: bold; }
.bar { display: inline-block; height: .7em; background: var(--strong); border-radius: .15em; vertical-align: baseline; }
.track { display: inline-block; width: 12rem; text-align: left; }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); gap: .8rem; padding: 0; }
.tiles li { list-style: none; background: var(--box); border-radius: .5rem; padding: .5rem .6rem; font-size: .85rem; }
.tiles img { width: 84px; height: 84px; padding: 0; border: 0; border-radius: .2rem; image-rendering: pixelated; }
.tiles .other { border: 2px solid #b3261e; padding: calc(.5rem - 2px) calc(.6rem - 2px); }
@media (prefers-color-scheme: dark) { .failed { color: #ff9a90; } .tiles .other { border-color: #ff9a90; } }
"""
"""What the page has besides that of a training."""


def write_proof_page(proof: dict[str, Any], path: str, force: bool) -> None:
    """Writes `proof` as a page that a person can read. Raises OutputError, OutputExistsError as `open_output` does."""
    text = render_proof_page(proof)
    with open_output(path, force=force) as out:
        out.write(text)


def render_proof_page(proof: dict[str, Any]) -> str:
    """The page, the same for the same proof. All that comes from the proof is escaped."""
    name = escape(str(proof["name"]))
    style = Path(edge_digits_train.__file__).with_name("page.css").read_text(encoding="utf-8")
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        f"<title>{name}: what its export changed</title>",
        f"<style>\n{style}{_STYLE}</style></head><body>",
        f'<header><h1>{name}</h1><p class="quiet">edge-digits {escape(str(proof["version"]))}, proof of an export</p>',
        "</header>",
        *_result(proof),
        _section("Gates", _gates_note(proof["gates"]), f'<div class="gates">{gate_table(proof["gates"])}</div>'),
        _section("How many it reads right", _rows_note(proof), accuracy_table(proof["parity"])),
        _section("How far the answers are apart", _apart_note(proof), agreement_table(proof["parity"])),
        _section("Layer by layer", _LAYERS_NOTE, layer_table(proof["layers"])),
        *_search(proof),
        *_disagreements(proof),
        _section("How it was made", "", making_list(proof)),
        _section("Files", "", file_list(proof["files"])),
        "</body></html>\n",
    ]
    return "\n".join(parts)


_GATES_NOTE = (
    "What an export must keep to be written at all. fp32 is the network in 32-bit floats, which must answer as Keras "
    "does; int8 is the one in 8-bit whole numbers, which may lose a little."
)
_LAYERS_NOTE = (
    "Signal to noise says how much stronger what a layer gives is than the error that 8 bits put into it, each layer "
    "alone: at 20 dB the error is a tenth of the signal, at 40 dB a hundredth. The shortest bar is where int8 loses "
    "most. Multiply-adds are for one tile."
)
_TILES_NOTE = "What each of the two says and how surely; below it the label. Framed in red: they say different digits."


def _result(proof: dict[str, Any]) -> Iterator[str]:
    parity = proof["parity"]
    fp32, int8 = parity["fp32"], parity["int8"]
    failed = [gate for gate in proof["gates"] if not gate["passed"]]
    verdict = f"all {len(proof['gates'])} gates passed"
    if failed:
        verdict = f'<span class="failed">{len(failed)} of {len(proof["gates"])} gates not passed</span>'
    source = f"recipe {escape(str(proof['recipe']))}" if proof.get("recipe") else "a network of one's own"
    yield (
        f'<p class="result">A reader of single handwritten digits ({source}), converted from Keras to ONNX and made '
        f"8-bit: {verdict}.</p>"
    )
    yield (
        f'<p class="result"><strong>{percent(int8["accuracy"])}</strong> of {int8["n"]:,} digits '
        f"{escape(_rows_were(proof))} are read right in int8 (95&nbsp;% interval {interval(int8)}), "
        f"<strong>{percent(fp32['accuracy'])}</strong> in fp32 ({interval(fp32)}).</p>"
    )
    fp32_bytes, int8_bytes = (proof["files"][precision]["bytes"] for precision in ("fp32", "int8"))
    latency, differ = proof["latency"], parity["fp32_int8"]
    slower = slowdown(latency["fp32_us"], latency["int8_us"])
    times = f"{latency['ratio_fp32_to_int8']:.2f} times as long"
    if slower:
        times = f"so int8 is {slower:.1f} times slower here: it saves space alone"
    boxes = [
        (f"{int8_bytes:,}", f"bytes in int8, {fp32_bytes / int8_bytes:.1f} times smaller than fp32's {fp32_bytes:,}"),
        (
            f"{latency['int8_us']:.0f}&nbsp;µs",
            f"a digit in int8; fp32 takes {latency['fp32_us']:.0f}&nbsp;µs, {times}",
        ),
        (f"{proof['parameters']:,}", "parameters"),
        (f"{proof['multiply_adds']:,}", "multiply-adds for a digit"),
        (f"{differ['different_digits']:,}", f"of {differ['rows']:,} digits read otherwise in int8 than in fp32"),
    ]
    yield '<ul class="boxes">' + "".join(f"<li><b>{value}</b> {name}</li>" for value, name in boxes) + "</ul>"
    yield (
        '<p class="quiet">Times are the median for one tile on one thread, where it was exported: the ratio is worth '
        "more than the microseconds.</p>"
    )


def _rows_were(proof: dict[str, Any]) -> str:
    """How the rows stand to the training: held out, mostly."""
    return str(proof["source"].get("data", {}).get("compared_rows_were", "held out"))


def _rows_note(proof: dict[str, Any]) -> str:
    return (
        f"The same rows for all three, {escape(_rows_were(proof))}. The interval is Wilson's, of 95&nbsp;%: where the "
        "true share may lie, as the rows are a sample."
    )


def _gates_note(gates: list[dict[str, Any]]) -> str:
    note = _GATES_NOTE
    if any(gate["name"] == "int8 accuracy" and gate["passed"] and gate["figure"] > gate["limit"] for gate in gates):
        note += (
            " Within chance: past its limit, but by no more than these few rows would show by chance alone "
            "(95&nbsp;%), so it is not held against int8."
        )
    return note


def _compared_note(proof: dict[str, Any]) -> str:
    """Which rows fp32 and int8 are compared on, where they are not just the held-out ones, and that they are few."""
    rows, own = proof["parity"]["fp32_int8"]["rows"], proof["parity"]["int8"]["n"]
    note = ""
    if rows > own:
        note = (
            f" As {own:,} rows are few, fp32 and int8 are compared with each other on {rows - own:,} training rows as "
            "well: for this, and for no accuracy."
        )
    return note + (f" There are {rows:,} rows in all: {FEW_ROWS}." if rows < LEAST_ROWS else "")


def _apart_note(proof: dict[str, Any]) -> str:
    parity = proof["parity"]
    drop, half = 100 * parity["int8_drop"], 100 * parity["int8_drop_interval"]
    lost = f"int8 reads {abs(drop):.3f} points {'fewer' if drop > 0 else 'more'} right than fp32" if drop else (
        "int8 reads as many right as fp32"
    )  # fmt: skip
    return (
        f"{lost} (± {half:.3f} points with 95&nbsp;% confidence; exact McNemar test: p = "
        f"{number(parity['mcnemar_p'])}, where a small p says that it is not by chance). Clear rows are those on which "
        f"the two likeliest digits are more than 0.1 apart.{_compared_note(proof)}"
    )


def _search(proof: dict[str, Any]) -> Iterator[str]:
    if proof.get("search"):
        yield _section(
            "What else was tried", "Each way of making it int8 that was measured; the one that was kept is set off.",
            f'<div class="tried">{search_table(proof["search"], proof["quantization"]["choice"])}</div>',
        )  # fmt: skip


def _disagreements(proof: dict[str, Any]) -> Iterator[str]:
    found = proof["disagreements"]
    if found:
        heading = f"The {len(found)} tiles on which fp32 and int8 disagree most"
        yield _section(heading, _TILES_NOTE, answer_figures(found))


def _section(heading: str, note: str, body: str) -> str:
    """`note` and `body` are HTML."""
    return f"<section><h2>{escape(heading)}</h2>\n" + (f"<p>{note}</p>\n" if note else "") + f"{body}</section>"
