"""Records: one shape, which docs/record.schema.json tells, whatever picture, option and format they come from."""

from __future__ import annotations

import copy
import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from pictures import blank, mnist, png, some, write_number

from edge_digits import Reader
from edge_digits.live import LiveSettings, run
from edge_digits.reading import error_record
from edge_digits.records import RecordWriter
from edge_digits.video import open_source

FILE = Path(__file__).parent.parent / "docs" / "record.schema.json"

pytestmark = pytest.mark.skipif(not FILE.exists(), reason="the schema is not beside the tests")


@pytest.fixture(scope="module")
def schema() -> Draft202012Validator:
    content = json.loads(FILE.read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(content)
    return Draft202012Validator(content)


@pytest.fixture(scope="module")
def records(reader: Reader) -> list[dict[str, Any]]:
    """Of pictures with many digits, one and none, with rejected ink, and with every number of likeliest answers."""
    images = [
        write_number("4017", "268").image,
        write_number("7", height=8).image,
        write_number("38", light_on_dark=True, kind="coloured").image,
        *mnist()[0][some(5)],
        *(blank(kind, 200, 300) for kind in ("white", "noisy", "squared")),
        np.random.default_rng(0).integers(0, 256, (200, 300), np.uint8),
    ]
    strict = Reader(min_confidence=1)
    found = [reader.read(image).record(f"{number}.png") for number, image in enumerate(images)]
    found += [reader.read(images[0]).record("-", top) for top in range(1, 11)]
    return [*found, strict.read(images[1]).record("a\nb/ü.png"), error_record("x", "does not exist")]


def test_every_record_keeps_to_the_schema(schema: Draft202012Validator, records: list[dict[str, Any]]) -> None:
    assert any(len(record["digits"]) == 7 for record in records)
    assert any(record["rejected"] for record in records)
    assert any(not record["digits"] for record in records)
    for record in records:
        schema.validate(json.loads(json.dumps(record)))


def test_the_lines_of_a_record_are_those_of_its_digits(records: list[dict[str, Any]]) -> None:
    for record in records:
        lines = [""] * len(record["lines"])
        for digit in record["digits"]:
            lines[digit["line"]] += str(digit["digit"])
        assert record["lines"] == lines
        assert record["text"] == "\n".join(lines)


def test_frames_keep_to_the_schema_with_their_number_and_time(
    schema: Draft202012Validator, reader: Reader, tmp_path: Path
) -> None:
    for number, image in enumerate([write_number("40").image] + 9 * [blank("white", 60, 90)]):
        (tmp_path / f"{number}.png").write_bytes(png(image))
    out = io.StringIO()
    with open_source(str(tmp_path), note=print) as source:
        run(source, reader, LiveSettings(window=False, every_frame=True), stdout=out, note=print)
    frames = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [frame["frame"] for frame in frames] == list(range(10))
    assert (frames[0]["text"], frames[9]["text"]) == ("40", "")
    for frame in frames:
        schema.validate(frame)


BROKEN: dict[str, Callable[[dict[str, Any]], Any]] = {
    "a field is missing": lambda record: record.pop("rejected"),
    "a field is new": lambda record: record.update(name="x"),
    "no text": lambda record: record.update(text=None),
    "a letter in the text": lambda record: record.update(text="4o"),
    "an empty line": lambda record: record.update(lines=[""]),
    "an empty reason": lambda record: record.update(error=""),
    "an error beside digits": lambda record: record.update(error="is damaged"),
    "a digit of 10": lambda record: record["digits"][0].update(digit=10),
    "a digit as text": lambda record: record["digits"][0].update(digit="4"),
    "a confidence in percent": lambda record: record["digits"][0].update(confidence=99.9),
    "a box of two corners": lambda record: record["digits"][0].update(box=[[0, 0], [9, 9]]),
    "a box without a height": lambda record: record["digits"][0]["box"].pop(),
    "an empty box": lambda record: record["digits"][0].update(box=[1, 1, 0, 9]),
    "no line": lambda record: record["digits"][0].pop("line"),
    "rejected without a reason": lambda record: record.update(rejected=[{"box": [0, 0, 9, 9]}]),
    "a frame without its time": lambda record: record.update(frame=1),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_the_schema_refuses_what_is_no_record(
    schema: Draft202012Validator, records: list[dict[str, Any]], broken: str
) -> None:
    record = copy.deepcopy(records[0])
    assert schema.is_valid(record)
    BROKEN[broken](record)
    assert not schema.is_valid(record)


def test_every_field_of_the_schema_is_described() -> None:
    def look(part: dict[str, Any], name: str) -> None:
        for field, content in part.get("properties", {}).items():
            target = content.get("$ref", "").rpartition("/")[2]
            described = schema["$defs"][target] if target else content
            assert len(described["description"].split()) >= 3, f"{name}.{field}"

    schema = json.loads(FILE.read_text(encoding="utf-8"))
    look(schema, "record")
    for name, part in schema["$defs"].items():
        look(part, name)
    assert set(schema["required"]) == set(error_record("", "x"))


def test_csv_has_a_row_a_digit_and_one_for_each_picture_without(records: list[dict[str, Any]]) -> None:
    out = io.StringIO()
    writer = RecordWriter(out, "csv")
    for record in records:
        writer.write(record, ["never printed"])
    writer.close()
    rows = list(csv.DictReader(io.StringIO(out.getvalue())))
    assert len(rows) == sum(max(1, len(record["digits"])) for record in records)
    expected = [digit["digit"] for record in records for digit in record["digits"]]
    assert [int(row["digit"]) for row in rows if row["digit"]] == expected
    assert [row["source"] for row in rows if row["error"]] == ["x"]


@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_json_is_the_records_and_nothing_below_them(form: Any, records: list[dict[str, Any]]) -> None:
    out = io.StringIO()
    writer = RecordWriter(out, form)
    for record in records:
        writer.write(record, ["never printed"])
    writer.close()
    text = out.getvalue()
    read = json.loads(text) if form == "json" else [json.loads(line) for line in text.splitlines()]
    assert read == records


def test_lines_below_a_record_follow_its_text() -> None:
    out = io.StringIO()
    RecordWriter(out, "text").write(error_record("a.png", "") | {"error": None}, ["first", "second"])
    assert out.getvalue() == "a.png: nothing to read\nfirst\nsecond\n"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a.png: 1234\nb.png", r"a.png: 1234\nb.png"),
        ("\x1b[2Jgone.png", r"\x1b[2Jgone.png"),
        ("back\r.png", r"back\r.png"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("nö\udcff 日本.png", r"nö\udcff 日本.png"),
    ],
)
@pytest.mark.parametrize("text", ["4017", "40\n17", ""])
def test_a_name_cannot_forge_a_line_or_move_a_terminals_cursor(reader, name, shown, text):
    out = io.StringIO()
    image = write_number(*text.split("\n")).image if text else blank("white", 100, 100)
    writer = RecordWriter(out, "text")
    writer.write(reader.read(image).record(name))
    lines = out.getvalue().splitlines()
    assert len(lines) == max(1, len(text.split("\n")))
    assert lines[0].startswith(f"{shown}: {text[:2] or 'nothing to read'}")
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize("name", ["a\rb.png", "a\nb.png", 'a"b,c.png', "plain.png"])
def test_any_name_comes_back_from_csv(name, tmp_path):
    path = tmp_path / "out.csv"
    with path.open("w", newline="\n") as out:
        RecordWriter(out, "csv").write(error_record(name, "does not exist"))
    with path.open(newline="") as file:
        assert [row["source"] for row in csv.DictReader(file)] == [name]
