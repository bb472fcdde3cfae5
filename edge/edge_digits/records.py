"""Records → text, JSON, JSON Lines or CSV, one after the other as they come."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Literal, TextIO

from edge_digits.errors import one_line
from edge_digits.reading import Record

Format = Literal["text", "json", "jsonl", "csv"]

_CSV_COLUMNS = ["source", "text", "line", "digit", "confidence", "x", "y", "width", "height", "error"]


class RecordWriter:
    """Writes records to `out`; `close` ends the list that `json` is."""

    def __init__(self, out: TextIO, form: Format) -> None:
        self._out, self._form = out, form
        self._count = 0
        if form == "csv":
            self._write_rows([_CSV_COLUMNS])
        elif form == "json":
            out.write("[")

    def write(self, record: Record, below: Iterable[str] = ()) -> None:
        """Writes one record. As text, one with an error leaves no trace: the error is for stderr.

        `below`: lines that follow it as text; the other formats have none.
        """
        if self._form == "json":
            self._out.write(("," if self._count else "") + "\n" + json.dumps(record))
        elif self._form == "jsonl":
            self._out.write(json.dumps(record) + "\n")
        elif self._form == "csv":
            self._write_rows(_csv_rows(record))
        elif record["error"] is None:
            self._out.writelines(f"{line}\n" for line in (_text(record), *below))
        self._count += 1
        self._out.flush()

    def _write_rows(self, rows: Sequence[Sequence[object]]) -> None:
        import csv  # the other formats start without it

        bare = any("\r" in str(cell) for row in rows for cell in row)  # which Python would not quote
        csv.writer(self._out, lineterminator="\n", quoting=csv.QUOTE_ALL if bare else csv.QUOTE_MINIMAL).writerows(rows)

    def close(self) -> None:
        """Writes what ends the output."""
        if self._form == "json":
            self._out.write("\n]\n" if self._count else "]\n")


def _text(record: Record) -> str:
    """`img.png: 4017  (99.91 %)`, with the confidence of the least sure digit; further lines are indented."""
    source = one_line(record["source"])
    if not record["digits"]:
        return f"{source}: nothing to read"
    least = min(digit["confidence"] for digit in record["digits"])
    indent = "\n" + " " * (len(source) + 2)
    text = f"{source}: {indent.join(record['lines'])}  ({100 * least:.2f} %)"
    for digit in record["digits"]:
        if "top" in digit:
            likeliest = ", ".join(f"{entry['digit']} {100 * entry['confidence']:.2f} %" for entry in digit["top"])
            text += f"\n    {digit['digit']} at {digit['box'][0]},{digit['box'][1]}: {likeliest}"
    return text


def _csv_rows(record: Record) -> list[list[object]]:
    """A row a digit; one without a digit where there is none, so that no picture is missing."""
    source, text, error = record["source"], record["text"], record["error"] or ""
    rows: list[list[object]] = [
        [source, text, digit["line"], digit["digit"], digit["confidence"], *digit["box"], error]
        for digit in record["digits"]
    ]
    return rows or [[source, text, "", "", "", "", "", "", "", error]]
