"""ONNX files: their wire format, tensors and nodes."""
