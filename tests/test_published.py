"""The bundled models, made again from the networks that they come from: what ships is what its source says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="export is not installed: pip install 'edge-digits[train]'")
pytest.importorskip("tf2onnx", reason="export is not installed: pip install 'edge-digits[train]'")

import onnx
from onnx import numpy_helper

import edge_digits_models
from edge_digits.model_files import load_manifest
from edge_digits_export import rebuild_models

BUNDLED = Path(edge_digits_models.__file__).parent
NETWORKS = BUNDLED.parent / "networks"
ROUNDED = 0.001
"""Share of 8-bit weights that may be one step off: at a boundary another processor's last bit decides."""


def compare(rebuilt: bytes, bundled: bytes) -> None:
    """Fails where two models differ in more than the last bits of their weights."""
    ours, theirs = onnx.load_from_string(rebuilt), onnx.load_from_string(bundled)
    assert ours.graph.input == theirs.graph.input
    assert ours.graph.output == theirs.graph.output
    assert [node.name for node in ours.graph.node] == [node.name for node in theirs.graph.node]
    for mine, other in zip(ours.graph.node, theirs.graph.node, strict=True):
        assert mine == other
    assert ours.metadata_props == theirs.metadata_props
    for mine, other in zip(ours.graph.initializer, theirs.graph.initializer, strict=True):
        assert (mine.name, mine.data_type, mine.dims) == (other.name, other.data_type, other.dims)
        first, second = numpy_helper.to_array(mine), numpy_helper.to_array(other)
        if first.dtype == np.float32:
            np.testing.assert_allclose(first, second, rtol=1e-5, atol=1e-6, err_msg=mine.name)
        elif first.dtype in (np.int8, np.uint8) and first.size > 1:
            off = np.abs(first.astype(int) - second.astype(int))
            assert off.max() <= 1, mine.name
            assert (off > 0).sum() <= max(1, ROUNDED * off.size), mine.name
        elif first.dtype == np.int32:  # biases, in steps a thousand times finer
            np.testing.assert_allclose(first, second, rtol=1e-4, atol=2, err_msg=mine.name)
        else:
            np.testing.assert_array_equal(first, second, err_msg=mine.name)


@pytest.mark.parametrize("name", list(load_manifest()["models"]))
def test_a_bundled_model_is_rebuilt_from_its_network(name: str) -> None:
    facts = NETWORKS / f"{name}.json"
    if not facts.exists():
        pytest.skip(f"{name} was published before what rebuilds it was kept: publish it anew")
    rebuilt = rebuild_models(NETWORKS / f"{name}.keras", json.loads(facts.read_text(encoding="utf-8")))
    for precision, data in rebuilt.items():
        compare(data, (BUNDLED / f"{name}-{precision}.onnx").read_bytes())


def test_what_rebuilds_a_model_knows_the_bundled_files() -> None:
    """A network or its facts that belong to another version are no source."""
    for name, entry in load_manifest()["models"].items():
        facts = NETWORKS / f"{name}.json"
        if facts.exists():
            known = json.loads(facts.read_text(encoding="utf-8"))["sha256"]
            assert known == {precision: file["sha256"] for precision, file in entry["files"].items()}


def test_every_bundled_model_has_its_network() -> None:
    for name in load_manifest()["models"]:
        assert (NETWORKS / f"{name}.keras").is_file()


def change(model: Any, tensor: str, step: float) -> None:
    found = next(one for one in model.graph.initializer if one.name == tensor)
    values = numpy_helper.to_array(found).copy()
    values.flat[:40] = values.flat[:40] + np.array(step, values.dtype)
    found.CopyFrom(numpy_helper.from_array(values, tensor))


def test_the_comparison_sees_what_is_no_rounding() -> None:
    """A comparison that passes everything would make the test above worthless."""
    for precision, tensor, step in (("fp32", "conv2_weight", 1e-3), ("int8", "conv2_weight_q", 1)):
        data = (BUNDLED / f"digits-{precision}.onnx").read_bytes()
        compare(data, data)
        model = onnx.load_from_string(data)
        change(model, tensor, step)
        with pytest.raises(AssertionError, match="conv2_weight"):
            compare(model.SerializeToString(), data)
        model = onnx.load_from_string(data)
        model.graph.node[3].attribute.append(onnx.helper.make_attribute("extra", 1))
        with pytest.raises(AssertionError):
            compare(model.SerializeToString(), data)
