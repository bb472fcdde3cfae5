from __future__ import annotations

import csv
import gzip
import importlib.util
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from commands import Done, Run, runner
from numpy.typing import NDArray
from pictures import compose, csv_table, mnist, png, some, write_number

import edge_digits
from edge_digits import Classifier, Reader, tables
from edge_digits.variations import UNSURE

EDGE_DIGITS = [sys.executable, "-m", "edge_digits"]
COMMANDS = [
    "classify", "submit", "evaluate", "evaluate-pictures", "show", "webcam", "train", "compare", "recipes", "export",
    "models list", "models show", "models verify", "models diff", "models publish", "models renew",
]  # fmt: skip


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs a command in this process, in a folder of its own: a start of Python for each would take minutes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)

    return runner(capfd, monkeypatch)


def process(
    *arguments: object, env: dict[str, str] | None = None, cwd: Path | None = None, timeout: float = 60
) -> Done:
    """Runs a command as a person does, in a process of its own."""
    done = subprocess.run(
        [*EDGE_DIGITS, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **(env or {})},
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        timeout=timeout,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Done(done.returncode, done.stdout, done.stderr)


def left_in(folder: Path) -> list[str]:
    """The names of all there is in a folder, hidden files included."""
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def number(tmp_path: Path) -> Path:
    """A picture that says 4017."""
    path = tmp_path / "number.png"
    path.write_bytes(png(write_number("4017").image))
    return path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A small test.csv: TABLE_ROWS of MNIST."""
    path = tmp_path / "test.csv"
    path.write_bytes(csv_table(mnist()[0][TABLE_ROWS]))
    return path


TABLE_ROWS = some(12, seed=1)


# ---- the program


def test_version_is_that_of_the_package() -> None:
    assert process("--version") == Done(0, f"edge-digits {edge_digits.__version__}\n", "")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_describes_each_option(run: Run, command: str) -> None:
    done = run(*command.split(), "--help")
    assert done.code == 0
    body = done.out.partition("Options:")[2]
    options = re.split(r"\n  (?=-)", "\n" + re.sub(r"^\n", "", body))
    options = [option for option in options if option.strip() and "--help" not in option]
    assert options or command in {"models list", "models verify"}
    for option in options:
        described = re.sub(r"\[[^\]]*\]|<[^>]*>|--?[a-z][-a-z]*(, )?", "", option)
        assert len(described.split()) >= 3, option


@pytest.mark.parametrize("command", [command for command in COMMANDS if not command.startswith("models")])
def test_help_of_a_command_has_an_example(run: Run, command: str) -> None:
    assert f"Example: edge-digits {command}" in run(command, "--help").out


def test_help_lists_every_command(run: Run) -> None:
    text = run("--help").out
    assert all(re.search(rf"^  {command.split()[0]} +\w", text, re.MULTILINE) for command in COMMANDS)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--unknown"],
        ["clasify", "x.png"],
        ["classify"],
        ["classify", "x.png", "--unknown"],
        ["classify", "x.png", "--format", "yaml"],
        ["classify", "x.png", "--top", "11"],
        ["classify", "x.png", "--top", "-1"],
        ["classify", "x.png", "--min-confidence", "2"],
        ["classify", "x.png", "--min-confidence", "nan"],
        ["evaluate", "x.csv", "--at-least", "nan"],
        ["submit"],
        ["evaluate"],
        ["evaluate", "x.csv", "--at-least", "99"],
        ["evaluate-pictures"],
        ["evaluate-pictures", "x", "--at-least", "99"],
        ["webcam", "--max-frames", "0"],
        ["webcam", "--format", "csv"],
        ["webcam", "0", "--source", "0"],
        ["webcam", "--size", "large"],
        ["webcam", "--roi", "1,2,3"],
        ["webcam", "--rotate", "45"],
        ["webcam", "--stable", "-1"],
        ["webcam", "--stable", "nan"],
        ["webcam", "clip.mp4", "--size", "640x480"],
        ["train"],
        ["train", "--recipe", "base", "--data", "x.csv", "--passes", "0"],
        ["train", "--resume", "x", "--recipe", "base"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_exit_code_2(run: Run, arguments: list[str]) -> None:
    done = run(*arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err


def test_models_list_names_each_file_with_its_figures(run: Run) -> None:
    done = run("models", "list")
    assert (done.code, done.err) == (0, "")
    names = [line.split()[0] for line in done.out.splitlines()]
    assert names == [f"{m}-{p}" for m in ("digits", "digits-nano", "digits-micro") for p in ("fp32", "int8")]
    assert done.out.count("(the default)") == 1
    assert all(re.search(r"[\d,]+ bytes .* [\d.]+ % on [\d,]+ ", line) for line in done.out.splitlines())


@pytest.mark.parametrize("command", ["classify", "submit", "evaluate", "webcam"])
def test_an_unknown_model_is_exit_code_3_with_a_suggestion(run: Run, command: str, number: Path, table: Path) -> None:
    argument = {"classify": [number], "submit": [table], "evaluate": [table], "webcam": [number]}[command]
    done = run(command, *argument, "--model", "digit-int8")
    assert (done.code, done.out) == (3, "")
    assert "did you mean digits-int8?" in done.err
    assert left_in(number.parent) == ["number.png", "test.csv"]


# ---- classify


def test_classify_prints_a_line_for_each_picture(run: Run, number: Path) -> None:
    done = run("classify", number)
    assert done.code == 0
    assert re.fullmatch(rf"{re.escape(str(number))}: 4017  \(\d+\.\d\d %\)\n", done.out)
    assert done.err == ""


def test_classify_prints_the_record_of_the_reader(run: Run, number: Path) -> None:
    record = Reader().read(number).record(str(number))
    assert record["text"] == "4017"
    assert json.loads(run("classify", number, "--format", "json").out) == [record]
    assert json.loads(run("classify", number, "--format", "jsonl").out) == record
    rows = list(csv.DictReader(io.StringIO(run("classify", number, "--format", "csv").out)))
    for row, digit in zip(rows, record["digits"], strict=True):
        assert (row["source"], row["text"], row["error"]) == (str(number), "4017", "")
        assert (int(row["digit"]), float(row["confidence"])) == (digit["digit"], digit["confidence"])
        assert [int(row[name]) for name in ("x", "y", "width", "height")] == digit["box"]


def test_classify_top_lists_the_likeliest(run: Run, number: Path) -> None:
    record = json.loads(run("classify", number, "--top", 3, "--format", "jsonl").out)
    for digit in record["digits"]:
        assert [entry["confidence"] for entry in digit["top"]] == sorted(
            (entry["confidence"] for entry in digit["top"]), reverse=True
        )
        assert len(digit["top"]) == 3
        assert digit["top"][0] == {"digit": digit["digit"], "confidence": digit["confidence"]}
    assert run("classify", number, "--top", 3).out.count("\n") == 5


def test_classify_reads_stdin(run: Run, number: Path) -> None:
    record = json.loads(run("classify", "-", "--format", "jsonl", stdin=number.read_bytes()).out)
    assert (record["source"], record["text"]) == ("-", "4017")


def test_classify_reads_a_folder_and_a_pattern(run: Run, tmp_path: Path) -> None:
    for name in ("b/10.png", "b/9.png", "a.png"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(write_number("58").image))
    (tmp_path / "in" / "notes.txt").write_text("none")
    done = run("classify", "in", "--format", "jsonl")
    assert [json.loads(line)["source"] for line in done.out.splitlines()] == ["in/a.png", "in/b/9.png", "in/b/10.png"]
    assert done.code == 0
    assert "1 " in done.err
    assert "passed over" in done.err
    done = run("classify", "in/*/*.png", "--format", "jsonl")
    assert [json.loads(line)["source"] for line in done.out.splitlines()] == ["in/b/9.png", "in/b/10.png"]


@pytest.mark.parametrize("form", ["text", "json", "jsonl", "csv"])
def test_classify_goes_on_after_bad_inputs_and_ends_with_1(run: Run, number: Path, form: str) -> None:
    folder = number.parent
    (folder / "broken.png").write_bytes(number.read_bytes()[:60])
    (folder / "text.png").write_text("this is no picture")
    (folder / "empty").mkdir()
    good = folder / "last.png"
    good.write_bytes(png(write_number("62").image))
    bad = ["broken.png", "text.png", "empty", "missing.png"]
    done = run("classify", *bad[:2], "number.png", *bad[2:], "last.png", "--format", form)
    assert done.code == 1
    for name in bad:
        assert len(re.findall(rf"^edge-digits: {name}: \w.+$", done.err, re.MULTILINE)) == 1
    if form == "text":
        assert [line.split()[1] for line in done.out.splitlines()] == ["4017", "62"]
        return
    if form == "csv":
        rows = list(csv.DictReader(io.StringIO(done.out)))
        found = {row["source"]: (row["text"], row["error"]) for row in rows}
    else:
        records = json.loads(done.out) if form == "json" else list(map(json.loads, done.out.splitlines()))
        assert all(list(r) == ["source", "text", "lines", "digits", "rejected", "error"] for r in records)
        found = {record["source"]: (record["text"], record["error"] or "") for record in records}
    assert list(found) == [*bad[:2], "number.png", *bad[2:], "last.png"]
    assert (found["number.png"], found["last.png"]) == (("4017", ""), ("62", ""))
    assert all(found[name][0] == "" and found[name][1] for name in bad)


def test_classify_of_bad_inputs_alone_prints_valid_json(run: Run) -> None:
    done = run("classify", "missing.png", "--format", "json")
    (record,) = json.loads(done.out)
    assert done.code == 1
    assert "does not exist" in record["error"]


def test_classify_names_submit_for_a_csv_and_what_to_do_with_heic(run: Run, table: Path) -> None:
    assert "edge-digits submit" in run("classify", table).err
    (table.parent / "photo.jpg").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200))
    heard = run("classify", "photo.jpg").err
    assert "HEIC" in heard
    assert "convert" in heard.lower()


def test_classify_reads_blank_paper_as_nothing(run: Run, tmp_path: Path) -> None:
    (tmp_path / "blank.png").write_bytes(png(np.full((200, 300), 240, np.uint8)))
    assert run("classify", "blank.png").out == "blank.png: nothing to read\n"
    assert run("classify", "blank.png").code == 0
    assert json.loads(run("classify", "blank.png", "--format", "jsonl").out)["text"] == ""
    assert len(run("classify", "blank.png", "--format", "csv").out.splitlines()) == 2


def test_classify_writes_to_a_file_and_keeps_one_that_is_there(run: Run, number: Path) -> None:
    out = number.parent / "out.jsonl"
    done = run("classify", number, "--format", "jsonl", "-o", out)
    assert (done.code, done.out) == (0, "")
    first = out.read_text()
    assert json.loads(first)["text"] == "4017"
    done = run("classify", number, "-o", out)
    assert done.code == 2
    assert "--force" in done.err
    assert out.read_text() == first
    assert run("classify", number, "-o", out, "--force").code == 0
    assert "4017" in out.read_text()
    assert out.read_text() != first
    assert left_in(number.parent) == ["number.png", "out.jsonl"]


def test_classify_uses_the_model_it_is_given(run: Run, number: Path) -> None:
    for model in ("digits-fp32", "digits-int8"):
        record = json.loads(run("classify", number, "--model", model, "--format", "jsonl").out)
        assert record == Reader(model).read(number).record(str(number))


def test_classify_min_confidence_rejects(run: Run, number: Path) -> None:
    record = json.loads(run("classify", number, "--min-confidence", 1, "--format", "jsonl").out)
    sure = [digit for digit in Reader().read(number).digits if digit.confidence >= 1]
    assert len(record["digits"]) == len(sure)
    assert len(record["digits"]) + len(record["rejected"]) == 4


@pytest.mark.parametrize("name", ["new\nline.png", "two words.png", "-dash.png", "[a].png", "\N{SNOWMAN}.png"])
def test_classify_reads_files_of_any_name(number: Path, name: str) -> None:
    odd = number.rename(number.with_name(name))
    done = process("classify", "--format", "jsonl", "--", name, cwd=odd.parent)
    record = json.loads(done.out)
    assert done.code == 0
    assert (record["source"], record["text"]) == (name, "4017")


@pytest.mark.parametrize("form", ["text", "json", "jsonl", "csv"])
def test_classify_reads_a_file_whose_name_is_not_utf8(number: Path, form: str) -> None:
    odd = os.fsencode(number.parent) + b"/caf\xe9.png"
    try:
        os.rename(number, odd)  # noqa: PTH104 – bytes
    except OSError:
        pytest.skip("this file system takes UTF-8 alone")
    done = subprocess.run([*EDGE_DIGITS, "classify", odd, "--format", form], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert b"4017" in done.stdout
    if form == "jsonl":
        assert os.fsencode(json.loads(done.stdout)["source"]) == odd


def test_a_picture_reads_the_same_in_either_polarity(run: Run, tmp_path: Path) -> None:
    for light in (False, True):
        picture = compose([some(3, seed=6).tolist()], light_on_dark=light)
        (tmp_path / f"{light}.png").write_bytes(png(picture.image))
        assert json.loads(run("classify", f"{light}.png", "--format", "jsonl").out)["text"] == picture.text


# ---- submit


def test_submit_writes_a_line_for_each_row(run: Run, table: Path) -> None:
    done = run("submit", table)
    assert (done.code, done.out) == (0, "")
    expected = Classifier().classify(mnist()[0][TABLE_ROWS]).digits
    lines = (table.parent / "submission.csv").read_text().splitlines()
    assert lines == ["ImageId,Label", *(f"{i},{digit}" for i, digit in enumerate(expected, 1))]


@pytest.mark.parametrize("packed", ["gz", "zip"])
def test_submit_reads_packed_tables(run: Run, table: Path, packed: str) -> None:
    path = table.with_name(f"test.csv.{packed}")
    if packed == "gz":
        path.write_bytes(gzip.compress(table.read_bytes()))
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(table, "test.csv")
    plain = run("submit", table, "-o", "-")
    assert plain.code == 0
    assert plain.out.count("\n") == 1 + len(TABLE_ROWS)
    assert run("submit", path, "-o", "-").out == plain.out
    assert run("submit", "-", "-o", "-", stdin=path.read_bytes()).out == plain.out


def test_submit_of_several_models_gives_the_mean(run: Run, table: Path) -> None:
    tiles = mnist()[0][TABLE_ROWS]
    models = ["digits-fp32", "digits-int8"]
    mean = np.mean([Classifier(model).classify(tiles).probabilities for model in models], axis=0)
    done = run("submit", table, "-o", "-", "--probabilities", "--tta", 1, "--model", models[0], "--model", models[1])
    rows = list(csv.reader(io.StringIO(done.out)))
    assert rows[0] == ["ImageId", "Label", *(f"p{digit}" for digit in range(10))]
    assert [int(row[1]) for row in rows[1:]] == mean.argmax(axis=1).tolist()
    np.testing.assert_allclose(np.array(rows[1:])[:, 2:].astype(float), mean, atol=2e-6)


def test_submit_averages_over_small_shifts_and_turns(run: Run, table: Path) -> None:
    done = [run("submit", table, "-o", "-", "--probabilities", "--tta", number) for number in (1, 5)]
    assert [d.code for d in done] == [0, 0]
    assert done[0].out.splitlines()[0] == done[1].out.splitlines()[0]
    assert done[0].out != done[1].out
    assert run("submit", table, "-o", "-", "--tta", 0).code == 2


def test_no_output_replaces_its_own_input(run: Run, table: Path, number: Path, tmp_path: Path) -> None:
    (tmp_path / "link.csv").symlink_to(table)
    before = table.read_bytes(), number.read_bytes()
    for command in (
        ("submit", table, "-o", table),
        ("submit", table, "-o", tmp_path / "link.csv"),
        ("show", table, "-o", table),
        ("classify", number, "-o", number),
        ("webcam", number, "-o", number, "--no-window"),
    ):
        done = run(*command, "--force")
        assert done.code == 2
        assert "is read, so it cannot be written to" in done.err or "PNG" in done.err
    assert (table.read_bytes(), number.read_bytes()) == before


def test_no_recording_replaces_the_one_that_is_read(run: Run, number: Path) -> None:
    assert run("webcam", number, "--no-window", "--record", "rec").code == 0
    before = {path.name: path.read_bytes() for path in Path("rec").iterdir()}
    Path("link").symlink_to("rec")
    for source in ("rec", "link", "rec/*.png"):
        done = run("webcam", source, "--no-window", "--record", "rec", "--force")
        assert done.code == 2
        assert "rec: is read, so it cannot be recorded to" in done.err
    assert {path.name: path.read_bytes() for path in Path("rec").iterdir()} == before


@pytest.mark.parametrize("name", ["s.csv.gz", "S.CSV.ZIP"])
def test_a_submission_is_not_written_under_a_name_that_says_packed(run: Run, table: Path, name: str) -> None:
    done = run("submit", table, "-o", name)
    assert done.code == 2
    assert f"{name}: a submission is written as plain CSV" in done.err
    assert not Path(name).exists()


def test_stdin_is_one_table(run: Run, table: Path) -> None:
    done = run("submit", "-", table, "-", "-o", "s.csv", stdin=table.read_bytes())
    assert done.code == 2
    assert "- is named more than once" in done.err


def test_submit_asks_again_where_the_first_answer_is_unsure(run: Run, tmp_path: Path) -> None:
    """Of a digit between two, and of nothing else."""
    tiles = mnist()[0][TABLE_ROWS].copy()
    tiles[5] = np.maximum(tiles[5] // 2, tiles[6] // 2)
    (tmp_path / "t.csv").write_bytes(csv_table(tiles))

    def submitted(*more: object) -> NDArray[np.float64]:
        done = run("submit", tmp_path / "t.csv", "-o", "-", "--probabilities", *more)
        return np.loadtxt(io.StringIO(done.out), delimiter=",", skiprows=1)

    first, second, all_again = submitted("--tta", 1), submitted(), submitted("--tta", 9)
    unsure = first[:, 2:].max(axis=1) < UNSURE
    assert unsure[5]
    assert unsure.mean() < 0.2
    np.testing.assert_array_equal(second[~unsure], first[~unsure])
    np.testing.assert_allclose(second[unsure], all_again[unsure], atol=2e-6)
    assert np.abs(second[unsure] - first[unsure]).max() > 0.001


def test_submit_keeps_an_output_that_is_there(run: Run, table: Path) -> None:
    (table.parent / "submission.csv").write_text("precious")
    done = run("submit", table)
    assert done.code == 2
    assert "--force" in done.err
    assert (table.parent / "submission.csv").read_text() == "precious"
    assert run("submit", table, "--force").code == 0
    assert (table.parent / "submission.csv").read_text().startswith("ImageId")


def spoiled(table: bytes, line: int, old: str, new: str) -> bytes:
    """The table with the last `old` of a line (counted from 1) replaced."""
    lines = table.decode().splitlines()
    head, _, tail = lines[line - 1].rpartition(old)
    lines[line - 1] = head + new + tail
    return ("\n".join(lines) + "\n").encode()


BAD_TABLES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "wrong header": (lambda data: spoiled(data, 1, "pixel783", "pixel999"), "line 1:"),
    "no header": (lambda data: data.split(b"\n", 1)[1], "line 1:"),
    "short row": (lambda data: spoiled(data, 7, ",0", ""), "line 7:"),
    "long row": (lambda data: spoiled(data, 7, ",0", ",0,0"), "line 7:"),
    "300": (lambda data: spoiled(data, 5, ",0", ",300"), "line 5:.*300"),
    "-1": (lambda data: spoiled(data, 5, ",0", ",-1"), "line 5:.*-1"),
    "abc": (lambda data: spoiled(data, 13, ",0", ",abc"), "line 13:.*abc"),
    "empty cell": (lambda data: spoiled(data, 3, ",0", ","), "line 3:.*empty"),
    "half": (lambda data: spoiled(data, 3, ",0", ",1.5"), "line 3:.*1.5"),
    "truncated gzip": (lambda data: gzip.compress(data)[:-200], "truncated gzip"),
    "gzip without its end": (lambda data: gzip.compress(data)[:-4], "truncated gzip"),
    "damaged zip": (lambda data: b"PK\3\4" + data[:500], "zip"),
    "empty": (lambda data: b"", "empty"),
    "header alone": (lambda data: data.split(b"\n")[0] + b"\n", "no rows"),
    "picture": (lambda data: png(mnist()[0][0]), "not a CSV"),
    "labels": (lambda data: csv_table(mnist()[0][:3], mnist()[1][:3]), "edge-digits evaluate"),
}


@pytest.mark.parametrize("kind", BAD_TABLES)
@pytest.mark.parametrize("old", [False, True], ids=["", "over_an_old_file"])
def test_submit_of_a_bad_table_says_where_and_leaves_no_file(run: Run, table: Path, kind: str, old: bool) -> None:
    spoil, reason = BAD_TABLES[kind]
    table.write_bytes(spoil(table.read_bytes()))
    if old:
        (table.parent / "submission.csv").write_text("old")
    done = run("submit", "test.csv", *["--force"] * old)
    assert (done.code, done.out) == (1, "")
    assert re.fullmatch(rf"edge-digits: test\.csv: .*{reason}.*\n", done.err)
    assert left_in(table.parent) == ["submission.csv"] * old + ["test.csv"]
    assert not old or (table.parent / "submission.csv").read_text() == "old"


def test_submit_of_a_missing_file_or_folder_is_exit_code_1(run: Run, tmp_path: Path) -> None:
    assert run("submit", "missing.csv").code == 1
    assert run("submit", ".").code == 1
    assert left_in(tmp_path) == []


def test_submit_to_a_folder_that_is_not_there_is_exit_code_1(run: Run, table: Path) -> None:
    done = run("submit", table, "-o", "nowhere/out.csv")
    assert done.code == 1
    assert "nowhere" in done.err


# ---- evaluate


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """A small train.csv: 200 rows, of which the label of every tenth is wrong."""
    tiles, labels = mnist()
    chosen = some(200, seed=2)
    path = tmp_path / "train.csv"
    said = (labels[chosen] + (np.arange(200) % 10 == 0)) % 10
    path.write_bytes(csv_table(tiles[chosen], said))
    return path


def test_evaluate_counts_what_the_classifier_gets_right(run: Run, labelled: Path) -> None:
    table = np.loadtxt(labelled, delimiter=",", skiprows=1, dtype=np.int64)
    answers = Classifier().classify(table[:, 1:].reshape(-1, 28, 28).astype(np.uint8)).digits
    confusion = np.zeros((10, 10), int)
    np.add.at(confusion, (table[:, 0], answers), 1)
    found = json.loads(run("evaluate", labelled, "--format", "json", "--tta", 1).out)
    assert found["n"] == 200
    assert found["confusion"] == confusion.tolist()
    assert found["accuracy"] == pytest.approx(np.mean(answers == table[:, 0]))
    assert found["interval"][0] < found["accuracy"] < found["interval"][1]
    text = run("evaluate", labelled, "--tta", 1)
    assert text.code == 0
    assert f"{100 * found['accuracy']:.2f} %" in text.out
    assert "interval" in text.out


def test_evaluate_at_least_is_a_gate(run: Run, labelled: Path) -> None:
    accuracy = json.loads(run("evaluate", labelled, "--format", "json").out)["accuracy"]
    assert run("evaluate", labelled, "--at-least", accuracy).code == 0
    done = run("evaluate", labelled, "--at-least", accuracy + 0.001)
    assert done.code == 5
    assert "accuracy" in done.out
    assert f"{accuracy:.3f}" in done.err


def test_evaluate_without_labels_names_submit(run: Run, table: Path) -> None:
    done = run("evaluate", table)
    assert (done.code, done.out) == (1, "")
    assert "edge-digits submit" in done.err


# ---- pipes and signals


def test_a_closed_stdout_is_no_error(number: Path) -> None:
    names = " ".join(["number.png"] * 40)
    for command in (f"classify --format jsonl {names} | head -1", "--help | head -1", "models list | true"):
        done = subprocess.run(
            ["bash", "-c", f'"$0" -m edge_digits {command}; exit ${{PIPESTATUS[0]}}', sys.executable],
            cwd=number.parent,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert (done.returncode, done.stderr) == (0, ""), command


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize(
    "command",
    [
        "classify number.png",
        "classify number.png --format json",
        "submit test.csv -o -",
        "evaluate train.csv",
        "webcam number.png --no-window --every-frame",
        "models list",
        "--version",
        "--help",
    ],
)
def test_a_stdout_that_is_full_or_closed_is_one_line_and_exit_code_1(
    number: Path, table: Path, labelled: Path, command: str
) -> None:
    for stdout in (">/dev/full", ">&-"):
        done = subprocess.run(
            ["bash", "-c", f'"$0" -m edge_digits {command} {stdout}', sys.executable],
            cwd=number.parent,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert "Traceback" not in done.stderr
        assert "Exception ignored" not in done.stderr
        if not command.startswith("--") or stdout == ">/dev/full":
            assert done.returncode == 1
            assert [line for line in done.stderr.splitlines() if "stdout" in line or "written" in line]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_stderr_that_is_full_or_closed_loses_no_result(number: Path, table: Path) -> None:
    commands = {"classify number.png missing.png number.png": 1, "submit test.csv -o -": 0}
    for stderr in ("2>/dev/full", "2>&-"):
        for command, expected in commands.items():
            done = subprocess.run(
                ["bash", "-c", f'"$0" -m edge_digits {command} {stderr}', sys.executable],
                cwd=number.parent,
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )
            assert done.stdout.count("\n") == (2 if expected else 1 + len(TABLE_ROWS)), (stderr, command)
            assert done.returncode == expected, (stderr, command)


@pytest.fixture
def waiting(table: Path) -> Iterator[subprocess.Popen[str]]:
    """A submit that has begun its output and waits for more rows, from a pipe."""
    os.mkfifo(table.parent / "rows")
    child = subprocess.Popen(
        [*EDGE_DIGITS, "submit", "rows", "-o", "out.csv"], cwd=table.parent, stderr=subprocess.PIPE, text=True
    )
    with (table.parent / "rows").open("wb") as pipe:
        pipe.write(table.read_bytes())
        pipe.flush()
        deadline = time.monotonic() + 30
        while not any(name.startswith(".edge-digits") for name in left_in(table.parent)):
            assert time.monotonic() < deadline
            assert child.poll() is None
            time.sleep(0.05)
        time.sleep(0.3)
        yield child
    if child.poll() is None:
        child.kill()
    child.communicate()


@pytest.mark.parametrize(("number_of", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["INT", "TERM"])
def test_a_signal_ends_a_submit_and_leaves_no_file(
    waiting: subprocess.Popen[str], table: Path, number_of: signal.Signals, code: int
) -> None:
    waiting.send_signal(number_of)
    _, heard = waiting.communicate(timeout=15)
    assert waiting.returncode == code
    assert "Traceback" not in heard
    assert left_in(table.parent) == ["rows", "test.csv"]


@pytest.mark.parametrize(("number_of", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["INT", "TERM"])
def test_a_signal_ends_a_classify_and_leaves_no_file(number: Path, number_of: signal.Signals, code: int) -> None:
    child = subprocess.Popen(
        [*EDGE_DIGITS, "classify", *["number.png"] * 20_000, "-o", "out.txt"],
        cwd=number.parent,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 30
    while not any(name.startswith(".edge-digits") for name in left_in(number.parent)):
        assert time.monotonic() < deadline
        assert child.poll() is None
        time.sleep(0.05)
    time.sleep(0.3)
    child.send_signal(number_of)
    _, heard = child.communicate(timeout=15)
    assert child.returncode == code
    assert "Traceback" not in heard
    assert left_in(number.parent) == ["number.png"]


def test_too_little_memory_is_one_line(run: Run, table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ask_for_more(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(tables, "_as_tiles", ask_for_more)
    done = run("submit", table, "-o", "out.csv")
    assert (done.code, done.out, done.err) == (1, "", "edge-digits: there is not enough memory for this\n")
    assert not Path("out.csv").exists()


_SWALLOWS = """
import os, signal
try:
    os.kill(os.getpid(), signal.{signal})
    sum(range(100_000))
except BaseException as error:
    raise ImportError("initialization failed") from error
raise ImportError("there is none")
"""


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_while_a_library_is_loaded_is_not_taken_for_its_failure(tmp_path: Path, name: str, code: int) -> None:
    """pybind11 makes an ImportError of it, and numpy would take onnxruntime's place."""
    environment = blocked(tmp_path, "onnxruntime")
    (tmp_path / "stubs" / "onnxruntime" / "__init__.py").write_text(_SWALLOWS.format(signal=name))
    child = subprocess.Popen(
        [*EDGE_DIGITS, "submit", "-", "-o", "out.csv"], cwd=tmp_path, env=os.environ | environment,
        stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert child.wait(timeout=30) == code
    finally:
        child.kill()
        _, heard = child.communicate()
    assert "Traceback" not in heard
    assert left_in(tmp_path) == ["stubs"]


# ---- libraries that are missing


def blocked(folder: Path, *modules: str, message: str | None = None) -> dict[str, str]:
    """An environment in which importing these fails: as not installed, or with the message of a broken one."""
    stubs = folder / "stubs"
    stubs.mkdir()
    for module in modules:
        missing = f"No module named {module!r}"
        error = f"ImportError({message!r})" if message else f"ModuleNotFoundError({missing!r}, name={module!r})"
        (stubs / module).mkdir()
        (stubs / module / "__init__.py").write_text(f"raise {error}\n")
    return {"PYTHONPATH": os.pathsep.join([str(stubs), *filter(None, [os.environ.get("PYTHONPATH")])])}


LIBGL = "libGL.so.1: cannot open shared object file: No such file or directory"


@pytest.mark.parametrize("message", [None, LIBGL], ids=["not_installed", "no_libGL"])
def test_without_opencv_classify_ends_with_3_and_submit_still_works(
    number: Path, table: Path, message: str | None
) -> None:
    env = blocked(number.parent, "cv2", message=message)
    for arguments in (["classify", number], ["webcam", "--source", number, "--no-window"]):
        done = process(*arguments, env=env)
        assert (done.code, done.out) == (3, "")
        assert done.err.count("\n") == 1
        assert "opencv-python-headless" in done.err
        assert message is None or ("libgl1" in done.err and "libGL.so.1" in done.err)
    done = process("submit", table, "-o", "-", env=env)
    assert done.code == 0
    assert done.out.count("\n") == 1 + len(TABLE_ROWS)


@pytest.mark.parametrize("message", [None, "libgomp.so.1: cannot open shared object file"], ids=["missing", "broken"])
def test_without_onnxruntime_numpy_reads_and_says_so_once(number: Path, table: Path, message: str | None) -> None:
    with_it = process("classify", number, "--format", "json")
    env = blocked(number.parent, "onnxruntime", message=message)
    done = process("classify", number, "--format", "json", env=env)
    assert done.code == 0
    assert [record["text"] for record in json.loads(done.out)] == [record["text"] for record in json.loads(with_it.out)]
    assert done.err.count("\n") == 1
    assert "onnxruntime cannot be loaded" in done.err
    assert message is None or message in done.err
    done = process("submit", table, "--model", "digits", "--model", "digits-fp32", "-o", "-", env=env)
    assert (done.code, done.err.count("numpy runs the model")) == (0, 1)


@pytest.mark.parametrize("command", ["classify", "submit", "evaluate", "webcam"])
def test_an_engine_asked_for_by_name_that_is_missing_ends_with_3(number: Path, table: Path, command: str) -> None:
    argument = {"classify": [number], "webcam": ["--source", number, "--no-window"]}.get(command, [table])
    env = blocked(number.parent, "onnxruntime")
    done = process(command, *argument, "--engine", "onnxruntime", env=env, cwd=number.parent)
    assert (done.code, done.out, done.err.count("\n")) == (3, "", 1)
    assert "pip install onnxruntime" in done.err


@pytest.mark.parametrize(
    ("arguments", "needs"),
    [
        (["train", "--recipe", "base", "--data", "train.csv"], ["tensorflow", "keras", "rich"]),
        (["export", "run"], ["tensorflow", "keras", "tf2onnx", "onnx"]),
        (["models", "publish", "x.proof.json", "-o", "."], ["tensorflow", "keras", "tf2onnx", "onnx"]),
        (["models", "renew", "--data", "x.csv", "-o", "."], ["tensorflow", "keras", "tf2onnx", "onnx"]),
    ],
    ids=["train", "export", "publish", "renew"],
)
def test_without_the_train_extra_its_commands_give_the_pip_line(
    tmp_path: Path, arguments: list[str], needs: list[str]
) -> None:
    done = process(*arguments, env=blocked(tmp_path, *needs), cwd=tmp_path)
    assert (done.code, done.out) == (2, "")
    *before, last = done.err.splitlines()
    assert [line for line in before if not line.startswith("edge-digits: loading ")] == []
    assert last.endswith("pip install 'edge-digits[train]'")
    assert left_in(tmp_path) == ["stubs"]


def test_without_tensorflow_alone_training_gives_the_pip_line(tmp_path: Path) -> None:
    pytest.importorskip("rich")
    if importlib.util.find_spec("keras") is None:  # not loaded here: it would start tensorflow
        pytest.skip("keras is not installed")
    done = process(
        "train", "--recipe", "base", "--data", "train.csv", env=blocked(tmp_path, "tensorflow"), cwd=tmp_path
    )
    assert done.code == 2
    assert done.err.rstrip().endswith("pip install 'edge-digits[train]'")


def test_the_runtime_works_without_any_of_the_train_extra(number: Path, table: Path) -> None:
    env = blocked(number.parent, "tensorflow", "keras", "tf2onnx", "onnx", "pandas", "sklearn", "matplotlib", "rich")
    assert process("classify", number, env=env).code == 0
    assert process("submit", table, "-o", "-", env=env).code == 0
