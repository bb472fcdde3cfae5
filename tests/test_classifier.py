from __future__ import annotations

import contextlib
import hashlib
import json
import pickle
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from pictures import some

import edge_digits_models
from edge_digits import Classifier, Predictions
from edge_digits.classifier import load_ensemble
from edge_digits.errors import ModelError
from edge_digits.model_files import MAX_BYTES, load_manifest, load_model_file

Tiles = NDArray[np.uint8]

BUNDLED = Path(edge_digits_models.__file__).parent
NAMES = ["digits-fp32", "digits-int8"]


# ---- the bundled models


def test_the_manifest_describes_the_files_beside_it() -> None:
    manifest = load_manifest()
    assert manifest["default"] in manifest["models"]
    for name, entry in manifest["models"].items():
        assert entry["prefers"] in entry["files"]
        assert (BUNDLED / f"{name}.md").is_file()
        for file in entry["files"].values():
            data = (BUNDLED / file["file"]).read_bytes()
            assert len(data) == file["bytes"]
            assert hashlib.sha256(data).hexdigest() == file["sha256"]
            assert file["accuracy"]["n"] > 0


@pytest.mark.parametrize("name", NAMES)
def test_a_bundled_model_keeps_the_contract(name: str) -> None:
    model = onnx.load(BUNDLED / f"{name}.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 17)]
    assert model.ir_version == 8
    assert [entry.name for entry in model.graph.input] == ["tiles"]
    assert model.graph.output[0].name == "probabilities"
    assert model.graph.node[0].op_type == "DequantizeLinear"
    told = {entry.key for entry in model.metadata_props}
    expected = "contract name version recipe precision trained_on accuracy reject_below picture_temperature tools"
    assert told >= {f"edge_digits.{key}" for key in expected.split()}


@pytest.mark.parametrize("name", [*NAMES, "digits"])
def test_a_bundled_model_is_accurate(tiles: Tiles, labels: NDArray[np.int64], name: str) -> None:
    """A floor for a sane model and no evidence of accuracy: most of these tiles are in the training data."""
    accuracy = np.mean(Classifier(name).classify(tiles).digits == labels)
    assert 0.985 <= accuracy < 1


def test_int8_and_fp32_agree(tiles: Tiles) -> None:
    fp32, int8 = (Classifier(name).classify(tiles) for name in NAMES)
    assert np.mean(fp32.digits == int8.digits) >= 0.995
    assert np.abs(fp32.probabilities - int8.probabilities).mean() < 0.005


def test_the_default_is_the_one_that_the_manifest_prefers() -> None:
    manifest = load_manifest()
    name = manifest["default"]
    assert Classifier().name == Classifier(name).name == f"{name}-{manifest['models'][name]['prefers']}"


@pytest.mark.parametrize("name", NAMES)
def test_a_path_and_a_name_give_the_same(tiles: Tiles, name: str) -> None:
    chosen = tiles[some(20)]
    by_name = Classifier(name).classify(chosen).probabilities
    for path in (BUNDLED / f"{name}.onnx", str(BUNDLED / f"{name}.onnx")):
        assert np.array_equal(Classifier(path).classify(chosen).probabilities, by_name)


@pytest.mark.parametrize("name", NAMES)
def test_the_metadata_of_the_file_is_told(name: str) -> None:
    metadata = Classifier(name).metadata
    assert metadata["edge_digits.contract"] == "1"
    assert metadata["edge_digits.precision"] == name.removeprefix("digits-")


# ---- what it gives


@pytest.mark.parametrize("name", NAMES)
def test_probabilities_are_such(tiles: Tiles, name: str) -> None:
    rng = np.random.default_rng(0)
    hard = rng.integers(0, 256, (50, 28, 28), dtype=np.uint8)
    plain = np.stack([np.full((28, 28), value, np.uint8) for value in (0, 1, 128, 255)])
    told = Classifier(name).classify(np.concatenate([tiles[::50], hard, plain]))
    assert told.probabilities.dtype == np.float32
    assert told.probabilities.shape == (154, 10)
    assert np.abs(told.probabilities.sum(axis=1, dtype=np.float64) - 1).max() < 1e-5
    assert (told.probabilities >= 0).all()
    assert (told.probabilities <= 1).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_gives_what_each_tile_gives_alone(tiles: Tiles, name: str) -> None:
    classifier = Classifier(name)
    chosen = tiles[some(300)]  # more than one batch
    together = classifier.classify(chosen).probabilities
    alone = np.concatenate([classifier.classify(tile).probabilities for tile in chosen])
    assert np.array_equal(together.argmax(axis=1), alone.argmax(axis=1))
    np.testing.assert_allclose(together, alone, atol=1e-6, rtol=0)
    assert name != "digits-fp32" or np.array_equal(together, alone)


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_the_number_of_threads_changes_no_answer(classifier: Classifier, tiles: Tiles, threads: int) -> None:
    chosen = tiles[some(300)]
    told = Classifier(threads=threads).classify(chosen)
    np.testing.assert_allclose(told.probabilities, classifier.classify(chosen).probabilities, atol=1e-6, rtol=0)


def test_no_tiles_give_no_predictions(classifier: Classifier) -> None:
    told = classifier.classify(np.zeros((0, 28, 28), np.uint8))
    assert told.probabilities.shape == (0, 10)
    assert told.probabilities.dtype == np.float32
    assert told.digits.shape == told.confidences.shape == (0,)


def test_one_tile_may_come_without_its_first_axis(classifier: Classifier, tiles: Tiles) -> None:
    assert np.array_equal(classifier.classify(tiles[7]).probabilities, classifier.classify(tiles[7:8]).probabilities)


def test_tiles_that_do_not_lie_in_one_piece_are_read_right(classifier: Classifier, tiles: Tiles) -> None:
    turned = np.asfortranarray(tiles[::500])
    assert np.array_equal(
        classifier.classify(turned).probabilities, classifier.classify(np.ascontiguousarray(turned)).probabilities
    )
    mirrored = tiles[::500, :, ::-1]
    assert np.array_equal(
        classifier.classify(mirrored).probabilities, classifier.classify(mirrored.copy()).probabilities
    )


def test_predictions_name_the_likeliest_digit() -> None:
    rows = np.array([[0.1] * 9 + [0.1], [0, 0.7, 0.3] + [0] * 7], np.float32)
    told = Predictions(rows, None)
    assert told.digits.tolist() == [0, 1]
    assert told.confidences.tolist() == pytest.approx([0.1, 0.7])


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((3, 28, 28), np.float32),
        np.zeros((3, 28, 28), np.int64),
        np.zeros((3, 28, 28), bool),
        np.zeros((3, 28, 27), np.uint8),
        np.zeros((3, 784), np.uint8),
        np.zeros(784, np.uint8),
        np.zeros((3, 28, 28, 1), np.uint8),
        np.uint8(3),
        [[1, 2], [3, 4]],
        None,
    ],
    ids=lambda bad: f"{getattr(bad, 'dtype', type(bad).__name__)}{list(getattr(bad, 'shape', ()))}",
)
def test_what_is_not_tiles_is_a_value_error(classifier: Classifier, bad: object) -> None:
    given = np.asarray(bad)
    told = rf"tiles must be uint8 of shape \(n, 28, 28\), not {given.dtype} of shape {re.escape(str(given.shape))}"
    with pytest.raises(ValueError, match=told):
        classifier.classify(bad)  # type: ignore[arg-type]


@pytest.mark.parametrize("threads", [0, -1, 1.5, "2"])
def test_threads_must_be_one_or_more(threads: int) -> None:
    with pytest.raises(ValueError, match="threads"):
        Classifier(threads=threads)


def test_an_engine_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="engine must be one of auto, onnxruntime, numpy, not 'Numpy'"):
        Classifier(engine="Numpy")  # type: ignore[arg-type]


def test_it_can_be_pickled(classifier: Classifier, tiles: Tiles) -> None:
    copy = pickle.loads(pickle.dumps(classifier))
    chosen = tiles[some(30)]
    assert copy.name == classifier.name
    assert np.array_equal(copy.classify(chosen).probabilities, classifier.classify(chosen).probabilities)


def test_eight_threads_that_share_it_get_the_right_answers(classifier: Classifier, tiles: Tiles) -> None:
    parts = [tiles[start::8] for start in range(8)]
    expected = [classifier.classify(part).probabilities for part in parts]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda part: classifier.classify(part).probabilities, parts * 3))
    assert all(np.array_equal(a, b) for a, b in zip(found, expected * 3, strict=True))


def test_an_ensemble_gives_the_mean(tiles: Tiles) -> None:
    chosen = tiles[some(300)]
    a, b = (Classifier(name).classify(chosen).probabilities for name in NAMES)
    np.testing.assert_allclose(load_ensemble(NAMES, variations=1)(chosen), (a.astype(float) + b) / 2, atol=1e-6)
    np.testing.assert_allclose(load_ensemble(NAMES[:1], variations=1)(chosen), a, atol=1e-6)


# ---- models that are refused


def graph(
    *,
    name: str = "tiles",
    kind: int = TensorProto.UINT8,
    shape: Sequence[str | int] = ("N", 28, 28),
    output: str = "probabilities",
    softmax: bool = True,
    classes: int = 10,
    metadata: dict[str, str] | None = None,
    score: str | None = None,
) -> onnx.ModelProto:
    """A model of the contract, but for what is asked to be otherwise: a linear layer and a softmax."""
    weights = np.random.default_rng(0).normal(0, 0.01, (784, classes)).astype(np.float32)
    floats = helper.make_node("Cast", [name], ["floats"], to=TensorProto.FLOAT)
    nodes = [
        floats,
        helper.make_node("Reshape", ["floats", "flat"], ["rows"]),
        helper.make_node("MatMul", ["rows", "weights"], ["logits"]),
        helper.make_node("Softmax" if softmax else "Identity", ["logits"], [output]),
    ]
    outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, [None, classes])]
    if score is not None:
        reduce = helper.make_node(score, ["logits", "axes"] if score == "ReduceSum" else ["logits"], ["digit_score"],
                                  keepdims=0, **({} if score == "ReduceSum" else {"axes": [1]}))  # fmt: skip
        nodes.append(reduce)
        outputs.append(helper.make_tensor_value_info("digit_score", TensorProto.FLOAT, [None]))
    made = helper.make_graph(
        nodes,
        "made",
        [helper.make_tensor_value_info(name, kind, list(shape))],
        outputs,
        [
            numpy_helper.from_array(np.array([-1, 784]), "flat"),
            numpy_helper.from_array(weights, "weights"),
            numpy_helper.from_array(np.array([1]), "axes"),
        ],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"edge_digits.contract": "1"} if metadata is None else metadata)
    return model


def saved(model: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "made.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def test_a_hand_made_model_of_the_contract_runs(tmp_path: Path, tiles: Tiles) -> None:
    told = Classifier(saved(graph(), tmp_path)).classify(tiles[:3])
    assert told.probabilities.shape == (3, 10)
    assert told.digit_scores is None


def test_a_model_without_metadata_runs(tmp_path: Path) -> None:
    classifier = Classifier(saved(graph(metadata={}), tmp_path))
    assert (classifier.metadata, classifier.reject_below, classifier.picture_temperature) == ({}, 0, 1)


def refused(path: Path | str) -> str:
    with pytest.raises(ModelError) as caught:
        Classifier(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"name": "input_1"}, "input_1"),
        ({"kind": TensorProto.FLOAT}, r"tensor\(float\)"),
        ({"kind": TensorProto.INT8}, r"tensor\(int8\)"),
        ({"shape": ("N", 784)}, "784"),
        ({"shape": ("N", 1, 28, 28)}, r"1, 28, 28"),
        ({"shape": ("N", 32, 32)}, "32"),
        ({"shape": (1, 28, 28)}, r"\[1, 28, 28\]"),
        ({"output": "logits_out"}, "probabilities"),
        ({"softmax": False}, "ten probabilities"),
        ({"classes": 11}, "ten probabilities"),
        ({"metadata": {"edge_digits.contract": "2"}}, "version 2"),
        ({"score": "ReduceSum"}, "digit_score"),
        (
            {"score": "ReduceMin", "metadata": {"edge_digits.reject_below": "2"}},
            "reject_below is '2', not a number of 0 to",
        ),
        ({"metadata": {"edge_digits.picture_temperature": "hot"}}, "picture_temperature is 'hot', not a number"),
        (
            {"metadata": {"edge_digits.picture_temperature": "0"}},
            "picture_temperature is '0', not a number of 0.1 to 10",
        ),
        ({"metadata": {"edge_digits.picture_temperature": "nan"}}, "picture_temperature is 'nan'"),
    ],
    ids=lambda value: next(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else "",
)
def test_a_model_that_breaks_the_contract_is_refused_with_the_reason(
    tmp_path: Path, change: dict[str, object], reason: str
) -> None:
    text = refused(saved(graph(**change), tmp_path))  # type: ignore[arg-type]
    assert "contract" in text
    assert re.search(reason, text)


def ending(*operators: onnx.NodeProto, tensors: Sequence[onnx.TensorProto] = ()) -> onnx.ModelProto:
    """The model of `graph`, with other operators between its logits and its answer."""
    model = graph()
    model.graph.node.pop()
    cool = helper.make_node("Mul", ["logits", "cool"], ["cooled"])  # so that no digit is certain
    model.graph.node.extend([cool, helper.make_node("Softmax", ["cooled"], ["soft"]), *operators])
    model.graph.initializer.extend([constant("cool", 0.001), *tensors])
    return model


def constant(name: str, *values: float) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(values, np.float32), name)


NO_PROBABILITIES = {
    "sums of 1.1": (
        ending(helper.make_node("Mul", ["soft", "k"], ["probabilities"]), tensors=[constant("k", 1.1)]),
        "ten probabilities for each tile: they sum to 1.1, not to 1",
    ),
    "sums of 1.002": (
        ending(helper.make_node("Mul", ["soft", "k"], ["probabilities"]), tensors=[constant("k", 1.002)]),
        "they sum to 1.002",
    ),
    "below 0": (
        ending(
            helper.make_node("Add", ["soft", "k"], ["probabilities"]),
            tensors=[constant("k", -0.5, 0.5, 0, 0, 0, 0, 0, 0, 0, 0)],
        ),
        "values from -0.",
    ),
    "NaN": (
        ending(helper.make_node("Log", ["k"], ["nan"]), helper.make_node("Add", ["logits", "nan"], ["probabilities"]),
               tensors=[constant("k", -1)]),
        "NaN or infinity",
    ),
    "infinity": (
        ending(helper.make_node("Div", ["logits", "k"], ["probabilities"]), tensors=[constant("k", 0)]),
        "NaN or infinity",
    ),
    "over the tiles": (
        ending(helper.make_node("Softmax", ["logits"], ["probabilities"], axis=0)),
        "they sum to",
    ),
    "tiles mixed": (
        ending(
            helper.make_node("ReduceMean", ["logits"], ["mean"], axes=[0]),
            helper.make_node("Sub", ["logits", "mean"], ["apart"]),
            helper.make_node("Mul", ["apart", "k"], ["wide"]),
            helper.make_node("Softmax", ["wide"], ["probabilities"]),
            tensors=[constant("k", 30)],
        ),
        "its answer to a tile changes with the tiles beside it",
    ),
    "tiles mixed a little": (
        ending(
            helper.make_node("ReduceMean", ["logits"], ["mean"], axes=[0]),
            helper.make_node("Sub", ["logits", "mean"], ["apart"]),
            helper.make_node("Mul", ["apart", "k"], ["near"]),
            helper.make_node("Softmax", ["near"], ["probabilities"]),
            tensors=[constant("k", 0.005)],  # a probability changes by .023
        ),
        "its answer to a tile changes with the tiles beside it",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", NO_PROBABILITIES)
def test_a_model_whose_answers_are_no_probabilities_is_refused_with_the_figure(tmp_path: Path, kind: str) -> None:
    model, reason = NO_PROBABILITIES[kind]
    text = refused(saved(model, tmp_path))
    assert "is not of the model contract" in text
    assert reason in text


def test_what_a_refused_file_says_moves_no_cursor_and_is_cut(tmp_path: Path) -> None:
    evil = "\x1b[2J\x07" + "x" * 5000
    operator = ending(helper.make_node("\x1b[31mOdd", ["soft"], ["probabilities"]))
    library = ending(helper.make_node("\x1b[31mOdd", ["soft"], ["probabilities"], domain=evil))
    library.opset_import.append(helper.make_opsetid(evil, 1))
    for model in (
        graph(name=evil), graph(output=evil), graph(metadata={"edge_digits.contract": evil}), operator, library,
    ):  # fmt: skip
        text = refused(saved(model, tmp_path))
        assert text.isprintable()
        assert r"\x1b[" in text
        assert len(text) < 1300


def test_an_answer_a_thousandth_off_passes(tmp_path: Path) -> None:
    """Rounding of a quantized layer is no breach."""
    scaled = ending(helper.make_node("Mul", ["soft", "k"], ["probabilities"]), tensors=[constant("k", 1.0005)])
    assert Classifier(saved(scaled, tmp_path)).name


def test_a_model_for_a_fixed_number_of_tiles_inside_is_refused(tmp_path: Path) -> None:
    model = graph()
    flat = next(tensor for tensor in model.graph.initializer if tensor.name == "flat")
    flat.CopyFrom(numpy_helper.from_array(np.array([5, 784]), "flat"))
    assert "onnxruntime cannot run it" in refused(saved(model, tmp_path))


def test_a_model_with_a_second_input_is_refused(tmp_path: Path) -> None:
    model = graph()
    model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [1]))
    assert "contract" in refused(saved(model, tmp_path))


def test_weights_in_another_file_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "made.onnx"
    onnx.save_model(graph(), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    monkeypatch.chdir(tmp_path)  # where onnxruntime would find them
    assert "another file" in refused(path)


def test_weights_in_another_file_are_found_in_attributes_and_subgraphs(tmp_path: Path) -> None:
    def outside() -> onnx.TensorProto:
        tensor = numpy_helper.from_array(np.zeros(4, np.float32), "outside")
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="weights.bin")
        return tensor

    in_attribute = graph()
    in_attribute.graph.node.append(helper.make_node("Constant", [], ["unused"], value=outside()))
    branch = helper.make_graph(
        [helper.make_node("Identity", ["outside"], ["branch"])],
        "branch",
        [],
        [helper.make_tensor_value_info("branch", TensorProto.FLOAT, [4])],
        [outside()],
    )
    in_subgraph = graph()
    condition = numpy_helper.from_array(np.array(True), "condition")
    in_subgraph.graph.initializer.append(condition)
    in_subgraph.graph.node.append(
        helper.make_node("If", ["condition"], ["unused"], then_branch=branch, else_branch=branch)
    )
    for model in (in_attribute, in_subgraph):
        assert "another file" in refused(saved(model, tmp_path))


RUBBISH: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "one byte": lambda data: data[:1],
    "cut in half": lambda data: data[: len(data) // 2],
    "cut at its end": lambda data: data[:-10],
    "random": lambda data: np.random.default_rng(3).bytes(5000),
    "zeros": lambda data: bytes(5000),
    "text": lambda data: b"this is no model\n" * 100,
    "an html page": lambda data: b"<!doctype html><title>404</title>" * 50,
    "pickled": lambda data: pickle.dumps({"weights": [1, 2, 3]}),
}


@pytest.mark.parametrize("kind", RUBBISH)
def test_rubbish_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "rubbish.onnx"
    path.write_bytes(RUBBISH[kind]((BUNDLED / "digits-int8.onnx").read_bytes()))
    refused(path)


def test_random_bytes_and_flipped_ones_never_get_past_a_model_error(tmp_path: Path) -> None:
    rng = np.random.default_rng(11)
    good = saved(graph(), tmp_path).read_bytes()
    path = tmp_path / "flipped.onnx"
    for _ in range(60):
        data = bytearray(good)
        for place in rng.integers(0, 400, 3):  # the structure lies at the start, the weights after it
            data[place] = rng.integers(0, 256)
        path.write_bytes(bytes(data))
        with contextlib.suppress(ModelError):
            Classifier(path)


def test_a_path_that_is_no_file_is_refused(tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "missing.onnx")
    (tmp_path / "folder.onnx").mkdir()
    assert "regular file" in refused(tmp_path / "folder.onnx")
    assert "no such file" in refused("../missing")
    assert "regular file" in refused("/dev/zero")


def test_a_file_far_too_large_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "large.onnx"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)  # takes no room on the disk
    assert path.stat().st_blocks * 512 < 1_000_000
    assert "MB" in refused(path)


def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    path = saved(graph(), tmp_path)
    path.chmod(0)
    try:
        path.read_bytes()
    except PermissionError:
        assert "permission" in refused(path).lower()
    else:
        path.chmod(stat.S_IRUSR)
        pytest.skip("this user may read everything")


@pytest.mark.parametrize(("name", "near"), [("digit", "digits"), ("digits-fp23", "digits-fp32"), ("Digits", "digits")])
def test_an_unknown_name_gets_a_suggestion(name: str, near: str) -> None:
    with pytest.raises(ModelError, match=f"did you mean {near}"):
        load_model_file(name)


@pytest.mark.parametrize("name", ["", "resnet", "\N{SNOWMAN}"])
def test_a_name_like_no_other_gets_the_list(name: str) -> None:
    with pytest.raises(ModelError, match="digits-fp32, digits-int8"):
        load_model_file(name)


def run_with_models(folder: Path, model: str = "digits") -> subprocess.CompletedProcess[str]:
    """A Classifier in a process of its own, whose bundled models are those in `folder`."""
    code = f"""
import sys
sys.path.insert(0, {str(folder)!r})
import edge_digits_models
assert edge_digits_models.__file__.startswith({str(folder)!r})
from edge_digits import Classifier
from edge_digits.errors import ModelError
try:
    print(Classifier({model!r}).name)
except ModelError as error:
    sys.exit(f"ModelError: {{error}}")
"""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A copy of the package of bundled models."""
    return Path(shutil.copytree(BUNDLED, tmp_path / "edge_digits_models", ignore=shutil.ignore_patterns("__pycache__")))


def test_a_copy_of_the_bundled_models_runs(models: Path) -> None:
    done = run_with_models(models.parent)
    assert (done.returncode, done.stdout) == (0, "digits-int8\n"), done.stderr


@pytest.mark.parametrize("place", [0, 40_000, -1])
def test_a_flipped_byte_in_a_bundled_model_is_found(models: Path, place: int) -> None:
    file = models / "digits-int8.onnx"
    data = bytearray(file.read_bytes())
    data[place] ^= 1
    file.write_bytes(bytes(data))
    done = run_with_models(models.parent)
    assert done.returncode == 1
    assert "digits-int8.onnx: the bundled model is damaged" in done.stderr
    assert "SHA-256" in done.stderr
    assert run_with_models(models.parent, "digits-fp32").returncode == 0


@pytest.mark.parametrize("damage", ["renamed", "truncated"])
def test_a_bundled_model_that_is_another_or_cut_off_is_found(models: Path, damage: str) -> None:
    file, other = models / "digits-int8.onnx", models / "digits-fp32.onnx"
    file.write_bytes(other.read_bytes() if damage == "renamed" else file.read_bytes()[:-1])
    done = run_with_models(models.parent)
    assert done.returncode == 1
    assert "digits-int8.onnx: the bundled model is damaged: its SHA-256 is" in done.stderr


def test_a_bundled_model_that_is_gone_is_named(models: Path) -> None:
    (models / "digits-int8.onnx").unlink()
    done = run_with_models(models.parent)
    assert "digits-int8.onnx: the bundled model is missing" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("manifest", [None, "", "{", "\x00"])
def test_a_damaged_manifest_is_a_model_error(models: Path, manifest: str | None) -> None:
    file = models / "manifest.json"
    if manifest is None:
        file.unlink()
    else:
        file.write_text(manifest, encoding="utf-8")
    done = run_with_models(models.parent)
    assert done.returncode == 1
    assert done.stderr.startswith("ModelError: ")


def test_the_manifest_is_what_the_package_ships() -> None:
    assert load_manifest() == json.loads((BUNDLED / "manifest.json").read_text(encoding="utf-8"))
