"""The published models: .onnx files, manifest.json and a card for each."""
