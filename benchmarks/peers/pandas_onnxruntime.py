"""A plain script: pandas, and onnxruntime as it comes. `pandas_onnxruntime.py MODEL-fp32.onnx TEST.csv OUT.csv`."""

import sys

import numpy as np
import onnxruntime as ort
import pandas as pd

model, table, out = sys.argv[1:]
rows = pd.read_csv(table)
tiles = rows.to_numpy(np.uint8).reshape(-1, 28, 28)
session = ort.InferenceSession(model)
# All rows in one call need 7 GB.
answers = [session.run(["probabilities"], {"tiles": tiles[i : i + 256]})[0] for i in range(0, len(tiles), 256)]
labels = np.concatenate(answers).argmax(axis=1)
pd.DataFrame({"ImageId": range(1, len(labels) + 1), "Label": labels}).to_csv(out, index=False)
