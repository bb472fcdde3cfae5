"""From a Keras network to published .onnx files: convert, quantize, verify, publish."""
