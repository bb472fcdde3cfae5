"""The README says what the program does now."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from edge_digits.model_files import load_manifest

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"

pytestmark = pytest.mark.skipif(not README.exists(), reason="the README is not beside the tests")


def blocks(language: str) -> list[str]:
    """The code blocks of the README in this language; "" for those that name none."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", README.read_text(encoding="utf-8"), re.M | re.S)
    return [text for named, text in found if named == language]


def test_the_first_command_prints_what_the_readme_shows() -> None:
    command = [sys.executable, "-m", "edge_digits", "classify", "docs/pictures/number.jpg"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    shown = next(block for block in blocks("") if block.startswith("docs/pictures"))
    # The last digits of a confidence are the CPU's.
    confidence = r"\(\d+\.\d\d %\)"
    assert re.sub(confidence, "", done.stdout) == re.sub(confidence, "", shown)
    values = [float(re.search(r"\((.*) %\)", text)[1]) for text in (done.stdout, shown)]  # type: ignore[index]
    assert values[0] == pytest.approx(values[1], abs=0.05)


def test_the_python_of_the_readme_runs_and_prints_what_its_comments_say() -> None:
    [code] = blocks("python")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[0] == "['4017', '268', '59']"
    assert done.stdout.splitlines()[-1].startswith("[1 1] [0.9")


def test_the_figures_of_the_bundled_models_are_those_of_the_manifest() -> None:
    text = README.read_text(encoding="utf-8")
    for name, entry in load_manifest()["models"].items():
        for precision, file in entry["files"].items():
            found = file["accuracy"]
            low, high = found["interval"]
            accuracy = f"{100 * found['accuracy']:.2f} % ({100 * low:.2f} to {100 * high:.2f})"
            row = f"| {entry['parameters']:,} | {file['bytes']:,} | {accuracy} |"
            assert re.search(rf"^\| `{name}-{precision}`.*{re.escape(row)}", text, re.M), row


def test_every_option_of_the_readme_exists() -> None:
    text = "\n".join(blocks("sh"))
    for line in text.splitlines():
        for command in re.findall(r"edge-digits (\w+)", line.partition("#")[0]):
            help_text = subprocess.run(
                [sys.executable, "-m", "edge_digits", command, "--help"], capture_output=True, text=True, check=True
            ).stdout
            for option in re.findall(r"\s(--[a-z-]+)", line.partition("#")[0].partition(f"edge-digits {command}")[2]):
                assert option in help_text, f"{command} {option}"
