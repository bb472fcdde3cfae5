"""The commands `edge-digits models …` and what they call."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import Run, runner
from pictures import csv_table, mnist

import edge_digits_models
from edge_digits import Classifier
from edge_digits.answers import Answers
from edge_digits.errors import ModelError, TableError
from edge_digits.model_check import TOLERANCES, CheckTiles, check_answers, check_contract, verify
from edge_digits.model_diff import diff
from edge_digits.model_files import bundled_by_sha256, bundled_files, card, load_manifest, load_model_file
from edge_digits.onnx_file import read_onnx
from edge_digits.weights import read_scales, read_weights

BUNDLED = Path(edge_digits_models.__file__).parent
FILES = bundled_files()


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `edge-digits models …` in this process."""

    return runner(capfd, monkeypatch, "models")


@pytest.fixture
def onnx() -> Any:
    return pytest.importorskip("onnx", reason="the train extra is not installed")


def changed(onnx: Any, folder: Path, change: Callable[[Any], object], name: str = "digits-fp32") -> Path:
    """A bundled model with a change."""
    model = onnx.load(BUNDLED / f"{name}.onnx")
    change(model)
    path = folder / "changed.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def initializer(model: Any, name: str) -> Any:
    return next(tensor for tensor in model.graph.initializer if tensor.name == name)


# ---- names and cards


def test_the_files_of_a_name_are_found() -> None:
    manifest = load_manifest()
    every = [f"{model}-{precision}" for model, entry in manifest["models"].items() for precision in entry["files"]]
    assert bundled_files() == every
    assert bundled_files("digits") == ["digits-fp32", "digits-int8"]
    assert bundled_files("digits-int8") == ["digits-int8"]
    with pytest.raises(ModelError, match="did you mean digits"):
        bundled_files("digit")


def test_a_file_is_known_by_its_hash() -> None:
    for name in FILES:
        found = bundled_by_sha256(load_model_file(name).sha256)
        assert found is not None
        assert found[0] == name
    assert bundled_by_sha256("0" * 64) is None


@pytest.mark.parametrize("name", ["digits", "digits-fp32", "digits-int8"])
def test_show_prints_the_card(run: Run, name: str) -> None:
    done = run("show", name)
    assert (done.code, done.err) == (0, "")
    assert done.out == (BUNDLED / "digits.md").read_text(encoding="utf-8").rstrip() + "\n"


def test_show_of_a_path_prints_what_the_file_says_of_itself(run: Run) -> None:
    path = BUNDLED / "digits-int8.onnx"
    done = run("show", path)
    assert done.code == 0
    assert f"# {path}\n" in done.out
    assert hashlib.sha256(path.read_bytes()).hexdigest() in done.out
    assert f"{path.stat().st_size:,} bytes" in done.out
    for key, value in Classifier("digits-int8").metadata.items():
        assert f"- **{key.removeprefix('edge_digits.')}**: {value}\n" in done.out


def test_show_lets_no_file_move_the_cursor(run: Run, onnx: Any, tmp_path: Path) -> None:
    path = changed(
        onnx, tmp_path, lambda model: onnx.helper.set_model_props(model, {"evil": "a\x1b[2J\nb" + "c" * 9999})
    )
    out = run("show", path).out
    assert "\x1b" not in out
    assert r"- **evil**: a\x1b[2J\x0ab" in out
    assert max(map(len, out.splitlines())) < 1100


def test_show_of_what_is_missing_is_exit_code_3(run: Run, tmp_path: Path) -> None:
    for name in ("digit", tmp_path / "none.onnx"):
        done = run("show", name)
        assert (done.code, done.out) == (3, "")
        assert done.err.count("\n") == 1


def test_show_graph_lists_the_layers_as_numpy_counts_them(run: Run, onnx: Any) -> None:
    table = {}
    for name in ("digits-fp32", "digits-int8"):
        done = run("show", name, "--graph")
        assert done.code == 0
        head, *rows, last = done.out.splitlines()
        assert head.split() == ["name", "operator", "output", "parameters", "multiply-adds", "bytes"]
        assert last == f"{name}: {(BUNDLED / f'{name}.onnx').stat().st_size:,} bytes in all"
        table[name] = {row.split()[0]: re.split(r" {2,}", row) for row in rows}
    assert table["digits-fp32"]["scale1"][1:3] == ["DequantizeLinear", "N × 28 × 28"]
    # Of the first two convolutions in blocks, of 2 × 2 of their pixels and 2 × 2 blocks of what they take.
    more = 13 * 13 * 64 * 16 - 26 * 26 * 16 * 9 + 12 * 12 * 128 * 256 - 24 * 24 * 32 * 144
    for name in ("digits-fp32", "digits-int8"):
        weights = read_weights("x", read_onnx("x", load_model_file(name).data))
        layers = {label.split()[0] for label in weights if label.endswith("weight")}
        for layer in layers:
            count = sum(values.size for label, values in weights.items() if label.split()[0] == layer)
            assert table[name][layer][3] == f"{count:,}"
        total = table[name]["all"]
        multiply_adds = int(total[-2].replace(",", ""))
        network = load_manifest()["models"]["digits"]["multiply_adds"]
        assert multiply_adds == network + (more if name == "digits-int8" else 0)
        stored = onnx.load(BUNDLED / f"{name}.onnx").graph.initializer
        size = sum(onnx.numpy_helper.to_array(tensor).nbytes for tensor in stored)
        assert total[-1] == f"{size:,}"  # what several operators share is counted once


def test_show_graph_counts_strided_grouped_and_transposed_layers(onnx: Any) -> None:
    from edge_digits_export.graph_table import graph_rows

    def weight(name: str, *shape: int) -> Any:
        return onnx.numpy_helper.from_array(np.zeros(shape, np.float32), name)

    node = onnx.helper.make_node
    nodes = [
        node("Conv", ["x", "w1"], ["a"], name="conv1", strides=[2, 2], pads=[1, 1, 1, 1]),
        node("Conv", ["a", "w2"], ["b"], name="conv2", group=4),
        node("Reshape", ["b", "shape"], ["c"], name="flat"),
        node("Gemm", ["c", "w3"], ["d"], name="dense", transB=1),
        node("MatMul", ["d", "w4"], ["y"], name="matmul"),
    ]
    info = onnx.helper.make_tensor_value_info
    tensors = [weight("w1", 4, 1, 3, 3), weight("w2", 8, 1, 3, 3), weight("w3", 6, 1152), weight("w4", 6, 5),
               onnx.numpy_helper.from_array(np.array([-1, 1152]), "shape")]  # fmt: skip
    made = onnx.helper.make_graph(nodes, "g", [info("x", 1, ["N", 1, 28, 28])], [info("y", 1, ["N", 5])], tensors)
    rows = {
        row.name: row
        for row in graph_rows(onnx.helper.make_model(made, opset_imports=[onnx.helper.make_opsetid("", 17)]))
    }
    assert rows["conv1"].output == (None, 4, 14, 14)
    assert rows["conv1"].multiply_adds == 14 * 14 * 4 * 9
    assert rows["conv2"].multiply_adds == 12 * 12 * 8 * 9
    assert rows["dense"].multiply_adds == 1152 * 6
    assert rows["matmul"].multiply_adds == 30
    assert [rows[name].parameters for name in ("conv1", "conv2", "flat", "dense", "matmul")] == [36, 72, 0, 6912, 30]
    assert rows["flat"].bytes == 16


# ---- verify


def test_verify_passes_every_bundled_file(run: Run) -> None:
    done = run("verify")
    assert (done.code, done.err) == (0, "")
    assert [line.split()[0] for line in done.out.splitlines()] == FILES
    for line in done.out.splitlines():
        assert re.search(r"bytes  SHA-256 [0-9a-f]{12}… as in the manifest  contract 1  10 check tiles within", line)


def test_verify_of_a_path_knows_the_bundled_file_by_its_hash(tmp_path: Path) -> None:
    path = tmp_path / "other.onnx"
    shutil.copy(BUNDLED / "digits-int8.onnx", path)
    found = verify(path)
    assert (found.published_as, found.tiles) == ("digits-int8", 10)
    assert found.difference <= found.tolerance == TOLERANCES["int8"]


def test_the_stored_answers_are_those_of_the_models() -> None:
    check = CheckTiles.from_dict("manifest.json", load_manifest()["models"]["digits"]["check"])
    assert check.tiles.shape == (10, 28, 28)
    for precision, expected in check.expected.items():
        found = Classifier(f"digits-{precision}").classify(check.tiles).probabilities
        np.testing.assert_allclose(found, expected, atol=TOLERANCES[precision])
        assert expected.argmax(axis=1).tolist() == list(range(10))  # one of each digit


def test_verify_goes_on_after_one_that_fails(run: Run, tmp_path: Path) -> None:
    done = run("verify", "digits-int9", tmp_path / "none.onnx", "digits-fp32")
    assert done.code == 3
    assert [line.split()[0] for line in done.out.splitlines()] == ["digits-fp32"]
    assert done.err.count("\n") == 2
    assert "did you mean digits-int8?" in done.err
    assert "none.onnx: there is no such file" in done.err


def opset(model: Any, number: int) -> None:
    model.opset_import[0].version = number


def append_node(onnx: Any, model: Any, domain: str) -> None:
    model.graph.node.append(onnx.helper.make_node("Gelu", ["relu1"], ["gelu"], domain=domain))
    model.opset_import.append(onnx.helper.make_opsetid(domain, 1))


def without(model: Any, key: str) -> None:
    kept = [entry for entry in model.metadata_props if entry.key != key]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)


def rescale(onnx: Any, model: Any) -> None:
    name = model.graph.node[0].input[1]
    initializer(model, name).CopyFrom(onnx.numpy_helper.from_array(np.array(1 / 256, np.float32), name))


def shift(onnx: Any, model: Any) -> None:
    name = model.graph.node[0].input[2]
    initializer(model, name).CopyFrom(onnx.numpy_helper.from_array(np.array(77, np.uint8), name))


def prepend(onnx: Any, model: Any, *nodes: Any, **more: Any) -> None:
    """Puts operators before all others; their results nobody takes."""
    kept = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*nodes, *kept])
    model.graph.initializer.extend(onnx.numpy_helper.from_array(value, name) for name, value in more.items())


def use_twice(onnx: Any, model: Any) -> None:
    """Behind the DequantizeLinear, so that who looks at the first user alone sees nothing."""
    model.graph.node.append(onnx.helper.make_node("Cast", ["tiles"], ["raw"], name="cast", to=1))


def use_inside(onnx: Any, model: Any) -> None:
    branch = onnx.helper.make_graph([onnx.helper.make_node("Cast", ["tiles"], ["raw"], to=1)], "branch", [],
                                    [onnx.helper.make_tensor_value_info("raw", 1, None)])  # fmt: skip
    node = onnx.helper.make_node("If", ["yes"], ["unused"], name="if", then_branch=branch, else_branch=branch)
    prepend(onnx, model, node, yes=np.array(True))


def draw_lots(onnx: Any, model: Any, operator: str) -> None:
    prepend(onnx, model, onnx.helper.make_node(operator, ["some"], ["lots"]), some=np.full((2, 2), 0.5, np.float32))


def drop_out(onnx: Any, model: Any) -> None:
    node = onnx.helper.make_node("Dropout", ["some", "half", "yes"], ["lots"])
    prepend(onnx, model, node, some=np.ones(9, np.float32), half=np.array(0.5, np.float32), yes=np.array(True))


def call_precision(model: Any, text: str) -> None:
    next(entry for entry in model.metadata_props if entry.key == "edge_digits.precision").value = text


BREACHES: dict[str, tuple[Callable[[Any, Any], object], str]] = {
    "opset 18": (lambda onnx, model: opset(model, 18), "its opset is 18, not 17"),
    "opset 13": (lambda onnx, model: opset(model, 13), "its opset is 13, not 17"),
    "IR 9": (lambda onnx, model: setattr(model, "ir_version", 9), "its IR version is 9, not 8"),
    "domain in use": (lambda onnx, model: append_node(onnx, model, "com.microsoft"), "domain 'com.microsoft'"),
    "domain unused": (
        lambda onnx, model: model.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1)),
        "only the standard one may be",
    ),
    "no metadata": (lambda onnx, model: without(model, "edge_digits.tools"), "do not say edge_digits.tools"),
    "scale": (rescale, "scales tiles by 0.00390625, not by 1/255"),
    "zero point": (shift, "has another zero point than 0"),
    "second user": (use_twice, "tiles goes into DequantizeLinear, Cast, not into one DequantizeLinear"),
    "user in a subgraph": (use_inside, "not into one DequantizeLinear"),
    "chance": (lambda onnx, model: draw_lots(onnx, model, "RandomNormalLike"), "'RandomNormalLike' answers by chance"),
    "lots": (lambda onnx, model: draw_lots(onnx, model, "Bernoulli"), "'Bernoulli' answers by chance"),
    "dropout": (drop_out, "'Dropout' answers by chance"),
    "precision": (
        lambda onnx, model: call_precision(model, "\x1b[31mfp99"),
        r"its precision is '\x1b[31mfp99', neither fp32 nor int8",
    ),
    "contract": (
        lambda onnx, model: onnx.helper.set_model_props(
            model, {e.key: e.value for e in model.metadata_props} | {"edge_digits.contract": "9\x1b[2J" + "x" * 5000}
        ),
        r"its contract is version 9\x1b[2Jx",
    ),
}


@pytest.mark.parametrize("kind", BREACHES)
def test_verify_holds_a_file_to_the_letter_of_the_contract(run: Run, onnx: Any, tmp_path: Path, kind: str) -> None:
    change, reason = BREACHES[kind]
    path = changed(onnx, tmp_path, lambda model: change(onnx, model))
    done = run("verify", path)
    assert (done.code, done.out) == (3, "")
    assert done.err.startswith(f"edge-digits: {path}: is not of the contract for published models: ")
    assert reason in done.err
    assert done.err.rstrip("\n").isprintable()
    assert len(done.err) < 1300


def test_a_model_without_a_zero_point_is_scaled_from_0(onnx: Any) -> None:
    model = onnx.load(BUNDLED / "digits-fp32.onnx")
    del model.graph.node[0].input[2]
    check_contract("x", read_onnx("x", model.SerializeToString()))


def test_a_file_is_taken_apart_once(monkeypatch: pytest.MonkeyPatch) -> None:
    onnx_file, taken = sys.modules["edge_digits.onnx_file"], []
    parse = onnx_file.parse
    monkeypatch.setattr(onnx_file, "parse", lambda *given: taken.append(given) or parse(*given))
    for what, times in (
        (lambda: card(BUNDLED / "digits-int8.onnx"), 1),
        (lambda: verify("digits-fp32"), 2),  # by the Classifier, too
        (lambda: diff("digits-fp32", "digits-int8"), 4),
    ):
        taken.clear()
        what()
        assert len(taken) == times


@pytest.mark.parametrize("command", ["show --graph", "diff digits-fp32", "verify"])
@pytest.mark.parametrize("kind", ["nothing given", "nothing made", "four given", "numbers multiplied", "no text"])
def test_rubbish_is_refused_by_every_command(run: Run, onnx: Any, tmp_path: Path, command: str, kind: str) -> None:
    node = onnx.helper.make_node
    rubbish = {
        "nothing given": node("DequantizeLinear", [], ["odd"]),
        "nothing made": node("Relu", ["scale1"], []),
        "four given": node("DequantizeLinear", ["dense1_weight", *["scale1_scale"] * 3], ["odd"]),
        "numbers multiplied": node("MatMul", ["scale1_scale", "scale1_scale"], ["odd"]),
        "no text": node("Relu", ["scale1"], ["odd"], name="QQQQ"),
    }  # fmt: skip
    path = changed(onnx, tmp_path, lambda model: model.graph.node.append(rubbish[kind]))
    path.write_bytes(path.read_bytes().replace(b"QQQQ", b"\xff\xfe\xff\xfe"))
    done = run(*command.split(), path)
    assert done.code == 3 or (kind == "no text" and done.code == 0)
    assert done.err.count("\n") <= 1


def test_names_in_a_model_move_no_cursor(run: Run, onnx: Any, tmp_path: Path) -> None:
    def rename(model: Any) -> None:
        for node in model.graph.node:
            node.name = f"\x1b[2J{node.name}"
        call_precision(model, "int8")

    path = changed(onnx, tmp_path, rename)
    for arguments in (("diff", "digits-fp32", path), ("diff", path, "digits-int8"), ("show", path, "--graph")):
        done = run(*arguments)
        assert done.code == 0
        assert r"\x1b[2Jconv1" in done.out
        assert done.out.replace("\n", "").isprintable()


def test_no_stored_tiles_are_none_to_answer(onnx: Any, tmp_path: Path) -> None:
    path = changed(onnx, tmp_path, lambda model: call_precision(model, "int8")).rename(tmp_path / "mine-int8.onnx")
    proof = {
        "files": {"int8": {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}},
        "check": {"tiles": "", "expected": {"fp32": [], "int8": []}},
    }
    (tmp_path / "mine.proof.json").write_text(json.dumps(proof))
    found = verify(path)
    assert found.tiles == 0
    assert "no check tiles are stored for it" in found.text()


def test_a_function_that_a_file_brings_is_refused_by_verify(onnx: Any) -> None:
    model = onnx.load(BUNDLED / "digits-fp32.onnx")
    function = onnx.helper.make_function("", "Twice", ["a"], ["b"], [onnx.helper.make_node("Add", ["a", "a"], ["b"])],
                                         [onnx.helper.make_opsetid("", 17)])  # fmt: skip
    model.functions.append(function)
    with pytest.raises(ModelError, match="brings the function 'Twice'"):
        check_contract("x", read_onnx("x", model.SerializeToString()))


def test_a_file_whose_tiles_are_cast_is_refused_by_verify(onnx: Any) -> None:
    model = onnx.load(BUNDLED / "digits-fp32.onnx")
    model.graph.node[0].CopyFrom(onnx.helper.make_node("Cast", ["tiles"], [model.graph.node[0].output[0]], to=1))
    with pytest.raises(ModelError, match="tiles goes into Cast, not into one DequantizeLinear"):
        check_contract("x", read_onnx("x", model.SerializeToString()))


def test_other_weights_are_found_by_the_check_tiles(onnx: Any, tmp_path: Path) -> None:
    def disturb(model: Any) -> None:
        tensor = next(t for t in model.graph.initializer if len(t.dims) == 4)
        values = onnx.numpy_helper.to_array(tensor) * np.float32(1.05)
        tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))

    check = CheckTiles.from_dict("x", load_manifest()["models"]["digits"]["check"])
    with pytest.raises(ModelError, match=r"on check tile \d it says \d with .*limit 0\.0001"):
        check_answers(Classifier(changed(onnx, tmp_path, disturb)), check, "fp32")


def test_arithmetic_that_overflows_is_past_the_tolerance() -> None:
    """On processors without VNNI 8-bit weights moved these answers by more; rounding moves them by less."""
    assert 0.0035 < TOLERANCES["int8"] < 0.04
    assert 5e-7 < TOLERANCES["fp32"] < TOLERANCES["int8"]


@pytest.mark.parametrize(
    "stored",
    [
        {},
        {"tiles": "!", "expected": {}},
        {"tiles": base64.b64encode(bytes(783)).decode(), "expected": {}},
        {"tiles": base64.b64encode(bytes(784)).decode(), "expected": {"fp32": [[1, 2]]}},
        {"tiles": base64.b64encode(bytes(784)).decode(), "expected": None},
    ],
    ids=["nothing", "no base64", "half a tile", "two answers", "no answers"],
)
def test_check_tiles_that_are_none_are_a_model_error(stored: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match=r"^manifest\.json: its check tiles"):
        CheckTiles.from_dict("manifest.json", stored)


def test_verify_of_an_export_uses_the_proof_beside_it(onnx: Any, tmp_path: Path) -> None:
    """A file that is no bundled one: its check tiles are those of its own proof, and of no other."""
    path = changed(onnx, tmp_path, lambda model: onnx.helper.set_model_props(
        model, {entry.key: entry.value for entry in model.metadata_props} | {"edge_digits.name": "mine"}))  # fmt: skip
    path = path.rename(tmp_path / "mine-fp32.onnx")
    assert verify(path).tiles == 0
    proof = {
        "files": {"fp32": {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}},
        "check": load_manifest()["models"]["digits"]["check"],
    }
    (tmp_path / "mine.proof.json").write_text(json.dumps(proof))
    assert verify(path).tiles == 10
    proof["check"]["expected"]["fp32"][3][0] = 0.5
    (tmp_path / "mine.proof.json").write_text(json.dumps(proof))
    with pytest.raises(ModelError, match="on check tile 3"):
        verify(path)
    proof["files"]["fp32"]["sha256"] = "0" * 64
    (tmp_path / "mine.proof.json").write_text(json.dumps(proof))
    assert verify(path).tiles == 0


def run_with(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`edge-digits models …` in a process of its own whose bundled models are those in `folder`."""
    code = f"import sys; sys.path.insert(0, {str(folder)!r}); from edge_digits.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, "models", *arguments], capture_output=True, text=True, check=False, timeout=60
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the package of bundled models."""
    return Path(shutil.copytree(BUNDLED, tmp_path / "edge_digits_models", ignore=shutil.ignore_patterns("__pycache__")))


def test_verify_finds_a_flipped_byte(copy: Path) -> None:
    file = copy / "digits-int8.onnx"
    data = bytearray(file.read_bytes())
    data[50_000] ^= 1
    file.write_bytes(bytes(data))
    done = run_with(copy.parent, "verify")
    assert done.returncode == 3
    others = [name for name in bundled_files() if name != "digits-int8"]
    assert [line.split()[0] for line in done.stdout.splitlines()] == others
    assert "digits-int8.onnx: the bundled model is damaged: its SHA-256 is" in done.stderr


def test_a_manifest_of_before_lists_shows_and_verifies(copy: Path) -> None:
    """What is new in the manifest is missing there: no check tiles, no multiply-adds, no times."""
    manifest = json.loads((copy / "manifest.json").read_text())
    for entry in manifest["models"].values():
        for key in ("check", "multiply_adds", "temperature", "latency"):
            entry.pop(key, None)
    (copy / "manifest.json").write_text(json.dumps(manifest))
    assert run_with(copy.parent, "list").stdout.count("\n") == len(bundled_files())
    assert run_with(copy.parent, "show", "digits").returncode == 0
    done = run_with(copy.parent, "verify")
    assert (done.returncode, done.stdout.count("no check tiles are stored")) == (0, len(bundled_files()))
    done = run_with(copy.parent, "diff", "digits-fp32", "digits-int8")
    assert (done.returncode, done.stdout.count("no check tiles are stored; name labelled rows with --data")) == (0, 1)


# ---- diff


def test_a_model_does_not_differ_from_itself(run: Run) -> None:
    found = diff("digits", BUNDLED / "digits-int8.onnx")
    assert [found.facts, found.operators, found.settings, found.weights, found.scales] == [{}, {}, [], [], []]
    assert found.only == ([], [])
    assert found.check is not None
    assert (found.check.rows, found.check.other_digits, found.check.largest) == (10, 0, 0.0)
    out = run("diff", "digits", "digits-int8").out
    assert "operators: the same kinds, as many of each" in out
    assert f"weights: the same in all of {found.tensors} tensors" in out


def test_int8_differs_from_fp32_by_half_a_step_at_most(onnx: Any) -> None:
    """The weights of both are compared dequantized; those in blocks as they are stored."""
    found = diff("digits-fp32", "digits-int8")
    fp32, int8 = (onnx.load(BUNDLED / f"digits-{p}.onnx") for p in ("fp32", "int8"))
    assert all("shape" in name for names in found.only for name in names)
    steps = {tensor.name: onnx.numpy_helper.to_array(tensor).max() for tensor in int8.graph.initializer
             if tensor.name.endswith("_scale")}  # fmt: skip
    changes = {change.name: change for change in found.weights}
    for tensor in fp32.graph.initializer:
        if tensor.name.endswith("_weight"):
            change = changes[tensor.name.replace("_", " ")]
            assert change.values == np.prod(tensor.dims)
            assert 0 < change.largest <= 0.501 * steps[f"{tensor.name}_scale"]
    counts = [sum(node.op_type == "QuantizeLinear" for node in model.graph.node) for model in (fp32, int8)]
    assert found.operators["QuantizeLinear"] == tuple(counts)
    assert found.facts["precision"] == ("fp32", "int8")
    sizes = tuple(f"{(BUNDLED / f'digits-{p}.onnx').stat().st_size:,}" for p in ("fp32", "int8"))
    assert found.facts["bytes"] == sizes


def test_what_was_changed_is_what_is_told(run: Run, onnx: Any, tmp_path: Path) -> None:
    sizes = []

    def change(model: Any) -> None:
        tensor = initializer(model, "conv2_weight")
        values = onnx.numpy_helper.to_array(tensor).copy()
        sizes.append(values.size)
        values.flat[[3, 5]] += np.float32([0.25, -0.5])
        tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
        pool = next(node for node in model.graph.node if node.op_type == "MaxPool")
        pool.attribute.append(onnx.helper.make_attribute("ceil_mode", 0))
        next(entry for entry in model.metadata_props if entry.key == "edge_digits.recipe").value = "other"

    path = changed(onnx, tmp_path, change)
    found = diff("digits-fp32", path)
    (only,) = found.weights
    assert (only.name, only.changed) == ("conv2 weight", 2)
    assert only.largest == pytest.approx(0.5)
    assert found.facts["recipe"][1] == "other"
    assert found.settings == ["pool1 (ceil_mode)"]
    assert found.check is not None
    assert found.check.largest > 0
    out = run("diff", "digits-fp32", path).out
    assert "weights: 2 values differ, in 1 of" in out
    assert f"conv2 weight: 2 of {sizes[0]:,}, by 0.5 at most" in out
    assert "with other attributes: pool1 (ceil_mode)" in out


def test_a_tensor_of_another_shape_is_told(onnx: Any, tmp_path: Path) -> None:
    def narrow(model: Any) -> None:
        for name in ("conv5_weight", "conv5_bias", "dense1_weight", "dense2_weight"):
            tensor = initializer(model, name)
            values = onnx.numpy_helper.to_array(tensor)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values[: len(values) // 2], name))
        shape = initializer(model, "reshape2_shape")
        shape.CopyFrom(onnx.numpy_helper.from_array(np.array([-1, 192]), shape.name))

    found = diff("digits-fp32", changed(onnx, tmp_path, narrow))
    assert sorted(found.only[0]) == sorted(found.only[1]) == [
        "conv5 bias", "conv5 weight", "dense1 weight", "dense2 weight",
    ]  # fmt: skip


def test_activation_scales_are_compared(onnx: Any, tmp_path: Path) -> None:
    def widen(model: Any) -> None:
        quantize = next(node for node in model.graph.node if node.op_type == "QuantizeLinear")
        tensor = initializer(model, quantize.input[1])
        values = onnx.numpy_helper.to_array(tensor) * np.float32(2)
        tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))

    path = changed(onnx, tmp_path, widen, "digits-int8")
    found = diff("digits-int8", path)
    assert found.weights == []
    assert 1 <= len(found.scales) <= 4  # those that use the one that was changed
    before = read_scales("x", read_onnx("x", load_model_file("digits-int8").data))
    assert found.scales[0].largest == pytest.approx(float(before[found.scales[0].name]), rel=1e-6)


def test_the_weights_are_those_that_the_onnx_package_reads(onnx: Any) -> None:
    model = onnx.load(BUNDLED / "digits-fp32.onnx")
    found = read_weights("x", read_onnx("x", (BUNDLED / "digits-fp32.onnx").read_bytes()))
    for tensor in model.graph.initializer:
        label = tensor.name.replace("_", " ")
        if label.endswith(("weight", "bias")):
            np.testing.assert_array_equal(found[label], onnx.numpy_helper.to_array(tensor))


@pytest.mark.parametrize("axis", [None, 0, 1])
def test_quantized_weights_are_dequantized_as_onnxruntime_does(onnx: Any, axis: int | None) -> None:
    import onnxruntime

    rng = np.random.default_rng(4)
    stored = {
        "q": rng.integers(0, 256, (4, 3), dtype=np.uint8),
        "s": rng.uniform(0.01, 0.1, () if axis is None else (4, 3)[axis]).astype(np.float32),
        "z": rng.integers(100, 156, () if axis is None else (4, 3)[axis], dtype=np.uint8),
    }
    tensors = [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in stored.items()]
    along = {} if axis is None else {"axis": axis}
    nodes = [
        onnx.helper.make_node("DequantizeLinear", ["q", "s", "z"], ["w"], name="dequantize", **along),
        onnx.helper.make_node("MatMul", ["x", "w"], ["y"], name="dense"),
    ]
    info = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(nodes, "g", [info("x", 1, ["N", 4])], [info("y", 1, ["N", 3])], tensors)
    made = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"x": np.eye(4, dtype=np.float32)})
    parsed = read_onnx("x", made.SerializeToString())
    found = read_weights("x", parsed)
    assert list(found) == ["dense weight"]
    np.testing.assert_allclose(found["dense weight"], expected, rtol=1e-6)
    assert read_scales("x", parsed) == {}  # that of a weight is no scale between operators


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("FLOAT", [0.5, -1.5, 3.0]),
        ("INT8", [-128, 5, 127]),
        ("UINT8", [0, 7, 255]),
        ("INT32", [-(2**31), 0, 2**31 - 1]),
        ("INT64", [-(2**62), 0, 2**62]),
        ("FLOAT16", [0.5, -2.0, 1024.0]),
        ("BOOL", [True, False, True]),
    ],
)
@pytest.mark.parametrize("raw", [True, False])
def test_a_tensor_is_read_in_either_of_its_forms(onnx: Any, kind: str, values: Sequence[Any], raw: bool) -> None:
    number = getattr(onnx.TensorProto, kind)
    array = np.array(values, onnx.helper.tensor_dtype_to_np_dtype(number))
    if raw:
        tensor = onnx.numpy_helper.from_array(array, "w")
    else:
        tensor = onnx.helper.make_tensor("w", number, [3], array)
        assert not tensor.raw_data
    graph = onnx.helper.make_graph([onnx.helper.make_node("Add", ["x", "w"], ["y"], name="add")], "g", [], [], [tensor])
    data = onnx.helper.make_model(graph).SerializeToString()
    (found,) = read_weights("x", read_onnx("x", data)).values()
    assert found.tolist() == [float(value) for value in values]


def test_data_compares_the_answers_row_by_row(run: Run, tmp_path: Path) -> None:
    tiles, labels = mnist()
    chosen = slice(3, 5000, 11)
    path = tmp_path / "labelled.csv"
    path.write_bytes(csv_table(tiles[chosen], labels[chosen]))
    found = diff("digits-fp32", "digits-int8", str(path)).data
    assert found is not None
    given = [Classifier(name).classify(tiles[chosen]) for name in ("digits-fp32", "digits-int8")]
    right = [answer.digits == labels[chosen] for answer in given]
    assert found.rows == found.labelled == len(labels[chosen])
    assert found.other_digits == (given[0].digits != given[1].digits).sum()
    assert found.largest == pytest.approx(np.abs(given[0].probabilities - given[1].probabilities).max())
    assert found.right == [hits.sum() for hits in right]
    assert found.only == [(right[0] & ~right[1]).sum(), (right[1] & ~right[0]).sum()]
    out = run("diff", "digits-fp32", "digits-int8", "--data", path).out
    assert f"answers to {found.rows:,} labelled rows: another digit on {found.other_digits}" in out
    assert f"the first reads {100 * found.right[0] / found.rows:.2f} % of them right" in out


def test_answers_are_counted_over_parts() -> None:
    rng = np.random.default_rng(0)
    one, two = (rng.dirichlet(np.ones(10), 90).astype(np.float32) for _ in range(2))
    labels = rng.integers(0, 10, 90).astype(np.uint8)
    whole, parts = Answers(), Answers()
    whole.add(one, two, labels)
    for start in range(0, 90, 40):
        parts.add(one[start : start + 40], two[start : start + 40], labels[start : start + 40])
    assert parts.summed == pytest.approx(whole.summed)
    parts.summed = whole.summed
    assert parts == whole
    assert whole.only[0] > 0
    assert whole.right[0] - whole.only[0] == whole.right[1] - whole.only[1]  # what both read right


def test_diff_of_a_table_that_is_none_is_exit_code_1(run: Run, tmp_path: Path) -> None:
    done = run("diff", "digits-fp32", "digits-int8", "--data", tmp_path / "none.csv")
    assert (done.code, done.out) == (1, "")
    with pytest.raises(TableError):
        diff("digits-fp32", "digits-int8", str(tmp_path / "none.csv"))


def test_diff_of_a_model_that_is_none_is_exit_code_3(run: Run, tmp_path: Path) -> None:
    for names in (("digits", "digit"), (tmp_path / "none.onnx", "digits")):
        done = run("diff", *names)
        assert (done.code, done.out, done.err.count("\n")) == (3, "", 1)


# ---- what is loaded


def loaded_after(arguments: Sequence[str]) -> set[str]:
    code = f"""
import sys
sys.argv = ["edge-digits", *{list(arguments)!r}]
from edge_digits.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print("loaded:", *{{name.partition(".")[0] for name in sys.modules}})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return set(done.stdout.rpartition("loaded: ")[2].split())


@pytest.mark.parametrize("arguments", [("models", "list"), ("models", "show", "digits-int8")], ids=" ".join)
def test_lists_and_cards_load_neither_onnxruntime_nor_numpy(arguments: Sequence[str]) -> None:
    assert not loaded_after(arguments) & {"onnxruntime", "numpy", "onnx", "cv2", "tensorflow", "keras"}


@pytest.mark.parametrize(
    "arguments", [("models", "verify"), ("models", "diff", "digits-fp32", "digits-int8")], ids=" ".join
)
def test_verify_and_diff_need_the_runtime_alone(arguments: Sequence[str]) -> None:
    loaded = loaded_after(arguments)
    assert "onnxruntime" in loaded
    assert not loaded & {"onnx", "cv2", "tensorflow", "keras", "pandas"}


def test_show_graph_needs_no_tensorflow() -> None:
    pytest.importorskip("onnx", reason="the train extra is not installed")
    assert not loaded_after(("models", "show", "digits", "--graph")) & {"tensorflow", "keras"}


def test_show_graph_without_the_train_extra_gives_the_pip_line(tmp_path: Path) -> None:
    (tmp_path / "onnx.py").write_text("raise ModuleNotFoundError(\"No module named 'onnx'\", name='onnx')\n")
    done = run_with(tmp_path, "show", "digits", "--graph")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "edge-digits: models show --graph needs onnx, which is not installed: pip install 'edge-digits[train]'\n"
    )


def test_card_of_a_name_is_that_of_its_model() -> None:
    assert card("digits-fp32") == card("digits")


# ---- the docs

DOCS = Path(__file__).parents[1] / "docs" / "models.md"


@pytest.mark.skipif(not DOCS.exists(), reason="the docs are not beside the tests")
def test_the_commands_of_the_docs_run(run: Run, onnx: Any) -> None:
    text = DOCS.read_text(encoding="utf-8")
    commands = [line.partition("#")[0].split() for line in text.splitlines() if line.startswith("edge-digits models")]
    assert len(commands) == 7
    for _, _, *arguments in commands:
        if arguments[0] not in ("publish", "renew"):  # they want an export's files, and rows
            assert run(*arguments).code == 0


@pytest.mark.skipif(not DOCS.exists(), reason="the docs are not beside the tests")
def test_the_docs_show_what_verify_prints(run: Run) -> None:
    shown = DOCS.read_text(encoding="utf-8").partition("$ edge-digits models verify\n")[2].partition("```")[0]
    figures = r"[\d,]+ bytes  SHA-256 [0-9a-f]+…|within \S+"  # another file or another processor's last bits
    assert re.sub(figures, "", shown) == re.sub(figures, "", run("verify").out)
