"""The way of the first blog post: pandas and Keras. `keras_predict.py NETWORK.keras TEST.csv OUT.csv`."""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pandas as pd

network, table, out = sys.argv[1:]
model = keras.models.load_model(network, compile=False)
rows = pd.read_csv(table)
answers = model.predict(rows.to_numpy(np.uint8).reshape(-1, 28, 28), batch_size=256, verbose=0)["probabilities"]
pd.DataFrame({"ImageId": range(1, len(rows) + 1), "Label": answers.argmax(axis=1)}).to_csv(out, index=False)
