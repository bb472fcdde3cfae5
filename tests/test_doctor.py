from __future__ import annotations

import json
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import pytest
from commands import Run, runner

from edge_digits import Reader, doctor, probes
from edge_digits.doctor import Finding, as_json, examine, within


@pytest.fixture(scope="module")
def findings() -> dict[str, Finding]:
    return {finding.name: finding for finding in examine(timeout=60)}  # s, on a busy machine


@pytest.fixture
def run(capfd, monkeypatch) -> Run:
    return runner(capfd, monkeypatch, "doctor")


def child(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def answered(code: str, timeout: float = 5.0) -> list[Finding]:
    return doctor._answer("opencv", child(code), time.monotonic() + timeout, timeout)


def test_everything_is_looked_at_on_a_machine_that_works(findings):
    assert {
        "Python",
        "edge-digits",
        "numpy",
        "onnxruntime",
        "typer",
        "OpenCV",
        "processor",
        "threads",
    } <= findings.keys()
    assert {
        "OpenCV build",
        "classifier",
        "digits-fp32",
        "digits-int8",
        "self-test",
        "display",
        "camera",
    } <= findings.keys()
    assert [finding for finding in findings.values() if finding.status == "problem"] == []
    assert findings["self-test"].found.startswith("self_test.jpg says 4017 / 268 / 59, in ")
    assert findings["numpy"].found == metadata.version("numpy")
    assert findings["digits-int8"].found.split()[-6:] == ["check", *findings["digits-int8"].found.split()[-5:]]


def test_what_may_be_missed_says_what_to_do(findings):
    for finding in findings.values():
        assert bool(finding.advice) == (finding.status != "ok"), finding


def test_shipped_picture_says_what_the_self_test_expects():
    assert Reader().read(probes.SELF_TEST).lines == probes.SELF_TEST_LINES


def test_self_test_fails_where_something_else_is_read(monkeypatch):
    monkeypatch.setattr(probes, "SELF_TEST_LINES", ["4018"])
    (answer,) = probes.PROBES["self-test"]()
    assert answer["status"] == "problem"
    assert "says 4018, but 4017 / 268 / 59 was read" in answer["found"]


def test_damaged_model_is_a_problem_and_the_other_is_still_checked(monkeypatch):
    from edge_digits import model_files

    load = model_files._load_bundled

    def damaged(name: str) -> tuple[str, bytes, str]:
        name, data, sha256 = load(name)
        if name == "digits-fp32":
            raise doctor_error("digits-fp32: its SHA-256 is not that of the manifest")
        return name, data, sha256

    from edge_digits.errors import ModelError as doctor_error

    monkeypatch.setattr(model_files, "_load_bundled", damaged)
    answers = {answer["name"]: answer for answer in probes.PROBES["models"]()}
    assert answers["digits-fp32"]["status"] == "problem"
    assert "SHA-256" in answers["digits-fp32"]["found"]
    assert answers["digits-int8"]["status"] == "ok"


def test_probe_that_crashes_hangs_or_talks_nonsense_is_a_problem():
    (crashed,) = answered("import os; os.abort()")
    assert (crashed.status, crashed.found) == ("problem", "ended by signal 6")
    started = time.monotonic()
    (hung,) = answered("import time; time.sleep(60)", timeout=2)
    assert hung.found == "no answer within 2 s"
    assert time.monotonic() - started < 5
    (raised,) = answered("import nothing_like_it")
    assert raised.found == "ModuleNotFoundError: No module named 'nothing_like_it'"
    (silent,) = answered("raise SystemExit(7)")
    assert silent.found == "exit code 7"
    for finding in (crashed, hung, raised, silent):
        assert finding.status == "problem"
        assert "pip install --force-reinstall opencv-python" in finding.advice


def test_probe_that_had_answered_is_heard_when_another_used_up_the_time():
    ended = child('print(\'[{"name": "a", "status": "ok", "found": "b", "advice": ""}]\')')
    ended.wait()
    assert doctor._answer("opencv", ended, time.monotonic() - 1, 4) == [Finding("a", "ok", "b")]


@pytest.mark.skipif(sys.platform != "linux", reason="the system does not tell what a process does")
def test_probe_that_is_slow_is_no_problem():
    (slow,) = answered("while True: pass", timeout=0.5)
    assert slow.status == "note"
    assert slow.found.startswith("no answer within 0.5 s, but still at work")


def test_display_that_does_not_answer_is_no_problem():
    asleep = child("import time; time.sleep(60)")
    time.sleep(1)  # until it is loaded and asleep
    (finding,) = doctor._answer("display", asleep, time.monotonic() + 1, 1)
    assert (finding.status, finding.found) == ("note", "no answer within 1 s")


def test_library_that_cannot_be_loaded_is_told_with_its_remedy(tmp_path, monkeypatch):
    (tmp_path / "cv2.py").write_text("raise ImportError('libGL.so.1: cannot open shared object file')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    found = {
        finding.name: finding for finding in doctor._answer("opencv", doctor._start("opencv"), time.monotonic() + 9, 9)
    }
    assert found["opencv"].status == "problem"
    assert "libGL.so.1" in found["opencv"].found + found["opencv"].advice
    assert "opencv-python-headless" in found["opencv"].advice


def test_two_opencvs_are_a_problem(monkeypatch):
    versions = {"opencv-python": "5.0.0", "opencv-python-headless": "4.12.0"}

    def version(name: str) -> str:
        if name not in versions:
            raise metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(doctor.metadata, "version", version)
    both = doctor._opencv_packages()
    assert both.status == "problem"
    assert both.advice == "pip uninstall -y opencv-python opencv-python-headless, then pip install opencv-python"
    del versions["opencv-python"]
    assert (doctor._opencv_packages().status, doctor._opencv_packages().found) == (
        "ok",
        "opencv-python-headless 4.12.0",
    )
    assert doctor._package("opencv-python", ">=4.8,<6").found == "4.12.0"
    assert doctor._package("opencv-python", ">=4.13").advice == "pip install 'opencv-python-headless>=4.13'"


def test_a_package_that_is_not_made_for_every_python_is_asked_for_where_there_is_one(monkeypatch):
    monkeypatch.setattr(doctor.metadata, "requires", lambda _: ["numpy>=1", "absent<2 ; python_version < '3.15'"])
    *_, numpy, absent = doctor._versions()
    assert (numpy.name, numpy.status) == ("numpy", "ok")
    assert (absent.name, absent.status) == ("absent", "note")
    assert absent.advice == "pip install absent, where there is one for this Python and processor"
    assert doctor._package("absent", "").advice == "pip install absent, unless the system brings it along"


@pytest.mark.parametrize(
    ("version", "limits", "kept"),
    [
        ("2.4.6", "<3,>=1.26", True),
        ("3.0.0rc1", "<3,>=1.26", False),
        ("1.9", "<3,>=1.26", False),
        ("1.26", ">=1.26.0", True),
        ("5.0.0.93", ">=4.8,<6", True),
        ("10.0", ">=9.9", True),
        ("2.0", "<=2", True),
        ("2.0.1", "<=2", False),
        ("1.0", "", True),
    ],
)
def test_versions_are_compared_as_numbers(version, limits, kept):
    assert within(version, limits) == kept


@pytest.mark.parametrize(
    ("flags", "status", "said"),
    [
        ("flags\t\t: fpu avx2 avx512_vnni", "ok", "AVX2, VNNI"),
        ("flags\t\t: fpu avx2", "note", "AVX2"),
        ("Features\t: fp asimd asimddp", "ok", "NEON, DOT"),
        ("flags\t\t: fpu sse2", "ok", "none of AVX2, VNNI, NEON, DOT"),
    ],
)
def test_instructions_that_matter_are_told(tmp_path, monkeypatch, flags, status, said):
    told = tmp_path / "cpuinfo"
    told.write_text(f"processor\t: 0\nmodel name\t: Some CPU\n{flags}\n")
    monkeypatch.setattr(doctor, "Path", lambda _: told)
    finding = doctor._processor()
    assert (finding.status, finding.found) == (status, f"Some CPU: {said}")


def test_command_prints_findings_and_ends_with_0_or_3(run, monkeypatch):
    good, bad = Finding("numpy", "ok", "2.4"), Finding("OpenCV", "problem", "two of them", "uninstall one")
    monkeypatch.setattr(doctor, "examine", lambda: [good])
    done = run()
    assert (done.code, done.out) == (0, "ok       numpy        2.4\n")
    monkeypatch.setattr(doctor, "examine", lambda: [good, bad])
    done = run()
    assert done.code == 3
    assert done.out.splitlines()[1:] == ["problem  OpenCV       two of them", f"{'':21} → uninstall one"]
    done = run("--format", "json")
    assert done.code == 3
    assert json.loads(done.out) == [
        {"name": "numpy", "status": "ok", "found": "2.4", "advice": ""},
        {"name": "OpenCV", "status": "problem", "found": "two of them", "advice": "uninstall one"},
    ]
    assert as_json([good, bad]) + "\n" == done.out


def test_command_takes_less_than_five_seconds_even_where_a_probe_hangs(tmp_path):
    (tmp_path / "onnxruntime.py").write_text("import time; time.sleep(60)")
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "edge_digits", "doctor", "--format", "json"],
        capture_output=True, text=True, timeout=60, check=False,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{tmp_path}:{':'.join(sys.path[1:])}"},
    )  # fmt: skip
    assert time.monotonic() - started < 20  # 5 where nothing else runs
    assert done.returncode == 3
    found = {finding["name"]: finding for finding in json.loads(done.stdout)}
    assert found["onnxruntime"]["found"] in ("no answer within 4 s", metadata.version("onnxruntime"))
    assert "no answer within 4 s" in {finding["found"] for finding in found.values()}
    assert Path(done.stderr).name == ""
