"""The numpy engine gives what onnxruntime gives, and takes its place where there is none."""

from __future__ import annotations

import pickle
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx_bytes import INT64, NODES, SCALE, WEIGHT, field, graph, model, node
from packaging.requirements import Requirement
from pictures import csv_table, some

from edge_digits import Classifier
from edge_digits.errors import EngineWarning, LibraryError, ModelError
from edge_digits.model_check import CheckTiles
from edge_digits.model_files import bundled_files, load_manifest, load_model_file
from edge_digits.numpy_engine import NumpyEngine
from edge_digits.numpy_operators import OPERATORS

Tiles = NDArray[np.uint8]
Make = Callable[..., Path]


# ---- the bundled models


@pytest.mark.parametrize("name", bundled_files())
def test_every_digit_of_the_check_tiles_is_the_same(name: str) -> None:
    entry = load_manifest()["models"][name.rpartition("-")[0]]
    check = CheckTiles.from_dict(name, entry["check"])
    assert len(check.tiles) >= 10
    found = Classifier(name, engine="numpy").classify(check.tiles)
    told = Classifier(name, engine="onnxruntime").classify(check.tiles)
    assert np.array_equal(found.digits, told.digits)
    np.testing.assert_allclose(found.probabilities, told.probabilities, atol=0.01 if "int8" in name else 1e-5)


@pytest.mark.parametrize("name", bundled_files())
def test_hard_tiles_get_the_same_answers(name: str, tiles: Tiles) -> None:
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 256, (60, 28, 28), dtype=np.uint8)
    faint = (tiles[some(60)] * 0.15).astype(np.uint8)
    hard = np.concatenate([tiles[some(300)], noise, faint])
    found, told = (Classifier(name, engine=engine).classify(hard) for engine in ("numpy", "onnxruntime"))
    # In int8 a value on the boundary of two may be rounded either way; it seldom shows, and never by much.
    assert np.abs(found.probabilities - told.probabilities).max() < (0.02 if "int8" in name else 1e-5)
    clear = np.sort(told.probabilities, axis=1)[:, -1] - np.sort(told.probabilities, axis=1)[:, -2] > 0.04
    assert np.array_equal(found.digits[clear], told.digits[clear])
    assert clear.mean() > 0.8


def test_each_tile_alone_gives_what_it_gives_among_others(tiles: Tiles) -> None:
    classifier = Classifier(engine="numpy")
    chosen = tiles[some(23)]  # no multiple of a batch
    alone = np.concatenate([classifier.classify(tile).probabilities for tile in chosen])
    np.testing.assert_allclose(classifier.classify(chosen).probabilities, alone, atol=0.01)
    assert classifier.classify(chosen[:0]).probabilities.shape == (0, 10)


def test_it_says_which_engine_it_is() -> None:
    assert Classifier().engine == Classifier(engine="onnxruntime").engine == "onnxruntime"
    assert Classifier(engine="numpy").engine == "numpy"


# ---- each operator against onnxruntime's

Case = tuple[str, list[NDArray[Any]], dict[str, Any]]
RNG = np.random.default_rng(0)


def normal(*shape: int) -> NDArray[np.float32]:
    return RNG.normal(size=shape).astype(np.float32)


def scaled(kind: type[np.integer], channels: int | None = None) -> list[NDArray[Any]]:
    """A scale and a zero point; one for each channel, if asked."""
    if channels is None:
        return [np.float32(0.07).reshape(()), np.array(3, kind)]
    return [np.linspace(0.01, 0.3, channels, dtype=np.float32), np.arange(channels).astype(kind)]


def whole(kind: type[np.integer], *shape: int) -> NDArray[Any]:
    return RNG.integers(np.iinfo(kind).min, np.iinfo(kind).max, shape, dtype=kind, endpoint=True)


X, W, B = normal(2, 6, 9, 8), normal(4, 6, 3, 2), normal(4)
CASES: list[Case] = [
    ("Add", [X, normal(6, 1, 1)], {}),
    ("Gather", [X, np.array([2, 0, 2], np.int32)], {"axis": 2}),
    ("Gather", [X, np.array([[1, 0]])], {"axis": 1}),
    ("Pad", [X, np.array([0, 0, 1, 2, 0, 0, 0, 3])], {}),
    ("Pad", [whole(np.uint8, 2, 3, 6, 6), np.array([0, 1, 0, 0, 0, 0, 0, 1]), np.array(7, np.uint8)], {}),
    ("Tile", [X, np.array([1, 2, 1, 3])], {}),
    ("Sub", [X, normal(6, 1, 1)], {}),
    ("Mul", [X, normal(6, 1, 1)], {}),
    ("Div", [X, normal(6, 1, 1) + 3], {}),
    ("Max", [X, normal(6, 1, 1), normal(1)], {}),
    ("Min", [X, normal(6, 1, 1)], {}),
    ("Relu", [X], {}),
    ("Tanh", [X], {}),
    ("Sigmoid", [100 * X], {}),
    ("Identity", [X], {}),
    ("Softmax", [X], {}),
    ("Softmax", [100 * X], {"axis": 1}),
    ("Concat", [X, X, -X], {"axis": 1}),
    ("Transpose", [X], {}),
    ("Transpose", [X], {"perm": [0, 2, 3, 1]}),
    ("Flatten", [X], {}),
    ("Flatten", [X], {"axis": 2}),
    ("Flatten", [X], {"axis": 0}),
    ("Reshape", [X, np.array([0, -1], np.int64)], {}),
    ("Reshape", [X, np.array([2, 3, 0, 16], np.int64)], {}),
    ("MatMul", [normal(3, 5), normal(5, 4)], {}),
    ("Gemm", [normal(3, 5), normal(5, 4), normal(4)], {}),
    ("Gemm", [normal(5, 3), normal(4, 5)], {"transA": 1, "transB": 1, "alpha": 0.5}),
    ("Gemm", [normal(3, 5), normal(4, 5), normal(3, 4)], {"transB": 1, "alpha": 2.0, "beta": 0.25}),
    ("Conv", [X, W, B], {"kernel_shape": [3, 2]}),
    ("Conv", [X, W], {}),
    ("Conv", [X, W, B], {"strides": [2, 3], "pads": [1, 0, 2, 1]}),
    ("Conv", [X, W, B], {"dilations": [2, 3]}),
    ("Conv", [X, W, B], {"auto_pad": "SAME_UPPER", "strides": [2, 1]}),
    ("Conv", [X, W, B], {"auto_pad": "SAME_LOWER"}),
    ("Conv", [X, W, B], {"auto_pad": "VALID"}),
    ("Conv", [X, normal(4, 3, 3, 3), B], {"group": 2}),
    ("Conv", [X, normal(6, 1, 3, 3), normal(6)], {"group": 6, "pads": [1, 1, 1, 1]}),
    ("MaxPool", [X], {"kernel_shape": [2, 2], "strides": [2, 2]}),
    ("MaxPool", [X - 9], {"kernel_shape": [3, 2], "pads": [1, 0, 1, 1]}),
    ("MaxPool", [X], {"kernel_shape": [2, 2], "dilations": [2, 2]}),
    ("MaxPool", [whole(np.uint8, 2, 3, 6, 6)], {"kernel_shape": [2, 2], "pads": [1, 1, 1, 1]}),
    ("AveragePool", [X], {"kernel_shape": [2, 3], "strides": [2, 1]}),
    ("AveragePool", [X], {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
    ("AveragePool", [X], {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1}),
    ("GlobalAveragePool", [X], {}),
    ("GlobalMaxPool", [X], {}),
    ("QuantizeLinear", [X, *scaled(np.uint8)], {}),
    ("QuantizeLinear", [X, *scaled(np.int8)], {}),
    ("QuantizeLinear", [X, *scaled(np.uint8, 6)], {}),
    ("QuantizeLinear", [normal(6, 2), *scaled(np.int8, 6)], {"axis": 0}),
    ("QuantizeLinear", [np.array([0.5, 1.5, 2.5, -1.0], np.float32), np.float32(1).reshape(())], {}),
    ("DequantizeLinear", [whole(np.uint8, 2, 6, 3), *scaled(np.uint8)], {}),
    ("DequantizeLinear", [whole(np.int8, 2, 6, 3), *scaled(np.int8, 6)], {}),
    ("DequantizeLinear", [whole(np.int8, 6, 3), *scaled(np.int8, 6)], {"axis": 0}),
    ("DequantizeLinear", [whole(np.int32, 9) // 1000, np.float32(0.001).reshape(())], {}),
]


def names_of(cases: Sequence[Case]) -> list[str]:
    return [f"{kind}-{'-'.join(said) or 'plain'}-{i}" for i, (kind, _, said) in enumerate(cases)]


def one_operator(kind: str, inputs: Sequence[NDArray[Any]], said: dict[str, Any], free: bool) -> bytes:
    """A graph of it alone; its first input is given when it runs if `free`, the others stand in the file."""
    names = [f"input{i}" for i in range(len(inputs))]
    inside = [numpy_helper.from_array(x, name) for x, name in zip(inputs, names, strict=True)][1 if free else 0 :]
    given = [helper.make_tensor_value_info("input0", helper.np_dtype_to_tensor_dtype(inputs[0].dtype), None)]
    out = helper.make_empty_tensor_value_info("out")
    graph = helper.make_graph(
        [helper.make_node(kind, names, ["out"], **said)], "one", given if free else [], [out], inside
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(onnx.shape_inference.infer_shapes(made).SerializeToString())


@pytest.mark.parametrize("case", CASES, ids=names_of(CASES))
def test_an_operator_gives_what_onnxruntime_gives(case: Case, tmp_path: Path) -> None:
    kind, inputs, said = case
    data = one_operator(kind, inputs, said, free=True)
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"input0": inputs[0]})
    (tmp_path / "one.onnx").write_bytes(data)
    (found,) = NumpyEngine(load_model_file(tmp_path / "one.onnx")).run(["out"], inputs[0])
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    if expected.dtype == np.float32:
        np.testing.assert_allclose(found, expected, atol=2e-6, rtol=2e-6)
    else:
        assert np.array_equal(found, expected)


def test_every_operator_has_a_case() -> None:
    assert {kind for kind, _, _ in CASES} == set(OPERATORS)


# ---- what it refuses


def test_an_operator_that_it_does_not_know_is_named(tmp_path: Path) -> None:
    (tmp_path / "odd.onnx").write_bytes(one_operator("Erf", [X], {}, free=True))
    with pytest.raises(
        ModelError, match=r"odd\.onnx: its operator 'Erf' is not known to the numpy engine.*onnxruntime"
    ):
        NumpyEngine(load_model_file(tmp_path / "odd.onnx"))


def test_constants_that_do_not_fit_their_operator_are_named(tmp_path: Path) -> None:
    """Found by fuzzing: a Reshape of one input, all of whose inputs are constants."""
    path = tmp_path / "odd.onnx"
    path.write_bytes(model(graph((node("Reshape", ["scale"], ["rows"]), *NODES))))
    with pytest.raises(ModelError, match=r"odd\.onnx: its operator 'Reshape' cannot be applied to its constants"):
        Classifier(path, engine="numpy")


def test_a_number_without_end_is_refused_at_once(tmp_path: Path) -> None:
    """Each byte more would be a longer number to add up: 1 MB of them took minutes."""
    path = tmp_path / "odd.onnx"
    endless = field(1, 1) + field(2, INT64) + field(8, "flat") + field(7, b"\xff" * 1_000_000)
    path.write_bytes(model(graph(tensors=(SCALE, endless, WEIGHT))))
    started = time.monotonic()
    with pytest.raises(ModelError, match="its tensor 'flat' cannot be read"):
        Classifier(path, engine="numpy")
    assert time.monotonic() - started < 5


def softmax_model(path: Path, tile: int = TensorProto.UINT8, answers: str = "probabilities", sides: int = 784) -> Path:
    """A model of the contract, as far as it is not asked to break it: one dense layer."""
    weights = np.random.default_rng(2).normal(0, 0.05, (sides, 10)).astype(np.float32)
    inside = {"scale": np.array(1 / 255, np.float32), "shape": np.array([-1, 784], np.int64), "weights": weights}
    graph = helper.make_graph(
        [
            helper.make_node("DequantizeLinear", ["tiles", "scale"], ["light"]),
            helper.make_node("Reshape", ["light", "shape"], ["flat"]),
            helper.make_node("MatMul", ["flat", "weights"], ["sums"]),
            helper.make_node("Softmax", ["sums"], [answers]),
        ],
        "softmax",
        [helper.make_tensor_value_info("tiles", tile, ["N", 28, 28])],
        [helper.make_tensor_value_info(answers, TensorProto.FLOAT, ["N", 10])],
        [numpy_helper.from_array(value, name) for name, value in inside.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(made.SerializeToString())
    return path


def test_a_model_of_ones_own_runs_alike(tmp_path: Path, tiles: Tiles) -> None:
    path = softmax_model(tmp_path / "mine.onnx")
    found, told = (Classifier(path, engine=engine).classify(tiles[:50]) for engine in ("numpy", "onnxruntime"))
    np.testing.assert_allclose(found.probabilities, told.probabilities, atol=1e-6)
    assert np.ptp(found.probabilities, axis=0).max() > 0.1


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ({"tile": TensorProto.FLOAT}, r"tiles is tensor\(float\) \['N', 28, 28\], not tensor\(uint8\)"),
        ({"answers": "classes"}, "its outputs are classes, without probabilities"),
        ({"sides": 783}, "numpy cannot run it"),
    ],
)
def test_the_contract_is_asked_for_alike(tmp_path: Path, broken: dict[str, Any], reason: str) -> None:
    with pytest.raises(ModelError, match=reason):
        Classifier(softmax_model(tmp_path / "odd.onnx", **broken), engine="numpy")


# ---- where onnxruntime cannot be had


@pytest.fixture
def no_onnxruntime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "edge_digits.onnxruntime_engine", raising=False)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # its import fails as if it were not installed


@pytest.mark.usefixtures("no_onnxruntime")
def test_without_onnxruntime_numpy_takes_its_place(tiles: Tiles) -> None:
    with pytest.warns(EngineWarning, match="onnxruntime cannot be loaded.*numpy"):
        classifier = Classifier()
    assert classifier.engine == "numpy"
    assert np.mean(classifier.classify(tiles[:200]).digits == np.repeat(0, 200)) > 0.9
    with pytest.raises(LibraryError, match="onnxruntime cannot be loaded"):
        Classifier(engine="onnxruntime")


@pytest.fixture
def no_session(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("this processor is unknown")

    monkeypatch.setattr(onnxruntime, "InferenceSession", refuse)


@pytest.mark.usefixtures("no_session")
def test_where_no_session_starts_numpy_runs_a_bundled_model() -> None:
    with pytest.warns(EngineWarning, match="this processor is unknown"):
        assert Classifier().engine == "numpy"


@pytest.mark.usefixtures("no_session")
def test_a_model_of_ones_own_that_onnxruntime_refuses_stays_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="onnxruntime cannot load it: this processor is unknown"):
        Classifier(softmax_model(tmp_path / "mine.onnx"))


def test_the_numpy_engine_never_loads_onnxruntime_and_says_nothing(tmp_path: Path, tiles: Tiles) -> None:
    (tmp_path / "test.csv").write_bytes(csv_table(tiles[:30]))
    code = f"""
import sys
sys.argv = ["edge-digits", "submit", {str(tmp_path / "test.csv")!r}, "--engine", "numpy", "-o", "-"]
from edge_digits.cli import main
try:
    main()
except SystemExit:
    print("onnxruntime" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines()[:1] == ["ImageId,Label"]
    assert done.stdout.splitlines()[-1] == "False"
    assert len(done.stderr.splitlines()) == 1  # how many rows were written


@pytest.mark.usefixtures("no_onnxruntime")
def test_a_copy_of_what_numpy_runs_says_nothing_again() -> None:
    with pytest.warns(EngineWarning):
        classifier = Classifier()
    assert pickle.loads(pickle.dumps(classifier)).engine == "numpy"  # a warning would be an error here


# ---- where it is asked for


@pytest.mark.parametrize(
    ("machine", "python", "asked"),
    [
        ("x86_64", "3.11", True),
        ("x86_64", "3.14", True),
        ("aarch64", "3.13", True),
        ("arm64", "3.12", True),
        ("AMD64", "3.11", True),
        ("armv7l", "3.11", False),
        ("i686", "3.11", False),
        ("riscv64", "3.13", False),
        ("x86_64", "3.15", False),
    ],
)
def test_onnxruntime_is_required_where_it_has_wheels(machine: str, python: str, asked: bool) -> None:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (required,) = [found for found in map(Requirement, project["dependencies"]) if found.name == "onnxruntime"]
    assert required.marker is not None
    assert required.marker.evaluate({"platform_machine": machine, "python_version": python}) is asked
