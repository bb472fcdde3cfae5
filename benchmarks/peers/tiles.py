"""One engine on tiles: `tiles.py ENGINE MODEL TILES.npy` prints JSON.

That is µs of one tile, tiles a second of 256, its answers and its version. One thread, each engine with what its makers
advise for that; scaling to 0…1 is part of what is timed.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Ask = Callable[[Pixels], NDArray[np.floating]]
CALLS, BATCHES, BATCH = 1_000, 8, 256


def edge_digits(model: str) -> tuple[str, Ask]:
    """The whole of Classifier.classify."""
    from edge_digits import Classifier, __version__

    classifier = Classifier(model)
    return __version__, lambda tiles: classifier.classify(tiles).probabilities


def onnxruntime(model: str) -> tuple[str, Ask]:
    """Its session alone, one thread, nothing else set; both outputs, as ours."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model, sess_options=options, providers=["CPUExecutionProvider"])
    return ort.__version__, lambda tiles: session.run(None, {"tiles": tiles})[0]


def openvino(model: str) -> tuple[str, Ask]:
    """Without copies of what goes in and out."""
    import openvino as ov

    settings = {"INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY"}
    request = ov.Core().compile_model(model, "CPU", settings).create_infer_request()
    return (
        importlib.metadata.version("openvino"),
        lambda tiles: request.infer({0: tiles}, share_inputs=True, share_outputs=True)[0],
    )


def litert(model: str) -> tuple[str, Ask]:
    """With XNNPACK, which is its default; a file for each size of batch."""
    from ai_edge_litert.interpreter import Interpreter

    loaded = {}
    for batch in (1, BATCH):
        interpreter = Interpreter(f"{model}-{batch}.tflite", num_threads=1)
        interpreter.allocate_tensors()
        loaded[batch] = interpreter
    given = interpreter.get_input_details()[0]["index"]
    [told] = [output["index"] for output in interpreter.get_output_details() if output["shape"][-1] == 10]

    def ask(tiles: Pixels) -> NDArray[np.floating]:
        interpreter = loaded[len(tiles)]
        interpreter.set_tensor(given, tiles)
        interpreter.invoke()
        return np.asarray(interpreter.get_tensor(told))

    return importlib.metadata.version("ai-edge-litert"), ask


ENGINES = {engine.__name__: engine for engine in (edge_digits, onnxruntime, openvino, litert)}


def seconds_of(work: Callable[[], object], times: int) -> float:
    """The median."""
    took = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        took.append(time.perf_counter() - started)
    return float(np.median(took[times // 10 :]))


def main() -> None:
    engine, model, path = sys.argv[1:]
    tiles = np.load(path)
    version, ask = ENGINES[engine](model)
    one, many = tiles[:1].copy(), np.resize(tiles, (BATCH, 28, 28))
    print(
        json.dumps(
            {
                "version": version,
                "microseconds": 1e6 * seconds_of(partial(ask, one), CALLS),
                "rate": BATCH / seconds_of(partial(ask, many), BATCHES),
                "answers": np.concatenate([ask(tiles[i : i + 1]).argmax(axis=1) for i in range(len(tiles))]).tolist(),
            }
        )
    )


if __name__ == "__main__":
    main()
