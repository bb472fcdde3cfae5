#!/usr/bin/env bash
# Runs the runtime's tests with other versions of what it needs, each set in an environment of its own:
#
#     tests/reliability/platforms.sh oldest newest              # as CI does, with the python3 there is
#     FULL=1 tests/reliability/platforms.sh                     # all sets, all of the runtime's tests
#     FULL=1 PYTHONS="python3.12 python3.14" tests/reliability/platforms.sh newest numpy-alone
#
# A set says what is installed with the package:
#     oldest       the lowest versions that pyproject.toml allows (they have wheels for Python 3.11 and 3.12)
#     newest       the highest
#     opencv4      the newest OpenCV 4
#     headless     opencv-python-headless instead of opencv-python
#     numpy-alone  no onnxruntime: numpy runs the models (the tests that look at stderr are left out: it says so there)
set -euo pipefail
cd "$(dirname "$0")/../.."
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_QUIET=1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

quick="images tables tiles reader onnx_file outputs fuzz_corpus picture_pool video"
others="cli cut doctor draw evaluate_pictures events explain find find_properties form live load metrics
    mjpeg offline on_reading parallel picture_files reading recording replay same_answers show steady still stop streams
    track variations view webcam"
alone="images tables tiles reader find find_properties form cut explain reading same_answers steady track variations"
paths() { for name in "$@"; do echo "tests/test_$name.py"; done; }

needs() { # what pip is told beside the package, which else takes the newest of everything
    case $1 in
    oldest) echo numpy==1.26.0 onnxruntime==1.17.0 opencv-python==4.8.0.76 typer==0.15.4 ;;
    opencv4) echo 'opencv-python<5' ;;
    newest | headless | numpy-alone) ;;
    *) echo "no set is called $1" >&2 && return 2 ;;
    esac
}

failed=0
for python in ${PYTHONS:-python3}; do
    for set in ${*:-oldest newest opencv4 headless numpy-alone}; do
        versions=$(needs "$set")
        venv=$scratch/$set
        "$python" -m venv "$venv"
        # shellcheck disable=SC2086 – several words
        "$venv/bin/pip" install . pytest pytest-xdist hypothesis mlxtend pillow $versions
        case $set in
        headless) "$venv/bin/pip" uninstall --yes opencv-python && "$venv/bin/pip" install opencv-python-headless ;;
        numpy-alone) "$venv/bin/pip" uninstall --yes onnxruntime ;;
        esac
        "$venv/bin/python" - <<'versions'
import importlib.metadata as have, platform
names = ("numpy", "onnxruntime", "opencv-python", "opencv-python-headless", "typer")
print("Python", platform.python_version(), *(f"{d.name} {d.version}" for d in have.distributions() if d.name in names))
versions
        # shellcheck disable=SC2046,SC2086 – a list of files
        case $set in
        numpy-alone) "$venv/bin/python" -m pytest -W ignore::edge_digits.errors.EngineWarning $(paths $alone) || failed=1 ;;
        *) "$venv/bin/python" -m pytest $(paths $quick ${FULL:+$others}) || failed=1 ;;
        esac
        rm -rf "$venv"
    done
done
exit $failed
