"""docs/reading.md is followed to the letter: its commands print what it says, its pictures and options exist."""

from __future__ import annotations

import inspect
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
import test_reading

from edge_digits import ways
from edge_digits.form import Form

ROOT = Path(__file__).parent.parent
GUIDE = ROOT / "docs" / "reading.md"
PICTURE = "docs/pictures/number.jpg"
MOST_BYTES = 150_000
"""Of a picture: a page of them should load at once."""

pytestmark = pytest.mark.skipif(not GUIDE.exists(), reason="the guide is not beside the tests")


@pytest.fixture(scope="module")
def text() -> str:
    return GUIDE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the guide's commands find its picture."""
    path = tmp_path_factory.mktemp("guide")
    (path / PICTURE).parent.mkdir(parents=True)
    shutil.copy(ROOT / PICTURE, path / PICTURE)
    return path


def run(command: str, folder: Path) -> list[str]:
    """The lines that a command of the guide prints; `| head -N` is done here."""
    whole, _, head = command.partition(" | head -")
    program, *arguments = shlex.split(whole)
    assert program == "edge-digits"
    done = subprocess.run(
        [sys.executable, "-X", "utf8", "-m", "edge_digits", *arguments],
        cwd=folder, capture_output=True, encoding="utf-8",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[: int(head) if head else None]


def confidences(lines: list[str]) -> list[float]:
    return [float(found) for line in lines for found in re.findall(r"\d+\.\d\d(?= %)", line)]


def test_each_command_prints_what_stands_below_it(text: str, folder: Path) -> None:
    shown = re.findall(r"^```sh\n([^\n]*)\n```\n\n```\n(.*?)\n```$", text, re.M | re.S)
    pairs = [(command, printed.splitlines()) for command, printed in shown]
    assert len(pairs) == text.count("```sh\n") >= 5
    for command, expected in pairs:
        assert PICTURE in command
        printed = run(command, folder)
        # The last digits of a confidence are the CPU's.
        apart = [[re.sub(r"\d+\.\d\d %", "", line).rstrip() for line in lines] for lines in (printed, expected)]
        assert apart[0] == apart[1], command
        assert confidences(printed) == pytest.approx(confidences(expected), abs=1.5), command


def test_each_option_of_the_table_writes_the_file_that_it_names(text: str, folder: Path) -> None:
    table = text.partition("## Look inside")[2].partition("## What it cannot read")[0]
    rows = re.findall(r"^\| `(--\w+ \w+)` \| `([\w/.-]+)`", table, re.M)
    assert [row[0].split()[0] for row in rows] == ["--explain", "--save", "--crops"]
    run(f"edge-digits classify {PICTURE} --force " + " ".join(option for option, _ in rows), folder)
    for _, path in rows:
        assert cv2.imread(str(folder / path)) is not None, path


def test_its_pictures_exist_and_are_small(text: str) -> None:
    linked = re.findall(r"!\[.+?\]\((.+?)\)", text)
    assert {Path(link).name for link in linked} == {path.name for path in GUIDE.parent.glob("pictures/reading-*.png")}
    for link in linked:
        path = GUIDE.parent / link
        assert cv2.imread(str(path)) is not None, link
        assert path.stat().st_size < MOST_BYTES, link


def test_its_patterns_are_patterns(text: str) -> None:
    rows = re.findall(r"^\| `(.*)` \| (.*?) \|(?: (\d+))? \|$", text.partition("| pattern |")[2], re.M)
    assert len(rows) >= 6
    for pattern, written, read in rows:
        assert str(Form.of_pattern(pattern)) == f"--pattern {pattern}"
        if read:  # a form is a regular expression with fewer means
            assert re.fullmatch(pattern, written), pattern
            assert re.sub(r"\D", "", written) == read


def test_what_a_cut_is_worth_is_what_the_code_says(text: str) -> None:
    table = text.partition("| what | with scores | without |")[2].partition("\n\n")[0].replace("−", "-")
    rows = re.findall(r"^\| .*? \| (-?\d+\.\d) \| (-?\d+\.\d) \|$", table, re.M)
    for column, w in enumerate((ways.SCORED, ways.PLAIN)):
        assert [float(row[column]) for row in rows] == pytest.approx(
            [-w.whole, -w.whole_score, -w.parts, -w.parts_score, w.crossed, w.width, w.low, w.base + w.rare]
        )


def test_what_it_says_is_not_read_is_what_the_tests_miss(text: str) -> None:
    """Each kind that is missed has its row, with as many pictures; what is met has none."""
    table = text.partition("## What it cannot read")[2].partition("## How the figures")[0]
    counts = sorted(int(count) for count in re.findall(r"^\| .* \| \d+ of (\d+) \|$", table, re.M))
    letters_and_words = [200, 400, 400]
    assert counts == sorted([each.count for each in test_reading.MISSED] + letters_and_words)


def test_the_modules_it_names_exist(text: str) -> None:
    package = Path(inspect.getfile(ways)).parent
    named = set(re.findall(r"^##.* – (.*)$", text, re.M))
    modules = {module for names in named for module in re.findall(r"`(\w+\.py)`", names)}
    assert len(modules) >= 7
    assert all((package / module).exists() for module in modules)
