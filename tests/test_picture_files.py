"""classify --save, --explain, --crops and --show: a file for each picture, none lost, none that was there damaged."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from commands import Run, runner
from pictures import blank, mnist, png, some, write_number
from test_imports import command, loaded_after

from edge_digits import Reader
from edge_digits.draw import draw_reading
from edge_digits.explain import explain
from edge_digits.explain_sheet import draw_explanation
from edge_digits.picture_files import name_pictures
from edge_digits_train.sources.pictures import read_pictures


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs `edge-digits classify` in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    return runner(capfd, monkeypatch, "classify")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of three, two of them with the same name, and one that is damaged."""
    folder = tmp_path / "in"
    for name, text in (("img.png", "4017"), ("a/img.png", "268"), ("b/img.png", "59")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(png(write_number(text).image))
    (folder / "b" / "broken.png").write_bytes(png(write_number("1").image)[:60])
    return folder


def files(folder: Path) -> list[str]:
    """All files below a folder, hidden ones included."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def image(path: Path) -> np.ndarray:
    return np.asarray(cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED), np.uint8)


# ---- what is written


def test_save_writes_each_picture_with_what_was_read(run: Run, reader: Reader, pictures: Path) -> None:
    done = run("in", "--save", "new/out")
    assert done.code == 1, "the damaged one"
    assert files(Path("new/out")) == ["a-img-read.png", "b-img-read.png", "img-read.png"]
    for name in ("img", "a/img", "b/img"):
        read = Path("in") / f"{name}.png"
        expected = draw_reading(image(read), reader.read(read))
        assert np.array_equal(image(Path("new/out") / f"{name.replace('/', '-')}-read.png"), expected)


def test_explain_writes_a_sheet_and_says_what_made_it_hard(run: Run, reader: Reader, tmp_path: Path) -> None:
    picture = write_number("40", height=9, ink=180).image
    (tmp_path / "faint.png").write_bytes(png(picture))
    trace = reader.trace(picture)
    explained = explain(trace)
    done = run("faint.png", "--explain", "out")
    assert explained.words
    first, second = done.out.splitlines()
    assert first.startswith("faint.png: 40  (")
    assert second == "    hard: " + "; ".join(explained.words)
    assert files(tmp_path / "out") == ["faint-explained.png"]
    drawn = image(tmp_path / "out" / "faint-explained.png")
    assert np.array_equal(drawn, draw_explanation("faint.png", trace, explained))


def test_crops_are_what_train_reads(run: Run, tmp_path: Path) -> None:
    """A tile of MNIST comes back as it is, and one that was framed comes back as it was framed."""
    (tmp_path / "in").mkdir()
    for number, tile in enumerate(mnist()[0][some(30, seed=4)]):
        (tmp_path / "in" / f"{number}.png").write_bytes(png(tile))
    for number in range(5):
        picture = write_number("0123456789", seed=number, kind="shaded", height=12 + 20 * number).image
        (tmp_path / "in" / f"line{number}.png").write_bytes(png(picture))
    done = run("in", "--crops", "crops", "--format", "jsonl")
    records = [json.loads(line) for line in done.out.splitlines()]
    digits = [digit["digit"] for record in records for digit in record["digits"]]
    assert sorted(path.name for path in (tmp_path / "crops").iterdir()) == list("0123456789")
    crops = files(tmp_path / "crops")
    assert sorted(int(crop[0]) for crop in crops) == sorted(digits)
    for crop in crops:
        assert image(tmp_path / "crops" / crop).shape == (28, 28)
    tiles, labels = read_pictures(tmp_path / "crops")
    assert sorted(labels.tolist()) == sorted(digits)
    written = {(int(crop[0]), image(tmp_path / "crops" / crop).tobytes()) for crop in crops}
    assert {(int(label), tile.tobytes()) for tile, label in zip(tiles, labels, strict=True)} == written


def test_crops_are_named_after_picture_and_place(run: Run, reader: Reader, pictures: Path) -> None:
    run("in/img.png", "in/a/img.png", "--crops", "crops")
    assert files(Path("crops")) == sorted(
        ["4/img-1.png", "0/img-2.png", "1/img-3.png", "7/img-4.png", "2/img-2-1.png", "6/img-2-2.png", "8/img-2-3.png"]
    )
    trace = reader.trace(pictures / "img.png")
    assert np.array_equal(image(Path("crops/1/img-3.png")), trace.tiles[2])


def test_rejected_tiles_are_no_crops(run: Run, pictures: Path) -> None:
    assert run("in/img.png", "--crops", "crops", "--min-confidence", 1, "--format", "jsonl").code == 0
    assert len(files(Path("crops"))) < 4


def test_show_prints_the_tiles_below_the_text(run: Run, pictures: Path) -> None:
    lines = run("in/img.png", "in/a/img.png", "--show").out.splitlines()
    assert len(lines) == 2 + 7 * 15
    assert lines[0].startswith("in/img.png: 4017")
    assert lines[1 + 4 * 15].startswith("in/a/img.png: 268")
    assert sum("█" in line for line in lines) > 7 * 8
    assert "\x1b" not in "".join(lines)


@pytest.mark.parametrize("form", ["json", "jsonl", "csv"])
def test_show_goes_with_text_alone(run: Run, pictures: Path, form: str) -> None:
    done = run("in/img.png", "--show", "--format", form, "--save", "out")
    assert (done.code, done.out) == (2, "")
    assert "--show" in done.err
    assert not Path("out").exists()


@pytest.mark.parametrize("form", ["json", "jsonl", "csv"])
def test_the_records_are_the_same_with_and_without_files(run: Run, pictures: Path, form: str) -> None:
    plain = run("in", "--format", form, "--top", 3)
    asked = run("in", "--format", form, "--top", 3, "--save", "a", "--explain", "b", "--crops", "c")
    assert asked == plain


def test_nothing_heavy_is_loaded_where_nothing_is_asked_for(pictures: Path) -> None:
    code = command("classify", str(pictures / "img.png")) + "\nassert 'edge_digits.explain' not in sys.modules"
    assert "cv2" in loaded_after(code)


# ---- what stands there already


@pytest.mark.parametrize(
    ("option", "name"), [("--save", "img-read.png"), ("--explain", "img-explained.png"), ("--crops", "9/img-3.png")]
)
def test_what_is_there_is_kept_and_said_before_anything_is_read(
    run: Run, pictures: Path, option: str, name: str
) -> None:
    """It is the last picture's that is in the way."""
    there = Path("out") / name
    there.parent.mkdir(parents=True)
    there.write_bytes(b"mine")
    done = run("in", option, "out", "-o", "records.txt")
    assert (done.code, done.out) == (2, "")
    assert f"out/{name}: exists already; --force replaces it" in done.err
    assert files(Path("out")) == [name]
    assert there.read_bytes() == b"mine"
    assert not Path("records.txt").exists()


def test_force_replaces_and_leaves_no_crop_under_two_digits(run: Run, pictures: Path) -> None:
    for name in ("9/img-3.png", "9/other-1.png", "1/img-3.png", "notes.txt"):
        (Path("out") / name).parent.mkdir(parents=True, exist_ok=True)
        (Path("out") / name).write_bytes(b"old")
    assert run("in/img.png", "--crops", "out", "--force").code == 0
    expected = ["0/img-2.png", "1/img-3.png", "4/img-1.png", "7/img-4.png", "9/other-1.png", "notes.txt"]
    assert files(Path("out")) == expected
    assert image(Path("out/1/img-3.png")).shape == (28, 28)
    for _ in range(2):
        assert run("in", "--save", "saved", "--explain", "saved", "--force").code == 1
    assert len(files(Path("saved"))) == 6


def test_a_picture_beside_its_own_drawing_is_safe_even_with_force(run: Run, pictures: Path) -> None:
    before = (pictures / "img.png").read_bytes()
    assert run("in/img.png", "--save", "in", "--explain", "in", "--crops", "in", "--force").code == 0
    assert (pictures / "img.png").read_bytes() == before


def test_what_is_written_into_the_searched_folder_is_not_read(run: Run, pictures: Path) -> None:
    done = run("in", "--save", "in", "--crops", "in/z", "--format", "jsonl")
    sources = [json.loads(line)["source"] for line in done.out.splitlines()]
    assert sorted(sources) == ["in/a/img.png", "in/b/broken.png", "in/b/img.png", "in/img.png"]


@pytest.mark.parametrize("option", ["--save", "--explain", "--crops"])
def test_a_file_in_the_folders_place_is_exit_code_1(run: Run, pictures: Path, option: str) -> None:
    Path("out").write_bytes(b"mine")
    done = run("in/img.png", option, "out")
    assert (done.code, done.out) == (1, "")
    assert "out" in done.err
    assert Path("out").read_bytes() == b"mine"


def test_a_folder_in_a_files_place_is_exit_code_1(run: Run, pictures: Path) -> None:
    Path("out/9/img-3.png").mkdir(parents=True)
    done = run("in/img.png", "--crops", "out", "--force")
    assert done.code == 1
    assert "out/9/img-3.png: cannot be replaced" in done.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_made_is_exit_code_1(run: Run, pictures: Path) -> None:
    Path("closed").mkdir(mode=0o500)
    done = run("in/img.png", "--save", "closed/out")
    assert (done.code, done.out) == (1, "")
    assert "closed/out: cannot be made (permission denied)" in done.err


# ---- names


@pytest.mark.parametrize(
    ("arguments", "sources", "names"),
    [
        (["img.png"], ["img.png"], ["img"]),
        (["/x/y/img.jpg"], ["/x/y/img.jpg"], ["img"]),
        (["../img.tar.png"], ["../img.tar.png"], ["img.tar"]),
        (["in"], ["in/a.png", "in/b/9.png"], ["a", "b-9"]),
        (["in/"], ["in/a.png", "in/b/9.png"], ["a", "b-9"]),
        (["."], ["./a.png", "./b/9.png"], ["a", "b-9"]),
        (["/"], ["/a/b.png"], ["a-b"]),
        (["in/*/9.png"], ["in/a/9.png", "in/b/9.png"], ["a-9", "b-9"]),
        (["*.png"], ["a.png", "b.png"], ["a", "b"]),
        (["x/a.png", "y/a.png", "z/a.jpg"], ["x/a.png", "y/a.png", "z/a.jpg"], ["a", "a-2", "a-3"]),
        (["a.png", "a.png"], ["a.png", "a.png"], ["a", "a-2"]),
        (["a.png", "a-2.png", "b/a.png"], ["a.png", "a-2.png", "b/a.png"], ["a", "a-2", "a-3"]),
        (["A.png", "a.jpg"], ["A.png", "a.jpg"], ["A", "a-2"]),
        (["in"], ["in/a-b.png", "in/a/b.png"], ["a-b", "a-b-2"]),
        (["-"], ["-"], ["stdin"]),
        (["-", "stdin.png"], ["-", "stdin.png"], ["stdin", "stdin-2"]),
        (["ü ☂.png"], ["ü ☂.png"], ["ü ☂"]),
        (["a\nb\t.png"], ["a\nb\t.png"], ["a_b_"]),
        ([".hidden.png"], [".hidden.png"], ["hidden"]),
        (["..."], ["..."], ["picture"]),
        (["12:30?.png"], ["12:30?.png"], ["12_30_"]),
    ],
    ids=str,
)
def test_a_picture_has_a_name_of_its_own(arguments: Sequence[str], sources: Sequence[str], names: list[str]) -> None:
    assert name_pictures(sources, arguments) == names


def test_a_thousand_pictures_of_one_name_are_told_apart() -> None:
    sources = [f"{number}/a.png" for number in range(1000)]
    names = name_pictures(sources, sources)
    assert len(set(names)) == 1000
    assert names[-1] == "a-1000"


@pytest.mark.parametrize(
    "name", ["ü☂.png", "a\nb.png", "x" * 251 + ".png", "ü" * 125 + ".png", b"\xff\xfe.png", ".png", "-.png", "a"]
)
def test_any_name_gives_files(run: Run, tmp_path: Path, name: str | bytes) -> None:
    path = tmp_path / "in" / os.fsdecode(name)
    path.parent.mkdir()
    path.write_bytes(png(write_number("40").image))
    options = ("--save", "out", "--explain", "out", "--crops", "crops")
    assert run(f"in/{path.name}", *options).code == 0
    assert len(files(tmp_path / "out")) == 2
    assert len(files(tmp_path / "crops")) == 2


def test_stdin_and_pictures_without_a_digit_have_files(run: Run, tmp_path: Path) -> None:
    (tmp_path / "blank.png").write_bytes(png(blank("white", 60, 90)))
    done = run("-", "blank.png", "--save", "s", "--explain", "e", "--crops", "c", stdin=png(mnist()[0][3]))
    assert done.code == 0
    assert files(tmp_path / "s") == ["blank-read.png", "stdin-read.png"]
    assert files(tmp_path / "e") == ["blank-explained.png", "stdin-explained.png"]
    assert len(files(tmp_path / "c")) == 1
    assert "hard: nothing stands out from the ground" in done.out
