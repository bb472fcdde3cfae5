"""Files made byte by byte: nothing here needs the onnx package, as the runtime must do without it, too."""

from __future__ import annotations

import contextlib
import json
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from onnx_bytes import (
    FLAT,
    FLOAT,
    METADATA,
    NODES,
    SCALE,
    WEIGHT,
    WEIGHTS,
    field,
    graph,
    model,
    node,
    value_info,
    varint,
)

import edge_digits_models
from edge_digits import Classifier
from edge_digits.errors import ModelError
from edge_digits.model_files import MAX_BYTES, load_model_file
from edge_digits.onnx_file import SCHEMA, all_nodes, metadata, nodes, read_onnx, refuse_outside
from edge_digits.protobuf import MAX_DEPTH, DamagedError, parse

BUNDLED = Path(edge_digits_models.__file__).parent


def write(folder: Path, data: bytes) -> Path:
    path = folder / "hand.onnx"
    path.write_bytes(data)
    return path


def refused(folder: Path, data: bytes) -> str:
    """Why the runtime refuses a file: one line that names it."""
    path = write(folder, data)
    with pytest.raises(ModelError) as caught:
        Classifier(path)
    assert caught.value.exit_code == 3
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert text.isprintable()
    return text


# ---- what is read


def test_a_model_made_byte_by_byte_answers_as_numpy_computes(tmp_path: Path) -> None:
    tiles = np.random.default_rng(1).integers(0, 256, (7, 28, 28), dtype=np.uint8)
    logits = (tiles.reshape(7, 784) * np.float32(1 / 255)) @ WEIGHTS
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    found = Classifier(write(tmp_path, model())).classify(tiles).probabilities
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_parts_of_a_model_are_found() -> None:
    found = read_onnx("hand.onnx", model())
    assert [one.text("op_type") for one in nodes(found)] == ["DequantizeLinear", "Reshape", "MatMul", "Softmax"]
    assert metadata(found) == METADATA
    assert found.integer("ir_version") == 8
    weight = found.messages("graph")[0].messages("initializer")[2]
    assert weight.integers("dims") == [784, 10]
    assert bytes(weight.data("raw_data")) == WEIGHTS.tobytes()


@pytest.mark.parametrize("name", ["digits-fp32", "digits-int8"])
def test_the_reader_sees_what_the_onnx_package_sees(name: str) -> None:
    onnx = pytest.importorskip("onnx", reason="the train extra is not installed")
    data = (BUNDLED / f"{name}.onnx").read_bytes()
    ours, theirs = read_onnx(name, data), onnx.load_from_string(data)
    assert ours.integer("ir_version") == theirs.ir_version
    assert metadata(ours) == {entry.key: entry.value for entry in theirs.metadata_props}
    for mine, other in zip(nodes(ours), theirs.graph.node, strict=True):
        assert mine.text("name") == other.name
        assert mine.text("op_type") == other.op_type
        assert mine.texts("input") == list(other.input)
        assert mine.texts("output") == list(other.output)
        assert {a.text("name"): a.integers("ints") for a in mine.messages("attribute")} == {
            a.name: list(a.ints) for a in other.attribute
        }
    graph_of_ours = ours.messages("graph")[0]
    for mine, other in zip(graph_of_ours.messages("initializer"), theirs.graph.initializer, strict=True):
        assert (mine.text("name"), mine.integers("dims")) == (other.name, list(other.dims))
        assert bytes(mine.data("raw_data")) == other.raw_data


@pytest.mark.parametrize("value", [0, 1, 127, 128, 300, 2**31, 2**63 - 1, -1, -(2**63)])
def test_numbers_of_any_size_are_read(value: int) -> None:
    found = parse(field(1, value), {"M": {1: ("n", "int")}}, "M")
    assert found.integer("n") == value


def test_packed_numbers_and_floats_are_read() -> None:
    schema = {"M": {1: ("n", "int"), 2: ("f", "float"), 3: ("g", "float")}}
    packed = field(1, varint(5) + varint(-7)) + field(2, struct.pack("<ff", 1.5, -2))
    found = parse(packed + bytes([3 << 3 | 5]) + struct.pack("<f", 0.25), schema, "M")
    assert found.integers("n") == [5, -7]
    assert found.floats("f") == [1.5, -2.0]
    assert found.floats("g") == [0.25]


# ---- what is no model


@pytest.mark.parametrize("size", [1, 2, 3, 10, 100, 5_000, 30_000, -1_000, -10, -1])
def test_a_truncated_model_is_refused(tmp_path: Path, size: int) -> None:
    text = refused(tmp_path, model()[:size])
    assert "is no ONNX model" in text or "onnxruntime cannot load it" in text


def test_the_place_of_the_cut_is_told(tmp_path: Path) -> None:
    assert "cut off: what begins at byte 2 runs past its end" in refused(tmp_path, model()[:20_000])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"),
        (field(1, 8), "it holds no graph"),
        (field(7, b""), "it holds no graph"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "no field at byte|past its end"),
        (b"PK\x03\x04" + bytes(100), "is no ONNX model"),
        (b"import os; os.system('true')\n" * 9, "is no ONNX model"),
        (bytes(5000), "there is no field at byte 0"),
        (b"\xff" * 5000, "there is no number at byte 0"),
        (bytes([0x18, 0, 0, 0]) + b"ORTM" + bytes(200), "no field at byte 2"),
        (model() + bytes([3 << 3 | 3]), "there is no field at byte"),
    ],
    ids=["empty", "no graph", "empty graph", "PNG", "zip", "code", "zeros", "ones", "ORT format", "group"],
)
def test_what_is_no_model_is_refused(tmp_path: Path, data: bytes, reason: str) -> None:
    text = refused(tmp_path, data)
    assert any(one in text for one in reason.split("|")), text


def test_a_model_nested_without_end_is_refused(tmp_path: Path) -> None:
    body = graph()
    for _ in range(2 * MAX_DEPTH):
        body = field(1, node("If", ["c"], ["x"], field(5, field(1, "then_branch") + field(6, body))))
    assert "nested more than" in refused(tmp_path, model(body))


def test_a_million_fields_are_refused_in_seconds(tmp_path: Path) -> None:
    started = time.perf_counter()
    assert "fields" in refused(tmp_path, model(extra=field(99, 0) * 3_000_000))
    assert time.perf_counter() - started < 20
    assert "it has more than 100,000 fields" in refused(tmp_path, model(extra=field(99, 0) * 100_000))
    load_model_file(write(tmp_path, model(extra=field(99, 0) * 90_000)))


def test_a_file_past_the_limit_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "large.onnx"
    with path.open("wb") as file:
        file.write(model())
        file.truncate(MAX_BYTES + 1)  # takes no room on the disk
    with pytest.raises(ModelError, match=f"{path}: is larger than 64 MB"):
        load_model_file(path)


# ---- what lies outside the file

OUTSIDE = field(13, field(1, "location") + field(2, "weights.bin")) + field(14, 1)


def outside(name: str, extra: bytes = OUTSIDE) -> bytes:
    """A tensor whose values are in weights.bin."""
    return field(1, 4) + field(2, FLOAT) + field(8, name) + extra


def attribute(name: str, number: int, value: bytes) -> bytes:
    return field(5, field(1, name) + field(number, value))


def small_graph(*parts: bytes) -> bytes:
    return b"".join(parts) + field(2, "inner") + field(12, value_info("inner", FLOAT, 4))


IDENTITY = field(1, node("Identity", ["outside"], ["inner"]))
HIDING_PLACES = {
    "initializer": model(graph(tensors=(SCALE, FLAT, WEIGHT, outside("w")))),
    "second graph": model(extra=field(7, field(5, outside("w")))),
    "sparse values": model(graph() + field(15, field(1, outside("w")))),
    "sparse indices": model(graph() + field(15, field(2, outside("w")))),
    "attribute": model(graph((*NODES, node("Constant", [], ["x"], attribute("value", 5, outside("w")))))),
    "attribute list": model(graph((*NODES, node("Constant", [], ["x"], attribute("value", 10, outside("w")))))),
    "sparse attribute": model(graph((*NODES, node("C", [], ["x"], attribute("value", 22, field(1, outside("w"))))))),
    "If": model(graph((*NODES, node("If", ["c"], ["x"], attribute(
        "then_branch", 6, small_graph(IDENTITY, field(5, outside("outside")))))))),
    "Loop": model(graph((*NODES, node("Loop", ["c"], ["x"], attribute(
        "body", 6, small_graph(IDENTITY, field(5, outside("outside")))))))),
    "graph list": model(graph((*NODES, node("X", ["c"], ["x"], attribute("g", 11, field(5, outside("w"))))))),
    "If in an If": model(graph((*NODES, node("If", ["c"], ["x"], attribute("else_branch", 6, small_graph(field(1, node(
        "If", ["c"], ["y"], attribute("then_branch", 6, small_graph(field(5, outside("w"))))))))))),
    ),
    "function": model(extra=field(25, field(1, "F") + field(10, "f") + field(7, node(
        "Constant", [], ["x"], attribute("value", 5, outside("w")))))),
    "function's default": model(extra=field(25, field(1, "F") + field(11, field(1, "v") + field(5, outside("w"))))),
    "training": model(extra=field(20, field(1, small_graph(field(5, outside("w")))))),
    "location alone": model(graph(tensors=(SCALE, FLAT, WEIGHT, outside("w", field(14, 1))))),
    "entries alone": model(graph(tensors=(SCALE, FLAT, WEIGHT, outside("w", OUTSIDE[:-2])))),
    "memory": model(graph(tensors=(SCALE, FLAT, WEIGHT, outside(
        "w", field(13, field(1, "location") + field(2, "*/_ORT_MEM_ADDR_/*")) + field(14, 1))))),
}  # fmt: skip


@pytest.mark.parametrize("kind", HIDING_PLACES)
def test_weights_in_another_file_are_found_wherever_they_hide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    (tmp_path / "weights.bin").write_bytes(bytes(16))
    monkeypatch.chdir(tmp_path)  # where onnxruntime would read them
    text = refused(tmp_path, HIDING_PLACES[kind])
    assert "keeps weights in another file" in text
    assert "tensor 'w'" in text or "tensor 'outside'" in text
    assert kind in ("location alone", "memory") or "weights.bin" in text


def test_the_place_of_weights_outside_is_told(tmp_path: Path) -> None:
    text = refused(tmp_path, HIDING_PLACES["If in an If"])
    assert "node 'x', 'else_branch', node 'y', 'then_branch', tensor 'w'" in text


def test_weights_outside_are_found_before_a_session_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    def session(*_: object, **__: object) -> None:
        pytest.fail("a session was made")

    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    assert "another file" in refused(tmp_path, HIDING_PLACES["initializer"])


def test_onnxruntime_would_have_read_the_other_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is refused here is no thing of the past."""
    import onnxruntime

    weight = field(1, 784) + field(1, 10) + field(2, FLOAT) + field(8, "weight") + OUTSIDE
    data = model(graph(tensors=(SCALE, FLAT, weight)))
    (tmp_path / "weights.bin").write_bytes(WEIGHTS.tobytes())
    monkeypatch.chdir(tmp_path)
    tiles = np.zeros((1, 28, 28), np.uint8)
    session = onnxruntime.InferenceSession(write(tmp_path, data), providers=["CPUExecutionProvider"])
    assert session.run(None, {"tiles": tiles})[0].shape == (1, 10)
    assert "another file" in refused(tmp_path, data)


def test_loading_opens_the_given_file_alone(tmp_path: Path) -> None:
    """No other file, no socket, no process, no code: as Python's audit tells in a process of its own."""
    path = write(tmp_path, model())
    code = f"""
import json, os, sys
from edge_digits import Classifier
Classifier({str(path)!r})  # what is imported late is now there
seen, watching = [], False
sys.addaudithook(lambda event, arguments: watching and seen.append((event, str(arguments[0]) if arguments else "")))
watching = True
Classifier({str(path)!r})
watching = False
print(json.dumps(seen))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    seen = json.loads(done.stdout)
    assert [argument for event, argument in seen if event == "open"] == [str(path)]
    assert not {event for event, _ in seen} & {"socket.connect", "subprocess.Popen", "os.system", "exec", "compile",
                                               "ctypes.dlopen", "pickle.find_class"}  # fmt: skip


def test_a_key_past_32_bits_hides_nothing(tmp_path: Path) -> None:
    """A parser that keeps 32 bits of it would see field 7 there."""
    inner = field(5, outside("w"))
    hidden = varint((1 << 32) | 7 << 3 | 2) + varint(len(inner)) + inner
    assert "there is no field at byte" in refused(tmp_path, model() + hidden)


def test_a_number_past_32_bits_is_no_way_round(tmp_path: Path) -> None:
    location = field(14, 1 << 32 | 1)
    assert "another file" in refused(tmp_path, model(graph(tensors=(SCALE, FLAT, WEIGHT, outside("w", location)))))


# ---- operators of other libraries


def test_an_operator_of_a_library_of_its_own_is_refused_with_its_place(tmp_path: Path) -> None:
    custom = node("Read", ["rows"], ["read"], domain="evil.example")
    text = refused(tmp_path, model(graph((*NODES, custom)), opsets=(("", 17), ("evil.example", 1))))
    assert "needs a library for its operator 'Read' of the domain 'evil.example'" in text
    assert "edge-digits loads none" in text
    assert "node 'read'" in text


def test_an_operator_of_a_library_is_found_in_a_branch(tmp_path: Path) -> None:
    inner = small_graph(field(1, node("Read", ["rows"], ["inner"], domain="evil")))
    branch = node("If", ["c"], ["x"], attribute("then_branch", 6, inner))
    assert "'then_branch', node 'inner'" in refused(tmp_path, model(graph((*NODES, branch))))


def test_a_function_that_the_model_brings_is_no_library(tmp_path: Path) -> None:
    body = field(1, "Twice") + field(4, "a") + field(5, "b") + field(7, node("Add", ["a", "a"], ["b"]))
    function = field(25, body + field(9, field(2, 17)) + field(10, "mine"))
    doubled = (
        *NODES[:3],
        node("Twice", ["logits"], ["twice"], domain="mine"),
        node("Softmax", ["twice"], ["probabilities"]),
    )
    data = model(graph(doubled), opsets=(("", 17), ("mine", 1)), extra=function)
    assert "function 'Twice', node 'b'" in [place for place, _ in all_nodes(read_onnx("x", data))]
    tiles = np.full((1, 28, 28), 90, np.uint8)
    plain = Classifier(write(tmp_path, model())).classify(tiles).probabilities.astype(float)
    found = Classifier(write(tmp_path, data)).classify(tiles).probabilities
    np.testing.assert_allclose(found, plain**2 / (plain**2).sum(), atol=1e-5)


def test_a_name_with_a_line_end_stays_on_one_line(tmp_path: Path) -> None:
    assert r"tensor 'w\nw'" in refused(tmp_path, model(graph(tensors=(SCALE, FLAT, WEIGHT, outside("w\nw")))))


def test_bytes_that_are_no_text_are_escaped() -> None:
    found = read_onnx("x", model(extra=field(14, field(1, b"\xff\xfe") + field(2, "x"))))
    assert "\\xff\\xfe" in metadata(found)


def test_random_changes_never_get_past_a_model_error() -> None:
    rng, good = np.random.default_rng(5), bytearray(model())
    for _ in range(400):
        data = bytearray(good)
        for place in rng.integers(0, len(data), 4):
            data[place] = rng.integers(0, 256)
        with contextlib.suppress(ModelError):
            refuse_outside("x", read_onnx("x", bytes(data)))


def test_the_schema_names_no_message_that_there_is_not() -> None:
    kinds = {kind for fields in SCHEMA.values() for _, kind in fields.values()}
    assert kinds - {"int", "float", "bytes"} <= set(SCHEMA)
    with pytest.raises(DamagedError):
        parse(b"\x00", SCHEMA, "Model")
