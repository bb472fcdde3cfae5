"""What this machine offers edge-digits, and what is wrong with it: each finding with what to do.

Whatever may crash, hang or print is tried in a process of its own (`probes`), all of them at once.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import edge_digits
from edge_digits.parallel import cores

TIMEOUT = 4.0
"""Seconds until a probe is given up; the whole takes no longer than that and a little."""
PROBES = ("opencv", "onnxruntime", "models", "self-test", "display", "cameras")
_OPENCVS = ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")
"""Packages that all install the module cv2, each over the other's."""
_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(?P<limits>[<>=!~,.0-9]*)$")
_FAST = {"avx2": "AVX2", "avx512_vnni": "VNNI", "avx_vnni": "VNNI", "asimd": "NEON", "neon": "NEON", "asimddp": "DOT"}
"""Flags of Linux's /proc/cpuinfo, and what people call them."""

Status = Literal["ok", "note", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    name: str
    status: Status
    """note: works, but something may be missed; problem: a command will fail."""
    found: str
    advice: str = ""
    """What to do about it; "" where nothing need be done."""

    def text(self) -> str:
        """For people: a line, and one below it with what to do."""
        line = f"{self.status:8} {self.name:12} {self.found}"
        return f"{line}\n{'':21} → {self.advice}" if self.advice else line


def examine(timeout: float = TIMEOUT) -> list[Finding]:
    """All findings, in a fixed order. Needs no network, and writes nothing."""
    children = {probe: _start(probe) for probe in PROBES}
    findings = [*_versions(), _opencv_packages(), _processor(), _threads()]
    deadline = time.monotonic() + timeout
    for probe, child in children.items():
        findings += _answer(probe, child, deadline, timeout)
    return findings


def as_json(findings: Sequence[Finding]) -> str:
    """A list of objects: name, status, found, advice."""
    return json.dumps([asdict(finding) for finding in findings], indent=2)


# ---- Probes


def _start(probe: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "edge_digits.probes", probe],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )


def _answer(probe: str, child: subprocess.Popen[str], deadline: float, timeout: float) -> list[Finding]:
    """What a probe printed; or that it crashed, hangs, or is slow."""
    try:
        out, err = child.communicate(timeout=max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        working = _is_working(child.pid)
        if child.poll() is None:
            child.kill()
            child.communicate()
            return [_no_answer(probe, working, timeout)]
        out, err = child.communicate()  # it had answered while another was waited for
    try:
        found: list[dict[str, Any]] = json.loads(out.splitlines()[-1])
        return [Finding(**finding) for finding in found]
    except (IndexError, ValueError, TypeError):
        last = err.strip().splitlines()[-1] if err.strip() else f"exit code {child.returncode}"
        how = f"ended by signal {-child.returncode}" if child.returncode < 0 else last
        return [Finding(probe, "problem", how, _ADVICE[probe])]


def _no_answer(probe: str, working: bool, timeout: float) -> Finding:
    """Of a probe that was given up: a hang is a problem, being slow or without a display is none."""
    if working:
        found = f"no answer within {timeout:g} s, but still at work: this machine is slow, or busy"
        return Finding(probe, "note", found, "try again when nothing else runs")
    status: Status = "note" if probe == "display" else "problem"
    return Finding(probe, status, f"no answer within {timeout:g} s", _ADVICE[probe])


def _is_working(process: int) -> bool:
    """Whether a process computes, waits for its turn to, or is being traced; where the system does not tell: no."""
    first = _progress(process)
    for _ in range(5):
        time.sleep(0.01)  # s; the counters of Linux are of 0.01 s
        now = _progress(process)
        if now is not None and (now != first or now[0] in "Rt"):
            return True
    return False


def _progress(process: int) -> tuple[str, ...] | None:
    """Linux's state letter of a process, its page faults and seconds of processor time so far."""
    try:
        told = Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return (told[0], told[7], told[9], told[11], told[12])


_ADVICE = {
    "opencv": "pip install --force-reinstall opencv-python, or opencv-python-headless where there is no display",
    "onnxruntime": "pip install --force-reinstall onnxruntime",
    "models": "install edge-digits anew",
    "self-test": "set right what is said above, and try again",
    "display": "webcam --no-window works without",
    "cameras": "unplug the camera that hangs, or name another source; video files and folders work without",
}
"""For a probe that gives no answer at all."""


# ---- What needs no probe


def _versions() -> Iterator[Finding]:
    """Python, this package, and each package that it requires."""
    system = f"{platform.system()} {platform.machine()}"
    yield Finding("Python", "ok", f"{platform.python_version()}, {system}")
    yield Finding("edge-digits", "ok", edge_digits.__version__)
    try:
        required = metadata.requires("edge-digits") or []
    except metadata.PackageNotFoundError:
        yield Finding("packages", "note", "edge-digits is run without being installed", "pip install edge-digits")
        return
    for requirement in required:
        needed, condition, _ = requirement.partition(";")
        if "extra ==" not in requirement and (match := _REQUIREMENT.match(needed.strip())):
            yield _package(match["name"], match["limits"], everywhere=not condition)


def _package(name: str, limits: str, *, everywhere: bool = True) -> Finding:
    """`everywhere`: whether each Python on each processor requires it; onnxruntime is not made for all."""
    for installed, found in _installed(_OPENCVS if name in _OPENCVS else (name,)).items():
        if not within(found, limits):
            return Finding(name, "problem", f"{found}, but {limits} is needed", f"pip install '{installed}{limits}'")
        return Finding(installed, "ok", found)
    advice = "unless the system brings it along" if everywhere else "where there is one for this Python and processor"
    return Finding(name, "note", "not installed as a package", f"pip install {name}, {advice}")


def _installed(names: Sequence[str]) -> dict[str, str]:
    """Those of these packages that are installed, with their versions."""
    found = {}
    for name in names:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def within(version: str, limits: str) -> bool:
    """Whether a version keeps limits such as `<3,>=1.26`; of versions, the numbers before any letter count."""

    def numbers(text: str) -> list[int]:
        return [int(part) for part in re.match(r"[0-9.]*", text)[0].strip(".").split(".") if part]  # type: ignore[index]

    found = numbers(version)
    for limit in filter(None, limits.split(",")):
        sign, bound = limit[:2].rstrip("0123456789."), numbers(limit.lstrip("<>=!~"))
        length = max(len(found), len(bound))
        ours, theirs = ([*side, *[0] * (length - len(side))] for side in (found, bound))
        if not {"<": ours < theirs, "<=": ours <= theirs, ">": ours > theirs, ">=": ours >= theirs}.get(sign, True):
            return False
    return True


def _opencv_packages() -> Finding:
    """Two of them overwrite each other's files, and which one is imported is chance."""
    versions = _installed(_OPENCVS)
    found = [f"{name} {version}" for name, version in versions.items()]
    if len(found) > 1:
        repair = f"pip uninstall -y {' '.join(versions)}, then pip install {next(iter(versions))}"
        return Finding("OpenCV", "problem", f"installed over one another: {', '.join(found)}", repair)
    return Finding("OpenCV", "ok", found[0] if found else "from elsewhere than a Python package")


def _processor() -> Finding:
    """Model and the instructions that matter, as far as the system tells them."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return Finding(
            "processor", "ok", f"{platform.processor() or platform.machine()}; its instructions are not told"
        )
    said: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition(":")
        said.setdefault(key.strip().lower(), value.strip())
    flags = set((said.get("flags") or said.get("features") or "").split())
    fast = list(dict.fromkeys(word for flag, word in _FAST.items() if flag in flags))
    name = said.get("model name") or said.get("hardware") or platform.machine()
    found = f"{name}: {', '.join(fast) or 'none of ' + ', '.join(dict.fromkeys(_FAST.values()))}"
    if fast and not {"VNNI", "DOT"} & set(fast):
        return Finding(
            "processor", "note", found, "int8 answers alike but gains little here; --model digits-fp32 may be as fast"
        )
    return Finding("processor", "ok", found)


def _threads() -> Finding:
    """Cores that this process may use: the machine's, less affinity and a container's limit."""
    machine = os.cpu_count() or 1
    found = f"{cores()} of {machine} cores"
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        if quota != "max":
            found += f", {int(quota) / int(period):g} cores' worth of time"
    except (OSError, ValueError):
        pass
    return Finding("threads", "ok", found)
